"""Rules of functions that are made of others: norms, normalisations, triangles, arrays put together and taken apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import chainrule.expression.build as build
import chainrule.expression.compositions as compositions
import chainrule.expression.indexed as indexed
import chainrule.expression.multiplication as multiplication
import chainrule.expression.selection as selection
from chainrule.errors import DomainError, ShapeError
from chainrule.expression.application import (
    Rule,
    Use,
    axes_of,
    by_signature,
    find_residual,
    identity,
    literal,
    need_rank,
    of_last_axis,
    pointwise,
    reduction,
    size_of,
    unknown,
    whole,
)
from chainrule.expression.extent import plus, times
from chainrule.expression.indexed import Context, Value
from chainrule.expression.node import Expr, Number
from chainrule.expression.op import CATALOGUE, Op
from chainrule.expression.product import size_number
from chainrule.expression.shape import exact
from chainrule.expression.sizes import SizeVariable, combined, shifted, unify
from chainrule.syntax.tree import Name

MAX_POWER = 16  # a matrix power is written out as a product
NORMS: dict[str, Callable[..., Expr]] = {
    "1": lambda e, axes, keep: build.sum(CATALOGUE["abs"](e), axes, keep),
    "2": lambda e, axes, keep: build.power(build.sum(build.power(e, 2), axes, keep), Fraction(1, 2)),
    "inf": lambda e, axes, keep: compositions.along_axes("max")(CATALOGUE["abs"](e), axes, keep),
}
KINDS = {"F": "2", "fro": "2", "inf": "inf"}


def norm(order: str) -> Rule:
    """The 2-norm √Σx² (of a matrix: Frobenius), Σ|x|, or the largest |x|, over all entries or along an axis."""

    def rule(use: Use) -> Value:
        value = use.values[0]
        kind = _kind_of_norm(use, order)
        if kind == "nuc":
            need_rank(use, value, 2)
            return by_signature(CATALOGUE["norm_nuc"])(Use(use.context, use.call, (value,)))
        find_residual(use.context, value)
        if kind != "2" and use.keyword("axis") is not None and len(axes_of(use, value)) > 1:
            raise unknown(use, "this norm runs along one axis, or over all entries")
        alone = replace(use.call, arguments=use.call.arguments[:1])  # what stands second is the order, no axis
        return reduction(NORMS[kind])(replace(use, call=alone))

    return rule


def _kind_of_norm(use: Use, order: str) -> str:
    written = use.keyword("ord") or (use.call.arguments[1] if len(use.call.arguments) > 1 else None)
    if written is None:
        return order
    if isinstance(written, Name) and (written.name in KINDS or written.name == "nuc"):
        kind = KINDS.get(written.name, written.name)
    else:
        kind = str(whole(use, written))
    if kind not in (*NORMS, "nuc"):
        raise unknown(use, f"the norm of order {kind} is not supported", hint="1, 2, inf, F and nuc are")
    if use.values[0].rank > 1 and use.keyword("axis") is None and not isinstance(written, Name):
        hint = "norm(A) is Frobenius; norm1(A) and norminf(A) are over all entries"
        raise unknown(use, f"the matrix norm of order {kind} is not supported", hint=hint)
    return kind


def number(use: Use, name: str, default: Fraction) -> Expr:
    """Return the number after `name=`. Raises: FormulaSyntaxError for anything but a number."""
    tree = use.keyword(name)
    value = default if tree is None else literal(tree)
    if value is None:
        raise use.wrong("a number is needed here", tree)
    return Number(exact(value))


def with_number(function: Callable[..., Expr], name: str, default: Fraction) -> Rule:
    """A function entry by entry with a parameter, given second or by its name: leaky_relu(z, slope=0.01)."""

    def rule(use: Use) -> Value:
        if len(use.values) > 1:
            return pointwise(function)(use)
        parameter = number(use, name, default)
        return indexed.elementwise(use.context, lambda e: function(e, parameter), *use.values)

    return rule


def _elu(z: Expr, alpha: Expr) -> Expr:
    return CATALOGUE["elu"](z, alpha)


leaky_relu = with_number(compositions.leaky_relu, "slope", Fraction(1, 100))
elu = with_number(_elu, "alpha", Fraction(1))


def normalisation(function: Callable[..., Expr]) -> Rule:
    """layernorm and its like: (x, gamma, beta, eps=…)."""

    def rule(use: Use) -> Value:
        eps = number(use, "eps", Fraction(0))
        return of_last_axis(lambda x, *rest: function(x, *rest, eps=eps))(use)

    return rule


def batch_normalisation(use: Use) -> Value:
    """batchnorm: along the first axis of a matrix, γ and β along the second."""
    value, *others = use.values
    need_rank(use, value, 2, exactly=True)
    eps = number(use, "eps", Fraction(0))
    for other in others:
        if other.rank:
            use.context.tie(value, -1, other, -1)
    core = [2, *(min(other.rank, 1) for other in others)]
    unlabelled(use)

    def standardised(x: Expr, gamma: Expr | int = 1, beta: Expr | int = 0) -> Expr:
        return compositions.batchnorm(x, gamma, beta, eps)

    return indexed.gufunc(use.context, standardised, core, value.axes, *use.values)


def cross_entropy(use: Use) -> Value:
    """cross_entropy(scores, targets)."""
    scores, targets = use.values
    need_rank(use, scores, 1)
    classes = 0 < targets.rank == scores.rank - 1  # the number of each row's class instead of a row of targets
    for k in range(1, scores.rank + 1 - classes):
        need_rank(use, targets, scores.rank - classes, exactly=True)
        use.context.tie(scores, -k - classes, targets, -k)
    use.context.summed += scores.axes
    core = [scores.rank, scores.rank - classes]
    unlabelled(use)
    return indexed.gufunc(use.context, compositions.cross_entropy, core, (), *use.values)


def solve(use: Use) -> Value:
    """solve(A, b) = A⁻¹ b."""
    inverse = by_signature(CATALOGUE["inv"])(Use(use.context, use.call, use.values[:1]))
    return multiplication.matmul(use.context, inverse, use.values[1])


def unlabelled(use: Use) -> None:
    """Refuse parts that carry the index of a Σ. Raises: DomainError."""
    if any(value.labels for value in use.values):
        raise unknown(use, f"{use.call.function} under a Σ is not supported", hint="write it for the whole array")


def array_rule(function: Callable[[Expr], Expr], least: int, axes: Callable[..., tuple[SizeVariable, ...]]) -> Rule:
    """A constructor for a whole array, with the axes of its result."""

    def rule(use: Use) -> Value:
        unlabelled(use)
        value = use.values[0]
        need_rank(use, value, least)
        side = "column" if use.context.oriented and len(axes(value.axes)) == 1 else ""
        return Value(axes(value.axes), function, (value,), side=side)  # type: ignore[arg-type]

    return rule


def _flat(axes: tuple[SizeVariable, ...]) -> tuple[SizeVariable, ...]:
    result = axes[0] if axes else SizeVariable(1)
    for axis in axes[1:]:
        result = combined(times, result, axis)
    return (result,)


vec = array_rule(selection.vec, 1, lambda axes: _flat(tuple(reversed(axes))))
ravel = array_rule(selection.ravel, 0, _flat)


def triangle(function: Callable[..., Expr]) -> Rule:
    """tril and triu, with the number of a diagonal."""

    def rule(use: Use) -> Value:
        value = use.values[0]
        need_rank(use, value, 2)
        written = use.keyword("k") or (use.call.arguments[1] if len(use.call.arguments) > 1 else None)
        k = 0 if written is None else whole(use, written)
        return indexed.gufunc(use.context, lambda e: function(e, k), [2], value.axes[-2:], value)

    return rule


def cumulative(use: Use) -> Value:
    """cumsum along an axis; of a matrix without axis= over all entries row by row."""
    value = use.values[0]
    if value.rank > 1 and use.keyword("axis") is None:
        return of_last_axis(selection.cumsum)(Use(use.context, use.call, (ravel(use),)))
    return of_last_axis(selection.cumsum)(use)


def otimes(context: Context, a: Value, b: Value) -> Value:
    """a ⊗ b: matrices of two shapes have only a Kronecker product; equal shapes multiply entry by entry."""
    known = [axis.known for value in (a, b) for axis in value.axes]
    if a.rank == b.rank == 2 and None not in known and known[:2] != known[2:] and not (a.labels or b.labels):
        return _kronecker(a, b)
    return indexed.elementwise(context, build.multiply, a, b)


def kron(use: Use) -> Value:
    """The Kronecker product of two matrices, or of two vectors."""
    unlabelled(use)
    a, b = use.values
    need_rank(use, a, 1)
    need_rank(use, b, a.rank, exactly=True)
    return _kronecker(a, b)


def _kronecker(a: Value, b: Value) -> Value:
    axes = tuple(combined(times, x, y) for x, y in zip(a.axes, b.axes, strict=True))
    return Value(axes, selection.kron, (a, b))


def joined(axis: int | None, stacks: bool = False) -> Rule:
    """concatenate, hstack and vstack: along `axis`, or the one written; with `stacks` vectors become rows."""

    def rule(use: Use) -> Value:
        unlabelled(use)
        parts = use.values
        if not parts:
            raise use.wrong("there is nothing to put together")
        rank = parts[0].rank
        if stacks and rank == 1:
            return stacked(use)
        tree = use.keyword("axis")
        along = whole(use, tree) if tree is not None else min(axis or 0, rank - 1)
        along = build.normal_axes(along, rank)[0]
        for part in parts:
            need_rank(use, part, max(rank, 1), exactly=True)
            for k in range(rank):
                if k != along:
                    use.context.tie(parts[0], k, part, k)
        axes = list(parts[0].axes)
        for part in parts[1:]:
            axes[along] = _sum(axes[along], part.axes[along])
        side = "column" if use.context.oriented and rank == 1 else ""
        return Value(tuple(axes), lambda *e: selection.concatenate(e, along), parts, side=side)  # type: ignore[arg-type]

    return rule


def _sum(a: SizeVariable, b: SizeVariable) -> SizeVariable:
    return shifted(a, b.known) if isinstance(b.known, int) else combined(plus, a, b)


def stacked(use: Use) -> Value:
    """stack([x, y]): values of one shape along a new axis."""
    unlabelled(use)
    parts = use.values
    for part in parts:
        need_rank(use, part, parts[0].rank, exactly=True)
        for k in range(parts[0].rank):
            use.context.tie(parts[0], k, part, k)
    tree = use.keyword("axis")
    axis = 0 if tree is None else whole(use, tree) % (parts[0].rank + 1)
    count = use.context.sizes.of(len(parts))
    axes = (*parts[0].axes[:axis], count, *parts[0].axes[axis:])
    return Value(axes, lambda *e: selection.stack(e, axis), parts)


def constants(op: Op) -> Rule:
    """An array of constants: its whole numbers, then its sizes."""

    def rule(use: Use) -> Value:
        trees = use.call.arguments
        count = len(op.parameters)
        places = [SizeVariable(int(n)) if (n := literal(t)) is not None else size_of(use.context, t) for t in trees]
        starts, axes = places[:count], tuple(places[count:])
        side = "column" if use.context.oriented and len(axes) == 1 else ""

        def make() -> Expr:
            return op.of_shape(tuple(a.size for a in axes), *(size_number(s.size) for s in starts))

        return Value(axes, make, side=side)  # type: ignore[arg-type]

    return rule


def reshaped(use: Use) -> Value:
    """reshape(x, (m, n)): the entries row by row in another shape."""
    unlabelled(use)
    flat = ravel(use)
    trees = use.call.arguments[1:]
    sizes = [size_of(use.context, t) for t in trees if literal(t) != -1]
    if len(sizes) != len(trees):
        if len(trees) > 1:
            raise use.wrong("a size of -1 is supported for a vector only", trees[0], hint="name the size")
        return flat
    if len(sizes) > 2:
        raise DomainError("reshape makes vectors and matrices", text=use.context.text, spans=(use.call.span,))
    if len(sizes) == 1:
        if not unify(flat.axes[0], sizes[0]):
            raise ShapeError("the sizes of reshape do not fit", text=use.context.text, spans=(use.call.span,))
        return flat
    product = combined(times, *sizes)
    if flat.axes[0].is_free:
        unify(flat.axes[0], product)
    return Value(tuple(sizes), lambda e: selection.split(e, 0, sizes[0].size, sizes[1].size), (flat,))


def einsum(use: Use) -> Value:
    """einsum("ij,jk->ik", A, B): every axis has a letter, and what the right side lacks is summed."""
    written = use.keyword("subscripts")
    spec = written.name.replace(" ", "") if isinstance(written, Name) else ""
    left, arrow, right = spec.partition("->")
    groups = left.split(",")
    letters = set(left) - {","}
    if not arrow or not all(c.isascii() and c.isalpha() for c in letters | set(right)) or len(set(right)) < len(right):
        raise use.wrong("these subscripts cannot be read", written, expected='einsum("ij,jk->ik", A, B)')
    if not set(right) <= letters or len(groups) != len(use.values):
        expected, found = "one group for each array", f"{len(groups)} groups of subscripts, {len(use.values)} arrays"
        raise use.wrong("the subscripts do not fit the arrays", written, expected=expected, found=found)
    for value, group in zip(use.values, groups, strict=True):
        if value.rank != len(group):
            expected, found = f"{len(group)} axes for {group}", f"{use.context.said(value)} has {value.rank}"
            raise use.wrong("the subscripts do not fit an array", value.tree, expected=expected, found=found)
    dotted = ",".join("..." + group for group in groups)
    return multiplication.contraction(use.context, f"{dotted}->...{right}", *use.values)


def matrix_power(use: Use) -> Value:
    """matrix_power(A, 3), np.linalg's name of A @ A @ A; −1 is the inverse."""
    (base,), written = use.values, use.call.arguments[1]
    need_rank(use, base, 2, exactly=True)
    number = literal(written)
    if number is None or number.denominator != 1 or abs(number) > MAX_POWER:
        raise use.wrong("this is no power of a matrix", written, expected=f"a whole number up to {MAX_POWER}")
    use.context.tie(base, -2, base, -1)
    return whole_power(use.context, base, int(number))


def whole_power(context: Context, base: Value, number: int) -> Value:
    """Return the power of a square matrix as a repeated product, below 0 of its inverse."""
    tree = base.tree
    if number < 0:
        base = replace(indexed.gufunc(context, CATALOGUE["inv"], [2], base.axes, base), tree=tree)
    if number == 0:
        return identity(base.axes[0])
    result = base
    for _ in range(abs(number) - 1):
        result = replace(multiplication.product(context, result, base), tree=tree)
    return result
