"""Which steps of a program may write their result over an operand.

An operand can hold the result if it is an array of its own that nobody reads later. It surely can if it varies with all
that the result varies with: what comes of the same arguments is batched alike, and has one type. Otherwise that shows
when the code runs: what is the same for a whole batch (`torch.func.vmap`) cannot hold what differs within it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from chainrule.compile.program import Combine, Contract, Divide, Instruction, Load, Map, Program

Origins = Sequence[frozenset[int]]  # for each argument of a program, what it was computed from


def origins_of(program: Program, given: Origins) -> list[frozenset[int]]:
    """Return, for each step, what it is computed from, given that of the arguments."""
    found: list[frozenset[int]] = []
    for step in program.instructions:
        own = given[step.action.position] if isinstance(step.action, Load) else frozenset()
        found.append(own.union(*(found[operand] for operand in step.operands)))
    return found


class Lifetimes:
    """When the values of a program are read for the last time.

    A step of `nested` has no line of its own: it runs anywhere between its place and the line that it is written in.
    """

    def __init__(self, program: Program, nested: Collection[int], origins: Origins) -> None:
        self.program, self.steps = program, program.instructions
        self.users: list[set[int]] = [set() for _ in self.steps]
        for k, step in enumerate(self.steps):
            for operand in step.operands:
                self.users[operand].add(k)
        self.run_at = list(range(len(self.steps)))  # the last place at which a step may run
        for k in range(len(self.steps) - 1, -1, -1):
            if k in nested or self.steps[k].is_transpose:
                self.run_at[k] = max((self.run_at[user] for user in self.users[k]), default=k)
        self.nested = nested
        self.origins = origins_of(program, origins)
        self.ndim = max((len(step.shape) for step in self.steps), default=0)

    def holders(self, k: int) -> list[int]:
        """Return the positions of the operands that may hold the result of the step, or the terms that it sums."""
        step = self.steps[k]
        if len(set(step.output)) < len(step.output):
            return []
        return [position for position in range(len(step.operands)) if self._may_hold(k, position)]

    def _may_hold(self, k: int, position: int) -> bool:
        step = self.steps[k]
        number, labels = step.operands[position], step.subscripts[position]
        every = {i for sub in step.subscripts for i in sub} | set(step.output)
        if set(labels) != every or len(set(labels)) < len(labels) or len(labels) < max(self.ndim, 1):
            return False
        if step.operands.count(number) > 1:
            return False
        chain = {k, number}
        while self.steps[number].is_transpose:
            number = self.steps[number].operands[0]
            chain.add(number)
        action = step.action
        is_one_call = not isinstance(action, Combine) or (
            len(step.operands) == 2 and action.coefficients[position] == 1
        )
        return _is_fresh(self.steps[number]) and self._is_read_last(number, chain, k, is_one_call)

    def is_alike(self, number: int, *others: int) -> bool:
        """True if a value varies with all that the others vary with."""
        return all(self.origins[number] >= self.origins[other] for other in others)

    def _is_read_last(self, number: int, chain: Collection[int], k: int, is_one_call: bool) -> bool:
        """True if all that reads the memory of a value has run before step k; `chain` are the views that k reads.

        If step k is one call, the parts of its other operands may read it too.
        """
        if number in self.program.outputs:
            return False
        for user in self.users[number]:
            if user not in chain and self.run_at[user] >= k and not (is_one_call and self._is_within(user, k)):
                return False
            if user != k and _shares(self.steps[user]) and not self._is_read_last(user, chain, k, is_one_call):
                return False
        return True

    def _is_within(self, number: int, k: int) -> bool:
        """True if a step is written within an operand of step k: Python works out the operands of a call first."""
        while number != k and number in self.nested and len(self.users[number]) == 1:
            (number,) = self.users[number]
        return number == k


def _shares(step: Instruction) -> bool:
    """True if the result may lie in the memory of the operand."""
    return step.is_view or (isinstance(step.action, Map) and step.action.op.is_held)


def _is_fresh(step: Instruction) -> bool:
    """True if the result is an array of its own, of the type of its operands."""
    if _shares(step):
        return False
    if isinstance(step.action, Map):
        return not step.action.op.extents
    return isinstance(step.action, Combine | Contract | Divide)
