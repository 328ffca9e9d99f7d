"""Sums in canonical form: like terms collected, constants exact, terms in structural order."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import gcd, lcm

import chainrule.expression.product as product
from chainrule.expression.node import ONE, Add, Einsum, Expr, Number, Ones, is_zero, zeros
from chainrule.expression.shape import Scalar, Shape, exact


def add_terms(pairs: Iterable[tuple[Scalar, Expr]], shape: Shape) -> Expr:
    """Return Σ cₖ tₖ, canonical: nested sums flat, like terms collected, zero terms gone. All terms have `shape`."""
    collected: dict[Expr, Scalar] = {}
    for coefficient, term in pairs:
        if isinstance(term, Add):
            for inner, part in zip(term.coefficients, term.args, strict=True):
                collected[part] = collected.get(part, 0) + coefficient * inner
        elif isinstance(term, Number):
            collected[ONE] = collected.get(ONE, 0) + coefficient * term.value
        else:
            collected[term] = collected.get(term, 0) + coefficient
    terms = [(exact(c), t) for t, c in collected.items() if c != 0]
    if not terms:
        return zeros(shape)
    if len(terms) == 1:
        return scale(*terms[0])
    common = set.intersection(*(product.expanded_axes(t) for _, t in terms)) if shape else set()
    if common:
        return _expanded_sum(terms, shape, sorted(common))
    terms.sort(key=lambda pair: pair[1].order)
    return Add(tuple(c for c, _ in terms), tuple(t for _, t in terms), shape)


def scale(coefficient: Scalar, e: Expr) -> Expr:
    """Return c·e, canonical."""
    if coefficient == 1:
        return e
    if coefficient == 0:
        return zeros(e.shape)
    if isinstance(e, Number):
        return Number(exact(coefficient * e.value))
    if isinstance(e, Add):
        if len(e.args) == 1 and coefficient * e.coefficients[0] == 1:
            return e.args[0]
        return Add(tuple(exact(coefficient * c) for c in e.coefficients), e.args, e.shape) if e.args else e
    return Add((coefficient,), (e,), e.shape)


def _expanded_sum(terms: list[tuple[Scalar, Expr]], shape: Shape, axes: list[int]) -> Expr:
    """1⃗a + 1⃗b = 1⃗(a + b): add where there is something to add, then expand once."""
    kept = tuple(axis for axis in range(len(shape)) if axis not in axes)
    reduced = tuple(shape[axis] for axis in kept)
    total = add_terms([(c, drop_axes(t, axes)) for c, t in terms], reduced)
    ones = Ones(tuple(shape[axis] for axis in axes))
    return product.einsum([total, ones], [kept, tuple(axes)], tuple(range(len(shape))))


def drop_axes(e: Expr, axes: Iterable[int]) -> Expr:
    """Return what is left of an expression that is constant along `axes` (as `expanded_axes` says) without them."""
    axes = set(axes)
    if isinstance(e, Ones):
        left = tuple(s for k, s in enumerate(e.shape) if k not in axes)
        return Ones(left) if left else ONE
    if isinstance(e, Einsum):
        gone = {e.output[axis] for axis in axes}
        output = tuple(i for i in e.output if i not in gone)
        args, subs = [], []
        for arg, sub in zip(e.args, e.subscripts, strict=True):
            keep = [k for k, i in enumerate(sub) if not (i in gone and isinstance(arg, Ones))]
            if isinstance(arg, Ones):
                arg = Ones(tuple(arg.shape[k] for k in keep)) if keep else ONE
                sub = tuple(sub[k] for k in keep)
            args.append(arg)
            subs.append(sub)
        return product.einsum(args, subs, output)
    if isinstance(e, Add):
        shape = tuple(s for k, s in enumerate(e.shape) if k not in axes)
        return add_terms([(c, drop_axes(t, axes)) for c, t in zip(e.coefficients, e.args, strict=True)], shape)
    raise ValueError("not constant along these axes")


def content(e: Add) -> Scalar:
    """Return the c for which e/c has coprime integer coefficients, the first of them positive (1 if one is a float)."""
    if any(isinstance(c, float) for c in e.coefficients):
        return 1
    fractions = [Fraction(c) for c in e.coefficients]
    numerator = gcd(*(f.numerator for f in fractions))
    denominator = lcm(*(f.denominator for f in fractions))
    sign = -1 if e.coefficients[0] < 0 else 1
    return exact(Fraction(sign * numerator, denominator))


def linear_terms(e: Expr) -> list[tuple[Scalar, Expr]]:
    """Return the terms of a sum with their coefficients; anything else is its own single term."""
    if isinstance(e, Add):
        return list(zip(e.coefficients, e.args, strict=True))
    if isinstance(e, Number):
        return [] if is_zero(e) else [(e.value, ONE)]
    return [(1, e)]
