"""Products of arrays of which one has the last axes of the result alone: rows that are written past the caches.

NumPy writes plainly, and memory is read before it is written: u ⊗ A of 50 MB took it 5.9 ms, and takes 3.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.kernel import KINDS
from chainrule.compile.kernel_text import kernel_text
from chainrule.compile.machine import Kernel
from chainrule.compile.threads import shared_out
from chainrule.compile.ways import LAST_CACHE

SHORT = 1 << 9  # bytes of a row that are not worth it
FEW = 1 << 16  # bytes of rows together that are not worth a call
PARTS = 16  # that threads share at least

Axes = tuple[int, ...]


def outer_past_caches(result: np.ndarray, axes: Sequence[Axes], operands: Sequence[Any]) -> bool:
    """Write the product of two operands to the result, if that is worth it; return whether it was.

    Shapes: operand k has the axes `axes[k]` of the result, in their order.
    """
    if result.nbytes <= LAST_CACHE or result.dtype not in KINDS:
        return False
    if any(getattr(operand, "dtype", None) != result.dtype for operand in operands):
        return False
    inner = 0 if result.ndim - 1 in axes[0] else 1
    last = _start(result.ndim, axes[inner], axes[1 - inner])
    first = _start(last, axes[1 - inner], axes[inner])
    height, width = prod(result.shape[first:last]), prod(result.shape[last:])
    row = width * result.itemsize
    if not first < last < result.ndim or row < SHORT or height * row < FEW:
        return False
    kernel = _kernel(KINDS[result.dtype])
    u, v = operands[1 - inner], operands[inner]
    places = [tuple(axis for axis in own if axis < first) for own in (axes[1 - inner], axes[inner])]
    step = max(1, height // -(-PARTS // prod(result.shape[:first])))

    def work(part: tuple[Axes, int]) -> None:
        at, start = part
        target = result[at].reshape(height, width)[start : start + step]
        left, right = (x[tuple(at[axis] for axis in own)] for x, own in zip((u, v), places, strict=True))
        kernel(target, np.ravel(left)[start : start + step], np.ravel(right))

    shared_out(work, list(product(np.ndindex(result.shape[:first]), range(0, height, step))))
    return True


def _start(stop: int, own: Axes, others: Axes) -> int:
    """Return where the axes before `stop` begin that one operand has alone."""
    start = stop
    while start and start - 1 in own and start - 1 not in others:
        start -= 1
    return start


@cache
def _kernel(kind: str) -> Kernel:
    lines = ["row = np.empty((1, v.shape[0]), T)", "outer_streamed(target, row, u, v)"]
    return Kernel(kernel_text(kind, ["streamed"], ["target", "u", "v"], lines))
