"""Products of matrices within a kernel whose sides are all wide: which they are, and the calls that compute them.

Rows lie as they do in memory, in blocks: x (rows, a) times a matrix (a, b) that is free of rows gives rows (rows, b),
and two kinds of rows, xᵀ (a, rows) times y (rows, b), a sum over rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from chainrule.compile.program import Contract, Instruction, Load, Program
from chainrule.expression.shape import Size


@dataclass(frozen=True, slots=True)
class Product:
    """left · right, for each row or summed over rows: which operands these are.

    `is_across`: the right one is a matrix that is needed with its rows as columns. `inner` are the sizes of both sides.
    """

    left: int
    right: int
    is_across: bool
    is_of_rows: bool
    inner: tuple[str, str]

    def call(self, name: Callable[[int], str], target: str, extent: Callable[[str], str]) -> str:
        """Return the call. `name` says where the rows, or the matrix, of an operand are."""
        left, right = name(self.left), name(self.right)
        if self.is_of_rows:
            matrix = right.replace("f", "t") if self.is_across else right
            return f"product_of_rows({target}, {left}, {matrix}, size, {extent(self.inner[0])})"
        return f"multiplied({target}, {left}.T, {right}, {extent(self.inner[0])}, size)"


def product_of(program: Program, k: int, row: Size, wide: Collection[str]) -> Product | None:
    """Return what is multiplied, or None if the instruction is no product of matrices whose sides are all wide."""
    step = program.instructions[k]
    if not isinstance(step.action, Contract) or len(step.operands) != 2 or len(step.summed) != 1:
        return None
    operands = [program.instructions[o] for o in step.operands]
    subs = (*step.subscripts, step.output)
    if any(len(sub) != 2 or len(set(sub)) < 2 for sub in subs) or any(map(_is_seen_through, operands)):
        return None
    sizes = program.index_sizes(step)
    rows = [label for label, n in sizes.items() if n == row]
    if len(sizes) != 3 or len(rows) != 1 or not all(str(n) in wide for n in sizes.values() if n != row):
        return None
    named = {label: str(n) for label, n in sizes.items()}
    return _of_rows(step, operands, rows[0], named) if rows[0] in step.output else _over_rows(step, named)


def _is_seen_through(step: Instruction) -> bool:
    return isinstance(step.action, Contract) and len(step.operands) == 1 and not step.summed


def _of_rows(step: Instruction, operands: list[Instruction], row: int, sizes: dict[int, str]) -> Product | None:
    (left,) = (p for p, sub in enumerate(step.subscripts) if row in sub)
    matrix = 1 - left
    if not isinstance(operands[matrix].action, Load):
        return None
    (summed,) = step.summed
    (free,) = set(step.output) - {row}
    is_across = step.subscripts[matrix] == (free, summed)
    return Product(left, matrix, is_across, True, (sizes[summed], sizes[free]))


def _over_rows(step: Instruction, sizes: dict[int, str]) -> Product | None:
    first, last = step.output
    (left,) = (p for p, sub in enumerate(step.subscripts) if first in sub)
    return Product(left, 1 - left, False, False, (sizes[first], sizes[last]))
