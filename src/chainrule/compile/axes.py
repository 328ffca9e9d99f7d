"""Axes that are of one size, told apart: in `tanh(A @ x)` with a square A the rows of A are not tied to its columns.

A plan finds its rows by the name of a size. Sizes say which axes are equally long; here axes that no instruction ties
to each other get names of their own. The arrays fit all the same: where the sizes are equal, so are the extents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from chainrule.compile.program import BY_SUBSCRIPTS, Contract, Instruction, Load, Map, Program
from chainrule.compile.rows import Pass, Plan, Stretch
from chainrule.expression.extent import names_of
from chainrule.expression.node import Symbol
from chainrule.expression.shape import Shape, Size

Axis = tuple[int, int]  # an instruction, and which axis of its value


@dataclass(frozen=True, slots=True)
class Apart:
    """A program, and by argument of it which argument of the first program that is."""

    program: Program
    sources: tuple[int, ...]


def told_apart(program: Program, products: bool = False) -> Iterator[Apart]:
    """Yield the program with names for axes that are free of each other, as far as there are any.

    First with each argument as one array; then with those as two that are read in two ways, as in A + Aᵀ. Without
    `products`, what multiplies matrices stays as it is: BLAS is at its best with all rows.
    """
    if not products and any(_is_of_matrices(step) for step in program.instructions):
        return
    whole = Apart(program, tuple(range(len(program.arguments))))
    for candidate in (whole, _read_apart(program)):
        found = _renamed(candidate.program)
        if found is not None:
            yield _merged(Apart(found, candidate.sources))


def reads_less(plan: Plan) -> bool:
    """True if passes read, or make, matrices by something else than a product, or one for two products or more.

    BLAS, which is at its best at products of matrices and vectors, reads a matrix for each of them.
    """
    if any(_is_on_entries(step, part.program) for part in plan.passes for step in part.program.instructions):
        return True
    by_rows = all(not axis for part in plan.passes for axis in _matrix_axes(part))
    passes = sum(len(_matrix_axes(part)) for part in plan.passes)
    stretches = sum(_readings(step.program) for step in plan.steps if isinstance(step, Stretch))
    return by_rows and passes + stretches < _readings(plan.program)


def _matrix_axes(part: Pass) -> list[int]:
    """Return the row axes of the matrices whose rows a pass reads."""
    pairs = zip(part.program.arguments, part.axes, strict=True)
    return [axis for symbol, axis in pairs if len(symbol.shape) > 1 and axis is not None]


def _readings(program: Program) -> int:
    """Return how many times products read matrices."""
    return sum(_is_matrix(program, operand) for step in program.products for operand in step.operands)


def _is_matrix(program: Program, k: int) -> bool:
    while program.instructions[k].is_transpose:
        k = program.instructions[k].operands[0]
    return isinstance(program.instructions[k].action, Load) and len(program.instructions[k].shape) > 1


def _is_of_matrices(step: Instruction) -> bool:
    """True for a product with two free indices or more, one of either operand's own."""
    if not isinstance(step.action, Contract) or len(step.operands) != 2 or not step.summed:
        return False
    a, b = (set(sub) & set(step.output) for sub in step.subscripts)
    return bool(a - b) and bool(b - a)


def _is_on_entries(step: Instruction, program: Program) -> bool:
    """True if matrices are read, or made, by something else than a product."""
    is_product = isinstance(step.action, Contract) and len(step.operands) == 2 and step.summed
    shapes = [step.shape, *(program.instructions[o].shape for o in step.operands)]
    return not is_product and not isinstance(step.action, Load) and max(map(len, shapes)) > 1


# --- which axes are tied to each other
@dataclass(slots=True)
class _Ties:
    """Classes of axes of one size, each called by one of its axes: union and find."""

    above: dict[Axis, Axis] = field(default_factory=dict)
    fixed: set[Axis] = field(default_factory=set)  # axes whose names may not change, by any axis of a class

    @classmethod
    def of(cls, program: Program) -> _Ties:
        """Return the classes of the axes of all values."""
        ties = cls()
        for k, step in enumerate(program.instructions):
            labels: dict[object, Axis] = {}
            values = [*zip(step.operands, step.subscripts, strict=True), (k, step.output)]
            for value, sub in values:
                for axis, label in enumerate(sub):
                    ties.tie((value, axis), labels.setdefault(label, (value, axis)))
            ties.fixed |= {axis for axis in labels.values() if not isinstance(step.action, BY_SUBSCRIPTS)}
            if isinstance(step.action, Map):
                ties.tie_core(step, step.action, values)
        return ties

    def tie_core(self, step: Instruction, action: Map, values: list[tuple[int, tuple[int, ...]]]) -> None:
        """Tie the core axes that the operation calls by one name."""
        core, named = action.op.core, dict[str, Axis]()
        for (value, sub), own in zip(values, (*core.inputs, core.output), strict=False):
            for axis, name in enumerate(own, len(sub) - len(own)):
                self.tie((value, axis), named.setdefault(name, (value, axis)))
        self.fixed |= {named[name] for name in action.op.extents}

    def tie(self, a: Axis, b: Axis) -> None:
        """Put two axes into one class."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self.above[max(a, b)] = min(a, b)

    def find(self, axis: Axis) -> Axis:
        """Return the first axis of the class."""
        while axis in self.above:
            axis = self.above[axis]
        return axis


def _renamed(program: Program) -> Program | None:
    """Return the program with a name of its own for each class of axes, or None if there is nothing to rename."""
    ties = _Ties.of(program)
    classes: dict[Axis, set[Size]] = {}
    shown: dict[Axis, None] = {}  # the classes that an argument shows, in order
    for k, step in enumerate(program.instructions):
        for axis, n in enumerate(step.shape):
            first = ties.find((k, axis))
            classes.setdefault(first, set()).add(n)
            if isinstance(step.action, Load):
                shown[first] = None
    fixed = {ties.find(axis) for axis in ties.fixed}
    plain = set(program.sizes) - set(program.given)
    free = [c for c in shown if len(classes[c]) == 1 and classes[c] <= plain and c not in fixed]
    new: dict[Axis, str] = {}
    taken = {name for sizes in classes.values() for n in sizes for name in names_of(n)} | set(program.sizes)
    fresh = (name for name in (f"axis{k}" for k in count()) if name not in taken)
    for n in (n for n in program.sizes if n in plain):
        own = [c for c in free if n in classes[c]]
        is_shown = any(n in classes[c] for c in shown if c not in own)  # by an axis that keeps the name
        new.update((c, next(fresh)) for c in own[not is_shown :])
    if not new:
        return None

    def shape(k: int) -> Shape:
        return tuple(new.get(ties.find((k, axis)), n) for axis, n in enumerate(program.instructions[k].shape))

    return _reshaped(program, [shape(k) for k in range(len(program.instructions))])


def _reshaped(program: Program, shapes: list[Shape]) -> Program:
    """Return the program with these shapes of its values, and of the arguments that it loads."""
    steps = tuple(replace(step, shape=shape) for step, shape in zip(program.instructions, shapes, strict=True))
    symbols = list(program.arguments)
    for step in steps:
        if isinstance(step.action, Load):
            position = step.action.position
            symbols[position] = Symbol(symbols[position].name, step.shape)
    return replace(program, arguments=tuple(symbols), instructions=steps)


# --- an argument that is read in two ways
def _read_apart(program: Program) -> Apart:
    """Return the program in which every use of a matrix loads it anew, as an argument of its own."""
    arguments, sources = list(program.arguments), list(range(len(program.arguments)))
    steps: list[Instruction] = []
    number: list[int] = []
    for step in program.instructions:
        operands = []
        for operand in step.operands:
            old = program.instructions[operand]
            if isinstance(old.action, Load) and len(old.shape) > 1:
                steps.append(replace(old, action=Load(len(arguments))))
                arguments.append(program.arguments[old.action.position])
                sources.append(old.action.position)
                operands.append(len(steps) - 1)
            else:
                operands.append(number[operand])
        number.append(len(steps))
        steps.append(replace(step, operands=tuple(operands)))
    outputs = tuple(number[k] for k in program.outputs)
    found = replace(program, arguments=tuple(arguments), instructions=tuple(steps), outputs=outputs)
    return Apart(found, tuple(sources))


def _merged(apart: Apart) -> Apart:
    """Return the program in which equal loads are one, and those that nothing reads are none."""
    program = apart.program
    uses = Counter(o for step in program.instructions for o in step.operands) + Counter(program.outputs)
    steps: list[Instruction] = []
    number: list[int] = []
    known: dict[object, int] = {}
    for k, step in enumerate(program.instructions):
        load = isinstance(step.action, Load) and (apart.sources[step.action.position], step.shape)
        number.append(known.setdefault(load, len(steps)) if load and uses[k] else len(steps))
        if number[-1] == len(steps) and uses[k]:
            steps.append(replace(step, operands=tuple(number[o] for o in step.operands)))
    outputs = tuple(number[k] for k in program.outputs)
    return replace(apart, program=replace(program, instructions=tuple(steps), outputs=outputs))
