"""What a program asks of sizes: what a slice takes has to be there, and so has the largest entry of an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from chainrule.compile.arguments import extent_words
from chainrule.compile.nonempty import reduced_axes
from chainrule.compile.program import Instruction, Pad, Part, Program
from chainrule.errors import ShapeError
from chainrule.expression.extent import extent_of, is_derived, minus, names_of, plus, spelled, terms_of, times
from chainrule.expression.shape import Size


class Demand(NamedTuple):
    """A size has to be at least as large as another one, and what is wrong if it is not."""

    size: Size
    least: Size
    words: str


def demands_of(program: Program) -> list[Demand]:
    """Return what slices and places ask for, each once; what is so for every array is left out."""
    needed = dict.fromkeys(size for step in program.instructions for size in _not_negative(program, step))
    return [Demand(*_sides(n), "an axis is too short for a slice or a place") for n in needed if _may_be_negative(n)]


def all_demands(program: Program) -> list[Demand]:
    """Return also what operations on a whole axis ask for that have no value if it has no entries."""
    axes = dict.fromkeys((op, n) for op, n in reduced_axes(program) if op.loop.gather and not op.loop.gather.of_none)
    whole = [Demand(n, 1, f"{op.name} is not defined for an axis without entries") for op, n in axes]
    return [*demands_of(program), *(demand for demand in whole if not isinstance(demand.size, int) or demand.size < 1)]


def check_demands(demands: Sequence[Demand], program: Program, arguments: Sequence[Any]) -> None:
    """Check them for these arguments, and the sizes that are given after them. Raises: ShapeError."""
    sizes = program.extents(arguments) if demands else {}
    for size, least, words in demands:
        if extent_of(size, sizes) < extent_of(least, sizes):
            shown = dict.fromkeys([*names_of(size), *names_of(least)])
            found = ", ".join(_shown(program, n, sizes[n]) for n in shown)
            raise ShapeError(words, expected=f"{size} of at least {least}", found=found)


def _may_be_negative(size: Size) -> bool:
    return size < 0 if isinstance(size, int) else is_derived(size) and any(c < 0 for _, c in terms_of(size))


def _sides(size: Size) -> tuple[Size, Size]:
    """Return what has to be at least what: n and 3 for n-3."""
    terms = terms_of(size)
    return spelled(t for t in terms if t[1] > 0), spelled((names, -c) for names, c in terms if c < 0)


def _shown(program: Program, name: str, count: int) -> str:
    """Say which argument shows a size, and how long it is: "x has 2 entries (n)"."""
    place = program.place_of(name)
    if place is None:
        return f"{name} = {count}"
    symbol = program.arguments[place[0]]
    return f"{symbol.name} has {extent_words(count, symbol.ndim, place[1])} ({name})"


def _not_negative(program: Program, step: Instruction) -> list[Size]:
    """Return the sizes that must not be negative for an instruction to find what it reads."""
    if not isinstance(step.action, Part | Pad):
        return list(step.shape)
    axis, start, pace = step.action.axis, step.action.start, step.action.step
    operand = program.instructions[step.operands[0]].shape
    long, short = (operand, step.shape) if isinstance(step.action, Part) else (step.shape, operand)
    length = short[axis] if len(short) == len(long) else 1
    last = plus(start, times(pace, minus(length, 1)))
    low, high = (start, last) if pace > 0 else (last, start)
    return [*step.shape, low, minus(minus(long[axis], 1), high)]
