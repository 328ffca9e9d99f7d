"""Applying an operation: match its signature, broadcast, fold what is known, keep expansions and transposes outside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chainrule.expression.op as op_module
from chainrule.errors import DomainError, ShapeError
from chainrule.expression.build import as_expr, broadcast, broadcast_shapes
from chainrule.expression.node import Apply, Einsum, Expr, Ones
from chainrule.expression.op import Op
from chainrule.expression.power import constant, constant_value
from chainrule.expression.product import einsum, expanded_axes, is_permutation
from chainrule.expression.shape import Shape, Size, show_shape
from chainrule.expression.total import drop_axes


def apply(op: Op, arguments: Sequence[Any], made: Shape | None = None) -> Expr:
    """Apply an operation: match its signature's core axes, broadcast the leading axes, fold what is known.

    `made` is the shape of an array of constants.
    """
    args = [as_expr(a) for a in arguments]
    if len(args) != len(op.parameters):
        raise DomainError(f"{op.name} takes {len(op.parameters)} arguments", found=str(len(args)), expected=op.spelling)
    if op.extents:
        return _constant_array(op, args, made)
    batch, shape = _match(op, args)
    args = [broadcast(a, batch + a.shape[a.ndim - len(c) :]) for a, c in zip(args, op.core.inputs, strict=True)]
    folded = op.fold(*args) if op.fold else None
    if folded is None and op.is_elementwise and shape:
        folded = _pulled_out(op, args)
    return Apply(op, tuple(args), shape) if folded is None else folded


def _constant_array(op: Op, args: list[Expr], shape: Shape | None) -> Expr:
    batch = args[0].shape if args and args[0].ndim else ()
    if shape is None or len(shape) != len(batch) + len(op.core.output) or shape[: len(batch)] != batch:
        raise DomainError(f"{op.name} is an array of constants", expected=f"{len(op.core.output)} sizes")
    if batch:
        same = range(len(batch)) if constant_value(args[0]) is not None else sorted(expanded_axes(args[0]))
        if same:
            return _expanded(op, args[0], shape, list(same))
    folded = op.fold(shape, *args) if op.fold else None
    return Apply(op, tuple(args), shape) if folded is None else folded


def _expanded(op: Op, positions: Expr, shape: Shape, lost: list[int]) -> Expr:
    """The rows of positions that are the same along an axis are the same along it: expansions are outside."""
    axes = tuple(range(len(shape)))
    kept = tuple(axis for axis in axes if axis not in lost)
    inner = op.of_shape(tuple(shape[k] for k in kept), _reduced(positions, set(lost)))
    return einsum([inner, Ones(tuple(shape[k] for k in lost))], [kept, tuple(lost)], axes)


def _match(op: Op, args: list[Expr]) -> tuple[Shape, Shape]:
    """Return the batch shape and the whole shape. Raises: ShapeError."""
    sizes: dict[str, Size] = {}
    batch: Shape = ()
    for arg, core in zip(args, op.core.inputs, strict=True):
        if arg.ndim < len(core):
            raise ShapeError(
                f"{op.name} needs {('a vector', 'a matrix')[len(core) - 1]}",
                expected=f"at least {len(core)} axes",
                found=show_shape(arg.shape),
            )
        for axis, s in zip(core, arg.shape[arg.ndim - len(core) :], strict=True):
            if sizes.setdefault(axis, s) != s:
                raise ShapeError(
                    f"{op.name} needs equal sizes",
                    expected=f"{op.signature}",
                    found=f"{sizes[axis]} and {s} in {show_shape(arg.shape)}",
                )
        batch = broadcast_shapes(batch, arg.shape[: arg.ndim - len(core)])
    return batch, batch + tuple(sizes[axis] for axis in op.core.output)


def _pulled_out(op: Op, args: list[Expr]) -> Expr | None:
    """f(1⃗b) = 1⃗f(b) and f(Aᵀ) = f(A)ᵀ: expansions and transposes are outside, where products absorb them."""
    shape = args[0].shape
    common = set.intersection(*(expanded_axes(a) if constant_value(a) is None else set(range(a.ndim)) for a in args))
    if common:
        kept = tuple(k for k in range(len(shape)) if k not in common)
        inner = op(*(_reduced(a, common) for a in args))
        lost = tuple(sorted(common))
        return einsum([inner, Ones(tuple(shape[k] for k in lost))], [kept, lost], tuple(range(len(shape))))
    moving = [a for a in args if constant_value(a) is None]
    first = moving[0]
    if not (isinstance(first, Einsum) and all(is_permutation(a) for a in moving)):
        return None
    perm = first.output
    if any(isinstance(a, Einsum) and a.output != perm for a in moving):
        return None
    inner_shape = first.args[0].shape
    values = [(constant_value(a), a) for a in args]
    inner = op(*(a.args[0] if c is None else constant(c, inner_shape) for c, a in values))
    return einsum([inner], [first.subscripts[0]], perm)


def _reduced(a: Expr, axes: set[int]) -> Expr:
    c = constant_value(a)
    if c is not None:
        return constant(c, tuple(s for k, s in enumerate(a.shape) if k not in axes))
    return drop_axes(a, axes)


op_module.caller = apply
