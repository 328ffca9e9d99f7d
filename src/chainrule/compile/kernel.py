"""A pass over rows -> the text of one kernel that reads every row once.

Rows are taken in blocks that fit the cache. Within a block, values are computed in loop nests, in an order in which
everything is there when it is read; what one nest leaves for another stands in small arrays of a block's length. Along
a wide axis values lie as rows do, and its loop is the inner one; values without a wide axis lie in lanes, row beside
row, and the loop over rows is the inner one. So the inner loop is long in both, and runs over neighbours in memory.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from types import MappingProxyType, ModuleType

import numpy as np

from chainrule.compile.grouping import Grouping
from chainrule.compile.nest import At, Nest, Stride
from chainrule.compile.program import (
    Combine,
    Constant,
    Contract,
    Divide,
    Instruction,
    Length,
    Load,
    Map,
    Program,
)
from chainrule.compile.recipes import expanded
from chainrule.compile.rows import Pass
from chainrule.compile.scalars import double, single
from chainrule.compile.tiles import tiled
from chainrule.expression.shape import Shape

KINDS = {np.dtype(np.float64): "float64", np.dtype(np.float32): "float32"}
UNROLLED = Stride(4)  # also of rows that are added to sums: the sums are read and written once for all of them
PAIRED = Stride(4)  # rows of a product of matrices at a time: with five columns, its sums fit into 32 registers
LINE = 16  # entries that fill a line of the cache or two
STRETCH = 16  # blocks whose sums are one sum, before it is added to those of the chunk
Strides = Mapping[str, Stride]
NO_STEPS: Strides = MappingProxyType({})
HEADER = '''"""Made by chainrule. It may be deleted: it is written again when it is needed."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

'''
# sums may be reordered and a product may be fused with a sum; NaN and Inf keep their meaning
KERNEL = 'njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})'
SCALAR = 'njit(error_model="numpy", fastmath={"contract"}, forceinline=True)'


@dataclass(frozen=True, slots=True)
class KernelText:
    """The text of a kernel; parameters: first and last chunk, rows of a chunk and a block, then what `Pass` says."""

    text: str
    sizes: tuple[str, ...]  # named sizes, by parameter


def kernel_of(
    task: Pass, kind: str, wide: Collection[str], steps: Strides = NO_STEPS, beside: Strides = NO_STEPS
) -> KernelText | None:
    """Return the kernel of a pass for arrays of the float type `kind`, or None if its rows are not for loops.

    `wide` are the sizes whose loops are inner ones. There is no kernel for operations that have no scalar code, and
    for products of matrices of two wide sizes. `steps` says, where it is not four, how many steps at a time a loop over
    another size takes, and how many rows of a wide size, fresh from memory, are added to sums at a time; `beside`, how
    many of these are summed at a time.
    """
    body = expanded(task.program)
    if body is None:
        return None
    writer = _Writer(body, task, kind, frozenset(wide), steps, beside)
    return writer.text() if writer.is_possible() else None


@dataclass(slots=True)
class _Writer:
    program: Program
    task: Pass
    kind: str
    wide: frozenset[str]
    steps: Strides
    beside: Strides
    rows: list[int | None] = field(default_factory=list)
    grouping: Grouping = field(init=False)

    def __post_init__(self) -> None:
        self.grouping = Grouping(self.program, self.task.size)
        for step in self.program.instructions:
            self.rows.append(step.shape.index(self.task.size) if self.task.size in step.shape else None)

    # --- may it be a kernel?
    def is_possible(self) -> bool:
        """True if every step can be written on numbers."""
        if any(k in self._loads() or k in self._numbers() for k in self.program.outputs):
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
        if len(self.wide.intersection(map(str, inner))) > 1:
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

    def _numbers(self) -> set[int]:
        return self.program.numbers

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
            if axis is None and len(shapes[p]) == 2 and shapes[p][0] in self.wide
        ]

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
        return [n for n in (*named, *self.program.given) if n != self.task.size]

    # --- text
    def text(self) -> KernelText:
        """Return the text."""
        self.grouping.arrange()
        body, by_tiles = self._block_lines(), False
        for (level, space), roots in sorted(self.grouping.groups.items()):
            calls = self._tiled(self._nest(level, space, roots))
            body += calls.values()
            by_tiles |= bool(calls)
            rest = [k for k in roots if k not in calls]
            body += self._nest(level, space, rest).lines() if rest else []
        sizes = self.sizes
        parameters = ["first", "last", "chunk", "block", "n", *(f"n_{i}" for i in range(len(sizes)))]
        parameters += [f"{'f' if axis is None else 'r'}{p}" for p, axis in enumerate(self.task.axes)]
        parameters += [f"{'q' if axis is None else 'w'}{k}" for k, axis in self._results()]
        lines = [
            "zero = T(0)",
            "one = T(1)",
            *self._scratch(),
            "for c in range(first, last):",
            "    end = min(n, c * chunk + chunk)",
            f"    for start in range(c * chunk, end, {STRETCH} * block):",
            *("        " + line for line in self._cleared()),
            f"        for lo in range(start, min(end, start + {STRETCH} * block), block):",
            "            hi = min(end, lo + block)",
            "            size = hi - lo",
            *("            " + line for line in body),
            *("        " + line for line in self._totals()),
        ]
        text = "\n".join("    " + line for line in lines)
        definition = f"\n\n@{KERNEL}\ndef kernel({', '.join(parameters)}):\n{text}\n"
        module = double if self.kind == "float64" else single
        head = f"{HEADER}F = T = np.{self.kind}\nI = np.int32\n"
        used = {"turned": self._copied(), "by_tiles": by_tiles}
        parts = [part for part, is_used in used.items() if is_used]
        return KernelText(head + _scalar_text(module) + "".join(map(compiled_text, parts)) + definition, tuple(sizes))

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

    def _tiled(self, nest: Nest) -> dict[int, str]:
        """Return, of the roots of a nest that are products of matrices, the calls that compute them."""
        extents = {v: n for v, n in nest.loops if v != "i"}
        names = {v: self.sizes[int(extent.removeprefix("n_"))] for v, extent in extents.items()}
        wide = next((v for v, n in names.items() if n in self.wide), None)
        stride = self.steps.get(next((n for v, n in names.items() if v != wide), ""), UNROLLED)
        taken = [p for p in self._taken() if names.get(wide or "") in self.program.instructions[p].shape]
        calls = {k: tiled(nest, k, wide, stride, taken) for k in nest.roots}
        return {k: call for k, call in calls.items() if call}

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
        step = self.program.instructions[k]
        found: dict[int, str] = {}
        pairs = [
            (self.program.instructions[o].shape, sub) for o, sub in zip(step.operands, step.subscripts, strict=True)
        ]
        for shape, sub in [*pairs, (step.shape, step.output)]:
            for label, n in zip(sub, shape, strict=True):
                found[label] = "i" if n == self.task.size else f"j{space.index(str(n))}"
        return found

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
        return [*lines, *(f"h{p} = np.ascontiguousarray(f{p}.T)" for p in self._turned())]

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
        lines += [f"o{k} = w{k}[lo:hi]" for k, axis in self._results() if axis is not None]
        return lines

    def _cleared(self) -> list[str]:
        sums = [k for k, axis in self._results() if axis is None]
        return [f"g{k}{'[...]' if self.program.instructions[k].shape else ''} = zero" for k in sums]

    def _totals(self) -> list[str]:
        lines = []
        for k, axis in self._results():
            if axis is not None:
                continue
            shape = self.program.instructions[k].shape
            if not shape:
                lines.append(f"q{k}[c] += g{k}")
            else:
                for depth, n in enumerate(shape):
                    lines.append("    " * depth + f"for j{depth} in range({self._size(n)}):")
                at = ", ".join(f"j{depth}" for depth in range(len(shape)))
                lines.append("    " * len(shape) + f"q{k}[c, {at}] += {self.total(k, at.split(', '))}")
        return lines


def _scalar_text(module: ModuleType) -> str:
    """Return the functions of numbers, each compiled without reordering, which their accuracy needs."""
    source = inspect.getsource(module)
    constants = re.findall(r"^[A-Z].*$", source, flags=re.MULTILINE)
    text = source[source.index("# --- functions") :]
    functions = re.sub(r"^def ", f"@{SCALAR}\ndef ", text, flags=re.MULTILINE)
    return "\n".join([*constants, "", "", functions])


def compiled_text(name: str) -> str:
    """Return functions on arrays that numba compiles; their file is read, not imported, because it imports numba."""
    source = files("chainrule.compile.scalars").joinpath(f"{name}.py").read_text(encoding="utf-8")
    return f"\n\n{source[source.index('# --- functions') :]}"
