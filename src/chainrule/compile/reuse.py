"""Arrays for large results, used again when nobody holds them any more.

Fresh memory costs as much as a pass over it: the system clears every page of it when it is first written. So an array
that was handed out is kept, and handed out again once its last holder has let go of it: the caller, or whoever has a
view of it, since views hold their array. So a compiled function holds the memory of its last results, one array for
each large output (for a sum over rows, the sums of its chunks) and none larger than `LARGEST`, until it is called again
or dropped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

SMALLEST, LARGEST = 1 << 18, 1 << 26  # bytes of an array that is kept


class Reused:
    """One array at a time, for one output of a function."""

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []

    def maker(self, shape: tuple[int, ...], kind: np.dtype[Any], zeros: bool) -> Callable[..., np.ndarray]:
        """Return what is called with this shape and type for such an array: NumPy's own function for a small one."""
        if prod(shape) * kind.itemsize < SMALLEST:
            return np.zeros if zeros else np.empty
        return self.zeros if zeros else self.empty

    def empty(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
        """Return an array of this shape and type whose entries are anything, and which nobody else holds."""
        if not SMALLEST <= prod(shape) * kind.itemsize <= LARGEST:
            return np.empty(shape, kind)
        try:
            array = self._kept.pop()  # in one step: of two threads only one gets it
        except IndexError:
            array = np.empty(shape, kind)
        else:
            fits = array.shape == shape and array.dtype == kind and array.flags.writeable
            if sys.getrefcount(array) != ALONE or not fits:
                array = np.empty(shape, kind)
        if ALONE:
            self._kept.append(array)
        return array

    def zeros(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
        """Return such an array of zeros."""
        array = self.empty(shape, kind)
        array[...] = 0
        return array


def _count_alone() -> int:
    """Return what `sys.getrefcount` says of an array that one variable holds; 0 if counts mean nothing here."""
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0  # another thread may take hold of the array between the question and its answer
    kept = [np.empty(0)]
    array = kept.pop()
    return sys.getrefcount(array)


ALONE = _count_alone()
