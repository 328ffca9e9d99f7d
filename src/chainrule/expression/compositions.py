"""Functions that are made of others: no entry in the catalogue, so no rule of their own, and one derivative for every
way of writing them. `silu(z)` and `z * sigmoid(z)` are the same expression.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import pi
from typing import Any

import chainrule.expression.build as build
import chainrule.expression.gather as gather
import chainrule.expression.rearranging as rearranging
import chainrule.expression.selection as selection
from chainrule.expression.build import Axis, add, as_expr, divide, mean, multiply, normal_axes, power, subtract, sum
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE

HALF = Fraction(1, 2)


# --- activations
def leaky_relu(z: Any, slope: Any = Fraction(1, 100)) -> Expr:
    """Return z where z > 0 and slope·z elsewhere: max(0, z) − slope·max(0, −z)."""
    relu = CATALOGUE["relu"]
    return subtract(relu(z), multiply(slope, relu(build.negative(z))))


def silu(z: Any) -> Expr:
    """Return z σ(z). Source: Elfwing, Uchibe, Doya 2018."""
    return multiply(z, CATALOGUE["sigmoid"](z))


def gelu(z: Any) -> Expr:
    """Return z Φ(z), with the distribution function Φ of the normal. Source: Hendrycks and Gimpel 2016."""
    return multiply(HALF, multiply(z, add(1, CATALOGUE["erf"](divide(z, power(2, HALF))))))


def gelu_tanh(z: Any) -> Expr:
    """Return GELU's approximation with tanh. Source: Hendrycks and Gimpel 2016, section 2."""
    cubic = add(z, multiply(Fraction(44715, 1000000), power(z, 3)))
    return multiply(HALF, multiply(z, add(1, CATALOGUE["tanh"](multiply((2 / pi) ** 0.5, cubic)))))


def log_sigmoid(z: Any) -> Expr:
    """Return log σ(z) = −log(1 + e⁻ᶻ), which never overflows."""
    return build.negative(CATALOGUE["softplus"](build.negative(z)))


# --- logarithms and powers to other bases
def exp2(z: Any) -> Expr:
    """Return 2ᶻ."""
    return power(2, z)


def log2(z: Any) -> Expr:
    """Return the logarithm to the base 2."""
    return divide(CATALOGUE["log"](z), CATALOGUE["log"](2))


def log10(z: Any) -> Expr:
    """Return the logarithm to the base 10."""
    return divide(CATALOGUE["log"](z), CATALOGUE["log"](10))


def hypot(a: Any, b: Any) -> Expr:
    """Return √(a² + b²)."""
    return power(add(power(a, 2), power(b, 2)), HALF)


def logaddexp(a: Any, b: Any) -> Expr:
    """Return log(eᵃ + eᵇ) = b + log(1 + e^(a − b))."""
    return add(b, CATALOGUE["softplus"](subtract(a, b)))


def log_softmax(z: Any, axis: int = -1) -> Expr:
    """Return log softmax(z) = z − 1⃗ logsumexp(z), along one axis."""
    z = rearranging.moveaxis(z, axis, -1)
    return rearranging.moveaxis(subtract(z, _expanded(CATALOGUE["logsumexp"](z))), -1, axis)


def _expanded(e: Expr) -> Expr:
    """Give a reduced array its last axis back, with one entry."""
    return build.contract("...,i->...i", e, build.ones(1))


# --- reductions
def along_axes(op: str) -> Callable[..., Expr]:
    """Return max, min, prod … along any axes, from the operation on the last axis."""

    def reduced(a: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
        e = as_expr(a)
        axes = normal_axes(axis, e.ndim)
        for k in sorted(axes, reverse=True):
            e = CATALOGUE[op](e, axis=k)
        for k in sorted(axes) if keepdims else ():
            order = [*range(k), e.ndim, *range(k, e.ndim)]
            e = build.transpose(_expanded(e), order)
        return e

    return reduced


# --- norms
def norm1(a: Any) -> Expr:
    """Return Σ|x| over all entries."""
    return sum(CATALOGUE["abs"](a))


def norminf(a: Any) -> Expr:
    """Return the largest |x|."""
    return along_axes("max")(CATALOGUE["abs"](a))


# --- normalisation
def layernorm(x: Any, gamma: Any = 1, beta: Any = 0, eps: Any = 0) -> Expr:
    """Return γ ⊙ (x − mean)/√(var + ε) + β along the last axis. Source: Ba, Kiros, Hinton 2016."""
    return _scaled(_standardised(as_expr(x), -1, eps), gamma, beta)


def batchnorm(x: Any, gamma: Any = 1, beta: Any = 0, eps: Any = 0) -> Expr:
    """Return γ ⊙ (x − mean)/√(var + ε) + β along the first axis. Source: Ioffe and Szegedy 2015."""
    return _scaled(_standardised(as_expr(x), 0, eps), gamma, beta)


def rmsnorm(x: Any, gamma: Any = 1, beta: Any = 0, eps: Any = 0) -> Expr:
    """Return γ ⊙ x/√(mean(x²) + ε) + β along the last axis. Source: Zhang and Sennrich 2019."""
    e = as_expr(x)
    return _scaled(divide(e, power(add(mean(power(e, 2), -1, keepdims=True), eps), HALF)), gamma, beta)


def _standardised(e: Expr, axis: int, eps: Any) -> Expr:
    centred = subtract(e, mean(e, axis, keepdims=True))
    return divide(centred, power(add(build.var(e, axis, keepdims=True), eps), HALF))


def _scaled(e: Expr, gamma: Any, beta: Any) -> Expr:
    return add(multiply(gamma, e), beta)


# --- losses
def cross_entropy(z: Any, y: Any) -> Expr:
    """Return −Σ y ⊙ log softmax(z), of a matrix the mean over its rows: `y` one-hot, probabilities, or the classes."""
    logs, y = log_softmax(z), build.as_expr(y)
    if y.ndim == logs.ndim - 1:
        y = gather.onehot.of_shape((*y.shape, logs.shape[-1]), y)
    each = build.negative(sum(multiply(y, logs), -1))
    return mean(each) if each.ndim else each


# --- linear algebra
def solve(a: Any, b: Any) -> Expr:
    """Return the x with a x = b, which is a⁻¹ b."""
    return build.matmul(CATALOGUE["inv"](a), b)


NAMES: dict[str, Callable[..., Expr]] = {
    "leaky_relu": leaky_relu, "silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh, "log_sigmoid": log_sigmoid,
    "exp2": exp2, "log2": log2, "log10": log10, "hypot": hypot, "logaddexp": logaddexp,
    "norm1": norm1, "norminf": norminf, "log_softmax": log_softmax, "layernorm": layernorm, "rmsnorm": rmsnorm,
    "batchnorm": batchnorm, "cross_entropy": cross_entropy, "solve": solve,
    "max": along_axes("max"), "min": along_axes("min"), "prod": along_axes("prod"),
    "amax": along_axes("max"), "amin": along_axes("min"),
    "einsum": rearranging.einstein, "swapaxes": rearranging.swapaxes, "moveaxis": rearranging.moveaxis,
    "expand_dims": rearranging.expand_dims, "squeeze": rearranging.squeeze, "reshape": rearranging.reshape,
    "take": gather.take, "take_along_axis": gather.take_along_axis,
    "part": selection.part, "concatenate": selection.concatenate, "stack": selection.stack, "vec": selection.vec,
    "hstack": lambda parts: selection.concatenate(parts, 0 if parts[0].ndim == 1 else 1),
    "vstack": lambda parts: selection.stack(parts) if parts[0].ndim == 1 else selection.concatenate(parts, 0),
    "ravel": selection.ravel, "kron": selection.kron, "tril": selection.tril, "triu": selection.triu,
    "cumsum": lambda e, axis=None: selection.cumsum(selection.ravel(e) if axis is None else e, axis or 0),
}  # fmt: skip
build.NUMPY.update(NAMES)
