"""What does not change between calls is computed once: a program in two, one for the constants and one for the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from chainrule.compile.program import Instruction, Length, Load, Program
from chainrule.compile.recorder import program_of
from chainrule.expression.extent import names_of
from chainrule.expression.node import Symbol

Run = Callable[..., Any]


def divided(program: Program, constant: Collection[Symbol]) -> tuple[Program, Program]:
    """Return the program of what depends on the constants alone, and the program of the rest.

    Both take all arguments; the rest takes after them what the first one returns.
    """
    return cut(program, _fixed(program, constant) if constant else set(), ())


def opening(program: Program, constant: Collection[Symbol]) -> Program:
    """Return the program that returns, after its own outputs, what `divided` computes first."""
    outputs = (*program.outputs, *_frontier(program, _fixed(program, constant)))
    return program_of(program.instructions, program.arguments, program.given, outputs)


def cut(program: Program, early: Collection[int], given: Sequence[str]) -> tuple[Program, Program]:
    """Return the program of what the others need of some early instructions, and the program of the others.

    Both take all arguments, and the first one these of the given sizes; the rest takes what it returns after them.
    """
    steps, frontier = list(program.instructions), _frontier(program, set(early))
    kept = program_of(steps, program.arguments, given, frontier)
    symbols = tuple(Symbol(f"kept{n}", steps[k].shape) for n, k in enumerate(frontier))
    for position, k in enumerate(frontier, len(program.arguments)):
        every = tuple(range(len(steps[k].shape)))
        steps[k] = Instruction(Load(position), (), (), every, steps[k].shape)
    rest = program_of(steps, (*program.arguments, *symbols), program.given, program.outputs)
    return kept, rest


def _frontier(program: Program, early: set[int]) -> list[int]:
    """Return the early instructions that the others, or the caller, need."""
    steps = program.instructions
    wanted = {k for n, step in enumerate(steps) if n not in early for k in step.operands} | set(program.outputs)
    plain = {k for k, step in enumerate(steps) if isinstance(step.action, Load)} | program.numbers
    return sorted((wanted & early) - plain)


def _fixed(program: Program, constant: Collection[Symbol]) -> set[int]:
    """Return the instructions that need the constants alone: their arrays, and sizes that they show."""
    shown = {size for symbol in constant for size in symbol.shape}
    found: set[int] = set()
    for k, step in enumerate(program.instructions):
        if isinstance(step.action, Load):
            if program.arguments[step.action.position] in constant:
                found.add(k)
        elif isinstance(step.action, Length):
            if step.action.size in shown:
                found.add(k)
        elif found.issuperset(step.operands) and all(name in shown for n in step.shape for name in names_of(n)):
            found.add(k)
    return found


class Keeping:
    """A function of all arguments that computes what depends on the constants alone when one of them is another array.

    A constant is the same as long as the same array is passed; a number, as long as it is equal.
    """

    def __init__(self, first: Run, rest: Run, positions: Sequence[int], count: int, several: bool) -> None:
        self.first, self.rest = first, rest
        self.positions = tuple(positions)
        self.count = count  # of the arguments; the given sizes follow
        self.several = several
        self._state: tuple[tuple[Any, ...], tuple[Any, ...]] | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Return what the whole program returns."""
        constants = tuple(arguments[k] for k in self.positions)
        state = self._state
        if state is None or not all(map(_is_same, constants, state[0])):
            found = self.first(*arguments[: self.count])
            state = self._state = constants, found if self.several else (found,)
        return self.rest(*arguments[: self.count], *state[1], *arguments[self.count :])

    def forget(self) -> None:
        """Drop what was kept."""
        self._state = None


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, np.generic) and type(a) is type(b) and bool(a == b))
