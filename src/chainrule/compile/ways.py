"""Which kernel a pass takes at which sizes: what the inner loops are, and how many steps at a time the others take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compile.frame import Around
from chainrule.compile.kernel import KINDS, UNROLLED, kernel_of
from chainrule.compile.layout import Sizes
from chainrule.compile.machine import Kernel
from chainrule.compile.nest import Stride
from chainrule.compile.rows import Pass

SHORT = 32  # entries of an axis below which the rows are the inner loop
IN_TURN = range(1 << 9, (1 << 12) + 1)  # bytes of a row for which rows in turn come from memory as one stream
STREAMS = Stride(8)  # longer rows at a time
IN_STEP = range((1 << 11) + 1, (1 << 15) + 1)  # bytes of a row of which three tiles have room in a second cache
FIRST_CACHE = 3 << 13  # bytes of a first cache that a row and what it is multiplied by can have
SUMS = 12  # vectors of sums that stay in registers, beside two that are multiplied
LAST_CACHE = 1 << 23  # bytes of data that stay in a cache from one call to the next
NARROW = 64  # columns up to which products of matrices within a block of rows are loops


@dataclass(frozen=True, slots=True)
class Way:
    """A kernel, the sizes that it is given, whether products go over rows in step, and rows lie in it as in memory."""

    kernel: Kernel
    parameters: tuple[str, ...]
    in_step: bool
    by_rows: bool


class Kernels:
    """The kernels of one pass, each made when it is first needed."""

    def __init__(self, step: Pass, around: Around | None = None) -> None:
        self.step = step
        self.around = around
        self.made: dict[tuple[Any, ...], tuple[Kernel, tuple[str, ...], bool] | None] = {}

    def way(
        self, kind: np.dtype[Any], sizes: Sizes, by_columns: bool, narrow: bool, rows: int, far: bool = False
    ) -> Way | None:
        """Return the kernel for arrays of this type and these sizes, or None if there is none.

        `by_columns` says that the columns of a matrix lie in one piece, `narrow` that an argument or a result has so
        few columns that products of matrices may be loops. `rows` is how many there are. `far` says that no cache
        has room for the results.
        """
        extents = self._extents(sizes)
        for wide in self._ways(extents, by_columns, narrow):
            found = self._kernel(KINDS[kind], wide, extents, rows, far)
            if found is not None:
                return Way(*found, wide >= extents.keys())
        return None

    def _extents(self, sizes: Sizes) -> dict[str, int]:
        """The named sizes of rows and of what is free of them, in a fixed order."""
        steps = self.step.program.instructions
        return {
            n: sizes[n] for n in sorted({n for step in steps for n in step.shape if isinstance(n, str) and n in sizes})
        }

    @staticmethod
    def _ways(extents: Mapping[str, int], by_columns: bool, narrow: bool) -> Iterator[frozenset[str]]:
        """Yield the sizes to be wide: all long ones, the longest alone if products of matrices are for loops, none."""
        long = sorted((n for n, extent in extents.items() if extent >= SHORT), key=lambda n: extents[n])
        if not by_columns:
            yield frozenset(long)
        if narrow and len(long) > 1 and not by_columns:
            yield frozenset(long[-1:])
        if narrow or by_columns:
            yield frozenset()

    def _kernel(
        self, kind: str, wide: frozenset[str], extents: Mapping[str, int], rows: int, far: bool
    ) -> tuple[Kernel, tuple[str, ...], bool] | None:
        size = np.dtype(kind).itemsize
        steps = {n: _stride_of(extent) for n, extent in extents.items() if n not in wide}
        steps |= {n: _added_of(extents[n] * size, rows) for n in sorted(wide) if n != self.step.size}
        beside = {n: _beside_of(extents[n] * size, self._vectors(n), rows) for n in sorted(wide) if n != self.step.size}
        key = (kind, wide, far, *steps.values(), *beside.values())
        if key not in self.made:
            written = kernel_of(self.step, kind, wide, steps, beside, self.around, far)
            self.made[key] = None if written is None else (Kernel(written.text), written.sizes, written.in_step)
        return self.made[key]

    def _vectors(self, size: str) -> int:
        """How many vectors there are that a row of this size is multiplied by."""
        pairs = zip(self.step.program.arguments, self.step.axes, strict=True)
        return sum(axis is None and symbol.shape == (size,) for symbol, axis in pairs)


def _stride_of(extent: int) -> Stride:
    """How many steps at a time a short loop takes: as many as leave the smallest rest."""
    steps = 4 if extent > NARROW else min((1,) if extent == 1 else (4, 5, 3, 2), key=lambda u: extent % u)
    return Stride(steps, extent % steps == 0)


def _added_of(row_bytes: int, rows: int) -> Stride:
    """How many rows that come from memory are added to sums at a time.

    Shorter rows than those in turn cost less than the sums that they are added to, and longer ones are streams of their
    own. Where no cache has all rows, a product of them goes in step with the sum.
    """
    own = Stride(1) if row_bytes in IN_TURN else UNROLLED if row_bytes < IN_TURN.start else STREAMS
    return own._replace(in_step=row_bytes in IN_STEP and row_bytes * rows > LAST_CACHE)


def _beside_of(row_bytes: int, vectors: int, rows: int) -> Stride:
    """How many rows are multiplied by vectors at a time, side by side.

    From memory one row after the other comes fastest. But where the vectors do not stay in a first cache beside a row,
    they are read for each, and then fewer times; and so they are where a cache has all rows. Each row has a sum for
    every vector, and all these stay in registers: 8 rows by 2 vectors took 1.3 times as long as 4 by 2.
    """
    stays = row_bytes * (1 + vectors) <= FIRST_CACHE
    if stays and row_bytes * rows > LAST_CACHE:
        return Stride(1)
    return Stride(next((at_once for at_once in (8, 4, 2) if at_once * vectors <= SUMS), 1))
