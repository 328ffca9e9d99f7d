"""Written forms and equations: partial derivatives, chain rule products and sums, laid out as rows or columns."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction as Rational
from typing import TypeGuard

import chainrule.rewrite.statement as st
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import Scalar
from chainrule.notation.index import axis_letters, free_letters
from chainrule.notation.layout import (
    Chain,
    Contraction,
    Differential,
    Fraction,
    Layout,
    Numeral,
    Orientation,
    Product,
    Sign,
    Sub,
    Sum,
    kind_of_rank,
    oriented,
    transpose,
)
from chainrule.notation.matrix import notate, notate_entry
from chainrule.notation.order import magnitude
from chainrule.notation.samples import notate_samples, sample_of

Pair = tuple[Expr, Symbol]


def notate_written(w: st.Written, outputs: int | None, layout: st.Layout) -> Layout:
    """Return the notation of one side. `outputs` axes belong to what is differentiated; None: it is a value."""
    return _Side(layout, frozenset()).write(w, outputs)


def notate_equation(eq: st.Equation, layout: st.Layout) -> Layout:
    """Return the notation of an equation. Where a total and a direct derivative meet, the total one has a d."""
    partials = [p for side in (eq.left, *eq.right) for p in _partials(side)]
    direct = {(p.of, p.wrt) for p in partials if p.direct}
    total = {(p.of, p.wrt) for p in partials if not p.direct}
    at = _indices(eq)
    side = _Side(layout, frozenset(direct & total), at)
    first: Sign = "←" if eq.arrow else "≔" if eq.by_definition else "="
    left, *right = (side.write(w, eq.outputs) for w in (eq.left, *eq.right))
    if not at and _is_array(eq.left):
        right = [_as_array(w, e) for w, e in zip(eq.right, right, strict=True)]
    right = [e for k, e in enumerate(right) if k == 0 or e != right[k - 1]]
    equals: list[Sign] = ["="] * (len(right) - 1)
    return Chain((left, *right), (first, *equals), eq.condition)


def _indices(eq: st.Equation) -> tuple[str, ...]:
    """Return the letters that all sides share: those of S or ∂f/∂A on the left, if there are three indices or more."""
    name = eq.left.name if isinstance(eq.left, st.Called) else eq.left
    if isinstance(name, Symbol) and name.ndim > 2:
        return tuple(axis_letters(name))
    parts = [part for w in eq.right for part in (w.parts if isinstance(w, st.WrittenSum) else (w,))]
    values = [part for part in parts if isinstance(part, Expr)]
    if not _is_array(eq.left) or len(values) < len(parts):
        return ()
    letters = free_letters(name for e in values for name in e.symbols)
    return tuple(next(letters) for _ in eq.left.shape)


def _is_array(w: st.Written) -> TypeGuard[st.Partial]:
    """True for a whole derivative of three axes or more."""
    return isinstance(w, st.Partial) and len(w.shape) > 2 and w.index is None and not w.entry


def orientation(outputs: int | None, ndim: int, layout: st.Layout) -> Orientation:
    """Return how a derivative is turned. Numerator layout has a row for each output, denominator layout a column.

    The derivative of a scalar by a matrix keeps the matrix's shape in both.
    """
    if outputs is None:
        return "plain"
    rows = (outputs == 0) == (layout == "numerator")
    if ndim == 1:
        return "row" if rows else "plain"
    return "transposed" if outputs > 0 and layout == "denominator" else "plain"


def _partials(w: st.Written) -> Iterator[st.Partial]:
    if isinstance(w, st.Partial):
        yield w
    elif isinstance(w, st.WrittenProduct | st.WrittenSum):
        for part in w.parts:
            yield from _partials(part)
    elif isinstance(w, st.Transposed):
        yield from _partials(w.part)


class _Side:
    """Writes sides in one layout; `doubled` are the pairs of which both kinds of derivative occur."""

    def __init__(self, layout: st.Layout, doubled: frozenset[Pair], at: tuple[str, ...] = ()) -> None:
        self.layout = layout
        self.doubled = doubled
        self.at = at  # the indices of an entry, if the equation is between entries

    def write(self, w: st.Written, outputs: int | None) -> Layout:
        if isinstance(w, st.Partial):
            return self.partial(w)
        if isinstance(w, st.Called):
            return notate(w.name)
        if isinstance(w, st.WrittenProduct):
            return self.product(w, outputs)
        if isinstance(w, st.WrittenSum):
            return self.sum(w, outputs)
        if isinstance(w, st.Transposed):
            part = self.write(w.part, 0)
            return transpose(part) if self.layout == "numerator" else part
        if isinstance(w, st.Indexed):
            return self.indexed(w, outputs)
        return notate_entry(w, self.at) if self.at else notate(w, orientation(outputs, w.ndim, self.layout))

    def partial(self, p: st.Partial) -> Layout:
        """∂of/∂wrt; row i of it, or its diagonal entry."""
        size = p.wrt.shape[0] if p.entry and p.wrt.shape else p.index
        of = notate(p.of) if size is None else sample_of(p.of, size)
        wrt = sample_of(p.wrt, size) if p.entry else notate(p.wrt)
        total = not p.direct and (p.of, p.wrt) in self.doubled
        kind = kind_of_rank(max(0, len(p.shape) - (size is not None)))
        whole = Differential(of, wrt, "matrix" if kind == "column" else kind, total)
        return Sub(whole, self.at) if self.at and len(self.at) == len(p.shape) else whole

    def indexed(self, w: st.Indexed, outputs: int | None) -> Layout:
        layout = notate_samples(w)
        if outputs is None:
            return layout
        rows = sum(size == w.size for size in w.e.shape[:outputs])
        ndim = sum(size != w.size for size in w.e.shape)
        return oriented(layout, orientation(outputs - rows, ndim, self.layout))

    def product(self, w: st.WrittenProduct, outputs: int | None) -> Layout:
        """(∂C/∂v)(∂v/∂w); in denominator layout the other way round, (∂v/∂w)(∂C/∂v)."""
        counts: list[int | None] = [None] * len(w.parts)
        if outputs is not None:
            counts = [outputs, *w.inner]
        parts = [_as_array(part, self.write(part, c)) for part, c in zip(w.parts, counts, strict=True)]
        if any(count > 1 for count in w.inner):
            return Contraction(tuple(parts))
        return Product(tuple(reversed(parts) if self.layout == "denominator" and outputs is not None else parts))

    def sum(self, w: st.WrittenSum, outputs: int | None) -> Layout:
        signs, parts = [], []
        for c, part in zip(w.coefficients, w.parts, strict=True):
            sign, layout = _signed(c, self.write(part, outputs))
            signs.append(sign)
            parts.append(layout)
        return Sum(tuple(signs), tuple(parts))


def _as_array(part: st.Written, layout: Layout) -> Layout:
    """Among other factors, entries of an array are gathered: (δᵢⱼxₖ)ᵢⱼₖ."""
    if isinstance(part, Expr) and part.ndim > 2:
        return Sub(layout, tuple(axis_letters(part)), "matrix")
    return layout


def _signed(c: Scalar, layout: Layout) -> tuple[int, Layout]:
    sign = -1 if c < 0 else 1
    if isinstance(layout, Sum) and len(layout.parts) == 1 and c > 0:
        sign, layout = sign * layout.signs[0], layout.parts[0]
    if magnitude(c) == 1:
        return sign, layout
    exact = Rational(c) if not isinstance(c, float) else None
    if exact is None or exact.denominator == 1:
        return sign, Product((Numeral(magnitude(c)), layout))
    return sign, Product((Fraction(Numeral(abs(exact.numerator)), Numeral(exact.denominator)), layout))
