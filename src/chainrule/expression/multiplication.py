"""Products as they are written: neighbours with columns and rows told apart, NumPy's `@`, dot products, transposes."""

from __future__ import annotations

from dataclasses import replace

import chainrule.expression.build as build
from chainrule.errors import ShapeError
from chainrule.expression.indexed import Context, Side, Value, elementwise, gufunc
from chainrule.expression.sizes import show_axes
from chainrule.expression.survey import GREEK
from chainrule.syntax.tree import Index, Name

_FORMS: dict[
    tuple[str, str], tuple[str, Side]
] = {  # what the neighbours are: how they multiply, and the side of a vector that results
    ("row", "column"): ("...i,...i->...", ""),
    ("row", "vector"): ("...i,...i->...", ""),
    ("vector", "column"): ("...i,...i->...", ""),
    ("column", "row"): ("...i,...j->...ij", ""),
    ("vector", "row"): ("...i,...j->...ij", ""),
    ("matrix", "column"): ("...ij,...j->...i", "column"),
    ("matrix", "vector"): ("...ij,...j->...i", "column"),
    ("row", "matrix"): ("...i,...ij->...j", "row"),
    ("vector", "matrix"): ("...i,...ij->...j", "row"),
    ("matrix", "matrix"): ("...ij,...jk->...ik", ""),
}
ODD_SCALAR = 3.0  # more than the cost of reading two symbols otherwise than by their letters


def scaled(context: Context, left: Value, right: Value) -> Value:
    """Return the product entry by entry, which a scalar factor makes of any product."""
    return elementwise(context, build.multiply, left, right)


def product(context: Context, left: Value, right: Value) -> Value:
    """Return the product of neighbours: a scalar multiple, or the matrix product with columns and rows told apart."""
    if not left.rank or not right.rank:
        if left.rank and context.is_plain_scalar(right):
            context.find_odd(ODD_SCALAR, right)  # Ax is a matrix times a vector: scalars are written in front
        return scaled(context, left, right)
    forms = _form(left), _form(right)
    if forms not in _FORMS:
        raise _no_product(context, left, right, forms)
    spec, side = _FORMS[forms]
    result = contraction(context, spec, left, right)
    return replace(result, side=side) if context.oriented else result


def _form(value: Value) -> str:
    return (value.side or "vector") if value.rank == 1 else "matrix"


def _no_product(context: Context, left: Value, right: Value, forms: tuple[str, str]) -> ShapeError:
    both = "matrix" not in forms
    context.is_final = both
    a, b = (_described(context, value, form) for value, form in zip((left, right), forms, strict=True))
    return ShapeError(
        f"{a} and {b} do not multiply",
        text=context.text,
        spans=(left.span, right.span),
        expected="neighbours whose inner sizes agree; vectors are columns, their transposes rows",
        found=f"a {forms[0]} times a {forms[1]}",
        hint=_two_readings(context, left, right) if both else "transpose one of them",
    )


def _described(context: Context, value: Value, form: str) -> str:
    free = all(axis.known is None for axis in value.axes)
    what = form if form in ("matrix", "vector") else f"{form} vector"
    return f"{context.said(value)} (a {what}" + (")" if free else f", {show_axes(value.axes)})")


def _two_readings(context: Context, left: Value, right: Value) -> str:
    a, b = context.said(left), context.said(right)
    dotted, by_entry = (f"{a}' * {b}", f"{a} .* {b}") if context.one_based else (rf"{a}^\top {b}", rf"{a} \odot {b}")
    return f"for the dot product write {dotted}, for the product entry by entry {by_entry}"


_RANKS = {(1, 1): "...i,...i->...", (1, 2): "...i,...ij->...j", (2, 1): "...ij,...j->...i"}


def matmul(context: Context, left: Value, right: Value) -> Value:
    """Return the product as NumPy's `@` has it; in LaTeX and MATLAB as neighbours multiply."""
    for value in (left, right):
        if not value.rank:
            raise ShapeError(
                "@ needs vectors or matrices",
                text=context.text,
                spans=(value.span,),
                expected="a vector or a matrix",
                found=f"{context.said(value)} is a scalar",
                hint="write * to multiply by a scalar, or declare its shape",
            )
    if context.oriented:
        return product(context, left, right)
    return contraction(context, _RANKS.get((min(left.rank, 2), min(right.rank, 2)), "...ij,...jk->...ik"), left, right)


def dot(context: Context, left: Value, right: Value) -> Value:
    """Return the dot product of two vectors however they are turned; anything else multiplies as neighbours do."""
    if left.rank == right.rank == 1:
        return contraction(context, "...i,...i->...", left, right)
    for value, other in ((left, right), (right, left)):
        named = isinstance(other.tree, Name | Index)
        if named and context.is_plain_scalar(value) and context.said(value).lstrip("\\") not in GREEK:
            context.find_odd(ODD_SCALAR, value)
    return product(context, left, right)


def contraction(context: Context, spec: str, *values: Value) -> Value:
    """Return an Einstein sum over the last axes, such as `"...ij,...j->...i"`; leading axes are batches."""
    inputs, output = spec.split("->")
    found: dict[str, tuple[Value, int]] = {}
    groups = [group.removeprefix("...") for group in inputs.split(",")]
    for value, letters in zip(values, groups, strict=True):
        for k, letter in enumerate(letters):
            first = found.setdefault(letter, (value, k - len(letters)))
            context.tie(*first, value, k - len(letters))
    axes = tuple(found[c][0].axes[found[c][1]] for c in output.removeprefix("..."))
    core = [len(group) for group in groups]
    if not axes:
        context.summed += tuple(value.axes[k] for value, k in found.values())
    return gufunc(context, lambda *parts: build.contract(spec, *parts), core, axes, *values)


def transpose(context: Context, value: Value) -> Value:
    """Return the transpose; a NumPy vector is its own, a column becomes a row."""
    if value.rank == 0:
        context.find_odd(ODD_SCALAR, value)
        return value
    if value.rank == 1:
        side: Side = "column" if value.side == "row" else "row"
        return replace(value, side=side) if context.oriented else value
    count = len(value.labels)
    order = (*range(count), *reversed(range(count, count + value.rank)))
    return Value(
        tuple(reversed(value.axes)), lambda e: build.transpose(e, order), (value,), value.labels, tree=value.tree
    )
