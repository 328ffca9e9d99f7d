"""A product of rows with a vector, and a sum over these rows, in step: the sum is one block of rows behind.

What a row is weighted by is known once all of it has been multiplied. If a block's sum waits for that, memory waits for
the sum. So the sum over the block before goes along with the product of this block, and the next one is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chainrule.compile.nest import Nest
from chainrule.compile.program import Contract

ROW = "i"  # the variable of the rows
MANY = 64  # blocks of a stretch: memory waits after the last one


@dataclass(frozen=True, slots=True)
class InStep:
    """The two values, and the arrays of their calls: sums, weights, products, the vector, and the rows."""

    values: tuple[int, int]
    arrays: tuple[str, ...]

    def before(self) -> str:
        """Return what stands before all else that is done to a block."""
        return f"in_step({', '.join(self.arrays)}, lo, min(lo - start, block), size)"

    def after(self) -> str:
        """Return what stands behind it: the sum over the last block of a stretch."""
        return f"in_step({', '.join(self.arrays)}, hi, size * (hi == min(end, start + {MANY} * block)), 0)"


@dataclass(frozen=True, slots=True)
class _Product:
    value: int
    target: str
    factor: str
    rows: str


def in_step(nests: Iterable[Nest], taken: Collection[int]) -> InStep | None:
    """Return the product and the sum of these nests, if there is one of each, over the same matrix, and no other.

    `taken` are the matrices that lie in memory as rows.
    """
    found = [_product(nest) for nest in nests if nest.loops[-1][0] != ROW]
    if len(found) != 2 or None in found:
        return None
    first, last = (product for product in found if product)
    names = {f"x{p}": f"r{p}" for p in taken}
    is_pair = first.target[0] in "so" and first.factor[0] == "f" and last.target[0] == "g" and last.factor[0] == "s"
    if not is_pair or first.rows != last.rows or first.rows not in names:
        return None
    arrays = (last.target, last.factor, first.target, first.factor, names[first.rows])
    return InStep((first.value, last.value), arrays)


def _product(nest: Nest) -> _Product | None:
    """Return what a nest computes, if it is one product of a matrix and a vector over its two loops."""
    storage, k = nest.storage, nest.roots[0]
    step, labels = storage.program.instructions[k], nest.labels[k]
    is_product = isinstance(step.action, Contract) and len(step.operands) == 2
    if len(nest.roots) > 1 or len(nest.loops) != 2 or not is_product:
        return None
    wide = nest.loops[-1][0]
    places: dict[str, str] = {}
    for operand, sub in zip(step.operands, step.subscripts, strict=True):
        at = tuple(labels[i] for i in sub)
        name, _, index = (storage.place(operand, at) or "").partition("[")
        places[index] = name
    at = tuple(labels[i] for i in step.output)
    target = (storage.total(k, at) if storage.is_row_sum(k) else storage.home(k, at) or "").partition("[")[0]
    factor = places.get(f"{ROW if storage.is_row_sum(k) else wide}]")
    rows = places.get(f"{ROW}, {wide}]")
    return _Product(k, target, factor, rows) if target and factor and rows else None
