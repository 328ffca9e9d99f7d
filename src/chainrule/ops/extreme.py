"""The largest and smallest entry of an axis, and the product of its entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from chainrule.expression.build import add, broadcast, contract, eye, negative, ones, subtract
from chainrule.expression.node import Expr
from chainrule.expression.op import Code, Gather, Loop, Notation, Op
from chainrule.expression.shape import Size


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
    code=Code(
        "shared_maximum($z, $xp)",
        numba="($z == $z.max()) / ($z == $z.max()).sum()",
        c="place_of_maximum",
        helper=shared_maximum,
    ),
    kinks=gap,
)

# whole numbers in the order of the floats, since a maximum that passes NaN on is not vectorised
LARGEST = Gather(
    first="-T(np.inf)",
    pair="$acc if $acc > $z or $acc != $acc else $z",
    start="order_key(-T(np.inf))",
    update="max($acc, order_key($z))",
    finish="key_value($acc)",
    of_none=False,
)
SMALLEST = Gather(
    first="T(np.inf)",
    pair="$acc if $acc < $z or $acc != $acc else $z",
    start="order_key(-T(np.inf))",
    update="max($acc, order_key(-$z))",
    finish="-key_value($acc)",
    of_none=False,
)

TIES = "where several entries are the {which}, they share the slope equally"

maximum_of = Op(
    "max(z)",
    "(n)->()",
    derivative=lambda z, y: hardmax(z),
    because="only the largest entry has an influence, and its slope is 1",
    rule="largest entry",
    notation=Notation(text="max($z)", latex=r"\max($z)"),
    loop=Loop(gather=LARGEST),
    code=Code("$xp.max($z, axis=-1)", torch="$xp.amax($z, -1)"),
    kinks=gap,
    convention=TIES.format(which="largest"),
)

# recipes use these two, expressions do not
largest_of = Op(
    "largest(z)",
    "(n)->()",
    derivative=maximum_of.derivative,
    because=maximum_of.because,
    rule=maximum_of.rule,
    loop=Loop(gather=replace(LARGEST, of_none=True)),
    code=Code("$xp.max($z, axis=-1, initial=-$xp.inf)", torch="$xp.amax($z, -1)"),
)

finite_part = Op(
    "finite(x)",
    "()->()",
    derivative=lambda x, y: 1,
    because="a number that is finite is kept",
    rule="finite part",
    loop=Loop("$x if $x - $x == zero else zero"),
    code=Code("$xp.where($xp.isfinite($x), $x, 0)"),
)


def shift_of(z: Expr) -> Expr:
    """What the exponentials of entries along the last axis are shifted by, so that none overflows: the largest entry.

    Where all are −∞, or one is ∞, it is 0: their difference with it would be NaN. There may be no entries.
    """
    return finite_part(largest_of(z))


minimum_of = Op(
    "min(z)",
    "(n)->()",
    derivative=lambda z, y: hardmax(negative(z)),
    because="only the smallest entry has an influence, and its slope is 1",
    rule="smallest entry",
    notation=Notation(text="min($z)", latex=r"\min($z)"),
    loop=Loop(gather=SMALLEST),
    code=Code("$xp.min($z, axis=-1)", torch="$xp.amin($z, -1)"),
    kinks=lambda z: gap(-z),
    convention=TIES.format(which="smallest"),
)


def products_of_others(z: Any, xp: Any) -> Any:
    """For each entry the product of all others along the last axis: of those before it and of those after it."""
    ones = xp.ones_like(z[..., :1])
    before = xp.cumprod(xp.concatenate([ones, z[..., :-1]], -1), -1)
    after = xp.cumprod(xp.concatenate([ones, xp.flip(z, (-1,))[..., :-1]], -1), -1)
    return before * xp.flip(after, (-1,))


def products_of_other_pairs(z: Any, xp: Any) -> Any:
    """For each two entries the product of all others along the last axis; 0 for an entry with itself."""
    n = z.shape[-1]

    def others(z: Any) -> Any:
        ones = xp.ones_like(z[..., :1])
        before = xp.cumprod(xp.concatenate([ones, z[..., :-1]], -1), -1)
        after = xp.cumprod(xp.concatenate([ones, xp.flip(z, (-1,))[..., :-1]], -1), -1)
        return before * xp.flip(after, (-1,))

    one = xp.eye(n, dtype=z.dtype) + xp.zeros_like(z)[..., None, :]
    return others(xp.where(one == 1, one, z[..., None, :])) * (1 - one)


def _without_own(z: Expr) -> Expr:
    """Row i is z with a 1 in place of entry i: its product is that of the others."""
    n = z.shape[-1]
    rows = contract("...j,ij->...ij", z, _unlike(n))
    return add(rows, broadcast(eye(n), rows.shape))


def _unlike(n: Size) -> Expr:
    """1 where i ≠ j, 0 where i = j."""
    return subtract(ones(n, n), eye(n))


def _pairs_jacobian(z: Expr, Y: Expr) -> Expr:
    """The slope of Π over k ∉ {i, j} by entry l is Π over k ∉ {i, j, l}: the pairs j, l of the row without entry i."""
    unlike = _unlike(z.shape[-1])
    return contract("...ijl,ij,il->...ijl", pairs(_without_own(z)), unlike, unlike)


pairs: Op = Op(
    "prod_pairs(z)",
    "(n)->(n,n)",
    derivative=_pairs_jacobian,
    because="the slope of a product by one factor is the product of the others",
    rule="product of entries",
    notation=Notation(text="prod_pairs($z)", latex=r"\operatorname{prod\_pairs}($z)"),
    code=Code("products_of_other_pairs($z, $xp)", helper=products_of_other_pairs),
)

others = Op(
    "prod_others(z)",
    "(n)->(n)",
    definition=lambda z: product_of(_without_own(z)),
    derivative=lambda z, y: pairs(z),
    because="the slope of a product by one factor is the product of the others",
    rule="product of entries",
    notation=Notation(text="prod($z) ⊘ $z", latex=r"\operatorname{prod}($z) \oslash $z", binding="product"),
    code=Code("products_of_others($z, $xp)", helper=products_of_others),
)

product_of: Op = Op(
    "prod(z)",
    "(n)->()",
    derivative=lambda z, y: others(z),
    because="the slope by one factor is the product of the others: the whole over that factor, where it is not 0",
    rule="product of entries",
    notation=Notation(text="prod($z)", latex=r"\operatorname{prod}($z)"),
    loop=Loop(gather=Gather("one", "$acc * $z")),
    code=Code("$xp.prod($z, axis=-1)", torch="$xp.prod($z, -1)"),
)

EXTREMES = (hardmax, maximum_of, minimum_of, product_of, others, pairs)
