"""Arrays for large results, used again when nobody holds them any more.

Fresh memory costs as much as a pass over it: the system clears every page of it when it is first written. So an array
that was handed out is kept, and handed out again once its last holder has let go of it: the caller, or whoever has a
view of it, since views hold their array. So a compiled function holds the memory of its last results, one array for
each large output (for a sum over rows, the sums of its chunks), until it is called again or dropped.

What is larger than `LARGE` would be missed elsewhere. Of that one array is held in all, by the function that made the
last one, and only where it is seen to be of use: where calls with results of this size follow each other, and let them
go in between.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

SMALLEST, LARGE, LARGEST = 1 << 18, 1 << 26, 1 << 29  # bytes of an array that is kept


class Reused:
    """One array at a time, for one output of a function."""

    _holder: weakref.ref[Reused] | None = None  # what holds the one large array

    def __init__(self) -> None:
        self._kept: list[np.ndarray] = []
        self._last: weakref.ref[np.ndarray] | None = None  # the last large array that was made
        self._last_size = 0

    def maker(self, shape: tuple[int, ...], kind: np.dtype[Any], zeros: bool) -> Callable[..., np.ndarray]:
        """Return what is called with this shape and type for such an array: NumPy's own function for a small one."""
        if prod(shape) * kind.itemsize < SMALLEST:
            return np.zeros if zeros else np.empty
        return self.zeros if zeros else self.empty

    def empty(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray:
        """Return an array of this shape and type whose entries are anything, and which nobody else holds."""
        size = prod(shape) * kind.itemsize
        if not SMALLEST <= size <= LARGEST:
            return np.empty(shape, kind)
        array = self._again(shape, kind)
        if array is None:
            array = np.empty(shape, kind)
            if size > LARGE and not self._is_asked_for_again(array):
                return array
        if ALONE:
            self._kept.append(array)
        return array

    def _again(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> np.ndarray | None:
        try:
            array = self._kept.pop()  # in one step: of two threads only one gets it
        except IndexError:
            return None
        fits = array.shape == shape and array.dtype == kind and array.flags.writeable
        return array if fits and sys.getrefcount(array) == ALONE else None

    def _is_asked_for_again(self, array: np.ndarray) -> bool:
        """True if the last large array was as large as this one and has been let go; nothing else keeps one then."""
        is_again = self._last_size == array.nbytes and self._last is not None and self._last() is None
        self._last, self._last_size = weakref.ref(array), array.nbytes
        if is_again:
            holder = Reused._holder() if Reused._holder is not None else None
            if holder is not None and holder is not self:
                holder._kept.clear()
            Reused._holder = weakref.ref(self)
        return is_again

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
