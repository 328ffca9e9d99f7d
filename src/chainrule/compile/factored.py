"""Derivatives that stay products of their factors: a diagonal is n numbers, I ⊗ VᵀV is one small matrix.

A factored result is a linear map. What it does to a vector is an expression like any other, so it is lowered like any
other: in the cheapest order, diag(s) A v as s ⊙ Av, (diag(y) − y yᵀ) v as y ⊙ v − y (y·v). What does not depend on the
vector is computed once, when the function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from chainrule.compile.kept import divided
from chainrule.compile.lower import lower
from chainrule.compile.program import Program
from chainrule.errors import ShapeError
from chainrule.expression.build import transpose
from chainrule.expression.extent import extent_of
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.product import einsum

Run = Callable[..., Any]
Writer = Callable[[Program], Run]
NO_DIRECTION = np.empty(())  # in place of the direction, which the factors do not depend on


class Factored:
    """A matrix, or an array of more axes, that is kept as factors: `F @ v`, `v @ F`, `F.T`, `np.asarray(F)`.

    `F @ v` sums over the last axes of F, as many as v has; a matrix F takes a matrix of columns too, as NumPy does.
    It refers to the arrays that the function was called with: they must not change in place while it is used.
    """

    __array_priority__ = 20.0  # `array @ F` comes here
    __array_ufunc__ = None

    def __init__(
        self, form: Form, arguments: tuple[Any, ...], sizes: Mapping[str, int], shape: tuple[int, ...]
    ) -> None:
        self._form = form
        self._arguments = arguments
        self._sizes = sizes
        self._kept: dict[tuple[str, int], tuple[Run, tuple[Any, ...]]] = {}
        self.shape = shape
        half, odd = divmod(len(shape), 2)
        if not odd:
            self._applied("right", half)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        types = [a.dtype for a in self._arguments if isinstance(a, np.ndarray | np.generic)]
        return np.result_type(*types, 0.0) if types else np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of entries that the whole array would have."""
        return prod(self.shape)

    @property
    def T(self) -> Factored:
        """The transpose; of an array of more axes, the first half of the axes and the second half change places."""
        half = self.ndim // 2
        return Factored(self._form.transposed, self._arguments, self._sizes, self.shape[half:] + self.shape[:half])

    def __matmul__(self, other: Any) -> np.ndarray:
        return self._times("right", np.asarray(other))

    def __rmatmul__(self, other: Any) -> np.ndarray:
        return self._times("left", np.asarray(other))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a factored result has no array to share; it has to be multiplied out")
        dense = self._form.dense(*self._arguments, *(self._sizes[n] for n in self._form.dense_given))
        return np.asarray(dense, dtype=dtype)

    def __repr__(self) -> str:
        held = sum(map(np.size, self._held))
        extents = "×".join(map(str, self.shape))
        return f"<factored {extents}, {held} numbers beside the arguments: {self._form.e}>"

    @property
    def _held(self) -> list[Any]:
        """The factors that are there beside the arguments."""
        return [a for _, kept in self._kept.values() for a in kept if not isinstance(a, int)]

    def _times(self, side: str, other: np.ndarray) -> np.ndarray:
        if other.dtype.kind in "iub":
            other = other.astype(self.dtype)
        count = other.ndim
        columns = self.ndim == 2 and count == 2
        mine = self.shape[-count:] if side == "right" else self.shape[:count]
        theirs = other.shape
        if columns:
            mine, theirs = (self.shape[-1:], theirs[:1]) if side == "right" else (self.shape[:1], theirs[-1:])
        if not 0 < count <= self.ndim or mine != theirs:
            raise ShapeError(
                f"a factored result of shape {self.shape} cannot be multiplied with an array of shape {other.shape}",
                expected=f"shape {mine}" if 0 < count <= self.ndim else f"1 to {self.ndim} axes",
                hint="the axes that meet must be as long as each other",
            )
        rest, kept = self._applied(side + " columns" if columns else side, count)
        return np.asarray(rest(*self._arguments, other, *kept))

    def _applied(self, side: str, count: int) -> tuple[Run, tuple[Any, ...]]:
        """Return the program of arguments and a direction, and what it takes after them: what is kept, then sizes."""
        found = self._kept.get((side, count))
        if found is None:
            first, rest, given = self._form.applied(side, count)
            kept = first(*self._arguments, NO_DIRECTION) if first else ()
            several = kept if kept.__class__ is tuple else (kept,)
            found = self._kept[side, count] = rest, (*several, *[self._sizes[n] for n in given])
        return found


class Form:
    """An expression as a linear map, and the programs that apply it, each written when it is first needed."""

    def __init__(self, e: Expr, symbols: tuple[Symbol, ...], write: Writer) -> None:
        self.e = e
        self.symbols = symbols
        self._write = write
        self._programs: dict[tuple[str, int], tuple[Run | None, Run, tuple[str, ...]]] = {}
        self._dense: tuple[Run, tuple[str, ...]] | None = None
        self._transposed: Form | None = None

    @property
    def transposed(self) -> Form:
        """The map the other way. Raises: ShapeError for an odd number of axes."""
        if self._transposed is None:
            half, odd = divmod(self.e.ndim, 2)
            if odd:
                raise ShapeError(f"{self.e.ndim} axes have no transpose", hint="v @ F applies it from the left")
            axes = (*range(half, self.e.ndim), *range(half))
            self._transposed = Form(transpose(self.e, axes), self.symbols, self._write)
            self._transposed._transposed = self
        return self._transposed

    @property
    def dense(self) -> Run:
        """The whole array."""
        return self._whole()[0]

    @property
    def dense_given(self) -> tuple[str, ...]:
        """The sizes that the whole array needs beside the arguments."""
        return self._whole()[1]

    def _whole(self) -> tuple[Run, tuple[str, ...]]:
        if self._dense is None:
            program = lower(self.e, arguments=self.symbols)
            self._dense = self._write(program), program.given
        return self._dense

    def applied(self, side: str, count: int) -> tuple[Run | None, Run, tuple[str, ...]]:
        """Return the program without the direction (or None), the one of the rest, and the sizes that it needs."""
        found = self._programs.get((side, count))
        if found is None:
            found = self._programs[side, count] = self._lowered(side, count)
        return found

    def _lowered(self, side: str, count: int) -> tuple[Run | None, Run, tuple[str, ...]]:
        e, ndim = self.e, self.e.ndim
        axes = tuple(range(ndim))
        met = axes[ndim - count :] if side == "right" else axes[:count]
        sub, output = met, tuple(a for a in axes if a not in met)
        shape = tuple(e.shape[a] for a in met)
        columns = _free("columns", {n for s in self.symbols for n in s.shape if isinstance(n, str)})
        if side == "right columns":
            sub, output, shape = (1, 2), (0, 2), (e.shape[1], columns)
        elif side == "left columns":
            sub, output, shape = (2, 0), (2, 1), (columns, e.shape[0])
        direction = Symbol(_free("direction", {s.name for s in self.symbols}), shape)
        program = lower(einsum([e, direction], [axes, sub], output), arguments=(*self.symbols, direction))
        first, rest = divided(program, self.symbols)
        return self._write(first) if first.outputs else None, self._write(rest), rest.given


def _free(name: str, taken: set[str]) -> str:
    """Return a name that no symbol or size of the expression has."""
    while name in taken:
        name += "_"
    return name


class StructuredRun:
    """A function of the arguments whose results of two axes or more are `Factored`.

    What follows from the sizes alone is worked out where they differ from those of the last call.
    """

    def __init__(self, exprs: Sequence[Expr], program: Program, write: Writer) -> None:
        small = [e for e in exprs if e.ndim < 2]
        plain = lower(*small, arguments=program.arguments)
        self._plain = write(plain) if small else None
        self._plain_given = plain.given
        self._forms = [Form(e, program.arguments, write) if e.ndim >= 2 else None for e in exprs]
        self._count = len(program.arguments)
        places = [(name, program.place_of(name)) for name in program.sizes]
        self._names = (*program.given, *(name for name, place in places if place is not None))
        self._places = [place for _, place in places if place is not None]
        self._known: tuple[tuple[int, ...], dict[str, int], list[tuple[int, ...]]] = (), {}, []

    def __call__(self, *arguments: Any) -> Any:
        """Return a factored result, or a tuple of results."""
        arrays = arguments[: self._count]
        sizes, shapes = self._fitted(arguments)
        plain: list[Any] = []
        if self._plain is not None:
            found = self._plain(*arrays, *[sizes[n] for n in self._plain_given])
            plain = list(found) if isinstance(found, tuple) else [found]
        pairs = zip(self._forms, shapes, strict=True)
        results = [plain.pop(0) if form is None else Factored(form, arrays, sizes, shape) for form, shape in pairs]
        return results[0] if len(results) == 1 else tuple(results)

    def _fitted(self, arguments: Sequence[Any]) -> tuple[Mapping[str, int], list[tuple[int, ...]]]:
        """Return the sizes by name and the shapes of the results."""
        counts = (*arguments[self._count :], *[arguments[k].shape[axis] for k, axis in self._places])
        known, sizes, shapes = self._known
        if known != counts or not shapes:
            sizes = dict(zip(self._names, counts, strict=True))
            shapes = [tuple(extent_of(n, sizes) for n in form.e.shape) if form else () for form in self._forms]
            self._known = counts, sizes, shapes
        return sizes, shapes
