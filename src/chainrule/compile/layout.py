"""A pass over arrays of known sizes: how the rows are cut, where the results go, and what runs over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.compile.blocks import Cut, over_chunks
from chainrule.compile.program import Map
from chainrule.compile.reuse import Reused
from chainrule.compile.rows import Pass
from chainrule.expression.extent import extent_of

BLOCK = 3 << 12  # bytes of a block that a kernel takes: a part of a first cache, so that memory is not kept waiting
LONG_ROW = 1 << 11  # bytes of a row of which even the fewest fill a first cache
LONG_BLOCK = 1 << 18  # bytes of a block of such rows: part of a second cache
BLAS_BLOCK = 1 << 23  # bytes of a block that goes through BLAS
FEWEST, MOST = 8, 1024  # rows of a block
LONG_FEWEST = 16
SUM = np.dtype(np.float64)  # the type of sums over rows
LANES = 64  # rows of a block at least where the rows are the inner loop
LONG_LANES = 32  # the same where rows are long: the next block has room beside this one in a second cache

Values = list[Any]  # of a whole program, by number
Sizes = Mapping[str, int]
Step = Callable[[Values], None]


class Layout:
    """The layout of one pass over arrays of one type and these sizes."""

    def __init__(
        self,
        step: Pass,
        kind: np.dtype[Any],
        sizes: Sizes,
        shapes: Sequence[tuple[int, ...]],
        row_bytes: int,
        sum_bytes: int,
        rooms: Sequence[Reused],
    ) -> None:
        self.step = step
        self.kind = kind
        self.sizes = sizes
        self.shapes = shapes
        self.row_bytes = row_bytes
        self.sum_bytes = sum_bytes
        self.rooms = rooms
        arguments = zip(step.program.arguments, step.axes, strict=True)
        self.moved = [(k, _to_front(symbol.ndim, axis)) for k, (symbol, axis) in enumerate(arguments) if axis]

    def _taken(self, values: Values) -> list[Any]:
        """The arguments of the pass, rows first."""
        arrays = [values[k] for k in self.step.takes]
        for k, order in self.moved:
            arrays[k] = arrays[k].transpose(order)
        return arrays

    def _block(self, by_rows: bool) -> int:
        """How many rows a kernel takes at a time: its second look at them finds them in the cache."""
        fits = BLOCK // self.row_bytes
        if not by_rows:
            fewest = LANES if self.row_bytes <= LONG_ROW else LONG_LANES
            return max(fewest, min(MOST, fits)) // 8 * 8
        if self.row_bytes > LONG_ROW:
            return max(LONG_FEWEST, LONG_BLOCK // self.row_bytes) // 8 * 8
        return max(FEWEST, min(MOST, fits)) // 8 * 8

    def _is_light(self) -> bool:
        """True if the entries of rows are read, multiplied and added up, and operations have fewer of them."""
        steps = self.step.program.instructions
        most = max(len(step.shape) for step in steps)
        return not any(isinstance(step.action, Map) and len(step.shape) == most for step in steps)

    def through_kernel(self, kernel: Callable[..., Any], parameters: Sequence[str], by_rows: bool, rows: int) -> Step:
        """Return the function that runs the kernel over all chunks."""
        block = self._block(by_rows)
        cut = Cut.of(rows, self.row_bytes, self.sum_bytes, block, by_rows and self._is_light())
        head = (cut.chunk, cut.block, rows, *[extent_of(n, self.sizes) for n in parameters])

        def run(values: Values) -> None:
            arrays = self._taken(values)
            results, whole = self._results(cut, rows)
            if cut.alone:
                kernel(0, cut.chunks, *head, *arrays, *results)
            else:
                over_chunks(lambda first, last: kernel(first, last, *head, *arrays, *results), cut)
            self._finish(values, results, whole)

        return run

    def through_blas(self, function: Callable[..., Any], rows: int) -> Step:
        """Return the function that runs NumPy code on blocks, one after the other: BLAS has threads of its own."""
        cut = Cut.of(rows, self.row_bytes, self.sum_bytes, max(256, BLAS_BLOCK // self.row_bytes))
        axes, given = self.step.axes, [self.sizes[n] for n in self.step.program.given]

        def run(values: Values) -> None:
            arrays = self._taken(values)
            results, whole = self._results(cut, rows)
            for c in range(cut.chunks):
                for lo in range(c * cut.chunk, min(rows, (c + 1) * cut.chunk) or 1, cut.block):
                    hi = min(rows, (c + 1) * cut.chunk, lo + cut.block)
                    parts = [
                        a if axis is None else np.moveaxis(a[lo:hi], 0, axis)
                        for a, axis in zip(arrays, axes, strict=True)
                    ]
                    found = function(*parts, *given)
                    self._take(results, found if len(results) > 1 else (found,), c, lo, hi)
            self._finish(values, results, whole)

        return run

    def _take(self, results: Sequence[Any], found: Sequence[Any], c: int, lo: int, hi: int) -> None:
        for result, value, axis in zip(results, found, self.step.results, strict=True):
            if axis is None:
                result[c] += value
            else:
                result[lo:hi] = np.moveaxis(value, axis, 0)

    def _results(self, cut: Cut, rows: int) -> tuple[list[Any], list[Any]]:
        """Return the arrays to write to, rows first, and those arrays with their axes in place."""
        results: list[Any] = []
        whole: list[Any] = []
        for shape, axis, room in zip(self.shapes, self.step.results, self.rooms, strict=True):
            if axis is None:
                results.append(room.zeros((cut.chunks, *shape), SUM))
                whole.append(None)
            else:
                array = room.empty((*shape[:axis], rows, *shape[axis:]), self.kind)
                whole.append(array)
                results.append(np.moveaxis(array, axis, 0) if axis else array)
        return results, whole

    def _finish(self, values: Values, results: Sequence[Any], whole: Sequence[Any]) -> None:
        kind = self.kind
        for k, result, rows in zip(self.step.gives, results, whole, strict=True):
            if rows is not None:
                values[k] = rows
                continue
            total = result[0] if len(result) == 1 else result.sum(axis=0)
            if total.dtype is not kind:  # sums are in float64; a sum of numbers is a number
                total = total.astype(kind) if total.ndim else kind.type(total)
            values[k] = total


def _to_front(ndim: int, axis: int) -> tuple[int, ...]:
    """Return the order of axes in which this one is the first: `np.moveaxis` takes as long as a small kernel."""
    return (axis, *range(axis), *range(axis + 1, ndim))
