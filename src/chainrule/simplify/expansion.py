"""Multiplying out, where that gets shorter: (I − 1pᵀ)ᵀ y = y − p sum(y), exp(z) ⊙ (a − y ⊘ exp(z)) = a exp(z) − y.

Sums are not multiplied out when they are built. Here it is tried, and kept if terms merge, cancel or lose factors
so that the whole is shorter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product as combinations
from math import prod

from chainrule.expression.node import Add, Einsum, Expr, Number, Ones, Subscripts
from chainrule.expression.power import exponent_of
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.shape import Scalar
from chainrule.expression.total import add_terms, linear_terms
from chainrule.simplify.length import length

MOST_TERMS = 16  # of the sum multiplied out
MOST_REGROUPED = 6  # terms of a sum that is tried even if nothing merges: factors may be shared in another way
MOST_LENGTH = 200  # of the expression that is tried

Terms = list[tuple[Scalar, Expr]]
Tidy = Callable[[Expr], Expr]


def expanded(e: Expr, tidy: Tidy) -> Expr:
    """Return `e` multiplied out if that is shorter, the new sum put through `tidy`; else `e` as it is."""
    if not isinstance(e, Add | Einsum) or (isinstance(e, Add) and len(e.args) < 2):
        return e  # c·t is as short as t
    if not any(_sums(t) for _, t in linear_terms(e)):
        return e
    shortest = length(e)
    if shortest > MOST_LENGTH:
        return e
    best: Expr = e
    for terms, factors in _ways(e):
        regrouped = isinstance(e, Add) and len(terms) <= MOST_REGROUPED
        if not regrouped and _factor_count(add_terms(terms, e.shape)) >= factors:
            continue  # nothing merged, so that nothing can be shorter
        candidate = tidy(add_terms([(c, tidy(t)) for c, t in terms], e.shape))
        if length(candidate) < shortest:
            best, shortest = candidate, length(candidate)
    return best


def _sums(e: Expr) -> list[int]:
    """Return the places of the factors of a product that are sums."""
    return [n for n, f in enumerate(e.args) if isinstance(f, Add)] if isinstance(e, Einsum) else []


def _ways(e: Expr) -> Iterator[tuple[Terms, int]]:
    """Yield ways to multiply out, with the number of factors if nothing merges: everything, then one sum at a time."""
    terms = linear_terms(e)
    places = [_sums(t) for _, t in terms]
    if sum(_count(t, p) for (_, t), p in zip(terms, places, strict=True)) <= MOST_TERMS:
        yield _multiplied_terms(terms, places)
    if sum(len(p) for p in places) < 2:
        return
    for k, (_, t) in enumerate(terms):
        for place in places[k]:
            if _count(t, [place]) <= MOST_TERMS:
                yield _multiplied_terms(terms, [[place] if n == k else [] for n in range(len(terms))])


def _count(t: Expr, places: list[int]) -> int:
    return prod(sum(_count(u, _sums(u)) for u in t.args[n].args) for n in places)


def _multiplied_terms(terms: Terms, places: list[list[int]]) -> tuple[Terms, int]:
    result: Terms = []
    count = 0
    for (c, t), chosen in zip(terms, places, strict=True):
        for d, parts in multiplied(t, chosen):
            count += sum(_factor_count(f) for f, _ in parts)
            free = t.output if isinstance(t, Einsum) else tuple(range(t.ndim))
            result.append((c * d, _product(parts, free)))
    return result, count


def multiplied(e: Expr, places: list[int]) -> Iterator[tuple[Scalar, list[Factor]]]:
    """Yield the terms of a product whose sums at `places` are multiplied out, each as its factors."""
    factors = factors_of(e)
    sizes = e.sizes if isinstance(e, Einsum) else dict(enumerate(e.shape))
    rest = [f for n, f in enumerate(factors) if n not in places] + [(Ones((s,)), (i,)) for i, s in sizes.items()]
    for chosen in combinations(*(_deep_terms(factors[n][0]) for n in places)):
        parts = [(t, factors[n][1]) for n, (_, t) in zip(places, chosen, strict=True)]
        yield prod(c for c, _ in chosen), parts + rest


def _deep_terms(e: Expr) -> Terms:
    """Return the terms of a sum, the sums in its terms multiplied out."""
    result: Terms = []
    for c, t in linear_terms(e):
        places = _sums(t)
        if places:
            assert isinstance(t, Einsum)
            result += [(c * d, _product(parts, t.output)) for d, parts in multiplied(t, places)]
        else:
            result.append((c, t))
    return result


def _product(parts: list[Factor], output: Subscripts) -> Expr:
    return einsum([f for f, _ in parts], [s for _, s in parts], output)


def _factor_count(e: Expr) -> int:
    """Count the factors of all terms, a square as two; ones and numbers count nothing."""
    factors = [f for _, t in linear_terms(e) for f, _ in factors_of(t) if not isinstance(f, Ones | Number)]
    return sum(k if isinstance(k, int) and k > 1 else 1 for _, k in map(exponent_of, factors))
