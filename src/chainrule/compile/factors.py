"""Numbers as factors of sums: c·Σ xy is Σ (c·x)y where x is worked out entry by entry, which takes up c for nothing.

A sum over rows times a number would wait for all rows; so multiplied, a pass gives the result itself.
"""

from __future__ import annotations

from chainrule.compile.program import Combine, Contract, Divide, Instruction, Map, Program
from chainrule.compile.recorder import Recorder


def factors_first(program: Program) -> Program:
    """Return the program in which numbers multiply what is summed, where that is no work of its own."""
    users = [0] * len(program.instructions)
    for step in program.instructions:
        for operand in step.operands:
            users[operand] += 1
    for k in program.outputs:
        users[k] += 1
    recorder = Recorder()
    number: list[int] = []
    for step in program.instructions:
        place = _place(program, users, step)
        if place is None:
            operands = [number[o] for o in step.operands]
            number.append(recorder.record(step.action, operands, step.subscripts, step.output, step.shape))
            continue
        product = program.instructions[step.operands[0]]
        factor = product.operands[place]
        every = tuple(range(len(program.instructions[factor].shape)))
        operands = [number[o] for o in product.operands]
        shape = program.instructions[factor].shape
        operands[place] = recorder.record(step.action, [operands[place]], [every], every, shape)
        number.append(recorder.record(product.action, operands, product.subscripts, product.output, product.shape))
    return recorder.program(program.arguments, program.given, [number[k] for k in program.outputs])


def _place(program: Program, users: list[int], step: Instruction) -> int | None:
    """Return which operand of the sum takes up the factor, or None if this is no sum times a number."""
    if not isinstance(step.action, Combine) or len(step.operands) != 1 or step.output != step.subscripts[0]:
        return None
    (k,) = step.operands
    product = program.instructions[k]
    if users[k] > 1 or not isinstance(product.action, Contract) or len(product.operands) != 2 or not product.summed:
        return None
    return next((p for p, o in enumerate(product.operands) if _is_worked_out(program.instructions[o])), None)


def _is_worked_out(step: Instruction) -> bool:
    """True for what is computed entry by entry."""
    if isinstance(step.action, Contract):
        return len(step.operands) == 2 and not step.summed
    return isinstance(step.action, Combine | Divide) or (isinstance(step.action, Map) and step.action.op.is_elementwise)
