"""What is computed in place of what is written: the same function, where the written one overflows or is 0 · ∞.

An expression keeps the form in which it was written, and prints so; its values, and programs, are those of `stable(e)`.
Source: Blanchard, Higham and Higham, Accurately Computing the Log-Sum-Exp and Softmax Functions (2021); Mächler,
Accurately Computing log(1 − exp(−|a|)) (2012).
"""

from __future__ import annotations

from chainrule.derivative.differentiate import rebuilt
from chainrule.expression.build import matrix, scalar, sum, vector
from chainrule.expression.node import Add, Apply, Einsum, Expr, walk
from chainrule.expression.power import exponent_of, power_of
from chainrule.expression.product import einsum
from chainrule.ops.elementwise import cosh, exp, log, sigmoid, sigmoid_slope, softplus
from chainrule.ops.logarithm import xlogy
from chainrule.ops.piecewise import absolute, relu, step
from chainrule.ops.reduction import logsumexp, softmax
from chainrule.rewrite.engine import rewrite_node
from chainrule.rewrite.rule import Rule
from chainrule.simplify.recognise import RECOGNISED

u, w = scalar("u"), scalar("w")
v = vector("v", "n")
M = matrix("M", "m", "n")

# fmt: off
LOGARITHMS = (
    Rule("logarithm of a sigmoid", log(sigmoid(u)), -softplus(-u), "ln σ(z) is −ln(1 + exp(−z))"),
    Rule("logarithm of one minus a sigmoid", log(1 - sigmoid(u)), -softplus(u), "ln(1 − σ(z)) is −ln(1 + exp(z))"),
    Rule("logarithm of a softmax", log(softmax(v)), v - logsumexp(v), "ln softmax(z) is z − logsumexp(z)"),
    Rule(
        "log-sum-exp of a matrix", log(sum(exp(M))), logsumexp(logsumexp(M)),
        "the sum of all entries is the sum of the sums of the rows",
    ),
    Rule(
        "logarithm of a cosh", log(cosh(u)), absolute(u) + softplus(-2 * absolute(u)) - log(2),
        "cosh(z) is exp(|z|) (1 + exp(−2|z|))/2",
    ),
    Rule("x ln x at 0", u * log(u), xlogy(u, u), "x ln(x) goes to 0 with x"),
    Rule("x ln(x y) at 0", u * log(u * w), xlogy(u, u * w), "x ln(x y) goes to 0 with x"),
)
SLOPES = (
    Rule("slope of a sigmoid", sigmoid(u) * sigmoid(-u), sigmoid_slope(u), "σ(z) σ(−z) takes one exponential"),
)
# fmt: on
STABLE = (*LOGARITHMS, *RECOGNISED, *SLOPES)


def stable(e: Expr) -> Expr:
    """Return an expression with the value of `e`, but finite wherever that is: the form to compute with."""
    nodes = walk(e)
    used = {node.op for node in nodes if isinstance(node, Apply)}
    if not (used & {exp, log, sigmoid} or {relu, step} <= used):
        return e
    done: dict[Expr, Expr] = {}
    for node in nodes:
        made = rewrite_node(rebuilt(node, [done[arg] for arg in node.args]), STABLE)
        done[node] = _without_zero_times_infinity(made) if isinstance(made, Einsum) else made
    return done[e]


def _without_zero_times_infinity(e: Einsum) -> Expr:
    """Return a product in which no factor is infinite where another one is 0: xᵏ ln x, and [z > 0] relu(z)⁻ᵏ."""
    factors = list(zip(e.args, e.subscripts, strict=True))
    for log_, sub in factors:
        if isinstance(log_, Apply) and log_.op is log:
            (w,) = log_.args
            for f in [f for f, s in factors if s == sub and exponent_of(f)[0] is w and exponent_of(f)[1] > 0]:
                rest = [pair for pair in factors if pair not in ((log_, sub), (f, sub))]
                factors = [*rest, (xlogy(f, w), sub)]
                break
    gates = [(f.args[0], sub) for f, sub in factors if isinstance(f, Apply) and f.op is step]
    for z, place in gates:
        factors = [(_above_zero(f, z) if sub == place else f, sub) for f, sub in factors]
    return einsum([f for f, _ in factors], [sub for _, sub in factors], e.output)


def _above_zero(e: Expr, z: Expr) -> Expr:
    """Return what is `e` where z > 0, with 1 in place of relu(z)⁻ᵏ elsewhere, where it does not count."""
    base, k = exponent_of(e)
    if k < 0 and isinstance(base, Apply) and base.op is relu and base.args[0] is z:
        return power_of(base + (1 - step(z)), k)
    if isinstance(e, Add) or (isinstance(e, Apply) and e.op.is_elementwise):
        return rebuilt(e, [_above_zero(arg, z) if arg.shape == z.shape else arg for arg in e.args])
    if isinstance(e, Einsum) and not e.summed:
        args = zip(e.args, e.subscripts, strict=True)
        return rebuilt(e, [_above_zero(arg, z) if sub == e.output else arg for arg, sub in args])
    return e
