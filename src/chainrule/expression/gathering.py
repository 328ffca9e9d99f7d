"""Positions in an index: `W[idx]`, `P[i, y[i]]` under a Σ, `P[arange(N), y]`; and the functions that take by them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import chainrule.expression.gather as gather
from chainrule.errors import ShapeError
from chainrule.expression.application import Use, need_rank, size_of, whole
from chainrule.expression.gather import onehot
from chainrule.expression.indexed import Context, Label, Value, union
from chainrule.expression.node import Expr
from chainrule.expression.product import einsum
from chainrule.expression.sizes import unify
from chainrule.syntax.tree import Call, Tree

Computed = Callable[[Tree], "Value | None"]  # the positions that an index holds; None if it is a place or a slice


@dataclass(frozen=True, slots=True)
class Positions:
    """What stands in an index: an array of positions, or None for `arange`, with its place in the text."""

    value: Value | None
    tree: Tree


def is_running(tree: object) -> bool:
    """True for `arange(N)`, which goes through an axis beside the positions on another."""
    return isinstance(tree, Call) and tree.function == "arange"


def taken(
    context: Context, value: Value, found: Sequence[Label | Positions | None]
) -> tuple[Value, list[Label | None]]:
    """Return the value with the positions taken, and which of its axes are named by labels."""
    places = {axis: p for axis, p in enumerate(found) if isinstance(p, Positions)}
    arrays = [p.value for p in places.values() if p.value is not None]
    if not places:
        return value, [label for label in found if not isinstance(label, Positions)]
    if not arrays:
        raise _alone(context, next(iter(places.values())).tree)
    _fit(context, value, places, arrays)
    axes = gather.output_axes(range(value.rank), sorted(places), [-1 - k for k in range(arrays[0].rank)])
    left = [value.axes[k] if k >= 0 else arrays[0].axes[-1 - k] for k in axes]
    named = [*found, *[None] * (value.rank - len(found))]
    labels = [label if k >= 0 and isinstance(label := named[k], Label) else None for k in axes]
    every = union([value, *arrays])
    own = {axis: None if p.value is None else arrays.index(p.value) for axis, p in places.items()}

    def make(e: Expr, *given: Expr) -> Expr:
        number = {label: -1 - k for k, label in enumerate(every)}
        base = value.rank
        new = tuple(range(base, base + arrays[0].rank))
        body = tuple(new[0] if axis in own and own[axis] is None else axis for axis in range(base))
        factors, subs = [e], [(*(number[label] for label in value.labels), *body)]
        for axis, k in own.items():
            if k is not None:
                idx = given[k]
                factors.append(onehot.of_shape((*idx.shape, e.shape[len(value.labels) + axis]), idx))
                subs.append((*(number[label] for label in arrays[k].labels), *new, axis))
        output = gather.output_axes(range(base), sorted(own), new)
        return _numbered(factors, subs, (*(number[label] for label in every), *output))

    return Value(tuple(left), make, (value, *arrays), every, tree=value.tree), labels


def _numbered(factors: Sequence[Expr], subs: Sequence[tuple[int, ...]], output: tuple[int, ...]) -> Expr:
    """Return the product, its subscripts made natural numbers."""
    order: dict[int, int] = {}
    for i in (*output, *(i for sub in subs for i in sub)):
        order.setdefault(i, len(order))
    return einsum(factors, [tuple(order[i] for i in sub) for sub in subs], tuple(order[i] for i in output))


def _fit(context: Context, value: Value, places: dict[int, Positions], arrays: Sequence[Value]) -> None:
    """Positions side by side have one shape; `arange` goes with a vector of them. Raises: ShapeError."""
    first = arrays[0]
    for other in arrays[1:]:
        if other.rank != first.rank:
            raise ShapeError(
                "positions side by side are of one shape", text=context.text, spans=(first.span, other.span)
            )
        for k in range(first.rank):
            context.tie(first, k, other, k)
    for axis, p in places.items():
        if p.value is None:
            assert isinstance(p.tree, Call)
            if first.rank != 1:
                raise _alone(context, p.tree)
            length = size_of(context, p.tree.arguments[0])
            if not (unify(length, value.axes[axis]) and unify(length, first.axes[0])):
                raise context.disagreement(value, axis, first, 0)


def _alone(context: Context, tree: Tree) -> ShapeError:
    return ShapeError(
        "arange goes beside a vector of positions",
        text=context.text,
        spans=(tree.span,),
        expected="P[arange(N), y]",
        hint="the whole axis is :, and a slice a:b a part of it",
    )


# --- functions
def hot_rows(use: Use) -> Value:
    """onehot(y, K): one row of K entries for each position, 1 there and 0 elsewhere."""
    (idx,) = use.values
    size = size_of(use.context, use.call.arguments[1])
    return Value((*idx.axes, size), lambda e: onehot.of_shape((*e.shape, size.size), e), (idx,), idx.labels)


def taken_rows(use: Use) -> Value:
    """take(W, idx, axis=0)."""
    value, idx = use.values[:2]
    need_rank(use, value, 1)
    tree = use.keyword("axis") or (use.call.arguments[2] if len(use.call.arguments) > 2 else None)
    if tree is None and value.rank > 1:
        raise use.wrong("which axis are the positions on?", expected="axis=0 for rows")
    axis = 0 if tree is None else whole(use, tree) % value.rank
    result, _ = taken(use.context, value, [*[None] * axis, Positions(idx, use.call)])
    return result


def taken_along(use: Use) -> Value:
    """take_along_axis(P, y, axis=1): each row has positions of its own."""
    value, idx = use.values[:2]
    need_rank(use, value, 1)
    need_rank(use, idx, value.rank, exactly=True)
    tree = use.keyword("axis") or (use.call.arguments[2] if len(use.call.arguments) > 2 else None)
    axis = value.rank - 1 if tree is None else whole(use, tree) % value.rank
    for k in range(value.rank):
        if k != axis:
            use.context.tie(value, k, idx, k)

    def make(e: Expr, positions: Expr) -> Expr:
        return gather.take_along_axis(e, positions, axis)

    if value.labels or idx.labels:
        raise use.wrong("take_along_axis under a Σ is not supported", hint="write P[i, y[i]]")
    return Value(idx.axes, make, (value, idx))


def running_places(use: Use) -> Value:
    """arange(N), in an index only."""
    raise _alone(use.context, use.call)
