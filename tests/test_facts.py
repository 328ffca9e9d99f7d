"""Facts about symbols: what each of them simplifies, the structured gradient, and the names that a reader chooses."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.derivative.differentiate import substitute
from chainrule.evaluate import evaluate
from chainrule.ops.linear import logdet
from chainrule.verify.sample import generic_points

SHAPES = {"A": ("n", "n"), "B": ("n", "n"), "X": ("m", "n"), "Y": ("m", "n"), "x": "n", "t": "n", "z": "n"}
FORMS = [  # fmt: skip
    # function                      by   fact on           without the fact                 with it
    ("x @ A @ x", "x", ("A", "symmetric"), "(A + Aᵀ) x", "2Ax"),
    ("logdet(A) + trace(B)", "A", ("A", "symmetric"), "A⁻ᵀ", "A⁻¹"),
    ("x @ inv(A) @ x", "x", ("A", "positive definite"), "(A⁻¹ + A⁻ᵀ) x", "2A⁻¹x"),
    ("norm(A.T @ x)**2 - x @ A @ A @ x", "x", ("A", "diagonal"), "((2A − Aᵀ) Aᵀ − AA) x", "0⃗"),
    ("norm(X @ A)**2", "X", ("A", "orthogonal"), "2XAAᵀ", "2X"),
    ("norm(A @ x)**2", "x", ("A", "orthogonal"), "2AᵀAx", "2x"),
    ("-t @ log(softmax(z))", "z", ("t", "one-hot"), "sum(t) softmax(z) − t", "softmax(z) − t"),
    ("-t @ log(softmax(z))", "z", ("t", "sums to one"), "sum(t) softmax(z) − t", "softmax(z) − t"),
    ("-sum(Y * log(softmax(X)))", "X", ("Y", "one-hot"), "diag(Y1⃗) softmax(X) − Y", "softmax(X) − Y"),
    ("sum(sqrt(x**2))", "x", ("x", "positive"), "x ⊘ √(x²)", "1⃗"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "wrt", "fact", "without", "having"), FORMS)
def test_a_fact_simplifies(function: str, wrt: str, fact: tuple[str, str], without: str, having: str) -> None:
    """The printed forms differ, and at a point where the fact holds both are the same numbers."""
    plain = cr.parse(function, {name: shape for name, shape in SHAPES.items() if name in function})
    symbol = plain.symbols[fact[0]]
    known = substitute(plain, {symbol: cr.symbol(symbol.name, symbol.shape, fact[1])})
    assert str(cr.grad(plain, wrt)) == without
    assert str(cr.grad(known, wrt)) == having
    for values, sizes in generic_points([known, cr.grad(known, wrt)], 2):
        expected = np.asarray(evaluate(cr.grad(plain, wrt), values, sizes))
        np.testing.assert_allclose(evaluate(cr.grad(known, wrt), values, sizes), expected, atol=1e-9)
    assert cr.derive(known, wrt).verified


@pytest.mark.parametrize("function", ["logdet(S)", "x @ S @ x", "x @ inv(S) @ x + trace(A @ S)"])
def test_the_structured_gradient_is_the_slope_along_symmetric_changes(function: str) -> None:
    """Entry (i, j) of G + Gᵀ − diag(G) is what the function gains when S_ij and S_ji move together."""
    parsed = cr.parse(function, {k: v for k, v in {**SHAPES, "S": ("n", "n")}.items() if k in function})
    f = substitute(parsed, {parsed.symbols["S"]: cr.symbol("S", ("n", "n"), "positive definite")})
    structured = cr.grad(f, "S", structured=True)
    for values, sizes in generic_points([f, structured], 1):
        G, S = evaluate(structured, values, sizes), values["S"]
        for i, j in ((0, 0), (0, 1), (2, 1)):
            change = np.zeros_like(S)
            change[i, j] = change[j, i] = 1e-5
            ends = [evaluate(f, {**values, "S": S + sign * change}, sizes) for sign in (1, -1)]
            np.testing.assert_allclose(G[i, j], (ends[0] - ends[1]) / 2e-5, rtol=1e-6, atol=1e-6)


def test_the_structured_gradient_prints_as_the_cookbook_does() -> None:
    """Source: The Matrix Cookbook, equations 138 to 141."""
    S = cr.symbol("S", ("n", "n"), "positive definite")
    A = cr.matrix("A", "n", "n")
    assert str(cr.grad(cr.logdet(S), "S", structured=True)) == "2S⁻¹ − diag(diag(S⁻¹))"
    assert str(cr.grad(cr.trace(A @ S), "S", structured=True)) == "A + Aᵀ − diag(diag(A))"


# --- names
REGRESSION = "-sum(Y * log(softmax(X @ W))) / N"
NEURON = "mean((y - max(0, X @ w + b))**2)"


@pytest.mark.parametrize(
    ("function", "wrt", "narrative"), [(REGRESSION, "W", "auto"), (NEURON, "w", "forward"), (NEURON, "w", "backward")]
)
def test_chosen_names_are_used_from_the_first_step_to_the_last(function: str, wrt: str, narrative: str) -> None:
    part = "softmax(X @ W)" if wrt == "W" else "max(0, X @ w + b)"
    shapes = {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")} if wrt == "W" else None
    d = cr.derive(function, wrt, narrative=narrative, names={"Phi": part}, shapes=shapes)  # type: ignore[arg-type]
    assert d.verified
    defined = [line for line in d.lines if line.startswith("Φ ≔")]
    assert len(defined) == 1
    assert sum("Φ" in line for line in d.lines) > 2


def test_chosen_names_are_explained_where_the_closed_form_uses_them() -> None:
    C = cr.parse(REGRESSION, {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")})
    printed = str(cr.derive(C, "W", names={"H": "softmax(X @ W)"}))
    assert "where H = softmax(XW)" in printed


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        ({"P": "softmax(X @ W)", "Q": "softmax(X @ W)"}, {}, "P and Q both name softmax"),
        ({"Y": "softmax(X @ W)"}, {}, "Y names softmax.* but is a symbol of the formula already"),
        ({"W": "X @ W"}, {}, "W is a symbol of the formula of shape"),
        ({"2P": "softmax(X @ W)"}, {}, "'2P' cannot be a name"),
        ({"f": "softmax(X @ W)"}, {"function_name": "f"}, "f names softmax.* and the function itself"),
        ({}, {"function_name": "X"}, "X names the function and one of its symbols"),
        ({"dC": "softmax(X @ W)"}, {"cotangent": "dC"}, "dC names softmax.* and the cotangent"),
        ({"P": "softmax(X + X)"}, {}, "does not occur"),
    ],
)
def test_names_that_clash_are_refused(names: dict[str, str], more: dict[str, str], message: str) -> None:
    C = cr.parse(REGRESSION, {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")})
    with pytest.raises(cr.ChainruleError, match=message):
        cr.derive(C, "W", names=names, **more)  # type: ignore[arg-type]


def test_the_step_size_has_another_letter_where_eta_is_taken() -> None:
    d = cr.derive(NEURON, "w", names={"eta": "X @ w + b"})
    assert d.verified
    assert "η₀" in d.lines[-1]


def test_an_orthogonal_matrix_keeps_volumes() -> None:
    Q, x = cr.matrix("Q", "n", "n", "orthogonal"), cr.vector("x", "n")
    e = cr.parse("x @ x", {"x": "n"})
    assert cr.simplify(logdet(Q) + e) is e
    assert cr.simplify(logdet(cr.matrix("A", "n", "n")) + x @ x) is not e
