"""One loop nest of a kernel: several values over the same indices, computed in one go.

A value that has the innermost index is written where it is computed. One that is summed over the innermost index is
summed in a variable; one that is summed over an outer index is added to memory, several steps of the outer loop at a
time, so that memory is touched once for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from string import Template
from typing import NamedTuple, Protocol

from chainrule.compile.program import Combine, Constant, Contract, Divide, Instruction, Length, Load, Map, Program
from chainrule.compile.writing import combination, literal
from chainrule.expression.op import Gather
from chainrule.expression.shape import Scalar

At = tuple[str, ...]  # the loop variable of each axis of a value


class Stride(NamedTuple):
    """How many steps a loop takes at a time; `exact` if that leaves no rest.

    With `in_step`, rows of this size are multiplied by a vector while those before them are added up.
    """

    steps: int
    exact: bool = False
    in_step: bool = False


class Storage(Protocol):
    """Where the values of a kernel are."""

    program: Program

    def place(self, k: int, at: At) -> str | None:
        """Return the text that reads the value from memory or a parameter, None if it has to be computed."""

    def home(self, k: int, at: At) -> str | None:
        """Return the text that writes the value of a row to memory, None if nobody else reads it."""

    def total(self, k: int, at: At) -> str:
        """Return the text of the sum over rows, which block after block is added to."""

    def is_row_sum(self, k: int) -> bool:
        """True if the value is a sum over rows."""

    def line(self, k: int) -> str:
        """Return the template of an operation on numbers."""


@dataclass(slots=True)
class Nest:
    """A loop nest over `loops` (variable, extent), the last one innermost; `roots` are the values it computes."""

    storage: Storage
    roots: tuple[int, ...]
    loops: tuple[tuple[str, str], ...]
    labels: Mapping[int, Mapping[int, str]]  # by root: the variable of each label
    unroll: tuple[Stride, ...] = ()  # of the outermost loops

    def lines(self) -> list[str]:
        """Return the lines of the nest, with what has to be set before it."""
        ways = [self._ways(loop, stride.steps) for loop, stride in zip(self.loops, self.unroll, strict=False)]
        whole = [way[0] for way in ways]
        lines = self._prepared() + self._loop(whole)
        for depth, (_, rest) in reversed(list(enumerate(ways))):
            if not self.unroll[depth].exact:  # what is never run need not be compiled
                lines += self._loop([*whole[:depth], rest])
        return lines

    @staticmethod
    def _ways(loop: tuple[str, str], u: int) -> tuple[_Steps, _Steps]:
        """A loop that takes `u` steps at a time, and one for the rest."""
        variable, extent = loop
        whole = _Steps(variable, f"{extent} // {u}", [f"{u} * {variable}" + (f" + {k}" if k else "") for k in range(u)])
        return whole, _Steps(variable, f"{extent} % {u}", [f"{variable} + {u} * ({extent} // {u})"])

    def _prepared(self) -> list[str]:
        lines = []
        for k in self.roots:
            held = self._held(k)
            if self.storage.is_row_sum(k):
                continue  # it goes on from block to block
            if self._step(k).is_reduced and not self._is_local(k, held):
                gather = self._gather(k)
                lines.append(f"{self._array(k, held)}[...] = {gather.first if gather else 'zero'}")
            elif self._step(k).is_reduced and not held:
                lines.append(f"{self._target(k, ())} = {self._start(k)}")
        return lines

    # --- what a root is
    def _step(self, k: int) -> Instruction:
        return self.storage.program.instructions[k]

    def _held(self, k: int) -> tuple[str, ...]:
        """The loop variables that the value of a root has, in the order of the loops."""
        mine = {self.labels[k][label] for label in self._step(k).output}
        return tuple(v for v, _ in self.loops if v in mine)

    def _is_local(self, k: int, held: tuple[str, ...]) -> bool:
        """True if the sum can be kept in a variable: it has no index that runs inside one that is summed."""
        return held == tuple(v for v, _ in self.loops[: len(held)])

    def _target(self, k: int, at: At) -> str:
        if self.storage.is_row_sum(k):
            return self.storage.total(k, at)
        home = self.storage.home(k, at)
        assert home is not None, "a sum within rows is read by another loop"
        return home

    def _array(self, k: int, held: tuple[str, ...]) -> str:
        return self._target(k, held).partition("[")[0]

    def _gather(self, k: int) -> Gather | None:
        action = self._step(k).action
        return action.op.loop.gather if isinstance(action, Map) else None

    def _start(self, k: int) -> str:
        gather = self._gather(k)
        return gather.start or gather.first if gather else "zero"

    def _finish(self, k: int, text: str) -> str:
        gather = self._gather(k)
        return Template(gather.finish).substitute(acc=text) if gather else text

    # --- the loop
    def _loop(self, steps: Sequence[_Steps]) -> list[str]:
        """Return the nest with its outermost loops in these steps."""
        body = _Body(self, len(self.loops))
        names: list[list[tuple[str, str]]] = []
        for depth, step in enumerate(steps, 1):
            names.append([(step.variable, f"{step.variable}{k}") for k in range(len(step.indices))])
            for (_, name), index in zip(names[-1], step.indices, strict=True):
                body.pre[depth].append(f"{name} = {index}")
                body.depths[name] = depth
        copies = [dict(pairs) for pairs in product(*names)]
        for k in self.roots:
            self._root(k, body, copies)
        extents = [(step.variable, step.extent) for step in steps]
        return body.text([*extents, *self.loops[len(steps) :]])

    def _root(self, k: int, body: _Body, copies: list[dict[str, str]]) -> None:
        """Compute a value, for sums together all copies of the body that add to the same place."""
        step = self._step(k)
        terms: dict[At, list[str]] = {}
        for renamed in copies:
            variables = {label: renamed.get(v, v) for label, v in self.labels[k].items()}
            at = tuple(variables[label] for label in step.output)
            if not step.is_reduced:
                body.store(k, at, self.storage.home(k, at))
                continue
            operands = [
                body.value(operand, tuple(variables[i] for i in sub))
                for operand, sub in zip(step.operands, step.subscripts, strict=True)
            ]
            terms.setdefault(at, []).append(" * ".join(operands))
        held = self._held(k)
        for at, parts in terms.items():
            if self._is_local(k, held):
                self._sum_in_variable(k, body, at, parts, len(held))
            else:
                self._sum_in_memory(k, body, self._target(k, at), parts)

    def _sum_in_memory(self, k: int, body: _Body, target: str, parts: list[str]) -> None:
        gather = self._gather(k)
        if gather is None:
            body.pre[-1].append(f"{target} += {_balanced(parts)}")
            return
        for part in parts:
            name = body.fresh("m")
            body.pre[-1].append(f"{name} = {target}")
            body.pre[-1].append(f"{target} = {Template(gather.pair).substitute(acc=name, z=part)}")

    def _sum_in_variable(self, k: int, body: _Body, at: At, parts: list[str], depth: int) -> None:
        acc = body.fresh("t") if depth else self._target(k, ())
        stored = "+=" if self.storage.is_row_sum(k) else "="
        gather = self._gather(k)
        for part in parts:
            update = Template(gather.update or gather.pair).substitute(acc=acc, z=part) if gather else f"{acc} + {part}"
            body.pre[-1].append(f"{acc} = {update}")
        if depth:
            body.pre[depth].append(f"{acc} = {self._start(k)}")
            body.post[depth].append(f"{self._target(k, at)} {stored} {self._finish(k, acc)}")


@dataclass(frozen=True, slots=True)
class _Steps:
    """A loop over `extent` steps, and the indices that one step takes care of."""

    variable: str
    extent: str
    indices: list[str]


def _balanced(terms: list[str]) -> str:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_balanced(terms[:half])} + {_balanced(terms[half:])})"


def _number(value: Scalar) -> str:
    return f"T({literal(value)})"


class _Body:
    """The lines of a nest by depth: depth 0 before all loops, depth 1 inside the outermost, and so on."""

    def __init__(self, nest: Nest, depth: int) -> None:
        self.nest = nest
        self.pre: list[list[str]] = [[] for _ in range(depth + 1)]
        self.post: list[list[str]] = [[] for _ in range(depth + 1)]
        self.known: dict[tuple[int, At], tuple[str, int]] = {}
        self.count = 0
        self.depths = {v: d for d, (v, _) in enumerate(nest.loops, 1)}

    def fresh(self, stem: str) -> str:
        """Return a name that no line has yet."""
        self.count += 1
        return f"{stem}{self.count}"

    def depth_of(self, at: At) -> int:
        """How deep inside the nest these variables are known; a copy of the outermost one counts as it."""
        return max((self.depths.get(v, 1) for v in at), default=0)

    def store(self, k: int, at: At, home: str | None) -> None:
        """Compute a value of a row and write it where others read it."""
        text = self.value(k, at)
        if home is not None:
            self.pre[self.depth_of(at)].append(f"{home} = {text}")

    def value(self, k: int, at: At) -> str:
        """Return the name of the value at these variables; its lines are as far outside as they can be."""
        found = self.known.get((k, at))
        if found is None:
            found = self.known[k, at] = self._made(k, at)
        return found[0]

    def _made(self, k: int, at: At) -> tuple[str, int]:
        step = self.nest.storage.program.instructions[k]
        if isinstance(step.action, Constant):
            return _number(step.action.value), 0
        place = None if k in self.nest.roots else self.nest.storage.place(k, at)
        if place is not None and "[" not in place:
            return place, 0
        variables = dict(zip(step.output, at, strict=True))
        operands = [
            (operand, tuple(variables[i] for i in sub))
            for operand, sub in zip(step.operands, step.subscripts, strict=True)
            if place is None
        ]
        texts = [self.value(operand, where) for operand, where in operands]
        depth = max([self.known[pair][1] for pair in operands] if place is None else [self.depth_of(at)], default=0)
        if place is None and isinstance(step.action, Contract) and len(texts) == 1:
            return texts[0], depth
        name = self.fresh("u")
        self.pre[depth].append(f"{name} = {place or self._computed(k, step, texts)}")
        return name, depth

    def _computed(self, k: int, step: Instruction, texts: Sequence[str]) -> str:
        match step.action:
            case Contract():
                return " * ".join(texts)
            case Divide(is_length):
                plain = f"{texts[0]} / {texts[1]}"
                return f"{plain} if {texts[1]} != zero else zero" if is_length else plain
            case Combine(coefficients):
                return combination(coefficients, texts, number=_number)
            case Map(op):
                return Template(self.nest.storage.line(k)).substitute(dict(zip(op.parameters, texts, strict=True)))
            case Length(size):
                raise AssertionError(f"the size {size} is a parameter")
            case Load():
                raise AssertionError("an argument is a parameter")
        raise AssertionError(f"{type(step.action).__name__} is not for kernels")

    def text(self, loops: Sequence[tuple[str, str]]) -> list[str]:
        """Return the lines, indented."""
        lines = list(self.pre[0])
        for depth, (variable, extent) in enumerate(loops):
            lines.append("    " * depth + f"for {variable} in range({extent}):")
            lines += ["    " * (depth + 1) + line for line in self.pre[depth + 1]]
        for depth in range(len(loops), 0, -1):
            lines += ["    " * depth + line for line in self.post[depth]]
        return lines
