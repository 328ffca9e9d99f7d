"""Products of matrices in loops whose inner one goes over neighbours in memory: the order of loops, and of axes.

Of AB the rows of B are added up to a row of the result. Aᵀ Bᵀ has no such order: the transpose of its result, BA, does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainrule.compile.program import Contract, Instruction, Program, seen_through
from chainrule.expression.node import Subscripts


def is_product(step: Instruction) -> bool:
    """True for a sum of products of the entries of two arrays with two axes or more."""
    if not isinstance(step.action, Contract) or len(step.operands) != 2 or not step.summed or not step.output:
        return False
    return all(len(set(sub)) == len(sub) > 1 for sub in step.subscripts) and len(set(step.output)) == len(step.output)


def in_memory(steps: Sequence[Instruction], step: Instruction) -> list[Subscripts]:
    """Return the subscripts of the operands in the order in which the entries lie in memory."""
    return [seen_through(steps, k, sub)[1] for k, sub in zip(step.operands, step.subscripts, strict=True)]


def leaps(i: int, subscripts: Sequence[Subscripts], output: Subscripts) -> int:
    """Return how badly the loop over an index does as the inner one: 2 for a leap in memory, 1 for a sum."""
    return 2 * sum(i in sub[:-1] for sub in (*subscripts, output)) + (i not in output)


def product_order(subscripts: Sequence[Subscripts], output: Subscripts, order: Subscripts) -> Subscripts:
    """Return the order of the loops of a product: the one that is proposed unless another leaps less."""
    best = min(order, key=lambda i: leaps(i, subscripts, output))
    if leaps(best, subscripts, output) == leaps(order[-1], subscripts, output):
        return order
    return (*(i for i in dict.fromkeys((*output, *order)) if i != best), best)


def with_turned(program: Program) -> Program:
    """Return the program in which products leave their result transposed where the loops leap less then."""
    steps: list[Instruction] = []
    number: list[int] = []
    for k, step in enumerate(program.instructions):
        step = replace(step, operands=tuple(number[o] for o in step.operands))
        if k not in program.outputs and is_product(step) and _gains(steps, step):
            turned = replace(step, output=step.output[::-1], shape=step.shape[::-1])
            steps.append(turned)
            axes = tuple(range(len(step.output)))
            view = Instruction(Contract(), (len(steps) - 1,), (axes,), axes[::-1], step.shape)
            steps.append(view)
        else:
            steps.append(step)
        number.append(len(steps) - 1)
    outputs = tuple(number[k] for k in program.outputs)
    return Program(program.arguments, program.given, tuple(steps), outputs)


def _gains(steps: Sequence[Instruction], step: Instruction) -> bool:
    subscripts = in_memory(steps, step)
    every = {i for sub in subscripts for i in sub}
    plain, turned = (min(leaps(i, subscripts, output) for i in every) for output in (step.output, step.output[::-1]))
    return turned < plain and plain > 1
