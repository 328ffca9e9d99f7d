"""Rows asked for ahead: memory brings the next block while sums over this one are computed.

A processor guesses what is read next from what was read last, which fails where several short rows are read side by
side. Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

from numba import njit

# --- functions
LINE = 64  # bytes that come from memory together


@njit
def ask(rows: Any, at: Any) -> None:
    """Ask for the entry at this place, counted in entries: `llvm_lanes.py` has the instruction, numba has none."""


@njit(error_model="numpy")
def asked(rows: Any, first: Any, last: Any, part: Any, parts: Any) -> None:
    """Ask for one of so many parts of these rows, if they lie beside each other. Shape: rows (n, d)."""
    n, d = rows.shape
    if rows.strides[0] == d * rows.itemsize and rows.strides[1] == rows.itemsize:
        size = (min(n, last) - first) * d
        share, step = size // parts + 1, LINE // rows.itemsize
        for at in range(part * share, min(size, part * share + share), step):
            ask(rows, first * d + at)
