"""A plan of passes over rows -> a function of arrays: compiled kernels, and BLAS by blocks for products of matrices.

Little data goes through one function of the whole program, with rows or without. Much data without independent rows,
and arrays of more than one type, run as the plain NumPy program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.assembly import helpers
from chainrule.compile.axes import reads_less, told_apart
from chainrule.compile.calls import bound, key_function, plan_text
from chainrule.compile.dialects import IN_NUMPY
from chainrule.compile.execute import run_text
from chainrule.compile.gram import gram
from chainrule.compile.groups import at_grams, fused
from chainrule.compile.kernel import KINDS
from chainrule.compile.large import Blocks
from chainrule.compile.layout import Layout, Sizes, Step
from chainrule.compile.nonempty import sizes_above_zero
from chainrule.compile.outer_product import outer_past_caches
from chainrule.compile.program import ARITHMETIC, Load, Program
from chainrule.compile.reuse import Reused
from chainrule.compile.rows import Pass, Plan, Stretch, row_plan
from chainrule.compile.rows_within import rows_within
from chainrule.compile.source import function_text, made_names
from chainrule.compile.ways import LAST_CACHE, NARROW, Kernels
from chainrule.compile.whole import on_little_data
from chainrule.expression.extent import extent_of

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
        planned, count = self.plan.program if self.plan else program, len(program.arguments) + len(program.given)
        actions = [step.action for step in planned.instructions]
        loads = [(k, sources[action.position]) for k, action in enumerate(actions) if isinstance(action, Load)]
        self._text = plan_text(self.plan, count, loads) if self.plan else ""
        self._sources = [*sources, *range(len(program.arguments), count)]
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
        sizes = self.plan.program.extents([arguments[k] for k in self._sources])
        if any(extent_of(n, sizes) == 0 for n in sizes_above_zero(self.plan.program)):
            return self.run
        steps = [step.laid_out(kind, sizes, sizes[self.plan.size], by_columns) for step in self.steps]
        once = [step.step if isinstance(step, _Once) else None for step in self.steps]
        given = [[sizes[n] for n in step.program.given] if step else [] for step in once]
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
    return run_text(text, "program", {**helpers(program, IN_NUMPY), "np": np, **kernels_for_numpy()})


def kernels_for_numpy() -> dict[str, Any]:
    """Return what NumPy code may call beside kernels, by its names there, for one program."""
    return {"in_blocks": Blocks(outer_past_caches), "gram": gram}


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
        # arithmetic is compiled in some 20 ms, and as a function of its own called in the time of one of NumPy's
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
        self.kernels = Kernels(step)
        self._inner = rows_within(step)
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
        results = [prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is not None]
        widths = [prod(extent_of(n, sizes) for n in shape) for shape in self._widths] + results
        sums = sum(prod(shape) for shape, axis in zip(shapes, step.results, strict=True) if axis is None)
        layout = Layout(step, kind, sizes, shapes, max(1, sum(widths)) * kind.itemsize, 8 * sums, self.rooms)
        far = rows * max(results, default=0) * kind.itemsize > LAST_CACHE
        way = self.kernels.way(kind, sizes, by_columns, min(widths, default=1) <= NARROW, rows, far)
        if way is not None:
            return layout.through_kernel(way.kernel, way.parameters, way.by_rows, way.in_step, far, rows)
        inner = self._inner.laid_out(layout, rows) if self._inner else None
        return inner or layout.through_blas(self._function, rows)
