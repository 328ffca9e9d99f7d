"""Lines of another shape than the derivative: a diagonal for a Jacobian, the same factors multiplied in another way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from chainrule.expression.node import Expr
from chainrule.expression.shape import show_shape
from chainrule.expression.total import linear_terms
from chainrule.proofread.claim import Claim
from chainrule.proofread.difference import difference, factor_count
from chainrule.proofread.edit import Kind, Repair
from chainrule.proofread.ingredients import in_names
from chainrule.proofread.trial import Trial
from chainrule.simplify.simplify import simplify


def of_another_shape(claim: Claim, stated: Expr, points: Sequence[Trial]) -> list[Repair]:
    """Return what can be said of a line that has another shape than the truth."""
    return [*_diagonal(claim, stated, points), *same_factors(claim, stated), _shape(claim, stated)]


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
