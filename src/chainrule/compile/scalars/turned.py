"""Rows into lanes: a block of rows copied so that the same entries of all rows lie beside each other.

Eight rows and four columns at a time are turned, the last columns two at a time, which `llvm_lanes.py` does in the
processor's registers. Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

from numba import njit

# --- functions
SIDE = 8


@njit
def turn(lanes: Any, rows: Any, i: Any, j: Any, width: Any) -> None:
    """Write lanes[j + l, i + k] = rows[i + k, j + l] for k < 8, l < width."""
    for k in range(SIDE):
        for l in range(width):  # noqa: E741
            lanes[j + l, i + k] = rows[i + k, j + l]


@njit(error_model="numpy")
def turned(lanes: Any, rows: Any) -> None:
    """Write lanes[j, i] = rows[i, j]. Shapes: rows (n, d), lanes (d, m) with m ≥ n, its rows beside each other."""
    n, d = rows.shape
    done = 0
    if d >= 2 and rows.strides[1] == rows.itemsize and rows.strides[0] % rows.itemsize == 0:
        done = n // SIDE * SIDE
        most = d // 4 * 4
        for i in range(0, done, SIDE):
            for j in range(0, most, 4):
                turn(lanes, rows, i, j, 4)
            if d % 4 == 3:
                turn(lanes, rows, i, most, 2)
            if d % 4:  # the last two columns, the first of them once more if one is left
                turn(lanes, rows, i, d - 2, 2)
    for j in range(d):
        for i in range(done, n):
            lanes[j, i] = rows[i, j]
