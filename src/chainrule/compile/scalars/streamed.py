"""Rows that are written to memory past the caches.

A line that is written plainly is read first, and then takes the place of one that is needed. `llvm_stream.py` writes
whole lines, which need not be read, and no cache keeps them. Kernels hold this text; it is not imported, since numba
is.
"""

from __future__ import annotations

from typing import Any

from numba import njit

# --- functions


@njit
def streamed(target: Any, source: Any) -> None:
    """Write target[i, j] = source[i, j]. Entries of a row lie beside each other in both."""
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            target[i, j] = source[i, j]


@njit
def outer_streamed(target: Any, row: Any, u: Any, v: Any) -> None:
    """Write target[i, j] = u[i] · v[j]. Shapes: target (n, m), u (n,), v (m,), row (1, m), which is written to."""
    for i in range(u.shape[0]):
        for j in range(v.shape[0]):
            row[0, j] = u[i] * v[j]
        streamed(target[i : i + 1], row)
