"""Why a line is wrong: the simplest change that makes it right, tested before it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from chainrule.errors import ChainruleError
from chainrule.expression.node import Add, Expr, Symbol
from chainrule.expression.total import scale
from chainrule.proofread.claim import Claim
from chainrule.proofread.counterexample import Counterexample, smallest_counterexample
from chainrule.proofread.edit import Kind, Repair
from chainrule.proofread.hypotheses import hypotheses, matches
from chainrule.proofread.ingredients import in_names, ingredients
from chainrule.proofread.layouts import of_another_shape, same_factors
from chainrule.proofread.respelling import respelled
from chainrule.proofread.search import TRIALS, Search, holds
from chainrule.proofread.trial import Trial, trials

CLOSE = 0.3  # two readings are both said if one is hardly simpler than the other
HYPOTHESIS_COST = {"off-diagonal terms dropped": 0.9, "lost factor": 1.9, "lost term": 2.3}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with a line: the class of the mistake, a sentence, and the repaired line in the reader's names.

    `repair` equals the truth at every point tried. `readings` are other explanations that fit as well.
    """

    kind: Kind
    message: str
    repair: Expr | None = None
    counterexample: Counterexample | None = None
    readings: tuple[tuple[Kind, str], ...] = field(default=())

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The class, and those of the other readings."""
        return (self.kind, *(kind for kind, _ in self.readings))

    def __str__(self) -> str:
        others = "".join(f"\n  or: {message} ({kind})" for kind, message in self.readings)
        return f"{self.kind}: {self.message}{others}"


def diagnose(claim: Claim, most: int = TRIALS) -> Diagnosis | None:
    """Return why a line is wrong; None if it is right at the points tried, or if no point can be found.

    `most` bounds how many changes of each kind are tried.
    """
    try:
        points = trials(claim)
    except ChainruleError:
        return None
    stated = claim.stated
    if stated is None:
        return _diagnosis(claim, sorted(_written_otherwise(claim, points), key=_cost))
    _in_layout(stated, points)
    if holds(stated, points):
        return None
    return _diagnosis(claim, sorted(_repairs(claim, stated, points, most), key=_cost))


def diagnose_values(
    claim: Claim, name: Symbol, values: Callable[[Mapping[str, Any]], Any], accuracy: float, most: int = TRIALS
) -> Diagnosis | None:
    """Return why something is wrong of which only values are known: `name` stands for it, `values` gives them, of that
    relative accuracy.

    None if there is nothing to say, or if it cannot be worked out at other points.
    """
    try:
        points = trials(claim)
        for trial in points:
            trial.place.define(name.name, values(trial.place.arrays))
            trial.same = max(trial.same, accuracy)
        largest = max(trial.scale for trial in points)
        points = [trial for trial in points if trial.scale > 0.01 * largest]  # where rounding does not cover it
        found = sorted(_repairs(claim, name, points, most), key=_cost)
    except Exception:  # the values come from a function of the user's
        return None
    return _diagnosis(claim, found) if found else None


def _cost(repair: Repair) -> float:
    return repair.cost


def _in_layout(stated: Expr, points: Sequence[Trial]) -> None:
    """Turn the truth if the line is in the other layout: a column where the truth is a row."""
    for trial in points:
        shape = trial.value(stated).shape
        if shape != trial.target.shape and shape == trial.target.shape[::-1]:
            trial.target = trial.target.T


def _repairs(claim: Claim, stated: Expr, points: list[Trial], most: int) -> Iterator[Repair]:
    shapes = [(trial.value(stated).shape, trial.target.shape) for trial in points]
    yield from _expansion(claim, stated, points)
    found = list(_misapplied(claim, stated, points))
    yield from found
    if any(mine != wanted for mine, wanted in shapes):
        found += of_another_shape(claim, stated, points)
        yield from found
    else:
        search = Search(stated, points, ingredients(claim), frozenset(claim.names), most).run()
        yield from search
        found += search
    if not found:
        found += _written_otherwise(claim, points)
        yield from found or same_factors(claim, stated)


def _misapplied(claim: Claim, stated: Expr, points: list[Trial]) -> Iterator[Repair]:
    values = [trial.value(stated) for trial in points]
    for h in hypotheses(claim):
        try:
            if matches(h, values, points):
                yield Repair(h.kind, HYPOTHESIS_COST[h.kind], in_names(claim.truth, claim), h.message)
        except ChainruleError:
            continue


def _expansion(claim: Claim, stated: Expr, points: Sequence[Trial]) -> Iterator[Repair]:
    """c(a − b) written as a − cb: the factor must reach every term. (In the derivative of a sum each has its own.)"""
    if isinstance(claim.function, Add):
        return
    truth = in_names(claim.truth, claim)
    if not isinstance(stated, Add) or not isinstance(truth, Add) or len(truth.args) < 2:
        return
    sizes = {abs(Fraction(c)) for c in truth.coefficients}
    same_signs = [(c > 0) == (t > 0) for c, t in zip(stated.coefficients, truth.coefficients, strict=False)]
    if stated.args != truth.args or len(sizes) > 1 or not all(same_signs) or not holds(truth, points):
        return
    if len({abs(c) for c in stated.coefficients}) > 1:
        c = sizes.pop()
        says = f"expanded wrongly: every term of {scale(1 / c, truth)} has the factor {c}"
        yield Repair("wrong expansion", 1.0, truth, says)


def _written_otherwise(claim: Claim, points: Sequence[Trial]) -> Iterator[Repair]:
    """Small changes of the text itself."""
    if claim.written is None:
        return
    for kind, cost, line, message in respelled(claim.written, claim.shapes):
        if line.shape in (claim.truth.shape, claim.truth.shape[::-1]):
            try:
                _in_layout(line, points)
            except ChainruleError:
                continue
            if holds(line, points):
                is_name = kind == "wrong symbol" and claim.names.keys() & line.symbols.keys()
                named: Kind = "wrong intermediate" if is_name else kind
                yield Repair(named, cost, line, message)


def _diagnosis(claim: Claim, found: Sequence[Repair]) -> Diagnosis:
    example = smallest_counterexample(claim)
    if not found:
        truth = in_names(claim.truth, claim)
        if claim.stated is None or claim.stated.shape not in (truth.shape, truth.shape[::-1]):
            return Diagnosis("shape", "the shapes do not fit together", truth, example)
        return Diagnosis("other", "no small change of the line makes it right", truth, example)
    best = found[0]
    readings: dict[Kind, str] = {}
    for other in found[1:]:
        if other.kind != best.kind and other.cost - best.cost <= CLOSE:
            readings.setdefault(other.kind, other.message)
    if claim.kind == "identity" and best.kind == "lost term":
        readings.setdefault("wrong expansion", "expanded wrongly")
    other_shape = claim.stated is not None and claim.stated.shape not in (claim.truth.shape, claim.truth.shape[::-1])
    if (claim.error is not None or other_shape) and best.kind != "shape":
        readings = {"shape": "the shapes do not fit together", **readings}
    return Diagnosis(best.kind, best.message, best.line, example, tuple(readings.items())[:2])
