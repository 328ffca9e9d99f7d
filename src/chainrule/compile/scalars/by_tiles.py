"""Products of matrices by tiles, whose sums stay in registers: `llvm_tiles.py` has the tiles, here they are loops.

Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

T = np.float64  # the type of entries: the kernel says which

# --- functions
TILE = 4  # rows of a tile of dots
STRIP = 256  # bytes of the columns of a tile of sums over rows


@njit
def dots(lanes: Any, left: Any, rows: Any, at: Any, k: Any, steps: Any) -> None:
    """Write lanes[k + a, at + b] = Σ_j left[k + a, j]·rows[at + b, j] for a < steps, b < 4."""
    for a in range(steps):
        for b in range(TILE):
            dot(lanes, left, rows, at + b, k + a)


@njit(fastmath={"reassoc", "contract"})
def dot(lanes: Any, left: Any, rows: Any, i: Any, k: Any) -> None:
    """Write lanes[k, i] = Σ_j left[k, j]·rows[i, j]."""
    t = T(0)
    for j in range(left.shape[1]):
        t += left[k, j] * rows[i, j]
    lanes[k, i] = t


@njit
def outer(
    total: Any, lanes: Any, rows: Any, ahead: Any, following: Any, k: Any, j: Any, width: Any, steps: Any, size: Any
) -> None:
    """Write total[k + a, j + b] += Σ_i lanes[k + a, i]·rows[i, j + b] for a < steps, b < width, i < size."""
    for a in range(steps):
        for i in range(size):
            for b in range(width):
                total[k + a, j + b] += lanes[k + a, i] * rows[i, j + b]


@njit(error_model="numpy")
def products(lanes: Any, left: Any, rows: Any, steps: Any, most: Any, size: Any) -> None:
    """Write lanes[k, i] = Σ_j left[k, j]·rows[i, j] for i < size; k takes so many steps at a time up to `most`."""
    done = 0
    if rows.strides[1] == rows.itemsize and left.strides[1] == left.itemsize:
        done = size // TILE * TILE
        for i in range(0, done, TILE):
            for k in range(0, most, steps):
                dots(lanes, left, rows, i, k, steps)
            for k in range(most, left.shape[0]):
                dots(lanes, left, rows, i, k, 1)
    for i in range(done, size):
        for k in range(left.shape[0]):
            dot(lanes, left, rows, i, k)


@njit
def strip(
    total: Any, lanes: Any, rows: Any, ahead: Any, following: Any, j: Any, width: Any, steps: Any, most: Any, size: Any
) -> None:
    """Write total[k, j + b] += Σ_i lanes[k, i]·rows[i, j + b] for all k, b < width and i < size."""
    for k in range(0, most, steps):
        outer(total, lanes, rows, ahead, following, k, j, width, steps, size)
    for k in range(most, total.shape[0]):
        outer(total, lanes, rows, ahead, following, k, j, width, 1, size)


@njit(error_model="numpy")
def sums_of_products(
    total: Any, lanes: Any, rows: Any, ahead: Any, following: Any, steps: Any, most: Any, size: Any
) -> None:
    """Write total[k, j] += Σ_i lanes[k, i]·rows[i, j] for i < size; k takes so many steps at a time up to `most`.

    Meanwhile as many rows of `ahead` are asked for, the first of which is `following`.
    """
    width = total.shape[1]
    done = 0
    if rows.strides[1] == rows.itemsize:
        done = width
        entries = STRIP // rows.itemsize
        whole = width // entries * entries
        for j in range(0, whole, entries):
            strip(total, lanes, rows, ahead, following, j, STRIP // rows.itemsize, steps, most, size)
        strip(total, lanes, rows, ahead, following, whole, width - whole, steps, most, size)
    for k in range(total.shape[0]):
        for i in range(size):
            for j in range(done, width):
                total[k, j] += lanes[k, i] * rows[i, j]


# --- matrices whose sides are all wide
DEPTH = 256  # terms of sums at a time, so that what they are multiplied by stays in the cache


@njit
def block(out: Any, left: Any, right: Any, i: Any, j: Any, width: Any, steps: Any, depth: Any) -> None:
    """Write out[i + a, j + b] += Σ_k left[i + a, k]·right[k, j + b] for a < steps, b < width, k < depth."""
    for a in range(steps):
        for k in range(depth):
            for b in range(width):
                out[i + a, j + b] += left[i + a, k] * right[k, j + b]


@njit
def column(out: Any, left: Any, right: Any, j: Any, width: Any, size: Any, depth: Any) -> None:
    """Write out[i, j + b] += Σ_k left[i, k]·right[k, j + b] for i < size, b < width and k < depth."""
    done = size // TILE * TILE
    for i in range(0, done, TILE):
        block(out, left, right, i, j, width, TILE, depth)
    for i in range(done, size):
        block(out, left, right, i, j, width, 1, depth)


@njit(error_model="numpy", inline="never")
def columns(out: Any, left: Any, right: Any, size: Any, depth: Any) -> None:
    """Write out[i, j] += Σ_k left[i, k]·right[k, j] for i < size and k < depth, entries of rows beside each other."""
    width = out.shape[1]
    entries = STRIP // right.itemsize
    whole = width // entries * entries
    for k in range(0, depth, DEPTH):
        end = min(depth, k + DEPTH)
        for j in range(0, whole, entries):
            column(out, left.T[k:end].T, right[k:end], j, STRIP // right.itemsize, size, end - k)
        column(out, left.T[k:end].T, right[k:end], whole, width - whole, size, end - k)


@njit(error_model="numpy")
def multiplied(out: Any, left: Any, right: Any, size: Any, depth: Any) -> None:
    """Write out[i, j] += Σ_k left[i, k]·right[k, j] for i < size and k < depth."""
    done = 0
    if out.strides[1] == out.itemsize and right.strides[1] == right.itemsize:
        done = out.shape[1]
        columns(out, left, right, size, depth)
    for i in range(size):
        for k in range(depth):
            for j in range(done, out.shape[1]):
                out[i, j] += left[i, k] * right[k, j]


@njit(error_model="numpy")
def product_of_rows(out: Any, left: Any, right: Any, size: Any, depth: Any) -> None:
    """Write out[i, j] = Σ_k left[i, k]·right[k, j] for i < size and k < depth."""
    for i in range(size):
        for j in range(out.shape[1]):
            out[i, j] = T(0)
    multiplied(out, left, right, size, depth)
