"""What large arrays are computed with: work entry by entry in blocks that stay in cache, a matrix times itself.

Small arrays take the line of NumPy that `source(...)` prints, see `primitives.LARGE`. Blocks are the same for any
number of threads, and so are results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.threads import in_threads, thread_count

BLOCK = 1 << 16  # entries of one block: a few of them fit into a core's cache, and starting one costs 20 µs
TILE = 256  # rows and columns of a tile, where one operand lies across
GRAM_ROWS = 1024  # rows scaled at a time, at least twice as many as columns: each block costs one more sum of results
GRAM_SMALL = 1 << 15  # entries: below, one line is faster than blocks

Axes = tuple[int, ...]
Index = tuple[slice, ...]


# --- entry by entry
def in_blocks(
    function: Callable[..., Any], shape: tuple[int, ...], axes: Sequence[Axes], reuse: int, *operands: Any
) -> np.ndarray:
    """Return `function(*operands)`, whose entries depend on the operands' entries at the same indices only.

    With `out=` the function may write its result there. Shapes: `axes[k]` are the axes of the result that operand k
    has. `reuse` is the position of an operand that nobody needs afterwards and that may hold the result, or -1.
    """
    if 0 in shape:
        return np.asarray(function(*operands))
    tiles = list(_tiles(shape, _lies_across(operands, axes, len(shape))))

    def at(tile: tuple[slice, slice], out: np.ndarray | None = None) -> Any:
        parts = (_part(operand, own, tile, len(shape)) for operand, own in zip(operands, axes, strict=True))
        return function(*parts, out=out)

    first = at(tiles[0])
    held = operands[reuse] if reuse >= 0 else None
    fits = held is not None and held.dtype == first.dtype and held.shape == shape
    out = held if fits and held is not None else np.empty(shape, first.dtype)
    whole = tuple(range(len(shape)))

    def work(part: Sequence[tuple[slice, slice]]) -> None:
        for tile in part:
            place = _part(out, whole, tile, len(shape))
            found = at(tile, place)
            if found is not place:
                place[...] = found

    _part(out, whole, tiles[0], len(shape))[...] = first
    rest = tiles[1:]
    workers = thread_count()
    in_threads([partial(work, rest[k * len(rest) // workers : (k + 1) * len(rest) // workers]) for k in range(workers)])
    return out


def _tiles(shape: tuple[int, ...], square: bool) -> Iterator[tuple[slice, slice]]:
    """Cut the first axis, and the last one too where a tile has to be square."""
    within = prod(shape[1:])
    rows = TILE if square else max(1, BLOCK // max(within, 1))
    columns = TILE if square else shape[-1]
    for i in range(0, shape[0], rows):
        for j in range(0, shape[-1] if square else 1, max(columns, 1)):
            yield slice(i, i + rows), slice(j, j + columns)


def _part(operand: Any, axes: Axes, tile: tuple[slice, slice], ndim: int) -> Any:
    if not axes:
        return operand
    index = tuple(tile[0] if a == 0 else tile[1] if a == ndim - 1 else slice(None) for a in axes)
    return operand[index]


def _lies_across(operands: Sequence[Any], axes: Sequence[Axes], ndim: int) -> bool:
    """True if an operand of both the first and the last axis of the result is nearer in memory along the first."""
    if ndim != 2:
        return False
    both = [(operand, own) for operand, own in zip(operands, axes, strict=True) if len(own) == 2]
    return any(abs(o.strides[own.index(0)]) < abs(o.strides[own.index(1)]) for o, own in both)


# --- a matrix with itself
def gram(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return Σᵢ wᵢ xᵢ ⊗ xᵢ over the first axis, half of it computed: BLAS multiplies BᵀB in half the operations.

    Where the weights have one sign, B = √|w| ⊙ x; otherwise the rows of each sign are taken by themselves. Rows are
    scaled block by block, so that no second copy of x is made. NaN and infinite weights take the plain product.
    Shapes: x (n, …), weights (n) -> (…, …).
    """
    free = x.shape[1:]
    rows = x if x.ndim == 2 else _as_matrix(x)
    if weights is None:
        result = rows.T @ rows
    elif rows.size < GRAM_SMALL:
        result = (rows * weights[:, None]).T @ rows
    else:
        result = _weighted(rows, weights)
    return np.asarray(result if x.ndim == 2 else result.reshape(free + free))


def _as_matrix(x: np.ndarray) -> np.ndarray:
    """All but the first axis as one, without a copy if the first axis lies in front of the others or behind them."""
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
