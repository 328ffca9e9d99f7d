"""Program -> program for NumPy: work that goes entry by entry is gathered, a matrix times itself is recognised.

NumPy runs one operation at a time over whole arrays. Here a group of operations whose results nobody else needs becomes
one instruction, a small program of its own, which runs block by block where the arrays are large (`large.Blocks`):
no large temporary is made, and an operand that nobody needs afterwards holds the result. Σᵢ sᵢ xᵢ ⊗ xᵢ becomes
`large.gram`, which computes one half of a symmetric result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.compile.kept import cut
from chainrule.compile.program import (
    Combine,
    Constant,
    Contract,
    Divide,
    Entries,
    Gram,
    Instruction,
    Load,
    Map,
    Program,
    seen_through,
)
from chainrule.compile.recorder import Recorder, program_of
from chainrule.expression.extent import is_derived
from chainrule.expression.node import Subscripts, Symbol

Place = tuple[int, Subscripts]  # an instruction, and the names of its axes


def fused(program: Program) -> Program:
    """Return the program with its entry-by-entry groups and its products of a matrix with itself as one step each."""
    return _grouped(_with_grams(program))


# --- a matrix with itself
def at_grams(program: Program) -> tuple[Program, Program] | None:
    """Return the program of what no matrix times itself is needed for, and that of the rest; None if there is none.

    Both take all arguments; the rest takes after them what the first one returns.
    """
    program = _with_grams(program)
    late: set[int] = set()
    for k, step in enumerate(program.instructions):
        if isinstance(step.action, Gram) or not late.isdisjoint(step.operands):
            late.add(k)
    return cut(program, set(range(len(program.instructions))) - late, program.given) if late else None


def _with_grams(program: Program) -> Program:
    steps = list(program.instructions)
    for k in range(len(steps)):
        steps[k] = _as_gram(steps, k, program.outputs) or steps[k]
    return program_of(steps, program.arguments, program.given, program.outputs)


def _as_gram(steps: Sequence[Instruction], k: int, outputs: Iterable[int]) -> Instruction | None:
    """Return Σᵢ sᵢ xᵢ ⊗ xᵢ as one step if this is one; the weights may stand on either side."""
    step = steps[k]
    if not isinstance(step.action, Contract) or len(step.operands) != 2 or len(step.summed) != 1:
        return None
    (i,) = step.summed
    places = list(zip(step.operands, step.subscripts, strict=True))
    for one, other in (places, places[::-1]):
        once = not _is_used_elsewhere(steps, one[0], k, outputs)
        for matrix, weights in _weighted(steps, *one, i) if once else ():
            found = _self_product(step, matrix, seen_through(steps, *other), i, weights)
            if found is not None:
                return found
    x, y = (seen_through(steps, *place) for place in places)
    if len(x[1]) > 2:
        return _self_product(step, x, y, i, None)
    return None


def _is_used_elsewhere(steps: Sequence[Instruction], number: int, user: int, outputs: Iterable[int]) -> bool:
    return number in outputs or any(number in step.operands for n, step in enumerate(steps) if n != user)


def _weighted(steps: Sequence[Instruction], number: int, labels: Subscripts, i: int) -> list[tuple[Place, int]]:
    """Return the ways to read an array as x with its rows weighted along the index."""
    number, labels = seen_through(steps, number, labels)
    step = steps[number]
    if not isinstance(step.action, Contract) or len(step.operands) != 2 or step.summed:
        return []
    name = dict(zip(step.output, labels, strict=True))
    subs = [tuple(name[n] for n in sub) for sub in step.subscripts]
    ways = []
    for w, x in ((0, 1), (1, 0)):
        if subs[w] == (i,) and len(subs[x]) > 1:
            ways.append((seen_through(steps, step.operands[x], subs[x]), step.operands[w]))
    return ways


def _self_product(step: Instruction, x: Place, y: Place, i: int, weights: int | None) -> Instruction | None:
    """Return the step if both are the same array with the same axis summed, and the output has the others of both."""
    (a, sub_a), (b, sub_b) = x, y
    if a != b or sub_a.count(i) != 1 or sub_a.index(i) != sub_b.index(i):
        return None
    left, right = (tuple(n for n in sub if n != i) for sub in (sub_a, sub_b))
    if set(left) & set(right) or {*left, *right} != set(step.output) or len({*left, *right}) < len(left + right):
        return None
    if weights is None:
        return Instruction(Gram(), (a, b), (sub_a, sub_b), step.output, step.shape)
    return Instruction(Gram(), (a, b, weights), (sub_a, sub_b, (i,)), step.output, step.shape)


# --- entry by entry
def _is_entrywise(step: Instruction) -> bool:
    if len(set(step.output)) < len(step.output) or not step.shape:
        return False
    if any(isinstance(size, str) and is_derived(size) for size in step.shape):
        return False  # 2·n alone does not show n, which the lines of a group may need
    if isinstance(step.action, Contract):
        return len(step.operands) == 2 and not step.summed
    return isinstance(step.action, Combine | Divide) or (isinstance(step.action, Map) and step.action.op.is_elementwise)


def _grouped(program: Program) -> Program:
    """Replace each entry-by-entry step that no other one of its group takes up by the group."""
    steps = list(program.instructions)
    users: dict[int, set[int]] = {k: set() for k in range(len(steps))}
    for k, step in enumerate(steps):
        for operand in step.operands:
            users[operand].add(k)
    for root, members in _groups(program, users).items():
        if _pays(steps, root, members):
            steps[root] = _Group(program, users, root, set(members)).instruction()
    return program_of(steps, program.arguments, program.given, program.outputs)


def _groups(program: Program, users: dict[int, set[int]]) -> dict[int, list[int]]:
    """Return the members of each group by its last one: a step is in the group that all its users are in."""
    steps = program.instructions
    taken: dict[int, int] = {}
    for k in reversed([k for k, step in enumerate(steps) if _is_entrywise(step)]):
        roots = {taken.get(user) for user in users[k]}
        root = roots.pop() if len(roots) == 1 else None
        # what has fewer axes is worked out once, not once for each block
        alone = root is None or k in program.outputs or len(steps[root].shape) > len(steps[k].shape)
        taken[k] = k if alone or root is None else root
    groups: dict[int, list[int]] = {}
    for k in sorted(taken):
        groups.setdefault(taken[k], []).append(k)
    return groups


def _pays(steps: Sequence[Instruction], root: int, members: Sequence[int]) -> bool:
    """A single operation on vectors gains nothing."""
    if len(members) > 1:
        return True
    return len(steps[root].shape) > 1


class _Group:
    """The steps of one group while they become a program of their own."""

    def __init__(self, program: Program, users: dict[int, set[int]], root: int, members: set[int]) -> None:
        self.program = program
        self.steps = program.instructions
        self.users = users
        self.root = root
        self.members = members
        self.leaves: dict[Place, int] = {}
        self.recorder = Recorder()
        self.symbols: list[Symbol] = []

    def instruction(self) -> Instruction:
        """Return the group as one step: its operands with the axes of the result that they have."""
        root = self.steps[self.root]
        axes = tuple(range(len(root.shape)))
        number = self._inside(self.root, axes)
        program = self.recorder.program(self.symbols, (), (number,))
        operands = tuple(number for number, _ in self.leaves)
        subs = tuple(labels for _, labels in self.leaves)
        return Instruction(Entries(program, self._reusable()), operands, subs, axes, root.shape)

    def _inside(self, k: int, labels: Subscripts) -> int:
        step = self.steps[k]
        if isinstance(step.action, Constant):
            return self.recorder.constant(step.action.value)
        if k not in self.members:
            return self._leaf(k, labels)
        name = dict(zip(step.output, labels, strict=True))
        subs = [tuple(name[n] for n in sub) for sub in step.subscripts]
        operands = [self._inside(operand, sub) for operand, sub in zip(step.operands, subs, strict=True)]
        return self.recorder.record(step.action, operands, subs, labels, step.shape)

    def _leaf(self, k: int, labels: Subscripts) -> int:
        position = self.leaves.setdefault((k, labels), len(self.leaves))
        step = self.steps[k]
        if position == len(self.symbols):
            self.symbols.append(Symbol(f"operand{position}", step.shape))
        every = tuple(range(len(step.shape)))
        return self.recorder.record(Load(position), output=every, shape=step.shape)

    def _reusable(self) -> int:
        """Return the position of an operand that is a fresh array of the result's axes which only this group needs."""
        whole = tuple(range(len(self.steps[self.root].shape)))
        for position, (k, labels) in enumerate(self.leaves):
            step = self.steps[k]
            is_fresh = isinstance(step.action, Contract | Gram) and (step.summed or len(set(step.output)) < len(whole))
            is_last = self.users[k] <= self.members and k not in self.program.outputs
            alone = sum(number == k for number, _ in self.leaves) == 1
            if labels == whole and is_fresh and is_last and alone:
                return position
        return -1


def weight(step: Instruction, action: Entries) -> int:
    """Return how many operations a group is; to read an operand across is as slow as one."""
    operations = len(action.program.instructions) - len(step.operands)
    return max(1, operations + sum(list(sub) != sorted(sub) for sub in step.subscripts))
