"""Whether two expressions are equal: exact fractions where both are polynomial, floats with a measured noise elsewhere.

A difference counts only if it is far above what rounding could do there: the noise is how much the values move when
every input moves by its last digits. What lies in between is not decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np

from chainrule.errors import ChainruleError, DomainError
from chainrule.evaluate import evaluate_all
from chainrule.expression.node import Apply, Expr, Number, Symbol, walk
from chainrule.expression.power import constant_value, power
from chainrule.expression.shape import concrete
from chainrule.verify.sample import Point, generic_points, is_generic, sizes_for

Answer = Literal["same", "different", "unsure"]
SAME = 1e-9  # relative to the largest entry
DIFFERENT = 1e-7
ROUNDING = 1e-15  # how far inputs move to measure the noise
ABOVE_NOISE = 1e4
GATED = 4  # times as many points for what has gates
FACTS_WITHOUT_FRACTIONS = frozenset({"orthogonal", "sums to one"})


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the points say: the answer, whether it is exact, and the largest relative difference."""

    answer: Answer
    exact: bool = False
    error: float = 0.0

    @property
    def same(self) -> bool:
        """True if the two are equal."""
        return self.answer == "same"


@dataclass(frozen=True, slots=True)
class Place:
    """One point: values of the symbols, sizes of the axes, and the same point moved by its last digits."""

    values: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    moved: tuple[Mapping[str, np.ndarray], ...] = ()


@dataclass(slots=True)
class Grounds:
    """The points at which the sides of one claim are compared; values worked out once are kept."""

    places: Sequence[Place]
    exact_places: Sequence[Place] = ()
    known: dict[tuple[int, Expr], np.ndarray] = field(default_factory=dict)
    noises: dict[tuple[int, Expr], float] = field(default_factory=dict)

    def agree(self, a: Expr, b: Expr, turned: bool = False) -> Agreement:
        """Compare two expressions without the reader's names; `turned` transposes the second one first."""
        if self.exact_places and is_rational(a) and is_rational(b):
            exact = self._exactly(a, b, turned)
            if exact is not None:
                return exact
        worst, answers = 0.0, []
        for k in range(len(self.places)):
            left, right = self.value(k, a), self.value(k, b)
            right = np.transpose(right) if turned else right
            answer, error = compared(left, right, 0.0)
            if answer != "same":
                answer, error = compared(left, right, self.noise(k, a) + self.noise(k, b))
            answers.append(answer)
            worst = max(worst, error)
        return Agreement(decided(answers), False, worst)

    def _exactly(self, a: Expr, b: Expr, turned: bool) -> Agreement | None:
        for place in self.exact_places:
            try:
                left, right = (np.asarray(v) for v in evaluate_all([a, b], place.values, place.sizes))
            except (ChainruleError, ArithmeticError):
                return None
            right = np.transpose(right) if turned else right
            if left.shape != right.shape or np.any(left != right):
                return Agreement("different", True, float("inf"))
        return Agreement("same", True)

    def value(self, k: int, e: Expr) -> np.ndarray:
        """Return the value at point k."""
        if (k, e) not in self.known:
            self.known[k, e] = _evaluated(e, self.places[k].values, self.places[k].sizes)
        return self.known[k, e]

    def noise(self, k: int, e: Expr) -> float:
        """Return how much the value at point k moves when the inputs move by their last digits."""
        if (k, e) not in self.noises:
            value = self.value(k, e)
            others = [_evaluated(e, moved, self.places[k].sizes) for moved in self.places[k].moved]
            with np.errstate(all="ignore"):
                self.noises[k, e] = max((float(np.max(np.abs(o - value), initial=0.0)) for o in others), default=0.0)
        return self.noises[k, e]


def _evaluated(e: Expr, values: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> np.ndarray:
    try:
        return np.asarray(evaluate_all([e], values, sizes)[0], dtype=float)
    except DomainError:
        return np.asarray(np.nan)


def compared(a: np.ndarray, b: np.ndarray, noise: float) -> tuple[Answer, float]:
    """Compare two values; a scalar zero equals a zero of any shape."""
    if a.shape != b.shape:
        if not (b.ndim == 0 and float(b) == 0.0):
            return "different", float("inf")
        b = np.zeros_like(a)
    with np.errstate(all="ignore"):
        if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b)) and np.isfinite(noise)):
            return "unsure", float("nan")
        gap = float(np.max(np.abs(a - b), initial=0.0))
        scale = float(max(np.max(np.abs(a), initial=0.0), np.max(np.abs(b), initial=0.0)))
        error = gap / scale if scale else 0.0
    if gap <= SAME * scale or gap <= 4 * noise:
        return "same", error
    return ("different" if gap > DIFFERENT * scale and gap > ABOVE_NOISE * noise else "unsure"), error


def decided(answers: Iterable[Answer]) -> Answer:
    """Return what the points say together: one sure difference is enough."""
    found = set(answers)
    if "different" in found:
        return "different"
    return "unsure" if "unsure" in found or not found else "same"


def is_rational(e: Expr) -> bool:
    """True if the value is exact on fractions: sums, products, whole powers, gates, constants that are fractions."""
    for node in walk(e):
        if isinstance(node, Apply) and not (node.op.rational and has_whole_exponent(node)):
            return False
        if isinstance(node, Number) and isinstance(node.value, float):
            return False
    return True


def has_whole_exponent(node: Apply) -> bool:
    """True unless an operation is a power to anything but a whole number."""
    return node.op is not power or isinstance(constant_value(node.args[1]), int)


def has_gates(e: Expr) -> bool:
    """True if an operation takes steps: its value, or its slope, is one of a few numbers."""
    return any(isinstance(node, Apply) and (node.op.is_gate or node.op.kinks is not None) for node in walk(e))


def grounds(
    roots: Sequence[Expr], points: int = 4, seed: int = 0, extra: Iterable[Symbol] = (), exact: bool = True
) -> Grounds:
    """Return points at which all of `roots` are defined, smooth and finite.

    Raises: DomainError if there is no such point.
    """
    rng = np.random.default_rng(seed + 17)
    more = GATED if any(has_gates(root) for root in roots) else 1  # a gate is 0 or 1: two of them agree by chance
    places = [
        Place(values, sizes, tuple(_moved(values, rng) for _ in range(2)))
        for values, sizes in generic_points(list(roots), more * points, seed, extra)
    ]
    exact_places = (
        exact_points(roots, 2 * more, seed, extra) if exact and any(is_rational(root) for root in roots) else []
    )
    return Grounds(places, exact_places)


def _moved(values: Point, rng: np.random.Generator) -> Point:
    return {name: v * (1 + ROUNDING * rng.choice((-2, -1, 1, 2), v.shape)) for name, v in values.items()}


def exact_points(roots: Sequence[Expr], count: int, seed: int, extra: Iterable[Symbol] = ()) -> list[Place]:
    """Return points of small fractions; none if some symbol's facts cannot be met by fractions."""
    symbols: dict[str, Symbol] = {s.name: s for s in extra}
    for root in roots:
        symbols.update(root.symbols)
    if any(s.facts & FACTS_WITHOUT_FRACTIONS for s in symbols.values()):
        return []
    rng = np.random.default_rng(seed + 5)
    sizes = sizes_for([*roots, *symbols.values()])
    places: list[Place] = []
    for _ in range(4 * count):
        values = {name: _fractions(s, concrete(s.shape, sizes), rng) for name, s in symbols.items()}
        if is_generic(list(roots), {name: v.astype(float) for name, v in values.items()}, sizes):
            places.append(Place(values, sizes))
    return places[:count]


def _fractions(symbol: Symbol, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw odd eighths: never 0, and never a difference of two of them that happens to be a kink of small integers."""
    low = 0 if symbol.facts & {"positive", "one-hot"} else -12
    value = 2 * rng.integers(low, 12, shape) + 1
    if "one-hot" in symbol.facts:
        value = (value == np.max(value, axis=-1, keepdims=True)).astype(int) * 8
    if value.ndim == 2 and value.shape[0] == value.shape[1]:
        value = _with_facts(value, symbol.facts)
    return np.vectorize(lambda v: Fraction(int(v), 8), otypes=[object])(value) if value.size else value.astype(object)


def _with_facts(value: np.ndarray, facts: frozenset[str]) -> np.ndarray:
    if "positive definite" in facts:
        return np.asarray(value @ value.T + 8 * np.eye(len(value), dtype=int))
    if "symmetric" in facts:
        return np.asarray(value + value.T)
    return np.diag(np.diag(value)) if "diagonal" in facts else value
