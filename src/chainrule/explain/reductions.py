"""Finding sums inside products: one number for each row, as attention's backward pass needs it."""

from __future__ import annotations

from collections.abc import Callable

from chainrule.expression.node import Add, Apply, Einsum, Expr, Identity, Subscripts, Symbol, walk
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.total import add_terms, linear_terms
from chainrule.rewrite.facts import is_symmetric


def row_sum_of(e: Expr) -> Expr | None:
    """Return Σⱼ aᵢⱼ bᵢⱼ … if the matrix `e`, or array of more axes, is made with such a sum in every entry of a row."""
    if e.ndim < 2:
        return None
    products = [node for node in walk(e) if isinstance(node, Einsum) and node.ndim == e.ndim]
    return next((part for node in products for part in _parts(node) if part.ndim == e.ndim - 1), None)


def solution_in(e: Expr) -> Expr | None:
    """Return K⁻¹y if a term of `e` has an inverse, or what else makes a matrix of a matrix, times a vector."""
    for _, term in linear_terms(e):
        factors = factors_of(term)
        for matrix, axes in factors:
            if (
                not isinstance(matrix, Apply)
                or [len(core) for core in matrix.op.core.inputs] != [2]
                or matrix.ndim != 2
            ):
                continue
            for vector, place in factors:
                if isinstance(vector, Symbol) and vector.ndim == 1 and place[0] == axes[1] != axes[0]:
                    return einsum([matrix, vector], [axes, place], axes[:1])
    return None


def turned(e: Expr) -> Expr:
    """Return K⁻ᵀy for K⁻¹y, which is the same where K is symmetric; anything else as it is."""
    if not isinstance(e, Einsum) or not all(a.ndim < 2 or is_symmetric(a) for a in e.args):
        return e
    return einsum(e.args, [sub[::-1] for sub in e.subscripts], e.output)


def without_identities(e: Expr) -> Expr:
    """Multiply out sums such as δⱼₖ − pₖ, whose identity then picks single entries: P ⊙ dP − …"""
    return multiplied_out(e, lambda factor: any(_has_identity(t) for t in factor.args))


def multiplied_out(e: Expr, wanted: Callable[[Add], bool] = lambda factor: True) -> Expr:
    """Return products over sums as sums of products, for the sums that are wanted."""
    if isinstance(e, Add):
        return add_terms([(c, multiplied_out(t, wanted)) for c, t in linear_terms(e)], e.shape)
    if not isinstance(e, Einsum):
        return e
    for k, factor in enumerate(e.args):
        if isinstance(factor, Add) and wanted(factor):
            swaps = [(c, [*e.args[:k], t, *e.args[k + 1 :]]) for c, t in linear_terms(factor)]
            terms = [(c, multiplied_out(einsum(args, e.subscripts, e.output), wanted)) for c, args in swaps]
            return add_terms(terms, e.shape)
    return e


def _has_identity(t: Expr) -> bool:
    return isinstance(t, Identity) or (isinstance(t, Einsum) and any(isinstance(a, Identity) for a in t.args))


def _parts(product: Einsum) -> list[Expr]:
    """Return the sums in a product that run over an index of their own, beside something else, over like factors."""
    factors = factors_of(product)
    result = []
    for i in sorted(product.summed):
        inside = [f for f in factors if i in f[1]]
        if 1 < len(inside) < len(factors) and len({frozenset(s) for _, s in inside}) == 1:
            result.append(_product(inside, i))
    return result


def _product(inside: list[Factor], summed: int) -> Expr:
    output: Subscripts = tuple(i for i in inside[0][1] if i != summed)
    return einsum([f for f, _ in inside], [s for _, s in inside], output)
