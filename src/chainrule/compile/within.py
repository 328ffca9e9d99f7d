"""Rows within rows: a pass over an axis whose rows are matrices becomes passes over the rows of each, one for each.

A softmax along the last of three axes, a layer normalised in batches, attention in heads: what is done for one entry of
the first axis is a program of its own, and one pass over its rows may be all of it. Then a kernel goes over them, the
first axis around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chainrule.compile.axes import Apart, told_apart
from chainrule.compile.factors import factors_first
from chainrule.compile.program import BY_SUBSCRIPTS, Instruction, Load, Program
from chainrule.compile.rows import Pass, one_pass
from chainrule.compile.signs import signs_last
from chainrule.expression.node import Symbol


@dataclass(frozen=True, slots=True)
class Within:
    """A pass over the rows within one row of another pass.

    `sources` says, by argument of `task`, which argument of the outer pass that is, and `order`, by output of the outer
    pass, which output of `task`. `names` says what the sizes of `task` are called outside; `size` is that of its rows.
    """

    outer: Pass
    task: Pass
    size: str
    sources: tuple[int, ...]
    order: tuple[int, ...]
    names: Mapping[str, str]

    @property
    def has_outer(self) -> tuple[bool, ...]:
        """By argument of `task`: whether it is another one for each outer row."""
        return tuple(self.outer.axes[source] is not None for source in self.sources)

    @property
    def is_kept(self) -> tuple[bool, ...]:
        """By output of `task`: whether it is another one for each outer row, or a sum over these."""
        kept = dict(zip(self.order, self.outer.results, strict=True))
        return tuple(kept[k] is not None for k in range(len(self.order)))


def within(outer: Pass) -> Within | None:
    """Return the pass within each row, or None if one row has no independent rows, or takes more than one pass."""
    row = _one_row(outer)
    if row is None:
        return None
    row = factors_first(signs_last(row))
    whole = Apart(row, tuple(range(len(row.arguments))))
    for apart in (whole, *told_apart(row, products=True)):
        found = one_pass(apart.program)
        if found is not None:
            return _joined(outer, row, apart, *found)
    return None


def _joined(outer: Pass, row: Program, apart: Apart, size: str, task: Pass) -> Within | None:
    """Return both passes, or None if there are sums over the outer rows alone: the kernel has no place for them."""
    loads = [apart.program.instructions[k].action for k in task.takes]
    positions = [action.position for action in loads if isinstance(action, Load)]
    outputs = apart.program.outputs
    if len(positions) < len(loads) or sorted(outputs) != sorted(task.gives):
        return None
    order = tuple(task.gives.index(k) for k in outputs)
    if any(axis is None and task.results[k] is not None for axis, k in zip(outer.results, order, strict=True)):
        return None
    sources = tuple(apart.sources[position] for position in positions)
    pairs = [(apart.program.arguments[p], row.arguments[apart.sources[p]]) for p in positions]
    names = {new: old for own, there in pairs for new, old in zip(own.shape, there.shape, strict=True)}
    plain = {str(new): str(old) for new, old in names.items() if isinstance(new, str)}
    return Within(outer, task, size, sources, order, plain)


def _one_row(outer: Pass) -> Program | None:
    """Return the program of one row, or None if rows are no matrices."""
    program, size = outer.program, outer.size
    if max((len(symbol.shape) for symbol in program.arguments), default=0) < 3:
        return None
    if not all(isinstance(step.action, BY_SUBSCRIPTS) for step in program.instructions):
        return None
    arguments = [Symbol(s.name, tuple(n for n in s.shape if n != size)) for s in program.arguments]
    steps = tuple(_without(step, program, size) for step in program.instructions)
    return replace(program, arguments=tuple(arguments), instructions=steps)


def _without(step: Instruction, program: Program, size: str) -> Instruction:
    """Return the step without its index of this size: rows are independent, so that it has one at most."""
    gone = {i for i, n in program.index_sizes(step).items() if n == size}

    def kept(sub: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(i for i in sub if i not in gone)

    shape = tuple(n for n in step.shape if n != size)
    return replace(step, subscripts=tuple(map(kept, step.subscripts)), output=kept(step.output), shape=shape)
