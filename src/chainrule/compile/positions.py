"""Positions in an index, for code with loops: each array of them is checked once, before it is read."""

from __future__ import annotations

from chainrule.compile.products import length_of
from chainrule.compile.program import Map, Program
from chainrule.compile.recorder import Recorder
from chainrule.compile.selections import places_of


def with_checks(program: Program) -> Program:
    """Return the program in which one-hot rows too read positions that an instruction of their own has checked."""
    recorder = Recorder()
    number: list[int] = []
    for step in program.instructions:
        operands = [number[o] for o in step.operands]
        if isinstance(step.action, Map) and step.action.op.is_positional and not step.is_check:
            idx, every = recorder.instructions[operands[0]], step.subscripts[0]
            size = length_of(recorder, step.shape[-1])
            operands[0] = recorder.record(Map(places_of), (operands[0], size), (every, ()), every, idx.shape)
        number.append(recorder.record(step.action, operands, step.subscripts, step.output, step.shape))
    return recorder.program(program.arguments, program.given, [number[k] for k in program.outputs])
