"""Kernels as machine code, through LLVM alone: numba, which has LLVM beside it, takes five times as long.

It finds the types of everything that Python may say, and kernels say little. What they say beyond `llvm_text.py` it
compiles still.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from chainrule.compile.execute import run_text
from chainrule.compile.kernel_files import kept_bytes, kernel_module
from chainrule.compile.llvm_module import DONE, HEADER, NO_MEMORY, Array, Layout, layout_of, llvm_module
from chainrule.compile.llvm_values import Unwritten

Run = Callable[[bytes], int]
SPACES = {"chainrule_allocate": "PyMem_RawMalloc", "chainrule_free": "PyMem_RawFree"}


class Kernel:
    """The function `kernel` of a text, called with numbers and arrays, whose types and numbers of axes never change.

    It is compiled when it is first called, and again for arrays that lie otherwise in memory.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._runs: dict[Layout, Run] = {}
        self._packed: Callable[..., bytes] | None = None  # None until there is code
        self._is_for_numba = False
        self._lock = Lock()

    def __call__(self, *arguments: Any) -> None:
        """Run it. Raises: MemoryError."""
        if self._is_done(arguments):
            return
        if not self._is_for_numba:
            self._prepare(arguments)
        if self._is_for_numba or not self._is_done(arguments):  # entries that are not aligned
            kernel_module(self.text).kernel(*arguments)

    def _is_done(self, arguments: Sequence[Any]) -> bool:
        """Run the code for arrays that lie as these do, if there is any."""
        if self._packed is None:
            return False
        packed = self._packed(*arguments)
        for run in tuple(self._runs.values()):
            status = run(packed)
            if status == DONE:
                return True
            if status == NO_MEMORY:
                raise MemoryError
        return False

    def _prepare(self, arguments: Sequence[Any]) -> None:
        """Compile for arguments like these."""
        layout = layout_of(arguments)
        with self._lock:
            if layout in self._runs or self._is_for_numba:
                return
            try:
                self._runs[layout] = _loaded(_object_code(llvm_module(self.text, layout)))
                self._packed = self._packed or _packing(layout)
            except Unwritten:
                self._is_for_numba = True


def _packing(layout: Layout) -> Callable[..., bytes]:
    """Return the function that packs arguments."""
    form = struct.Struct("=" + "".join("d" if kind == "double" else "q" for kind in layout))
    names = [f"a{k}" for k in range(len(layout))]
    values = [f"id({own})" if isinstance(kind, Array) else own for own, kind in zip(names, layout, strict=True)]
    text = f"def packed({', '.join(names)}):\n    return pack({', '.join(values)})\n"
    return run_text(text, "packed", {"pack": form.pack})


@cache
def _is_known() -> bool:
    """True if this Python has arrays where code looks for their fields."""
    if sys.implementation.name != "cpython" or sys.maxsize < 1 << 32:
        return False
    array = np.zeros((2, 3))
    fields = (ctypes.c_int64 * 4).from_address(id(array) + HEADER)
    place, extents, strides = fields[0], fields[2], fields[3]
    pairs = ((extents, array.shape), (strides, array.strides))
    return place == array.ctypes.data and all(tuple((ctypes.c_int64 * 2).from_address(p)) == t for p, t in pairs)


@cache
def _llvm() -> Any:
    """Return LLVM, ready for this machine. Raises: Unwritten."""
    if not _is_known():
        raise Unwritten("another Python")
    llvm = import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for own, name in SPACES.items():
        llvm.add_symbol(own, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value)
    return llvm


def _target() -> Any:
    """Return what makes code for this machine."""
    llvm = _llvm()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    is_x86 = target.triple.startswith(("x86", "i386", "i686"))
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=features,
        opt=3,
        reloc="static" if is_x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _object_code(text: str) -> bytes:
    """Return the machine code of a module: the one on disk, or a new one."""
    llvm = _llvm()
    versions = ".".join(map(str, llvm.llvm_version_info))
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    return kept_bytes((text, versions, processor), lambda: _compiled(text))


def _compiled(text: str) -> bytes:
    llvm, machine = _llvm(), _target()
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code


def _loaded(code: bytes) -> Run:
    """Return the function in machine code, which lets go of Python's lock while it runs."""
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly("", llvm.create_context()), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    run: Any = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p)(engine.get_function_address("run"))
    run.engine = engine  # which owns the code
    return run  # type: ignore[no-any-return]
