"""The verdict on every step: both sides evaluated at random generic points; derivatives against central differences.

A derivative's left side is never taken from the engine that made the right side: it is the change of the function
itself along a random direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from chainrule.derivative.differentiate import jacobian, put_back, substitute
from chainrule.evaluate import Place, evaluate
from chainrule.expression.node import Apply, Expr, Symbol, walk
from chainrule.rewrite.statement import (
    Called,
    Derivation,
    Equation,
    Indexed,
    Partial,
    Step,
    Transposed,
    Verdict,
    Written,
    WrittenProduct,
    WrittenSum,
)
from chainrule.verify.sample import Point, generic_points

POINTS = 3
SAME = 1e-9  # relative error up to which two sides are equal in float64
SMOOTH = 2e-6  # and up to which central differences agree with a derivative
STEP = 1e-5  # of the central differences; error O(step²)


@dataclass(slots=True)
class _Place:
    """One point: values of the symbols and of the names, and the derivation's definitions."""

    values: Point
    here: Place
    names: Mapping[Symbol, Expr]
    rng: np.random.Generator
    partials: dict[Partial, np.ndarray] = field(default_factory=dict)
    expanded: dict[tuple[Expr, Symbol], Expr] = field(default_factory=dict)

    def value(self, e: Expr) -> np.ndarray:
        return np.asarray(self.here.value(e), dtype=float)

    def moved(self, e: Expr, name: str, by: np.ndarray) -> np.ndarray:
        """Return the value of `e` with one symbol moved."""
        values = {**{n: self.values[n] for n in e.symbols}, name: self.values[name] + by}
        return np.asarray(evaluate(e, values, self.here.sizes), dtype=float)


def judged(derivation: Derivation, points: int = POINTS, seed: int = 0) -> Derivation:
    """Return the derivation with a verdict on every step.

    Raises: DomainError if no point is found at which the function is defined.
    """
    places = _places(derivation, points, seed)
    steps = tuple(step.judged(_verdict(step, places, derivation)) for step in derivation.steps)
    return replace(derivation, steps=steps)


def _places(derivation: Derivation, points: int, seed: int) -> list[_Place]:
    extra = [*derivation.variables, *_free_symbols(derivation)]
    rng = np.random.default_rng(seed + 1)
    result = []
    for values, sizes in generic_points([derivation.function, *derivation.results.values()], points, seed, extra):
        place = _Place(dict(values), Place(values, sizes), derivation.names, rng)
        for symbol, definition in derivation.names.items():
            place.values[symbol.name] = place.value(definition)
            place.here.define(symbol.name, place.values[symbol.name])
        result.append(place)
    return result


def _free_symbols(derivation: Derivation) -> list[Symbol]:
    """Return symbols that only the steps use, such as the learning rate."""
    found: set[Symbol] = set()
    for step in derivation.steps:
        for side in (step.equation.left, *step.equation.right):
            found |= set(_symbols(side))
    for definition in derivation.names.values():
        found |= set(definition.symbols.values())
    return sorted(found - set(derivation.names), key=lambda s: s.order)


def _symbols(w: Written) -> list[Symbol]:
    if isinstance(w, Expr):
        return list(w.symbols.values())
    if isinstance(w, WrittenProduct | WrittenSum):
        return [s for part in w.parts for s in _symbols(part)]
    if isinstance(w, Transposed):
        return _symbols(w.part)
    return list(w.e.symbols.values()) if isinstance(w, Indexed) else []


def _verdict(step: Step, places: list[_Place], derivation: Derivation) -> Verdict:
    equation = step.equation
    slope = _slope(equation)
    if equation.by_definition and slope is None and len(equation.right) == 1:
        return Verdict(True, 0.0, len(places), "definition")
    errors = [_sides(equation, place) for place in places]
    if slope is None:
        error = max(errors)
        return Verdict(error <= SAME, error, len(places), "both sides")
    change = max(_difference_error(slope, equation.right[-1], place) for place in places)
    holds = max(errors) <= SAME and change <= SMOOTH
    return Verdict(holds, max(*errors, change), len(places), "central differences")


def _slope(equation: Equation) -> Partial | None:
    """Return the derivative that the equation is about: its left side, or what its left side is a name of."""
    candidates = (equation.left, equation.right[0]) if equation.by_definition else (equation.left,)
    for side in candidates:
        if isinstance(side, Called):
            return side.by
        if isinstance(side, Partial):
            return side
    return None


def _sides(equation: Equation, place: _Place) -> float:
    """Return the largest relative difference between any two sides."""
    sides = [value_of(side, place) for side in equation.right]
    if not isinstance(equation.left, Partial | Called) and not equation.arrow:
        sides.append(value_of(equation.left, place))
    return max((relative_error(side, sides[0]) for side in sides), default=0.0)


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Return max |got − expected| / max(1, |expected|), infinite for another shape or for what is not finite."""
    if got.shape != expected.shape:
        return float("inf")
    error = np.max(np.abs(got - expected), initial=0.0) / max(1.0, float(np.max(np.abs(expected), initial=0.0)))
    return float(error) if np.isfinite(error) else float("inf")


def value_of(w: Written, place: _Place) -> np.ndarray:
    """Return the value of a written form: parts are worked out one by one, as they stand."""
    if isinstance(w, Expr):
        return place.value(w)
    if isinstance(w, Indexed):
        return place.value(w.e)
    if isinstance(w, Transposed):
        return value_of(w.part, place)
    if isinstance(w, Partial | Called):
        return _partial(w.by if isinstance(w, Called) else w, place)
    parts = [value_of(part, place) for part in w.parts]
    if isinstance(w, WrittenSum):
        terms = [float(c) * part for c, part in zip(w.coefficients, parts, strict=True)]
        return np.asarray(sum(terms[1:], terms[0]))
    result = parts[0]
    for part, shared in zip(parts[1:], w.inner, strict=True):
        result = np.tensordot(result, part, axes=shared)
    return np.asarray(result)


def _function_of(p: Partial, place: _Place) -> Expr:
    """Return what a partial derivative differentiates, as a function of its variable: other names held still if the
    derivative is direct, expanded down to the variable if it is total."""
    if p.of is p.wrt:
        return p.of
    definition = place.names.get(p.of, p.of) if isinstance(p.of, Symbol) else p.of
    if p.direct:
        return definition
    if (definition, p.wrt) not in place.expanded:
        others = [(symbol, inner) for symbol, inner in place.names.items() if symbol is not p.wrt]
        place.expanded[definition, p.wrt] = put_back(definition, others)
    return place.expanded[definition, p.wrt]


def _partial(p: Partial, place: _Place) -> np.ndarray:
    if p not in place.partials:
        value = place.value(jacobian(_function_of(p, place), p.wrt))
        place.partials[p] = np.diagonal(value) if p.entry and value.ndim else value
    return place.partials[p]


def _held_still(e: Expr, place: _Place) -> Expr:
    """Return `e` with what counts as a constant (`stop_gradient`) put in as its value here, under a name of its own."""
    held: dict[Expr, Expr] = {}
    for k, node in enumerate(walk(e)):
        if isinstance(node, Apply) and node.op.is_held:
            held[node] = Symbol(f"held_{k}", node.shape)
            place.values[f"held_{k}"] = place.value(node)
    return substitute(e, held) if held else e


def _difference_error(p: Partial, claimed: Written, place: _Place) -> float:
    """Compare the claimed derivative times a random direction with the central difference along it."""
    function = _held_still(_function_of(p, place), place)
    at = place.values[p.wrt.name]
    direction = place.rng.normal(size=at.shape)
    direction /= max(1.0, float(np.linalg.norm(direction)))
    value = value_of(claimed, place)
    predicted = np.asarray(value * direction if p.entry else np.tensordot(value, direction, axes=at.ndim))

    def change(step: float) -> np.ndarray:
        ends = [place.moved(function, p.wrt.name, sign * step * direction) for sign in (1, -1)]
        return np.asarray((ends[0] - ends[1]) / (2 * step))

    error = relative_error(predicted, change(STEP))
    for step in (10 * STEP, STEP) if error > SMOOTH else ():  # it bends sharply: differences of fourth order
        error = min(error, relative_error(predicted, (4 * change(step) - change(2 * step)) / 3))
    return error
