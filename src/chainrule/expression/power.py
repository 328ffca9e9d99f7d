"""The power, the one operation that products themselves need: x · x is x²."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isqrt

import numpy

import chainrule.expression.product as product
import chainrule.expression.total as total
from chainrule.expression.node import ONE, Add, Apply, Einsum, Expr, Number, Ones
from chainrule.expression.op import CATALOGUE, Code, Loop, Notation, Op
from chainrule.expression.shape import Scalar, exact


def constant_value(e: Expr) -> Scalar | None:
    """Return c if every entry of `e` is the same known number c, else None."""
    if isinstance(e, Number):
        return e.value
    if isinstance(e, Ones):
        return 1
    if isinstance(e, Add):
        if not e.args:
            return 0
        if len(e.args) == 1 and isinstance(e.args[0], Ones):
            return e.coefficients[0]
    return None


def constant(value: Scalar, shape: tuple[int | str, ...]) -> Expr:
    """Return the array with the same number everywhere."""
    return total.scale(value, Ones(shape)) if shape else Number(exact(value))


def exponent_of(e: Expr) -> tuple[Expr, Scalar]:
    """Read any expression as base and constant exponent; what is no such power has exponent 1."""
    if isinstance(e, Apply) and e.op is power:
        c = constant_value(e.args[1])
        if c is not None:
            return e.args[0], c
    return e, 1


def is_length(e: Expr) -> bool:
    """True for a power of ‖u‖, or of the norms along an axis: sums of squares, which are 0 only where all of u is.

    What is divided by such a norm is taken to be 0 where the norm is, as u/‖u‖ at u = 0: a subgradient of ‖u‖.
    """
    base = exponent_of(e)[0]
    if isinstance(base, Add):
        terms = zip(base.coefficients, base.args, strict=True)
        return bool(base.args) and all(c > 0 and _is_square(t) for c, t in terms)
    return isinstance(base, Einsum) and bool(base.summed) and _is_square(base)


def _is_square(e: Expr) -> bool:
    """True for even powers of arrays, their products and their sums along axes."""
    if isinstance(e, Einsum):
        return all(_is_square(arg) for arg in e.args if arg.shape)
    k = exponent_of(e)[1]
    return isinstance(e, Ones) or (isinstance(k, int) and k % 2 == 0)


def power_of(base: Expr, exponent: Scalar) -> Expr:
    """Return base^exponent entry by entry, canonical."""
    exponent = exact(exponent)
    if exponent == 1:
        return base
    if exponent == 0:
        return Ones(base.shape) if base.shape else ONE
    folded = _fold_constant(base, exponent)
    return Apply(power, (base, constant(exponent, base.shape)), base.shape) if folded is None else folded


def _fold_constant(base: Expr, exponent: Scalar) -> Expr | None:
    if isinstance(base, Number):
        value = rational_power(base.value, exponent)
        return None if value is None else Number(value)
    if isinstance(base, Ones) or (isinstance(base, Apply) and base.op.hot and exponent > 0):
        return base
    whole = isinstance(exponent, int)
    inner, k = exponent_of(base)
    if inner is not base and (whole or _stays_positive(k, exponent)):
        return power_of(inner, k * exponent)
    if isinstance(base, Add) and base.args:
        folded = _without_content(base, exponent)
        return _expanded_power(base, exponent) if folded is None else folded
    if isinstance(base, Einsum) and base.summed and product.expanded_axes(base):
        return _expanded_power(base, exponent)
    if isinstance(base, Einsum) and (whole or _only_expanded(base)) and not base.summed:
        factors = [power_of(arg, exponent) for arg in base.args]
        return product.einsum(factors, list(base.subscripts), base.output)
    return None


def _expanded_power(base: Expr, exponent: Scalar) -> Expr | None:
    """(1⃗b)^k = 1⃗ b^k, also for a multiple of 1⃗b; None if no ones expand the base."""
    lost = sorted(product.expanded_axes(base)) if constant_value(base) is None else []
    if not lost:
        return None
    kept = tuple(axis for axis in range(base.ndim) if axis not in lost)
    inner, ones = power_of(total.drop_axes(base, lost), exponent), Ones(tuple(base.shape[k] for k in lost))
    return product.einsum([inner, ones], [kept, tuple(lost)], tuple(range(base.ndim)))


def _stays_positive(inner: Scalar, outer: Scalar) -> bool:
    """(x^a)^b = x^(ab) holds without asking for the sign of x unless a is even: √(x²) is |x|."""
    return isinstance(outer, int) or not (isinstance(inner, int) and inner % 2 == 0)


def _only_expanded(e: Einsum) -> bool:
    return sum(not isinstance(arg, Ones) for arg in e.args) == 1


def _without_content(base: Add, exponent: Scalar) -> Expr | None:
    """(c·u)^k = c^k u^k, for whole k, or where c is positive and c^k is rational."""
    c = total.content(base)
    if len(base.args) == 1 and isinstance(base.coefficients[0], float):
        c = base.coefficients[0]
    if c == 1 or (not isinstance(exponent, int) and c < 0):
        return None
    factor = rational_power(c, exponent)
    return None if factor is None else total.scale(factor, power_of(total.scale(1 / Fraction(c), base), exponent))


def rational_power(value: Scalar, exponent: Scalar) -> Scalar | None:
    """Return value^exponent if it is rational (square roots of squares included), else None."""
    if isinstance(exponent, int):
        if value == 0 and exponent < 0 or abs(exponent) > 64:
            return None
        return exact(Fraction(value) ** exponent if not isinstance(value, float) else value**exponent)
    if isinstance(exponent, Fraction) and exponent.denominator == 2 and not isinstance(value, float) and value > 0:
        f = Fraction(value)
        root = Fraction(isqrt(f.numerator), isqrt(f.denominator))
        return rational_power(exact(root), exponent.numerator) if root * root == f else None
    return None


def _fold(base: Expr, exponent: Expr) -> Expr | None:
    c = constant_value(exponent)
    return None if c is None else power_of(base, c)


def _derivative(x: Expr, k: Expr, y: Expr) -> tuple[Expr, Expr | None]:
    """∂(xᵏ)/∂x = k xᵏ⁻¹ and ∂(xᵏ)/∂k = log(x) xᵏ."""
    c = constant_value(k)
    if c is not None:
        return total.scale(c, power_of(x, c - 1)), None
    return k * x ** (k - 1), CATALOGUE["log"](x) * y


SHORT_LINES = {
    2: "$x * $x",
    3: "$x * $x * $x",
    -1: "1 / $x",
    -2: "1 / ($x * $x)",
    Fraction(1, 2): "$xp.sqrt($x)",
    Fraction(-1, 2): "1 / $xp.sqrt($x)",
}


SHORT_LOOPS = {
    2: "$x * $x",
    3: "$x * $x * $x",
    4: "($x * $x) * ($x * $x)",
    -1: "one / $x",
    -2: "one / ($x * $x)",
    Fraction(1, 2): "np.sqrt($x)",
    Fraction(3, 2): "$x * np.sqrt($x)",
    Fraction(-1, 2): "one / np.sqrt($x)",
    Fraction(-3, 2): "one / ($x * np.sqrt($x))",
}


def _short_line(known: Mapping[str, Scalar]) -> str:
    """A product, a quotient or a root is many times faster than the general power."""
    return SHORT_LINES.get(known.get("k", 1), "")


power = Op(
    "power(x, k)",
    signature="(),()->()",
    derivative=_derivative,
    because="the exponent comes down as a factor and is lowered by one",
    rule="power",
    notation=Notation(text="$x^$k", latex="$x^{$k}", binding="power"),
    loop=Loop("$x ** $k", special=lambda known: SHORT_LOOPS.get(known.get("k", 1), "")),
    code=Code("$x ** $k", special=_short_line),
    domain=lambda x, k: numpy.where(k != numpy.round(k), x, numpy.where(k < 0, abs(x), 1.0)),
    fold=_fold,
    rational=True,
)
CATALOGUE.add([power])
