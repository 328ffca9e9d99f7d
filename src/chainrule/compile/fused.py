"""A plan of passes over rows -> a function of arrays: numba kernels, and BLAS block by block for products of matrices.

What has no independent rows, and arrays of more than one type, run as the plain NumPy program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.assembly import helpers
from chainrule.compile.dialects import IN_NUMPY
from chainrule.compile.execute import run_text
from chainrule.compile.gram import gram
from chainrule.compile.groups import fused
from chainrule.compile.kernel import kernel_of
from chainrule.compile.large import in_blocks
from chainrule.compile.layout import Layout, Sizes, Step, Values
from chainrule.compile.machine import Kernel
from chainrule.compile.nest import Stride
from chainrule.compile.program import Gram, Load, Program
from chainrule.compile.reuse import Reused
from chainrule.compile.rows import Pass, Stretch, row_plan
from chainrule.compile.source import function_text, made_names
from chainrule.compile.whole import on_little_data
from chainrule.expression.extent import extent_of

KINDS = {np.dtype(np.float64): "float64", np.dtype(np.float32): "float32"}
SHORT = 32  # entries of an axis below which the rows are the inner loop
NARROW = 64  # columns up to which products of matrices within a block of rows are loops
REMEMBERED = 64  # shapes for which a call is laid out once


class Fused:
    """A program that goes over independent rows block by block, called like the plain function `run` that it replaces.

    `plan` says how; it is None if there are no independent rows. What follows from the shapes alone is worked out at
    the first call with these shapes.
    """

    def __init__(self, run: Callable[..., Any], program: Program) -> None:
        self.run = run
        self.program = program
        self.plan = row_plan(program)
        steps = self.plan.steps if self.plan else ()
        self.steps = [RowPass(step) if isinstance(step, Pass) else _Once(step) for step in steps]
        actions = [step.action for step in program.instructions]
        self._loads = [(k, action.position) for k, action in enumerate(actions) if isinstance(action, Load)]
        self._places = {size: program.place_of(size) for size in program.sizes}
        self._count = len(program.arguments)
        size = self.plan.size if self.plan else ""
        matrices = [k for k, s in enumerate(program.arguments) if s.ndim == 2 and s.shape[0] == size != s.shape[1]]
        self._widest = matrices[0] if matrices else None  # the argument whose order of memory decides the loops
        # half of a matrix times itself is computed by `gram.gram`, which goes over all rows by itself
        self._is_symmetric = any(isinstance(step.action, Gram) for step in fused(program).instructions)
        self._known: dict[tuple[Any, ...], list[Step]] = {}
        self._on_little_data: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Return the outputs."""
        if self.plan is None or self._is_symmetric:
            return self.run(*arguments)
        if self._on_little_data is None:
            self._on_little_data = on_little_data(self.program)
        found = self._on_little_data(*arguments)
        return self._by_rows(arguments) if found is None else found

    def _by_rows(self, arguments: tuple[Any, ...]) -> Any:
        key: tuple[Any, ...] = tuple([(a.dtype, a.shape) for a in arguments[: self._count]]), arguments[self._count :]
        widest = self._widest
        if widest is not None:
            array = arguments[widest]
            key = (*key, array.strides[0] == array.itemsize)
        steps = self._known.get(key)
        if steps is None:
            steps = self._remembered(key, arguments)
        if not steps:
            return self.run(*arguments)
        values: Values = [None] * len(self.program.instructions)
        for k, position in self._loads:
            values[k] = arguments[position]
        for step in steps:
            step(values)
        outputs = self.program.outputs
        return values[outputs[0]] if len(outputs) == 1 else tuple([values[k] for k in outputs])

    def _remembered(self, key: tuple[Any, ...], arguments: Sequence[Any]) -> list[Step]:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = self._laid_out(arguments, key[-1] is True)
        return self._known[key]

    def _laid_out(self, arguments: Sequence[Any], by_columns: bool) -> list[Step]:
        """Return the steps for arrays like these; none if they are for the plain function."""
        kinds = {a.dtype for a in arguments[: self._count]}
        if self.plan is None or len(kinds) != 1 or not kinds <= KINDS.keys():
            return []
        (kind,), sizes = kinds, self._sizes(arguments)
        return [step.laid_out(kind, sizes, sizes[self.plan.size], by_columns) for step in self.steps]

    def _sizes(self, arguments: Sequence[Any]) -> Sizes:
        given = dict(zip(self.program.given, arguments[self._count :], strict=True))
        places = {n: place for n, place in self._places.items() if place is not None}
        return given | {n: arguments[k].shape[axis] for n, (k, axis) in places.items()}


def _function(program: Program) -> Callable[..., Any]:
    """Return the program as NumPy code."""
    text = function_text(fused(program), made_names(program), "program")
    return run_text(text, "program", {**helpers(program, IN_NUMPY), "np": np, "in_blocks": in_blocks, "gram": gram})


class _Once:
    """What is free of rows: NumPy code that runs once."""

    def __init__(self, step: Stretch) -> None:
        self.step = step
        self._function = _function(step.program)

    def laid_out(self, kind: np.dtype[Any], sizes: Sizes, rows: int, by_columns: bool) -> Step:
        """Return the function that puts the values where they belong."""
        takes, gives, function = self.step.takes, self.step.gives, self._function
        given = [sizes[n] for n in self.step.program.given]
        single = gives[0] if len(gives) == 1 else None

        def run(values: Values) -> None:
            found = function(*[values[k] for k in takes], *given)
            if single is not None:
                values[single] = found
            else:
                for k, value in zip(gives, found, strict=True):
                    values[k] = value

        return run


class RowPass:
    """One pass over the rows."""

    def __init__(self, step: Pass) -> None:
        self.step = step
        self._function = _function(step.program)
        self._kernels: dict[tuple[Any, ...], tuple[Callable[..., Any], tuple[str, ...]] | None] = {}
        outputs = [step.program.instructions[k] for k in step.program.outputs]
        self.rooms = [Reused() for _ in outputs]
        self._shapes = [tuple(n for n in output.shape if n != step.size) for output in outputs]
        self._widths = [
            tuple(n for n in symbol.shape if n != step.size)
            for symbol, axis in zip(step.program.arguments, step.axes, strict=True)
            if axis is not None
        ]

    def laid_out(self, kind: np.dtype[Any], sizes: Sizes, rows: int, by_columns: bool) -> Step:
        """Return the function that runs the pass over arrays of these sizes and puts what it gives where it belongs."""
        step = self.step
        shapes = [tuple(extent_of(n, sizes) for n in shape) for shape in self._shapes]
        widths = [prod(extent_of(n, sizes) for n in shape) for shape in self._widths]
        widths += [prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is not None]
        sums = sum(prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is None)
        layout = Layout(step, kind, sizes, shapes, max(1, sum(widths)) * kind.itemsize, 8 * sums, self.rooms)
        extents = self._extents(sizes)
        for wide in self._ways(extents, by_columns, min(widths) <= NARROW):
            found = self._kernel(KINDS[kind], wide, extents)
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
        self, kind: str, wide: frozenset[str], extents: Mapping[str, int]
    ) -> tuple[Callable[..., Any], tuple[str, ...]] | None:
        steps = {n: _stride_of(extent) for n, extent in extents.items() if n not in wide}
        key = (kind, wide, *steps.values())
        if key not in self._kernels:
            written = kernel_of(self.step, kind, wide, steps)
            self._kernels[key] = None if written is None else (Kernel(written.text), written.sizes)
        return self._kernels[key]


def _stride_of(extent: int) -> Stride:
    """How many steps at a time a short loop takes: as many as leave the smallest rest."""
    steps = 4 if extent > NARROW else min((1,) if extent == 1 else (4, 5, 3, 2), key=lambda u: extent % u)
    return Stride(steps, extent % steps == 0)
