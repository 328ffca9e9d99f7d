"""Kernels as machine code, through LLVM alone: numba, which has LLVM beside it, takes five times as long.

It finds the types of everything that Python may say, and kernels say little. What they say beyond `llvm_text.py` it
compiles still.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable
from functools import cache, cached_property
from importlib import import_module
from threading import Lock
from typing import Any

import numpy as np

from chainrule.compile.kernel_files import kept_bytes, kernel_module
from chainrule.compile.llvm_module import HEADER, NONE, PYTHON, Layout, layout_of, lies_evenly, llvm_module
from chainrule.compile.llvm_values import Unwritten

FIRST = 16, 0, 0  # the version of LLVM from which on a pointer is just that
FASTCALL = 0x80  # a function that is given a vector of arguments and their number


class Kernel:
    """The function `kernel` of a text, called with numbers and arrays, whose types and numbers of axes never change.

    `call` returns numbers, as floats, or None. It is compiled when it is first called, and again for arrays that lie
    otherwise in memory.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.call: Callable[..., Any] = self._other  # for arrays that lie as the last ones did
        self._calls: dict[Layout, _Loaded | None] = {}
        self._lock = Lock()

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        return self.call(*arguments)

    def _other(self, *arguments: Any) -> Any:
        """Call it where arrays lie otherwise."""
        layout = layout_of(arguments)
        with self._lock:
            if layout not in self._calls:
                self._calls[layout] = self._compiled(layout)
        found = self._calls[layout]
        if found is None or not lies_evenly(arguments, layout):
            return self._by_numba(*arguments)
        self.call = found.call
        return self.call(*arguments)

    @cached_property
    def _by_numba(self) -> Callable[..., Any]:
        """The function as numba compiles it. To find its module takes as long as some kernels run."""
        found: Callable[..., Any] = kernel_module(self.text).kernel
        return found

    def _compiled(self, layout: Layout) -> _Loaded | None:
        """Return the code, or None if it is for numba."""
        try:
            return _Loaded(_object_code(llvm_module(self.text, layout)), self._other)
        except Unwritten:
            return None


class _Definition(ctypes.Structure):
    """What CPython asks about a built-in function."""

    _fields_ = (("name", ctypes.c_char_p), ("run", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


class _Loaded:
    """Machine code as a built-in function. It calls `other` where arrays lie otherwise, and so keeps its kernel alive.

    The kernel keeps this object, and this object the code.
    """

    def __init__(self, code: bytes, other: Callable[..., Any]) -> None:
        llvm = _llvm()
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self.engine.finalize_object()
        self.definition = _Definition(b"kernel", self.engine.get_function_address("run"), FASTCALL, None)
        make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
            ("PyCFunction_NewEx", ctypes.pythonapi)
        )
        self.call: Callable[..., Any] = make(ctypes.addressof(self.definition), other, None)


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
    if llvm.llvm_version_info < FIRST:
        raise Unwritten("an LLVM whose pointers have types")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name in PYTHON:
        llvm.add_symbol(name, ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value)
    llvm.add_symbol(NONE, id(None))
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
    """Return the machine code of a module: the one on disk, or a new one. Raises: Unwritten."""
    llvm = _llvm()
    for name in re.findall(r"^declare .*@(\w+)\(", text, re.MULTILINE):
        if not _is_linked(name):  # LLVM ends the process where it looks for a function in vain
            raise Unwritten(f"{name}, which this C library lacks")
    versions = ".".join(map(str, llvm.llvm_version_info))
    processor = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()}"
    return kept_bytes((text, versions, processor), lambda: _compiled(text))


@cache
def _is_linked(name: str) -> bool:
    """True if LLVM finds the function. Until something loads the process as a library, it has to be told where."""
    llvm = _llvm()
    if llvm.address_of_symbol(name) is None:
        try:
            function = getattr(ctypes.CDLL(None), name)
        except (AttributeError, OSError, TypeError):  # it is not there, or the system has no such library
            return False
        llvm.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    return True


def _compiled(text: str) -> bytes:
    llvm, machine = _llvm(), _target()
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, tuning)
    builder.getModulePassManager().run(module, builder)
    code: bytes = machine.emit_object(module)
    return code
