"""A pass over arrays of known sizes: how the rows are cut, where the results go, and what runs over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.compile.blocks import Cut
from chainrule.compile.calls import bound, pass_text
from chainrule.compile.machine import Kernel
from chainrule.compile.program import Map
from chainrule.compile.reuse import Reused
from chainrule.compile.rows import Pass
from chainrule.expression.extent import extent_of

BLOCK = 3 << 12  # bytes of a block that a kernel takes: a part of a first cache, so that memory is not kept waiting
LONG_ROW = 1 << 11  # bytes of a row of which even the fewest fill a first cache
LONG_BLOCK = 1 << 18  # bytes of a block of such rows: part of a second cache
IN_STEP_BLOCK = 1 << 17  # the same where the block before is there too
BLAS_BLOCK = 1 << 23  # bytes of a block that goes through BLAS
FEWEST, MOST = 8, 1024  # rows of a block
LONG_FEWEST = 16  # where results go past the caches, so that what lies across comes by two lines
SUM = np.dtype(np.float64)  # the type of sums over rows
LANES = 64  # rows of a block at least where the rows are the inner loop
LONG_LANES = 32  # the same where rows are long: the next block has room beside this one in a second cache

Sizes = Mapping[str, int]
Step = Callable[..., Any]  # of what a step takes, to what it gives: one value, or a tuple of several


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

    def _block(self, by_rows: bool, in_step: bool, far: bool) -> int:
        """How many rows a kernel takes at a time: its second look at them finds them in the cache."""
        fits = BLOCK // self.row_bytes
        if not by_rows:
            fewest = LANES if self.row_bytes <= LONG_ROW else LONG_LANES
            return max(fewest, min(MOST, fits)) // 8 * 8
        if self.row_bytes > LONG_ROW:
            fewest, size = LONG_FEWEST if far and not in_step else FEWEST, IN_STEP_BLOCK if in_step else LONG_BLOCK
            return max(fewest, size // self.row_bytes) // 8 * 8
        return max(FEWEST, min(MOST, fits)) // 8 * 8

    def _is_light(self) -> bool:
        """True if the entries of rows are read, multiplied and added up, and operations have fewer of them."""
        steps = self.step.program.instructions
        most = max(len(step.shape) for step in steps)
        return not any(isinstance(step.action, Map) and len(step.shape) == most for step in steps)

    def through_kernel(
        self, kernel: Kernel, parameters: Sequence[str], by_rows: bool, in_step: bool, far: bool, rows: int
    ) -> Step:
        """Return the function that runs the kernel over all chunks."""
        block = self._block(by_rows, in_step, far)
        cut = Cut.of(rows, self.row_bytes, self.sum_bytes, block, by_rows and self._is_light())
        return self._bound(kernel, [extent_of(n, self.sizes) for n in parameters], cut, rows)

    def through_blas(self, function: Callable[..., Any], rows: int) -> Step:
        """Return the function that runs NumPy code on blocks, one after the other: BLAS has threads of its own."""
        cut = Cut.of(rows, self.row_bytes, self.sum_bytes, max(256, BLAS_BLOCK // self.row_bytes))
        if 0 < rows <= cut.block:  # there is one
            given = [self.sizes.get(n, rows) for n in self.step.program.given]
            return lambda *arrays: function(*arrays, *given)
        blocks = _Blocks(function, self.step, self.sizes)
        return self._bound(blocks, (), replace(cut, alone=True), rows)

    def _bound(self, kernel: Kernel | _Blocks, extents: Sequence[int], cut: Cut, rows: int) -> Step:
        text = pass_text(self.step, len(extents), self.kind == SUM, cut.chunks == 1, cut.alone)
        pairs = zip(self.shapes, self.step.results, strict=True)
        whole = [(cut.chunks, *s) if axis is None else (*s[:axis], rows, *s[axis:]) for s, axis in pairs]
        makers = [
            room.maker(shape, SUM if axis is None else self.kind, axis is None)
            for room, shape, axis in zip(self.rooms, whole, self.step.results, strict=True)
        ]
        cut_in = (cut, cut.chunks, cut.chunk, cut.block, rows)
        made: Step = bound(text)(kernel, *cut_in, self.kind, *extents, *makers, *whole)
        return made


class _Blocks:
    """NumPy code on blocks of rows, called as a kernel is."""

    def __init__(self, function: Callable[..., Any], step: Pass, sizes: Sizes) -> None:
        self.function = function
        self.step = step
        self.given = [sizes.get(n) for n in step.program.given]  # None: as many rows as the block has

    def call(self, first: int, last: int, chunk: int, block: int, rows: int, *arrays: Any) -> None:
        """Run the chunks from `first` to `last`, of so many rows, block by block. `arrays` end with the results."""
        taken, results = arrays[: len(self.step.takes)], arrays[len(self.step.takes) :]
        for c in range(first, last):
            for lo in range(c * chunk, min(rows, (c + 1) * chunk) or 1, block):
                hi = min(rows, (c + 1) * chunk, lo + block)
                parts = [
                    a if axis is None else np.moveaxis(a[lo:hi], 0, axis)
                    for a, axis in zip(taken, self.step.axes, strict=True)
                ]
                found = self.function(*parts, *(hi - lo if n is None else n for n in self.given))
                self._take(results, found if len(results) > 1 else (found,), c, lo, hi)

    def _take(self, results: Sequence[Any], found: Sequence[Any], c: int, lo: int, hi: int) -> None:
        for result, value, axis in zip(results, found, self.step.results, strict=True):
            if axis is None:
                result[c] += value
            else:
                result[lo:hi] = np.moveaxis(value, axis, 0)
