"""One test for each row of the two articles: Parr and Howard, *The Matrix Calculus You Need For Deep Learning* (PH, as
Kamath's summary tells it: K), and Wang, *Calculating Gradient Descent Manually* (IM, by the number of the picture).

Numerator layout, as in the articles: gradients are rows, Jacobians have one row per output.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule.derivative.rules import diagonal_condition
from chainrule.expression.node import Expr
from chainrule.notation.written import notate_equation
from chainrule.render.text import layout_to_text
from chainrule.rewrite.statement import Derivation

x, y, z, b = (cr.scalar(name) for name in "xyzb")
w, v = cr.vector("w", "n"), cr.vector("x", "n")  # the articles' bold w and x
NEURON = cr.relu(w @ v + b)
COST = cr.parse(r"C(y, w, X, b) = \frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{X}_i + b))^2")


def lines(d: Derivation) -> list[tuple[str, str]]:
    """Rule and equation of every step; a step that does not hold ends the test."""
    assert d.verified
    return [(step.rule, layout_to_text(notate_equation(step.equation, d.layout))) for step in d.steps]


def says(d: Derivation, rule: str, *parts: str) -> None:
    """The derivation has a step by this rule that shows all these parts, in this order."""
    found = [line for name, line in lines(d) if rule in name]
    for line in found:
        places = [line.find(part) for part in parts]
        if -1 not in places and places == sorted(places):
            return
    raise AssertionError(f"no step by '{rule}' shows {parts}; there is {found or lines(d)}")


def derivative(e: Expr | str, wrt: str = "x", **more) -> Derivation:
    if isinstance(e, str):
        e = cr.parse(e, shapes={"x": (), "y": ()})
    return cr.derive(e, wrt, **{"function_name": "f", **more})


def result(e: Expr | str, wrt: str = "x") -> str:
    return str(derivative(e, wrt).result)


# --- Parr and Howard: scalar rules
def test_ph01_constant() -> None:
    says(cr.derive(cr.parse("99"), x), "constant", "= 0")
    says(derivative("3*x**2*y", "y"), "constant multiple", "3x²")


def test_ph02_constant_multiple() -> None:
    says(derivative("3*x"), "constant multiple", "= 3")


def test_ph03_power() -> None:
    says(derivative("x**3"), "power", "= 3x²")


def test_ph04_sum() -> None:
    says(derivative("x**2 + 3*x"), "sum", "∂x²/∂x + 3∂x/∂x", "2x + 3")


def test_ph05_difference() -> None:
    says(derivative("x**2 - 3*x"), "difference", "∂x²/∂x − 3∂x/∂x", "2x − 3")


def test_ph06_product() -> None:
    f = cr.sin(x) * cr.exp(x)
    says(derivative(f, detail="brief"), "product", "cos(x)")
    assert result("x**2 * x") == "3x²"
    u = cr.scalar("u")
    d = cr.derive(u * x, "x", names={"u": x**2}, function_name="f")
    says(d, "total-derivative", "x·2x + u")
    assert str(d.result) == "3x²"


def test_ph07_scalar_chain() -> None:
    d = derivative("log(x**2)")
    says(d, "single-variable chain rule", "(∂f/∂u)(∂u/∂x)")
    assert str(d.result) == "2/x"


def test_ph08_derivative_as_linear_operator() -> None:
    assert result("9*(x + x**2)") == "18x + 9"
    says(derivative("9*(x + x**2)"), "sum", "9∂x²/∂x + 9∂x/∂x", "18x + 9")


def test_ph09_partial_derivative() -> None:
    assert result("3*x**2*y", "x") == "6xy"
    assert result("3*x**2*y", "y") == "3x²"


def test_ph10_gradient() -> None:
    assert [result("3*x**2*y", name) for name in "xy"] == ["6xy", "3x²"]
    assert [result("2*x + y**8", name) for name in "xy"] == ["2", "8y⁷"]


def test_ph11_jacobian_stacks_gradients() -> None:
    at = {"x": 2.0, "y": 3.0}
    functions = [cr.parse(text, shapes={"x": (), "y": ()}) for text in ("3*x**2*y", "2*x + y**8")]
    assert [[cr.grad(f, name).eval(**at) for name in "xy"] for f in functions] == [[36, 12], [2, 8 * 3**7]]
    A, q = cr.matrix("A", 2, 3), cr.vector("q", 3)
    f = cr.tanh(A @ q)
    values = {"A": np.arange(6.0).reshape(2, 3) / 7, "q": np.array([0.3, -0.2, 0.5])}
    stacked = cr.jacobian(f, "q").eval(**values)
    for k in range(2):
        row = cr.grad(cr.sum(f * cr.vector("pick", 2)), "q").eval(**values, pick=np.eye(2)[k])
        np.testing.assert_allclose(stacked[k], row)


def test_ph12_denominator_layout_is_a_switch() -> None:
    A, q = cr.matrix("A", "m", "n"), cr.vector("q", "n")
    d = cr.derive(A @ q, "q", function_name="f")
    says(d, "matrix–vector product", "∂f/∂q = A")
    says(d.in_layout("denominator"), "matrix–vector product", "∂f/∂q = Aᵀ")
    says(cr.derive(w @ v, "w", layout="denominator", function_name="f"), "dot product", "∂f/∂w = x")


def test_ph13_vectorising_names() -> None:
    shapes = {"x1": (), "x2": ()}
    y1 = cr.parse("3 x_1^2 x_2", shapes=shapes, syntax="latex")
    y2 = cr.parse("2 x_1 + x_2^8", shapes=shapes, syntax="latex")
    assert [str(cr.grad(y1, name)) for name in shapes] == ["6x₁x₂", "3x₁²"]
    assert [str(cr.grad(y2, name)) for name in shapes] == ["2", "8x₂⁷"]


def test_ph14_general_jacobian() -> None:
    A, q = cr.matrix("A", "m", "n"), cr.vector("q", "n")
    J = cr.jacobian(cr.tanh(A @ q), "q")
    assert J.shape == ("m", "n")


@pytest.mark.parametrize(
    ("f", "wrt", "shape"),
    [(x * z, "x", ()), (w @ v, "w", ("n",)), (v * z, "z", ("n",)), (w * v, "w", ("n", "n"))],
    ids=["scalar by scalar", "scalar by vector", "vector by scalar", "vector by vector"],
)
def test_ph15_shape_table(f: Expr, wrt: str, shape: tuple[str, ...]) -> None:
    assert cr.jacobian(f, wrt).shape == shape


def test_ph16_identity() -> None:
    assert str(cr.jacobian(v, "x")) == "I"
    says(cr.derive(v, "x", function_name="y"), "identity", "∂y/∂x = I")


def test_ph17_element_wise_binary() -> None:
    f = cr.sin(w) * cr.exp(v)
    assert str(cr.jacobian(f, "w")) == "diag(cos(w) ⊙ exp(x))"
    assert str(cr.jacobian(f, "x")) == "diag(exp(x) ⊙ sin(w))"


def test_ph18_diagonal_condition_is_stated_and_refused() -> None:
    d = cr.derive(cr.sin(w), "w", function_name="y")
    assert "entry i reads only entry i of w" in d.steps[-1].because
    A = cr.matrix("A", "n", "n")
    refused = diagonal_condition(cr.sin(A @ w), w)
    assert not refused.holds and "not diagonal" in refused.because
    assert diagonal_condition(cr.sin(w) / v, w).holds


@pytest.mark.parametrize(
    ("row", "f", "by_w", "by_x", "rule"),
    [
        ("PH19", w + v, "I", "I", "sum"),
        ("PH20", w - v, "I", "−I", "difference"),
        ("PH21", w * v, "diag(x)", "diag(w)", "element-wise product"),
        ("PH22", w / v, "diag(1 ⊘ x)", "−diag(w ⊘ x²)", "element-wise quotient"),
    ],
)
def test_ph19_to_ph22_element_wise_operators(row: str, f: Expr, by_w: str, by_x: str, rule: str) -> None:
    assert [str(cr.jacobian(f, "w")), str(cr.jacobian(f, "x"))] == [by_w, by_x]
    says(cr.derive(f, "w", function_name="y"), rule, f"= {by_w}")
    says(cr.derive(f, "x", function_name="y"), rule, f"= {by_x}")


def test_ph23_scalar_expansion() -> None:
    f = v + z
    assert str(f) == "x + 1⃗z"
    says(cr.derive(f, "x", function_name="y"), "sum", "∂x/∂x + ∂(1⃗z)/∂x", "= I")
    says(cr.derive(f, "z", function_name="y"), "sum", "0⃗ + 1⃗ = 1⃗")


def test_ph24_scalar_expansion_times() -> None:
    assert str(cr.jacobian(v * z, "x")) == "zI"
    assert str(cr.jacobian(v * z, "z")) == "x"


def test_ph25_vector_sum_reduction() -> None:
    A = cr.matrix("A", "n", "n")
    says(cr.derive(cr.sum(cr.exp(v)), "x", function_name="y", detail="brief"), "sum reduction", "1⃗ᵀ diag(exp(x))")
    says(cr.derive(cr.sum(cr.exp(A @ v)), "x", function_name="y"), "vector chain rule", "exp(z)ᵀ A")


def test_ph26_sum() -> None:
    says(cr.derive(cr.sum(v), "x", function_name="y"), "sum reduction", "∂y/∂x = 1⃗ᵀ")


def test_ph27_sum_of_scaled_vector() -> None:
    says(cr.derive(cr.sum(v * z), "x", function_name="y"), "sum reduction", "∂y/∂x = z1⃗ᵀ")
    assert str(cr.grad(cr.sum(v * z), "z")) == "sum(x)"


# --- Parr and Howard: chain rules
def test_ph28_four_steps_of_the_single_variable_chain_rule() -> None:
    d = derivative("sin(x**2)", function_name="y")
    assert [step.part for step in d.steps][0] == "names"
    rules = [rule for rule, _ in lines(d)]
    wanted = ["introduce an intermediate variable", "power", "sine", "single-variable chain rule", "substitute"]
    assert [rule for rule in rules if rule in wanted] == wanted


def test_ph29_sine_of_a_square() -> None:
    d = derivative("sin(x**2)", function_name="y")
    says(d, "introduce", "u ≔ x²")
    says(d, "single-variable chain rule", "(∂y/∂u)(∂u/∂x)", "cos(u)", "2x")
    assert str(d.result) == "2x cos(x²)"


def test_ph30_deep_chain() -> None:
    d = derivative("log(sin(x**3)**2)", function_name="y")
    for name, definition in {"u₁": "x³", "u₂": "sin(u₁)", "u₃": "u₂²"}.items():
        says(d, "introduce", f"{name} ≔ {definition}")
    says(d, "the function", "y = ln(u₃)")
    values = {"x": np.asarray(0.7)}
    expected = 6 * 0.7**2 * np.cos(0.7**3) / np.sin(0.7**3)
    assert abs(d.eval(**values) - expected) < 1e-12
    assert str(d.result) == "6x² cos(x³)/sin(x³)"


def test_ph31_single_path_is_a_condition() -> None:
    single = derivative("sin(x**2)", function_name="y")
    assert not any("total" in rule for rule, _ in lines(single))
    several = derivative("sin(x + x**2)", function_name="y", detail="full")
    assert any("total-derivative" in rule for rule, _ in lines(several))


def test_ph32_forward_and_backward() -> None:
    f = "sin(log(x**2))"
    forward = derivative(f, function_name="y")
    backward = derivative(f, function_name="y", narrative="backward")
    says(forward, "chain", "∂u₂/∂x = (∂u₂/∂u₁)(∂u₁/∂x)")
    says(backward, "chain", "∂y/∂u₁ = (∂y/∂u₂)(∂u₂/∂u₁)")
    assert forward.result is backward.result


def test_ph33_total_derivative() -> None:
    u = cr.scalar("u")
    d = cr.derive(u * x, "x", names={"u": cr.exp(x)}, function_name="f")
    says(d, "total-derivative chain rule", "df/dx = (∂f/∂u)(∂u/∂x) + ∂f/∂x")


def test_ph34_total_derivative_of_x_plus_square() -> None:
    d = derivative("x + x**2", function_name="y", detail="full")
    says(d, "total-derivative chain rule", "∂u/∂x + ∂x/∂x", "2x + 1")
    at = {"x": np.asarray(1.0)}
    assert d.eval(**at) == 3, "the blind single-variable answer 2x would be 2"
    f = cr.parse("x + x**2", shapes={"x": ()})
    assert f.eval(x=2.0) - f.eval(x=1.0) == 4


def test_ph35_sine_of_x_plus_square() -> None:
    assert result("sin(x + x**2)") == "cos(x² + x)(2x + 1)"


def test_ph36_product_still_adds_terms() -> None:
    u1 = cr.scalar("u1")
    d = cr.derive(x * u1, "x", names={"u1": x**2}, function_name="y")
    says(d, "total-derivative chain rule", "(∂y/∂u₁)(∂u₁/∂x) + ∂y/∂x", "x·2x + u₁")
    says(d, "substitute", "3x²")


def test_ph37_alias_form_sums_over_all_paths() -> None:
    d = derivative("exp(x) * sin(x) + x", function_name="y", detail="full")
    paths = [line for rule, line in lines(d) if "total-derivative" in rule]
    assert paths and " + " in paths[-1]


def test_ph38_vector_chain_rule() -> None:
    A = cr.matrix("A", "m", "n")
    d = cr.derive(cr.tanh(A @ v), "x", function_name="f")
    says(d, "vector chain rule", "(∂f/∂z)(∂z/∂x)", "diag(1 − tanh(z)²) A")


def test_ph39_vector_of_two_functions() -> None:
    g = cr.vector("g", 2)
    k = cr.vector("k", 2)
    f = cr.log(g * x**2)  # both entries of a vector depend on one scalar
    assert cr.jacobian(f, "x").shape == (2,)
    values = {"g": np.array([1.0, 3.0]), "x": np.asarray(0.5)}
    np.testing.assert_allclose(cr.jacobian(f, "x").eval(**values), [2 / 0.5, 2 / 0.5])
    np.testing.assert_allclose(
        cr.jacobian(cr.sin(k * x), "x").eval(k=np.array([1.0, 3.0]), x=0.4), [np.cos(0.4), 3 * np.cos(1.2)]
    )


def test_ph40_diagonal_simplification() -> None:
    d = cr.derive(cr.sin(v**2), "x", function_name="f")
    says(d, "vector chain rule", "diag(cos(u))", "diag(x)", "= 2 diag(")
    assert diagonal_condition(cr.sin(v**2), v).holds


@pytest.mark.parametrize(
    ("f", "wrt", "shape"),
    [
        (cr.sin(x**2), "x", ()),
        (cr.sum(cr.sin(w * x)), "x", ()),
        (w * cr.sin(x**2), "x", ("n",)),
        (cr.sin(w * x), "x", ("n",)),
        (cr.sin(w @ v), "x", ("n",)),
        (cr.sum(cr.sin(v)), "x", ("n",)),
        (w * cr.sin(cr.sum(v)), "x", ("n", "n")),
        (cr.tanh(cr.matrix("A", "m", "n") @ v), "x", ("m", "n")),
    ],
)
def test_ph41_chain_rule_shape_table(f: Expr, wrt: str, shape: tuple[str, ...]) -> None:
    d = cr.derive(f, wrt, function_name="f")
    assert d.verified and d.result.shape == shape


# --- Parr and Howard: the neuron
def test_ph42_dot_product() -> None:
    assert cr.sum(w * v) is w @ v is cr.parse(r"\mathbf{w}^\top \mathbf{x}", shapes={"w": "n", "x": "n"})
    d = cr.derive(w @ v, "w", detail="full", function_name="y")
    says(d, "vector chain rule", "(∂u/∂v)(∂v/∂w)", "1⃗ᵀ diag(x)", "xᵀ")
    says(cr.derive(w @ v, "x", function_name="y"), "dot product", "∂y/∂x = wᵀ")


def test_ph43_scalar_cross_check() -> None:
    values = {"w": np.array([1.0, 2.0, 3.0]), "x": np.array([4.0, 5.0, 6.0])}
    slopes = []
    for j in range(3):
        moved = {**values, "w": values["w"] + np.eye(3)[j]}
        slopes.append((w @ v).eval(**moved) - (w @ v).eval(**values))
    np.testing.assert_allclose(slopes, cr.grad(w @ v, "w").eval(**values))


def test_ph44_affine() -> None:
    says(cr.derive(w @ v + b, "w", function_name="z"), "sum", "∂(w·x)/∂w + ∂b/∂w = xᵀ + 0⃗ᵀ = xᵀ")
    says(cr.derive(w @ v + b, "b", function_name="z"), "sum", "0 + 1 = 1")


def test_ph45_max_and_its_kink() -> None:
    d = cr.derive(cr.relu(z), "z", function_name="y")
    says(d, "max", "{0 if z ≤ 0; 1 if z > 0}")
    assert d.assumptions == ("the derivative of max(0, z) at z = 0 is taken to be 0",)
    assert d.eval(z=0.0) == 0


def test_ph46_broadcast_max_is_a_diagonal_and_not_a_column() -> None:
    says(cr.derive(cr.relu(v), "x", function_name="y"), "max", "∂y/∂x = diag([x > 0])")
    assert cr.jacobian(cr.relu(v), "x").shape == ("n", "n")


def test_ph47_activation_by_w() -> None:
    d = cr.derive(NEURON, "w", function_name="a")
    says(d, "case split", "∂a/∂w = {0⃗ᵀ if z ≤ 0; xᵀ if z > 0}")
    says(d, "substitute", "{0⃗ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}")


def test_ph48_activation_by_b() -> None:
    says(cr.derive(NEURON, "b", function_name="a"), "substitute", "{0 if w·x + b ≤ 0; 1 if w·x + b > 0}")


def test_ph49_cost_and_its_intermediates() -> None:
    d = cr.derive(COST, "w")
    for definition in ("z ≔ Xw + 1⃗b", "u ≔ max(0, z)", "v ≔ y − u"):
        says(d, "introduce", definition)
    says(d, "the function", "C = (1/N) Σᵢ vᵢ²")


def test_ph50_slopes_of_v() -> None:
    says(cr.derive(COST, "w"), "difference", "∂v/∂w = ∂y/∂w − ∂u/∂w = 0 − ∂u/∂w")
    says(cr.derive(COST, "w"), "case split", "∂vᵢ/∂w = {0⃗ᵀ if zᵢ ≤ 0; −xᵢᵀ if zᵢ > 0}")
    says(cr.derive(COST, "b"), "case split", "∂vᵢ/∂b = {0 if zᵢ ≤ 0; −1 if zᵢ > 0}")


def test_ph51_nine_lines() -> None:
    rules = [rule for rule, _ in lines(cr.derive(COST, "w"))]
    order = ["sum reduction, power", "vector chain rule", "substitute", "on the active branch, max(0, z) is z"]
    order += ["constant multiple", "name the error term", "closed form", "gradient descent"]
    places = [len(rules) - 1 - rules[::-1].index(rule) for rule in order]
    assert places == sorted(places)


def test_ph52_error_term() -> None:
    d = cr.derive(COST, "w")
    says(d, "name the error term", "e ≔ Xw + 1⃗b − y")
    says(d, "closed form", "(2/N) Σ", "eᵢxᵢᵀ")
    one = golden(N=1)
    np.testing.assert_array_equal(cr.grad(COST, "w").eval(**one), 2 * Fraction(5, 2) * one["X"][0])


def test_ph53_by_b_the_sum_stays_outside_the_cases() -> None:
    d = cr.derive(COST, "b")
    says(d, "constant multiple", "(2/N) Σᵢ {0 if w·xᵢ + b ≤ 0; w·xᵢ + b − yᵢ if w·xᵢ + b > 0}")
    says(d, "closed form", "(2/N) Σ", "eᵢ")


def test_ph54_descent() -> None:
    says(cr.derive(COST, "w"), "gradient descent", "w ← w − η(∂C/∂w)ᵀ")
    says(cr.derive(COST, "b"), "gradient descent", "b ← b − η ∂C/∂b")


def test_ph55_combined_parameter() -> None:
    rng = np.random.default_rng(0)
    w_, x_, b_ = rng.normal(size=3), rng.normal(size=3), rng.normal()
    p, q = cr.vector("p", "k"), cr.vector("q", "k")
    combined = (p @ q).eval(p=np.append(w_, b_), q=np.append(x_, 1))
    np.testing.assert_allclose((w @ v + b).eval(w=w_, x=x_, b=b_), combined)
    np.testing.assert_allclose(cr.grad(p @ q, "p").eval(p=np.append(w_, b_), q=np.append(x_, 1)), np.append(x_, 1))


def test_ph56_closed_matrix_form() -> None:
    d = cr.derive(COST, "w")
    says(d, "closed form", "= (2/N) (m ⊙ e)ᵀ X")
    says(d.in_layout("denominator"), "closed form", "= (2/N) Xᵀ(m ⊙ e)")
    says(cr.derive(COST, "b"), "name the mask", "m ≔ [Xw + 1⃗b > 0]")


def test_ph57_notation() -> None:
    latex = COST.to_latex()
    assert r"\mathbf{w}" in latex and r"\mathbf{X}" in latex and r"\vec{1}" in latex and r"\mathbf{b}" not in latex
    d = cr.derive(COST, "w")
    assert r"\partial" in d.to_latex() and r"\delta" not in d.to_latex() and r"\begin{cases}" in d.to_latex()
    assert all(sign in str(d) for sign in ("∂", "Σᵢ", "diag", "ᵀ", "1⃗", "0⃗ᵀ")) and "δ" not in str(d)


# --- Kamath's own rows
def test_k01_affine_unit_then_max() -> None:
    says(cr.derive(NEURON, "w", function_name="a"), "introduce", "z ≔ w·x + b")
    says(cr.derive(NEURON, "w", function_name="a"), "the function", "a = max(0, z)")


def test_k02_partials_of_a_product() -> None:
    assert [result("x*y", name) for name in "xy"] == ["y", "x"]


def test_k03_gradient_is_a_row_and_jacobian_rows_are_gradients() -> None:
    says(cr.derive(cr.sum(w * w * v), "w", function_name="f"), "", "ᵀ")
    A = cr.matrix("A", 2, 3)
    q = cr.vector("q", 3)
    value = np.arange(6.0).reshape(2, 3)
    J = cr.jacobian(A @ q, "q").eval(A=value, q=np.ones(3))
    for k in range(2):
        np.testing.assert_array_equal(J[k], value[k])


def test_k04_two_functions_of_a_vector() -> None:
    test_ph13_vectorising_names()


def test_k05_jacobian_is_m_by_n_and_the_identity_square() -> None:
    assert cr.jacobian(cr.matrix("A", "m", "n") @ v, "x").shape == ("m", "n")
    assert cr.jacobian(v, "x").shape == ("n", "n")


def test_k06_element_wise_operator_keeps_the_length() -> None:
    assert (cr.sin(w) + cr.exp(v)).shape == w.shape == v.shape


def test_k07_scalar_expansion_does_not_read_x() -> None:
    says(cr.derive(v + z, "z", function_name="y"), "sum", "∂x/∂z + ∂(1⃗z)/∂z", "0⃗ + 1⃗")


def test_k08_sum_over_results_not_over_the_parameter() -> None:
    d = cr.derive(cr.sum(cr.exp(v)), "x", function_name="y", detail="brief")
    assert any("over the results and not over the parameter" in step.because for step in d.steps)


def test_k09_gradient_of_a_sum_is_a_row_of_ones() -> None:
    test_ph26_sum()


def test_k10_the_partial_sign_is_not_a_delta() -> None:
    text = str(cr.derive(COST, "w")) + cr.derive(COST, "w").to_latex()
    assert "δ" not in text and r"\delta" not in text


# --- Wang's pictures
BY_W = cr.derive(COST, "w")
BY_B = cr.derive(COST, "b")
NEURON_BY_W = cr.derive(NEURON, "w", function_name="neuron")
FULL = cr.derive(w @ v + b, "w", detail="full", function_name="z")


def test_im01_and_im13_the_cost() -> None:
    d = cr.derive(COST, "w", detail="brief")
    says(d, "the function", "C = (1/N) Σᵢ (yᵢ − max(0, w·xᵢ + b))²")


def test_im02_the_neuron() -> None:
    assert str(NEURON) == "max(0, w·x + b)"
    says(NEURON_BY_W, "introduce", "z ≔ w·x + b")


def test_im03_chain_rule_of_the_neuron() -> None:
    says(NEURON_BY_W, "vector chain rule", "∂neuron/∂w = (∂neuron/∂z)(∂z/∂w)")


def test_im04_dot_is_the_sum_of_the_element_wise_product() -> None:
    assert cr.parse(r"\sum_i w_i x_i", shapes={"w": "n", "x": "n"}) is cr.sum(w * v) is w @ v


def test_im05_local_jacobians_of_the_dot_product() -> None:
    says(FULL, "introduce", "v ≔ w ⊙ x")
    says(FULL, "introduce", "u ≔ sum(v)")
    says(FULL, "sum reduction", "∂u/∂v = 1⃗ᵀ")
    says(FULL, "element-wise product", "∂v/∂w = diag(x)")


def test_im06_chain_of_the_dot_product() -> None:
    says(FULL, "vector chain rule", "∂u/∂w = (∂u/∂v)(∂v/∂w) = 1⃗ᵀ diag(x) = xᵀ")


def test_im07_affine_by_w_and_by_b() -> None:
    says(FULL, "sum", "∂z/∂w = ∂u/∂w + ∂b/∂w = ∂u/∂w + 0⃗ᵀ = xᵀ")
    says(cr.derive(w @ v + b, "b", function_name="z"), "sum", "∂z/∂b", "0 + 1 = 1")


def test_im08_graph_of_max() -> None:
    grid = np.linspace(-2, 2, 9)
    np.testing.assert_array_equal(cr.relu(v).eval(x=grid), np.where(grid > 0, grid, 0))


def test_im09_slope_of_max() -> None:
    says(NEURON_BY_W, "max", "{0 if z ≤ 0; 1 if z > 0}")


def test_im10_combined() -> None:
    says(NEURON_BY_W, "case split", "∂neuron/∂w = {0⃗ᵀ if z ≤ 0; xᵀ if z > 0}")


def test_im11_z_substituted() -> None:
    says(NEURON_BY_W, "substitute", "∂neuron/∂w = {0⃗ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}")


def test_im12_neuron_by_b() -> None:
    d = cr.derive(NEURON, "b", function_name="neuron")
    says(d, "substitute", "∂neuron/∂b = {0 if w·x + b ≤ 0; 1 if w·x + b > 0}")


def test_im14_and_im25_intermediates_with_names_scoped_to_the_derivation() -> None:
    for d in (BY_W, BY_B):
        says(d, "introduce", "u ≔ max(0, z)")
        says(d, "introduce", "v ≔ y − u")
        says(d, "the function", "C = (1/N) Σᵢ vᵢ²")
    says(FULL, "introduce", "v ≔ w ⊙ x")  # the same letter, another derivation


def test_im15_u_by_w() -> None:
    says(BY_W, "case split", "∂uᵢ/∂w = {0⃗ᵀ if zᵢ ≤ 0; xᵢᵀ if zᵢ > 0}")


def test_im16_v_by_w() -> None:
    says(BY_W, "difference", "∂v/∂w = ∂y/∂w − ∂u/∂w = 0 − ∂u/∂w")
    says(BY_W, "case split", "∂vᵢ/∂w = {0⃗ᵀ if zᵢ ≤ 0; −xᵢᵀ if zᵢ > 0}")


def test_im17_chain_of_the_cost() -> None:
    says(BY_W, "vector chain rule", "∂C/∂w = (∂C/∂v)(∂v/∂w)")


def test_im18_and_im29_cost_by_v() -> None:
    for d in (BY_W, BY_B):
        says(d, "sum reduction, power", "∂C/∂v = (1/N) 1⃗ᵀ", "diag(", "(2/N) vᵀ")


def test_im19_combined() -> None:
    says(BY_W, "case split", "∂C/∂w = (1/N) Σᵢ {0⃗ᵀ if zᵢ ≤ 0; −2vᵢxᵢᵀ if zᵢ > 0}")


def test_im20_u_and_v_substituted() -> None:
    says(BY_W, "substitute", "(1/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; −2(yᵢ − max(0, w·xᵢ + b)) xᵢᵀ if w·xᵢ + b > 0}")


def test_im21_branch_condition_simplifies_max() -> None:
    says(BY_W, "on the active branch", "(1/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; −2(yᵢ − w·xᵢ − b) xᵢᵀ if w·xᵢ + b > 0}")


def golden(N: int = 3) -> dict[str, np.ndarray]:
    """The exact fixture; with N = 1 its only active sample."""
    exact = np.vectorize(Fraction, otypes=[object])
    rows = slice(0, 3) if N == 3 else slice(1, 2)
    X = exact(np.array([[1, 2], [3, -1], [-2, 1]])[rows])
    w0, y0 = exact(np.array([1, -1])), exact(np.array([1, 2, 3])[rows])
    return {"X": X, "w": w0, "b": np.array(Fraction(1, 2), dtype=object), "y": y0}


def test_im22_the_articles_line_is_wrong_and_ours_is_right() -> None:
    """The article: {0⃗ᵀ; (2/N) Σᵢ (w·xᵢ + b − yᵢ) xᵢᵀ}, a condition that depends on i outside Σᵢ."""
    says(BY_W, "constant multiple", "(2/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; (w·xᵢ + b − yᵢ) xᵢᵀ if w·xᵢ + b > 0}")
    assert any("stays inside Σᵢ" in step.note for step in BY_W.steps if step.rule == "constant multiple")
    at = golden()
    errors = cr.parse("X @ w + b - y", shapes={"X": ("N", "d"), "w": "d", "b": (), "y": "N"}).eval(**at)
    read_literally = Fraction(2, 3) * (errors @ at["X"])
    assert list(read_literally) == [Fraction(34, 3), Fraction(-22, 3)]
    truth = cr.grad(COST, "w").eval(**at)
    assert list(truth) == [5, Fraction(-5, 3)], "neither branch of the published line"
    all_active = {**at, "b": np.array(Fraction(10), dtype=object)}
    errors = cr.parse("X @ w + b - y", shapes={"X": ("N", "d"), "w": "d", "b": (), "y": "N"}).eval(**all_active)
    np.testing.assert_array_equal(cr.grad(COST, "w").eval(**all_active), Fraction(2, 3) * (errors @ at["X"]))


def test_im23_error_term() -> None:
    says(BY_W, "name the error term", "e ≔ Xw + 1⃗b − y")
    says(BY_W, "closed form", "∂C/∂w = (2/N) Σ", "eᵢxᵢᵀ")


def test_im24_update_of_w_has_the_transpose() -> None:
    says(BY_W, "gradient descent", "w ← w − η(∂C/∂w)ᵀ")


def test_im26_u_by_b() -> None:
    says(BY_B, "case split", "∂uᵢ/∂b = {0 if zᵢ ≤ 0; 1 if zᵢ > 0}")


def test_im27_v_by_b() -> None:
    says(BY_B, "difference", "∂v/∂b = ∂y/∂b − ∂u/∂b")
    says(BY_B, "case split", "∂vᵢ/∂b = {0 if zᵢ ≤ 0; −1 if zᵢ > 0}")


def test_im28_chain_of_the_cost_by_b() -> None:
    says(BY_B, "vector chain rule", "∂C/∂b = (∂C/∂v)(∂v/∂b)")


def test_im30_substituted_by_b() -> None:
    says(BY_B, "substitute", "(1/N) Σᵢ {0 if w·xᵢ + b ≤ 0; −2(yᵢ − max(0, w·xᵢ + b)) if w·xᵢ + b > 0}")


def test_im31_branch_condition_by_b() -> None:
    says(BY_B, "on the active branch", "(1/N) Σᵢ {0 if w·xᵢ + b ≤ 0; −2(yᵢ − w·xᵢ − b) if w·xᵢ + b > 0}")
    says(BY_B, "constant multiple", "(2/N) Σᵢ {0 if w·xᵢ + b ≤ 0; w·xᵢ + b − yᵢ if w·xᵢ + b > 0}")


def test_im32_error_term_by_b() -> None:
    says(BY_B, "closed form", "∂C/∂b = (2/N) Σ", "eᵢ")


def test_im33_update_of_b() -> None:
    says(BY_B, "gradient descent", "b ← b − η ∂C/∂b")


# --- the golden fixture
def test_golden_fixture_in_rational_arithmetic() -> None:
    at = golden()
    assert COST.eval(**at) == Fraction(65, 12)
    slope_w, slope_b = cr.grad(COST, "w").eval(**at), cr.grad(COST, "b").eval(**at)
    assert list(slope_w) == [5, Fraction(-5, 3)] and slope_b == Fraction(5, 3)
    eta = Fraction(1, 10)
    after = {**at, "w": at["w"] - eta * slope_w, "b": np.array(at["b"].item() - eta * slope_b, dtype=object)}
    assert list(after["w"]) == [Fraction(1, 2), Fraction(-5, 6)] and after["b"].item() == Fraction(1, 3)
    assert COST.eval(**after) == Fraction(94, 27)


def test_golden_fixture_in_compiled_floats() -> None:
    at = {name: np.asarray(value, dtype=float) for name, value in golden().items()}
    f = cr.compile(COST, cr.grad(COST, "w"), cr.grad(COST, "b"))
    value, slope_w, slope_b = f(**at)
    np.testing.assert_allclose(value, 65 / 12, rtol=1e-14)
    np.testing.assert_allclose(slope_w, [5, -5 / 3], rtol=1e-14)
    np.testing.assert_allclose(slope_b, 5 / 3, rtol=1e-14)


def test_closed_form_and_engine_agree_exactly() -> None:
    at = golden()
    e = cr.parse("X @ w + b - y", shapes={"X": ("N", "d"), "w": "d", "b": (), "y": "N"}).eval(**at)
    m = np.array([Fraction(int(value > 0)) for value in e + at["y"]], dtype=object)
    np.testing.assert_array_equal(Fraction(2, 3) * at["X"].T @ (m * e), cr.grad(COST, "w").eval(**at))
