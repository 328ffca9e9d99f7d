"""A kernel as a module of LLVM: the function that its text says, and the one that is called.

That one takes what was packed: numbers, and for arrays the addresses of NumPy's objects, whose fields are the same in
every version, since extensions are compiled with them. It asks whether the arrays lie in memory as was assumed.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from chainrule.compile.llvm_text import Body
from chainrule.compile.llvm_values import BYTES, TYPES, Code, Module, Value, View

HEADER = object.__basicsize__  # bytes of an array before the pointer to its entries
EXTENTS, STRIDES = HEADER + 16, HEADER + 24  # after the pointer and the number of axes
DONE, OTHER_LAYOUT, NO_MEMORY = 0, 1, 2  # what the function returns
MEMORY = "declare noalias ptr @chainrule_allocate(i64)\ndeclare void @chainrule_free(ptr)"


class Array(NamedTuple):
    """An array's type, its number of axes, and the one whose entries lie beside each other; None if there is none."""

    kind: str
    axes: int
    unit: int | None


Layout = tuple[str | Array, ...]


def layout_of(arguments: Sequence[Any]) -> Layout:
    """Return what machine code assumes of arguments: arrays, whole numbers and other numbers."""
    return tuple([_assumed(a) for a in arguments])


def _assumed(a: Any) -> str | Array:
    if not isinstance(a, np.ndarray) or a.ndim == 0:
        return "i64" if isinstance(a, int) else "double"
    unit = next((k for k in (a.ndim - 1, 0) if a.strides[k] == a.itemsize or a.shape[k] <= 1), None)
    return Array(TYPES[a.dtype.type], a.ndim, unit)


def read_module(text: str) -> Module:
    """Return the functions of a text, but those of numba's intrinsics, and its constants. Raises: Unwritten."""
    module = Module()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and not _is_intrinsic(node):
            module.functions[node.name] = node
        elif isinstance(node, ast.Assign):
            value = Body(module, Code(), {}).value(node.value)
            for target in node.targets:
                named = zip(target.elts, value, strict=True) if isinstance(target, ast.Tuple) else [(target, value)]
                module.constants.update((ast.unparse(own), one) for own, one in named)
    return module


def _is_intrinsic(function: ast.FunctionDef) -> bool:
    return any(isinstance(d, ast.Name) and d.id == "intrinsic" for d in function.decorator_list)


def llvm_module(text: str, layout: Layout) -> str:
    """Return the module of a kernel for arguments like these. Raises: Unwritten."""
    module = read_module(text)
    function = module.functions["kernel"]
    names = [a.arg for a in function.args.args]
    code, parameters = Code(), _Parameters(module)
    body = Body(module, code, {name: parameters.add(name, kind) for name, kind in zip(names, layout, strict=True)})
    body.run_function(function)
    lines = "\n".join(_whole(code, body.kept))
    head = f"define internal i32 @kernel({', '.join(parameters.texts)}) noinline nounwind"
    return "\n".join([MEMORY, *sorted(code.called.values()), "", f"{head} {{\n{lines}\n}}", _entry(layout, parameters)])


def _whole(code: Code, kept: Sequence[str]) -> list[str]:
    """Return the lines of the function; where there is no memory, it ends at once, and all memory is given back."""
    status = code.fresh("status")
    ends = ["br label %end", "fail:", "br label %end", "end:"]
    ends.append(f"{status} = phi i32 [ {DONE}, %{code.block} ], [ {NO_MEMORY}, %fail ]")
    for place in kept:
        memory = code.fresh()
        ends += [f"{memory} = load ptr, ptr {place}", f"call void @chainrule_free(ptr {memory})"]
    nothing = [f"store ptr null, ptr {place}" for place in kept]
    return ["entry:", *code.places, *nothing, "br label %start", "start:", *code.lines, *ends, f"ret i32 {status}"]


class _Parameters:
    """The parameters in LLVM's language: an array is a pointer, its extents and its strides."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.texts: list[str] = []

    def add(self, name: str, kind: str | Array) -> Any:
        """Add a parameter and return what it is in the text."""
        if isinstance(kind, str):
            own = TYPES[self.module.constants["T"]] if kind == "double" else kind
            self.texts.append(f"{own} %{name}")
            return Value(own, f"%{name}")
        self.texts.append(f"ptr noalias %{name}")
        shape = [Value("i64", f"%{name}.n{axis}") for axis in range(kind.axes)]
        strides = [Value("i64", f"%{name}.s{axis}") for axis in range(kind.axes)]
        self.texts += [f"i64 {value.text}" for value in (*shape, *strides)]
        return View(
            kind.kind, f"%{name}", tuple(shape), tuple(None if k == kind.unit else s for k, s in enumerate(strides))
        )

    @property
    def types(self) -> list[str]:
        """The type of each."""
        return [text.partition(" ")[0] for text in self.texts]


def _entry(layout: Layout, parameters: _Parameters) -> str:
    code = Code()
    given: list[Value] = []
    wrong = Value("i1", "false")
    for k, kind in enumerate(layout):
        place = code.moved("%packed", "i8", 8 * k)
        if isinstance(kind, str):
            number = code.add(kind, f"load {kind}, ptr {place}, align 1")
            given.append(code.cast(number, parameters.types[len(given)]))
            continue
        values, other = _taken_apart(code, kind, code.add("ptr", f"load ptr, ptr {place}, align 1").text)
        given += values
        wrong = code.add("i1", f"or i1 {wrong.text}, {other.text}")
    arguments = ", ".join(f"{v.kind} {v.text}" for v in given)
    ends = [f"br i1 {wrong.text}, label %no, label %yes", "yes:", f"%status = call i32 @kernel({arguments})"]
    ends += ["ret i32 %status", "no:", f"ret i32 {OTHER_LAYOUT}"]
    return "\n".join(["define i32 @run(ptr %packed) nounwind {", *code.lines, *ends, "}"])


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
