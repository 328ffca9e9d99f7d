"""Factoring: a factor that several terms of a sum share is taken out, if that makes the sum shorter.

This one rule must compute, so it is a function and not a row: XᵀU + XᵀV + W = Xᵀ(U + V) + W, a/r³ + b/r = (a/r² + b)/r.
"""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.expression.node import Add, Expr, Identity, Number, Ones, Subscripts
from chainrule.expression.power import exponent_of, power_of
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.shape import Scalar, Size
from chainrule.expression.total import add_terms, linear_terms
from chainrule.simplify.length import length
from chainrule.simplify.orientation import oriented

MOST_TERMS = 30  # longer sums are left alone: nobody reads them
TRIED = 3  # candidates worked out, the most promising first

Term = tuple[Scalar, list[Factor]]
Shared = tuple[Expr, Subscripts, Scalar]


def factored(e: Expr) -> Expr:
    """Return the sum with shared factors taken out, as long as it gets shorter; anything else as it is."""
    while isinstance(e, Add) and 2 <= len(e.args) <= MOST_TERMS:
        after = _factored_once(e)
        if after is e:
            return e
        e = after
    return e


def _factored_once(e: Add) -> Expr:
    terms = [(c, with_output(t)) for c, t in zip(e.coefficients, e.args, strict=True)]
    for shared in _candidates(terms, e.ndim):
        for which in (0, -1):
            candidate = _taken_out(e, terms, shared, which)
            if candidate is not None and _reads_better(candidate, e, shared[0]):
                return candidate
            if not _is_ambiguous(terms, shared, e.ndim):
                break
    together = _added_first(e, terms)
    return e if together is None or length(together) >= length(e) else together


def _added_first(e: Add, terms: list[Term]) -> Expr | None:
    """Σᵢ aᵢ + Σᵢ bᵢ = Σᵢ (aᵢ + bᵢ): add first what is summed over an axis of one size, A1⃗ + B1⃗ = (A + B)1⃗."""
    n = e.ndim
    found: dict[Size, list[tuple[int, Term]]] = {}
    for k, (c, factors) in enumerate(terms):
        used = [i for f, sub in factors if not isinstance(f, Ones) for i in sub]
        axes = [axis for f, sub in factors for axis in zip(f.shape, sub, strict=True)]
        lone = [(size, i) for size, i in axes if i >= n and used.count(i) == 1]
        for size, i in lone[:1]:
            rest = _renamed([*factors, (Ones((size,)), (i,))], len(factors), (n,), n)
            found.setdefault(size, []).append((k, (c, rest)))
    size, chosen = max(found.items(), key=lambda item: len(item[1]), default=("", []))
    if len(chosen) < 2:
        return None
    product = _grouped(e, [term for _, term in chosen], Ones((size,)), (n,))
    others = [(c, t) for k, (c, t) in enumerate(linear_terms(e)) if k not in {k for k, _ in chosen}]
    return product if product is None or not others else add_terms([(1, product), *others], e.shape)


def _reads_better(candidate: Expr, e: Expr, factor: Expr) -> bool:
    """Shorter; or as short, if a matrix is taken out of the whole: A(AᵀA − I)."""
    saved = length(e) - length(candidate)
    return saved > 0 or (saved == 0 and factor.ndim == 2 and not isinstance(candidate, Add))


def _candidates(terms: list[Term], n: int) -> list[Shared]:
    """Return the powers that two terms or more share, by what taking them out may save."""
    found: dict[tuple[Expr, Subscripts, bool], list[Scalar]] = {}
    for _, factors in terms:
        here: dict[tuple[Expr, Subscripts, bool], Scalar] = {}
        for f, sub in factors:
            if isinstance(f, Ones | Number):
                continue
            base, k = exponent_of(f)
            free = tuple(i if i < n else n + sub.index(i) for i in sub)
            here.setdefault((base, free, k > 0), k)
        for key, k in here.items():
            found.setdefault(key, []).append(k)
    saved = {key: (len(ks) - 1) * length(key[0]) for key, ks in found.items() if len(ks) > 1}
    order = sorted(saved, key=lambda key: -saved[key])[:TRIED]
    return [(base, sub, min(found[base, sub, up], key=lambda k: k if k > 0 else -k)) for base, sub, up in order]


def with_output(t: Expr) -> list[Factor]:
    """Return the factors of a term with the output's indices numbered 0, 1, … and summed ones after them."""
    free = getattr(t, "output", tuple(range(t.ndim)))
    names = {i: k for k, i in enumerate(free)}
    result = []
    for factor, sub in factors_of(t):
        for i in sub:
            names.setdefault(i, len(names))
        result.append((factor, tuple(names[i] for i in sub)))
    return result


def _is_ambiguous(terms: list[Term], shared: Shared, n: int) -> bool:
    """True if a term has the factor twice, summed in different ways: the first and the last are both worth a try."""
    return any(sum(_holds(f, shared, n) for f in factors) > 1 for _, factors in terms)


def _taken_out(e: Add, terms: list[Term], shared: Shared, which: int) -> Expr | None:
    """Return factor · Σ (what is left of the terms that have it) + the other terms, or None if fewer than two do.

    Of several places in a term it is taken from the first (`which` 0) or the last (−1).
    """
    base, sub, k = shared
    n = e.ndim
    rests: list[Term] = []
    others: list[tuple[Scalar, Expr]] = []
    for (c, factors), t in zip(terms, e.args, strict=True):
        places = [p for p, f in enumerate(factors) if _holds(f, shared, n)]
        if not places:
            others.append((c, t))
        else:
            place = places[which]
            rests.append((c, _renamed(_lowered(factors, place, k), place, sub, n)))
    if len(rests) < 2:
        return None
    product = _grouped(e, rests, power_of(base, k), sub)
    return product if product is None or not others else add_terms([(1, product), *others], e.shape)


def _holds(factor: Factor, shared: Shared, n: int) -> bool:
    """True if a factor is a power of the shared one, as high at least, at the same place."""
    base, sub, k = shared
    own, power = exponent_of(factor[0])
    high_enough = power >= k > 0 or power <= k < 0
    return own is base and high_enough and _fits(factor[1], sub, n)


def _lowered(factors: list[Factor], place: int, k: Scalar) -> list[Factor]:
    """Return the factors, the one at `place` divided by its base to the k (in front of itself, so that it is kept)."""
    f, sub = factors[place]
    base, power = exponent_of(f)
    left = [] if power == k else [(power_of(base, power - k), sub)]
    return [*factors, *left]


def _grouped(e: Add, rests: list[Term], factor: Expr, sub: Subscripts) -> Expr | None:
    """Return factor · Σ rests, or None if Σ rests would be no expression that people write."""
    n = e.ndim
    used = sorted({i for _, factors in rests for f, s in factors if not isinstance(f, Ones) for i in s if i < n})
    shared = {i for _, factors in rests for _, s in factors for i in s}
    inner = tuple(dict.fromkeys(i for i in sub if i >= n and i in shared))
    output = tuple(used) + inner
    if len(output) > max(2, n):
        return None  # an array of three axes has no matrix notation
    if _needs_ones([factors for _, factors in rests], set(inner), output):
        return None
    sizes = dict(enumerate(e.shape)) | dict(zip(sub, factor.shape, strict=True))
    parts = []
    for c, factors in rests:
        all_factors = [f for f in factors if not isinstance(f[0], Ones)] + [(Ones((sizes[i],)), (i,)) for i in output]
        parts.append((c, _product_of(all_factors, output)))
    total = add_terms(parts, parts[0][1].shape)
    ones = [(Ones((s,)), (k,)) for k, s in enumerate(e.shape)]
    return oriented(_product_of([(factor, sub), (factored(total), output), *ones], tuple(range(n))))


def _needs_ones(rests: list[list[Factor]], inner: set[int], output: Subscripts) -> bool:
    """True if 1⃗ would have to stand where nobody writes it: diag(p) − ppᵀ is not diag(p)(I − 1⃗pᵀ), and
    A x + b sum(x) is not (A + b1⃗ᵀ)x. But Aᵀ1⃗ − Aᵀv is Aᵀ(1 − v), where 1 needs no arrow."""
    covered = [{i for _, s in factors for i in s} & set(output) for factors in rests]
    diagonal = any(isinstance(f, Identity) for factors in rests for f, _ in factors)
    if len(output) == 1:
        covered = [c for c, factors in zip(covered, rests, strict=True) if factors]
    return any(inner - c or (diagonal and 0 < len(c) < len(output)) for c in covered)


def _product_of(factors: Iterable[Factor], output: Subscripts) -> Expr:
    pairs = list(factors)
    return einsum([f for f, _ in pairs], [s for _, s in pairs], output)


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
