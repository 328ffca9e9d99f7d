"""Lines of another shape than the derivative: a diagonal for a Jacobian, the same factors multiplied in another way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np

from chainrule.expression.build import mean as mean_of
from chainrule.expression.build import sum as sum_of
from chainrule.expression.node import Expr
from chainrule.expression.product import einsum
from chainrule.expression.shape import show_shape
from chainrule.expression.total import linear_terms, scale
from chainrule.proofread.claim import Claim
from chainrule.proofread.difference import difference, factor_count
from chainrule.proofread.edit import Kind, Repair, nice
from chainrule.proofread.ingredients import in_names, ingredients
from chainrule.proofread.search import holds
from chainrule.proofread.trial import Trial
from chainrule.simplify.length import length
from chainrule.simplify.simplify import simplify


def of_another_shape(claim: Claim, stated: Expr, points: Sequence[Trial]) -> list[Repair]:
    """Return what can be said of a line that has another shape than the truth."""
    found = [*_diagonal(claim, stated, points), *_reduced(claim, stated, points), *_expanded(stated, points)]
    found += _lost_matrix(claim, stated, points)
    return [*found, *same_factors(claim, stated), _shape(claim, stated)]


def _shape(claim: Claim, stated: Expr) -> Repair:
    truth = in_names(claim.truth, claim)
    says = f"the line has the shape {show_shape(stated.shape)}, and it should have {show_shape(truth.shape)}"
    return Repair("shape", 2.6, truth, says)


def _diagonal(claim: Claim, stated: Expr, points: Sequence[Trial]) -> Iterator[Repair]:
    """The diagonal of a diagonal Jacobian in place of the Jacobian."""
    for trial in points:
        value, truth = trial.value(stated), trial.target
        if truth.ndim != 2 or truth.shape[0] != truth.shape[1] or value.shape != truth.shape[:1]:
            return
        if not trial.matches(np.diag(value)):
            return
    says = f"the Jacobian is a matrix: diag({stated}), and the line gives its diagonal only"
    yield Repair("Jacobian given as its diagonal", 0.8, in_names(claim.truth, claim), says)


def _reduced(claim: Claim, stated: Expr, points: Sequence[Trial]) -> Iterator[Repair]:
    """A sum, or a mean, over an axis that the derivative does not have."""
    lost = stated.ndim - points[0].target.ndim
    for axes in combinations(range(stated.ndim), lost) if lost > 0 else ():
        sizes = " and ".join(str(stated.shape[axis]) for axis in axes)
        for word, line in (("sum", sum_of(stated, axes)), ("mean", mean_of(stated, axes))):
            if holds(line, points):
                says = f"a {word} over {sizes} is missing: the line has one entry for each"
                yield Repair("sum, mean or axis", 1.2, in_names(line, claim), says)


def _expanded(stated: Expr, points: Sequence[Trial]) -> Iterator[Repair]:
    """A number where an array of that number is due."""
    if not stated.ndim and all(trial.matches(np.full(trial.target.shape, trial.value(stated))) for trial in points):
        yield Repair("shape", 1.2, stated, "the derivative has this number at every entry: multiply it by 1⃗")


def _lost_matrix(claim: Claim, stated: Expr, points: Sequence[Trial]) -> Iterator[Repair]:
    """A vector or matrix that the line should be multiplied by, over one axis."""
    for part in ingredients(claim):
        g = part.e
        if stated.ndim + g.ndim - 2 != points[0].target.ndim or not stated.ndim or not g.ndim:
            continue
        for line in _products(stated, g):
            found = _numbered(line, points)
            if found is not None:
                says = f"a factor is missing: multiply by {part}"
                yield Repair("lost factor", 1.7 + 0.02 * length(g), found, says)


def _products(a: Expr, b: Expr) -> Iterator[Expr]:
    """Every product of two arrays over one axis of each, its axes in either order."""
    mine, theirs = tuple(range(a.ndim)), tuple(range(a.ndim, a.ndim + b.ndim))
    for i, j in product(range(a.ndim), range(b.ndim)):
        if a.shape[i] == b.shape[j]:
            second = tuple(i if k == theirs[j] else k for k in theirs)
            output = tuple(k for k in (*mine, *second) if k != i)
            yield from (einsum([a, b], [mine, second], order) for order in dict.fromkeys((output, output[::-1])))


def _numbered(line: Expr, points: Sequence[Trial]) -> Expr | None:
    """The line times the number that makes it right, if there is one."""
    first = points[0]
    value = first.value(line)
    if value.shape != first.target.shape or not np.any(value):
        return None
    number = nice(float(np.sum(value * first.target) / np.sum(value * value)))
    changed = None if number is None else scale(number, line)
    return changed if changed is not None and holds(changed, points) else None


def same_factors(claim: Claim, stated: Expr) -> Iterator[Repair]:
    """Compare the factors of the line with those of the truth, term by term."""
    for truth in dict.fromkeys((in_names(claim.truth, claim), claim.truth, simplify(claim.truth))):
        mine, wanted = linear_terms(stated), linear_terms(truth)
        if len(mine) != len(wanted) or len(mine) > 3:
            continue
        for (_, a), (_, b) in zip(mine, wanted, strict=True):
            found = _compared(factor_count(a), factor_count(b), frozenset(claim.names))
            if found is not None:
                kind, says = found
                yield Repair(kind, 1.9, in_names(claim.truth, claim), says)
                return


def _compared(mine: Counter[Expr], wanted: Counter[Expr], names: frozenset[str]) -> tuple[Kind, str] | None:
    """Say how the factors of one product differ from those of another."""
    more, less = list((mine - wanted).elements()), list((wanted - mine).elements())
    if not more and not less:
        return "shape", "the factors are right, but they are multiplied in another way"
    if len(more) == len(less) == 1:
        found = difference(more[0], less[0], names)
        return found.kind, found.message
    if not more:
        return "lost factor", f"a factor is missing: {' and '.join(map(str, less))}"
    if not less:
        return "spurious factor", f"{' and '.join(map(str, more))} should not be a factor there"
    return None
