"""What is not defined: operations on an axis without entries, such as the largest one, and what a library refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.compile.program import Map, Program
from chainrule.errors import DomainError
from chainrule.expression.extent import extent_of
from chainrule.expression.op import Op
from chainrule.expression.shape import Size

Run = Callable[..., Any]


def sizes_above_zero(program: Program) -> list[Size]:
    """Return the sizes of the axes from which a loop takes what is not there if they have no entries."""
    return list(dict.fromkeys(n for op, n in reduced_axes(program) if op.loop.gather and not op.loop.gather.of_none))


def guarded(run: Run, program: Program, failures: tuple[type[Exception], ...]) -> Run:
    """Return the function of a program, raising a DomainError where a result is not defined at the arguments."""

    def guard(*arguments: Any) -> Any:
        try:
            return run(*arguments)
        except Exception as error:
            found = undefined(error, failures, program, arguments)
            if found is None:
                raise
            raise found from error

    return guard


def undefined(
    error: Exception, failures: tuple[type[Exception], ...], program: Program, arguments: Sequence[Any]
) -> DomainError | None:
    """Return the error of a result that is not defined at these arguments, None if a run has failed for another reason.

    `failures` are what a library raises where a result does not exist.
    """
    if isinstance(error, failures):
        return DomainError(f"the result is not defined at these values: {str(error).lower()}")
    return missing_entries(program, arguments) if isinstance(error, ValueError) and arguments else None


def missing_entries(program: Program, arguments: Sequence[Any]) -> DomainError | None:
    """Return the error of an operation whose axis has no entries for these arguments; None if each has some."""
    sizes = program.extents(arguments)
    for op, size in reduced_axes(program):
        if extent_of(size, sizes) == 0:
            return DomainError(f"{op.name} is not defined for an axis without entries", found=f"{size} = 0")
    return None


def reduced_axes(program: Program) -> list[tuple[Op, Size]]:
    """Return the operations that read a whole axis, each with the size of that axis."""
    found = []
    for step in program.instructions:
        if isinstance(step.action, Map):
            op = step.action.op
            for operand, core in zip(step.operands, op.core.inputs, strict=True):
                shape = program.instructions[operand].shape
                found += [(op, size) for size in shape[len(shape) - len(core) :]]
    return found
