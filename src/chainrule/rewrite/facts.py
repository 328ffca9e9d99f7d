"""What is known of an expression: facts of symbols, and what follows for the expressions made of them."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from chainrule.expression.node import Add, Apply, Dimension, Einsum, Expr, Identity, Number, Ones, Symbol
from chainrule.expression.power import constant_value, exponent_of
from chainrule.expression.power import power as power_op
from chainrule.expression.product import einsum
from chainrule.expression.total import add_terms
from chainrule.ops.elementwise import cosh, exp, sigmoid, softplus
from chainrule.ops.exponential import expm
from chainrule.ops.linear import inv
from chainrule.ops.reduction import softmax

IMPLIED = {
    "positive definite": frozenset({"symmetric"}),
    "diagonal": frozenset({"symmetric"}),
    "one-hot": frozenset({"sums to one"}),
}
POSITIVE = (exp, sigmoid, softplus, cosh, softmax)
TURNS_WITH = (inv, expm)  # f(Aᵀ) = f(A)ᵀ, as for every element-wise function

_symmetric: WeakKeyDictionary[Expr, bool] = WeakKeyDictionary()


def holds(fact: str, e: Expr) -> bool:
    """True if the fact is known of `e`; False if it is not known."""
    if isinstance(e, Symbol):
        return fact in e.facts or any(fact in IMPLIED.get(f, ()) for f in e.facts)
    rule = INFERRED.get(fact)
    return rule is not None and rule(e)


def is_symmetric(e: Expr) -> bool:
    """True if the matrix `e` is known to equal its transpose."""
    if e.ndim != 2 or e.shape[0] != e.shape[1]:
        return False
    if isinstance(e, Symbol):
        return holds("symmetric", e)
    known = _symmetric.get(e)
    if known is None:
        known = _symmetric[e] = _equals_its_transpose(e)
    return known


def _equals_its_transpose(e: Expr) -> bool:
    if isinstance(e, Identity | Ones):
        return True
    if isinstance(e, Apply):
        turns = e.op.is_elementwise or e.op in TURNS_WITH
        return turns and all(constant_value(a) is not None or is_symmetric(a) for a in e.args)
    return turned_matrix(e) is e


def turned_matrix(e: Expr) -> Expr:
    """Return eᵀ, where a symmetric matrix is its own transpose."""
    if isinstance(e, Add):
        terms = zip(e.coefficients, e.args, strict=True)
        return add_terms([(c, turned_matrix(t)) for c, t in terms], (e.shape[1], e.shape[0]))
    turned = einsum([e], [(0, 1)], (1, 0))
    return turned if not isinstance(turned, Einsum) else _settled(turned)


def _settled(e: Einsum) -> Expr:
    """Turn the symmetric factors of a product of two axes back, where that is all that differs."""
    subs = [s[::-1] if len(s) == 2 and is_symmetric(f) else s for f, s in zip(e.args, e.subscripts, strict=True)]
    return einsum(e.args, subs, e.output) if subs != list(e.subscripts) else e


def is_positive(e: Expr) -> bool:
    """True if every entry of `e` is known to be above zero."""
    value = constant_value(e)
    if value is not None:
        return value > 0
    if isinstance(e, Symbol):
        return holds("positive", e)
    if isinstance(e, Apply):
        return e.op in POSITIVE or (e.op is power_op and is_positive(exponent_of(e)[0]) and exponent_of(e)[0] is not e)
    if isinstance(e, Add):
        return bool(e.args) and all(c > 0 and is_positive(t) for c, t in zip(e.coefficients, e.args, strict=True))
    if isinstance(e, Einsum):
        return all(is_positive(f) for f in e.args)
    return isinstance(e, Dimension | Number)


def _sums_to_one(e: Expr) -> bool:
    return isinstance(e, Apply) and e.op is softmax


INFERRED: dict[str, Callable[[Expr], bool]] = {
    "symmetric": is_symmetric,
    "positive": is_positive,
    "sums to one": _sums_to_one,
}
