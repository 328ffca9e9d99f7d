"""Operations on a whole axis, such as softmax, written with operations on entries and sums for the kernels."""

from __future__ import annotations

from dataclasses import replace

from chainrule.compile.lower import lower_as_written
from chainrule.compile.program import Instruction, Load, Map, Program
from chainrule.expression.node import Symbol


def expanded(program: Program) -> Program | None:
    """Return the program without operations that have core axes but a gathering one; None if there is no recipe."""
    found = unfolded(program)
    ops = [step.action.op for step in found.instructions if isinstance(step.action, Map)]
    return found if all(op.is_elementwise or op.loop.gather is not None for op in ops) else None


def unfolded(program: Program) -> Program:
    """Return the program in which every operation that has a recipe is replaced by it."""
    steps = _Steps()
    number: list[int] = []
    for step in program.instructions:
        operands = tuple(number[o] for o in step.operands)
        recipe = step.action.op.loop.recipe if isinstance(step.action, Map) else None
        if recipe is not None:
            symbols = tuple(Symbol(f"v{k}", steps.listed[o].shape) for k, o in enumerate(operands))
            number.append(steps.spliced(lower_as_written(recipe(*symbols), arguments=symbols), operands))
        else:
            number.append(steps.number(replace(step, operands=operands)))
    return Program(program.arguments, program.given, tuple(steps.listed), tuple(number[k] for k in program.outputs))


class _Steps:
    """Instructions, each once."""

    def __init__(self) -> None:
        self.listed: list[Instruction] = []
        self._numbers: dict[Instruction, int] = {}

    def number(self, step: Instruction) -> int:
        """Return the number of the instruction, new or old."""
        number = self._numbers.setdefault(step, len(self.listed))
        if number == len(self.listed):
            self.listed.append(step)
        return number

    def spliced(self, part: Program, operands: tuple[int, ...]) -> int:
        """Add the instructions of the part, its arguments being these operands; return its result."""
        own: list[int] = []
        for step in part.instructions:
            if isinstance(step.action, Load):
                own.append(operands[step.action.position])
            else:
                own.append(self.number(replace(step, operands=tuple(own[o] for o in step.operands))))
        return own[part.outputs[0]]
