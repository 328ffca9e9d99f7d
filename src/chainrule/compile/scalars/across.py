"""Tiles of an array that lies across: turned, so that rows of a tile are read as vectors.

Eight rows of four columns are turned at a time, which `llvm_lanes.py` does in the processor's registers, and a tile is
nowhere else. Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

# --- functions
ABREAST = 8  # steps of a loop that are one vector


@njit
def tile(x: Any) -> Any:
    """Return room for a tile."""
    return np.empty((ABREAST, ABREAST), x.dtype)


@njit
def across(tile: Any, x: Any, j: Any, i: Any) -> None:
    """Write tile[k, l] = x[j + l, i + k]. Entries of a row of x lie beside each other."""
    for k in range(ABREAST):
        for l in range(ABREAST):  # noqa: E741
            tile[k, l] = x[j + l, i + k]
