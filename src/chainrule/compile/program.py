"""A straight-line program: every instruction is a loop over indices, and every value is computed once.

An instruction reads "for every index in `output`: combine the operands at their `subscripts`, summing over the
indices that `output` lacks". Two cases need no further word: an index of the output that no operand has is an
expansion, and an index that the output holds twice is a diagonal, zero elsewhere. Because the indices are in the data,
a later pass can see which of them are independent rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

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


Action = (
    Load | Length | Constant | Contract | Divide | Combine | Map | Part | Pad | Reshape | Take | Put | Gram | Entries
)


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


def _read_as_numbers(step: Instruction, is_number: bool) -> tuple[int, ...]:
    """The operands that are read as numbers; `is_number` if the result is."""
    if isinstance(step.action, Map) and step.action.op.is_positional:
        return step.operands[1:]
    if isinstance(step.action, Put):
        return step.operands[:1]
    if isinstance(step.action, Take) or step.is_view:
        return step.operands[:1] if is_number else ()
    return step.operands


def renumbered(subscripts: Sequence[Subscripts], output: Subscripts) -> tuple[tuple[Subscripts, ...], Subscripts]:
    """Number the indices by first use."""
    names: dict[int, int] = {}
    for sub in (*subscripts, output):
        for i in sub:
            names.setdefault(i, len(names))
    return tuple(tuple(names[i] for i in sub) for sub in subscripts), tuple(names[i] for i in output)


class Recorder:
    """Collects instructions and numbers values: asking for the same instruction twice gives the same number."""

    def __init__(self, fixed: Collection[int] = ()) -> None:
        self.fixed = fixed  # the positions of the arguments that stay the same from call to call
        self.instructions: list[Instruction] = []
        self._numbers: dict[Instruction, int] = {}
        self._pairs: dict[tuple[object, ...], tuple[int, Subscripts]] = {}
        self._entrywise: dict[tuple[object, ...], tuple[int, Subscripts]] = {}

    def record(
        self,
        action: Action,
        operands: Sequence[int] = (),
        subscripts: Sequence[Subscripts] = (),
        output: Subscripts = (),
        shape: Shape = (),
    ) -> int:
        """Return the number of this instruction, new or old."""
        subs, out = renumbered(subscripts, output)
        instruction = Instruction(action, tuple(operands), subs, out, shape)
        number = self._numbers.setdefault(instruction, len(self.instructions))
        if number == len(self.instructions):
            self.instructions.append(instruction)
        return number

    def is_fixed(self, number: int) -> bool:
        """True if the value depends on the arguments that stay the same, and on nothing else."""
        step = self.instructions[number]
        if isinstance(step.action, Load):
            return step.action.position in self.fixed
        return bool(self.fixed) and not isinstance(step.action, Length) and all(map(self.is_fixed, step.operands))

    def constant(self, value: Scalar) -> int:
        """Return the number of the instruction that is this constant."""
        return self.record(Constant(value))

    def multiply(self, a: int, b: int, subscripts: tuple[Subscripts, Subscripts], output: Subscripts) -> int:
        """Return Σ a·b. The same product with its axes in another order is a transposed view of the one there is."""
        (a, sub_a), (b, sub_b) = self._base(a, subscripts[0]), self._base(b, subscripts[1])
        subscripts = (sub_a, sub_b)
        known = self.known(a, b, subscripts, set(output))
        if known is None:
            key, names = self._key(a, b, subscripts, set(output))
            sizes = self._sizes((a, b), subscripts)
            number = self.record(Contract(), (a, b), subscripts, output, tuple(sizes[i] for i in output))
            self._pairs[key] = (number, tuple(names[i] for i in output))
            return number
        number, order = known
        return self.view(number, order, output)

    def known(
        self, a: int, b: int, subscripts: tuple[Subscripts, Subscripts], kept: set[int]
    ) -> tuple[int, Subscripts] | None:
        """Return the instruction that already holds this product, with the order of its axes, or None."""
        (a, sub_a), (b, sub_b) = self._base(a, subscripts[0]), self._base(b, subscripts[1])
        subscripts = (sub_a, sub_b)
        key, names = self._key(a, b, subscripts, kept)
        found = self._pairs.get(key)
        if found is None:
            return None
        back = {new: old for old, new in names.items()}
        return found[0], tuple(back[i] for i in found[1])

    def entrywise(
        self, action: Combine | Map, operands: Sequence[int], subscripts: Sequence[Subscripts], output: Subscripts,
        shape: Shape,
    ) -> tuple[int, Subscripts]:  # fmt: skip
        """Return the instruction, and in which order it has the axes of the output: of two that differ in nothing
        else, as u + A and its transpose do, there is one.
        """
        terms = [self._base(k, sub) for k, sub in zip(operands, subscripts, strict=True)]
        key, names = self._entrywise_key(action, terms)
        found = self._entrywise.get(key)
        if found is not None:
            back = {new: old for old, new in names.items()}
            return found[0], tuple(back[i] for i in found[1])
        number = self.record(action, [k for k, _ in terms], [sub for _, sub in terms], output, shape)
        self._entrywise[key] = (number, tuple(names[i] for i in output))
        return number, output

    def has_entrywise(self, action: Combine | Map, operands: Sequence[int], subscripts: Sequence[Subscripts]) -> bool:
        """True if `entrywise` would find the instruction, its axes in whichever order."""
        terms = [self._base(k, sub) for k, sub in zip(operands, subscripts, strict=True)]
        return self._entrywise_key(action, terms)[0] in self._entrywise

    @staticmethod
    def _entrywise_key(
        action: Combine | Map, terms: Sequence[tuple[int, Subscripts]]
    ) -> tuple[tuple[object, ...], dict[int, int]]:
        """What is the same for two instructions that differ in the order of axes or of terms, and the axes' names."""
        coefficients: Sequence[Scalar] = ()
        if isinstance(action, Combine):
            ordered = sorted(zip(terms, action.coefficients, strict=True), key=lambda t: t[0][0])
            coefficients, terms = [c for _, c in ordered], [term for term, _ in ordered]
        names = {i: n for n, i in enumerate(dict.fromkeys(i for _, sub in terms for i in sub))}
        kind = action if isinstance(action, Map) else None
        return (kind, *coefficients, *((k, tuple(names[i] for i in sub)) for k, sub in terms)), names

    def view(self, a: int, labels: Subscripts, output: Subscripts) -> int:
        """Return `a` with the axes named by `output`: a transpose, a diagonal, a sum over what is missing."""
        if labels == output:
            return a
        sizes = self._sizes((a,), (labels,))
        return self.record(Contract(), (a,), (labels,), output, tuple(sizes[i] for i in output))

    def _base(self, a: int, labels: Subscripts) -> tuple[int, Subscripts]:
        """Return the operand that a transpose reads, with its axes named."""
        step = self.instructions[a]
        if not step.is_transpose:
            return a, labels
        named = dict(zip(step.output, labels, strict=True))
        return step.operands[0], tuple(named[i] for i in step.subscripts[0])

    def _sizes(self, operands: Sequence[int], subscripts: Sequence[Subscripts]) -> dict[int, Size]:
        pairs = zip(operands, subscripts, strict=True)
        return {i: n for k, sub in pairs for i, n in zip(sub, self.instructions[k].shape, strict=True)}

    def _key(
        self, a: int, b: int, subscripts: tuple[Subscripts, Subscripts], kept: set[int]
    ) -> tuple[tuple[object, ...], dict[int, int]]:
        """A product commutes: the smaller operand first; of two equal ones, the order with the smaller subscripts."""
        candidates = []
        for (x, sub_x), (y, sub_y) in (
            ((a, subscripts[0]), (b, subscripts[1])),
            ((b, subscripts[1]), (a, subscripts[0])),
        ):
            names = {i: n for n, i in enumerate(dict.fromkeys((*sub_x, *sub_y)))}
            key = (
                x,
                y,
                tuple(names[i] for i in sub_x),
                tuple(names[i] for i in sub_y),
                tuple(sorted(names[i] for i in kept)),
            )
            candidates.append((key, names))
        return min(candidates, key=lambda pair: pair[0])

    def program(self, arguments: Sequence[Symbol], given: Sequence[str], outputs: Sequence[int]) -> Program:
        """Return the instructions the outputs need, each as late as the first use of it asks."""
        order = list(self._needed(outputs))
        number = {old: new for new, old in enumerate(order)}
        steps = []
        for old in order:
            i = self.instructions[old]
            operands = tuple(number[k] for k in i.operands)
            steps.append(Instruction(i.action, operands, i.subscripts, i.output, i.shape))
        return Program(tuple(arguments), tuple(given), tuple(steps), tuple(number[k] for k in outputs))

    def _needed(self, outputs: Sequence[int]) -> Iterator[int]:
        done: set[int] = set()
        stack = [(k, False) for k in reversed(outputs)]
        while stack:
            k, ready = stack.pop()
            if k in done:
                continue
            if ready:
                done.add(k)
                yield k
            else:
                stack.append((k, True))
                stack.extend((operand, False) for operand in reversed(self.instructions[k].operands))
