"""Loop nests that are products of matrices: one call that takes them by tiles, whose sums stay in registers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chainrule.compile.nest import Nest, Stride
from chainrule.compile.program import Contract

ROW = "i"  # the variable of the rows


def tiled(nest: Nest, k: int, wide: str | None, stride: Stride, taken: Sequence[int]) -> str:
    """Return the call that does what the nest does for a root; nothing if that is no product of rows and a matrix.

    `wide` is the variable of the wide axis, and `stride` says how many steps at a time the other one takes.
    `taken` are the arguments of this width that lie in memory as rows: one is asked for the rows of the next block.
    """
    storage, labels = nest.storage, nest.labels[k]
    step, variables = storage.program.instructions[k], [v for v, _ in nest.loops]
    if len(variables) != 3 or wide is None or not isinstance(step.action, Contract):
        return ""
    (narrow,) = set(variables) - {ROW, wide}
    places: dict[Collection[str], str] = {}
    for operand, sub in zip(step.operands, step.subscripts, strict=True):
        at = tuple(labels[i] for i in sub)
        places[frozenset(at)] = storage.place(operand, at) or ""
    at = tuple(labels[i] for i in step.output)
    home = storage.total(k, at) if storage.is_row_sum(k) else storage.home(k, at)
    rows = _name(places.get(frozenset((ROW, wide))), ROW, wide)
    if storage.is_row_sum(k):
        left, target = _lanes(places.get(frozenset((ROW, narrow))), narrow), _name(home, narrow, wide)
    else:
        left, target = _name(places.get(frozenset((narrow, wide))), narrow, wide), _lanes(home, narrow)
    if len(step.operands) != 2 or not (rows and left and target):
        return ""
    extent = dict(nest.loops)[narrow]
    whole = extent if stride.exact else f"{extent} // {stride.steps} * {stride.steps}"
    if storage.is_row_sum(k):
        own = [p for p in taken if rows == f"x{p}"] or taken
        ahead = f"r{own[0]}, hi" if own else f"{rows}, 0"
        return f"sums_of_products({target}, {left}, {rows}, {ahead}, {stride.steps}, {whole}, size)"
    return f"products({target}, {left}, {rows}, {stride.steps}, {whole}, size)"


def _lanes(place: str | None, narrow: str) -> str:
    """Return the array of a place that has a row in each column: as it is, or turned, as results lie."""
    turned = _name(place, ROW, narrow)
    return f"{turned}.T" if turned else _name(place, narrow, ROW)


def _name(place: str | None, first: str, second: str) -> str:
    """Return the array of a place whose indices are these two, in this order; nothing for another place."""
    name, _, indices = (place or "").partition("[")
    return name if indices == f"{first}, {second}]" else ""
