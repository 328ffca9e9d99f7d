"""A kernel as a module of LLVM: the function that its text says, and the one that Python calls.

That one is a built-in function of CPython. It reads arrays from the fields of NumPy's objects, which are the same in
every version, since extensions are compiled with them, and asks whether the arrays lie in memory as was assumed.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.compile.llvm_functions import Array, Parameters, options
from chainrule.compile.llvm_text import Body
from chainrule.compile.llvm_values import BYTES, TYPES, Code, Module, Value

HEADER = object.__basicsize__  # bytes of an array before the pointer to its entries
EXTENTS, STRIDES = HEADER + 16, HEADER + 24  # after the pointer and the number of axes
RESULTS = "%.results"
NONE = "chainrule_none"
PYTHON = {
    "PyMem_RawMalloc": "noalias ptr @PyMem_RawMalloc(i64)", "PyMem_RawFree": "void @PyMem_RawFree(ptr)",
    "PyEval_SaveThread": "ptr @PyEval_SaveThread()", "PyEval_RestoreThread": "void @PyEval_RestoreThread(ptr)",
    "PyLong_AsLongLong": "i64 @PyLong_AsLongLong(ptr)", "PyFloat_AsDouble": "double @PyFloat_AsDouble(ptr)",
    "PyFloat_FromDouble": "ptr @PyFloat_FromDouble(double)", "PyTuple_New": "ptr @PyTuple_New(i64)",
    "PyTuple_SetItem": "i32 @PyTuple_SetItem(ptr, i64, ptr)", "PyErr_NoMemory": "ptr @PyErr_NoMemory()",
    "Py_IncRef": "void @Py_IncRef(ptr)",
    "PyErr_Occurred": "ptr @PyErr_Occurred()",
    "PyObject_Vectorcall": "ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)",
}  # fmt: skip


Layout = tuple[str | Array, ...]


def layout_of(arguments: Sequence[Any]) -> Layout:
    """Return what machine code assumes of arguments: arrays, whole numbers and other numbers."""
    return tuple([_assumed(a) for a in arguments])


def _assumed(a: Any) -> str | Array:
    if not isinstance(a, np.ndarray) or a.ndim == 0:
        return "i64" if isinstance(a, int) else "float" if getattr(a, "dtype", None) == np.float32 else "double"
    unit = next((k for k in (a.ndim - 1, 0) if a.strides[k] == a.itemsize or a.shape[k] <= 1), None)
    return Array(TYPES[a.dtype.type], a.ndim, unit)


def lies_evenly(arguments: Sequence[Any], layout: Layout) -> bool:
    """True if machine code finds every entry at a multiple of its size, as far as it asks: see `_taken_apart`.

    NumPy's own flag does not mind where arrays without entries are, nor the strides of axes with one entry.
    """
    for a, kind in zip(arguments, layout, strict=True):
        if isinstance(kind, Array):
            paces = [pace for axis, pace in enumerate(a.strides) if axis != kind.unit]
            if any(place % a.itemsize for place in (a.ctypes.data, *paces)):
                return False
    return True


def read_module(text: str) -> Module:
    """Return the functions of a text and its constants. Raises: Unwritten."""
    module = Module()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            module.functions[node.name] = node
        elif isinstance(node, ast.Assign):
            value = Body(module, Code(), {}).value(node.value)
            for target in node.targets:
                named = zip(target.elts, value, strict=True) if isinstance(target, ast.Tuple) else [(target, value)]
                module.constants.update((ast.unparse(own), one) for own, one in named)
    return module


def llvm_module(text: str, layout: Layout) -> str:
    """Return the module of a kernel for arguments like these. Raises: Unwritten."""
    module = read_module(text)
    function = module.functions["kernel"]
    names = [a.arg for a in function.args.args]
    code, parameters = Code(), Parameters()
    body = Body(module, code, {name: parameters.add(name, kind) for name, kind in zip(names, layout, strict=True)})
    body.run_function(function)
    results = () if body.result is None else body.result if isinstance(body.result, tuple) else (body.result,)
    for k, number in enumerate(results):
        code.store(number, "double", code.moved(RESULTS, "double", k))
    lines = "\n".join(_whole(code, body.kept))
    head = f"define internal i32 @kernel({', '.join([*parameters.texts, f'ptr noalias {RESULTS}'])}) noinline nounwind"
    declared = [f"declare {text}" for text in (*PYTHON.values(), *sorted(code.called.values()))]
    entry = _entry(layout, len(results), "nogil=True" in map(ast.unparse, options(function)))
    kernel = [f"{head} {{\n{lines}\n}}", "", *module.written.values()]
    return "\n".join([f"@{NONE} = external global i8", *declared, "", *kernel, *entry, *code.hints])


def _whole(code: Code, kept: Sequence[str]) -> list[str]:
    """Return the lines of the function; where there is no memory, it ends at once, and all memory is given back."""
    status = code.fresh("status")
    ends = ["br label %end", "fail:", "br label %end", "end:"]
    ends.append(f"{status} = phi i32 [ 0, %{code.block} ], [ 1, %fail ]")
    for place in kept:
        memory = code.fresh()
        ends += [f"{memory} = load ptr, ptr {place}", f"call void @PyMem_RawFree(ptr {memory})"]
    nothing = [f"store ptr null, ptr {place}" for place in kept]
    return ["entry:", *code.places, *nothing, "br label %start", "start:", *code.lines, *ends, f"ret i32 {status}"]


def _entry(layout: Layout, results: int, is_free: bool) -> list[str]:
    """The lines of the function that Python calls, as one of METH_FASTCALL.

    Its `self` is called with the same arguments where arrays lie otherwise. `is_free`: it lets go of Python's lock.
    """
    code = Code(block="entry")
    given: list[Value] = []
    wrong = Value("i1", "false")
    for k, kind in enumerate(layout):
        argument = code.load("ptr", code.moved("%.arguments", "i8", 8 * k)).text
        if isinstance(kind, str):
            call = "i64 @PyLong_AsLongLong" if kind == "i64" else "double @PyFloat_AsDouble"
            given.append(code.cast(code.add(call.partition(" ")[0], f"call {call}(ptr {argument})"), kind))
            continue
        values, other = _taken_apart(code, kind, argument)
        given += values
        wrong = code.add("i1", f"or i1 {wrong.text}, {other.text}")
    arguments = ", ".join([*(f"{v.kind} {v.text}" for v in given), f"ptr {RESULTS}"])
    error = code.add("ptr", "call ptr @PyErr_Occurred()").text
    return [
        "define ptr @run(ptr %.self, ptr %.arguments, i64 %.count) nounwind {", "entry:",
        f"{RESULTS} = alloca [{max(1, results)} x double]", *code.lines,
        f"%.no_number = icmp ne ptr {error}, null", "br i1 %.no_number, label %failed, label %numbers",
        "failed:", "ret ptr null",
        "numbers:", f"br i1 {wrong.text}, label %other, label %fits",
        "other:", "%.answer = call ptr @PyObject_Vectorcall(ptr %.self, ptr %.arguments, i64 %.count, ptr null)",
        "ret ptr %.answer",
        "fits:", *["%.thread = call ptr @PyEval_SaveThread()"] * is_free,
        f"%.status = call i32 @kernel({arguments})",
        *["call void @PyEval_RestoreThread(ptr %.thread)"] * is_free,
        "%.is_done = icmp eq i32 %.status, 0", "br i1 %.is_done, label %done, label %full",
        "full:", "%.error = call ptr @PyErr_NoMemory()", "ret ptr %.error",
        "done:", *_returned(results, code.count), "}",
    ]  # fmt: skip


def _returned(results: int, count: int) -> list[str]:
    """The lines that return None, a float or several."""
    code = Code(block="done", count=count)
    numbers = [code.load("double", code.moved(RESULTS, "double", k)).text for k in range(results)]
    floats = [code.add("ptr", f"call ptr @PyFloat_FromDouble(double {number})").text for number in numbers]
    if len(floats) == 1:
        return [*code.lines, f"ret ptr {floats[0]}"]
    if not floats:
        return [f"call void @Py_IncRef(ptr @{NONE})", f"ret ptr @{NONE}"]
    several = code.add("ptr", f"call ptr @PyTuple_New(i64 {results})").text
    for k, number in enumerate(floats):
        code.add("i32", f"call i32 @PyTuple_SetItem(ptr {several}, i64 {k}, ptr {number})")
    return [*code.lines, f"ret ptr {several}"]


def _taken_apart(code: Code, kind: Array, array: str) -> tuple[list[Value], Value]:
    """Return an array's pointer, extents and strides, and whether it lies otherwise than assumed, or not aligned."""

    def at(place: str, offset: int, what: str) -> Value:
        return code.add(what, f"load {what}, ptr {code.moved(place, 'i8', offset)}")

    size = BYTES[kind.kind]
    data, extents, strides = (at(array, offset, "ptr") for offset in (HEADER, EXTENTS, STRIDES))
    shape = [at(extents.text, 8 * axis, "i64") for axis in range(kind.axes)]
    paces = [at(strides.text, 8 * axis, "i64") for axis in range(kind.axes)]
    places = code.add("i64", f"ptrtoint ptr {data.text} to i64")
    wrong = Value("i1", "false")
    for axis, pace in enumerate(paces):
        if axis != kind.unit:
            places = code.add("i64", f"or i64 {places.text}, {pace.text}")
        else:
            apart, several = code.compared("!=", pace, size), code.compared(">", shape[axis], 1)
            wrong = code.add("i1", f"and i1 {apart.text}, {several.text}")
    odd = code.compared("!=", code.add("i64", f"and i64 {places.text}, {size - 1}"), 0)
    return [data, *shape, *paces], code.add("i1", f"or i1 {wrong.text}, {odd.text}")
