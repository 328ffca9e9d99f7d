"""A plan of passes over rows -> a function of arrays: compiled kernels, and BLAS by blocks for products of matrices.

Little data goes through one function of the whole program, with rows or without. Much data without independent rows,
and arrays of more than one type, run as the plain NumPy program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.arguments import extents_of
from chainrule.compile.assembly import helpers
from chainrule.compile.axes import reads_less, told_apart
from chainrule.compile.calls import bound, key_function, plan_text
from chainrule.compile.dialects import IN_NUMPY
from chainrule.compile.execute import run_text
from chainrule.compile.gram import gram
from chainrule.compile.groups import at_grams, fused
from chainrule.compile.kernel import KINDS, UNROLLED, kernel_of
from chainrule.compile.large import Blocks
from chainrule.compile.layout import Layout, Sizes, Step
from chainrule.compile.machine import Kernel
from chainrule.compile.nest import Stride
from chainrule.compile.nonempty import sizes_above_zero
from chainrule.compile.program import Combine, Constant, Contract, Divide, Length, Load, Program
from chainrule.compile.reuse import Reused
from chainrule.compile.rows import Pass, Plan, Stretch, row_plan
from chainrule.compile.source import function_text, made_names
from chainrule.compile.whole import on_little_data
from chainrule.expression.extent import extent_of

SHORT = 32  # entries of an axis below which the rows are the inner loop
IN_TURN = range(1 << 9, (1 << 12) + 1)  # bytes of a row for which rows in turn come from memory as one stream
STREAMS = Stride(8)  # longer rows at a time
FIRST_CACHE = 3 << 13  # bytes of a first cache that a row and what it is multiplied by can have
LAST_CACHE = 1 << 23  # bytes of data that stay in a cache from one call to the next
NARROW = 64  # columns up to which products of matrices within a block of rows are loops
# actions that are compiled in some 20 ms, and as functions of their own are called in the time of one of NumPy's
ARITHMETIC = Load | Length | Constant | Contract | Combine | Divide
REMEMBERED = 64  # shapes for which a call is laid out once


class Fused:
    """A program that goes over independent rows block by block, called like the plain function `run` that it replaces.

    `plan` says how; it is None if there are no independent rows. What follows from the shapes alone is worked out at
    the first call with these shapes.
    """

    def __init__(self, run: Callable[..., Any], program: Program) -> None:
        self.run = run
        self.program = program
        self.plan, sources = _planned(program)
        steps = self.plan.steps if self.plan else ()
        self.steps = [RowPass(step) if isinstance(step, Pass) else _Once(step) for step in steps]
        planned = self.plan.program if self.plan else program
        actions = [step.action for step in planned.instructions]
        loads = [(k, sources[action.position]) for k, action in enumerate(actions) if isinstance(action, Load)]
        self._text = plan_text(self.plan, len(program.arguments) + len(program.given), loads) if self.plan else ""
        self._sources = sources
        self._count = len(program.arguments)
        size = self.plan.size if self.plan else ""
        matrices = [k for k, s in enumerate(planned.arguments) if s.ndim == 2 and s.shape[0] == size != s.shape[1]]
        around = _AroundGrams.of(program) if self.plan else None
        self._goes_by_rows = self.plan is not None and around is None
        self._is_by_columns = bool(matrices)  # the order of a matrix in memory decides the loops
        ordered = sources[matrices[0]] if matrices else None
        self._key: Callable[..., Any] = key_function(program, ordered) if self._goes_by_rows else _none
        self._known: dict[tuple[Any, ...] | None, Step] = {None: around or run}
        self._on_little_data: Callable[..., Any] = self._first_called

    def __call__(self, *arguments: Any) -> Any:
        """Return the outputs."""
        found = self._on_little_data(*arguments)
        if found is not None:
            return found
        key = self._key(*arguments)
        step = self._known.get(key)
        return (step or self._remembered(key, arguments))(*arguments)

    def _first_called(self, *arguments: Any) -> Any:
        self._on_little_data = on_little_data(self.program, self._goes_by_rows)
        return self._on_little_data(*arguments)

    def _remembered(self, key: tuple[Any, ...], arguments: Sequence[Any]) -> Step:
        if len(self._known) > REMEMBERED:
            self._known = {None: self._known[None]}
        self._known[key] = step = self._laid_out(arguments, self._is_by_columns and key[-1])
        return step

    def _laid_out(self, arguments: Sequence[Any], by_columns: bool) -> Step:
        """Return the function of arrays like these."""
        kind = arguments[0].dtype
        if self.plan is None or kind not in KINDS:
            return self.run
        own = (*(arguments[k] for k in self._sources), *arguments[self._count :])
        sizes = extents_of(self.plan.program, own)
        if any(extent_of(n, sizes) == 0 for n in sizes_above_zero(self.plan.program)):
            return self.run
        steps = [step.laid_out(kind, sizes, sizes[self.plan.size], by_columns) for step in self.steps]
        given = [[sizes[n] for n in step.step.program.given] for step in self.steps]
        joined: Step = bound(self._text)(*steps, *given)
        return joined


def _none(*arguments: Any) -> None:
    """There is no key: all arguments go the same way."""


def _planned(program: Program) -> tuple[Plan | None, Sequence[int]]:
    """Return the plan, and which argument each argument of its program is."""
    plan, sources = row_plan(program), range(len(program.arguments))
    if plan is not None:
        return plan, sources
    for apart in told_apart(program):
        plan = row_plan(apart.program, columns=True)
        if plan is not None and reads_less(plan):
            return plan, apart.sources
    return None, sources


def _function(program: Program) -> Callable[..., Any]:
    """Return the program as NumPy code."""
    text = function_text(fused(program), made_names(program), "program")
    return run_text(text, "program", {**helpers(program, IN_NUMPY), "np": np, "in_blocks": Blocks(), "gram": gram})


class _AroundGrams:
    """Matrices times themselves, which go over the rows by themselves, and what comes before them, a program of rows.

    That calls no BLAS: its threads go on for a while when they have nothing to do, beside those of the tiles.
    """

    def __init__(self, before: Program, rest: Program) -> None:
        self._before = Fused(_function(before), before) if before.outputs else None
        self._rest = _function(rest)
        self._count, self._several = len(before.arguments), len(before.outputs) > 1

    @classmethod
    def of(cls, program: Program) -> _AroundGrams | None:
        """Return the function of the program, or None if no matrix is multiplied by itself."""
        apart = at_grams(program)
        return None if apart is None else cls(*apart)

    def __call__(self, *arguments: Any) -> Any:
        """Return the outputs."""
        if self._before is None:
            return self._rest(*arguments)
        found = self._before(*arguments)
        values = found if self._several else (found,)
        return self._rest(*arguments[: self._count], *values, *arguments[self._count :])


class _Once:
    """What is free of rows: code that runs once, compiled if it is arithmetic on little data, else NumPy's."""

    def __init__(self, step: Stretch) -> None:
        self.step = step
        self._function = _function(step.program)
        program = step.program
        has_arrays = any(symbol.shape for symbol in program.arguments)  # Python is fast at numbers
        self._is_compiled = has_arrays and all(isinstance(s.action, ARITHMETIC) for s in program.instructions)
        self._run: Step | None = None

    def laid_out(self, kind: np.dtype[Any], sizes: Sizes, rows: int, by_columns: bool) -> Step:
        """Return the function of what the stretch takes, and of the sizes that it is given."""
        if self._run is None:
            plain = self._function
            self._run = on_little_data(self.step.program, False, plain) if self._is_compiled else plain
        return self._run


class RowPass:
    """One pass over the rows."""

    def __init__(self, step: Pass) -> None:
        self.step = step
        self._function = _function(step.program)
        self._kernels: dict[tuple[Any, ...], tuple[Kernel, tuple[str, ...]] | None] = {}
        outputs = [step.program.instructions[k] for k in step.program.outputs]
        self.rooms = [Reused() for _ in outputs]
        self._shapes = [tuple(n for n in output.shape if n != step.size) for output in outputs]
        self._widths = [
            tuple(n for n in symbol.shape if n != step.size)
            for symbol, axis in zip(step.program.arguments, step.axes, strict=True)
            if axis is not None
        ]

    def laid_out(self, kind: np.dtype[Any], sizes: Sizes, rows: int, by_columns: bool) -> Step:
        """Return the function that runs the pass over arrays of these sizes."""
        step = self.step
        shapes = [tuple(extent_of(n, sizes) for n in shape) for shape in self._shapes]
        widths = [prod(extent_of(n, sizes) for n in shape) for shape in self._widths]
        widths += [prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is not None]
        sums = sum(prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is None)
        layout = Layout(step, kind, sizes, shapes, max(1, sum(widths)) * kind.itemsize, 8 * sums, self.rooms)
        extents = self._extents(sizes)
        for wide in self._ways(extents, by_columns, min(widths) <= NARROW):
            found = self._kernel(KINDS[kind], wide, extents, rows)
            if found is not None:
                return layout.through_kernel(*found, wide >= extents.keys(), rows)
        return layout.through_blas(self._function, rows)

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
        self, kind: str, wide: frozenset[str], extents: Mapping[str, int], rows: int
    ) -> tuple[Kernel, tuple[str, ...]] | None:
        size = np.dtype(kind).itemsize
        steps = {n: _stride_of(extent) for n, extent in extents.items() if n not in wide}
        steps |= {n: _added_of(extents[n] * size) for n in sorted(wide) if n != self.step.size}
        beside = {n: _beside_of(extents[n] * size, self._vectors(n), rows) for n in sorted(wide) if n != self.step.size}
        key = (kind, wide, *steps.values(), *beside.values())
        if key not in self._kernels:
            written = kernel_of(self.step, kind, wide, steps, beside)
            self._kernels[key] = None if written is None else (Kernel(written.text), written.sizes)
        return self._kernels[key]

    def _vectors(self, size: str) -> int:
        """How many vectors there are that a row of this size is multiplied by."""
        pairs = zip(self.step.program.arguments, self.step.axes, strict=True)
        return sum(axis is None and symbol.shape == (size,) for symbol, axis in pairs)


def _stride_of(extent: int) -> Stride:
    """How many steps at a time a short loop takes: as many as leave the smallest rest."""
    steps = 4 if extent > NARROW else min((1,) if extent == 1 else (4, 5, 3, 2), key=lambda u: extent % u)
    return Stride(steps, extent % steps == 0)


def _added_of(row_bytes: int) -> Stride:
    """How many rows that come from memory are added to sums at a time.

    Shorter rows than those in turn cost less than the sums that they are added to, and longer ones are streams of their
    own.
    """
    if row_bytes in IN_TURN:
        return Stride(1)
    return UNROLLED if row_bytes < IN_TURN.start else STREAMS


def _beside_of(row_bytes: int, vectors: int, rows: int) -> Stride:
    """How many rows are multiplied by vectors at a time, side by side.

    From memory one row after the other comes fastest. But where the vectors do not stay in a first cache beside a row,
    they are read for each, and then fewer times; and so they are where a cache has all rows.
    """
    stays = row_bytes * (1 + vectors) <= FIRST_CACHE
    return Stride(1) if stays and row_bytes * rows > LAST_CACHE else STREAMS
