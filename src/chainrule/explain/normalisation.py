"""What is known of x̂ = x̃ ⊘ σ: x̃ may be written σ x̂, and what is centred sums to zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.derivative.differentiate import substitute
from chainrule.explain.fold import folded
from chainrule.explain.intermediates import Intermediate, expanded
from chainrule.explain.reductions import multiplied_out
from chainrule.expression.build import sum as sum_of
from chainrule.expression.node import Einsum, Expr, Subscripts, Symbol, depends_on, is_zero, zeros
from chainrule.expression.power import exponent_of, power_of
from chainrule.expression.product import einsum, factors_of
from chainrule.simplify.length import length
from chainrule.simplify.simplify import simplify


@dataclass(frozen=True, slots=True)
class Normalisation:
    """x̂ = x̃ ⊘ σ, all three of them names. The axes of σ are among those of x̂."""

    quotient: Symbol
    numerator: Symbol
    divisor: Symbol
    axes: Subscripts
    divisor_axes: Subscripts

    def times_divisor(self, e: Expr, exponent: int) -> Expr:
        """Return e ⊙ σ^exponent. Shape: that of x̂."""
        return einsum([e, power_of(self.divisor, exponent)], [self.axes, self.divisor_axes], self.axes)


def normalisations(variables: Sequence[Intermediate]) -> list[Normalisation]:
    """Return the quotients of two names among the definitions."""
    found = []
    for i in variables:
        if not isinstance(i.definition, Einsum) or len(i.definition.args) != 2:
            continue
        (below, place), (above, axes) = sorted(factors_of(i.definition), key=lambda f: isinstance(f[0], Symbol))
        base, k = exponent_of(below)
        if isinstance(above, Symbol) and isinstance(base, Symbol) and k == -1 and axes == i.definition.output:
            found.append(Normalisation(i.symbol, above, base, axes, place))
    return found


def in_quotients(variables: Sequence[Intermediate], e: Expr) -> Expr:
    """Return `e` with x̃ written as σ ⊙ x̂ where that makes it no longer: x̃ / σ² is x̂ / σ."""
    for n in normalisations(variables):
        if depends_on(e, n.numerator):
            after = simplify(substitute(e, {n.numerator: n.times_divisor(n.quotient, 1)}))
            e = after if length(after) <= length(e) else e
    return e


def in_normal_form(variables: Sequence[Intermediate], e: Expr) -> Expr:
    """Return `e` as (…) ⊘ σ, multiplied out inside, in terms of x̂, without the sums of what is centred."""
    for n in normalisations(variables):
        if e.shape == n.quotient.shape:
            e = substitute(e, {n.numerator: n.times_divisor(n.quotient, 1)})
            inside = _without_centred_sums(variables, multiplied_out(n.times_divisor(multiplied_out(e), 1)))
            e = n.times_divisor(inside, -1)
    return e


def _without_centred_sums(variables: Sequence[Intermediate], e: Expr) -> Expr:
    """Return `e` without the sums Σᵢ x̂ᵢ that are zero whatever x is, which simplifying the definition shows."""
    for i in variables:
        for axis in range(i.symbol.ndim):
            total = sum_of(i.symbol, axis=axis)
            if is_zero(simplify(expanded(total, variables))):
                e = folded(e, zeros(total.shape), total)
    return e
