"""Functions that were spelled out are called by their names. Every row is checked by `test_rules.py`."""

from __future__ import annotations

from chainrule.expression.build import power, scalar, sum, vector
from chainrule.ops.elementwise import cosh, exp, log, sigmoid, sinh, tanh
from chainrule.ops.extreme import others, product_of
from chainrule.ops.reduction import logsumexp, softmax
from chainrule.rewrite.rule import Rule

u = scalar("u")
v = vector("v", "n")
total = sum(exp(v))
MOST = 4  # the highest power of a denominator that derivatives up to the third bring

SOFTMAX = tuple(
    Rule(
        "softmax, spelled out",
        power(exp(v), j) * power(total, -k),
        power(softmax(v), j) * power(total, j - k),
        "softmax(z) is exp(z) divided by the sum of its entries",
    )
    for k in range(1, MOST + 1)
    for j in range(k, 0, -1)
)
SIGMOID = tuple(
    Rule(
        "sigmoid, spelled out",
        exp(u) * power(1 + exp(u), -k),
        sigmoid(u) * power(1 + exp(u), 1 - k),
        "σ(z) is exp(z)/(1 + exp(z))",
    )
    for k in range(1, MOST + 1)
)

RECOGNISED = (
    *SOFTMAX,
    *SIGMOID,
    Rule("sigmoid, spelled out", power(1 + exp(u), -1), sigmoid(-u), "σ(z) is 1/(1 + exp(−z))"),
    Rule("sigmoid, spelled out", exp(u) * sigmoid(-u), sigmoid(u), "exp(z) σ(−z) = exp(z)/(1 + exp(z)) = σ(z)"),
    Rule("log-sum-exp, spelled out", log(total), logsumexp(v), "logsumexp(z) is ln(sum(exp(z)))"),
    Rule(
        "product of the others",
        others(v) * power(product_of(v), -1), power(v, -1),
        "the product of the others over the product of all is one over the entry",
    ),
    Rule("tanh, spelled out", sinh(u) * power(cosh(u), -1), tanh(u), "tanh(z) is sinh(z)/cosh(z)"),
    Rule(
        "tanh, spelled out",
        (exp(u) - exp(-u)) * power(exp(u) + exp(-u), -1), tanh(u),
        "tanh(z) is (exp(z) − exp(−z))/(exp(z) + exp(−z))",
    ),
    Rule("one minus sigmoid", 1 - sigmoid(-u), sigmoid(u), "1 − σ(−z) = σ(z)"),
)  # fmt: skip
