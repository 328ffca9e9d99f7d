"""Which values of a row a kernel computes together: the loop nests, and what one leaves in memory for another.

A root is a value that a nest ends in: an output, a sum, what is read in a larger nest, and what would be costly to
compute where it is read. All else is computed where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainrule.compile.program import Contract, Instruction, Load, Map, Program

CALL = re.compile(r"\w\(|\*\*")  # in the scalar code of an operation that costs more than memory does
Space = tuple[str, ...]  # the sizes of a nest's inner loops


class Grouping:
    """The nests of a program whose row axis has this size: roots by level and sizes, and the values that are stored."""

    def __init__(self, program: Program, size: str) -> None:
        self.program = program
        self.size = size
        self.stored: set[int] = set()
        self.groups: dict[tuple[int, Space], list[int]] = {}

    def arrange(self) -> None:
        """Find the nests."""
        roots = self._roots()
        level: dict[int, int] = {}
        needs: dict[int, set[int]] = {}
        for k in roots:
            needs[k] = self._needs(k, set(roots))
            level[k] = max((level[m] + self._waits(k, m) for m in needs[k]), default=0)
            self.groups.setdefault((level[k], self._space(k)), []).append(k)
        for k in roots:
            mine = (level[k], self._space(k))
            self.stored |= {m for m in needs[k] if (level[m], self._space(m)) != mine}
        self.stored |= set(self.program.outputs)

    def inner(self, step: Instruction) -> list[str | int]:
        """The sizes of the indices of a step but its row index."""
        return [n for n in self.program.index_sizes(step).values() if n != self.size]

    def line(self, k: int) -> str:
        """Return the scalar code of an operation."""
        step = self.program.instructions[k]
        assert isinstance(step.action, Map)
        return step.action.op.loop.written(self.program.known(step))

    def is_costly(self, roots: Sequence[int]) -> bool:
        """True if what a nest computes, and not only reads, has calls in it."""
        stack, seen = list(roots), set(roots)
        while stack:
            k = stack.pop()
            if self._calls(k):
                return True
            new = {m for m in self.program.instructions[k].operands if m not in self.stored} - seen
            stack.extend(new)
            seen |= new
        return False

    def _roots(self) -> list[int]:
        steps = self.program.instructions
        users: dict[int, list[int]] = {k: [] for k in range(len(steps))}
        for k, step in reversed(list(enumerate(steps))):
            for operand in step.operands:
                users[operand] += users[k] if self._is_seen_through(k) else [k]
        skipped = {k for k, step in enumerate(steps) if isinstance(step.action, Load)} | self.program.numbers
        roots: list[int] = []
        costly: set[int] = set()  # what a nest that needs the value has to call a function for
        for k in (k for k in range(len(steps)) if k not in skipped):
            is_costly = self._calls(k) or not costly.isdisjoint(steps[k].operands)
            if self._is_root(k, users[k], is_costly):
                roots.append(k)
            elif is_costly:
                costly.add(k)
        return roots

    def _is_seen_through(self, k: int) -> bool:
        step = self.program.instructions[k]
        is_view = isinstance(step.action, Contract) and len(step.operands) == 1 and not step.summed
        return is_view and k not in self.program.outputs

    def _is_root(self, k: int, users: list[int], is_costly: bool) -> bool:
        step = self.program.instructions[k]
        if k in self.program.outputs or step.is_reduced:
            return True
        if self._is_seen_through(k):
            return False
        rank = len(step.shape)
        if any(1 + len(self.inner(self.program.instructions[u])) > rank for u in users):
            return True
        return len(users) > 1 and is_costly

    def _space(self, k: int) -> tuple[str, ...]:
        """The sizes of the inner loops, those that the value has before those that it is summed over."""
        step = self.program.instructions[k]
        return tuple(sorted(map(str, self.inner(step)), key=lambda n: n not in step.shape))

    def _needs(self, k: int, roots: set[int]) -> set[int]:
        found: set[int] = set()
        stack = list(self.program.instructions[k].operands)
        while stack:
            m = stack.pop()
            if m in roots:
                found.add(m)
            else:
                stack.extend(self.program.instructions[m].operands)
        return found

    def _waits(self, k: int, m: int) -> bool:
        """True if `k` cannot be computed in the same loops as `m`."""
        return self.program.instructions[m].is_reduced or self._space(k) != self._space(m)

    def _calls(self, k: int) -> bool:
        action = self.program.instructions[k].action
        return isinstance(action, Map) and not action.op.loop.gather and bool(CALL.search(self.line(k)))
