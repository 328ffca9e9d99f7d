"""Two products that go over rows in step, so that memory never waits: `llvm_tiles.py` has their tile.

Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

T = np.float64  # the type of entries: the kernel says which

# --- functions
TOGETHER = 8  # rows of a tile


@njit(fastmath={"reassoc", "contract"})
def row_times(products: Any, left: Any, rows: Any, at: Any, i: Any) -> None:
    """Write products[i] = Σ_j left[j]·rows[at, j]."""
    t = T(0)
    for j in range(left.shape[0]):
        t += left[j] * rows[at, j]
    products[i] = t


@njit(fastmath={"reassoc", "contract"})
def row_added(total: Any, weights: Any, rows: Any, at: Any, i: Any) -> None:
    """Write total[j] += weights[i]·rows[at, j] for all j."""
    for j in range(total.shape[0]):
        total[j] += weights[i] * rows[at, j]


@njit
def rows_in_step(total: Any, weights: Any, products: Any, left: Any, rows: Any, at: Any, back: Any, i: Any) -> None:
    """Multiply eight rows, from `at` on, by a vector, and add up the eight that lie `back` rows before them."""
    for r in range(TOGETHER):
        row_times(products, left, rows, at + r, i + r)
        row_added(total, weights, rows, at + r - back, i + r)


@njit(error_model="numpy")
def in_step(total: Any, weights: Any, products: Any, left: Any, rows: Any, at: Any, before: Any, size: Any) -> None:
    """Write products[i] = Σ_j left[j]·rows[at + i, j] for i < size, and add up the rows of the block before.

    A cache still holds those: total[j] += Σ_i weights[i]·rows[at - before + i, j] for i < before.
    """
    done = 0
    if rows.strides[1] == rows.itemsize and left.strides[0] == left.itemsize:
        done = min(before, size) // TOGETHER * TOGETHER
        for i in range(0, done, TOGETHER):
            rows_in_step(total, weights, products, left, rows, at + i, before, i)
    for i in range(done, before):
        row_added(total, weights, rows, at - before + i, i)
    for i in range(done, size):
        row_times(products, left, rows, at + i, i)
