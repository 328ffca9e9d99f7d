"""Products of a large array and a thin one, which lacks an axis: the cheaper of two equal ways to compute.

Σⱼ (xᵢⱼ gⱼ) yᵢⱼ is (x ⊙ y) g: the large ones are multiplied first, which all such sums share, and a matrix times a
vector needs no array between. And c (x ⊙ r) is x ⊙ (c r): a number multiplies the thin factor.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from chainrule.compile.program import Combine, Contract, Divide, Instruction, Program
from chainrule.compile.recorder import Recorder
from chainrule.expression.node import Subscripts

Factor = tuple[int, Subscripts]  # a step, and the names of its axes


def thin_last(program: Program) -> Program:
    """Return the program with its thin factors where they cost least."""
    return _Thin(program).program()


class _Thin:
    """The steps of a program while they are recorded anew."""

    def __init__(self, program: Program) -> None:
        self.old = program
        self.recorder = Recorder()
        self.uses = Counter(operand for step in program.instructions for operand in step.operands)
        self.uses.update(program.outputs)
        self.number: list[int] = []  # by step, its new number

    def program(self) -> Program:
        for step in self.old.instructions:
            self.number.append(self._summed_product(step) or self._scaled(step) or self._same(step))
        # small results first: what they alone still read is not kept beside a large one
        ranked = sorted(
            set(self.old.outputs), key=lambda k: (len(self.old.instructions[k].shape), self.old.outputs.index(k))
        )
        found = self.recorder.program(self.old.arguments, self.old.given, [self.number[k] for k in ranked])
        place = dict(zip(ranked, found.outputs, strict=True))
        return replace(found, outputs=tuple(place[k] for k in self.old.outputs))

    def _same(self, step: Instruction) -> int:
        return self.recorder.again(step, [self.number[operand] for operand in step.operands])

    def _step(self, k: int) -> Instruction:
        return self.recorder.instructions[k]

    # --- sums of products
    def _summed_product(self, step: Instruction) -> int | None:
        """Record Σ (x t) y, where t has the summed axis only, as the product of x ⊙ y and t."""
        if not isinstance(step.action, Contract) or len(step.operands) != 2 or len(step.summed) != 1:
            return None
        places = list(zip((self.number[k] for k in step.operands), step.subscripts, strict=True))
        if any(len(set(sub)) < len(sub) or set(sub) != set(step.subscripts[0]) for sub in step.subscripts):
            return None
        for product, y in (places, places[::-1]):
            for x, thin in self._factors(*product):
                if set(thin[1]) == step.summed and set(x[1]) == set(y[1]):
                    large = self.recorder.multiply(x[0], y[0], (x[1], y[1]), x[1])
                    return self.recorder.multiply(large, thin[0], (x[1], thin[1]), step.output)
        return None

    def _factors(self, k: int, labels: Subscripts) -> list[tuple[Factor, Factor]]:
        """Return the two factors of a product that sums nothing, in both orders, their axes named as `labels` says."""
        step = self._step(k)
        if not isinstance(step.action, Contract) or len(step.operands) != 2 or step.summed:
            return []
        name = dict(zip(step.output, labels, strict=True))
        a, b = (
            (operand, tuple(name[i] for i in sub)) for operand, sub in zip(step.operands, step.subscripts, strict=True)
        )
        return [(a, b), (b, a)]

    # --- numbers
    def _scaled(self, step: Instruction) -> int | None:
        """Record a multiple of a product that nobody else reads with the number in its thin factor."""
        is_multiple = isinstance(step.action, Combine) and len(step.operands) == 1
        is_quotient = isinstance(step.action, Divide) and not step.subscripts[1]
        if not (is_multiple or is_quotient) or self.uses[step.operands[0]] > 1:
            return None
        for (x, x_axes), (thin, axes) in self._factors(self.number[step.operands[0]], step.subscripts[0]):
            if len(axes) < len(x_axes) == len(step.output):
                rest = [(self.number[k], ()) for k in step.operands[1:]]
                shape = self._step(thin).shape
                operands, subs = zip((thin, axes), *rest, strict=True)
                small = self.recorder.record(step.action, operands, subs, axes, shape)
                return self.recorder.multiply(x, small, (x_axes, axes), step.output)
        return None
