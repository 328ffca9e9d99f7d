"""A program on little data -> one compiled function of all of it: there, calls cost more than what they compute.

Its loops are those of `loops.py`, merged where they can be, in one kernel that allocates nothing. A function in
Python decides whether the data is little, makes the arrays that are written to and calls it. It goes by sizes alone, so
that the same arrays take the same way each time.
"""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.compile.across import TiledCode
from chainrule.compile.execute import run_text
from chainrule.compile.grouping import CALL
from chainrule.compile.in_numba import FUNCTIONS
from chainrule.compile.kernel_text import HEADER, compiled_text
from chainrule.compile.loop_language import Scope
from chainrule.compile.loops import Loop, Nest
from chainrule.compile.machine import Kernel
from chainrule.compile.nonempty import sizes_above_zero
from chainrule.compile.program import BY_SUBSCRIPTS, Map, Program
from chainrule.compile.recipes import unfolded
from chainrule.compile.side_by_side import with_turned
from chainrule.compile.source import made_names, parameters, size_lines, unpacked_sizes
from chainrule.compile.writing import Names
from chainrule.errors import DomainError
from chainrule.expression.extent import is_derived

# steps of all loops that take as long as what is called otherwise, weighed as follows
LITTLE = 100_000  # beside NumPy, for each of its calls
LITTLE_BESIDE_KERNELS = 40_000
TILED = 4  # steps in tiles that count as one: one thread is as fast with them as two are without
LONGEST = 150  # lines of a function that compiles within a second
KERNEL = 'njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"}, no_cfunc_wrapper=True)'
SCOPE = {
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
    "empty": np.empty,
    "zeros": np.zeros,
    "ordered": np.array,
}


@dataclass(frozen=True, slots=True)
class Weights:
    """What one step counts as, against what is called otherwise: a step of a sum, of a product of matrices, a call."""

    sums: int
    products: int
    calls: int


# kernels do the same work, of products of matrices in blocks and of calls vectorised, and are called in 5 µs
BESIDE_KERNELS = Weights(1, 6, 80)
# NumPy takes 1 µs for each instruction; BLAS is faster by 0.25 ns a step, vectorised exp by 3.5 ns a call
BESIDE_NUMPY = Weights(2, 25, 350)

Run = Callable[..., Any]


def _nothing(*arguments: Any) -> None:
    """What is not for the compiled function has no outputs here."""


def on_little_data(program: Program, has_kernels: bool = True, otherwise: Run = _nothing) -> Run:
    """Return a function of the arguments that returns the outputs, or calls `otherwise` for what is not for it.

    That is much data, arrays of more than one type, and programs that are not all loops: they run in kernels, or as
    NumPy code if there are none. It takes arrays and NumPy scalars whose shapes fit, then the given sizes.
    """
    found = _whole(program, has_kernels)
    if found is None:
        return otherwise
    kernels = Kernel(found.kernel), Kernel(found.kernel)  # of float64, of float32
    return run_text(found.entry, "little", {**SCOPE, "kernels": kernels, "otherwise": otherwise})


@dataclass(frozen=True, slots=True)
class _Whole:
    entry: str  # the text of the function in Python
    kernel: str  # the module of the compiled one


def _whole(program: Program, has_kernels: bool = True) -> _Whole | None:
    """Return the two functions, or None if loops cannot do what the program says."""
    found = with_turned(unfolded(program))
    shapes = [symbol.shape for symbol in program.arguments]
    if not any(shapes) or any(is_derived(n) for shape in shapes for n in shape):
        return None  # no array shows the type
    if program.positions or not all(isinstance(step.action, BY_SUBSCRIPTS) for step in found.instructions):
        return None
    code = _Code(found, made_names(program))
    if any(code.loops.is_whole(k) for k in code.loops.stored):
        return None
    try:
        lines = code.body()
    except DomainError:  # an operation that no loop computes
        return None
    if len(lines) > LONGEST:
        return None
    return _Whole(_entry_text(code, _much(code, has_kernels)), _kernel_text(code, lines))


class _Code(TiledCode):
    """Loops that write into arrays which are there: `arrays` are their values, in the order of the parameters.

    Those in `zeros` hold zeros at first: loops that fill them would take their time to compile.
    """

    def __init__(self, program: Program, names: Names) -> None:
        super().__init__(program, names)
        self.arrays: list[int] = []
        self.zeros: set[int] = set()

    def made(self, scope: Scope, k: int, name: str) -> None:
        """Ask for an array."""
        self.arrays.append(k)

    def _filled(self, scope: Scope, k: int, name: str) -> None:
        if self.steps[k].shape and self._first(k) == self.number(0):
            self.zeros.add(k)
        else:
            super()._filled(scope, k, name)

    def size_as_number(self, text: str) -> str:
        """A size is a float, so that it divides and is raised to powers as one."""
        return f"float({text})"

    @property
    def rooms(self) -> dict[str, list[int]]:
        """The arrays that are made, by name, with the values they hold: a result, or all others of one shape.

        To make an array and pass it takes as long as some hundred steps.
        """
        rooms: dict[tuple[object, ...], list[int]] = {}
        for k in self.arrays:
            is_own = k in self.program.outputs or k in self.in_tiles
            kind = (k,) if is_own else (k in self.zeros, *self.steps[k].shape)
            rooms.setdefault(kind, []).append(k)
        return {self.values[held[0]] if len(held) == 1 else f"w{n}": held for n, held in enumerate(rooms.values())}

    @property
    def numbers(self) -> list[str]:
        """The outputs without axes, which the compiled function returns."""
        return list(dict.fromkeys(self.values[k] for k in self.program.outputs if not self.steps[k].shape))


# --- the compiled function
def _kernel_text(code: _Code, lines: list[str]) -> str:
    text = "\n".join(lines)
    taken = [*parameters(code.program, code.names), *code.rooms]
    shared = [(own, held) for own, held in code.rooms.items() if len(held) > 1]
    views = [f"{code.values[k]} = {own}[{n}]" for own, held in shared for n, k in enumerate(held)]
    result = [f"return {', '.join(code.numbers)}"] if code.numbers else []
    body = "\n".join([*size_lines(code.program, code.names, text), *views, *lines, *result])
    called = "".join(f"{source}\n\n" for own, source in FUNCTIONS.items() if re.search(rf"\b{own}\(", text))
    called += f"{compiled_text('across')}\n\n" if code.tiled else ""
    return f"{HEADER}{called}@{KERNEL}\ndef kernel({', '.join(taken)}):\n{textwrap.indent(body, '    ')}\n"


# --- the function in Python
def _entry_text(code: _Code, much: str) -> str:
    program, names = code.program, code.names
    taken = parameters(program, names)
    other = f"return otherwise({', '.join(taken)})"
    arrays = [own for own, symbol in zip(names.arguments, program.arguments, strict=True) if symbol.shape]
    empty = [f"{names.size(n)} == 0" for n in sizes_above_zero(program)]
    lines = [
        *unpacked_sizes(program, names),
        f"if {' or '.join([much, *empty])}:\n    {other}",
        *_types(program, names, other),
        f"if not ({' and '.join(f'{own}.flags.carray' for own in arrays)}):",
        *(f'    {own} = ordered({own}, order="C")' for own in arrays),
        *(f"{own} = {_made(code, held)}" for own, held in code.rooms.items()),
    ]
    call = f"kernel({', '.join([*taken, *code.rooms])})"
    lines.append(f"{', '.join(code.numbers)} = {call}" if code.numbers else call)
    lines.append(f"return {', '.join(_results(code))}")
    return f"def little({', '.join(taken)}):\n{textwrap.indent(chr(10).join(lines), '    ')}\n"


def _made(code: _Code, held: list[int]) -> str:
    sizes = [*([str(len(held))] if len(held) > 1 else []), *(code.names.size(n) for n in code.steps[held[0]].shape)]
    shape = sizes[0] if len(sizes) == 1 else f"({', '.join(sizes)})"
    return f"{'zeros' if held[0] in code.zeros else 'empty'}({shape}, kind)"


def _types(program: Program, names: Names, other: str) -> list[str]:
    """Decide on the type: that of the first array, and of everything else."""
    pairs = list(zip(names.arguments, program.arguments, strict=True))
    first = next(own for own, symbol in pairs if symbol.shape)
    others = [f"{own}.dtype is not kind" for own, symbol in pairs if symbol.shape and own != first]
    others += [f"{own}.__class__ is not number" for own, symbol in pairs if not symbol.shape]
    wrong = " or ".join(["not (kind is double or kind is single)", *others])
    lines = [f"kind = {first}.dtype", "number = kind.type", f"if {wrong}:\n    {other}"]
    return [*lines, "kernel = kernels[kind is single].call"]


def _results(code: _Code) -> list[str]:
    """Every result is an object of its own."""
    results: list[str] = []
    for k in code.program.outputs:
        own = code.values[k]
        results.append(f"number({own})" if not code.steps[k].shape else f"{own}.copy()" if own in results else own)
    return results


def _much(code: _Code, has_kernels: bool) -> str:
    """Write when the data is too much: when what is called otherwise takes less time."""
    if has_kernels:
        return f"{_steps(code, BESIDE_KERNELS)} > {LITTLE_BESIDE_KERNELS}"
    calls = sum(not code.loops.is_renaming(k) for k in range(len(code.steps)))
    return f"{_steps(code, BESIDE_NUMPY)} > {LITTLE * max(1, calls)}"


def _steps(code: _Code, weights: Weights) -> str:
    """Write how many steps all loops take, each with its weight."""
    names = code.names
    found: Counter[str] = Counter()

    def count(item: Loop | Nest, faster: str = "") -> None:
        if isinstance(item, Loop):
            for part in item.body:
                count(part, f" // {TILED}" if code.is_tiled(item) else faster)
        else:
            extents = code.loops.extents(item.step)
            text = " * ".join(sorted(names.size(extents[i]) for i in item.order))
            is_sum = code.loops.is_reduced(item.step)
            found[text + faster] += (weights.products if len(item.order) > 2 else weights.sums) if is_sum else 1

    for item in code.loops.body:
        count(item)
    for k, step in enumerate(code.steps):
        if k not in code.in_vectors and isinstance(step.action, Map) and CALL.search(step.action.op.loop.written({})):
            found[" * ".join(sorted(map(names.size, step.shape)))] += weights.calls
    return " + ".join(f"{times} * {text}" for text, times in found.items() if text) or "0"
