"""Functions of a kernel's text that are written once and called: what is long and called often takes long to compile.

They are those that their decorator keeps apart. They make no arrays and return nothing, and no two of the arrays that
one is given share memory.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from chainrule.compile.llvm_values import Code, Module, Unwritten, Value, View, kind_of

APART = "inline='never'"


class Array(NamedTuple):
    """An array's type, its number of axes, and the one whose entries lie beside each other; None if there is none."""

    kind: str
    axes: int
    unit: int | None


class Parameters:
    """The parameters in LLVM's language: an array is a pointer, its extents and its strides."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, name: str, kind: str | Array) -> Any:
        """Add a parameter and return what it is in the text."""
        if isinstance(kind, str):
            self.texts.append(f"{kind} %{name}")
            return Value(kind, f"%{name}")
        self.texts.append(f"ptr noalias %{name}")
        shape = [Value("i64", f"%{name}.n{axis}") for axis in range(kind.axes)]
        strides = [Value("i64", f"%{name}.s{axis}") for axis in range(kind.axes)]
        self.texts += [f"i64 {value.text}" for value in (*shape, *strides)]
        paces = tuple(None if axis == kind.unit else stride for axis, stride in enumerate(strides))
        return View(kind.kind, f"%{name}", tuple(shape), paces)


def is_apart(function: ast.FunctionDef) -> bool:
    """True for a function that is called."""
    return APART in map(ast.unparse, options(function))


def options(function: ast.FunctionDef) -> list[ast.keyword]:
    """Return what the decorators of a function say."""
    return [word for d in function.decorator_list if isinstance(d, ast.Call) for word in d.keywords]


def call(
    module: Module,
    code: Code,
    function: ast.FunctionDef,
    arguments: Sequence[Any],
    write: Callable[[Code, dict[str, Any]], bool],
) -> None:
    """Call the function. `write` writes its lines, for these parameters, and says whether that is all it does."""
    kinds = tuple(map(_kind, arguments))
    name = f"@{function.name}.{'.'.join(map(str, kinds))}".translate(PLAIN)
    if name not in module.written:
        parameters, inner = Parameters(), Code()
        names = [a.arg for a in function.args.args]
        if not write(inner, {own: parameters.add(own, kind) for own, kind in zip(names, kinds, strict=True)}):
            raise Unwritten(function.name)
        lines = ["entry:", *inner.places, "br label %start", "start:", *inner.lines, "ret void"]
        head = f"define internal void {name}({', '.join(parameters.texts)}) noinline nounwind"
        module.written[name] = "\n".join([f"{head} {{", *lines, "}", ""])
        code.called |= inner.called
    given = ", ".join(text for x, kind in zip(arguments, kinds, strict=True) for text in _given(code, x, kind))
    code.lines.append(f"call void {name}({given})")


PLAIN = str.maketrans({c: "_" for c in " (),='"})


def _kind(x: Any) -> str | Array:
    if not isinstance(x, View):
        return kind_of(x)
    unit = next((axis for axis, stride in enumerate(x.strides) if stride is None), None)
    return Array(x.kind, len(x.shape), unit)


def _given(code: Code, x: Any, kind: str | Array) -> list[str]:
    if isinstance(kind, str):
        return [f"{kind} {code.text(x, kind)}"]
    extents = [*x.shape, *(x.stride(axis) for axis in range(len(x.shape)))]
    return [f"ptr {x.data}", *(f"i64 {code.text(n, 'i64')}" for n in extents)]
