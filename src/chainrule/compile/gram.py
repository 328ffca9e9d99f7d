"""A matrix of narrow rows times itself, in compiled tiles: rows are read once, and one half of the result is computed.

BLAS reaches its speed where rows are wide. Of narrow ones, tiles in registers are several times as fast. Chunks of rows
and their sums are cut by the shape alone, so that no number of threads changes a result.
"""

from __future__ import annotations

from functools import cache
from math import ceil

import numpy as np

from chainrule.compile import large
from chainrule.compile.blocks import Cut, over_chunks
from chainrule.compile.kernel import KINDS
from chainrule.compile.kernel_text import HEADER, compiled_text
from chainrule.compile.llvm_tiles import registers
from chainrule.compile.machine import Kernel
from chainrule.compile.reuse import Reused

WIDE = 768  # columns from which BLAS is as fast
FEW = 1 << 19  # products of entries up to which one line of NumPy is as fast
FLAT = 4  # columns for each row from which most of the time goes into adding sums
BLOCK = 128  # rows of a block: what a tile reads fills a first cache
CHUNK = 2 * BLOCK  # rows of a chunk at least
MOST_CHUNKS = 64
SUMS = 1 << 22  # bytes of all chunks' sums at most, unless that leaves too few chunks
FEWEST_CHUNKS = 8
ALONE = 1 << 22  # products of entries up to which one thread is as fast as two
MEMORY = Reused()  # of the chunks' sums


def gram(x: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return Σᵢ wᵢ xᵢ ⊗ xᵢ over the first axis, weights of any sign, by what is fastest for the shape.

    Shapes: x (n, …), weights (n) -> (…, …).
    """
    rows = x if x.ndim == 2 else large.as_matrix(x)
    if not _is_for_tiles(rows, weights):
        return large.gram(x, weights)
    result = _in_tiles(rows, np.ones(len(x), x.dtype) if weights is None else np.ascontiguousarray(weights))
    return result if x.ndim == 2 else result.reshape(x.shape[1:] * 2)


def _is_for_tiles(x: np.ndarray, weights: np.ndarray | None) -> bool:
    is_one_kind = x.dtype in KINDS and (weights is None or weights.dtype == x.dtype)
    n, d = x.shape
    return is_one_kind and x.flags.aligned and d <= min(WIDE, FLAT * n) and n * d * d > FEW


def _in_tiles(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n, d = x.shape
    vector, _ = registers()
    lanes = vector // x.itemsize
    side = ceil(d / lanes) * lanes
    cut = cut_of(n, d, 8 * side**2)
    sums = MEMORY.empty((cut.chunks, side, side), np.dtype(np.float64))
    add = tiles(KINDS[x.dtype], vector)
    over_chunks(lambda first, last: add(first, last, cut.chunk, cut.block, x, weights, sums), cut)
    result = np.empty((d, d), x.dtype)
    both_halves(KINDS[x.dtype])(sums, result)
    return result


def cut_of(rows: int, columns: int, sum_bytes: int) -> Cut:
    """Cut the rows into chunks, a power of two of them if rows are many, so that threads have the same to do."""
    most = min(MOST_CHUNKS, rows // CHUNK, max(FEWEST_CHUNKS, SUMS // sum_bytes))
    chunk = ceil(ceil(rows / 2 ** max(0, most.bit_length() - 1)) / BLOCK) * BLOCK
    chunks = ceil(rows / chunk)
    return Cut(chunks, chunk, BLOCK, chunks == 1 or rows * columns**2 <= ALONE)


@cache
def tiles(kind: str, vector: int) -> Kernel:
    """Return the compiled tiles for a float type."""
    text = "".join(map(compiled_text, ("turned", "gram_tiles")))
    return Kernel(f"{HEADER}VECTOR, SIZE, T = {vector}, {np.dtype(kind).itemsize}, np.{kind}\n{text}")


@cache
def both_halves(kind: str) -> Kernel:
    """Return what adds the sums of chunks, for a float type."""
    return Kernel(HEADER + compiled_text("halves"))
