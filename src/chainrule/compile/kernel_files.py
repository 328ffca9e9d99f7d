"""Kernels on disk: machine code in the user's cache, and the modules that numba compiles, with what it made of them.

Each is named after everything that the machine code depends on: its text, the versions of this package, of LLVM or
numba and of Python, and the processor. A second process finds it and compiles nothing. Where no directory can be
written, kernels live in memory.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from types import ModuleType

VARIABLE = "CHAINRULE_CACHE"  # the environment variable that names another directory
DIGEST = 32  # bytes before machine code, which say what follows
_LOADING = Lock()


def cache_directory() -> Path:
    """Return where kernels are kept: `$CHAINRULE_CACHE`, or `chainrule` in the user's cache of this system."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "chainrule" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "chainrule"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chainrule"


def module_name(text: str) -> str:
    """Return the name of the module with this text, on this machine and with these versions."""
    numba, llvm = import_module("numba"), import_module("llvmlite.binding")
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    parts = (text, version("chainrule"), numba.__version__, sys.version, processor)
    return "chainrule_kernel_" + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def kept_bytes(parts: Sequence[str], make: Callable[[], bytes]) -> bytes:
    """Return the machine code that depends on these texts: the one on disk, if it is whole, or a new one."""
    name = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    path = cache_directory() / f"chainrule_kernel_{name}.o"
    with suppress(OSError):
        found = path.read_bytes()
        if found[:DIGEST] == hashlib.sha256(found[DIGEST:]).digest():
            return found[DIGEST:]
    code = make()
    with suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, hashlib.sha256(code).digest() + code)
    return code


def kernel_module(text: str) -> ModuleType:
    """Return the module with this text: the loaded one, the one on disk, or a new one."""
    name = module_name(text)
    with _LOADING:  # a module is listed before it has run: another thread would find it without its function
        return sys.modules.get(name) or _loaded(name, text)


def _loaded(name: str, text: str) -> ModuleType:
    with suppress(OSError, RuntimeError):  # numba raises RuntimeError where it cannot keep what it compiles
        return _from_file(name, text, cache_directory())
    sys.modules.pop(name, None)
    module = ModuleType(name)
    exec(compile(text.replace("cache=True", "cache=False"), f"<{name}>", "exec"), module.__dict__)
    sys.modules[name] = module
    return module


def _from_file(name: str, text: str, directory: Path) -> ModuleType:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{name}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        _write(path, text.encode())
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba looks it up by name when it loads what it has compiled
    spec.loader.exec_module(module)
    return module


def _write(path: Path, content: bytes) -> None:
    """Write the whole file or nothing: another process may read it at the same time."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            os.unlink(temporary)
        raise
