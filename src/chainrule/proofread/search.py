"""The search for small changes of the reader's own line that make it right, the simplest first.

Each candidate is tried at one point as an array; only what matches there becomes an expression and is tried at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from time import perf_counter

import numpy as np

from chainrule.derivative.differentiate import substitute
from chainrule.errors import ChainruleError
from chainrule.expression.build import multiply
from chainrule.expression.node import Add, Expr
from chainrule.expression.total import add_terms, scale
from chainrule.proofread.edit import Edit, Free, Kind, Repair, nice, put_in, readings
from chainrule.proofread.ingredients import Ingredient
from chainrule.proofread.insertion import everywhere, inserted, terms
from chainrule.proofread.structure import structural
from chainrule.proofread.trial import Array, Occurrence, Trial, occurrences

TRIALS = 4000  # of each way to change a line; counted, so that the answer is the same on every machine
WHOLE_LINE = 20  # what working out a whole line at all points counts
SECONDS = 10.0  # the last resort, for lines whose parts are huge
DEEPER = 0.03  # what a place one level further down costs: of two explanations the one nearer to the whole is simpler
FAR_FETCHED = 2.6  # the cost from which another explanation is looked for
MOST_FULL = 60  # whole lines that are worked out again, for changes at several places


@dataclass(slots=True)
class Search:
    """One line, the points, and what was found so far."""

    line: Expr
    trials: Sequence[Trial]
    parts: Sequence[Ingredient]
    names: frozenset[str]
    most: int = TRIALS
    found: list[Repair] = field(default_factory=list)
    spent: int = 0
    started: float = field(default_factory=perf_counter)

    @property
    def first(self) -> Trial:
        """The point at which candidates are tried first."""
        return self.trials[0]

    @property
    def is_over(self) -> bool:
        """True when enough was tried in the present way."""
        return self.spent > self.most or perf_counter() - self.started > SECONDS

    def run(self) -> list[Repair]:
        """Return the repairs found, the simplest first."""
        places = occurrences(self.line)
        for look in (self._structural, self._inserted, self._missing):
            self.spent = 0
            for here in places:
                if self.is_over:
                    break
                look(here)
        if min((repair.cost for repair in self.found), default=FAR_FETCHED) >= FAR_FETCHED:
            self.spent = 0
            self._everywhere()
        return sorted(self.found, key=lambda repair: repair.cost)

    # --- changes that are known arrays
    def _structural(self, here: Occurrence) -> None:
        self._try(here, structural(here, self.first))

    def _inserted(self, here: Occurrence) -> None:
        self._try(here, inserted(here, self.first, self.parts, self.names))

    def _try(self, here: Occurrence, edits: Iterable[Edit]) -> None:
        shape = self.first.value(here.node).shape
        listed = [edit for edit in edits if edit.value.shape == shape]
        self.spent += len(listed)
        if not listed:
            return
        lines = self.first.pushed(here.path, np.stack([edit.value for edit in listed]))
        if lines is None:
            return
        for k in np.flatnonzero(self.first.matching(lines)):
            found = listed[k].difference
            self._keep(found.kind, found.cost + DEEPER * len(here.path), here, listed[k].build, found.message)

    def _keep(self, kind: Kind, cost: float, here: Occurrence, build: object, message: str) -> None:
        try:
            line = put_in(here, build())  # type: ignore[operator]
        except (ChainruleError, OverflowError, ZeroDivisionError):
            return
        self._keep_line(kind, cost, line, message)

    def _keep_line(self, kind: Kind, cost: float, line: Expr, message: str) -> None:
        if any(repair.line is line and repair.cost <= cost for repair in self.found):
            return
        self.spent += WHOLE_LINE
        if holds(line, self.trials):
            self.found.append(Repair(kind, cost, line, message))

    # --- terms with a number that is found
    def _missing(self, here: Occurrence) -> None:
        """A term may be missing, with any number before it; a number may be wrong."""
        if not here.is_linear:
            return
        self._renumbered(here)
        node, value = here.node, self.first.value(here.node)
        listed: list[Free] = [*_own(here, self.first), *terms(here, self.first, self.parts)]
        self.spent += len(listed)
        base = self.first.value(self.line)
        pushed = self.first.pushed(here.path, value + np.stack([free.value for free in listed]))
        if pushed is None or pushed.shape[1:] != self.first.target.shape or base.shape != self.first.target.shape:
            return
        for k, number in fitted(pushed - base, self.first.target - base, self.first.same * self.first.scale):
            self._numbered(here, node, listed[k], number)

    def _renumbered(self, here: Occurrence) -> None:
        """The numbers before the terms of a sum, all found at once."""
        node = here.node
        if not isinstance(node, Add) or len(node.args) < 2:
            return
        terms = np.stack([self.first.value(arg) for arg in node.args])
        none, *lines = self._pushed(here, np.concatenate([np.zeros((1, *terms.shape[1:])), terms]))
        moves = np.stack([(line - none).reshape(-1) for line in lines], axis=1)
        numbers, _, rank, _ = np.linalg.lstsq(moves, (self.first.target - none).reshape(-1), rcond=1e-10)
        found = [Fraction(0) if abs(n) < 1e-9 else nice(float(n)) for n in numbers]
        if rank < len(found) or any(f is None for f in found):
            return
        pairs = [(f, t) for f, t in zip(found, node.args, strict=True) if f is not None]
        kind, cost, says = renumbered(node, [f for f, _ in pairs])
        line = put_in(here, add_terms(pairs, node.shape))
        self._keep_line(kind, cost + DEEPER * len(here.path), line, says)

    def _pushed(self, here: Occurrence, batch: Array) -> Array:
        lines = self.first.pushed(here.path, batch)
        return np.zeros((len(batch), *self.first.target.shape)) if lines is None else lines

    def _numbered(self, here: Occurrence, node: Expr, free: Free, number: float) -> None:
        for c, size in readings(number, self.first.sizes, 10 * self.first.same)[:3]:
            term = scale(c, free.term if size is None else multiply(free.term, size))
            new = add_terms([(1, node), (1, term)], node.shape)
            kind, says = free.kind, free.says.format(term)
            if free.term is node:
                kind, says = self._multiple(node, new, number, size is not None)
            cost = free.cost + DEEPER * len(here.path) + (0.05 if c in (1, -1) else 0.15) + (0 if size is None else 0.1)
            self._keep_line(kind, cost, put_in(here, new), says)

    def _multiple(self, node: Expr, new: Expr, number: float, sized: bool) -> tuple[Kind, str]:
        if abs(number + 2) < 10 * self.first.same:
            return "sign", f"the sign of {node} is wrong"
        kind: Kind = "sum, mean or axis" if sized else "constant factor"
        return kind, f"{node} should be {new}"

    # --- a symbol at all of its places
    def _everywhere(self) -> None:
        changes = everywhere(self.line, self.first, self.parts, self.names)
        for kind, cost, swap, says, shown in islice(changes, MOST_FULL):
            if self.is_over:
                return
            try:
                line = substitute(self.line, swap)
            except ChainruleError:
                continue
            self._keep_line(kind, cost, line, says.format(*shown))


def _own(here: Occurrence, trial: Trial) -> Iterator[Free]:
    """The part itself: another number before it."""
    yield Free("constant factor", 1.2, trial.value(here.node), here.node, "{0}")


def renumbered(node: Add, numbers: Sequence[Fraction]) -> tuple[Kind, float, str]:
    """Say which terms of a sum have which wrong number."""
    changed = [(c, f, t) for c, f, t in zip(node.coefficients, numbers, node.args, strict=True) if c != f]
    shown = " and ".join(str(scale(c, t)) for c, _, t in changed)
    wanted = " and ".join(str(scale(f, t)) for _, f, t in changed)
    cost = 1.15 + 0.1 * len(changed)
    if all(f == -c for c, f, _ in changed):
        return "sign", cost, f"the sign of {shown} is wrong"
    if all(f == 0 for _, f, _ in changed):
        return "spurious term", cost + 0.8, f"{shown} should not be there"
    return (
        "constant factor",
        cost + (0.4 if len({f / Fraction(c) for c, f, _ in changed}) == 1 else 1.2),
        (f"{shown} should be {wanted}"),
    )


def fitted(moves: Array, gap: Array, tolerance: float) -> list[tuple[int, float]]:
    """Return which of several directions, times a number, close the gap."""
    flat, wanted = moves.reshape(len(moves), -1), gap.reshape(-1)
    with np.errstate(all="ignore"):
        numbers = (flat @ wanted) / np.sum(flat * flat, axis=1)
        rest = np.max(np.abs(flat * numbers[:, None] - wanted), axis=1, initial=0.0)
    return [(int(k), float(numbers[k])) for k in np.flatnonzero(rest <= tolerance)]


def holds(line: Expr, trials: Sequence[Trial]) -> bool:
    """True if the line equals the truth at every point."""
    try:
        return all(trial.matches(trial.value(line)) for trial in trials)
    except ChainruleError:
        return False
