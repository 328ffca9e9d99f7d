"""Rules that rest on facts about symbols. A hole with a fact takes only what is known to have it."""

from __future__ import annotations

from fractions import Fraction

from chainrule.expression.build import eye, matrix, ones, power, scalar, sum, vector
from chainrule.expression.node import ZERO
from chainrule.ops.linear import inv, logdet
from chainrule.ops.piecewise import absolute, relu, sign, step
from chainrule.rewrite.rule import Rule

Q = matrix("Q", "n", "n", "orthogonal")
c = scalar("c", "positive")
h = vector("h", "n", "one-hot")
p = vector("p", "n", "sums to one")

FACT_RULES = (
    Rule("columns of an orthogonal matrix", Q.T @ Q, eye("n"), "the columns of an orthogonal matrix are orthonormal"),
    Rule("rows of an orthogonal matrix", Q @ Q.T, eye("n"), "the rows of an orthogonal matrix are orthonormal"),
    Rule("inverse of an orthogonal matrix", inv(Q), Q.T, "QᵀQ = I, so the transpose is the inverse"),
    Rule("volume of an orthogonal matrix", logdet(Q), ZERO, "an orthogonal matrix keeps volumes: |det Q| = 1"),
    Rule("parts that sum to one", sum(p), ones(), "the entries sum to 1"),
    Rule("a one-hot vector squared", power(h, 2), h, "0² = 0 and 1² = 1"),
    Rule("absolute value of what is positive", absolute(c), c, "|z| = z for z > 0"),
    Rule("sign of what is positive", sign(c), c * 0 + 1, "the sign of z > 0 is 1"),
    Rule("gate of what is positive", step(c), c * 0 + 1, "[z > 0] is 1 where z > 0"),
    Rule("max(0, z) of what is positive", relu(c), c, "max(0, z) = z for z > 0"),
    Rule("root of a square", power(power(c, 2), Fraction(1, 2)), c, "√(z²) = z for z > 0"),
    Rule("root of a square", power(power(c, 2), Fraction(-1, 2)), power(c, -1), "√(z²) = z for z > 0"),
)
