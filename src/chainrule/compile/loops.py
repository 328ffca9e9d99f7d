"""Program -> loops: each value that is stored is a nest of loops over its indices, and nests that can be one are one.

What only renames or selects indices (a transpose, a slice, a diagonal, an expansion) is never stored: it is read where
it is used. So are entries taken at positions. A nest joins an earlier one, loop by loop from the outside, if the loops
have the same extent and whatever it reads from there is ready at that point of the loop.

Positions are checked by nests of their own, those that arguments hold before anything else is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chainrule.compile.program import (
    Combine,
    Constant,
    Contract,
    Divide,
    Instruction,
    Length,
    Load,
    Map,
    Pad,
    Program,
    Put,
    Take,
)
from chainrule.compile.side_by_side import in_memory, is_product, product_order
from chainrule.expression.node import Subscripts
from chainrule.expression.shape import Size


@dataclass(slots=True)
class Nest:
    """The loops that compute one stored value: `order` are its indices from the outermost loop to the innermost.

    `local`: how many of the outer loops the value is complete in: the sum over the rest is held in a variable there.
    None if it is added to in memory, which is filled with its first value before.
    """

    step: int
    order: Subscripts
    local: int | None


@dataclass(slots=True)
class Loop:
    """One loop: its extent, and what happens in it, each nest at its depth."""

    extent: Size
    depth: int
    nests: list[Nest] = field(default_factory=list)
    body: list[Loop | Nest] = field(default_factory=list)


class Loops:
    """The stored values of a program, and the merged loops that compute them; `checks` come before `body`.

    Positions are checked where the stored values are computed, and read where the values are that were checked.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.steps = program.instructions
        self.readers = self._readers()
        self.stored = self._stored()
        self.checks: list[Loop | Nest] = []
        self.body: list[Loop | Nest] = []
        self.paths: dict[int, list[Loop]] = {}
        nests = {k: self._nest(k) for k in sorted(self.stored)}
        for k, nest in nests.items():
            first = self.steps[k].is_check and not self.reads(k)
            self._join(self.checks if first else self.body, nest, 0)
        self.local = {k for k, nest in nests.items() if self._is_local(k, nest)}

    # --- what is stored
    def is_renaming(self, k: int) -> bool:
        """True for a value that is another one with other indices, or nothing at all."""
        step = self.steps[k]
        if isinstance(step.action, Load | Length | Constant):
            return True
        if isinstance(step.action, Map | Combine | Divide | Put):
            return False
        return not isinstance(step.action, Contract) or (len(step.operands) == 1 and not step.summed)

    def is_spread(self, k: int) -> bool:
        """True for a value that is zero but where two of its indices agree: only there is anything to be computed."""
        return self.is_renaming(k) and len(set(self.axes(k))) < len(self.steps[k].shape)

    def is_whole(self, k: int) -> bool:
        """True for an operation on whole arrays that no loop over entries can do."""
        action = self.steps[k].action
        return isinstance(action, Map) and not (
            action.op.is_elementwise or action.op.loop.gather or action.op.code.entry
        )

    def is_reduced(self, k: int) -> bool:
        """True for a value that is made of many entries."""
        action = self.steps[k].action
        if isinstance(action, Map):
            return action.op.loop.gather is not None
        return isinstance(action, Put) or (isinstance(action, Contract) and bool(self.steps[k].summed))

    def _readers(self) -> list[list[tuple[int, int]]]:
        """Return, for each instruction, the computing steps that read it, through renamings, once for each reading.

        Beside each, how many axes the value has as it is read: its own, or those of what is taken from it.
        """
        readers: list[list[tuple[int, int]]] = [[] for _ in self.steps]
        for k in range(len(self.steps) - 1, -1, -1):
            step = self.steps[k]
            for operand, _ in read_entries(step):
                axes = len(self.steps[operand].shape)
                if not self.is_renaming(k):
                    readers[operand].append((k, axes))
                else:
                    taken = isinstance(step.action, Take)
                    readers[operand] += [(reader, seen if taken else axes) for reader, seen in readers[k]]
        return readers

    def _stored(self) -> set[int]:
        stored = set(self.program.outputs)
        read = {operand for step in self.steps for operand, _ in read_entries(step)}
        for k, step in enumerate(self.steps):
            if self.is_whole(k):
                stored |= {k, *(o for o in step.operands if not isinstance(self.steps[o].action, Load))}
            elif isinstance(step.action, Pad):  # its entries may be read only where they exist
                stored |= self._beneath(step)
            elif step.is_check:  # what is computed, once for the check and for those who read it
                stored |= {k, *self._beneath(step)}
            elif k in read and not self.is_renaming(k):
                inside = [self._space(reader) == axes for reader, axes in self.readers[k]] == [True]
                if self.is_reduced(k) or not inside:
                    stored.add(k)
        return stored

    def _beneath(self, step: Instruction) -> set[int]:
        """Return the computed values that a step reads, through renamings."""
        found: set[int] = set()
        for operand, _ in read_entries(step):
            found |= self._beneath(self.steps[operand]) if self.is_renaming(operand) else {operand}
        return found

    def _space(self, k: int) -> int:
        step = self.steps[k]
        every = step.subscripts if isinstance(step.action, Put) else (*step.subscripts, step.output)
        return -1 if self.is_whole(k) else len({i for sub in every for i in sub})

    def extents(self, k: int) -> dict[int, Size]:
        """Return the size of each index of an instruction."""
        step = self.steps[k]
        if self.is_renaming(k):
            return dict(enumerate(step.shape))
        return self.program.index_sizes(step)

    # --- the loops
    def _nest(self, k: int) -> Nest:
        step = self.steps[k]
        if self.is_whole(k):
            return Nest(k, (), None)
        if isinstance(step.action, Put):
            return Nest(k, tuple(dict.fromkeys(step.subscripts[0])), None)
        every = tuple(dict.fromkeys(i for sub in (step.output, *step.subscripts) for i in sub))
        if not self.is_reduced(k):
            return Nest(k, tuple(dict.fromkeys(self.axes(k))) if self.is_renaming(k) else every, None)
        largest = max(step.subscripts, key=len)
        order = tuple(dict.fromkeys((*largest, *every)))
        if isinstance(step.action, Map) or largest[-1] not in step.output:  # the last axis is next in memory
            order = tuple(dict.fromkeys((*step.output, *largest, *every)))
        elif largest[-1] == step.output[-1]:
            order = (*(i for i in dict.fromkeys((*step.output[:-1], *every)) if i != largest[-1]), largest[-1])
        if is_product(step):
            order = product_order(in_memory(self.steps, step), step.output, order)
        count = len(set(step.output))
        return Nest(k, order, count if set(order[:count]) == set(step.output) else None)

    def reads(self, k: int) -> list[tuple[int, Subscripts]]:
        """Return the stored values that the nest of a value reads, with its own index at each axis, -1 for others."""
        step = self.steps[k]
        if self.is_renaming(k):
            own = self.axes(k)
            return self._read(k, own) if isinstance(step.action, Load) else self._through(step, own)
        found = []
        for operand, sub in read_entries(step):
            found += self._read(operand, sub)
        return found

    def _read(self, k: int, at: Subscripts) -> list[tuple[int, Subscripts]]:
        step = self.steps[k]
        if step.is_check:
            return [(k, at), *self._through(step, at)]
        if k in self.stored:
            return [(k, at)]
        return [] if isinstance(step.action, Load | Length | Constant) else self._through(step, at)

    def _through(self, step: Instruction, at: Subscripts) -> list[tuple[int, Subscripts]]:
        named: dict[int, int] = {}
        for i, label in zip(step.output, at, strict=True):
            named.setdefault(i, label)
        is_selection = not isinstance(step.action, Map | Combine | Divide | Contract | Take)
        found = []
        for operand, sub in read_entries(step):
            labels = tuple(-1 if is_selection else named.get(i, -1) for i in sub)
            found += self._read(operand, labels)
        return found

    def _join(self, body: list[Loop | Nest], nest: Nest, depth: int) -> None:
        """Put the nest into the last loop that it fits, or behind everything that is there."""
        path = self.paths.setdefault(nest.step, [])
        if depth == len(nest.order):
            body.append(nest)
            return
        extent = self.extents(nest.step)[nest.order[depth]]
        for item in reversed(body):
            if isinstance(item, Loop) and item.extent == extent and self._is_ready(item, nest, depth):
                item.nests.append(nest)
                path.append(item)
                self._join(item.body, nest, depth + 1)
                return
            if self._depends(nest, item):
                break
        loop = Loop(extent, depth, [nest])
        body.append(loop)
        path.append(loop)
        self._join(loop.body, nest, depth + 1)

    def _is_local(self, k: int, nest: Nest) -> bool:
        """True if one number is enough: every other nest reads the value where the loops are that computed it."""
        count = len(self.steps[k].shape)
        if not count or k in self.program.outputs or self.is_spread(k) or set(nest.order[:count]) != set(self.axes(k)):
            return False
        own = self.paths[k][:count]
        readers = [r for r in self.paths if any(k == found for found, _ in self.reads(r))]
        if any(self.is_whole(r) for r in readers) or (self.is_reduced(k) and nest.local is None):
            return False
        return all(
            len(self.paths[r]) >= count and all(a is b for a, b in zip(own, self.paths[r], strict=False))
            for r in readers
        )

    def _depends(self, nest: Nest, item: Loop | Nest) -> bool:
        inside = item.nests if isinstance(item, Loop) else [item]
        return bool({other.step for other in inside} & {k for k, _ in self.reads(nest.step)})

    def _is_ready(self, loop: Loop, nest: Nest, depth: int) -> bool:
        """True if what the nest reads from this loop is complete for the entry that the loop is at."""
        inside = {other.step: other for other in loop.nests}
        for k, at in self.reads(nest.step):
            if k not in inside:
                continue
            theirs = inside[k].order[depth]
            places = [axis for axis, i in enumerate(self.axes(k)) if i == theirs]
            if not places or any(at[axis] != nest.order[depth] for axis in places):
                return False
        return True

    def axes(self, k: int) -> Subscripts:
        """The indices of a stored value's axes in its own nest."""
        step = self.steps[k]
        if isinstance(step.action, Contract) and self.is_renaming(k):
            return tuple(step.output.index(i) for i in step.output)
        return tuple(range(len(step.shape))) if self.is_renaming(k) else step.output


def read_entries(step: Instruction) -> list[tuple[int, Subscripts]]:
    """Return the operands of which entries are read, with their indices: not those that say a size or a place."""
    pairs = list(zip(step.operands, step.subscripts, strict=True))
    if isinstance(step.action, Map) and (step.is_check or step.action.op.code.entry):
        return pairs[:1] if step.action.op.is_positional else []
    return pairs
