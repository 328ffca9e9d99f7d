"""Vector–Jacobian products, mixed and third derivatives, and derivations that carry adjoints back by name."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.explain.fold import folded
from chainrule.expression.functions import function_names
from chainrule.expression.node import Expr
from chainrule.notation.written import notate_equation
from chainrule.render.text import layout_to_text
from chainrule.rewrite.statement import Derivation

SIZES = {"n": 3, "m": 4, "d": 2, "k": 5, "N": 6, "h": 3}
ATTENTION = {"Q": ("n", "d"), "K": ("n", "d"), "V": ("n", "d"), "M": ("n", "n"), "tau": ()}
NETWORK = {"X": ("N", "d"), "W1": ("d", "h"), "b1": "h", "W2": ("h", "k"), "b2": "k", "Y": ("N", "k")}
FUNCTIONS: list[tuple[str, dict[str, object], str]] = [
    ("A @ x", {"A": ("m", "n"), "x": "n"}, "x"),
    ("A @ x", {"A": ("m", "n"), "x": "n"}, "A"),
    ("tanh(A @ x) * y", {"A": ("m", "n"), "x": "n", "y": "m"}, "x"),
    ("softmax(A @ B)", {"A": ("m", "n"), "B": ("n", "k")}, "A"),
    ("inv(A) @ B", {"A": ("n", "n"), "B": ("n", "k")}, "A"),
    ("A.T @ A", {"A": ("m", "n")}, "A"),
    ("logdet(A) * x", {"A": ("n", "n"), "x": "m"}, "A"),
    ("softmax(tau * Q @ K.T + M) @ V", ATTENTION, "Q"),
    ("softmax(tau * Q @ K.T + M) @ V", ATTENTION, "tau"),
    ("y * 2", {"y": "m", "x": "n"}, "y"),
]


def values_of(*exprs: Expr, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    symbols = {name: s for e in exprs for name, s in e.symbols.items()}
    return {name: rng.normal(size=[SIZES[size] for size in s.shape]) for name, s in sorted(symbols.items())}


@pytest.mark.parametrize(("formula", "shapes", "wrt"), FUNCTIONS)
def test_vjp_and_jvp_are_contractions_of_the_jacobian(formula: str, shapes: dict[str, object], wrt: str) -> None:
    f = cr.parse(formula, shapes)
    x = f.symbols[wrt]
    pulled, pushed = cr.vjp(f, wrt, cotangent="g"), cr.jvp(f, wrt, tangent="v")
    g, v = cr.symbol("g", f.shape), cr.symbol("v", x.shape)
    at = values_of(f, g, v)
    jacobian = cr.jacobian(f, wrt).eval(**at)
    np.testing.assert_allclose(pulled.eval(**at), np.tensordot(at["g"], jacobian, axes=f.ndim), atol=1e-9)
    np.testing.assert_allclose(pushed.eval(**at), np.tensordot(jacobian, at["v"], axes=x.ndim), atol=1e-9)
    assert pulled.shape == x.shape and pushed.shape == f.shape


def test_a_cotangent_has_the_shape_of_the_function_and_a_name_of_its_own() -> None:
    f = cr.parse("A @ x", {"A": ("m", "n"), "x": "n"})
    with pytest.raises(cr.ShapeError, match="cotangent"):
        cr.vjp(f, "x", cr.vector("g", "n"))
    with pytest.raises(cr.ShapeError, match="tangent"):
        cr.jvp(f, "x", cr.vector("g", "m"))
    with pytest.raises(cr.DomainError, match="already occurs"):
        cr.vjp(f, "x", "A")
    with pytest.raises(cr.UnknownSymbol):
        cr.vjp(f, "B", "g")


def test_mixed_second_derivatives_are_each_others_transposes() -> None:
    f = cr.parse("sum(tanh(A @ x) * y)", {"A": ("m", "n"), "x": "n", "y": "m"})
    at = values_of(f)
    xy, yx = cr.hessian(f, "x", "y"), cr.hessian(f, "y", "x")
    assert (xy.shape, yx.shape) == (("n", "m"), ("m", "n"))
    np.testing.assert_allclose(xy.eval(**at), yx.eval(**at).T)


def test_third_derivatives() -> None:
    f = cr.parse("sum(exp(A @ x))", {"A": ("m", "n"), "x": "n"})
    third = cr.jacobian(cr.hessian(f, "x"), "x")
    at = values_of(f)
    expected = np.einsum("m,mi,mj,mk->ijk", np.exp(at["A"] @ at["x"]), at["A"], at["A"], at["A"])
    np.testing.assert_allclose(third.eval(**at), expected)


# --- derivations
def equations(d: Derivation) -> list[str]:
    assert d.verified
    return [layout_to_text(notate_equation(step.equation, d.layout)) for step in d.steps]


def test_backpropagation_names_the_error_of_each_layer() -> None:
    C = cr.parse("sum((relu(X @ W1 + b1) @ W2 + b2 - Y)**2) / N", NETWORK)
    d = cr.derive(C, ("W1", "b1", "W2", "b2"))
    said = equations(d)
    for line in (
        "Z₁ ≔ XW₁ + 1⃗b₁ᵀ",
        "A₁ ≔ max(0, Z₁)",
        "δ₂ ≔ ∂C/∂Z₂ = (2/N) E",
        "δ₁ ≔ ∂C/∂Z₁ = [Z₁ > 0] ⊙ δ₂W₂ᵀ",
        "∂C/∂W₂ = A₁ᵀδ₂",
        "∂C/∂b₂ = δ₂ᵀ1⃗",
        "∂C/∂W₁ = Xᵀδ₁",
        "∂C/∂b₁ = δ₁ᵀ1⃗",
    ):
        assert line in said
    assert list(d.results) == ["W1", "b1", "W2", "b2"] and d.result is d.results["W1"]
    at = values_of(C)
    for name, e in d.results.items():
        np.testing.assert_allclose(e.eval(**at), cr.grad(C, name).eval(**at), atol=1e-10)


@pytest.mark.parametrize("mask", ["", " + M"])
def test_attention_as_flash_attention_writes_it(mask: str) -> None:
    f = cr.parse(f"softmax(tau * Q @ K.T{mask}) @ V", ATTENTION)
    said = equations(cr.derive(f, ("Q", "K", "V"), cotangent="dO"))
    assert said[-6:] == [
        "dV = Pᵀ dO",
        "dP = dO Vᵀ",
        "D ≔ (P ⊙ dP) 1⃗ = (O ⊙ dO) 1⃗",
        "dS = P ⊙ (dP − D1⃗ᵀ)",
        "dQ = τ dS K",
        "dK = τ dSᵀ Q",
    ]


def test_normalisations_in_terms_of_what_is_normalised() -> None:
    centred = "(x - mean(x)) / sqrt(mean((x - mean(x))**2) + epsilon)"
    d = cr.derive(cr.parse(centred, {"x": "n", "epsilon": ()}), "x", cotangent="g")
    assert equations(d)[-1] == "dx = (1/σ) (g − (1/n) (g·x̂) x̂ − (1/n) 1⃗ sum(g))"
    d = cr.derive(cr.parse("x / sqrt(mean(x**2) + epsilon)", {"x": "n", "epsilon": ()}), "x", cotangent="g")
    assert equations(d)[-1] == "dx = (1/r) (g − (1/n) (g·x̂) x̂)"


def test_the_closed_form_says_what_its_names_mean() -> None:
    C = cr.parse("-sum(Y * log(softmax(X @ W))) / N", {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")})
    printed = str(cr.derive(C, "W"))
    assert "where P = softmax(XW)" in printed
    assert "where" in cr.derive(C, "W").to_latex() and "where" in cr.derive(C, "W").to_html()
    assert "where H = softmax(XW)" in str(cr.derive(C, "W", names={"H": "softmax(X @ W)"}))


def test_auto_goes_forward_where_jacobians_are_matrices() -> None:
    assert cr.derive("norm(A @ x - y)**2", "x").way == "Jacobians"
    assert cr.derive("sum((X @ W - Y)**2)", "W", shapes={"W": ("d", "k"), "Y": ("N", "k")}).way == "adjoints"
    assert cr.derive("sum((X @ W - Y)**2)", "W", shapes={"W": ("d", "k")}, narrative="forward").way == "Jacobians"


def test_several_variables_of_a_vector_function_need_a_cotangent() -> None:
    with pytest.raises(cr.ShapeError, match="cotangent|scalar"):
        cr.derive("A @ x", ("A", "x"))
    assert cr.derive("A @ x", ("A", "x"), cotangent="g").verified


def test_a_variable_that_does_not_matter() -> None:
    C = cr.parse("sum(softmax(X @ W)) + 0 * sum(W)", {"X": ("N", "d"), "W": ("d", "k")})
    assert cr.derive(C, "W").verified


def test_folding_writes_parts_by_their_names() -> None:
    A, B, x, y = cr.matrix("A", "m", "n"), cr.matrix("B", "m", "n"), cr.vector("x", "n"), cr.vector("y", "m")
    z = cr.vector("z", "m")
    assert folded(y * (A @ x), z, A @ x) is y * z
    assert folded(2 * y - 2 * (A @ x), z, y - A @ x) is 2 * z
    assert folded(A.T @ (B @ x), z, B @ x) is A.T @ z
    assert folded(A @ x, z, B @ x) is A @ x


LOGISTIC = "sum(log(1 + exp(X @ w)) - y * (X @ w))"
REGRESSION: dict[str, object] = {"X": ("N", "d"), "w": "d", "y": "N"}


def test_a_newton_step_of_logistic_regression_is_weighted_least_squares() -> None:
    """w − H⁻¹g = (XᵀSX)⁻¹ XᵀS(Xw + S⁻¹(y − σ)). Source: Hastie, Tibshirani, Friedman 2009, equations 4.26 and 4.27."""
    d = cr.newton(LOGISTIC, "w", shapes=REGRESSION)
    assert d.verified
    assert d.lines[3:] == [
        "∂C/∂z = σ − y",
        "g ≔ ∂C/∂w = Xᵀ(σ − y)",
        "s ≔ σ ⊙ (1 − σ)",
        "S ≔ diag(s)",
        "H ≔ ∂g/∂w = (∂g/∂z)(∂z/∂w) = XᵀSX",
        "w₊ ≔ w − H⁻¹g = w − (XᵀSX)⁻¹ Xᵀ(σ − y)",
        "w₊ = (XᵀSX)⁻¹ (Xᵀ S X w − Xᵀ(σ − y)) = (XᵀSX)⁻¹ Xᵀ S(z + S⁻¹(y − σ))",
        "z̃ ≔ z + S⁻¹(y − σ)",
        "w₊ = (XᵀSX)⁻¹ Xᵀ S z̃",
    ]
    rng = np.random.default_rng(0)
    X, w, y = rng.normal(size=(9, 3)), rng.normal(size=3), rng.integers(0, 2, 9) * 1.0
    p = 1 / (1 + np.exp(-X @ w))
    S = np.diag(p * (1 - p))
    weighted = np.linalg.solve(X.T @ S @ X, X.T @ S @ (X @ w + np.linalg.solve(S, y - p)))
    np.testing.assert_allclose(d.eval(X=X, w=w, y=y), weighted)


@pytest.mark.parametrize(
    ("formula", "shapes", "last"),
    [
        (f"{LOGISTIC} / N", {}, "w₊ = (XᵀSX)⁻¹ Xᵀ S z̃"),
        (f"{LOGISTIC} + lambda / 2 * (w @ w)", {}, "w₊ = (XᵀSX + λI)⁻¹ Xᵀ S z̃"),
        ("sum(exp(X @ w) - y * (X @ w))", {}, "w₊ = (XᵀSX)⁻¹ Xᵀ S z̃"),
        ("norm(X @ w - y)**2", {}, "w₊ = (XᵀX)⁻¹ Xᵀ y"),
        ("x**4 - 2 * x", {"x": ()}, "x₊ ≔ x − g/H = x + (1/(6x²)) (1 − 2x³)"),
        ("sum(exp(x)) + x @ A @ x", {"x": "n", "A": ("n", "n")},
         "x₊ ≔ x − H⁻¹g = x − (diag(exp(x)) + A + Aᵀ)⁻¹ ((A + Aᵀ) x + exp(x))"),
    ],
)  # fmt: skip
def test_newton_steps_of_other_costs(formula: str, shapes: dict[str, object], last: str) -> None:
    d = cr.newton(formula, "x" if "x" in shapes else "w", shapes=shapes or REGRESSION)
    assert d.verified
    assert d.lines[-1] == last


def test_newton_steps_where_no_sample_has_its_own_weight() -> None:
    """A softmax over the scores ties them together; a gate may weigh a sample with 0, which has no inverse."""
    for formula in ("logsumexp(X @ w) + w @ w", "mean((y - relu(X @ w))**2)"):
        d = cr.newton(formula, "w", shapes={k: v for k, v in REGRESSION.items() if k in formula})
        assert d.verified
        assert not any(step.part == "weighted least squares" for step in d.steps)


def test_newton_steps_are_of_scalars_by_vectors() -> None:
    with pytest.raises(cr.ShapeError, match="scalar function of a vector"):
        cr.newton("X @ w", "w", shapes={"X": ("N", "d"), "w": "d"})
    with pytest.raises(cr.ShapeError, match="scalar function of a vector"):
        cr.newton("sum(X**4)", "X", shapes={"X": ("N", "d")})


def one_argument_formulas() -> list[tuple[str, str]]:
    """Every function that takes one vector or one square matrix, applied to it, with the variable's name."""
    shapes: dict[str, object] = {"x": "n", "c": "n", "A": ("n", "n")}
    found = []
    for name in sorted(function_names()):
        for formula, wrt in ((f"sum({name}(x) * c)", "x"), (f"{name}(A)", "A")):
            try:
                f = cr.parse(formula, {k: v for k, v in shapes.items() if (k == "A") == (wrt == "A")})
                cr.jacobian(f, wrt).eval(**values_of(f))
            except (cr.ChainruleError, ValueError, TypeError):
                continue  # it takes other arguments
            found.append((formula, wrt))
    return found


FORMULAS = one_argument_formulas()


def test_most_functions_are_among_them() -> None:
    assert len(FORMULAS) > 80


@pytest.mark.parametrize(("formula", "wrt"), FORMULAS, ids=[formula for formula, _ in FORMULAS])
def test_every_function_is_derived_and_every_step_holds(formula: str, wrt: str) -> None:
    shapes: dict[str, object] = {"A": ("n", "n")} if wrt == "A" else {"x": "n", "c": "n"}
    f = cr.parse(formula, shapes)
    assert cr.derive(f, wrt).verified
    assert cr.derive(f, wrt, cotangent="g").verified
