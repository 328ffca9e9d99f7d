"""Loops as text, in C and in Python for numba: what is the same in both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from chainrule.compile.loop_language import At, LoopLanguage, Scope, lacking
from chainrule.compile.loops import Loop, Loops, Nest, read_entries
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
    Put,
    Reshape,
    Take,
)
from chainrule.compile.writing import Names, combination, literal, parenthesised, unwrapped
from chainrule.expression.node import Subscripts
from chainrule.expression.shape import Scalar, Size

VARIABLES = "ijklmnopqrstu"


class LoopCode(LoopLanguage):
    """Writes one program as a function with loops. `results` are the outputs by instruction, as the code calls them."""

    def __init__(self, program: Program, names: Names) -> None:
        self.program, self.names = program, names
        self.loops = Loops(program)
        self.steps = program.instructions
        self.fresh = 0
        kept = sorted(k for k in self.loops.stored if not self.steps[k].is_check)
        self.values = {k: f"v{n}" for n, k in enumerate(kept)}
        self.positions = program.positions

    # --- values
    def size(self, size: Size) -> str:
        """Write a size."""
        return self.names.size(size)

    def body(self) -> list[str]:
        """Return the lines that compute all stored values, checks first."""
        scope = Scope(0, [])
        for item in (*self.loops.checks, *self.loops.body):
            self._fill(scope, item)
            self._item(scope, item, {}, 0)
        return scope.lines

    def _fill(self, scope: Scope, item: Loop | Nest) -> None:
        """Make the memory that a top-level loop writes to, with the first values of what it adds to."""
        nests = item.nests if isinstance(item, Loop) else [item]
        for nest in nests:
            if self.steps[nest.step].is_check:
                continue
            step, name = self.steps[nest.step], self.values[nest.step]
            if step.shape and nest.step not in self.loops.local:
                self.made(scope, nest.step, name)
            is_added = self.loops.is_reduced(nest.step) and (nest.local is None or (nest.local == 0 and nest.order))
            if is_added or self.loops.is_spread(nest.step):
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
            self._compute(scope, item)
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
        variables = _variables(nest)
        return tuple(variables[i] for i in self.loops.axes(nest.step))

    def _store(self, scope: Scope, k: int, at: At, text: str) -> None:
        step, name = self.steps[k], self.values[k]
        if not self._is_variable(k):
            self.assigned(scope, self.indexed(name, at, step.shape), text)
        elif text != name:
            self.variable(scope, name, text)

    def _compute(self, scope: Scope, nest: Nest) -> None:
        k, step, variables = nest.step, self.steps[nest.step], _variables(nest)
        if self.loops.is_whole(k):
            self._apply(scope, k)
        elif step.is_check:
            self._check(scope, step, variables)
        elif self.loops.is_reduced(k):
            self._gather(scope, nest, variables)
        else:
            at = self._at(nest)
            text = self._renamed(scope, k, at) if self.loops.is_renaming(k) else self._formula(scope, k, variables)
            self._store(scope, k, at, text)

    def _gather(self, scope: Scope, nest: Nest, variables: Mapping[int, str]) -> None:
        """Take up one entry of many."""
        k, step = nest.step, self.steps[nest.step]
        if not step.shape:
            target = self.values[k]
        elif nest.local is not None:
            target = self._held(k)
        else:
            target = self.indexed(self.values[k], self._target(scope, step, variables), step.shape)
        texts = self._entries(scope, step, variables)
        if isinstance(step.action, Map):
            assert step.action.op.loop.gather is not None
            text = self.line(step.action.op.loop.gather.pair, {"acc": target, "z": self._bound(scope, texts[0])})
            self.assigned(scope, target, text)
        else:
            put = isinstance(step.action, Put)
            text = unwrapped(texts[0]) if put else " * ".join(parenthesised(t) for t in texts)
            self.assigned(scope, target, text, "+=")

    def _target(self, scope: Scope, step: Instruction, variables: Mapping[int, str]) -> At:
        """Return where an entry is added: on one axis at a position."""
        if not isinstance(step.action, Put):
            return tuple(variables[i] for i in step.output)
        place = self.read(scope, step.operands[1], _at_subscripts(variables, step.subscripts[1]))
        return tuple(place if axis == step.action.axis else variables[i] for axis, i in enumerate(step.output))

    def _check(self, scope: Scope, step: Instruction, variables: Mapping[int, str]) -> None:
        (text, *_), size = self._entries(scope, step, variables), self._whole_number(step.operands[1])
        condition = self.both(f"{text} >= 0", f"{text} < {size}")
        if not self._is_integer(step.operands[0]):
            condition = self.both(condition, f"{text} == {self.as_place(text)}")
        self.refused(scope, condition, text, size)

    def _is_integer(self, k: int) -> bool:
        """True for entries of an argument that holds positions only."""
        step = self.steps[k]
        if isinstance(step.action, Load):
            return step.action.position in self.positions
        return (step.is_view or isinstance(step.action, Take)) and self._is_integer(step.operands[0])

    def _entries(self, scope: Scope, step: Instruction, variables: Mapping[int, str]) -> list[str]:
        """Write the entries that a step reads."""
        return [self.read(scope, k, _at_subscripts(variables, sub)) for k, sub in read_entries(step)]

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
        if step.is_check:
            (text,) = self._entries(scope, step, dict(zip(step.output, at, strict=True)))
            return text if self._is_integer(step.operands[0]) else self.as_place(text)
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
            case Contract() | Take():
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

    def _reshaped(self, step: Instruction, at: At) -> At:
        """Two axes as one or one as two, row by row."""
        before, after = self.steps[step.operands[0]].shape, step.shape
        axis = next((k for k, (m, n) in enumerate(zip(before, after, strict=False)) if m != n), 0)
        if len(before) < len(after):
            merged = f"({parenthesised(at[axis])} * {self.size(after[axis + 1])} + {at[axis + 1]})"
            return (*at[:axis], merged, *at[axis + 2 :])
        return (*at[:axis], *self.quotient(at[axis], self.size(before[axis + 1])), *at[axis + 1 :])

    def _viewed(self, scope: Scope, step: Instruction, at: At) -> str:
        """A transpose, an expansion, a diagonal that is read, or one that is written: zero where its indices differ.

        Or what stands at positions on an axis.
        """
        first: dict[int, str] = {}
        differ = []
        for i, text in zip(step.output, at, strict=True):
            if first.setdefault(i, text) != text:
                differ.append(f"{first[i]} == {text}")
        if isinstance(step.action, Take):
            label = step.subscripts[0][step.action.axis]
            first[label] = self.read(scope, step.operands[1], _at_subscripts(first, step.subscripts[1]))
        text = self.read(scope, step.operands[0], _at_subscripts(first, step.subscripts[0]))
        for condition in differ:
            text = self.choice(condition, text, self.number(0))
        return text

    def _formula(self, scope: Scope, k: int, variables: Mapping[int, str]) -> str:
        step = self.steps[k]
        if isinstance(step.action, Map) and step.action.op.code.entry:
            return self._entry(scope, step, variables)
        texts = self._entries(scope, step, variables)
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
        return combination(coefficients, texts)

    def _operation(self, scope: Scope, step: Instruction, texts: Sequence[str]) -> str:
        assert isinstance(step.action, Map)
        op = step.action.op
        line = op.loop.written(self.program.known(step))
        if not line:
            raise lacking(op, self.language)
        pairs = [(p, t) for p, t in zip(op.parameters, texts, strict=True) if f"${p}" in line]
        return self.line(line, {p: self._bound(scope, t) for p, t in pairs})

    def _entry(self, scope: Scope, step: Instruction, variables: Mapping[int, str]) -> str:
        assert isinstance(step.action, Map)
        op = step.action.op
        named = {str(axis): variables[i] for axis, i in enumerate(step.output)}
        named |= {axis: self.size(n) for axis, n in zip(reversed(op.extents), reversed(step.shape), strict=False)}
        named["last"] = variables[step.output[-1]]
        entries = self._entries(scope, step, variables)
        numbers = [self._whole_number(operand) for operand in step.operands[len(entries) :]]
        named |= dict(zip(op.parameters, [*entries, *numbers], strict=True))
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
            return parenthesised(combination(step.action.coefficients, texts))
        return parenthesised(" * ".join(texts))


def _variables(nest: Nest) -> dict[int, str]:
    return {i: VARIABLES[depth] for depth, i in enumerate(nest.order)}


def _at_subscripts(texts: Mapping[int, str], sub: Subscripts) -> At:
    return tuple(texts[i] for i in sub)


def stepped(index: str, step: int) -> str:
    """Return the distance of an entry from the first one that is taken."""
    return index if step == 1 else f"{step} * ({index})"
