"""Loop nests that are products of matrices: one call that takes them by tiles, whose sums stay in registers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chainrule.compile.nest import Nest, Stride
from chainrule.compile.program import Contract

ROW = "i"  # the variable of the rows


def tiled(nest: Nest, wide: str | None, stride: Stride, taken: Sequence[int]) -> list[str]:
    """Return the call that does what the nest does; nothing if it is no product of a block of rows and a matrix.

    `wide` is the variable of the wide axis, and `stride` says how many steps at a time the other one takes.
    `taken` are the arguments of this width that lie in memory as rows: one is asked for the rows of the next block.
    """
    storage, k = nest.storage, nest.roots[0]
    step, labels = storage.program.instructions[k], nest.labels[k]
    variables = [v for v, _ in nest.loops]
    if len(nest.roots) > 1 or len(variables) != 3 or wide is None or not isinstance(step.action, Contract):
        return []
    (narrow,) = set(variables) - {ROW, wide}
    places: dict[Collection[str], str] = {}
    for operand, sub in zip(step.operands, step.subscripts, strict=True):
        at = tuple(labels[i] for i in sub)
        places[frozenset(at)] = storage.place(operand, at) or ""
    at = tuple(labels[i] for i in step.output)
    home = storage.total(k, at) if storage.is_row_sum(k) else storage.home(k, at)
    rows = _name(places.get(frozenset((ROW, wide))), ROW, wide)
    lanes = frozenset((ROW, narrow)), (narrow, ROW)
    matrix = frozenset((narrow, wide)), (narrow, wide)
    read, written = (lanes, matrix) if storage.is_row_sum(k) else (matrix, lanes)
    left, target = _name(places.get(read[0]), *read[1]), _name(home, *written[1])
    if len(step.operands) != 2 or not (rows and left and target):
        return []
    extent = dict(nest.loops)[narrow]
    whole = extent if stride.exact else f"{extent} // {stride.steps} * {stride.steps}"
    if storage.is_row_sum(k):
        own = [p for p in taken if rows == f"x{p}"] or taken
        ahead = f"r{own[0]}, hi" if own else f"{rows}, 0"
        return [f"sums_of_products({target}, {left}, {rows}, {ahead}, {stride.steps}, {whole}, size)"]
    return [f"products({target}, {left}, {rows}, {stride.steps}, {whole}, size, zero)"]


def _name(place: str | None, first: str, second: str) -> str:
    """Return the array of a place whose indices are these two, in this order; nothing for another place."""
    name, _, indices = (place or "").partition("[")
    return name if indices == f"{first}, {second}]" else ""
