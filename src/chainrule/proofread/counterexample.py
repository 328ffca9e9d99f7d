"""The smallest numbers that show a line to be wrong: small sizes, small integers, both sides worked out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.evaluate import evaluate_all
from chainrule.expression.extent import is_derived, names_of
from chainrule.expression.node import Apply, Dimension, Expr, Number, Symbol, walk
from chainrule.expression.power import exponent_of
from chainrule.expression.shape import concrete
from chainrule.proofread.claim import Claim
from chainrule.verify.sample import is_generic

TRIES = 24  # for one choice of sizes
LARGEST_SIZE = 3
CHOICES = 27  # of sizes
FAR = 1e-3  # relative: a difference that a reader sees


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Values of the symbols, and both sides there, as nested lists."""

    values: Mapping[str, Any]
    stated: Any
    truth: Any

    def __str__(self) -> str:
        at = ", ".join(f"{name} = {shown(value)}" for name, value in self.values.items())
        return f"at {at}: the line gives {shown(self.stated)}, the truth is {shown(self.truth)}"


def shown(value: Any) -> str:
    """Write nested lists of numbers, fractions as fractions and floats with four digits."""
    if isinstance(value, list):
        return "[" + ", ".join(shown(part) for part in value) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def smallest_counterexample(claim: Claim, seed: int = 0) -> Counterexample | None:
    """Return small integers at which the line differs from the truth, None if none was found."""
    if claim.stated is None:
        return None
    sides = [claim.expanded(claim.stated), claim.expanded(claim.truth)]
    roots = sides if claim.function is None else [*sides, claim.expanded(claim.function)]
    symbols = {name: s for root in roots for name, s in root.symbols.items()}
    exact = all(_is_exact(side) for side in sides)
    rng = np.random.default_rng(seed)
    other_shape = sides[0].shape != sides[1].shape  # to be seen, an axis needs two entries
    for sizes in _sizes(roots, 2 if other_shape else 1):
        best: Counterexample | None = None
        weight = np.inf
        for attempt in range(TRIES):
            point = {n: _integers(s, concrete(s.shape, sizes), rng, attempt) for n, s in symbols.items()}
            heavy = float(sum(np.sum(np.abs(v)) + 0.1 * np.sum(v < 0) for v in point.values()))
            if heavy < weight:
                found = _tried(roots, sides, point, sizes, exact)
                best, weight = (found, heavy) if found is not None else (best, weight)
        if best is not None:
            return best
    return None


def _is_exact(e: Expr) -> bool:
    nodes = walk(e)
    if any(isinstance(n, Number) and (isinstance(n.value, float) or Fraction(n.value).denominator > 1) for n in nodes):
        return False
    return all(n.op.rational and isinstance(exponent_of(n)[1], int) for n in nodes if isinstance(n, Apply))


def _sizes(roots: list[Expr], least: int) -> Iterator[dict[str, int]]:
    """Yield sizes, the smallest first."""
    names: dict[str, None] = {}
    for node in walk(*roots):
        own = (node.size,) if isinstance(node, Dimension) else ()
        for size in (*node.shape, *own):
            names.update(dict.fromkeys(names_of(size)))
            least = max(least, 2) if is_derived(size) else least
    choices = product(range(least, LARGEST_SIZE + 1), repeat=len(names))
    for choice in sorted(choices, key=lambda c: (sum(c), max(c, default=0), c))[: CHOICES * 3]:
        yield dict(zip(names, choice, strict=True))


def _integers(symbol: Symbol, shape: tuple[int, ...], rng: np.random.Generator, attempt: int) -> np.ndarray:
    """Draw integers, small ones first, that have the symbol's facts as far as integers can."""
    low, high = ((0, 2), (-1, 2), (1, 3), (-2, 3), (1, 4))[attempt % 5]
    value = rng.integers(max(low, 1) if "positive" in symbol.facts else low, high, shape)
    if len(shape) == 2 and shape[0] == shape[1]:
        if "positive definite" in symbol.facts:
            return np.asarray(value @ value.T + np.eye(len(value), dtype=int))
        if "symmetric" in symbol.facts:
            return np.asarray(np.triu(value) + np.triu(value, 1).T)
        if "diagonal" in symbol.facts:
            return np.diag(np.diag(value))
    if "one-hot" in symbol.facts:
        return np.asarray((np.arange(shape[-1]) == rng.integers(0, shape[-1], (*shape[:-1], 1))).astype(int))
    return np.asarray(value)


def _tried(
    roots: list[Expr], sides: list[Expr], point: Mapping[str, np.ndarray], sizes: Mapping[str, int], exact: bool
) -> Counterexample | None:
    """Return the counterexample if both sides exist here and differ visibly."""
    try:
        if not is_generic(roots, {n: v.astype(float) for n, v in point.items()}, sizes):
            return None
        values = {n: _fractions(v) if exact else v.astype(float) for n, v in point.items()}
        stated, truth = (np.asarray(v) for v in evaluate_all(sides, values, sizes))
    except (ChainruleError, ZeroDivisionError, ValueError):
        return None
    left, right = stated.astype(float), truth.astype(float)
    if left.shape != right.shape and not (np.any(left) and np.any(right)):
        return None
    if left.shape == right.shape:
        gap, largest = np.max(np.abs(left - right), initial=0.0), np.max(np.abs(right), initial=0.0)
        if not gap > FAR * max(1.0, float(largest)):
            return None
    occur = {name for side in sides for name in side.symbols}
    return Counterexample({n: v.tolist() for n, v in point.items() if n in occur}, _listed(stated), _listed(truth))


def _fractions(value: np.ndarray) -> np.ndarray:
    result = np.empty(value.shape, dtype=object)
    for place in np.ndindex(value.shape):
        result[place] = Fraction(int(value[place]))
    return result


def _listed(value: np.ndarray) -> Any:
    """Return nested lists, integers where a value is one."""
    if value.ndim:
        return [_listed(np.asarray(part)) for part in value]
    number = value.item()
    if isinstance(number, Fraction):
        return number.numerator if number.denominator == 1 else number
    number = float(number)
    return int(round(number)) if abs(number - round(number)) < 1e-12 and abs(number) < 1e9 else number
