"""What a call runs, as Python that says no more than that: the key of what follows from shapes, a plan, a pass.

Around a small kernel, loops over steps, lists of values and questions whose answer the shapes give take as long as it.
So these functions are written like the programs are: once for each program, for any sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.compile.blocks import over_chunks
from chainrule.compile.execute import run_text
from chainrule.compile.program import Program
from chainrule.compile.rows import Pass, Plan, Stretch
from chainrule.compile.source import made_names, parameters, unpacked_sizes
from chainrule.expression.extent import is_derived

Run = Callable[..., Any]
KEPT = 256  # texts whose functions are kept


@lru_cache(KEPT)
def bound(text: str) -> Run:
    """Return the function `bound` of a text, which makes a function of what follows from sizes."""
    return run_text(text, "bound", {"over_chunks": over_chunks, "double": np.dtype(np.float64)})


def key_function(program: Program, ordered: int | None) -> Run:
    """Return a function of arguments that fit: their type and their sizes, None if they have several types.

    With `ordered`, the number of a matrix, the last part of the key says whether its columns lie in one piece.
    """
    names = made_names(program)
    first, *others = names.arguments
    pairs = zip(names.arguments, program.arguments, strict=True)
    shapes = [f"{own}.shape" for own, symbol in pairs if any(map(is_derived, symbol.shape))]
    key = ["kind", *(names.sizes[n] for n in program.sizes), *shapes]
    key += [] if ordered is None else [f"{names.arguments[ordered]}.strides[0] == {names.arguments[ordered]}.itemsize"]
    lines = [*unpacked_sizes(program, names), f"kind = {first}.dtype"]
    if others:
        lines.append(f"if not ({' and '.join(f'{own}.dtype == kind' for own in others)}):\n        return None")
    text = _function("key", parameters(program, names), [*lines, f"return ({', '.join(key)},)"])
    return run_text(text, "key", {})


def _function(name: str, taken: Sequence[str], lines: Sequence[str]) -> str:
    return f"def {name}({', '.join(taken)}):\n" + "".join(f"    {line}\n" for line in lines)


def _bound_text(given: Sequence[str], taken: Sequence[str], lines: Sequence[str]) -> str:
    inner = _function("run", taken, lines).splitlines()
    return _function("bound", given, [*inner, "return run"])


# --- a plan
def plan_text(plan: Plan, count: int, loads: Sequence[tuple[int, int]]) -> str:
    """Write a function of the steps, and of the sizes that each stretch is given: the function of `count` arguments.

    `loads` pairs values of the program with arguments. A step returns its value, or a tuple of several.
    """
    called = {k: f"a{position}" for k, position in loads}
    lines = []
    for n, step in enumerate(plan.steps):
        taken = [called[k] for k in step.takes]
        taken += [f"*given{n}"] if isinstance(step, Stretch) and step.program.given else []
        called |= {k: f"v{k}" for k in step.gives}
        lines.append(f"{', '.join(f'v{k}' for k in step.gives)} = step{n}({', '.join(taken)})")
    lines.append(f"return {', '.join(called[k] for k in plan.program.outputs)}")
    steps = range(len(plan.steps))
    given = [*(f"step{n}" for n in steps), *(f"given{n}" for n in steps)]
    return _bound_text(given, [f"a{k}" for k in range(count)], lines)


# --- a pass
def pass_text(step: Pass, sizes: int, is_double: bool, is_one: bool, is_alone: bool) -> str:
    """Write a function that makes the function of a pass: of its arguments, to what it gives.

    It takes the kernel, the cut and its parts, the number of rows, the kernel's `sizes` sizes and the type; then for
    each result what makes it and its shape. `is_one` says that there is one chunk, `is_alone` that one thread takes all
    of them.
    """
    extents = [f"n{k}" for k in range(sizes)]
    arrays = [f"a{k}" for k in range(len(step.takes))]
    results = range(len(step.gives))
    passed = ", ".join(["chunk", "block", "rows", *extents, *arrays, *(f"q{k}" for k in results)])
    arguments = zip(step.program.arguments, step.axes, strict=True)
    lines = [f"a{k} = a{k}.transpose({to_front(s.ndim, axis)})" for k, (s, axis) in enumerate(arguments) if axis]
    for k in results:
        lines += _room(step, k)
    if is_alone:
        lines.append(f"kernel.call(0, chunks, {passed})")
    else:
        lines.append(f"over_chunks(lambda first, last: kernel.call(first, last, {passed}), cut)")
    lines.append(f"return {', '.join(_given(step, k, is_double, is_one) for k in results)}")
    made = [*(f"make{k}" for k in results), *(f"shape{k}" for k in results)]
    return _bound_text(["kernel", "cut", "chunks", "chunk", "block", "rows", "kind", *extents, *made], arrays, lines)


def _room(step: Pass, k: int) -> list[str]:
    """Make the array that a result is written to: rows first, and whole with its axes in place; or a sum per chunk."""
    axis = step.results[k]
    if axis is None:
        return [f"q{k} = make{k}(shape{k}, double)"]
    made = f"make{k}(shape{k}, kind)"
    ndim = len(step.program.instructions[step.program.outputs[k]].shape)
    return [f"r{k} = {made}", f"q{k} = r{k}.transpose({to_front(ndim, axis)})"] if axis else [f"r{k} = q{k} = {made}"]


def _given(step: Pass, k: int, is_double: bool, is_one: bool) -> str:
    """Write a result: rows, or a sum, which is in float64 until here; a sum of numbers is a number."""
    if step.results[k] is not None:
        return f"r{k}"
    total = f"q{k}[0]" if is_one else f"q{k}.sum(axis=0)"
    if is_double:
        return total
    return (
        f"{total}.astype(kind)" if step.program.instructions[step.program.outputs[k]].shape else f"kind.type({total})"
    )


def to_front(ndim: int, axis: int) -> tuple[int, ...]:
    """Return the order of axes in which this one is the first: `np.moveaxis` takes as long as a small kernel."""
    return (axis, *range(axis), *range(axis + 1, ndim))
