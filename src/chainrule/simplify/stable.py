"""What is computed in place of what is written: the same function, where the written one overflows or is 0 · ∞.

An expression keeps the form in which it was written, and prints so; its values, and programs, are those of `stable(e)`.
Source: Blanchard, Higham and Higham, Accurately Computing the Log-Sum-Exp and Softmax Functions (2021); Mächler,
Accurately Computing log(1 − exp(−|a|)) (2012).
"""

from __future__ import annotations

from chainrule.derivative.differentiate import rebuilt
from chainrule.expression.build import matrix, scalar, sum, vector
from chainrule.expression.node import Apply, Expr, walk
from chainrule.ops.elementwise import cosh, exp, log, sigmoid, softplus
from chainrule.ops.logarithm import xlogy
from chainrule.ops.piecewise import absolute
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
# fmt: on
STABLE = (*LOGARITHMS, *RECOGNISED)


def stable(e: Expr) -> Expr:
    """Return an expression with the value of `e`, but finite wherever that is: the form to compute with."""
    nodes = walk(e)
    if not any(isinstance(node, Apply) and node.op in (exp, log) for node in nodes):
        return e
    done: dict[Expr, Expr] = {}
    for node in nodes:
        done[node] = rewrite_node(rebuilt(node, [done[arg] for arg in node.args]), STABLE)
    return done[e]
