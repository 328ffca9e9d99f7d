"""Entries and rows by an array of positions: W[idx] is H W, where row k of H has its 1 at place idxₖ.

H is an operation on the positions, so a gather is a product and its derivative, Hᵀ G, adds rows up where they came
from. Compiled code never makes H for that: it takes rows, and adds them in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import DomainError, ShapeError
from chainrule.expression.extent import minus
from chainrule.expression.node import Apply, Expr, Number, Symbol, walk
from chainrule.expression.op import CATALOGUE, Code, Notation, Op, operation
from chainrule.expression.product import einsum
from chainrule.expression.shape import Shape, Size, show_shape


def whole_places(idx: Any, n: Any) -> Any:
    """Return positions as integers. Raises: IndexError for one that is no whole number from 0 to n − 1."""
    given = np.asarray(idx)
    places = given.astype(np.intp)
    if places.size and (places.min() < 0 or places.max() >= n or (places != given).any()):
        raise IndexError(f"positions are whole numbers from 0 to {int(n) - 1}")
    return places


def rows_at(places: Any, n: int, dtype: Any) -> Any:
    """Return zeros along a last axis of n entries, with a 1 at each position."""
    return (places[..., None] == np.arange(n)).astype(dtype)


def _no_derivative(idx: Expr, y: Expr) -> tuple[Expr | None, ...]:
    if not idx.symbols:
        return (None,)
    named = ", ".join(idx.symbols)
    raise DomainError(
        f"{named} holds positions; there is no derivative by {'it' if len(idx.symbols) == 1 else 'them'}",
        hint="differentiate by what is indexed",
    )


def _one_place(shape: Shape, idx: Expr) -> Expr | None:
    """A position that is a known number is a place: W[ones(p)] is W[1], p times.

    Raises: DomainError for a number that is no position, ShapeError for one beyond the axis.
    """
    if not isinstance(idx, Number):
        return None
    place, size = idx.value, shape[-1]
    if place < 0 or place % 1 != 0:
        hint = f"the last one is {minus(size, 1)}" if place < 0 else "the position of an entry is no fraction"
        raise DomainError(
            "positions are whole numbers from 0", expected=f"0 to {minus(size, 1)}", found=str(place), hint=hint
        )
    if isinstance(size, int) and place >= size:
        hint = "positions count from 0"
        raise ShapeError("an index reaches beyond its axis", expected=f"0 to {size - 1}", found=str(place), hint=hint)
    return operation("one_hot").of_shape(shape, int(place))


onehot = Op(
    "onehot(idx)",
    "()->(n)",
    derivative=_no_derivative,
    because="positions are whole numbers, which do not move a little",
    rule="gather",
    notation=Notation(text="onehot($idx)", latex=r"\operatorname{onehot}($idx)"),
    code=Code(
        "rows_at(whole_places($idx, $n), $n, dtype)",
        entry="$last == $idx",
        jax="jax.nn.one_hot($xp.asarray($idx, int), $n, dtype=dtype)",
        torch="($xp.as_tensor($idx)[..., None] == $xp.arange($n, device=device)).to(dtype)",
        helper=(whole_places, rows_at),
    ),
    fold=_one_place,
    rational=True,
    hot=((-1,),),
    is_positional=True,
)

CATALOGUE.add([onehot])


# --- taking
def gathered(e: Expr, positions: Mapping[int, Expr | None]) -> Expr:
    """Return what stands at the positions of some axes; several arrays of positions go side by side, as in NumPy.

    None is `arange`: entry k of that axis goes with position k of the others. Positions take the place of their axis,
    of several the first one; in front, if there is another axis between them.
    Raises: ShapeError if the positions differ in shape.
    """
    given = [idx for idx in positions.values() if idx is not None]
    shape = given[0].shape
    if any(idx.shape != shape for idx in given):
        found = ", ".join(show_shape(idx.shape) for idx in given)
        raise ShapeError("positions side by side are of one shape", found=found)
    base = e.ndim
    new = tuple(range(base, base + len(shape)))
    labels = [new[0] if axis in positions and positions[axis] is None else axis for axis in range(base)]
    factors, subs = [e], [tuple(labels)]
    for axis, idx in positions.items():
        if idx is not None:
            factors.append(onehot.of_shape((*shape, e.shape[axis]), idx))
            subs.append((*new, axis))
    return einsum(factors, subs, output_axes(range(base), sorted(positions), new))


def output_axes(axes: Sequence[int], taken: Sequence[int], new: Sequence[int]) -> tuple[int, ...]:
    """Return which axes the result has: the taken ones give way to the new ones."""
    together = taken[-1] - taken[0] == len(taken) - 1
    first = taken[0] if together else 0
    kept = [axis for axis in axes if axis not in taken]
    before = [axis for axis in kept if axis < first]
    return (*before, *new, *kept[len(before) :])


def take(e: Expr, indices: Expr, axis: int | None = None) -> Expr:
    """Return the entries or rows at positions along an axis. Raises: DomainError for a matrix without an axis."""
    if axis is None and e.ndim > 1:
        raise DomainError(
            "which axis are the positions on?",
            expected="axis=0 for rows",
            hint="without it NumPy takes from all entries, row after row: take(ravel(W), idx)",
        )
    return gathered(e, {(axis or 0) % e.ndim: indices})


def take_along_axis(e: Expr, indices: Expr, axis: int = -1) -> Expr:
    """Return e[i, idxᵢⱼ] for axis 1, e[idxᵢⱼ, j] for axis 0: each row or column has positions of its own."""
    axis %= e.ndim
    others = [(a, b) for k, (a, b) in enumerate(zip(e.shape, indices.shape, strict=False)) if k != axis]
    if e.ndim != indices.ndim or any(a != b for a, b in others):
        raise ShapeError(
            "positions along an axis have the shape of the array, but for that axis",
            expected=show_shape(e.shape),
            found=show_shape(indices.shape),
        )
    every = tuple(range(e.ndim))
    place = e.ndim
    hot = onehot.of_shape((*indices.shape, e.shape[axis]), indices)
    return einsum([e, hot], [(*every[:axis], place, *every[axis + 1 :]), (*every, place)], every)


# --- which symbols hold positions
def position_limits(roots: Sequence[Expr]) -> dict[Symbol, Size]:
    """Return the symbols that hold positions, each with the size of the axis on which they are."""
    found: dict[Symbol, Size] = {}
    for node in walk(*roots):
        if isinstance(node, Apply) and node.op is onehot:
            for symbol in node.args[0].symbols.values():
                found.setdefault(symbol, node.shape[-1])
    return found
