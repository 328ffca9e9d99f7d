"""Smooth element-wise functions. Derivatives: any calculus text; Abramowitz and Stegun, chapters 4 and 7."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from chainrule.expression.build import divide, multiply, power, subtract
from chainrule.expression.node import Add, Apply, Expr
from chainrule.expression.op import Code, Loop, Notation, Op
from chainrule.expression.power import constant, constant_value
from chainrule.ops.logarithm import logarithm_of


def known(**values: int) -> Any:
    """Fold at one argument: `known(at=0, value=1)` knows that f(0) = 1."""

    def fold(z: Expr) -> Expr | None:
        return constant(values["value"], z.shape) if constant_value(z) == values["at"] else None

    return fold


def stable_sigmoid(z: Any, xp: Any) -> Any:
    """1/(1 + e⁻ᶻ) without overflow: the exponent is never positive."""
    small = xp.exp(-xp.abs(z))
    large = 1 / (1 + small)  # the sigmoid of |z|
    return xp.where(z >= 0, large, small * large)


def stable_sigmoid_slope(z: Any, xp: Any) -> Any:
    """σ(z) σ(−z) = e^(−|z|)/(1 + e^(−|z|))², exact in both tails, where one of the factors is nearly 1."""
    small = xp.exp(-xp.abs(z))
    large = 1 / (1 + small)
    return small * large * large


def stable_softplus(z: Any, xp: Any) -> Any:
    """log(1 + eᶻ) = max(z, 0) + log(1 + e^(−|z|)), which never overflows."""
    return xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))


def error_function(z: Any, xp: Any) -> Any:
    """The error function, entry by entry."""
    from math import erf  # noqa: PLC0415 - the function must stand alone in code that people take away

    return xp.vectorize(erf, otypes=[xp.result_type(z, 0.0)])(z)


def fold_log(z: Expr) -> Expr | None:
    """log 1 = 0, log(1 + eᵘ) = softplus(u), which never overflows, and what operations say of their logarithms."""
    if constant_value(z) == 1:
        return constant(0, z.shape)
    return fold_log1p(subtract(z, 1)) if isinstance(z, Add) else logarithm_of(z)


def fold_log1p(z: Expr) -> Expr | None:
    """log1p 0 = 0, and log(1 + eᵘ) = softplus(u)."""
    if constant_value(z) == 0:
        return constant(0, z.shape)
    return softplus(z.args[0]) if isinstance(z, Apply) and z.op is exp else None


exp = Op(
    "exp(z)",
    "()->()",
    derivative=lambda z, y: y,
    because="the exponential is its own derivative",
    rule="exponential",
    notation=Notation(text="exp($z)", latex=r"\exp($z)"),
    code=Code("$xp.exp($z)"),
    loop=Loop("fast_exp($z)"),
    fold=known(at=0, value=1),
)

log = Op(
    "log(z)",
    "()->()",
    derivative=lambda z, y: divide(1, z),
    because="the slope of the natural logarithm at z is 1/z",
    rule="logarithm",
    notation=Notation(text="ln($z)", latex=r"\ln($z)"),
    code=Code("$xp.log($z)"),
    loop=Loop("fast_log($z)"),
    fold=fold_log,
    domain=lambda z: z,
    aliases=("ln",),
)

log1p = Op(
    "log1p(z)",
    "()->()",
    definition=lambda z: log(1 + z),
    derivative=lambda z, y: divide(1, 1 + z),
    because="log1p(z) is ln(1 + z), and the inner slope is 1",
    rule="logarithm",
    notation=Notation(text="ln(1 + $z)", latex=r"\ln(1 + $z)"),
    code=Code("$xp.log1p($z)"),
    loop=Loop("fast_log1p($z)"),
    fold=fold_log1p,
    domain=lambda z: 1 + z,
)

expm1 = Op(
    "expm1(z)",
    "()->()",
    definition=lambda z: exp(z) - 1,
    derivative=lambda z, y: exp(z),
    because="expm1(z) is exp(z) − 1, and the constant drops out",
    rule="exponential",
    notation=Notation(text="exp($z) − 1", latex=r"\exp($z) - 1", binding="sum"),
    code=Code("$xp.expm1($z)"),
    loop=Loop("fast_expm1($z)"),
    fold=known(at=0, value=0),
)

sin = Op(
    "sin(z)",
    "()->()",
    derivative=lambda z, y: cos(z),
    because="the sine turns into the cosine",
    rule="sine",
    notation=Notation(latex=r"\sin($z)"),
    code=Code("$xp.sin($z)"),
    loop=Loop("np.sin($z)"),
    fold=known(at=0, value=0),
)

cos: Op = Op(
    "cos(z)",
    "()->()",
    derivative=lambda z, y: -sin(z),
    because="the cosine turns into minus the sine",
    rule="cosine",
    notation=Notation(latex=r"\cos($z)"),
    code=Code("$xp.cos($z)"),
    loop=Loop("np.cos($z)"),
    fold=known(at=0, value=1),
)

tan = Op(
    "tan(z)",
    "()->()",
    definition=lambda z: divide(sin(z), cos(z)),
    derivative=lambda z, y: 1 + y**2,
    because="the slope of the tangent is 1 + tan²",
    rule="tangent",
    notation=Notation(latex=r"\tan($z)"),
    code=Code("$xp.tan($z)"),
    loop=Loop("np.tan($z)"),
    fold=known(at=0, value=0),
    domain=lambda z: np.abs(np.cos(z)) - 0.1,
)

arcsin = Op(
    "arcsin(z)",
    "()->()",
    derivative=lambda z, y: power(1 - z**2, -0.5),
    because="the slope of the inverse is one over the slope of the function: 1/cos(y) with sin(y) = z",
    rule="inverse sine",
    notation=Notation(latex=r"\arcsin($z)"),
    code=Code("$xp.arcsin($z)", torch="$xp.asin($z)"),
    loop=Loop("np.arcsin($z)"),
    fold=known(at=0, value=0),
    domain=lambda z: 1 - np.abs(z),
    aliases=("asin",),
)

arccos = Op(
    "arccos(z)",
    "()->()",
    derivative=lambda z, y: -power(1 - z**2, -0.5),
    because="the slope of the inverse is one over the slope of the function: −1/sin(y) with cos(y) = z",
    rule="inverse cosine",
    notation=Notation(latex=r"\arccos($z)"),
    code=Code("$xp.arccos($z)", torch="$xp.acos($z)"),
    loop=Loop("np.arccos($z)"),
    domain=lambda z: 1 - np.abs(z),
    aliases=("acos",),
)

arctan = Op(
    "arctan(z)",
    "()->()",
    derivative=lambda z, y: divide(1, 1 + z**2),
    because="the slope of the inverse is one over the slope of the function: 1/(1 + tan²(y)) with tan(y) = z",
    rule="inverse tangent",
    notation=Notation(latex=r"\arctan($z)"),
    code=Code("$xp.arctan($z)", torch="$xp.atan($z)"),
    loop=Loop("np.arctan($z)"),
    fold=known(at=0, value=0),
    aliases=("atan",),
)

sinh = Op(
    "sinh(z)",
    "()->()",
    definition=lambda z: divide(exp(z) - exp(-z), 2),
    derivative=lambda z, y: cosh(z),
    because="the hyperbolic sine turns into the hyperbolic cosine",
    rule="hyperbolic sine",
    notation=Notation(latex=r"\sinh($z)"),
    code=Code("$xp.sinh($z)"),
    loop=Loop("np.sinh($z)"),
    fold=known(at=0, value=0),
)

cosh: Op = Op(
    "cosh(z)",
    "()->()",
    definition=lambda z: divide(exp(z) + exp(-z), 2),
    derivative=lambda z, y: sinh(z),
    because="the hyperbolic cosine turns into the hyperbolic sine",
    rule="hyperbolic cosine",
    notation=Notation(latex=r"\cosh($z)"),
    code=Code("$xp.cosh($z)"),
    loop=Loop("np.cosh($z)"),
    fold=known(at=0, value=1),
)

tanh = Op(
    "tanh(z)",
    "()->()",
    definition=lambda z: divide(sinh(z), cosh(z)),
    derivative=lambda z, y: 1 - y**2,
    because="the slope of tanh is 1 − tanh²: steepest at 0, flat far out",
    rule="hyperbolic tangent",
    notation=Notation(latex=r"\tanh($z)"),
    code=Code("$xp.tanh($z)"),
    loop=Loop("fast_tanh($z)"),
    fold=known(at=0, value=0),
)

sigmoid = Op(
    "sigmoid(z)",
    "()->()",
    definition=lambda z: divide(1, 1 + exp(-z)),
    derivative=lambda z, y: multiply(y, subtract(1, y)),
    because="the slope of the sigmoid σ is σ(1 − σ): largest at 0, where it is 1/4",
    rule="sigmoid",
    notation=Notation(text="σ($z)", latex=r"\sigma($z)"),
    code=Code("stable_sigmoid($z, $xp)", jax="jax.nn.sigmoid($z)", torch="$xp.sigmoid($z)", helper=stable_sigmoid),
    loop=Loop("fast_sigmoid($z)"),
    aliases=("expit", "logistic"),
)

sigmoid_slope = Op(
    "sigmoid_slope(z)",
    "()->()",
    definition=lambda z: multiply(sigmoid(z), sigmoid(-z)),
    derivative=lambda z, y: multiply(y, subtract(sigmoid(-z), sigmoid(z))),
    because="the slope of the sigmoid is σ(z) σ(−z), whose own slope is σ(z) σ(−z) (σ(−z) − σ(z))",
    rule="sigmoid",
    notation=Notation(text="σ′($z)", latex=r"\sigma'($z)"),
    code=Code(
        "stable_sigmoid_slope($z, $xp)",
        jax="jax.nn.sigmoid($z) * jax.nn.sigmoid(-$z)",
        torch="$xp.sigmoid($z) * $xp.sigmoid(-$z)",
        helper=stable_sigmoid_slope,
    ),
    loop=Loop("fast_sigmoid($z) * fast_sigmoid(-$z)"),
)

softplus: Op = Op(
    "softplus(z)",
    "()->()",
    definition=lambda z: z + log(1 + exp(-z)),
    derivative=lambda z, y: sigmoid(z),
    because="the slope of softplus is the sigmoid",
    rule="softplus",
    notation=Notation(text="ln(1 + exp($z))", latex=r"\ln(1 + \exp($z))"),
    code=Code(
        "stable_softplus($z, $xp)",
        jax="jax.nn.softplus($z)",
        torch="-$xp.nn.functional.logsigmoid(-$z)",  # torch's own softplus gives up digits beyond z = 20
        helper=stable_softplus,
    ),
    loop=Loop("fast_softplus($z)"),
)

erf = Op(
    "erf(z)",
    "()->()",
    derivative=lambda z, y: 2 / pi**0.5 * exp(-(z**2)),
    because="the error function is the integral of the bell curve 2/√π exp(−z²)",
    rule="error function",
    notation=Notation(latex=r"\operatorname{erf}($z)"),
    loop=Loop("math.erf($z)"),
    code=Code("error_function($z, $xp)", jax="jax.lax.erf($z)", torch="$xp.erf($z)", helper=error_function),
    fold=known(at=0, value=0),
)

arcsinh = Op(
    "arcsinh(z)",
    "()->()",
    derivative=lambda z, y: power(1 + z**2, -0.5),
    because="the slope of the inverse is one over the slope of the function: 1/cosh(y) with sinh(y) = z",
    rule="inverse hyperbolic sine",
    notation=Notation(latex=r"\operatorname{arsinh}($z)"),
    code=Code("$xp.arcsinh($z)", torch="$xp.asinh($z)"),
    loop=Loop("np.arcsinh($z)"),
    fold=known(at=0, value=0),
    aliases=("asinh", "arsinh"),
)

arccosh = Op(
    "arccosh(z)",
    "()->()",
    derivative=lambda z, y: power(z**2 - 1, -0.5),
    because="the slope of the inverse is one over the slope of the function: 1/sinh(y) with cosh(y) = z",
    rule="inverse hyperbolic cosine",
    notation=Notation(latex=r"\operatorname{arcosh}($z)"),
    code=Code("$xp.arccosh($z)", torch="$xp.acosh($z)"),
    loop=Loop("np.arccosh($z)"),
    domain=lambda z: z - 1,
    aliases=("acosh", "arcosh"),
)

arctanh = Op(
    "arctanh(z)",
    "()->()",
    derivative=lambda z, y: divide(1, 1 - z**2),
    because="the slope of the inverse is one over the slope of the function: 1/(1 − tanh²(y)) with tanh(y) = z",
    rule="inverse hyperbolic tangent",
    notation=Notation(latex=r"\operatorname{artanh}($z)"),
    code=Code("$xp.arctanh($z)", torch="$xp.atanh($z)"),
    loop=Loop("np.arctanh($z)"),
    fold=known(at=0, value=0),
    domain=lambda z: 1 - np.abs(z),
    aliases=("atanh", "artanh"),
)

cbrt = Op(
    "cbrt(z)",
    "()->()",
    derivative=lambda z, y: divide(1, 3 * y**2),
    because="the slope of the inverse is one over the slope of the function: 1/(3y²) with y³ = z",
    rule="cube root",
    notation=Notation(text="∛($z)", latex=r"\sqrt[3]{$z}"),
    loop=Loop("np.cbrt($z)"),
    code=Code("$xp.cbrt($z)", torch="$xp.sign($z) * $xp.abs($z) ** (1 / 3)"),
    fold=known(at=0, value=0),
    domain=np.abs,
)

ELEMENTWISE = (
    exp, log, log1p, expm1, sin, cos, tan, arcsin, arccos, arctan, sinh, cosh, tanh, sigmoid, softplus, erf,
    arcsinh, arccosh, arctanh, cbrt,
)  # fmt: skip
