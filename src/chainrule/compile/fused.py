"""A plan of passes over rows -> a function of arrays: numba kernels, and BLAS block by block for products of matrices.

What has no independent rows, and arrays of more than one type, run as the plain NumPy program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.assembly import helpers
from chainrule.compile.blocks import Cut, over_chunks
from chainrule.compile.dialects import IN_NUMPY
from chainrule.compile.execute import run_text
from chainrule.compile.kernel import Kernel, kernel_of
from chainrule.compile.kernel_files import kernel_module
from chainrule.compile.program import Load, Program
from chainrule.compile.rows import Pass, Stretch, row_plan
from chainrule.compile.source import function_text, made_names
from chainrule.expression.extent import extent_of

KINDS = {np.dtype(np.float64): "float64", np.dtype(np.float32): "float32"}
SHORT = 32  # entries of a row below which the rows are the inner loop
BLOCK = 1 << 16  # bytes of a block that a kernel takes: it stays in the first cache
BLAS_BLOCK = 1 << 20  # bytes of a block that goes through BLAS: it stays in the second cache
WHOLE = 1 << 22  # bytes up to which NumPy does all rows at once
FEWEST, MOST = 16, 1024  # rows of a block

Values = list[Any]
Sizes = Mapping[str, int]


class Fused:
    """A program that goes over independent rows block by block, called like the plain function `run` that it replaces.

    `plan` says how; it is None if there are no independent rows.
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

    def __call__(self, *arguments: Any) -> Any:
        """Return the outputs."""
        if self.plan is None or not _are_alike(arguments[: len(self.program.arguments)]):
            return self.run(*arguments)
        values: Values = [None] * len(self.program.instructions)
        for k, position in self._loads:
            values[k] = arguments[position]
        sizes = self._sizes(arguments)
        for step in self.steps:
            step(values, sizes)
        outputs = tuple(values[k] for k in self.program.outputs)
        return outputs if len(outputs) > 1 else outputs[0]

    def _sizes(self, arguments: Sequence[Any]) -> Sizes:
        given = dict(zip(self.program.given, arguments[len(self.program.arguments) :], strict=True))
        places = {n: place for n, place in self._places.items() if place is not None}
        return given | {n: arguments[k].shape[axis] for n, (k, axis) in places.items()}


def _are_alike(arrays: Sequence[Any]) -> bool:
    """True for arrays and numbers of one type that kernels know."""
    kind = arrays[0].dtype
    return kind in KINDS and all(a.dtype == kind and (not a.ndim or a.flags.aligned) for a in arrays)


def _function(program: Program) -> Callable[..., Any]:
    text = function_text(program, made_names(program), "program")
    return run_text(text, "program", {**helpers(program, IN_NUMPY), "np": np})


class _Once:
    """What is free of rows: NumPy code that runs once."""

    def __init__(self, step: Stretch) -> None:
        self.step = step
        self._function = _function(step.program)

    def __call__(self, values: Values, sizes: Sizes) -> None:
        step = self.step
        given = [sizes[n] for n in step.program.given]
        found = self._function(*[values[k] for k in step.takes], *given)
        for k, value in zip(step.gives, found if len(step.gives) > 1 else (found,), strict=True):
            values[k] = value


class RowPass:
    """One pass over the rows."""

    def __init__(self, step: Pass) -> None:
        self.step = step
        self._function = _function(step.program)
        self._kernels: dict[tuple[str, bool], Any] = {}
        self.symbols = step.program.arguments
        outputs = [step.program.instructions[k] for k in step.program.outputs]
        self._shapes = [tuple(n for n in output.shape if n != step.size) for output in outputs]
        self._row = next(k for k, axis in enumerate(step.axes) if axis is not None)

    def __call__(self, values: Values, sizes: Sizes) -> None:
        """Compute what the pass gives and put it where it belongs."""
        step = self.step
        arrays = [values[k] for k in step.takes]
        kind = arrays[self._row].dtype
        rows = arrays[self._row].shape[step.axes[self._row] or 0]
        arrays = [_rows_first(a, axis) for a, axis in zip(arrays, step.axes, strict=True)]
        shapes = [tuple(extent_of(n, sizes) for n in shape) for shape in self._shapes]
        widths = [prod(a.shape[1:]) for a, axis in zip(arrays, step.axes, strict=True) if axis is not None]
        widths += [prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is not None]
        sums = sum(prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is None)
        task = _Task(step, arrays, kind, rows, sizes, shapes, max(1, sum(widths)) * kind.itemsize, 8 * sums)
        lanes = 1 < max(widths) < SHORT
        kernel, parameters = self._kernel(KINDS[kind], lanes)
        results = task.through_kernel(kernel, parameters) if kernel else task.through_blas(self._function)
        for k, value in zip(step.gives, results, strict=True):
            values[k] = value

    def _kernel(self, kind: str, lanes: bool) -> tuple[Callable[..., Any] | None, tuple[str, ...]]:
        if (kind, lanes) not in self._kernels:
            written: Kernel | None = kernel_of(self.step, kind, lanes)
            found = (None, ()) if written is None else (kernel_module(written.text).kernel, written.sizes)
            self._kernels[kind, lanes] = found
        known: tuple[Callable[..., Any] | None, tuple[str, ...]] = self._kernels[kind, lanes]
        return known


def _rows_first(array: Any, axis: int | None) -> Any:
    return array if not axis else np.moveaxis(array, axis, 0)


class _Task:
    """One call of a pass: its arrays with the rows first, and what is known of their sizes."""

    def __init__(
        self,
        step: Pass,
        arrays: list[Any],
        kind: np.dtype[Any],
        rows: int,
        sizes: Sizes,
        shapes: list[tuple[int, ...]],
        row_bytes: int,
        sum_bytes: int,
    ) -> None:
        self.step = step
        self.arrays = arrays
        self.kind = kind
        self.rows = rows
        self.sizes = sizes
        self.shapes = shapes
        self.row_bytes = row_bytes
        self.sum_bytes = sum_bytes

    def through_kernel(self, kernel: Callable[..., Any], parameters: Sequence[str]) -> list[Any]:
        """Run the kernel over all chunks."""
        block = max(FEWEST, min(MOST, BLOCK // self.row_bytes)) // 8 * 8
        cut = Cut.of(self.rows, self.row_bytes, self.sum_bytes, block)
        results, whole = self._results(cut)
        extents = [extent_of(n, self.sizes) for n in parameters]
        rest = (cut.chunk, cut.block, self.rows, *extents, *self.arrays, *results)
        over_chunks(lambda first, last: kernel(first, last, *rest), cut)
        return self._finished(results, whole)

    def through_blas(self, function: Callable[..., Any]) -> list[Any]:
        """Run the NumPy function on blocks."""
        total = self.rows * self.row_bytes
        block = self.rows if total <= WHOLE else max(256, BLAS_BLOCK // self.row_bytes)
        cut = Cut.of(self.rows, self.row_bytes, self.sum_bytes, max(1, block))
        results, whole = self._results(cut)
        axes, given = self.step.axes, [self.sizes[n] for n in self.step.program.given]
        backs = [None if axis is None else axis for axis in axes]

        def work(first: int, last: int) -> None:
            for c in range(first, last):
                for lo in range(c * cut.chunk, min(self.rows, (c + 1) * cut.chunk) or 1, cut.block):
                    hi = min(self.rows, (c + 1) * cut.chunk, lo + cut.block)
                    parts = [
                        a if axis is None else np.moveaxis(a[lo:hi], 0, axis)
                        for a, axis in zip(self.arrays, backs, strict=True)
                    ]
                    found = function(*parts, *given)
                    self._take(results, found if len(results) > 1 else (found,), c, lo, hi)

        over_chunks(work, cut)
        return self._finished(results, whole)

    def _take(self, results: Sequence[Any], found: Sequence[Any], c: int, lo: int, hi: int) -> None:
        for result, value, axis in zip(results, found, self.step.results, strict=True):
            if axis is None:
                result[c] += value
            else:
                result[lo:hi] = np.moveaxis(value, axis, 0)

    def _results(self, cut: Cut) -> tuple[list[Any], list[Any]]:
        """Return the arrays to write to, rows first, and those arrays with their axes in place."""
        results: list[Any] = []
        whole: list[Any] = []
        for shape, axis in zip(self.shapes, self.step.results, strict=True):
            if axis is None:
                results.append(np.zeros((cut.chunks, *shape)))
                whole.append(None)
            else:
                whole.append(np.empty((*shape[:axis], self.rows, *shape[axis:]), self.kind))
                results.append(_rows_first(whole[-1], axis))
        return results, whole

    def _finished(self, results: Sequence[Any], whole: Sequence[Any]) -> list[Any]:
        found = []
        for result, rows in zip(results, whole, strict=True):
            if rows is not None:
                found.append(rows)
            else:
                total = result[0] if len(result) == 1 else result.sum(axis=0)
                found.append(self.kind.type(total) if not total.ndim else total.astype(self.kind, copy=False))
        return found
