"""A program on little data -> one compiled function of all of it: there, calls cost more than what they compute.

Its loops are those of `loops.py`, merged where they can be, in one numba function that allocates nothing. A function in
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

from chainrule.compile.execute import run_text
from chainrule.compile.grouping import CALL
from chainrule.compile.in_numba import FUNCTIONS, NumbaCode
from chainrule.compile.kernel import HEADER
from chainrule.compile.loop_language import Scope
from chainrule.compile.loops import Loop, Nest
from chainrule.compile.machine import Kernel
from chainrule.compile.program import Combine, Constant, Contract, Divide, Length, Load, Map, Program
from chainrule.compile.recipes import unfolded
from chainrule.compile.source import made_names, parameters, size_lines
from chainrule.compile.writing import Names
from chainrule.errors import DomainError
from chainrule.expression.extent import is_derived

LITTLE = 100_000  # steps of all loops, which take about as long as calling the kernels: 10 µs to 15 µs
DEEP = 6  # steps that one in three loops or more counts as: products of matrices, of which kernels read blocks
OF_A_CALL = 32  # steps that take as long as a call of exp
LONGEST = 150  # lines of a function that compiles within a second
KERNEL = 'njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, no_cfunc_wrapper=True)'
SCOPE = {
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
    "empty": np.empty,
    "zeros": np.zeros,
    "ordered": np.array,
}

# actions that read, of arrays whose sizes agree, only entries that exist: a slice may ask for others
SAFE = Load | Length | Constant | Contract | Combine | Divide | Map

Run = Callable[..., Any]


def on_little_data(program: Program) -> Run:
    """Return a function of the arguments that returns the outputs, or None for what is not for it.

    That is much data, arrays of more than one type, and programs that are not all loops. It takes arrays and NumPy
    scalars whose shapes fit, then the given sizes.
    """
    found = _whole(program)
    if found is None:
        return lambda *arguments: None
    kernels = Kernel(found.kernel), Kernel(found.kernel)  # of float64, of float32
    return run_text(found.entry, "little", {**SCOPE, "kernels": kernels})


@dataclass(frozen=True, slots=True)
class _Whole:
    entry: str  # the text of the function in Python
    kernel: str  # the module of the compiled one


def _whole(program: Program) -> _Whole | None:
    """Return the two functions, or None if loops in numba cannot do what the program says."""
    found = unfolded(program)
    if any(is_derived(n) for symbol in program.arguments for n in symbol.shape):
        return None
    if program.positions or not all(isinstance(step.action, SAFE) for step in found.instructions):
        return None
    code = _Code(found, made_names(program))
    if any(code.loops.is_whole(k) for k in code.loops.stored):
        return None
    try:
        lines = code.body()
    except DomainError:  # an operation that no loop computes
        return None
    return _Whole(_entry_text(code), _kernel_text(code, lines)) if len(lines) <= LONGEST else None


class _Code(NumbaCode):
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
    def numbers(self) -> list[str]:
        """The outputs without axes, which the compiled function returns."""
        return list(dict.fromkeys(self.values[k] for k in self.program.outputs if not self.steps[k].shape))


# --- the compiled function
def _kernel_text(code: _Code, lines: list[str]) -> str:
    text = "\n".join(lines)
    taken = [*parameters(code.program, code.names), *(code.values[k] for k in code.arrays)]
    result = [f"return {', '.join(code.numbers)}"] if code.numbers else []
    body = "\n".join([*size_lines(code.program, code.names, text), *lines, *result])
    called = "".join(f"{source}\n\n" for own, source in FUNCTIONS.items() if re.search(rf"\b{own}\(", text))
    return f"{HEADER}{called}@{KERNEL}\ndef kernel({', '.join(taken)}):\n{textwrap.indent(body, '    ')}\n"


# --- the function in Python
def _entry_text(code: _Code) -> str:
    program, names = code.program, code.names
    taken = parameters(program, names)
    arrays = [own for own, symbol in zip(names.arguments, program.arguments, strict=True) if symbol.shape]
    lines = [
        *_bound_sizes(program, names),
        f"if {_steps(code)} > {LITTLE}:\n    return None",
        *_types(program, names),
        f"if not ({' and '.join(f'{own}.flags.carray' for own in arrays)}):",
        *(f'    {own} = ordered({own}, order="C")' for own in arrays),
        *(f"{code.values[k]} = {_made(code, k)}" for k in code.arrays),
    ]
    call = f"kernel({', '.join([*taken, *(code.values[k] for k in code.arrays)])})"
    lines.append(f"{', '.join(code.numbers)} = {call}" if code.numbers else call)
    lines.append(f"return {', '.join(_results(code))}")
    return f"def little({', '.join(taken)}):\n{textwrap.indent(chr(10).join(lines), '    ')}\n"


def _made(code: _Code, k: int) -> str:
    sizes = [code.names.size(n) for n in code.steps[k].shape]
    shape = sizes[0] if len(sizes) == 1 else f"({', '.join(sizes)})"
    return f"{'zeros' if k in code.zeros else 'empty'}({shape}, kind)"


def _bound_sizes(program: Program, names: Names) -> list[str]:
    """Name the sizes that the arguments show."""
    lines = []
    known: set[object] = set(program.given)
    for own, symbol in zip(names.arguments, program.arguments, strict=True):
        new = [n if n in program.sizes and n not in known and symbol.shape.index(n) == k else None
               for k, n in enumerate(symbol.shape)]  # fmt: skip
        if any(new):
            lines.append(f"{', '.join(names.sizes[n] if n else '_' for n in new)}{',' * (len(new) == 1)} = {own}.shape")
        known.update(new)
    return lines


def _types(program: Program, names: Names) -> list[str]:
    """Decide on the type: that of the first array, and of everything else."""
    pairs = list(zip(names.arguments, program.arguments, strict=True))
    first = next(own for own, symbol in pairs if symbol.shape)
    others = [f"{own}.dtype is not kind" for own, symbol in pairs if symbol.shape and own != first]
    others += [f"{own}.__class__ is not number" for own, symbol in pairs if not symbol.shape]
    wrong = " or ".join(["not (kind is double or kind is single)", *others])
    lines = [f"kind = {first}.dtype", "number = kind.type", f"if {wrong}:\n    return None"]
    return [*lines, "kernel = kernels[kind is single].call"]


def _results(code: _Code) -> list[str]:
    """Every result is an object of its own."""
    results: list[str] = []
    for k in code.program.outputs:
        own = code.values[k]
        results.append(f"number({own})" if not code.steps[k].shape else f"{own}.copy()" if own in results else own)
    return results


def _steps(code: _Code) -> str:
    """Write how many steps all loops take, what is slower counted as the steps that take as long."""
    names = code.names
    found: Counter[str] = Counter()

    def count(item: Loop | Nest) -> None:
        if isinstance(item, Loop):
            for part in item.body:
                count(part)
        else:
            extents = code.loops.extents(item.step)
            text = " * ".join(sorted(names.size(extents[i]) for i in item.order))
            found[text] += DEEP if len(item.order) > 2 else 1

    for item in code.loops.body:
        count(item)
    for step in code.steps:
        if isinstance(step.action, Map) and CALL.search(step.action.op.loop.written({})):
            found[" * ".join(sorted(map(names.size, step.shape)))] += OF_A_CALL
    return " + ".join(f"{times} * {text}" for text, times in found.items() if text) or "0"
