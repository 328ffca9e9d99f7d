"""NumPy text as people write it: broadcast instead of `ones`, `sqrt`, decimals, and divisors behind what they divide.

Shorter than the careful spelling, but some of it means the same only where the rest of the formula decides the shapes:
what does not read back is written carefully (`input.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import final

import chainrule.notation.layout as n
from chainrule.expression.shape import Size
from chainrule.notation.layout import Layout
from chainrule.render.input_numpy import ATOM, PRODUCT, InputWriter
from chainrule.render.writer import flattened

PLACES = 3  # of a decimal that stands for a fraction: 0.5, 0.125


@final
class IdiomWriter(InputWriter):
    """NumPy-style text with NumPy's habits; with `means`, a sum over a size is taken for a mean."""

    def __init__(self, shown: Collection[Size], means: bool) -> None:
        super().__init__(shown)
        self.means = means

    def level(self, e: Layout) -> int:
        """`x @ x` binds as a product, `sqrt(x)` and a decimal need no parentheses."""
        if isinstance(e, n.Root) or (isinstance(e, n.Fraction) and decimal(e)):
            return ATOM
        return PRODUCT if is_square(e) else super().level(e)

    def _root(self, e: n.Root) -> str:
        return f"sqrt({self.write(e.base)})"

    def _fraction(self, e: n.Fraction) -> str:
        return decimal(e) or super()._fraction(e)

    def _power(self, e: n.Power) -> str:
        if is_square(e) and isinstance(e.base, n.Norm):
            return self.row_of([e.base.base, e.base.base], " @ ")
        exponent = narrowed(e.exponent) or e.exponent
        if isinstance(e.base, n.Norm):
            return f"{self.write(e.base)}**{self.at(exponent, ATOM)}"
        return f"{self.at(e.base, ATOM)}**{self.at(exponent, ATOM)}"

    def _product(self, e: n.Product) -> str:
        parts = flattened(e)
        scalars = [p for p in parts if p.kind == "scalar"]
        scalars = with_means(scalars) if self.means else scalars
        arrays = [p for p in parts if p.kind != "scalar"]
        quotients = [p for p in scalars if isinstance(p, n.Fraction) and not decimal(p)]
        above = [p.numerator for p in quotients if p.numerator != n.ONE_LAYOUT]
        above += [p for p in scalars if p not in quotients]
        if not arrays and not above:
            return super()._product(e)
        body = self.chain(arrays)
        lead = self.row_of(above, " * ") if above else ""
        text = f"{lead} * {body}" if lead and body else lead or body
        return text + "".join(f" / {self.at(p.denominator, PRODUCT + 1)}" for p in quotients)

    def chain(self, arrays: list[Layout]) -> str:
        """Write a product of matrices and vectors; one of transposes as the transpose of a product."""
        if len(arrays) > 1 and all(isinstance(p, n.Transpose) and p.kind == "matrix" for p in arrays):
            return f"({super()._product(n.Product(tuple(map(n.transpose, reversed(arrays)))))}).T"
        if not arrays:
            return ""
        return super()._product(n.Product(tuple(arrays))) if len(arrays) > 1 else self.at(arrays[0], PRODUCT + 1)

    def _sum(self, e: n.Sum) -> str:
        if len(e.parts) > 1 and any(map(is_full, e.parts)):
            e = n.Sum(e.signs, tuple(narrowed(p) or p for p in e.parts))
        return super()._sum(e)

    def _relation(self, e: n.Relation) -> str:
        if is_full(e.left) or is_full(e.right):
            left, right = (narrowed(side) or side for side in (e.left, e.right))
            e = n.Relation(left, e.sign, right)
        return super()._relation(e)


def with_means(scalars: list[Layout]) -> list[Layout]:
    """Return the factors with one division by a size and one sum as a mean: (1/n) sum(x), (1/n) ‖x‖²."""
    place = next((k for k, p in enumerate(scalars) if isinstance(p, n.Fraction) and over_size(p)), None)
    found = next((k for k, p in enumerate(scalars) if summed(p) is not None), None)
    if place is None or found is None:
        return scalars
    quotient, body = scalars[place], summed(scalars[found])
    assert isinstance(quotient, n.Fraction) and body is not None
    rest = [p for k, p in enumerate(scalars) if k not in (place, found)]
    lead = [] if quotient.numerator == n.ONE_LAYOUT else [quotient.numerator]
    return [*lead, *rest, n.Function("mean", body, "scalar")]


def over_size(e: n.Fraction) -> bool:
    """True for c/n, n a size."""
    return isinstance(e.denominator, n.Extent)


def summed(e: Layout) -> Layout | None:
    """Return what `e` is the sum of, if it is one over all entries."""
    if isinstance(e, n.Function) and e.word == "sum":
        return e.argument
    if isinstance(e, n.Power) and isinstance(e.base, n.Norm) and e.exponent == n.Numeral(2):
        return n.Power(e.base.base, e.exponent)
    return None


def decimal(e: n.Fraction) -> str:
    """Return a fraction of numbers as a short decimal that is exact, else nothing."""
    if not isinstance(e.numerator, n.Numeral) or not isinstance(e.denominator, n.Numeral):
        return ""
    above, below = e.numerator.value, e.denominator.value
    if not isinstance(above, int) or not isinstance(below, int) or (10**PLACES) % below:
        return ""
    return str(float(Fraction(above, below)))


def is_square(e: Layout) -> bool:
    """True for ‖x‖² of a vector with a name: `x @ x`."""
    named = isinstance(e, n.Power) and isinstance(e.base, n.Norm) and isinstance(e.base.base, n.Name)
    return named and e.exponent == n.Numeral(2) and e.base.base.kind == "column"  # type: ignore[union-attr]


def is_ones(e: Layout) -> bool:
    """True for 1⃗ and its transpose."""
    e = e.base if isinstance(e, n.Transpose) else e
    return isinstance(e, n.Constant) and e.which == "ones"


def narrowed(e: Layout) -> Layout | None:
    """Return c for c1⃗ and v for 1⃗vᵀ, which NumPy expands by itself; None for anything else."""
    parts = flattened(e) if isinstance(e, n.Product) else [e]
    arrays = [p for p in parts if p.kind != "scalar"]
    kept = arrays[1:] if arrays and is_ones(arrays[0]) else arrays
    kept = [] if all(map(is_ones, kept)) else kept
    if len(kept) == len(arrays):
        return None
    rest = [*(p for p in parts if p.kind == "scalar"), *kept]
    return n.Product(tuple(rest)) if len(rest) > 1 else rest[0] if rest else n.ONE_LAYOUT


def is_full(e: Layout) -> bool:
    """True for what has every axis of its own, so that other terms may be expanded to its shape."""
    arrays = [p for p in (flattened(e) if isinstance(e, n.Product) else [e]) if p.kind != "scalar"]
    return bool(arrays) and not is_ones(arrays[0]) and not is_ones(arrays[-1])
