"""What large arrays are computed with: work entry by entry in blocks that stay in cache, a matrix times itself.

Small arrays take the line of NumPy that `source(...)` prints, see `primitives.LARGE`. Blocks are the same for any
number of threads, and so are results.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np

from chainrule.compile.reuse import Reused
from chainrule.compile.threads import shared_out

BLOCK = 1 << 16  # entries of one block: a few of them fit into a core's cache
WHOLE = 1 << 20  # entries of one block of a single operation, which makes nothing that the cache should hold
PARTS = 8  # blocks that work is cut into at least, so that threads which begin late find some
LINE = 8  # rows of a block at least, and its multiples: as many columns' entries come from memory together
TILE = 256  # rows and columns of a block, where the rows of an operand that lies across compete for the same cache
ALIAS = 4096  # bytes: rows that lie a multiple of this apart do
GRAM_ROWS = 1024  # rows scaled at a time, at least twice as many as columns: each block costs one more sum of results
GRAM_SMALL = 1 << 15  # entries: below, one line is faster than blocks

Axes = tuple[int, ...]
Tile = tuple[slice, slice, slice]  # of the first axis, of the last, and of those between: all of them


# --- entry by entry
class Blocks:
    """The function `in_blocks` of one program, which uses the memory of its large results again, see `reuse.py`.

    `outer(result, axes, operands)` may write the product of two operands, and returns whether it has.
    """

    def __init__(self, outer: Callable[[np.ndarray, Sequence[Axes], Sequence[Any]], bool] | None = None) -> None:
        self._rooms: defaultdict[str, Reused] = defaultdict(Reused)
        self._outer = outer

    def __call__(
        self,
        function: Callable[..., Any],
        shape: tuple[int, ...],
        axes: Sequence[Axes],
        reuse: int,
        form: str,
        is_result: bool,
        *operands: Any,
    ) -> np.ndarray:
        """Return `function(*operands)`, whose entries depend on the operands' entries at the same indices only.

        With `out=` the function may write its result there. Shapes: `axes[k]` are the axes of the result that operand k
        has. `reuse` is the position of an operand that nobody needs afterwards and that may hold the result, or -1.
        `form`: what the function is, see `program.Entries`. `is_result`: the program returns this.
        """
        if 0 in shape:
            return np.asarray(function(*operands))
        tiles = _tiles(shape, _lies_across(operands, axes, len(shape)), BLOCK if form == "several" else WHOLE)
        place_of = _index(tuple(range(len(shape))), len(shape))
        cuts = [(operand, _index(own, len(shape))) for operand, own in zip(operands, axes, strict=True)]

        def at(tile: Tile, out: np.ndarray | None = None) -> Any:
            return function(*[operand if index is None else operand[index(tile)] for operand, index in cuts], out=out)

        dtype = at((slice(0), slice(None), slice(None))).dtype
        held = operands[reuse] if reuse >= 0 else None
        if held is None or held.dtype != dtype or held.shape != shape:
            held = self._rooms[function.__name__].empty(shape, dtype) if is_result else np.empty(shape, dtype)
        out: np.ndarray = held
        if form == "product" and is_result and self._outer is not None and self._outer(out, axes, operands):
            return out

        def work(tile: Tile) -> None:
            place = out[place_of(tile)] if place_of else out
            found = at(tile, place)
            if found is not place:
                place[...] = found

        shared_out(work, tiles)
        return out


def _tiles(shape: tuple[int, ...], across: Sequence[np.ndarray], largest: int) -> list[Tile]:
    """Cut the first axis; the last one too where an operand that lies across has unlucky rows."""
    within = prod(shape[1:])
    entries = min(largest, max(BLOCK, shape[0] * within // PARTS))
    rows, columns = max(1, entries // (within * LINE)) * LINE if across else max(1, entries // within), shape[-1]
    if any(max(map(abs, operand.strides)) % ALIAS == 0 for operand in across):
        rows = columns = TILE
    firsts = [slice(i, i + rows) for i in range(0, shape[0], rows)]
    lasts = [slice(j, j + columns) for j in range(0, shape[-1], columns)] if len(shape) > 1 else [slice(None)]
    return [(first, last, slice(None)) for first in firsts for last in lasts]


def _index(axes: Axes, ndim: int) -> Callable[[Tile], Any] | None:
    """Return what makes a tile the index of an array with these axes; None for a number."""
    return itemgetter(*(0 if a == 0 else 1 if a == ndim - 1 else 2 for a in axes)) if axes else None


def _lies_across(operands: Sequence[Any], axes: Sequence[Axes], ndim: int) -> list[np.ndarray]:
    """Return the operands of the first and the last axis of the result that are nearer in memory along the first."""
    if ndim != 2:
        return []
    both = [(operand, own) for operand, own in zip(operands, axes, strict=True) if len(own) == 2]
    return [o for o, own in both if abs(o.strides[own.index(0)]) < abs(o.strides[own.index(1)])]


# --- a matrix with itself
def gram(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return Σᵢ wᵢ xᵢ ⊗ xᵢ over the first axis, half of it computed: BLAS multiplies BᵀB in half the operations.

    Where the weights have one sign, B = √|w| ⊙ x; otherwise the rows of each sign are taken by themselves. Rows are
    scaled block by block, so that no second copy of x is made. NaN and infinite weights take the plain product.
    Shapes: x (n, …), weights (n) -> (…, …).
    """
    free = x.shape[1:]
    rows = x if x.ndim == 2 else as_matrix(x)
    if weights is None:
        result = rows.T @ rows
    elif rows.size < GRAM_SMALL:
        result = (rows * weights[:, None]).T @ rows
    else:
        result = _weighted(rows, weights)
    return np.asarray(result if x.ndim == 2 else result.reshape(free + free))


def as_matrix(x: np.ndarray) -> np.ndarray:
    """Return x with all but the first axis as one: no copy if the first lies in front of the others or behind them."""
    count = len(x)
    turned: np.ndarray = x if x.flags.c_contiguous else np.moveaxis(x, 0, -1)
    size = prod(x.shape[1:])
    flat = turned.reshape(count, size) if x.flags.c_contiguous else turned.reshape(size, count).T
    return np.asarray(flat)


def _weighted(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    low, high = weights.min(initial=0), weights.max(initial=0)
    if not (np.isfinite(low) and np.isfinite(high)):
        result: np.ndarray = (rows * weights[:, None]).T @ rows
        return result
    if low >= 0 or high <= 0:
        total = _scaled_blocks(rows, np.sqrt(np.abs(weights)))
        if low < 0:
            np.negative(total, out=total)
        return total
    above = np.flatnonzero(weights > 0), np.flatnonzero(~(weights > 0))
    positive, negative = (_scaled_blocks(rows, np.sqrt(np.abs(weights)), chosen) for chosen in above)
    np.subtract(positive, negative, out=positive)
    return positive


def _scaled_blocks(rows: np.ndarray, scale: np.ndarray, chosen: np.ndarray | None = None) -> np.ndarray:
    count = len(rows) if chosen is None else len(chosen)
    step = max(GRAM_ROWS, 2 * rows.shape[1])
    total: np.ndarray | None = None
    room = np.empty_like(rows[: min(step, count)], dtype=np.result_type(rows, scale))
    for i in range(0, max(count, 1), step):
        here = slice(i, i + step) if chosen is None else chosen[i : i + step]
        part = rows[here]
        block = np.multiply(part, scale[here][:, None], out=room[: len(part)])
        total = block.T @ block if total is None else np.add(total, block.T @ block, out=total)
    assert total is not None
    return total
