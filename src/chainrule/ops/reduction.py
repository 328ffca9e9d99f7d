"""Functions of a whole axis. Source of the derivatives: Boyd and Vandenberghe, Convex Optimization, 3.1.5."""

from __future__ import annotations

from typing import Any

from chainrule.expression.build import broadcast, contract, diagonal_matrix, divide, ones, subtract, sum
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE, Code, Loop, Notation, Op
from chainrule.ops.elementwise import exp, log
from chainrule.ops.extreme import shift_of


def stable_softmax(z: Any, xp: Any) -> Any:
    """exp(z)/sum(exp(z)) along the last axis, shifted by the largest entry so that nothing overflows."""
    top = z.max(axis=-1, keepdims=True, initial=-xp.inf)
    e = xp.exp(z - xp.where(xp.isfinite(top), top, 0))
    e /= e.sum(axis=-1, keepdims=True)
    return e


def stable_logsumexp(z: Any, xp: Any) -> Any:
    """log(sum(exp(z))) along the last axis, shifted by the largest entry so that nothing overflows."""
    top = z.max(axis=-1, keepdims=True, initial=-xp.inf)
    shift = xp.where(xp.isfinite(top), top, 0)
    with xp.errstate(divide="ignore"):  # the logarithm of 0
        return shift[..., 0] + xp.log(xp.exp(z - shift).sum(axis=-1))


def _over_last_axis(e: Expr) -> Expr:
    return sum(exp(e), axis=-1, keepdims=True)


def _largest(z: Expr) -> Expr:
    return contract("...,i->...i", shift_of(z), ones(1))


def _shifted(z: Expr) -> Expr:
    """exp(z − shift(z)), held so that it is not recognised as part of a softmax again."""
    return CATALOGUE["stop_gradient"](exp(subtract(z, broadcast(_largest(z), z.shape))))


def _shifted_softmax(z: Expr) -> Expr:
    """The recipe of softmax: what `stable_softmax` does."""
    e = _shifted(z)
    return divide(e, broadcast(sum(e, axis=-1, keepdims=True), z.shape))


def _shifted_logsumexp(z: Expr) -> Expr:
    """The recipe of log-sum-exp: what `stable_logsumexp` does."""
    return shift_of(z) + log(sum(_shifted(z), axis=-1))


def _softmax_jacobian(z: Expr, y: Expr) -> Expr:
    """∂y/∂z = diag(y) − y yᵀ."""
    return subtract(diagonal_matrix(y), contract("...i,...j->...ij", y, y))


softmax = Op(
    "softmax(z)",
    "(n)->(n)",
    definition=lambda z: divide(exp(z), broadcast(_over_last_axis(z), z.shape)),
    derivative=_softmax_jacobian,
    because="the parts of a softmax sum to 1, so raising one of them lowers all the others",
    rule="softmax",
    notation=Notation(latex=r"\operatorname{softmax}($z)"),
    loop=Loop(recipe=_shifted_softmax),
    code=Code(
        "stable_softmax($z, $xp)", jax="jax.nn.softmax($z, axis=-1)", torch="$xp.softmax($z, -1)", helper=stable_softmax
    ),
)

logsumexp = Op(
    "logsumexp(z)",
    "(n)->()",
    definition=lambda z: log(sum(exp(z), axis=-1)),
    derivative=lambda z, y: softmax(z),
    because="the gradient of log-sum-exp is the softmax",
    rule="log-sum-exp",
    notation=Notation(latex=r"\operatorname{logsumexp}($z)"),
    loop=Loop(recipe=_shifted_logsumexp),
    code=Code(
        "stable_logsumexp($z, $xp)",
        jax="jax.nn.logsumexp($z, axis=-1)",
        torch="$xp.logsumexp($z, -1)",
        helper=stable_logsumexp,
        less={"jax": "jax.nn.log_softmax($z, axis=-1)", "torch": "$xp.log_softmax($z, -1)"},
    ),
)

REDUCTIONS = (softmax, logsumexp)
