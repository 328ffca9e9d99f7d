"""Rules for functions applied entry by entry. Every row is checked by `test_rules.py` at random points and at kinks."""

from __future__ import annotations

from chainrule.expression.build import matrix, power, scalar
from chainrule.ops.elementwise import cos, cosh, exp, expm1, log, log1p, sigmoid, sin, sinh, tanh
from chainrule.ops.linear import inv
from chainrule.ops.piecewise import absolute, relu, sign, step
from chainrule.rewrite.rule import Rule

u = scalar("u")
A = matrix("A", "n", "n")

GATES = (  # fmt: skip
    Rule(
        "on the active branch, max(0, z) is z",
        step(u) * relu(u), step(u) * u,
        "the gate [z > 0] is zero wherever max(0, z) differs from z",
        within=True,
    ),
    Rule("max(0, z) already carries its gate", relu(u) * step(u), relu(u), "max(0, z) is zero where the gate is"),
    Rule("z behind its own gate is max(0, z)", u * step(u), relu(u), "z·[z > 0] is z where z > 0 and 0 elsewhere"),
    Rule("a gate twice is the gate", power(step(u), 2), step(u), "0² = 0 and 1² = 1"),
    Rule("a gate and its opposite exclude each other", step(u) * step(-u), u * 0, "z is not above and below 0 at once"),
    Rule("gates of both sides", relu(u) * step(-u), u * 0, "max(0, z) is zero where z < 0"),
    Rule("positive and negative part", relu(u) - relu(-u), u, "max(0, z) − max(0, −z) = z"),
)  # fmt: skip

FUNCTIONS = (
    Rule("logarithm of an exponential", log(exp(u)), u, "the logarithm undoes the exponential"),
    Rule("exponential of a logarithm", exp(log(u)), u, "the exponential undoes the logarithm"),
    Rule("log1p of expm1", log1p(expm1(u)), u, "they undo each other"),
    Rule("square of an absolute value", power(absolute(u), 2), power(u, 2), "the square does not see the sign"),
    Rule("absolute value times sign", absolute(u) * sign(u), u, "|z| sign(z) = z"),
    Rule("sign over absolute value", power(absolute(u), -1) * sign(u), power(u, -1), "sign(z)/|z| = 1/z"),
    Rule("z times its sign", u * sign(u), absolute(u), "z sign(z) = |z|"),
    Rule("sine and cosine", power(sin(u), 2) + power(cos(u), 2), u * 0 + 1, "sin² + cos² = 1 (Pythagoras)"),
    Rule("hyperbolic functions", power(cosh(u), 2) - power(sinh(u), 2), u * 0 + 1, "cosh² − sinh² = 1"),
    Rule("sigmoid of the opposite", sigmoid(-u) + sigmoid(u), u * 0 + 1, "σ(−z) = 1 − σ(z)"),
    Rule("tanh of the opposite", tanh(-u), -tanh(u), "tanh is odd"),
    Rule("sine of the opposite", sin(-u), -sin(u), "the sine is odd"),
    Rule("cosine of the opposite", cos(-u), cos(u), "the cosine is even"),
    Rule("inverse of an inverse", inv(inv(A)), A, "inverting twice changes nothing"),
)

ELEMENTWISE_RULES = (*GATES, *FUNCTIONS)
