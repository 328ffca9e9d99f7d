"""NumPy's functions that give the axes of an array another order or number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chainrule.expression.op as op_module
import chainrule.expression.selection as selection
from chainrule.errors import DomainError, ShapeError
from chainrule.expression.build import as_expr, contract, normal_axes, transpose
from chainrule.expression.extent import Size, times
from chainrule.expression.node import Expr, Ones
from chainrule.expression.op import Op
from chainrule.expression.product import einsum
from chainrule.expression.shape import show_shape


def einstein(subscripts: Any, *values: Any) -> Expr:
    """Return `np.einsum("ij,jk->ik", A, B)`; without an arrow what occurs once is left, in alphabetical order.

    Raises: DomainError for subscripts that are no text, ShapeError if they do not fit.
    """
    if not isinstance(subscripts, str):
        raise DomainError("einsum wants its subscripts as text", expected='einsum("ij,jk->ik", A, B)')
    spec = subscripts.replace(" ", "")
    if "->" not in spec:
        letters = [c for c in spec if c.isalpha()]
        spec += "->" + "..." * ("..." in spec) + "".join(sorted(c for c in letters if letters.count(c) == 1))
    groups = spec.split("->")[0].split(",")
    if len(groups) != len(values):
        found = f"{len(groups)} groups of subscripts, {len(values)} arrays"
        raise ShapeError("the subscripts do not fit the arrays", expected="one group for each array", found=found)
    return contract(spec, *values)


def swapaxes(e: Any, axis1: int, axis2: int) -> Expr:
    """Return the array with two axes exchanged."""
    e = as_expr(e)
    order = list(range(e.ndim))
    a, b = (normal_axes(axis, e.ndim)[0] for axis in (axis1, axis2))
    order[a], order[b] = b, a
    return transpose(e, tuple(order))


def moveaxis(e: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Expr:
    """Return the array with axes moved to other places, the rest in their order."""
    e = as_expr(e)
    starts, ends = (
        normal_axes(axes if isinstance(axes, int) else tuple(axes), e.ndim) for axes in (source, destination)
    )
    if len(starts) != len(ends):
        raise ShapeError("every axis that moves has a place to go", found=f"{source} and {destination}")
    order = [axis for axis in range(e.ndim) if axis not in starts]
    for end, start in sorted(zip(ends, starts, strict=True)):
        order.insert(end, start)
    return transpose(e, tuple(order))


def along(op: Op, arguments: Sequence[Any], axis: int) -> Expr:
    """Return an operation on the last axis, such as softmax, along another one. Raises: DomainError for others."""
    is_along = len(op.core.inputs) == 1 and len(op.core.inputs[0]) == 1 and len(op.core.output) < 2
    if not is_along or len(arguments) != 1:
        raise DomainError(f"{op.spelling} does not work along one axis", hint="leave out axis=")
    found = op(moveaxis(arguments[0], axis, -1))
    return moveaxis(found, -1, axis) if op.core.output else found


op_module.along = along


def expand_dims(e: Any, axis: int | Sequence[int]) -> Expr:
    """Return the array with new axes of one entry."""
    e = as_expr(e)
    listed = (axis,) if isinstance(axis, int) else tuple(axis)
    whole = e.ndim + len(listed)
    new = normal_axes(listed, whole)
    kept = tuple(k for k in range(whole) if k not in new)
    return einsum([e, Ones((1,) * len(new))], [kept, tuple(new)], tuple(range(whole)))


def squeeze(e: Any, axis: int | Sequence[int] | None = None) -> Expr:
    """Return the array without axes of one entry. Raises: ShapeError for an axis of more."""
    e = as_expr(e)
    every = [k for k, size in enumerate(e.shape) if size == 1]
    lost = every if axis is None else normal_axes(axis if isinstance(axis, int) else tuple(axis), e.ndim)
    if any(k not in every for k in lost):
        raise ShapeError("only an axis of one entry can go", expected="1", found=show_shape(e.shape))
    axes = tuple(range(e.ndim))
    return einsum([e], [axes], tuple(k for k in axes if k not in lost))


def reshape(e: Any, shape: Size | Sequence[Size]) -> Expr:
    """Return the entries, row by row, in another shape. Raises: ShapeError if there are more or fewer of them."""
    flat = selection.ravel(as_expr(e))
    sizes: list[Size] = [shape] if isinstance(shape, int | str) else list(shape)
    if sizes == [-1]:
        return flat
    if -1 in sizes:
        raise DomainError("a size of -1 is supported for a vector only", hint="name the size")
    if times(*sizes) != flat.shape[0]:
        found = f"{flat.shape[0]} entries for {show_shape(tuple(sizes))}"
        raise ShapeError("the sizes of reshape do not fit", expected="as many entries as before", found=found)
    for k in range(len(sizes) - 1):
        rest = times(*sizes[k + 1 :])
        flat = selection.split(flat, k, sizes[k], rest)
    return flat
