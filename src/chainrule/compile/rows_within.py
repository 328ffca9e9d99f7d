"""A pass over the rows within each row of an outer axis, over arrays of known sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.blocks import Cut, over_chunks
from chainrule.compile.frame import Around
from chainrule.compile.layout import SUM, Layout, Sizes, Step
from chainrule.compile.rows import Pass
from chainrule.compile.ways import Kernels
from chainrule.compile.within import Within, within
from chainrule.expression.extent import extent_of

MOST, FEWEST = 64, 8  # inner rows at a time
SCRATCH = 1 << 18  # bytes of the values of a block: a part of the second cache


def rows_within(outer: Pass) -> RowsWithin | None:
    """Return the pass within each row of another one, or None if there is none."""
    found = within(outer)
    return None if found is None else RowsWithin(found)


class RowsWithin:
    """A pass within a pass."""

    def __init__(self, found: Within) -> None:
        self.outer, self.task, self.found = found.outer, found.task, found
        self.kernels = Kernels(found.task, Around(found.has_outer, found.is_kept, found.size))
        ndims = [len(found.outer.program.arguments[source].shape) for source in found.sources]
        pairs = zip(ndims, (found.outer.axes[source] for source in found.sources), found.task.axes, strict=True)
        self._arguments = [(source, _to_front(*pair)) for source, pair in zip(found.sources, pairs, strict=True)]

    def laid_out(self, layout: Layout, rows: int) -> Step | None:
        """Return the function of what the outer pass takes, or None if there is no kernel for these sizes."""
        sizes = {**layout.sizes, **{own: extent_of(n, layout.sizes) for own, n in self.found.names.items()}}
        way = self.kernels.way(layout.kind, sizes, False, True, sizes[self.found.size])
        if way is None:
            return None
        cut = Cut.of(rows, layout.row_bytes, layout.sum_bytes, 1)
        numbers = (cut.chunk, self._block(sizes, layout.kind.itemsize), rows, *(sizes[n] for n in way.parameters))
        results = [self._result(layout, k, rows, cut.chunks) for k in range(len(self.outer.gives))]
        kernel, kind, order, arguments = way.kernel, layout.kind, self.found.order, self._arguments

        def run(*given: Any) -> Any:
            taken = [given[source].transpose(front) for source, front in arguments]
            made = [result.make(result.shape, result.kind) for result in results]
            written: list[Any] = [None] * len(made)
            for k, array, result in zip(order, made, results, strict=True):
                written[k] = array.transpose(result.front)
            over_chunks(lambda first, last: kernel.call(first, last, *numbers, *taken, *written), cut)
            pairs = zip(made, results, strict=True)
            found = [array.sum(axis=0).astype(kind) if result.is_sum else array for array, result in pairs]
            return found[0] if len(found) == 1 else tuple(found)

        return run

    def _block(self, sizes: Sizes, itemsize: int) -> int:
        """How many inner rows are taken at a time."""
        steps = [step for step in self.task.program.instructions if self.task.size in step.shape]
        widths = [prod(extent_of(n, sizes) for n in step.shape if n != self.task.size) for step in steps]
        return max(FEWEST, min(MOST, SCRATCH // (itemsize * sum(widths)))) // 8 * 8

    def _result(self, layout: Layout, k: int, rows: int, chunks: int) -> _Result:
        axis, shape = self.outer.results[k], layout.shapes[k]
        if axis is None:
            whole = (chunks, *shape)
            return _Result(layout.rooms[k].maker(whole, SUM, True), whole, SUM, tuple(range(len(whole))), True)
        whole = (*shape[:axis], rows, *shape[axis:])
        front = _to_front(len(whole), axis, self.task.results[self.found.order[k]])
        return _Result(layout.rooms[k].maker(whole, layout.kind, False), whole, layout.kind, front, False)


@dataclass(frozen=True, slots=True)
class _Result:
    """How a result is made, and in which order the kernel has its axes."""

    make: Callable[..., np.ndarray]
    shape: tuple[int, ...]
    kind: np.dtype[Any]
    front: tuple[int, ...]
    is_sum: bool


def _to_front(ndim: int, outer: int | None, inner: int | None) -> tuple[int, ...]:
    """Return the order of axes in which the outer one is the first, and then the inner one, counted without it."""
    rest = [axis for axis in range(ndim) if axis != outer]
    front = [] if outer is None else [outer]
    if inner is not None:
        front.append(rest.pop(inner))
    return (*front, *rest)
