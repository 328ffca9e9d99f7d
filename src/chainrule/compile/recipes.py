"""Operations on a whole axis, such as softmax, written with operations on entries and sums for the kernels."""

from __future__ import annotations

from collections.abc import Container

from chainrule.compile.lower import lower_as_written
from chainrule.compile.program import Load, Map, Program
from chainrule.compile.recorder import Recorder
from chainrule.expression.node import Symbol


def expanded(program: Program) -> Program | None:
    """Return the program without operations that have core axes but a gathering one; None if there is no recipe."""
    found = unfolded(program)
    ops = [step.action.op for step in found.instructions if isinstance(step.action, Map)]
    return found if all(op.is_elementwise or op.loop.gather is not None for op in ops) else None


def unfolded(program: Program) -> Program:
    """Return the program in which every operation that has a recipe is replaced by it."""
    return _replaced(program, range(len(program.instructions)))


def shared(program: Program) -> Program:
    """Return the program in which operations on the same axis that have recipes share what these have in common.

    So softmax(z) and logsumexp(z) take one exponential together.
    """
    found: dict[tuple[object, ...], list[int]] = {}
    for k, step in enumerate(program.instructions):
        if isinstance(step.action, Map) and step.action.op.loop.recipe is not None:
            found.setdefault((step.operands, step.subscripts), []).append(k)
    together = {k for group in found.values() if len(group) > 1 for k in group}
    return _replaced(program, together) if together else program


def _replaced(program: Program, chosen: Container[int]) -> Program:
    recorder = Recorder()
    number: list[int] = []
    for k, step in enumerate(program.instructions):
        operands = tuple(number[o] for o in step.operands)
        recipe = step.action.op.loop.recipe if isinstance(step.action, Map) and k in chosen else None
        if recipe is not None:
            symbols = tuple(Symbol(f"v{k}", recorder.instructions[o].shape) for k, o in enumerate(operands))
            number.append(_spliced(recorder, lower_as_written(recipe(*symbols), arguments=symbols), operands))
        else:
            number.append(recorder.record(step.action, operands, step.subscripts, step.output, step.shape))
    return Program(
        program.arguments, program.given, tuple(recorder.instructions), tuple(number[k] for k in program.outputs)
    )


def _spliced(recorder: Recorder, part: Program, operands: tuple[int, ...]) -> int:
    """Record the instructions of the part, its arguments being these operands; return its result."""
    own: list[int] = []
    for step in part.instructions:
        if isinstance(step.action, Load):
            own.append(operands[step.action.position])
        elif isinstance(step.action, Map) and step.action.op.is_held:
            own.append(own[step.operands[0]])  # held apart from what is recognised in expressions
        else:
            read = [own[o] for o in step.operands]
            own.append(recorder.record(step.action, read, step.subscripts, step.output, step.shape))
    return own[part.outputs[0]]
