"""Terms that are zero, or a multiple of another, found by their values at random points modulo a large prime.

A polynomial that is zero at a random point is zero with probability 1 − degree/p (Schwartz 1980, Zippel 1979).
Functions other than powers and inverses stand for themselves: equal arguments give one random value. Two points with
different sizes are asked, so that what holds for one size only is not taken for a law.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from chainrule.expression.node import Add, Expr
from chainrule.expression.shape import Scalar, exact
from chainrule.expression.total import add_terms, linear_terms
from chainrule.simplify.length import length
from chainrule.simplify.residue import PRIME, NoResidue, Residues

POINTS = 2
ATTEMPTS = 4  # some sizes make XᵀX singular
SHORTEST = 20  # a sum shorter than this is read at a glance
LONGEST = 400
RATIOS = tuple(dict.fromkeys(Fraction(a, b) for a in (1, -1, 2, -2, 3, -3, 4, -4) for b in (1, 2, 3, 4)))


def without_cancelling(e: Expr) -> Expr:
    """Return a sum without the terms that are zero, and with those that are multiples of a shorter one put together."""
    if not isinstance(e, Add) or len(e.args) < 2 or not SHORTEST <= length(e) <= LONGEST:
        return e
    values = _values(e)
    if values is None:
        return e
    kept: list[tuple[Scalar, Expr, list[np.ndarray]]] = []
    for (c, t), value in sorted(zip(linear_terms(e), values, strict=True), key=lambda pair: length(pair[0][1])):
        if all(not v.any() for v in value):
            continue
        for k, (d, u, known) in enumerate(kept):
            ratio = _ratio(value, known)
            if ratio is not None:
                kept[k] = (exact(d + c * ratio), u, known)
                break
        else:
            kept.append((c, t, value))
    if len(kept) == len(e.args):
        return e
    return add_terms([(c, t) for c, t, _ in kept], e.shape)


def _values(e: Add) -> list[list[np.ndarray]] | None:
    """Return each term's values at two points, or None where the terms have none modulo a prime."""
    points: list[list[np.ndarray]] = []
    for seed in range(ATTEMPTS):
        try:
            place = Residues(e, seed)
            points.append([np.asarray(place.value(t)) for t in e.args])
        except NoResidue:
            continue
        if len(points) == POINTS:
            return [list(values) for values in zip(*points, strict=True)]
    return None


def _ratio(a: list[np.ndarray], b: list[np.ndarray]) -> Fraction | None:
    """Return the small fraction r with a = r·b at every point, or None."""
    for r in RATIOS:
        if all(not ((x * r.denominator - y * r.numerator) % PRIME).any() for x, y in zip(a, b, strict=True)):
            return r
    return None
