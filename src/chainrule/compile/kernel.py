"""A pass over rows -> the text of one kernel that reads every row once.

Rows are taken in blocks that fit the cache. Within a block, values are computed in loop nests, in an order in which
everything is there when it is read; what one nest leaves for another stands in small arrays of a block's length. Along
a wide axis values lie as rows do, and its loop is the inner one; values without a wide axis lie in lanes, row beside
row, and the loop over rows is the inner one. So the inner loop is long in both, and runs over neighbours in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from chainrule.compile.frame import FEW, Around, Frame, Sum
from chainrule.compile.grouping import Grouping
from chainrule.compile.in_step import MANY, InStep, in_step
from chainrule.compile.kernel_text import kernel_text
from chainrule.compile.multiplied import Product, product_of
from chainrule.compile.nest import At, Nest, Stride
from chainrule.compile.program import Combine, Constant, Contract, Divide, Instruction, Length, Load, Map, Program
from chainrule.compile.recipes import expanded
from chainrule.compile.rows import Pass
from chainrule.compile.tiles import tiled
from chainrule.expression.shape import Shape

KINDS = {np.dtype(np.float64): "float64", np.dtype(np.float32): "float32"}
UNROLLED = Stride(4)  # also of rows that are added to sums: the sums are read and written once for all of them
PAIRED = Stride(4)  # rows of a product of matrices at a time: with five columns, its sums fit into 32 registers
LINE = 16  # entries that fill a line of the cache or two
Strides = Mapping[str, Stride]
NO_STEPS: Strides = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KernelText:
    """The text of a kernel; parameters: first and last chunk, rows of a chunk and a block, then what `Pass` says."""

    text: str
    sizes: tuple[str, ...]  # named sizes, by parameter
    in_step: bool  # two products go over the rows in step


def kernel_of(
    task: Pass,
    kind: str,
    wide: Collection[str],
    steps: Strides = NO_STEPS,
    beside: Strides = NO_STEPS,
    around: Around | None = None,
    far: bool = False,
) -> KernelText | None:
    """Return the kernel of a pass for arrays of the float type `kind`, or None if its rows are not for loops.

    `wide` are the sizes whose loops are inner ones. There is no kernel for operations that have no scalar code, and
    for products of matrices of two wide sizes, but for the rows within a row of an outer axis: `around` says what has
    that axis. `steps` says, where it is not four, how many steps at a time a loop over another size takes, and how many
    rows of a wide size, fresh from memory, are added to sums at a time; `beside`, how many of these are summed at a
    time. With `far`, results are written past the caches.
    """
    body = expanded(task.program)
    if body is None:
        return None
    writer = _Writer(body, task, kind, frozenset(wide), steps, beside, around, far)
    return writer.text() if writer.is_possible() else None


@dataclass(slots=True)
class _Writer:
    program: Program
    task: Pass
    kind: str
    wide: frozenset[str]
    steps: Strides
    beside: Strides
    around: Around | None
    far: bool
    rows: list[int | None] = field(default_factory=list)
    grouping: Grouping = field(init=False)
    products: Mapping[int, Product] = field(init=False)  # of two wide sizes

    def __post_init__(self) -> None:
        self.grouping = Grouping(self.program, self.task.size)
        every = range(len(self.program.instructions)) if self.around else ()
        found = {k: product_of(self.program, k, self.task.size, self.wide) for k in every}
        self.products = {k: product for k, product in found.items() if product}
        for step in self.program.instructions:
            self.rows.append(step.shape.index(self.task.size) if self.task.size in step.shape else None)

    # --- may it be a kernel?
    def is_possible(self) -> bool:
        """True if every step can be written on numbers."""
        if any(k in self._loads() or k in self.program.numbers for k in self.program.outputs):
            return False
        if len(set(self.program.outputs)) < len(self.program.outputs):
            return False
        return all(self._is_plain(k, step) for k, step in enumerate(self.program.instructions))

    def _is_plain(self, k: int, step: Instruction) -> bool:
        if isinstance(step.action, Load) and self.rows[k] is None:
            return len(set(step.output)) == len(step.output)
        inner = self.grouping.inner(step)
        most = 2 if isinstance(step.action, Contract) and step.summed else 1  # a product of matrices has two
        if len(set(inner)) < len(inner) or len(inner) > most or any(isinstance(n, int) for n in inner):
            return False
        if len(self.wide.intersection(map(str, inner))) > 1 and k not in self.products:
            return False
        if any(len(set(sub)) < len(sub) for sub in (*step.subscripts, step.output)):
            return False
        match step.action:
            case Load() | Length() | Constant() | Combine() | Divide():
                return True
            case Contract():
                return bool(step.summed) or all(i in {j for s in step.subscripts for j in s} for i in step.output)
            case Map(op):
                return bool(op.loop.gather or (op.is_elementwise and self.line(k)))
        return False

    def _loads(self) -> set[int]:
        return {k for k, step in enumerate(self.program.instructions) if isinstance(step.action, Load)}

    # --- storage
    def line(self, k: int) -> str:
        """Return the scalar code of an operation."""
        return self.grouping.line(k)

    def place(self, k: int, at: At) -> str | None:
        """Return where a value is read."""
        step = self.program.instructions[k]
        if isinstance(step.action, Load):
            p = step.action.position
            row = self.task.axes[p]
            if row is None:
                return f"{'h' if p in self._turned() else 'f'}{p}{self._wide_last(step.shape, at)}"
            return self._indexed(f"x{p}", self._ordered(at, row), step)
        if isinstance(step.action, Length):
            return f"T(n_{self.sizes.index(step.action.size)})"
        return self.home(k, at)

    def home(self, k: int, at: At) -> str | None:
        """Return where a value of a row is written."""
        row, step = self.rows[k], self.program.instructions[k]
        if k not in self.grouping.stored or row is None:
            return None
        if k in self.program.outputs:
            return f"o{k}[{', '.join(self._ordered(at, row))}]"
        return self._indexed(f"s{k}", self._ordered(at, row), step)

    @staticmethod
    def _ordered(at: At, row: int) -> list[str]:
        return [at[row], *at[:row], *at[row + 1 :]]

    def _indexed(self, name: str, order: list[str], step: Instruction) -> str:
        return f"{name}[{', '.join(order if self._is_wide(step) else [*order[1:], order[0]])}]"

    def _is_wide(self, step: Instruction) -> bool:
        return not self.wide.isdisjoint(map(str, step.shape))

    def _turned(self) -> list[int]:
        """The arguments free of rows that are copied so that their wide axis is the last one."""
        shapes = [self.program.instructions[p].shape for p in range(len(self.task.axes))]
        return [
            p
            for p, axis in enumerate(self.task.axes)
            if axis is None and len(shapes[p]) == 2 and shapes[p][0] in self.wide and shapes[p][1] not in self.wide
        ]

    def _across(self) -> list[int]:
        """The matrices whose transposes are multiplied by."""
        found = [self.program.instructions[k].operands[p.right] for k, p in self.products.items() if p.is_across]
        loads = [self.program.instructions[o].action for o in found]
        return sorted({action.position for action in loads if isinstance(action, Load)})

    def _wide_last(self, shape: Shape, at: Sequence[str]) -> str:
        """Return an index, with the wide axis last."""
        order = sorted(zip(shape, at, strict=True), key=lambda pair: pair[0] in self.wide)
        return f"[{', '.join(variable for _, variable in order)}]" if at else ""

    def total(self, k: int, at: Sequence[str]) -> str:
        """Return the text of a sum over the rows of some blocks."""
        return f"g{k}{self._wide_last(self.program.instructions[k].shape, at)}"

    def is_row_sum(self, k: int) -> bool:
        """True for a sum over rows."""
        return k in self.program.outputs and self.rows[k] is None

    @property
    def sizes(self) -> list[str]:
        """The sizes that the text knows by number."""
        named = dict.fromkeys(n for step in self.program.instructions for n in step.shape if isinstance(n, str))
        outer = [self.around.size] if self.around else []
        return [n for n in dict.fromkeys([*named, *self.program.given, *outer]) if n != self.task.size]

    # --- text
    def text(self) -> KernelText:
        """Return the text."""
        self.grouping.arrange()
        body, by_tiles, pair = self._block_lines(), False, self._in_step()
        body += [pair.before()] if pair else []
        for (level, space), roots in sorted(self.grouping.groups.items()):
            calls = self._tiled(self._nest(level, space, roots), space)
            body += calls.values()
            by_tiles |= bool(calls)
            rest = [k for k in roots if k not in calls and not (pair and k in pair.values)]
            body += self._nest(level, space, rest).lines() if rest else []
        body += [pair.after()] if pair else []
        body += [f"streamed(w{k}[lo:hi], o{k})" for k in self._streamed()]
        frame = self._frame(MANY if pair else FEW)
        lines = ["zero = T(0)", "one = T(1)", *self._scratch(), *frame.scratch(), *frame.lines(body)]
        parameters = ["first", "last", "chunk", "block", "n", *(f"n_{i}" for i in range(len(self.sizes)))]
        parameters += [*self._argument_names(), *self._result_names()]
        turned = [*self._copied(), *self._across(), *(self._turned() if self.around else [])]
        used = {"turned": turned, "by_tiles": by_tiles, "in_step": pair, "streamed": self._streamed()}
        parts = [part for part, users in used.items() if users]
        return KernelText(kernel_text(self.kind, parts, parameters, lines), tuple(self.sizes), pair is not None)

    def _results(self) -> list[tuple[int, int | None]]:
        return list(zip(self.program.outputs, self.task.results, strict=True))

    def _nest(self, level: int, space: tuple[str, ...], roots: list[int]) -> Nest:
        inner = {n: (f"j{k}", f"n_{self.sizes.index(n)}") for k, n in enumerate(space)}
        narrow, wide = [n for n in space if n not in self.wide], [inner[n] for n in space if n in self.wide]
        outer = [inner[n] for n in narrow]
        unroll = self._unrolled(level, narrow, [n for n in space if n in self.wide], roots)
        loops = [*outer, ("i", "size"), *wide]
        if wide and not any(self.is_row_sum(k) for k in roots):
            # rows come from memory one after the other, each for all columns; what adds to memory has the rows next to
            # the inner loop, because LLVM asks once for all steps of that loop whether what is written is read there
            loops, unroll = [("i", "size"), *outer, *wide], (*unroll[-1:], *unroll[:-1])
        labels = {k: self._labels(k, space) for k in roots}
        return Nest(self, tuple(roots), tuple(loops), labels, unroll)

    def _tiled(self, nest: Nest, space: tuple[str, ...]) -> dict[int, str]:
        """Return, of the roots of a nest that are products of matrices, the calls that compute them."""
        found = {k: self._multiplied(k, nest.labels[k]) for k in nest.roots if k in self.products}
        if found:
            return found
        variables = {n: f"j{k}" for k, n in enumerate(space)}
        wide = next((n for n in space if n in self.wide), "")
        stride = self.steps.get(next((n for n in space if n != wide), ""), UNROLLED)
        taken = [p for p in self._taken() if wide in self.program.instructions[p].shape]
        calls = {k: tiled(nest, k, variables.get(wide), stride, taken) for k in nest.roots}
        return {k: call for k, call in calls.items() if call}

    def _multiplied(self, k: int, labels: Mapping[int, str]) -> str:
        """Return the call that computes a product of two wide sizes."""
        step = self.program.instructions[k]

        def name(p: int) -> str:
            return (self.place(step.operands[p], tuple(labels[i] for i in step.subscripts[p])) or "").partition("[")[0]

        at = tuple(labels[i] for i in step.output)
        target = (self.total(k, at) if self.is_row_sum(k) else self.home(k, at) or "").partition("[")[0]
        return self.products[k].call(name, target, self._size)

    def _in_step(self) -> InStep | None:
        """Return the product and the sum that go over the rows in step, if that is said and there are such."""
        if self.around or not any(stride.in_step for stride in self.steps.values()):
            return None
        nests = [self._nest(level, space, roots) for (level, space), roots in sorted(self.grouping.groups.items())]
        return in_step(nests, self._taken())

    def _taken(self) -> list[int]:
        """The matrices that are read where they are."""
        shapes = [self.program.instructions[p].shape for p in range(len(self.task.axes))]
        pairs = enumerate(zip(self.task.axes, shapes, strict=True))
        return [p for p, (axis, n) in pairs if axis is not None and len(n) == 2 and p not in self._copied()]

    def _unrolled(
        self, level: int, narrow: Sequence[str], wide: Sequence[str], roots: Sequence[int]
    ) -> tuple[Stride, ...]:
        """How many steps at a time the outer loops take; only sums gain by more than one."""
        is_sum = all(self.program.instructions[k].summed for k in roots)
        if not is_sum or (len(narrow) + len(wide) == 1 and self.grouping.is_costly(roots)):
            return ()  # copies of a call gain nothing and take long to compile
        within = tuple(self.steps.get(n, UNROLLED) for n in narrow)
        if not wide:
            return within
        if narrow:
            return (*within, PAIRED)
        fresh = self.steps if any(self.is_row_sum(k) for k in roots) else self.beside
        rows = UNROLLED if level > 0 else fresh.get(wide[0], UNROLLED)
        return (rows,) if rows.steps > 1 else ()

    def _labels(self, k: int, space: tuple[str, ...]) -> dict[int, str]:
        sizes = self.program.index_sizes(self.program.instructions[k])
        return {i: "i" if n == self.task.size else f"j{space.index(str(n))}" for i, n in sizes.items()}

    def _scratch(self) -> list[str]:
        lines = []
        for k in sorted(self.grouping.stored - set(self.program.outputs)):
            lines.append(f"s{k} = np.empty({self._extent(self.program.instructions[k])}, T)")
        for k, axis in self._results():
            shape = self.program.instructions[k].shape
            if axis is None and shape:
                extent = self._wide_last(shape, [self._size(n) for n in shape])
                lines.append(f"g{k} = np.empty(({extent[1:-1]},), T)")
        lines += [f"x{p} = np.empty({self._extent(self.program.instructions[p])}, T)" for p in self._laid_in_lanes()]
        lines += [f"x{p} = np.empty({self._apart(self.program.instructions[p])}, T)" for p in self._laid_in_rows()]
        lines += [f"b{k} = np.empty({self._extent(self.program.instructions[k])}, T)" for k in self._streamed()]
        if not self.around:
            return [*lines, *(f"h{p} = np.ascontiguousarray(f{p}.T)" for p in self._turned())]
        turned = [(f"h{p}", p) for p in self._turned()] + [(f"t{p}", p) for p in self._across()]
        for name, p in turned:
            first, last = map(self._size, self.program.instructions[p].shape)
            lines.append(f"{name} = np.empty(({last}, {first}), T)")
        return lines

    def _laid_in_lanes(self) -> list[int]:
        """The arguments whose blocks are copied, so that rows lie side by side."""
        steps = self.program.instructions
        return [
            p
            for p, axis in enumerate(self.task.axes)
            if axis is not None and len(steps[p].shape) > 1 and not self._is_wide(steps[p])
        ]

    def _laid_in_rows(self) -> list[int]:
        """The arguments whose rows lie across, as those of Aᵀ do: blocks are copied, so that a row is in one piece."""
        steps = self.program.instructions
        return [
            p for p, axis in enumerate(self.task.axes) if axis and len(steps[p].shape) == 2 and self._is_wide(steps[p])
        ]

    def _apart(self, step: Instruction) -> str:
        """The extent of a block of rows that are a line of the cache longer than they need be.

        Rows of a power of two would have their entries of one column in the same few places of a cache.
        """
        (width,) = (self._size(n) for n in step.shape if n != self.task.size)
        return f"(block, {width} + {LINE})"

    def _copied(self) -> list[int]:
        return sorted([*self._laid_in_lanes(), *self._laid_in_rows()])

    def _size(self, n: object) -> str:
        return "block" if n == self.task.size else f"n_{self.sizes.index(str(n))}"

    def _extent(self, step: Instruction) -> str:
        inner = [self._size(n) for n in step.shape if n != self.task.size]
        return f"({', '.join(['block', *inner] if self._is_wide(step) else [*inner, 'block'])},)"

    def _block_lines(self) -> list[str]:
        lines, copied, across = [], self._laid_in_lanes(), self._laid_in_rows()
        for p, axis in enumerate(self.task.axes):
            if axis is None:
                continue
            if p in across:
                lines.append(f"turned(x{p}[:size], r{p}[lo:hi].T)")
            elif p in copied:
                lines.append(f"turned(x{p}, r{p}[lo:hi])")
            else:
                lines.append(f"x{p} = r{p}[lo:hi]")
        past = self._streamed()
        lines += [f"o{k} = w{k}[lo:hi]" for k, axis in self._results() if axis is not None and k not in past]
        return [*lines, *(f"o{k} = b{k}[:size]" for k in past)]

    def _streamed(self) -> list[int]:
        """The results whose blocks are made in the cache, and copied from there to memory past it."""
        found = [k for k, axis in self._results() if axis == 0] if self.far and not self.around else []
        shapes = {k: self.program.instructions[k].shape for k in found}
        return [k for k, shape in shapes.items() if len(shape) == 2 and shape[1] in self.wide]

    # --- around a block
    def _argument_names(self) -> list[str]:
        names = [f"{'f' if axis is None else 'r'}{p}" for p, axis in enumerate(self.task.axes)]
        has_outer = self.around.arguments if self.around else [False] * len(names)
        return [name.upper() if is_outer else name for name, is_outer in zip(names, has_outer, strict=True)]

    def _result_names(self) -> list[str]:
        is_kept = self.around.results if self.around else [False] * len(self.task.results)
        pairs = zip(self._results(), is_kept, strict=True)
        return [f"W{k}" if kept else f"{'q' if axis is None else 'w'}{k}" for (k, axis), kept in pairs]

    def _frame(self, stretch: int) -> Frame:
        instructions = self.program.instructions
        sums = []
        for k, axis in self._results():
            if axis is None:
                extents = [self._size(n) for n in instructions[k].shape]
                sums.append(Sum(k, extents, lambda at, k=k: self.total(k, at)))  # type: ignore[misc]
        if self.around is None:
            return Frame(sums, stretch)
        kept = frozenset(k for k, is_kept in zip(self.program.outputs, self.around.results, strict=True) if is_kept)
        names = [name for name in self._argument_names() if name.isupper()]
        before = [f"{name.lower()} = {name}[e]" for name in names]
        before += [f"w{k} = W{k}[e]" for k, axis in self._results() if k in kept and axis is not None]
        before += [f"turned(h{p}, f{p})" for p in self._turned()] + [f"turned(t{p}, f{p})" for p in self._across()]
        return Frame(sums, stretch, kept, self._size(self.around.size), before)
