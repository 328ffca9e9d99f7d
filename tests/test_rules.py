"""Walks the tables of rules: every row is checked with numbers, so a new row needs no new test."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.derivative.chains import CHAIN_RULES
from chainrule.derivative.differentiate import jacobian, substitute
from chainrule.derivative.rules import NAMED_RULES, diagonal_condition
from chainrule.evaluate import evaluate
from chainrule.expression.build import diag, matrix, mean, scalar, sum, symbol, transpose, vector
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE
from chainrule.rewrite.engine import apply_rule
from chainrule.rewrite.facts import is_symmetric
from chainrule.rewrite.pattern import instantiate
from chainrule.rewrite.rule import Rewrite, Rule
from chainrule.simplify.simplify import SIMPLIFICATIONS, simplify
from chainrule.simplify.stable import LOGARITHMS, SLOPES
from chainrule.simplify.structure import symmetric_gradient
from chainrule.verify.sample import generic_points

relu, step, sin, cos, inv = (CATALOGUE[n] for n in ("relu", "step", "sin", "cos", "inv"))


def same_value(a: Expr, b: Expr, values: dict) -> None:
    np.testing.assert_allclose(evaluate(a, values), evaluate(b, values), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", (*SIMPLIFICATIONS, *LOGARITHMS, *SLOPES), ids=lambda r: r.name)
def test_both_sides_are_equal(rule: Rule) -> None:
    for values, sizes in generic_points([rule.this, rule.becomes], 3):
        same_value(rule.this, rule.becomes, values | {k: np.asarray(v) for k, v in sizes.items()})


@pytest.mark.parametrize(
    "rule", [r for r in SIMPLIFICATIONS if all(not (h.shape or h.facts) for h in r.holes)], ids=lambda r: r.name
)
@pytest.mark.parametrize("at", [0.0, 1.0, -1.0])
def test_both_sides_are_equal_at_kinks(rule: Rule, at: float) -> None:
    values = {hole.name: np.asarray(at) for hole in rule.holes}
    a, b = evaluate(rule.this, values), evaluate(rule.becomes, values)
    if np.isfinite(a):
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("rule", (*SIMPLIFICATIONS, *LOGARITHMS, *SLOPES), ids=lambda r: r.name)
def test_applies_to_its_own_left_side(rule: Rule) -> None:
    holes = {
        hole: symbol(f"{hole.name}_filled", (*(("k",) if not hole.shape else ()), *hole.shape), *hole.facts)
        for hole in rule.holes
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


# --- the printed form of well-known derivatives
DATA = {"X": ("N", "d"), "w": "d", "y": "N"}
SQUARE = {"X": ("n", "n"), "K": ("n", "n"), "A": ("n", "n"), "a": "n", "b": "n", "y": "n"}
TARGETS = [  # fmt: skip
    ("norm(A @ x - y)**2", "x", {"A": ("m", "n"), "x": "n", "y": "m"}, {}, "2Aᵀ(Ax − y)"),
    ("logdet(X)", "X", SQUARE, {}, "X⁻ᵀ"),
    ("a @ inv(X) @ b", "X", SQUARE, {}, "−X⁻ᵀ a bᵀ X⁻ᵀ"),
    ("trace(X.T @ A @ X @ B)", "X", {"X": ("n", "m"), "A": ("n", "n"), "B": ("m", "m")}, {}, "AXB + AᵀXBᵀ"),
    ("y @ A @ y", "y", SQUARE, {}, "(A + Aᵀ) y"),
    ("y @ A @ y", "y", SQUARE, {"A": "symmetric"}, "2Ay"),
    ("-t @ log(softmax(z))", "z", {"t": "n", "z": "n"}, {}, "sum(t) softmax(z) − t"),
    ("-t @ log(softmax(z))", "z", {"t": "n", "z": "n"}, {"t": "one-hot"}, "softmax(z) − t"),
    ("-t @ log(exp(z)/sum(exp(z)))", "z", {"t": "n", "z": "n"}, {"t": "one-hot"}, "softmax(z) − t"),
    ("softmax(z)", "z", {"z": "n"}, {}, "diag(softmax(z)) − softmax(z) softmax(z)ᵀ"),
    ("sum(log(1 + exp(X @ w))) - y @ X @ w", "w", DATA, {}, "Xᵀ(σ(Xw) − y)"),
    ("0.5*(y @ inv(K) @ y + logdet(K))", "K", SQUARE, {"K": "symmetric"}, "(1/2) (K⁻¹ − K⁻¹ y yᵀ K⁻¹)"),
    (
        "-sum(Y*log(softmax(X @ W)))/N", "W", {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")}, {"Y": "one-hot"},
        "(1/N) Xᵀ(softmax(XW) − Y)",
    ),
    ("norm(X @ Q)**2", "X", {"X": ("m", "n"), "Q": ("n", "n")}, {"Q": "orthogonal"}, "2X"),
    ("det(X.T @ A @ X)", "X", SQUARE, {}, "2 det(XᵀAX) X⁻ᵀ"),
    ("sum(sqrt(x**2))", "x", {"x": "n"}, {"x": "positive"}, "1⃗"),
]  # fmt: skip


def with_facts(e: Expr, facts: dict[str, str]) -> Expr:
    return substitute(e, {e.symbols[name]: symbol(name, e.symbols[name].shape, fact) for name, fact in facts.items()})


@pytest.mark.parametrize(("function", "wrt", "shapes", "facts", "form"), TARGETS, ids=lambda v: str(v)[:30])
def test_closed_form(function: str, wrt: str, shapes: dict, facts: dict, form: str) -> None:
    result = cr.jacobian(cr.parse(function, shapes=shapes), wrt)
    assert str(simplify(with_facts(result, {n: f for n, f in facts.items() if n in result.symbols}))) == form


def test_hessian_of_the_logistic_loss() -> None:
    loss = cr.parse("sum(log(1 + exp(X @ w))) - y @ X @ w", shapes=DATA)
    assert str(cr.hessian(loss, "w")) == "Xᵀ diag(σ(Xw) ⊙ (1 − σ(Xw))) X"


def test_every_rewrite_has_a_name_and_keeps_the_value() -> None:
    told: list[Rewrite] = []
    for text in ("-t @ log(exp(z)/sum(exp(z)))", "t @ (exp(z)/sum(exp(z)))"):
        e = cr.parse(text, shapes={"t": "n", "z": "n"})
        simplify(jacobian(e, "z"), record=told.append)
    assert {"softmax, spelled out", "multiply out"} <= {rewrite.rule for rewrite in told}
    for rewrite in told:
        assert rewrite.because
        for values, sizes in generic_points([rewrite.before, rewrite.after], 2):
            same_value(rewrite.before, rewrite.after, values | {k: np.asarray(v) for k, v in sizes.items()})


def test_symmetric_matrices_are_known() -> None:
    S, X, c = matrix("S", "n", "n", "symmetric"), matrix("X", "m", "n"), scalar("c")
    for e in (S, X.T @ X, inv(S), c * S + X.T @ X, S @ S, sin(S), inv(X @ S @ X.T)):
        assert is_symmetric(e)
        assert simplify(transpose(e)) is simplify(e)
    assert not is_symmetric(S @ inv(X.T @ X))


def test_terms_that_cancel_are_found_by_random_values() -> None:
    """(A + B)⁻¹ A and (A + B)⁻¹ B add up to I, which no factor shows when a function hides the sum."""
    A, B, x, y = matrix("A", "n", "n"), matrix("B", "n", "n"), vector("x", "n"), vector("y", "n")
    M = inv(A + B)
    left = (x @ M @ A @ y) * sin(x) + (x @ M @ B @ y) * sin(x) - (x @ y) * sin(x)
    e = left + A @ inv(B) @ A @ inv(B) @ B @ x + cos(y)
    for values, sizes in generic_points([e], 2):
        same_value(simplify(e), e, values | sizes)
    centred = x - mean(x)
    total = (A @ centred) * sum(centred) + (B @ x) * sum(centred**2) + A @ y
    assert simplify(total) is simplify((B @ x) * sum(centred**2) + A @ y)


def test_structured_gradient() -> None:
    S = matrix("S", "n", "n", "symmetric")
    A = matrix("A", "n", "n")
    assert symmetric_gradient(S) is 2 * S - diag(diag(S))
    assert symmetric_gradient(A) is A + A.T - diag(diag(A))
    with pytest.raises(cr.ShapeError):
        symmetric_gradient(vector("x", "n"))
