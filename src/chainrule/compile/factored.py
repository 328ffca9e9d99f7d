"""Derivatives that stay products of their factors: a diagonal is n numbers, I ⊗ VᵀV is one small matrix.

A factored result is a linear map. What it does to a vector is an expression like any other, so it is lowered like any
other: in the cheapest order, diag(s) A v as s ⊙ Av, (diag(y) − y yᵀ) v as y ⊙ v − y (y·v). What does not depend on the
vector is computed once. The first product and what is kept of it are one program, so that both read the data together:
1 − tanh²(Ax) and Av come of one pass over A.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from chainrule.compile.execute import run_text
from chainrule.compile.kept import divided, opening
from chainrule.compile.lower import lower
from chainrule.compile.program import Map, Program, Put, Take
from chainrule.compile.source import made_names, parameters, unpacked_sizes
from chainrule.errors import ShapeError
from chainrule.expression.build import transpose
from chainrule.expression.extent import extent_of
from chainrule.expression.node import Expr, Subscripts, Symbol
from chainrule.expression.product import einsum
from chainrule.expression.shape import Shape

Run = Callable[..., Any]
Writer = Callable[[Program], Run]
Side = tuple[str, int]  # "right" or "left", and how many axes the direction has


class Factored:
    """A matrix, or an array of more axes, that is kept as factors: `F @ v`, `v @ F`, `F.T`, `np.asarray(F)`.

    `F @ v` sums over the last axes of F, as many as v has; a matrix F takes a matrix of columns too, as NumPy does.
    It refers to the arrays that the function was called with, and reads them with the first product: they must not
    change in place while it is used.
    """

    __slots__ = ("__weakref__", "_arrays", "_form", "_given", "_kept")
    __array_priority__ = 20.0  # `array @ F` comes here
    __array_ufunc__ = None

    def __init__(self, form: Form, arrays: tuple[Any, ...], given: tuple[int, ...]) -> None:
        self._form = form
        self._arrays = arrays
        self._given = given
        self._kept: dict[Side, tuple[Any, ...]] = {}  # two threads that compute it at a time put the same there

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of entries along each axis."""
        return self._form.shape_of(*self._arrays, *self._given)  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        types = [a.dtype for a in self._arrays if isinstance(a, np.ndarray | np.generic)]
        return np.result_type(*types, 0.0) if types else np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._form.e.ndim

    @property
    def size(self) -> int:
        """The number of entries that the whole array would have."""
        return prod(self.shape)

    @property
    def T(self) -> Factored:
        """The transpose; of an array of more axes, the first half of the axes and the second half change places."""
        return Factored(self._form.transposed, self._arrays, self._given)

    def __matmul__(self, other: Any) -> np.ndarray:
        return self._times("right", np.asarray(other))

    def __rmatmul__(self, other: Any) -> np.ndarray:
        return self._times("left", np.asarray(other))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a factored result has no array to share; it has to be multiplied out")
        run, given = self._form.dense
        return np.asarray(run(*self._arrays, *self._sizes(given)), dtype=dtype)

    def __repr__(self) -> str:
        half, odd = divmod(self.ndim, 2)
        sides = list(self._kept) or ([] if odd else [("right", half)])
        sizes = self._form.program.extents((*self._arrays, *self._given))
        shapes = [shape for side in sides for shape in self._form.way(*side).kept]
        held = sum(prod(extent_of(n, sizes) for n in shape) for shape in shapes)
        extents = "×".join(map(str, self.shape))
        return f"<factored {extents}, {held} numbers beside the arguments: {self._form.e}>"

    def _sizes(self, names: Sequence[str]) -> tuple[int, ...]:
        if not names:
            return ()
        sizes = self._form.program.extents((*self._arrays, *self._given))
        return tuple(sizes[n] for n in names)

    def _times(self, side: str, other: np.ndarray) -> np.ndarray:
        if not 0 < other.ndim <= self._form.e.ndim:
            raise self._unfit(other, f"1 to {self.ndim} axes")
        key = side, other.ndim
        way = self._form.ways.get(key) or self._form.way(*key)
        if other.shape[way.theirs] != self.shape[way.mine]:
            raise self._unfit(other, f"shape {self.shape[way.mine]}")
        if other.dtype.kind in "iub":
            other = other.astype(self.dtype)
        kept = self._kept.get(key)
        product = self._first(key, way, other) if kept is None else way.rest(*self._arrays, other, *kept)
        return np.asarray(product)

    def _unfit(self, other: np.ndarray, expected: str) -> ShapeError:
        return ShapeError(
            f"a factored result of shape {self.shape} cannot be multiplied with an array of shape {other.shape}",
            expected=expected,
            hint="the axes that meet must be as long as each other",
        )

    def _first(self, key: Side, way: Way, other: np.ndarray) -> Any:
        """Return a first product, and keep what it has in common with others."""
        if way.early:
            return way.rest(*self._arrays, other, *self.settled(key, way))
        sizes = self._sizes(way.given)
        found = way.opening(*self._arrays, other, *sizes)
        product, *kept = found if way.kept else (found,)
        self._kept[key] = (*kept, *sizes)
        return product

    def settled(self, key: Side, way: Way) -> tuple[Any, ...]:
        """Compute what is kept, without a direction."""
        assert way.early
        found = way.early(*self._arrays)
        kept = self._kept[key] = (*(found if len(way.kept) > 1 else (found,)), *self._sizes(way.given))
        return kept


@dataclass(frozen=True, slots=True)
class Way:
    """How the map meets a direction: which axes of it meet which of the direction's, and the programs.

    `rest` takes arguments, direction, what is kept, and sizes. `opening` takes arguments, direction and sizes, and
    returns the product, then what is kept. There is `early` too, of the arguments alone, where what is kept may be
    refused: that has to be known when the function is called.
    """

    mine: slice
    theirs: slice
    opening: Run
    rest: Run
    early: Run | None
    kept: tuple[Shape, ...]
    given: tuple[str, ...]


class Form:
    """An expression as a linear map, and the programs that apply it, each written when it is first needed."""

    def __init__(self, e: Expr, program: Program, write: Writer) -> None:
        self.e = e
        self.program = program  # one with the same arguments and given sizes
        self._write = write
        self.ways: dict[Side, Way] = {}
        self._transposed: Form | None = None

    @cached_property
    def shape_of(self) -> Run:
        """The function of arguments and given sizes that returns the shape."""
        names = made_names(self.program)
        lines = [*unpacked_sizes(self.program, names), f"return ({', '.join(map(names.size, self.e.shape))},)"]
        text = f"def shape({', '.join(parameters(self.program, names))}):\n" + "".join(f"    {n}\n" for n in lines)
        return run_text(text, "shape", {})

    @property
    def transposed(self) -> Form:
        """The map the other way. Raises: ShapeError for an odd number of axes."""
        if self._transposed is None:
            half, odd = divmod(self.e.ndim, 2)
            if odd:
                raise ShapeError(f"{self.e.ndim} axes have no transpose", hint="v @ F applies it from the left")
            axes = (*range(half, self.e.ndim), *range(half))
            self._transposed = Form(transpose(self.e, axes), self.program, self._write)
            self._transposed._transposed = self
        return self._transposed

    @cached_property
    def dense(self) -> tuple[Run, tuple[str, ...]]:
        """The whole array, and the sizes that it needs beside the arguments."""
        program = lower(self.e, arguments=self.program.arguments)
        return self._write(program), program.given

    def of(self, arrays: tuple[Any, ...], given: tuple[int, ...]) -> Factored:
        """Return the map at these arguments. Raises: DomainError where its factors are not defined."""
        found = Factored(self, arrays, given)
        if self._checked is not None:
            found.settled(*self._checked)
        return found

    @cached_property
    def _checked(self) -> tuple[Side, Way] | None:
        half, odd = divmod(self.e.ndim, 2)
        side = "right", half
        return None if odd or self.way(*side).early is None else (side, self.way(*side))

    def way(self, side: str, count: int) -> Way:
        """Return how directions of so many axes are met from a side."""
        found = self.ways.get((side, count))
        if found is None:
            found = self.ways[side, count] = self._lowered(side, count)
        return found

    def _lowered(self, side: str, count: int) -> Way:
        e, symbols = self.e, self.program.arguments
        columns = _free("columns", {n for s in symbols for n in s.shape if isinstance(n, str)})
        met = _met(e, side, count, columns)
        direction = Symbol(_free("direction", {s.name for s in symbols}), met.shape)
        product = einsum([e, direction], [tuple(range(e.ndim)), met.subscripts], met.output)
        program = lower(product, arguments=(*symbols, direction))
        first, rest = divided(program, symbols)
        early = self._write(replace(first, arguments=symbols)) if _may_be_refused(first) else None
        return Way(
            met.mine,
            met.theirs,
            self._write(opening(program, symbols) if first.outputs else program),
            self._write(rest),
            early,
            tuple(symbol.shape for symbol in rest.arguments[len(symbols) + 1 :]),
            program.given,
        )


class _Met(NamedTuple):
    """Which axes of a map meet which of a direction; the direction's shape; what it and the product are indexed by."""

    mine: slice
    theirs: slice
    shape: Shape
    subscripts: Subscripts
    output: Subscripts


def _met(e: Expr, side: str, count: int, columns: str) -> _Met:
    axes = tuple(range(e.ndim))
    if e.ndim == count == 2:  # a matrix of columns, as in NumPy
        if side == "right":
            return _Met(slice(1, 2), slice(0, 1), (e.shape[1], columns), (1, 2), (0, 2))
        return _Met(slice(0, 1), slice(1, 2), (columns, e.shape[0]), (2, 0), (2, 1))
    mine = slice(e.ndim - count, e.ndim) if side == "right" else slice(count)
    return _Met(mine, slice(count), e.shape[mine], axes[mine], tuple(a for a in axes if a not in axes[mine]))


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no symbol or size of the expression has."""
    while name in taken:
        name += "_"
    return name


def _may_be_refused(program: Program) -> bool:
    """True if there may be arrays for which it has no value: a singular matrix, a position that is not on the axis."""
    operations = [step.action.op for step in program.instructions if isinstance(step.action, Map)]
    by_library = any(any(op.core.inputs) and not (op.loop.gather or op.loop.recipe) for op in operations)
    return by_library or any(isinstance(step.action, Take | Put) for step in program.instructions)


class StructuredRun:
    """A function of the arguments whose results of two axes or more are `Factored`."""

    def __init__(self, exprs: Sequence[Expr], program: Program, write: Writer) -> None:
        small = [e for e in exprs if e.ndim < 2]
        plain = lower(*small, arguments=program.arguments)
        self._plain = write(plain) if small else None
        self._program = program
        self._plain_given = plain.given
        self._forms = [Form(e, program, write) if e.ndim >= 2 else None for e in exprs]
        self._count = len(program.arguments)
        self._only = self._forms[0] if len(exprs) == 1 else None

    def __call__(self, *arguments: Any) -> Any:
        """Return a factored result, or a tuple of results."""
        arrays, given = arguments[: self._count], arguments[self._count :]
        if self._only is not None:
            return self._only.of(arrays, given)
        plain: list[Any] = []
        if self._plain is not None:
            sizes = self._program.extents(arguments) if self._plain_given else {}
            found = self._plain(*arrays, *[sizes[n] for n in self._plain_given])
            plain = list(found) if isinstance(found, tuple) else [found]
        results = [plain.pop(0) if form is None else form.of(arrays, given) for form in self._forms]
        return results[0] if len(results) == 1 else tuple(results)
