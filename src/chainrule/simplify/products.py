"""Rules for products of matrices."""

from __future__ import annotations

from chainrule.expression.build import eye, matrix, ones, sum, vector
from chainrule.ops.linear import inv
from chainrule.ops.reduction import softmax
from chainrule.rewrite.rule import Rule

A = matrix("A", "n", "n")
v = vector("v", "n")

PRODUCT_RULES = (
    Rule("inverse times itself", inv(A) @ A, eye("n"), "A⁻¹A = I"),
    Rule("a matrix times its inverse", A @ inv(A), eye("n"), "AA⁻¹ = I"),
    Rule("the parts of a softmax", sum(softmax(v)), ones(), "the parts of a softmax sum to 1"),
)
