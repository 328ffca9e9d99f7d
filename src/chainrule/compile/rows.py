"""Program -> passes over independent rows: which axis can be cut into blocks, and what is done before, there and after.

Along the row axis every value is either free of it, a map of rows (each row computed from the same row of what it is
made of) or a sum over rows. Free values come before the rows that use them, sums after; a sum that goes back to rows
(the mean of a column that is subtracted from it) starts another pass. So does an operation that needs a whole column of
numbers, a softmax of one number for each row, if a plan may have such: it runs once, between passes. Each pass is a
program of its own, in which the row axis is called by another name: it serves a block of any number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chainrule.compile.program import Contract, Instruction, Length, Load, Map, Pad, Part, Program, Put, Reshape, Take
from chainrule.expression.extent import is_derived, names_of
from chainrule.expression.node import Symbol
from chainrule.expression.shape import Shape, Size

STEPPED = 4  # passes that go through memory in order, as long as one in steps, along an axis behind the first
MAX_PASSES = 4  # more passes than this read the data more often than the plain program would


@dataclass(frozen=True, slots=True)
class Stretch:
    """A program that runs once: what is free of rows. `takes` and `gives` number values of the whole program."""

    program: Program
    takes: tuple[int, ...]
    gives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """A program that runs once for each block of rows.

    `axes` holds the row axis of each argument, None for what is free of rows; `results` the row axis of each output,
    None for a sum over rows.
    """

    program: Program
    takes: tuple[int, ...]
    axes: tuple[int | None, ...]
    gives: tuple[int, ...]
    results: tuple[int | None, ...]
    size: str  # what the row axis is called in `program`


@dataclass(frozen=True, slots=True)
class Plan:
    """A program in steps: stretches that are free of rows, and passes over the rows of the axis `size`."""

    program: Program
    size: str
    steps: tuple[Stretch | Pass, ...]

    @property
    def passes(self) -> list[Pass]:
        """The steps that go over the rows."""
        return [step for step in self.steps if isinstance(step, Pass)]


def row_plan(program: Program, columns: bool = False) -> Plan | None:
    """Return the program cut along the axis that needs the fewest passes, or None if it has no independent rows.

    Passes count for more where the axis is not the first one of the data and the results. Of two axes with equally
    many, the one that is the first of more results is taken, and then the one that more of the data has. With
    `columns`, operations may need a whole column of numbers, one for each row.
    """
    best = min(_cuttings(program, columns), key=lambda pair: pair[0], default=None)
    if best is None or not 1 <= len(best[1].levels) <= MAX_PASSES or _gives_numbers(program):
        return None
    return best[1].plan()


def one_pass(program: Program) -> tuple[str, Pass] | None:
    """Return an axis along which one pass is all there is to do, and that pass; None if there is no such axis."""
    for _, cutting in sorted(_cuttings(program, columns=False), key=lambda pair: pair[0]):
        if len(cutting.levels) == 1 and not _gives_numbers(program):
            match cutting.plan().steps:
                case (Pass() as found,):
                    return cutting.size, found
    return None


def _cuttings(program: Program, columns: bool) -> Iterator[tuple[tuple[int, ...], _Cutting]]:
    """Yield the axes that have independent rows, each with what its passes cost."""
    for size in program.sizes:
        if size not in program.given:
            places = _Places.of(program, size, columns)
            if places is not None:
                yield _score(program, places), _Cutting(program, size, places)


def _gives_numbers(program: Program) -> bool:
    return not set(program.outputs).isdisjoint(program.numbers)


def _score(program: Program, places: _Places) -> tuple[int, int, int, int, int]:
    passes = {places.pass_of(k) for k in places.ends(program)}
    loads = [k for k, step in enumerate(program.instructions) if isinstance(step.action, Load)]
    rows = [(len(program.instructions[k].shape), places.axes[k]) for k in loads if places.axes[k] is not None]
    first = [ndim for ndim, axis in rows if axis == 0]
    largest = max((len(program.instructions[k].shape) for k in loads), default=0)
    across = sum(bool(places.axes[k]) for k in program.outputs)  # blocks of rows are turned when read, not when written
    stepped = across or any(axis for ndim, axis in rows if ndim > 1)
    return (
        len(passes) * (STEPPED if stepped else 1),
        across,
        largest - max((ndim for ndim, _ in rows), default=0),
        -sum(first),
        -sum(n for n, _ in rows),
    )


# --- which axis of each value is the row axis
@dataclass(frozen=True, slots=True)
class _Places:
    """By instruction: the row axis (None: free of rows), and in which pass it is there.

    `sums` are sums over rows. `columns` have rows that no pass computes: arguments, and operations on whole columns;
    `read` are the columns that those need from a pass.
    """

    axes: tuple[int | None, ...]
    levels: tuple[int, ...]
    sums: frozenset[int]
    columns: frozenset[int]
    read: frozenset[int]

    @classmethod
    def of(cls, program: Program, size: str, columns: bool = False) -> _Places | None:
        """Return the places of the axis `size`, or None if rows of it are not independent."""
        axes: list[int | None] = []
        levels: list[int] = []
        sums: set[int] = set()
        there: set[int] = set()
        read: set[int] = set()
        for k, step in enumerate(program.instructions):
            found = _row_label(step, axes, size)
            if found is None:
                return None
            label, keeps = found
            axes.append(step.output.index(label) if label in step.output else None)
            levels.append(max((levels[operand] for operand in step.operands), default=0))
            if isinstance(step.action, Load):
                there.add(k)
            elif not keeps:
                if not columns or not _is_of_columns(step, program):
                    return None
                there.add(k)
                needed = {o for o in step.operands if axes[o] is not None} - there
                levels[k] = max([levels[k], *(levels[o] + 1 for o in needed)])
                read |= needed
            elif label != NONE and label not in step.output:
                sums.add(k)
                levels[k] += 1
        if all(axis is None for axis in axes):
            return None
        return cls(tuple(axes), tuple(levels), frozenset(sums), frozenset(there), frozenset(read))

    def is_of_a_pass(self, k: int) -> bool:
        """True for rows that a pass computes."""
        return self.axes[k] is not None and k not in self.columns

    def ends(self, program: Program) -> list[int]:
        """The values that a pass is run for: sums, and rows that are results or read as columns."""
        rows = [k for k in dict.fromkeys([*program.outputs, *sorted(self.read)]) if self.is_of_a_pass(k)]
        return [*sorted(self.sums), *rows]

    def pass_of(self, k: int) -> int:
        """The pass that a value that a pass is run for comes from: a sum is there after it."""
        return self.levels[k] - (k in self.sums)


NONE = -1  # no label: the value is free of rows


def _row_label(step: Instruction, axes: Sequence[int | None], size: str) -> tuple[int, bool] | None:
    """Return the label of the row axis and whether each row is computed by itself; None if rows are mixed up."""
    if any(is_derived(n) and size in names_of(n) for n in step.shape):
        return None
    pairs = list(zip(step.operands, step.subscripts, strict=True))
    labels = {sub[axes[operand]] for operand, sub in pairs if axes[operand] is not None}  # type: ignore[index]
    made = {label for label, n in zip(step.output, step.shape, strict=True) if n == size}
    if len(labels | made) > 1 or any(step.output.count(label) > 1 for label in made):
        return None
    label = next(iter(labels | made), NONE)
    return label, label == NONE or _keeps_rows(step, label)


def _keeps_rows(step: Instruction, label: int) -> bool:
    match step.action:
        case Map(op):
            return op.is_elementwise or (not op.extents and label in step.output[: -len(op.core.output) or None])
        case Part(axis, _) | Pad(axis, _):
            sub = step.subscripts[0]
            return label in sub and sub.index(label) != axis and label in step.output
        case Take(axis):
            return step.subscripts[0][axis] != label and label in step.output
        case Put(axis):
            return step.output[axis] != label and label in step.output
        case Reshape():
            return False
        case Contract():
            return all(sub.count(label) <= 1 for sub in step.subscripts)
    return label in step.output


def _is_of_columns(step: Instruction, program: Program) -> bool:
    """True for an operation on columns of numbers, which are little beside the data."""
    shapes = [step.shape, *(program.instructions[o].shape for o in step.operands)]
    largest = max(len(symbol.shape) for symbol in program.arguments)
    return isinstance(step.action, Map) and not step.action.op.extents and max(map(len, shapes)) < min(2, largest)


# --- cutting
class _Cutting:
    """Sorts the instructions into stretches and passes."""

    def __init__(self, program: Program, size: str, places: _Places) -> None:
        self.program = program
        self.size = size
        self.places = places
        self.numbers = program.numbers
        self.loads = {k for k, step in enumerate(program.instructions) if isinstance(step.action, Load)}
        self.levels = sorted({places.pass_of(k) for k in places.ends(program)})
        taken = {name for step in program.instructions for n in step.shape for name in names_of(n)}
        self.block = next(name for name in _fresh("block") if name not in taken)

    def plan(self) -> Plan:
        """Return the steps in the order in which they run."""
        passes = {level: self._pass(level) for level in self.levels}
        wanted = set(self.program.outputs) | {k for p in passes.values() for k in p.takes}
        highest = max(self.places.levels, default=0)
        steps: list[Stretch | Pass] = []
        for level in range(highest + 1):
            stretch = self._stretch(level, wanted, is_last=level == highest)
            steps += [stretch] if stretch.gives else []
            steps += [passes[level]] if level in passes else []
        return Plan(self.program, self.size, tuple(steps))

    def _pass(self, level: int) -> Pass:
        places = self.places
        gives = [k for k in places.ends(self.program) if places.pass_of(k) == level]

        def is_outside(k: int) -> bool:
            return not places.is_of_a_pass(k) or (k in places.read and places.pass_of(k) < level)

        inside = self._reached(gives, is_outside, set(gives) & places.sums)
        takes = self._outside(inside, gives)
        program = self._part(inside, takes, gives, {self.size: self.block})
        axes = tuple(places.axes[k] for k in takes)
        return Pass(program, takes, axes, tuple(gives), tuple(places.axes[k] for k in gives), self.block)

    def _stretch(self, level: int, wanted: set[int], is_last: bool) -> Stretch:
        """What is free of rows and there at this level, from what earlier levels gave."""
        own = [k for k in range(len(self.program.instructions)) if self._is_free(k) and self.places.levels[k] == level]
        users = {k: set(self.program.instructions[k].operands) for k in range(len(self.program.instructions))}
        later = {
            o for k, operands in users.items() if self.places.levels[k] > level and self._is_free(k) for o in operands
        }
        gives = [k for k in own if k in wanted | later]
        if is_last:
            gives += [k for k in dict.fromkeys(self.program.outputs) if k in self.loads]
        inside = self._reached(gives, lambda k: not self._is_free(k) or self.places.levels[k] < level, set())
        takes = self._outside(inside, gives)
        some = next((k for k in sorted(self.loads)), None)  # it shows the type of float
        if some is not None and gives and not takes:
            takes = (some,)
        return Stretch(self._part(inside, takes, gives, {}), takes, tuple(gives))

    def _is_free(self, k: int) -> bool:
        return not self.places.is_of_a_pass(k) and k not in self.loads | self.numbers | self.places.sums

    def _reached(self, ends: Iterable[int], is_outside: Callable[[int], bool], forced: set[int]) -> set[int]:
        """The instructions that the ends need, up to those that are outside; numbers are made where they are used."""
        inside: set[int] = set()
        stack = list(ends)
        while stack:
            k = stack.pop()
            known = k in self.numbers
            if k in inside or (k not in forced and not known and is_outside(k)):
                continue
            inside.add(k)
            stack.extend(self.program.instructions[k].operands)
        return inside

    def _outside(self, inside: set[int], gives: Sequence[int]) -> tuple[int, ...]:
        used = {o for k in inside for o in self.program.instructions[k].operands} | set(gives)
        return tuple(sorted(used - inside))

    def _part(
        self, inside: set[int], takes: Sequence[int], gives: Sequence[int], renamed: Mapping[Size, Size]
    ) -> Program:
        """Return these instructions as a program of what they take."""

        def shape(k: int) -> Shape:
            return tuple(renamed.get(n, n) for n in self.program.instructions[k].shape)

        symbols = tuple(Symbol(f"v{k}", shape(k)) for k in takes)
        steps = [Instruction(Load(i), (), (), tuple(range(len(shape(k)))), shape(k)) for i, k in enumerate(takes)]
        number = {k: i for i, k in enumerate(takes)}
        for k in sorted(inside):
            old = self.program.instructions[k]
            number[k] = len(steps)
            operands = tuple(number[o] for o in old.operands)
            steps.append(Instruction(old.action, operands, old.subscripts, old.output, shape(k)))
        given = sorted(_sizes_in(steps) - {n for symbol in symbols for n in symbol.shape if isinstance(n, str)})
        return Program(symbols, tuple(given), tuple(steps), tuple(number[k] for k in gives))


def _sizes_in(steps: Iterable[Instruction]) -> set[str]:
    lengths = {step.action.size for step in steps if isinstance(step.action, Length)}
    starts = {step.action.start for step in steps if isinstance(step.action, Part | Pad)}
    every = {n for step in steps for n in step.shape} | lengths | starts
    return {name for n in every for name in names_of(n)}


def _fresh(stem: str) -> Iterator[str]:
    yield stem
    k = 0
    while True:
        k += 1
        yield f"{stem}{k}"
