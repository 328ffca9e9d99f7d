"""The largest and smallest entry of an axis, and the product of its entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.expression.build import broadcast, contract, divide, negative, ones
from chainrule.expression.node import Expr
from chainrule.expression.op import Code, Notation, Op


def shared_maximum(z: Any, xp: Any) -> Any:
    """1 at the largest entry along the last axis, 0 elsewhere; entries that tie share the 1."""
    largest = (z == xp.amax(z, axis=-1, keepdims=True)) * (z * 0 + 1)
    return largest / xp.sum(largest, axis=-1, keepdims=True)


def gap(z: np.ndarray) -> np.ndarray:
    """Return how far the largest entry is above the next."""
    ordered = np.sort(z, axis=-1)
    return ordered[..., -1] - ordered[..., -2] if z.shape[-1] > 1 else np.ones(z.shape[:-1])


hardmax = Op(
    "hardmax(z)",
    "(n)->(n)",
    derivative=lambda z, y: (None,),
    because="which entry is the largest does not change under a small step",
    rule="place of the maximum",
    notation=Notation(text="[$z = max $z]", latex=r"[$z = \max $z]"),
    code=Code("shared_maximum($z, $xp)", helper=shared_maximum),
    kinks=gap,
)

TIES = "where several entries are the {which}, they share the slope equally"

maximum_of = Op(
    "max(z)",
    "(n)->()",
    derivative=lambda z, y: hardmax(z),
    because="only the largest entry has an influence, and its slope is 1",
    rule="largest entry",
    notation=Notation(text="max($z)", latex=r"\max($z)"),
    code=Code("$xp.max($z, axis=-1)", torch="$xp.amax($z, -1)"),
    kinks=gap,
    convention=TIES.format(which="largest"),
)

minimum_of = Op(
    "min(z)",
    "(n)->()",
    derivative=lambda z, y: hardmax(negative(z)),
    because="only the smallest entry has an influence, and its slope is 1",
    rule="smallest entry",
    notation=Notation(text="min($z)", latex=r"\min($z)"),
    code=Code("$xp.min($z, axis=-1)", torch="$xp.amin($z, -1)"),
    kinks=lambda z: gap(-z),
    convention=TIES.format(which="smallest"),
)


def _spread(z: Expr, y: Expr) -> Expr:
    """Repeat a reduced value along the axis that was reduced."""
    return broadcast(contract("...,i->...i", y, ones(1)), z.shape)


product_of = Op(
    "prod(z)",
    "(n)->()",
    derivative=lambda z, y: divide(_spread(z, y), z),
    because="the slope by one factor is the product of the others, which is the whole over that factor",
    rule="product of entries",
    notation=Notation(text="prod($z)", latex=r"\operatorname{prod}($z)"),
    code=Code("$xp.prod($z, axis=-1)", torch="$xp.prod($z, -1)"),
    domain=np.abs,
)

EXTREMES = (hardmax, maximum_of, minimum_of, product_of)
