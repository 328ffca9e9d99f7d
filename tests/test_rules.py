"""Walks the tables of rules: every row is checked with numbers, so a new row needs no new test."""

from __future__ import annotations

import numpy as np
import pytest

from chainrule.derivative.rules import CHAIN_RULES, NAMED_RULES, diagonal_condition
from chainrule.evaluate import evaluate
from chainrule.expression.build import matrix, mean, scalar, symbol, vector
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE
from chainrule.rewrite.engine import apply_rule
from chainrule.rewrite.pattern import instantiate
from chainrule.rewrite.rule import Rule
from chainrule.simplify.simplify import SIMPLIFICATIONS, simplify
from chainrule.verify.sample import generic_points

relu, step, sin, cos, inv = (CATALOGUE[n] for n in ("relu", "step", "sin", "cos", "inv"))


def same_value(a: Expr, b: Expr, values: dict) -> None:
    np.testing.assert_allclose(evaluate(a, values), evaluate(b, values), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", SIMPLIFICATIONS, ids=lambda r: r.name)
def test_both_sides_are_equal(rule: Rule) -> None:
    for values, sizes in generic_points([rule.this, rule.becomes], 3):
        same_value(rule.this, rule.becomes, values | {k: np.asarray(v) for k, v in sizes.items()})


@pytest.mark.parametrize(
    "rule", [r for r in SIMPLIFICATIONS if all(not h.shape for h in r.holes)], ids=lambda r: r.name
)
@pytest.mark.parametrize("at", [0.0, 1.0, -1.0])
def test_both_sides_are_equal_at_kinks(rule: Rule, at: float) -> None:
    values = {hole.name: np.asarray(at) for hole in rule.holes}
    a, b = evaluate(rule.this, values), evaluate(rule.becomes, values)
    if np.isfinite(a):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("rule", SIMPLIFICATIONS, ids=lambda r: r.name)
def test_applies_to_its_own_left_side(rule: Rule) -> None:
    holes = {
        hole: symbol(f"{hole.name}_filled", (*(("k",) if not hole.shape else ()), *hole.shape)) for hole in rule.holes
    }
    batch = ("k",) if any(not hole.shape for hole in rule.holes) else ()
    filled = instantiate(rule.this, holes, batch)
    expected = instantiate(rule.becomes, holes, batch)
    if not rule.within:
        assert apply_rule(rule, filled) is expected
    assert rule.because


@pytest.mark.parametrize("rule", [*NAMED_RULES, *CHAIN_RULES], ids=lambda r: r.name)
def test_named_rules_have_their_words(rule) -> None:
    assert rule.name and "∂" in rule.statement or "d" in rule.statement
    assert rule.because and not rule.because.endswith(".")


def test_a_rule_with_an_unbound_hole_is_refused() -> None:
    u, v = scalar("u"), scalar("v")
    with pytest.raises(ValueError, match="holes on its right"):
        Rule("wrong", sin(u), cos(v))


def test_gate_reaches_into_the_sum_it_multiplies() -> None:
    y, z = vector("y", "n"), vector("z", "n")
    assert simplify(step(z) * (y - relu(z))) is step(z) * (y - z)
    assert simplify(step(z) * (y - relu(y))) is step(z) * (y - relu(y)), "another gate does not help"


def test_common_factor_is_taken_out() -> None:
    x, u, v = scalar("x"), vector("u", "n"), vector("v", "n")
    A = matrix("A", "m", "n")
    assert simplify(A @ u + A @ v) is A @ (u + v)
    assert simplify(cos(x) + 2 * x * cos(x)) is cos(x) * (1 + 2 * x)
    assert simplify(u * x + v) is u * x + v


def test_identities_are_found_inside_larger_expressions() -> None:
    A, B = matrix("A", "n", "n"), matrix("B", "n", "n")
    x = vector("x", "n")
    assert simplify(3 * sin(x) ** 2 + 3 * cos(x) ** 2 + x) is 3 + x
    assert simplify(B @ inv(A) @ A @ x) is B @ x
    softmax = CATALOGUE["softmax"]
    assert simplify(mean(softmax(B).sum(axis=1))) is simplify(scalar("one") * 0 + 1)


def test_diagonal_condition_is_stated_and_refused() -> None:
    w, x = vector("w", "n"), vector("x", "n")
    A = matrix("A", "n", "n")
    assert diagonal_condition(w * x, w).holds
    assert diagonal_condition(sin(w) / x, w).holds
    assert not diagonal_condition(A @ w, w).holds
    assert not diagonal_condition(w * w.sum(), w).holds
    assert "not diagonal" in diagonal_condition(A @ w, w).because
