"""Fractions: a common denominator where the numerators then cancel, and a quotient by itself.

1/d − u/d² = (d − u)/d² is worth writing if d − u gets shorter; (Wh)(Wh)⁻² = (Wh)⁻¹ also where Wh has fallen apart into
its factors. These rules must compute, so they are functions and not rows.
"""

from __future__ import annotations

from chainrule.expression.node import Add, Einsum, Expr, Ones, Subscripts, Symbol
from chainrule.expression.power import constant_value, exponent_of, power_of
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.shape import Scalar
from chainrule.expression.total import add_terms, linear_terms, scale
from chainrule.ops.piecewise import step, where
from chainrule.rewrite.pattern import match_product
from chainrule.simplify.expansion import multiplied
from chainrule.simplify.length import length
from chainrule.simplify.sums import with_output

MOST_TERMS = 6  # of a sum that is brought to a common denominator

Denominators = dict[tuple[Expr, Subscripts], int]


def reduced(e: Expr) -> Expr:
    """Return a product in which a sum of products meets its own negative power once: ab·(ab)⁻² = (ab)⁻¹."""
    if not isinstance(e, Einsum):
        return e
    for n, (f, sub) in enumerate(factors_of(e)):
        base, k = exponent_of(f)
        if k < 0 and isinstance(base, Einsum) and base.summed:
            after = _met(e, n, base, k, sub)
            if after is not None:
                return after
    return e


def _met(e: Einsum, n: int, base: Einsum, k: Scalar, sub: Subscripts) -> Expr | None:
    """Return the product with the factors of `base` taken into the power at place `n`, or None without them."""
    factors = factors_of(e)
    for found in match_product(base, e, {s: s for s in base.symbols.values()}):
        if n in found.used or found.lead or found.output != sub:
            continue
        rest = [f for m, f in enumerate(factors) if m != n and m not in found.used]
        covered: list[Factor] = [(Ones((e.sizes[i],)), (i,)) for i in e.output]
        parts = [(power_of(base, k + 1), sub), *rest, *covered]
        return einsum([f for f, _ in parts], [s for _, s in parts], e.output)
    return None


def on_common_denominator(e: Expr) -> Expr:
    """Return a sum of fractions as one fraction, if that is shorter: v/(k + s) − sv/(k + s)² = kv/(k + s)²."""
    if not isinstance(e, Add) or not 2 <= len(e.args) <= MOST_TERMS:
        return e
    below = _denominators(e)
    if not below:
        return e
    free = tuple(range(e.ndim))
    above: list[tuple[Scalar, Expr]] = []
    for c, t in linear_terms(e):
        factors = [*with_output(t), *((power_of(d, k), sub) for (d, sub), k in below.items()), *_ones(e)]
        lifted = einsum([f for f, _ in factors], [s for _, s in factors], free)
        above += [(c * d, u) for d, u in _multiplied_out(lifted)]
    numerator = add_terms(above, e.shape)
    parts = [(numerator, free), *((power_of(d, -k), sub) for (d, sub), k in below.items()), *_ones(e)]
    after = einsum([f for f, _ in parts], [s for _, s in parts], free)
    return after if length(after) < length(e) else e


def _ones(e: Expr) -> list[Factor]:
    return [(Ones((s,)), (i,)) for i, s in enumerate(e.shape)]


def _multiplied_out(e: Expr) -> list[tuple[Scalar, Expr]]:
    """Return the terms of a product of sums, or of one to a small power."""
    result: list[tuple[Scalar, Expr]] = []
    for c, t in linear_terms(e):
        places = [n for n, f in enumerate(t.args) if isinstance(f, Add)] if isinstance(t, Einsum) else []
        if not places:
            result.append((c, t))
            continue
        assert isinstance(t, Einsum)
        for d, parts in multiplied(t, places):
            result.append((c * d, einsum([f for f, _ in parts], [s for _, s in parts], t.output)))
    return result


def _denominators(e: Add) -> Denominators:
    """Return what the terms are divided by, with its highest power, where it is a sum that stands on free indices."""
    found: Denominators = {}
    for t in e.args:
        for f, sub in with_output(t):
            base, k = exponent_of(f)
            if isinstance(k, int) and k < 0 and isinstance(base, Add) and all(i < e.ndim for i in sub):
                found[base, sub] = max(found.get((base, sub), 0), -k)
    return found


def cleared(e: Expr) -> Expr:
    """Return a product without a fraction in its denominator: 1/(ν(u/ν + 1)) = 1/(u + ν) for a symbol ν.

    A mean, whose divisor is a size, stays a mean.
    """
    if not isinstance(e, Einsum):
        return e
    factors = factors_of(e)
    for n, (f, sub) in enumerate(factors):
        base, k = exponent_of(f)
        if not isinstance(base, Add) or k >= 0:
            continue
        for m, (g, own) in enumerate(factors):
            inner, j = exponent_of(g)
            if isinstance(inner, Symbol) and not own and j < 0 and isinstance(k, int) and j % k == 0:
                lifted = power_of(_times(base, inner, int(j // k)), k)
                parts = [(lifted, sub), *(p for i, p in enumerate(factors) if i not in (n, m))]
                parts += [(Ones((e.sizes[i],)), (i,)) for i in e.output]
                after = einsum([p for p, _ in parts], [s for _, s in parts], e.output)
                if length(after) < length(e):
                    return after
    return e


def merged(e: Expr) -> Expr:
    """Return a product in which a number divides and is divided by once: 1/(n · (1/n) ‖x‖²) = 1/‖x‖²."""
    if not isinstance(e, Einsum):
        return e
    factors = factors_of(e)
    for n, (f, sub) in enumerate(factors):
        base, k = exponent_of(f)
        if not isinstance(base, Einsum) or not isinstance(k, int):
            continue
        inside = factors_of(base)
        for m, (g, own) in enumerate(factors):
            s, j = exponent_of(g)
            met = next((p for p, (h, at) in enumerate(inside) if not at and exponent_of(h)[0] is s), None)
            if m == n or own or met is None or (power := exponent_of(inside[met][0])[1]) * k * j > 0:
                continue
            covered = [(Ones((base.sizes[i],)), (i,)) for i in base.output]
            rest = [*(p for q, p in enumerate(inside) if q != met), *covered]
            lifted = power_of(einsum([p for p, _ in rest], [at for _, at in rest], base.output), k)
            parts = [
                (lifted, sub),
                (power_of(s, j + power * k), ()),
                *(p for q, p in enumerate(factors) if q not in (n, m)),
            ]
            parts += [(Ones((e.sizes[i],)), (i,)) for i in e.output]
            return einsum([p for p, _ in parts], [at for _, at in parts], e.output)
    return e


def _times(e: Add, s: Symbol, k: int) -> Expr:
    """Return sᵏ e, multiplied into the terms of the sum `e`."""
    free = tuple(range(e.ndim))
    return add_terms([(c, einsum([power_of(s, k), t], [(), free], free)) for c, t in linear_terms(e)], e.shape)


def by_cases(e: Expr) -> Expr:
    """Return v + [g > 0] ⊙ u as where(g > 0, u + v, v), if that is shorter: δ sign(r) + [|r| < δ] ⊙ (r − δ sign(r))."""
    if not isinstance(e, Add) or len(e.args) < 2:
        return e
    free = tuple(range(e.ndim))
    for k, t in enumerate(e.args):
        for n, (f, sub) in enumerate(with_output(t)):
            if exponent_of(f)[0].args and getattr(f, "op", None) is step and sub == free and f.shape == e.shape:
                terms = linear_terms(e)
                others = add_terms([term for i, term in enumerate(terms) if i != k], e.shape)
                rest = [*(p for i, p in enumerate(with_output(t)) if i != n), *_ones(e)]
                chosen = scale(e.coefficients[k], einsum([p for p, _ in rest], [s for _, s in rest], free))
                if constant_value(others) is None or constant_value(chosen) is None:
                    after = where(f, add_terms([(1, chosen), (1, others)], e.shape), others)
                    if length(after) < length(e):
                        return after
    return e
