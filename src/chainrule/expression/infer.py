"""What each undeclared name stands for: the textbook's reading of its letter, unless use decides otherwise.

A reading gives every name a kind. Readings are tried in order of their cost (how far they are from what the letters
suggest); a reading that fails, or that a reader would find odd, changes the kind of one of the names to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, Literal, TypeVar

from chainrule.errors import ChainruleError, ShapeError
from chainrule.expression.survey import GREEK, Occurrence, Survey

# A rank; "size": a size used as a number; "rows": xᵢ is row i of X; "euler": the number e.
Kind = int | Literal["size", "rows", "euler"]
Preference = tuple[tuple[Kind, float], ...]
T = TypeVar("T")

COUNTS = ("N", "n")  # names that are sizes when nothing says otherwise
MAX_TRIES = 200


# --- the textbook's reading of a letter
@dataclass(frozen=True, slots=True)
class Customs:
    """What the letters of a formula mean in its notation."""

    latex: bool
    found: Survey
    declared: Mapping[str, int]  # ranks

    def preference(self, name: str) -> Preference:
        """Return the kinds a name may have, each with its cost, the likeliest first."""
        occurrence = self.found.names[name]
        if name in self.found.sizes:
            return (("size", 0),)
        if occurrence.indices:
            return self._indexed(name, occurrence)
        if name in self.found.positions:
            return (1, 0), (0, 1), (2, 2)
        if name in self.found.exponents:  # the n of xⁿ is a number
            return (0, 0), (1, 1)
        if name in COUNTS and occurrence.face not in ("bold", "vec"):
            return ("size", 0), (0, 1), (1 if name == "n" else 2, 2)
        if self.latex and name == "e" and not occurrence.face:
            return ("euler", 0), (0, 1), (1, 2)
        if occurrence.face in ("bold", "vec"):  # the typeface says it
            return ((2 if name[0].isupper() and occurrence.face == "bold" else 1, 0),)
        return _ranks(self._rank(name))

    def _rank(self, name: str) -> int:
        if name[0].isupper():
            return 2
        return 0 if self.latex or name in GREEK or name[0] in "abcdefg" else 1

    def _indexed(self, name: str, occurrence: Occurrence) -> Preference:
        """xᵢ is an entry of x, or row i of X: of X if x is bold, or if X is declared."""
        ranks = _ranks(2 if occurrence.indices > 1 or name[0].isupper() else 1)
        rows = name.upper()
        if name[0].isupper() or occurrence.indices > 1 or self.declared.get(rows, 2) != 2:
            return ranks
        likely = rows in self.declared or occurrence.face in ("bold", "vec")
        kinds: Preference = (("rows", 0 if likely else 1.5), *((kind, cost + likely) for kind, cost in ranks))
        return tuple(sorted(kinds, key=lambda pair: pair[1]))


def _ranks(first: int) -> Preference:
    order: dict[int, tuple[tuple[Kind, float], ...]] = {
        0: ((0, 0), (1, 1), (2, 4)),
        1: ((1, 0), (0, 1), (2, 4)),
        2: ((2, 0), (1, 2), (0, 3)),
    }
    return order[first]


# --- the search
@dataclass(frozen=True, slots=True)
class Trial(Generic[T]):
    """What came of one reading: a result, with what is odd in it; or an error, with the names to blame.

    A name that is no matrix by its letter becomes one only if `wants_matrix`.
    """

    result: T | None
    oddness: float
    blame: frozenset[str]
    error: ChainruleError | None = None
    wants_matrix: bool = False


def best_reading(
    preferences: Mapping[str, Preference], attempt: Callable[[dict[str, Kind]], Trial[T]]
) -> tuple[dict[str, Kind], T]:
    """Return the cheapest reading that makes sense, with its result. Raises: the error of the likeliest reading."""
    names = list(preferences)
    order = count()
    start = (0,) * len(names)
    heap = [(0.0, next(order), start)]
    seen = {start}
    best: tuple[float, dict[str, Kind], T] | None = None
    first: ChainruleError | None = None
    for _ in range(MAX_TRIES):
        if not heap or (best is not None and heap[0][0] >= best[0]):
            break
        cost, _, choice = heappop(heap)
        reading = {name: preferences[name][k][0] for name, k in zip(names, choice, strict=True)}
        trial = attempt(reading)
        first = first or trial.error
        if trial.result is not None and (best is None or cost + trial.oddness < best[0]):
            best = (cost + trial.oddness, reading, trial.result)
        for step in _steps(names, choice, preferences, trial):
            if step not in seen:
                seen.add(step)
                total = sum(preferences[name][k][1] for name, k in zip(names, step, strict=True))
                heappush(heap, (total, next(order), step))
    if best is None:
        raise first or ShapeError("no reading of the names makes sense")
    return best[1], best[2]


def _steps(
    names: list[str], choice: tuple[int, ...], preferences: Mapping[str, Preference], trial: Trial[Any]
) -> Iterator[tuple[int, ...]]:
    """Yield the readings that differ in one of the names to blame."""
    for k, name in enumerate(names):
        if name in trial.blame:
            kinds = [kind for kind, _ in preferences[name]]
            for other, kind in enumerate(kinds):
                if other != choice[k] and (kind != 2 or kinds[0] == 2 or trial.wants_matrix):
                    yield (*choice[:k], other, *choice[k + 1 :])
