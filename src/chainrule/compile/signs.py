"""Minus signs: what is minus another value is computed once, and a sign goes where it costs nothing.

x − y is −(y − x), so of the two one is computed, and products and sums take up the sign of the other. A sum that could
be written over a term but for a minus before it is computed with the other sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chainrule.compile.program import Combine, Contract, Divide, Instruction, Load, Program
from chainrule.compile.recorder import Recorder
from chainrule.expression.shape import Scalar


class Signed(NamedTuple):
    """A new instruction, or minus that."""

    number: int
    sign: int


def signs_last(program: Program) -> Program:
    """Return the program with its minus signs where they cost least."""
    return _Signs(program).program()


class _Signs:
    """The steps of a program while they are recorded anew."""

    def __init__(self, program: Program) -> None:
        self.old = program
        self.recorder = Recorder()
        self.values: list[Signed] = []
        self.users: list[list[Instruction]] = [[] for _ in program.instructions]
        for step in program.instructions:
            for operand in step.operands:
                self.users[operand].append(step)

    def program(self) -> Program:
        for k, step in enumerate(self.old.instructions):
            self.values.append(self._signed(k, step))
        outputs = [self._plain(k) for k in self.old.outputs]
        return self.recorder.program(self.old.arguments, self.old.given, outputs)

    def _signed(self, k: int, step: Instruction) -> Signed:
        given = [self.values[operand] for operand in step.operands]
        match step.action:
            case Combine((c,)) if c == -1 and step.output == step.subscripts[0]:
                return Signed(given[0].number, -given[0].sign)
            case Combine(coefficients):
                return self._sum(k, step, [c * value.sign for c, value in zip(coefficients, given, strict=True)])
            case Contract():
                numbers, sign = [value.number for value in given], 1
                for value in given:
                    sign *= value.sign
                return Signed(self.recorder.again(step, numbers), sign)
            case Divide(is_length=False):
                # the divisor keeps its sign, which 1/0 has
                return Signed(
                    self.recorder.again(step, [given[0].number, self._plain(step.operands[1])]), given[0].sign
                )
        return Signed(self.recorder.again(step, [self._plain(operand) for operand in step.operands]), 1)

    def _sum(self, k: int, step: Instruction, coefficients: Sequence[Scalar]) -> Signed:
        """Record Σ cₖ tₖ, or minus that if it is there already, or can be written over one of its terms."""
        numbers = [self.values[operand].number for operand in step.operands]
        minus = tuple(-c for c in coefficients)
        known = len(numbers) > 1 and self.recorder.has_entrywise(Combine(minus), numbers, step.subscripts)
        sign = -1 if known or self._is_better_minus(k, step, coefficients) else 1
        action = Combine(minus if sign < 0 else tuple(coefficients))
        number, order = self.recorder.entrywise(action, numbers, step.subscripts, step.output, step.shape)
        return Signed(self.recorder.view(number, order, step.output), sign)

    def _is_better_minus(self, k: int, step: Instruction, coefficients: Sequence[Scalar]) -> bool:
        """True if the only terms that may hold the sum have a minus, and all that read it take up signs."""
        if k in self.old.outputs or not all(isinstance(user.action, Contract | Combine) for user in self.users[k]):
            return False
        held = [c for p, c in enumerate(coefficients) if self._may_hold(step, p)]
        return len(coefficients) > 1 and bool(held) and all(c == -1 for c in held)

    def _may_hold(self, step: Instruction, position: int) -> bool:
        operand, labels = step.operands[position], step.subscripts[position]
        is_last = len(self.users[operand]) == 1 and operand not in self.old.outputs
        made = self.old.instructions[operand]
        return is_last and len(labels) == len(step.output) and not (isinstance(made.action, Load) or made.is_view)

    def _plain(self, k: int) -> int:
        """Return the instruction that is an old step's value itself."""
        number, sign = self.values[k]
        if sign > 0:
            return number
        step = self.recorder.instructions[number]
        if isinstance(step.action, Combine):
            minus = Combine(tuple(-c for c in step.action.coefficients))
            return self.recorder.record(minus, step.operands, step.subscripts, step.output, step.shape)
        every = tuple(range(len(step.shape)))
        return self.recorder.record(Combine((-1,)), (number,), (every,), every, step.shape)
