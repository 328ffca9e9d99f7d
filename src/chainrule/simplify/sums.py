"""Factoring: a factor that all terms of a sum share is taken out, if that makes the sum shorter.

This one rule must compute, so it is a function and not a row: XᵀU + XᵀV = Xᵀ(U + V).
"""

from __future__ import annotations

from chainrule.expression.node import ONE, Add, Expr, Number, Ones, Subscripts
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.shape import Scalar
from chainrule.expression.total import add_terms

Term = tuple[Scalar, list[Factor]]


def factored(e: Expr) -> Expr:
    """Return the sum with shared factors taken out, as long as it gets shorter; anything else as it is."""
    if not isinstance(e, Add) or len(e.args) < 2:
        return e
    terms = [(c, _with_output(t)) for c, t in zip(e.coefficients, e.args, strict=True)]
    best: Expr = e
    for factor, sub in terms[0][1]:
        if not isinstance(factor, Ones | Number):
            candidate = _taken_out(e, terms, factor, sub)
            if candidate is not None and length(candidate) < length(best):
                best = candidate
    return best


def _with_output(t: Expr) -> list[Factor]:
    """Return the factors of a term with the output's indices numbered 0, 1, … and summed ones after them."""
    free = getattr(t, "output", tuple(range(t.ndim)))
    names = {i: k for k, i in enumerate(free)}
    result = []
    for factor, sub in factors_of(t):
        for i in sub:
            names.setdefault(i, len(names))
        result.append((factor, tuple(names[i] for i in sub)))
    return result


def _taken_out(e: Add, terms: list[Term], factor: Expr, sub: Subscripts) -> Expr | None:
    """Return factor · Σ (what is left of each term), or None if some term lacks the factor at this place."""
    n = e.ndim
    rests: list[tuple[Scalar, list[Factor]]] = []
    for c, factors in terms:
        place = next((k for k, (f, s) in enumerate(factors) if f is factor and _fits(s, sub, n)), None)
        if place is None:
            return None
        rests.append((c, _renamed(factors, place, sub, n)))
    used = sorted({i for _, factors in rests for f, s in factors if not isinstance(f, Ones) for i in s if i < n})
    shared = {i for _, factors in rests for _, s in factors for i in s}
    inner = tuple(dict.fromkeys(i for i in sub if i >= n and i in shared))
    output = tuple(used) + inner
    sizes = _sizes(e, factor, sub)
    parts = []
    for c, factors in rests:
        ones = [(Ones((sizes[i],)), (i,)) for i in output]
        all_factors = [f for f in factors if not isinstance(f[0], Ones)] + ones
        parts.append((c, einsum([f for f, _ in all_factors], [s for _, s in all_factors], output)))
    total = add_terms(parts, parts[0][1].shape)
    ones = [(Ones((s,)), (k,)) for k, s in enumerate(e.shape)]
    return einsum([factor, total, *(f for f, _ in ones)], [sub, output, *(s for _, s in ones)], tuple(range(n)))


def _fits(sub: Subscripts, wanted: Subscripts, n: int) -> bool:
    """True if the factor stands at the same place: the same output indices, and summed ones tied in the same way."""
    same = all(i == w if w < n else i >= n for i, w in zip(sub, wanted, strict=True))
    return same and len(set(sub)) == len(set(wanted)) == len(set(zip(sub, wanted, strict=True)))


def _renamed(factors: list[Factor], place: int, sub: Subscripts, n: int) -> list[Factor]:
    """Return the other factors, with the summed indices of the removed one called as `sub` calls them."""
    top = 1 + max((i for _, s in factors for i in s), default=n) + max(sub, default=0)
    names = dict(zip(factors[place][1], sub, strict=True))

    def name(i: int) -> int:
        return names.get(i, i if i < n else i + top)

    return [(f, tuple(name(i) for i in s)) for k, (f, s) in enumerate(factors) if k != place]


def _sizes(e: Add, factor: Expr, sub: Subscripts) -> dict[int, int | str]:
    return dict(enumerate(e.shape)) | dict(zip(sub, factor.shape, strict=True))


def length(e: Expr) -> int:
    """Return how long an expression is to read: its symbols, numbers and operations."""
    if isinstance(e, Ones) or e is ONE:
        return 0
    own = len(e.args) + sum(c not in (1, -1) for c in e.coefficients) if isinstance(e, Add) else 1
    return own + sum(length(arg) for arg in e.args)
