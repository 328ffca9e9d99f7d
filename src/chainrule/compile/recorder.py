"""Makes programs: every instruction is recorded once, however often it is asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from chainrule.compile.program import (
    Action,
    Combine,
    Constant,
    Contract,
    Instruction,
    Length,
    Load,
    Map,
    Program,
    seen_through,
)
from chainrule.expression.node import Subscripts, Symbol
from chainrule.expression.shape import Scalar, Shape, Size


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

    def again(self, step: Instruction, operands: Sequence[int]) -> int:
        """Return the number of an instruction with other operands, of a product as `multiply` does."""
        if isinstance(step.action, Contract) and len(operands) == 2:
            return self.multiply(operands[0], operands[1], (step.subscripts[0], step.subscripts[1]), step.output)
        return self.record(step.action, operands, step.subscripts, step.output, step.shape)

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
        (a, sub_a), (b, sub_b) = (
            seen_through(self.instructions, a, subscripts[0]),
            seen_through(self.instructions, b, subscripts[1]),
        )
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
        (a, sub_a), (b, sub_b) = (
            seen_through(self.instructions, a, subscripts[0]),
            seen_through(self.instructions, b, subscripts[1]),
        )
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
        terms = [seen_through(self.instructions, k, sub) for k, sub in zip(operands, subscripts, strict=True)]
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
        terms = [seen_through(self.instructions, k, sub) for k, sub in zip(operands, subscripts, strict=True)]
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
        return program_of(self.instructions, arguments, given, outputs)


def program_of(
    steps: Sequence[Instruction], arguments: Sequence[Symbol], given: Sequence[str], outputs: Sequence[int]
) -> Program:
    """Return the program of those steps that the outputs need, each as late as the first use of it asks."""
    order = list(_needed(steps, outputs))
    number = {old: new for new, old in enumerate(order)}
    found = [replace(steps[old], operands=tuple(number[k] for k in steps[old].operands)) for old in order]
    return Program(tuple(arguments), tuple(given), tuple(found), tuple(number[k] for k in outputs))


def _needed(steps: Sequence[Instruction], outputs: Sequence[int]) -> Iterator[int]:
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
            stack.extend((operand, False) for operand in reversed(steps[k].operands))
