"""Inverses of products: A⁻¹ next to what it inverts is the identity, also where that is itself a product of factors.

These rules must compute: a row's hole takes one factor, and XᵀX is two.
"""

from __future__ import annotations

from chainrule.expression.node import Apply, Einsum, Expr, Identity, Ones, Subscripts
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.ops.linear import inv
from chainrule.rewrite.facts import is_symmetric
from chainrule.rewrite.pattern import ProductMatch, match_product


def cancelled(e: Expr) -> Expr:
    """Return a product without an inverse that stands next to what it inverts: (XᵀX)⁻¹ Xᵀ X = I."""
    if not isinstance(e, Einsum):
        return e
    for n, (f, sub) in enumerate(factors_of(e)):
        if isinstance(f, Apply) and f.op is inv and isinstance(f.args[0], Einsum) and len(sub) == 2:
            after = _without(e, n, f.args[0], sub)
            if after is not None:
                return after
    return e


def _without(e: Einsum, n: int, inside: Einsum, sub: Subscripts) -> Expr | None:
    """Return the product without the inverse at place `n` and the factors that make up what it inverts."""
    factors = factors_of(e)
    for found in match_product(inside, e, {s: s for s in inside.symbols.values()}):
        if n in found.used or found.lead or len(found.output) != 2:
            continue
        ends = _ends(found, sub, is_symmetric(inside))
        rest = [f for k, f in enumerate(factors) if k != n and k not in found.used]
        if ends is None or ends[2] in {i for _, s in rest for i in s} | set(e.output):
            continue
        covered: list[Factor] = [(Ones((e.sizes[i],)), (i,)) for i in e.output]
        parts = [(Identity(inside.shape[0]), ends[:2]), *rest, *covered]
        return einsum([f for f, _ in parts], [s for _, s in parts], e.output)
    return None


def _ends(found: ProductMatch, sub: Subscripts, symmetric: bool) -> tuple[int, int, int] | None:
    """Return the two indices that become one, and the one between: E_ab E⁻¹_bj = δ_aj, E⁻¹_ij E_jb = δ_ib."""
    a, b = found.output
    i, j = sub
    for outer, shared, first, far in ((a, b, i, j), (b, a, j, i)):
        if shared == first and outer != far:
            return outer, far, shared
    for outer, shared, first, far in ((a, b, j, i), (b, a, i, j)):
        if symmetric and shared == first and outer != far:
            return outer, far, shared
    return None


def split(e: Expr) -> Expr:
    """Return (F R)⁻¹ as R⁻¹ F⁻¹ where both are square, all the way; anything else as it is."""
    if not isinstance(e, Apply) or e.op is not inv or e.ndim != 2:
        return e
    chain = _chain(e.args[0])
    n = e.shape[0]
    if chain is None or len(chain) < 2:
        return e
    left, right = [], []
    while len(chain) > 1 and chain[0].shape == (n, n):
        left.append(chain.pop(0))
    while len(chain) > 1 and chain[-1].shape == (n, n):
        right.append(chain.pop())
    if not left and not right:
        return e
    parts = [*(inv(f) for f in right), inv(_product(chain)), *(inv(f) for f in reversed(left))]
    return _product(parts)


def _product(chain: list[Expr]) -> Expr:
    subs = [(k, k + 1) for k in range(len(chain))]
    return einsum(chain, subs, (0, len(chain)))


def _chain(e: Expr) -> list[Expr] | None:
    """Return the matrices whose plain product `e` is, from its first axis to its last, or None."""
    if not isinstance(e, Einsum) or any(len(sub) != 2 for sub in e.subscripts) or len(e.output) != 2:
        return None
    left = factors_of(e)
    at, result = e.output[0], []
    while left:
        here = [f for f in left if at in f[1]]
        if len(here) != 1 or here[0][1][0] == here[0][1][1]:
            return None
        f, sub = here[0]
        left.remove(here[0])
        forward = sub[0] == at
        result.append(f if forward else einsum([f], [(0, 1)], (1, 0)))
        at = sub[1] if forward else sub[0]
    return result if at == e.output[1] else None
