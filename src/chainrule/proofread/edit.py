"""A small change of one part of a line: what kind of mistake it undoes, what the part becomes, and how to say it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from chainrule.derivative.differentiate import rebuilt
from chainrule.expression.node import ONE, Dimension, Expr, Ones
from chainrule.expression.power import power_of
from chainrule.expression.product import einsum
from chainrule.expression.shape import Scalar, Size
from chainrule.proofread.trial import Array, Occurrence, Trial

Kind = Literal[
    "shape", "transpose", "sign", "constant factor", "lost factor", "spurious factor", "lost term", "spurious term",
    "element-wise or matrix product", "sum, mean or axis", "off-diagonal terms dropped",
    "Jacobian given as its diagonal", "condition outside its sum", "wrong intermediate", "wrong symbol",
    "wrong function", "kink value", "wrong expansion", "other",
]  # fmt: skip

LARGEST = 5000  # entries of a product that is laid out over all its indices
DENOMINATOR = 24


@dataclass(frozen=True, slots=True)
class Difference:
    """The class of the mistake that leads from the right expression to the wrong one, its cost, and a sentence."""

    kind: Kind
    cost: float
    message: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one part. `value` is what the part becomes at the first point, `build` makes its expression.

    `says` is the sentence that goes with it, with places for `shown`; `cost` orders the explanations, the simplest
    first.
    """

    kind: Kind
    cost: float
    value: Array
    build: Callable[[], Expr]
    says: str
    shown: tuple[object, ...] = ()
    named: Callable[[], Difference] | None = None  # finds the class and the sentence, for what turns out to match

    @property
    def difference(self) -> Difference:
        """The class, the cost and the sentence."""
        if self.named is None:
            return Difference(self.kind, self.cost, self.says.format(*self.shown))
        found = self.named()
        return Difference(found.kind, found.cost + self.cost, found.message)


@dataclass(frozen=True, slots=True)
class Free:
    """A term that may be added with any number before it: the number is found from the points."""

    kind: Kind
    cost: float
    value: Array  # what it is times
    term: Expr
    says: str  # with a place for the term and its number


@dataclass(frozen=True, slots=True)
class Repair:
    """A changed line that equals the truth at every point tried."""

    kind: Kind
    cost: float
    line: Expr
    message: str


def put_in(occurrence: Occurrence, part: Expr) -> Expr:
    """Return the line with one part replaced where it stands, and only there."""
    for whole, k in occurrence.path:
        part = rebuilt(whole, [part if n == k else arg for n, arg in enumerate(whole.args)])
    return part


Factors = Sequence[tuple[Expr, tuple[int, ...]]]


def product_value(factors: Factors, output: Sequence[int], sizes: dict[int, int], trial: Trial) -> Array:
    """Return the value of a product at a point; an index that no factor has is expanded, or dropped if summed."""
    covered = {i for _, sub in factors for i in sub}
    operands: list[Any] = [item for e, sub in factors for item in (trial.value(e), list(sub))]
    for i in output:
        if i not in covered:
            operands += [np.ones(sizes[i]), [i]]
    if not operands:
        return np.ones(())
    return np.asarray(np.einsum(*operands, list(output), optimize="greedy" if len(operands) > 6 else False))


def product_of(factors: Factors, output: Sequence[int], sizes: dict[int, Size]) -> Expr:
    """Return the product as an expression, with the same meaning."""
    covered = {i for _, sub in factors for i in sub}
    bare = [(Ones((sizes[i],)), (i,)) for i in output if i not in covered]
    everything = [(ONE, ()), *factors, *bare]
    return einsum([e for e, _ in everything], [tuple(sub) for _, sub in everything], tuple(output))


def nice(number: float, tolerance: float = 1e-7) -> Fraction | None:
    """Return the fraction that a number is, if it is a simple one."""
    if not np.isfinite(number) or abs(number) > 1e4 or abs(number) < 1e-4:
        return None
    fraction = Fraction(number).limit_denominator(DENOMINATOR)
    return fraction if abs(float(fraction) - number) <= tolerance * abs(number) else None


def readings(number: float, sizes: dict[str, int], tolerance: float = 1e-7) -> list[tuple[Scalar, Expr | None]]:
    """Return what a factor found at one point may be: a number, or a number times a size or one over a size."""
    found: list[tuple[Scalar, Expr | None]] = []
    plain = nice(number, tolerance)
    if plain is not None:
        found.append((plain, None))
    for name, count in sizes.items():
        for power, factor in ((1, count), (-1, 1 / count)):
            rest = nice(number / factor, tolerance)
            if rest is not None:
                found.append((rest, power_of(Dimension(name), power)))
    return sorted(found, key=lambda pair: _weight(*pair))


def _weight(number: Scalar, size: Expr | None) -> float:
    fraction = Fraction(number)
    return abs(fraction.numerator) + fraction.denominator + (1.5 if size is not None else 0)
