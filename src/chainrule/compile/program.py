"""A straight-line program: every instruction is a loop over indices, and every value is computed once.

An instruction reads "for every index in `output`: combine the operands at their `subscripts`, summing over the
indices that `output` lacks". Two cases need no further word: an index of the output that no operand has is an
expansion, and an index that the output holds twice is a diagonal, zero elsewhere. Because the indices are in the data,
a later pass can see which of them are independent rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.expression.extent import is_derived
from chainrule.expression.node import Subscripts, Symbol
from chainrule.expression.op import Op
from chainrule.expression.shape import Scalar, Shape, Size


@dataclass(frozen=True, slots=True)
class Load:
    """The argument at a position."""

    position: int


@dataclass(frozen=True, slots=True)
class Length:
    """A size as a number."""

    size: str


@dataclass(frozen=True, slots=True)
class Constant:
    """A known number."""

    value: Scalar


@dataclass(frozen=True, slots=True)
class Contract:
    """The product of one or two operands, summed over what the output lacks: also transposes, sums and diagonals."""


@dataclass(frozen=True, slots=True)
class Divide:
    """The quotient of two operands, entry by entry. If the divisor is a length, what is divided by 0 is 0."""

    is_length: bool = False


@dataclass(frozen=True, slots=True)
class Combine:
    """A linear combination of the operands, entry by entry."""

    coefficients: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """An operation: on entries, or on the trailing axes where its signature has core axes."""

    op: Op


@dataclass(frozen=True, slots=True)
class Part:
    """The entries of the operand from `start` on along an axis, as many as the result has; or the one entry there."""

    axis: int
    start: Size
    step: int = 1


@dataclass(frozen=True, slots=True)
class Pad:
    """The operand within zeros, its entries from `start` on along an axis."""

    axis: int
    start: Size
    step: int = 1


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same entries, one axis as two or two as one, row by row."""


@dataclass(frozen=True, slots=True)
class Take:
    """What stands at the positions along an axis; the operands are the array and the positions.

    Where the array has an axis of the positions, each of its entries has a position of its own.
    """

    axis: int


@dataclass(frozen=True, slots=True)
class Put:
    """Zeros, and added to them the operand, each part at its position along an axis of the result."""

    axis: int


@dataclass(frozen=True, slots=True)
class Gram:
    """Σᵢ wᵢ xᵢ ⊗ xᵢ: the operands are x, x again, and the weights if there are any. Only in programs for NumPy."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A group of entry-by-entry instructions, a program of its own whose arguments are the operands.

    `reuse` is the position of an operand that may hold the result, or -1. Only in programs for NumPy.
    """

    program: Program
    reuse: int = -1

    @property
    def form(self) -> str:
        """`several` operations, one `operation`, or the `product` of two arrays, which is one."""
        loads, (*some, last) = len(self.program.arguments), self.program.instructions
        if len(some) > loads:
            return "several"
        is_product = isinstance(last.action, Contract) and len(last.operands) == 2
        return "product" if is_product else "operation"


Action = (
    Load | Length | Constant | Contract | Divide | Combine | Map | Part | Pad | Reshape | Take | Put | Gram | Entries
)
# sums, products and quotients, and what they are made of
ARITHMETIC = Load | Length | Constant | Contract | Combine | Divide
# subscripts alone say which entries are read; a slice or a position may ask for one that does not exist
BY_SUBSCRIPTS = ARITHMETIC | Map


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step of a program. Operands are numbers of earlier instructions; indices are numbered by first use."""

    action: Action
    operands: tuple[int, ...]
    subscripts: tuple[Subscripts, ...]
    output: Subscripts
    shape: Shape

    @property
    def summed(self) -> set[int]:
        """The indices that are summed over."""
        return {i for sub in self.subscripts for i in sub} - set(self.output)

    @property
    def is_view(self) -> bool:
        """True if the result shares memory with its operand: a transpose, a diagonal read, an expansion."""
        if isinstance(self.action, Part | Reshape):
            return True
        if not isinstance(self.action, Contract) or len(self.operands) != 1:
            return False
        return not self.summed and len(set(self.output)) == len(self.output)

    @property
    def is_reduced(self) -> bool:
        """True if entries are made of many: summed, or gathered by an operation such as max."""
        return bool(self.summed) or (isinstance(self.action, Map) and self.action.op.loop.gather is not None)

    @property
    def is_check(self) -> bool:
        """True for positions that are checked: the same whole numbers, or an error if one is not on the axis."""
        return isinstance(self.action, Map) and self.action.op.is_positional and self.action.op.is_elementwise

    @property
    def is_transpose(self) -> bool:
        """True if the axes of the one operand are reordered and nothing else happens."""
        if not isinstance(self.action, Contract):
            return False
        return self.is_view and len(set(self.subscripts[0])) == len(self.subscripts[0]) == len(self.output)


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions in an order in which they can run; `outputs` are numbers of instructions.

    `arguments` are the symbols by position; `given` the sizes that no argument has, passed after the arguments.
    """

    arguments: tuple[Symbol, ...]
    given: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    def place_of(self, size: str) -> tuple[int, int] | None:
        """Return (argument, axis) of the first axis that has this size, or None if it is given."""
        places = ((k, axis) for k, s in enumerate(self.arguments) for axis, n in enumerate(s.shape) if n == size)
        return next(places, None)

    @property
    def sizes(self) -> tuple[str, ...]:
        """The named sizes of the arguments, then the given ones."""
        named = dict.fromkeys(n for s in self.arguments for n in s.shape if isinstance(n, str) and not is_derived(n))
        return (*named, *self.given)

    def extents(self, arguments: Sequence[Any]) -> dict[str, int]:
        """Return how large the named sizes are, by the shapes of the arguments and the given sizes after them."""
        found = dict(zip(self.given, arguments[len(self.arguments) :], strict=True))
        places = ((size, self.place_of(size)) for size in self.sizes)
        return found | {n: arguments[place[0]].shape[place[1]] for n, place in places if place is not None}

    def index_sizes(self, step: Instruction) -> dict[int, Size]:
        """Return the size of each index of an instruction: those of its operands, then those of the output alone."""
        shapes = [*(self.instructions[k].shape for k in step.operands), step.shape]
        pairs = zip((*step.subscripts, step.output), shapes, strict=True)
        return {i: n for sub, shape in pairs for i, n in zip(sub, shape, strict=True)}

    def known(self, step: Instruction) -> dict[str, Scalar]:
        """Return the arguments of an operation that are constants, by parameter."""
        assert isinstance(step.action, Map)
        actions = (self.instructions[k].action for k in step.operands)
        pairs = zip(step.action.op.parameters, actions, strict=True)
        return {p: action.value for p, action in pairs if isinstance(action, Constant)}

    @property
    def products(self) -> list[Instruction]:
        """The instructions that multiply two operands and sum: what costs most."""
        return [i for i in self.instructions if isinstance(i.action, Contract) and len(i.operands) == 2 and i.summed]

    @property
    def positions(self) -> set[int]:
        """The arguments that are read as positions only, be it through views: their type is not that of results."""
        numbers = set(self.outputs)
        for k in reversed(range(len(self.instructions))):
            numbers.update(_read_as_numbers(self.instructions[k], k in numbers))
        loads = [(k, step.action) for k, step in enumerate(self.instructions)]
        return {action.position for k, action in loads if isinstance(action, Load) and k not in numbers}

    @property
    def numbers(self) -> set[int]:
        """The instructions that give one number which depends on sizes and constants only."""
        found: set[int] = set()
        for k, step in enumerate(self.instructions):
            is_other = isinstance(step.action, Load) or step.is_check  # checked positions are an integer, for an index
            if not is_other and not step.shape and found.issuperset(step.operands):
                found.add(k)
        return found


def seen_through(steps: Sequence[Instruction], number: int, labels: Subscripts) -> tuple[int, Subscripts]:
    """Return the array of which this is a transposed view, and its axes, given the names of those of the view."""
    while steps[number].is_transpose:
        step = steps[number]
        name = dict(zip(step.output, labels, strict=True))
        number, labels = step.operands[0], tuple(name[i] for i in step.subscripts[0])
    return number, labels


def _read_as_numbers(step: Instruction, is_number: bool) -> tuple[int, ...]:
    """The operands that are read as numbers; `is_number` if the result is."""
    if isinstance(step.action, Map) and step.action.op.is_positional:
        return step.operands[1:]
    if isinstance(step.action, Put):
        return step.operands[:1]
    if isinstance(step.action, Take) or step.is_view:
        return step.operands[:1] if is_number else ()
    return step.operands
