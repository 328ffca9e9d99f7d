"""Σᵢ wᵢ xᵢ ⊗ xᵢ of narrow rows, in tiles of the result that stay in registers.

A block of rows is copied twice, so that what a tile reads lies in one stretch of memory: into panels, as wide as a
vector, and, times the weights, into strips. A tile is one strip against a few panels: for every row a few vectors are
loaded and multiplied by each entry of the strip, as `llvm_lanes.py` writes it. Tiles that hold a part of the lower half
are computed. Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from chainrule.compile.scalars.turned import SIDE, turn

VECTOR, SIZE, T = 64, 8, np.float64  # bytes of a vector and of an entry, and its type: gram.py says which

# --- functions
LANES = VECTOR // SIZE  # entries of a row in a panel
STRIP = VECTOR // 8  # entries of a row in a strip
PANELS = 3  # of a tile: with these, its sums and what they are made of fit into the registers


@njit
def scaled(to: Any, i: Any, k: Any, x: Any, row: Any, j: Any, width: Any, weight: Any) -> None:
    """Write to[i, k + l] = x[row, j + l] · weight for l < width."""
    for l in range(width):  # noqa: E741
        to[i, k + l] = x[row, j + l] * weight


@njit
def add_tile(sums: Any, j: Any, strip: Any, panels: Any, p: Any, count: Any, rows: Any) -> None:
    """Add Σᵢ strip[i, r] · panels[p + q, i, l] to sums[j + r, (p + q) · lanes + l] for q < count and i < rows."""
    lanes = panels.shape[2]
    for r in range(strip.shape[1]):
        for q in range(count):
            for l in range(lanes):  # noqa: E741
                total = strip[0, r] * panels[p + q, 0, l]
                for i in range(1, rows):
                    total += strip[i, r] * panels[p + q, i, l]
                sums[j + r, (p + q) * lanes + l] += total


@njit
def copy_rows(panels: Any, x: Any, whole: Any) -> None:
    """Copy rows whose entries lie beside each other, a few rows at a time, so that each panel is written in runs."""
    n = x.shape[0]
    for first in range(0, n, SIDE):
        for p in range(whole):
            for i in range(first, min(n, first + SIDE)):
                for k in range(0, LANES, STRIP):
                    scaled(panels[p], i, k, x, i, p * LANES + k, STRIP, T(1))


@njit
def turn_columns(panels: Any, columns: Any, whole: Any) -> None:
    """Copy rows whose columns lie in one stretch each. Shape: columns (d, n)."""
    n = columns.shape[1]
    done = n // 4 * 4
    for p in range(whole):
        own = columns[p * LANES : p * LANES + LANES]
        for k in range(0, LANES, SIDE):
            for i in range(0, done, 4):
                turn(panels[p], own, k, i, 4)
        for k in range(LANES):
            for i in range(done, n):
                panels[p, i, k] = own[k, i]


@njit
def into_panels(panels: Any, x: Any) -> None:
    """Copy the rows: the entries of all rows in columns p·LANES to (p + 1)·LANES are panel p."""
    n, d = x.shape
    whole = 0
    if x.strides[1] == x.itemsize:
        whole = d // LANES
        copy_rows(panels, x, whole)
    if x.strides[0] == x.itemsize and LANES >= SIDE:
        whole = d // LANES
        turn_columns(panels, x.T, whole)
    for k in range(whole * LANES, d):
        for i in range(n):
            panels[k // LANES, i, k % LANES] = x[i, k]


@njit
def into_strips(strips: Any, panels: Any, weights: Any) -> None:
    """Copy the rows in panels, times their weights: the entries in columns s·STRIP to (s + 1)·STRIP are strip s."""
    for s in range(strips.shape[0]):
        for i in range(weights.shape[0]):
            scaled(strips[s], i, 0, panels[s * STRIP // LANES], i, s * STRIP % LANES, STRIP, weights[i])


@njit
def add_block(sums: Any, strips: Any, panels: Any, rows: Any) -> None:
    """Add what a block of rows gives to the sums, which are at least as many as there are strips and panels."""
    count = panels.shape[0]
    for p in range(0, count, PANELS):
        for s in range(p * LANES // STRIP, strips.shape[0]):
            # panels up to the one that the last row of the tile ends in
            taken = min(min(PANELS, count - p), (s * STRIP + STRIP - 1) // LANES + 1 - p)
            if taken == 1:
                add_tile(sums, s * STRIP, strips[s], panels, p, 1, rows)
            if taken == 2:
                add_tile(sums, s * STRIP, strips[s], panels, p, 2, rows)
            if taken == PANELS:
                add_tile(sums, s * STRIP, strips[s], panels, p, PANELS, rows)


@njit(nogil=True, cache=True)
def kernel(first: Any, last: Any, chunk: Any, block: Any, x: Any, weights: Any, sums: Any) -> None:
    """Write Σᵢ wᵢ xᵢ ⊗ xᵢ over each chunk's rows to its sums.

    Shapes: x (n, d), weights (n), sums (chunks, ≥ d, ≥ d).
    """
    n, d = x.shape
    panels = np.empty(((d + LANES - 1) // LANES, block, LANES), T)
    strips = np.empty(((d + STRIP - 1) // STRIP, block, STRIP), T)
    panels[...] = 0
    for c in range(first, last):
        own = sums[c]
        own[...] = 0
        end = min(n, (c + 1) * chunk)
        for lo in range(c * chunk, end, block):
            hi = min(end, lo + block)
            into_panels(panels, x[lo:hi])
            into_strips(strips, panels, weights[lo:hi])
            add_block(own, strips, panels, hi - lo)
