"""Numbers and arrays in LLVM's language, and the instructions on them.

Types follow NumPy: what is known when the text is read is a Python number or a NumPy scalar, all else a `Value`.
"""

from __future__ import annotations

import ast
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BYTES = {"double": 8, "float": 4, "i64": 8, "i32": 4}
TYPES: dict[Any, str] = {np.float64: "double", np.float32: "float", np.int64: "i64", np.int32: "i32", float: "double"}
ORDER = ("i1", "i32", "i64", "float", "double")
FLOATS = {"float", "double"}
COMPARED = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
IN_FLOATS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
IN_INTEGERS = {
    "+": "add nsw", "-": "sub nsw", "*": "mul nsw", "<<": "shl", ">>": "ashr", "&": "and", "|": "or", "^": "xor",
}  # fmt: skip


class Unwritten(Exception):
    """The text says what this language has no words for here; numba compiles it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A number that the code computes: its type and its name in LLVM's language."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class View:
    """A part of an array. An axis whose stride is None has its entries beside each other; strides are in bytes."""

    kind: str
    data: str
    shape: tuple[Any, ...]
    strides: tuple[Any, ...]

    def turned(self) -> View:
        """Return the transpose."""
        return View(self.kind, self.data, self.shape[::-1], self.strides[::-1])

    def stride(self, axis: int) -> Any:
        """Return the distance of neighbours in bytes."""
        return BYTES[self.kind] if self.strides[axis] is None else self.strides[axis]


@dataclass(slots=True)
class Module:
    """What a text defines."""

    functions: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)  # the functions that are called, by name


def kind_of(x: Any) -> str:
    """Return the type of a number."""
    if isinstance(x, Value):
        return x.kind
    if isinstance(x, bool | np.bool_):
        return "i1"
    return TYPES[type(x)] if isinstance(x, np.generic) else "i64" if isinstance(x, int) else "double"


def joined(x: str, y: str) -> str:
    """Return the type that holds both: a whole number beside a float32 is a float64, as in NumPy."""
    if x == y:
        return x
    if {x, y} in ({"float", "i64"}, {"float", "i32"}):
        return "double"
    return max(x, y, key=ORDER.index)


@dataclass(slots=True)
class Code:
    """Instructions, one after the other; `flags` say which freedom those on floats leave to LLVM."""

    lines: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)  # memory of variables, which LLVM turns into registers
    flags: str = ""
    called: dict[str, str] = field(default_factory=dict)  # the functions that are not here, as they are declared
    hints: list[str] = field(default_factory=list)  # what LLVM is told of loops and stores
    count: int = 0
    block: str = "start"

    def fresh(self, stem: str = "v") -> str:
        """Return a name that nothing has, no parameter either."""
        return f"%.{stem}{self.number()}"

    def number(self) -> int:
        """Return a number that nothing has yet."""
        self.count += 1
        return self.count

    def add(self, kind: str, text: str) -> Value:
        """Add an instruction with a result."""
        value = Value(kind, self.fresh())
        self.lines.append(f"{value.text} = {text}")
        return value

    def begin(self, label: str) -> None:
        """Begin a block."""
        self.lines.append(f"{label}:")
        self.block = label

    def each(self, start: Any, stop: Any, step: Any, write: Callable[[Value], None], abreast: bool = False) -> None:
        """Write a loop, with `abreast` one whose steps are to be one vector."""
        number = self.number()
        before = self.block
        first, last, pace = (self.text(x, "i64") for x in (start, stop, step))
        self.lines.append(f"br label %head{number}")
        self.begin(f"head{number}")
        index, following = Value("i64", self.fresh("i")), self.fresh("i")
        self.lines.append(f"{index.text} = phi i64 [ {first}, %{before} ], [ {following}, %next{number} ]")
        inside = self.add("i1", f"icmp slt i64 {index.text}, {last}")
        self.lines.append(f"br i1 {inside.text}, label %body{number}, label %done{number}")
        self.begin(f"body{number}")
        write(index)
        self.lines.append(f"br label %next{number}")
        self.begin(f"next{number}")
        self.lines.append(f"{following} = add nsw i64 {index.text}, {pace}")
        self.lines.append(f"br label %head{number}{self._hint(abreast)}")
        self.begin(f"done{number}")

    def _hint(self, abreast: bool) -> str:
        """Say that a loop is not to be lines one after the other before it is asked whether its steps are a vector.

        How wide, LLVM finds; were it told, it would print where it finds none.
        """
        if not abreast:
            return ""
        own = self.hint('distinct !{$own, !{!"llvm.loop.unroll.disable"}}')
        return f", !llvm.loop {own}"

    def hint(self, text: str) -> str:
        """Tell LLVM something, where `$own` is its own name; return the name."""
        own = f"!{len(self.hints)}"
        self.hints.append(f"{own} = {text.replace('$own', own)}")
        return own

    def text(self, x: Any, kind: str) -> str:
        """Return the operand for a number as this type."""
        if isinstance(x, Value):
            return self.cast(x, kind).text
        if kind in FLOATS:
            rounded = float(np.float32(x)) if kind == "float" else float(x)
            return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
        return ("true" if x else "false") if kind == "i1" else str(int(x))

    def cast(self, x: Any, kind: str) -> Value:
        """Return the number as this type."""
        if not isinstance(x, Value):
            return Value(kind, self.text(x, kind))
        if x.kind == kind:
            return x
        ranks = ORDER.index(x.kind), ORDER.index(kind)
        if x.kind in FLOATS and kind in FLOATS:
            name = "fpext" if ranks[0] < ranks[1] else "fptrunc"
        elif x.kind in FLOATS:
            name = "fptosi"
        elif kind in FLOATS:
            name = "uitofp" if x.kind == "i1" else "sitofp"
        else:
            name = "zext" if x.kind == "i1" else "sext" if ranks[0] < ranks[1] else "trunc"
        return self.add(kind, f"{name} {x.kind} {x.text} to {kind}")

    # --- arithmetic
    def binary(self, sign: str, x: Any, y: Any) -> Value:
        """Return x + y and the like."""
        kind = joined(kind_of(x), kind_of(y))
        if sign in ("//", "%"):
            return self._divided(sign, x, y)
        if kind not in FLOATS and sign == "/":
            kind = "double"
        names = IN_FLOATS if kind in FLOATS else IN_INTEGERS
        if sign not in names or kind == "i1":
            raise Unwritten(sign)
        flags = self.flags if kind in FLOATS else ""
        return self.add(kind, f"{names[sign]} {flags}{kind} {self.text(x, kind)}, {self.text(y, kind)}")

    def _divided(self, sign: str, x: Any, y: Any) -> Value:
        """Whole division of what is not negative: extents and positions."""
        kind = joined(kind_of(x), kind_of(y))
        if kind in FLOATS or kind == "i1":
            raise Unwritten(sign)
        return self.add(kind, f"{'udiv' if sign == '//' else 'urem'} {kind} {self.text(x, kind)}, {self.text(y, kind)}")

    def negated(self, x: Any) -> Value:
        """Return -x."""
        kind = kind_of(x)
        if kind in FLOATS:
            return self.add(kind, f"fneg {self.flags}{kind} {self.text(x, kind)}")
        return self.binary("-", 0, x)

    def compared(self, sign: str, x: Any, y: Any) -> Value:
        """Return x < y and the like; NaN differs from everything."""
        kind, name = joined(kind_of(x), kind_of(y)), COMPARED[sign]
        if kind in FLOATS:
            head = f"fcmp {'une' if name == 'ne' else 'o' + name}"
        else:
            head = f"icmp {name if name in ('eq', 'ne') else 's' + name}"
        return self.add("i1", f"{head} {kind} {self.text(x, kind)}, {self.text(y, kind)}")

    def chosen(self, condition: Any, x: Any, y: Any) -> Any:
        """Return x if the condition holds, else y; both are computed."""
        if not isinstance(condition, Value):
            return x if condition else y
        kind = joined(kind_of(x), kind_of(y))
        texts = f"{kind} {self.text(x, kind)}, {kind} {self.text(y, kind)}"
        return self.add(kind, f"select i1 {condition.text}, {texts}")

    def called_on(self, name: str, *numbers: Any) -> Value:
        """Return a function of floats: one of LLVM's own, or of the C library."""
        kind = "float" if all(kind_of(x) == "float" for x in numbers) else "double"
        own = f"{name}.f{8 * BYTES[kind]}" if name.startswith("llvm.") else name + "f" * (kind == "float")
        self.called[own] = f"{kind} @{own}({', '.join([kind] * len(numbers))}) readnone nounwind willreturn"
        arguments = ", ".join(f"{kind} {self.text(x, kind)}" for x in numbers)
        return self.add(kind, f"call {self.flags}{kind} @{own}({arguments})")

    def bits(self, x: Any, kind: str) -> Value:
        """Return the number with the same bits."""
        own = kind_of(x)
        if BYTES[own] != BYTES[kind]:
            raise Unwritten("view")
        return self.add(kind, f"bitcast {own} {self.text(x, own)} to {kind}")

    # --- memory
    def place(self, kind: str) -> str:
        """Return memory for a variable."""
        name = self.fresh("p")
        self.places.append(f"{name} = alloca {kind}")
        return name

    def load(self, kind: str, pointer: str) -> Value:
        """Return what stands there."""
        return self.add(kind, f"load {kind}, ptr {pointer}")

    def store(self, x: Any, kind: str, pointer: str) -> None:
        """Write there."""
        self.lines.append(f"store {kind} {self.text(x, kind)}, ptr {pointer}")

    def moved(self, pointer: str, kind: str, count: Any) -> str:
        """Return the pointer `count` entries of the type further."""
        if not isinstance(count, Value) and count == 0:
            return pointer
        return self.add("ptr", f"getelementptr inbounds {kind}, ptr {pointer}, i64 {self.text(count, 'i64')}").text

    def entry(self, view: View, at: Sequence[Any]) -> str:
        """Return the pointer to an entry; no index is negative."""
        pointer = view.data
        for index, stride in zip(at, view.strides, strict=True):
            if stride is not None:
                pointer = self.moved(pointer, "i8", self.binary("*", index, stride))
        for index, stride in zip(at, view.strides, strict=True):
            if stride is None:
                pointer = self.moved(pointer, view.kind, index)
        return pointer
