"""Which way round a matrix stands: a product holds F or Fᵀ, and equal things must be written equally.

A symmetric factor stands in the direction away from the first axis; a sum or a function of a matrix stands as the one
of F and Fᵀ that reads with fewer transposes. These rules must compute, so they are functions and not rows.
"""

from __future__ import annotations

from chainrule.expression.node import Add, Apply, Einsum, Expr, Subscripts
from chainrule.expression.power import constant_value
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.total import add_terms, scale
from chainrule.ops.linear import det, inv, logdet
from chainrule.rewrite.facts import is_symmetric, turned_matrix
from chainrule.simplify.length import turns

FAR = 1000  # further than any chain reaches
BLIND = (det, logdet)  # f(Aᵀ) = f(A)


def oriented(e: Expr) -> Expr:
    """Return `e` with the matrices at its root standing the canonical way round."""
    if isinstance(e, Einsum):
        return _oriented_product(e)
    if isinstance(e, Add) and len(e.args) == 1:
        return scale(e.coefficients[0], oriented(e.args[0]))
    if isinstance(e, Apply) and len(e.args) > 0 and e.args[0].ndim == 2:
        return _oriented_function(e)
    return e


def transposed(e: Expr) -> Expr:
    """Return eᵀ with its terms standing the canonical way round."""
    turned = turned_matrix(e)
    if isinstance(turned, Add):
        terms = zip(turned.coefficients, turned.args, strict=True)
        return add_terms([(c, oriented(t)) for c, t in terms], turned.shape)
    return oriented(turned)


def _better(e: Expr) -> Expr | None:
    """Return eᵀ if it reads better than `e`."""
    if e.ndim != 2 or not e.args or is_symmetric(e):
        return None
    turned = transposed(e)
    return turned if (turns(turned), turned.order) < (turns(e), e.order) else None


def _oriented_function(e: Apply) -> Expr:
    """f(Aᵀ) = f(A)ᵀ for the inverse and element-wise functions, f(Aᵀ) = f(A) for determinants."""
    if e.op in BLIND:
        better = _better(e.args[0])
        return e if better is None else e.op(better)
    moving = [a for a in e.args if constant_value(a) is None]
    if (e.op is not inv and not e.op.is_elementwise) or len(moving) != 1:
        return e
    better = _better(moving[0])
    if better is None:
        return e
    args = [better if a is moving[0] else einsum([a], [(0, 1)], (1, 0)) for a in e.args]
    return einsum([e.op(*args)], [(0, 1)], (1, 0))


def _oriented_product(e: Einsum) -> Expr:
    factors = factors_of(e)
    if not any(len(sub) == 2 and (f.args or is_symmetric(f)) for f, sub in factors):
        return e
    away = _distances(e)
    turned = [_oriented_factor(f, sub, away) for f, sub in factors]
    return e if turned == factors else einsum([f for f, _ in turned], [s for _, s in turned], e.output)


def _oriented_factor(f: Expr, sub: Subscripts, away: dict[int, int]) -> Factor:
    if len(sub) != 2 or sub[0] == sub[1]:
        return f, sub
    backwards = away[sub[0]] > away[sub[1]]
    if is_symmetric(f):
        return (f, sub[::-1]) if backwards else (f, sub)
    if not isinstance(f, Add):
        return f, sub
    turned = transposed(f)
    before, after = turns(f), turns(turned)
    return (turned, sub[::-1]) if after < before or (after == before and backwards) else (f, sub)


def _distances(e: Einsum) -> dict[int, int]:
    """Number the indices so that a chain from the first axis to the last goes upwards: by the factors that lie between
    each index and the first axis (the first vector, any factor), and the other way for what hangs on the last axis."""
    by_rank = sorted(e.subscripts, key=lambda sub: len(sub) != 1)
    starts = [*e.output, *(i for sub in by_rank for i in sub)]
    away: dict[int, int] = {}
    for start in starts:
        frontier = [start] if start not in away else []
        up = -1 if frontier and away and start in e.output else 1
        distance = 0 if not away else FAR if up < 0 else 1 + max(away.values())
        while frontier:
            away.update(dict.fromkeys(frontier, distance))
            near = [i for sub in e.subscripts if set(sub) & set(frontier) for i in sub]
            frontier = list(dict.fromkeys(i for i in near if i not in away))
            distance += up
    return away
