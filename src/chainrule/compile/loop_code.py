"""Loops as text, in C and in Python for numba: what is the same in both."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.compile.loops import Loop, Loops, Nest, all_nests
from chainrule.compile.program import (
    Combine,
    Constant,
    Contract,
    Divide,
    Instruction,
    Length,
    Load,
    Map,
    Pad,
    Part,
    Program,
    Reshape,
)
from chainrule.compile.writing import Names, combination, literal, parenthesised, unwrapped
from chainrule.errors import DomainError
from chainrule.expression.op import Op
from chainrule.expression.shape import Scalar, Shape, Size

At = tuple[str, ...]  # the text of an index for each axis
VARIABLES = "ijklmnopqrstu"


@dataclass(slots=True)
class Scope:
    """Where a line stands: how deep, and the lines so far."""

    depth: int
    lines: list[str]

    def add(self, line: str) -> None:
        """Add a line."""
        self.lines.append("    " * self.depth + line)


class LoopCode(ABC):
    """Writes one program as a function with loops. `results` are the outputs by instruction, as the code calls them."""

    language: str

    def __init__(self, program: Program, names: Names) -> None:
        self.program, self.names = program, names
        self.loops = Loops(program)
        self.steps = program.instructions
        self.fresh = 0
        self.values = {k: f"v{n}" for n, k in enumerate(sorted(self.loops.stored))}

    # --- a language
    @abstractmethod
    def opened(self, scope: Scope, variable: str, extent: str) -> None:
        """Write the first line of a loop."""

    @abstractmethod
    def closed(self, scope: Scope) -> None:
        """Write what ends a loop."""

    @abstractmethod
    def variable(self, scope: Scope, name: str, text: str, constant: bool = True) -> None:
        """Set a new variable."""

    @abstractmethod
    def assigned(self, scope: Scope, target: str, text: str, sign: str = "=") -> None:
        """Write an assignment."""

    @abstractmethod
    def indexed(self, name: str, at: At, shape: Shape) -> str:
        """Write an entry of an array."""

    @abstractmethod
    def made(self, scope: Scope, k: int, name: str) -> None:
        """Make the memory of a stored value with axes."""

    @abstractmethod
    def line(self, line: str, named: dict[str, str]) -> str:
        """Write a line of the catalogue."""

    @abstractmethod
    def choice(self, condition: str, value: str, other: str) -> str:
        """Write a value that depends on a condition."""

    @abstractmethod
    def number(self, value: Scalar) -> str:
        """Write a known number."""

    @abstractmethod
    def whole(self, scope: Scope, k: int, op: Op, operands: Sequence[str]) -> None:
        """Write an operation on whole arrays, once for each entry of its leading axes."""

    @abstractmethod
    def size_as_number(self, text: str) -> str:
        """Write a size as a number of the arrays' type."""

    # --- values
    def size(self, size: Size) -> str:
        """Write a size."""
        return self.names.size(size)

    def body(self) -> list[str]:
        """Return the lines that compute all stored values."""
        scope = Scope(0, [])
        for item in self.loops.body:
            self._fill(scope, item)
            self._item(scope, item, {}, 0)
        return scope.lines

    def _fill(self, scope: Scope, item: Loop | Nest) -> None:
        """Make the memory that a top-level loop writes to, with the first values of what it adds to."""
        nests = item.nests if isinstance(item, Loop) else [item]
        for nest in nests:
            step, name = self.steps[nest.step], self.values[nest.step]
            if step.shape and nest.step not in self.loops.local:
                self.made(scope, nest.step, name)
            if self.loops.is_reduced(nest.step) and (nest.local is None or (nest.local == 0 and nest.order)):
                self._filled(scope, nest.step, name)

    def _filled(self, scope: Scope, k: int, name: str) -> None:
        step, first = self.steps[k], self._first(k)
        if not step.shape:
            self.variable(scope, name, first, constant=False)
            return
        at = tuple(VARIABLES[axis] for axis in range(len(step.shape)))
        inner = scope
        for variable, size in zip(at, step.shape, strict=True):
            self.opened(inner, variable, self.size(size))
            inner = Scope(inner.depth + 1, inner.lines)
        self.assigned(inner, self.indexed(name, at, step.shape), first)
        for depth in reversed(range(scope.depth, inner.depth)):
            self.closed(Scope(depth, inner.lines))

    def _first(self, k: int) -> str:
        action = self.steps[k].action
        if isinstance(action, Map) and action.op.loop.gather:
            return self.line(action.op.loop.gather.first, {})
        return self.line("zero", {})

    def _item(self, scope: Scope, item: Loop | Nest, at: dict[int, str], depth: int) -> None:
        if isinstance(item, Nest):
            self._compute(scope, item, depth)
            return
        variable = VARIABLES[depth]
        held = [n for n in item.nests if self.loops.is_reduced(n.step) and n.local == depth and depth > 0]
        for nest in held:
            self.variable(scope, self._held(nest.step), self._first(nest.step), constant=False)
        self.opened(scope, variable, self.size(item.extent))
        inner = Scope(scope.depth + 1, scope.lines)
        for part in item.body:
            self._item(inner, part, at, depth + 1)
        self.closed(scope)
        for nest in held:
            self._store(scope, nest.step, self._at(nest), self._held(nest.step))

    def _held(self, k: int) -> str:
        name = self.values[k]
        return name if self._is_variable(k) else f"{name}_"

    def _is_variable(self, k: int) -> bool:
        return not self.steps[k].shape or k in self.loops.local

    def _at(self, nest: Nest) -> At:
        variables = {i: VARIABLES[depth] for depth, i in enumerate(nest.order)}
        return tuple(variables[i] for i in self.loops.axes(nest.step))

    def _store(self, scope: Scope, k: int, at: At, text: str) -> None:
        step, name = self.steps[k], self.values[k]
        if not self._is_variable(k):
            self.assigned(scope, self.indexed(name, at, step.shape), text)
        elif text != name:
            self.variable(scope, name, text)

    def _compute(self, scope: Scope, nest: Nest, depth: int) -> None:
        k, step = nest.step, self.steps[nest.step]
        if self.loops.is_whole(k):
            self._apply(scope, k)
            return
        variables = {i: VARIABLES[d] for d, i in enumerate(nest.order)}
        if not self.loops.is_reduced(k):
            at = self._at(nest)
            text = self._renamed(scope, k, at) if self.loops.is_renaming(k) else self._formula(scope, k, variables)
            self._store(scope, k, at, text)
            return
        target = self._held(k) if nest.local is not None else self.indexed(self.values[k], self._at(nest), step.shape)
        target = self.values[k] if not step.shape else target
        texts = [
            self.read(scope, operand, tuple(variables[i] for i in sub))
            for operand, sub in zip(step.operands, step.subscripts, strict=True)
        ]
        if isinstance(step.action, Map):
            assert step.action.op.loop.gather is not None
            text = self.line(step.action.op.loop.gather.pair, {"acc": target, "z": self._bound(scope, texts[0])})
            self.assigned(scope, target, text)
        else:
            self.assigned(scope, target, " * ".join(parenthesised(t) for t in texts), "+=")

    def _apply(self, scope: Scope, k: int) -> None:
        step = self.steps[k]
        assert isinstance(step.action, Map)
        operands = []
        for operand in step.operands:
            action = self.steps[operand].action
            own = self.names.arguments[action.position] if isinstance(action, Load) else self.values[operand]
            operands.append(own)
        self.whole(scope, k, step.action.op, operands)

    def _bound(self, scope: Scope, text: str) -> str:
        """Give a value a name, unless it has one."""
        if re.fullmatch(r"[\w.]+|\w+\[[^\[\]]*\]", text):
            return text
        self.fresh += 1
        self.variable(scope, f"t{self.fresh}", unwrapped(text))
        return f"t{self.fresh}"

    def read(self, scope: Scope, k: int, at: At) -> str:
        """Write the entry of a value."""
        step = self.steps[k]
        if isinstance(step.action, Load):
            own = self.names.arguments[step.action.position]
            return self.indexed(own, at, step.shape) if step.shape else own
        if isinstance(step.action, Length):
            return self.size_as_number(self.size(step.action.size))
        if isinstance(step.action, Constant):
            return self.number(step.action.value)
        if k in self.values:
            return self.values[k] if self._is_variable(k) else self.indexed(self.values[k], at, step.shape)
        if self.loops.is_renaming(k):
            return self._renamed(scope, k, at)
        return parenthesised(self._formula(scope, k, dict(zip(step.output, at, strict=True))))

    def _renamed(self, scope: Scope, k: int, at: At) -> str:
        step = self.steps[k]
        match step.action:
            case Part(axis, start, pace):
                moved = self._plus(stepped(at[axis], pace) if len(at) == len(step.subscripts[0]) else "", start)
                rest = at[axis + 1 :] if len(at) == len(step.subscripts[0]) else at[axis:]
                return self.read(scope, step.operands[0], (*at[:axis], moved, *rest))
            case Pad(axis, start, pace):
                if pace != 1:
                    return self._spread(scope, step, at, step.action)
                return self._padded(scope, step, at, axis, start)
            case Reshape():
                return self.read(scope, step.operands[0], self._reshaped(step, at))
            case Contract():
                return self._viewed(scope, step, at)
        return self.read(scope, k, at)  # an argument, a size or a number

    def _plus(self, index: str, start: Size) -> str:
        return " + ".join(text for text in (index, "" if start == 0 and index else self.size(start)) if text)

    def _padded(self, scope: Scope, step: Instruction, at: At, axis: int, start: Size) -> str:
        length = self.size(self.steps[step.operands[0]].shape[axis])
        index = at[axis] if start == 0 else f"{at[axis]} - {self.size(start)}"
        inside = Scope(scope.depth, [])
        text = self.read(inside, step.operands[0], (*at[:axis], index, *at[axis + 1 :]))
        scope.lines += inside.lines
        return self.choice(
            self.both(f"{at[axis]} >= {self.size(start)}", f"{at[axis]} < {self.size(start)} + {length}"),
            text,
            self.number(0),
        )

    def _spread(self, scope: Scope, step: Instruction, at: At, pad: Pad) -> str:
        """What stands between the places that are filled is 0."""
        axis, pace = pad.axis, abs(pad.step)
        count = self.size(self.steps[step.operands[0]].shape[axis])
        ends = (at[axis], self.size(pad.start))
        way = f"({ends[pad.step < 0]} - ({ends[pad.step > 0]}))"
        index, rest = self.quotient(way, str(pace))
        inside = Scope(scope.depth, [])
        text = self.read(inside, step.operands[0], (*at[:axis], index, *at[axis + 1 :]))
        scope.lines += inside.lines
        within = self.both(f"{way} >= 0", f"{way} < {pace} * {count}")
        return self.choice(self.both(within, f"{rest} == 0"), text, self.number(0))

    @abstractmethod
    def both(self, a: str, b: str) -> str:
        """Write that both conditions hold."""

    @abstractmethod
    def quotient(self, a: str, b: str) -> tuple[str, str]:
        """Write the whole quotient and the remainder of two indices."""

    def _reshaped(self, step: Instruction, at: At) -> At:
        """Two axes as one or one as two, row by row."""
        before, after = self.steps[step.operands[0]].shape, step.shape
        axis = next((k for k, (m, n) in enumerate(zip(before, after, strict=False)) if m != n), 0)
        if len(before) < len(after):
            merged = f"({at[axis]} * {self.size(after[axis + 1])} + {at[axis + 1]})"
            return (*at[:axis], merged, *at[axis + 2 :])
        return (*at[:axis], *self.quotient(at[axis], self.size(before[axis + 1])), *at[axis + 1 :])

    def _viewed(self, scope: Scope, step: Instruction, at: At) -> str:
        """A transpose, an expansion, a diagonal that is read, or one that is written: zero where its indices differ."""
        first: dict[int, str] = {}
        differ = []
        for i, text in zip(step.output, at, strict=True):
            if first.setdefault(i, text) != text:
                differ.append(f"{first[i]} == {text}")
        text = self.read(scope, step.operands[0], tuple(first[i] for i in step.subscripts[0]))
        for condition in differ:
            text = self.choice(condition, text, self.number(0))
        return text

    def _formula(self, scope: Scope, k: int, variables: dict[int, str]) -> str:
        step = self.steps[k]
        if isinstance(step.action, Map) and step.action.op.code.entry:
            return self._entry(scope, step, variables)
        texts = [
            self.read(scope, operand, tuple(variables[i] for i in sub))
            for operand, sub in zip(step.operands, step.subscripts, strict=True)
        ]
        match step.action:
            case Contract():
                return " * ".join(texts)
            case Divide(is_length):
                below = self._bound(scope, texts[1]) if is_length else texts[1]
                wanted = self.choice(f"{below} != 0", below, self.line("np.inf", {})) if is_length else below
                return f"{texts[0]} / {wanted}"
            case Combine(coefficients):
                return self._combination(coefficients, texts)
        return self._operation(scope, step, texts)

    def _combination(self, coefficients: Sequence[Scalar], texts: Sequence[str]) -> str:
        return combination(coefficients, texts, [None] * len(texts))

    def _operation(self, scope: Scope, step: Instruction, texts: Sequence[str]) -> str:
        assert isinstance(step.action, Map)
        op = step.action.op
        known = {}
        for p, operand in zip(op.parameters, step.operands, strict=True):
            action = self.steps[operand].action
            if isinstance(action, Constant):
                known[p] = action.value
        line = op.loop.written(known)
        if not line:
            raise lacking(op, self.language)
        pairs = [(p, t) for p, t in zip(op.parameters, texts, strict=True) if f"${p}" in line]
        return self.line(line, {p: self._bound(scope, t) for p, t in pairs})

    def _entry(self, scope: Scope, step: Instruction, variables: dict[int, str]) -> str:
        assert isinstance(step.action, Map)
        op = step.action.op
        named = {str(axis): variables[i] for axis, i in enumerate(step.output)}
        named |= {axis: self.size(n) for axis, n in zip(op.extents, step.shape, strict=True)}
        for p, operand in zip(op.parameters, step.operands, strict=True):
            named[p] = self._whole_number(operand)
        condition = re.sub(r"\$(\w+)", lambda found: named[found[1]], op.code.entry)
        return self.choice(condition, self.number(1), self.number(0))

    def _whole_number(self, k: int) -> str:
        """Write arithmetic on sizes that gives an index."""
        step = self.steps[k]
        match step.action:
            case Constant(value):
                return literal(value)
            case Length(size):
                return self.size(size)
        texts = [self._whole_number(operand) for operand in step.operands]
        if isinstance(step.action, Combine):
            return parenthesised(combination(step.action.coefficients, texts, [None] * len(texts)))
        return parenthesised(" * ".join(texts))

    def computed(self) -> list[int]:
        """Return the stored values in the order in which they are ready."""
        return all_nests(self.loops.body)


def lacking(op: Op, language: str) -> DomainError:
    """Return the error of an operation that a language cannot do."""
    return DomainError(f"{op.name} has no {language} code", expected="numpy, jax or torch")


def stepped(index: str, step: int) -> str:
    """Return the distance of an entry from the first one that is taken."""
    return index if step == 1 else f"{step} * ({index})"
