"""The sums of chunks of rows -> a symmetric matrix, of which they hold the lower half. Kernels hold this text."""

from __future__ import annotations

from typing import Any

from numba import njit


# --- functions
@njit(cache=True)
def kernel(sums: Any, result: Any) -> None:
    """Add the sums in the order of their chunks, and write both halves.

    Shapes: sums (chunks, ≥ d, ≥ d), result (d, d).
    """
    for j in range(result.shape[0]):
        for c in range(1, sums.shape[0]):
            for k in range(j + 1):
                sums[0, j, k] += sums[c, j, k]
        for k in range(j + 1):
            result[j, k] = sums[0, j, k]
            result[k, j] = sums[0, j, k]
