"""What a first reader stumbled over: each test is a formula that was read, printed or differentiated amiss."""

import numpy as np
import pytest

import chainrule as cr


def differences(f, x, h=1e-6):
    """Central differences of an array function, one column for each entry of x."""
    columns = []
    for k in np.ndindex(x.shape):
        moved = np.zeros_like(x)
        moved[k] = h
        columns.append((np.asarray(f(x + moved)) - np.asarray(f(x - moved))) / (2 * h))
    return np.stack(columns, axis=-1).reshape(np.shape(f(x)) + x.shape)


# --- subscripts in LaTeX
def test_a_numbered_entry_beside_a_sum_over_entries_is_an_entry() -> None:
    e = cr.parse(r"z_1 \sum_j z_j^2 - z_{2}")
    z = np.array([0.5, -1.0, 2.0])
    assert e.symbols.keys() == {"z"}
    assert float(e.eval(z=z)) == pytest.approx(z[0] * (z @ z) - z[1])
    assert cr.grad(e, "z").eval(z=z) == pytest.approx(differences(lambda v: v[0] * (v @ v) - v[1], z), abs=1e-6)


@pytest.mark.parametrize("text", [r"z_k - \log\sum_j \exp z_j", r"\frac{e^{\hat z_c}}{\sum_j e^{\hat z_j}}"])
def test_an_entry_under_no_sum_is_refused_instead_of_becoming_another_symbol(text: str) -> None:
    with pytest.raises(cr.DomainError, match="is not bound by a sum"):
        cr.parse(text)


def test_a_declared_symbol_keeps_its_subscript() -> None:
    e = cr.parse(r"z_k - \log\sum_j \exp z_j", {"z_k": (), "z": "n"})
    assert e.symbols.keys() == {"z_k", "z"}
    assert cr.parse("x_1 x_2 + w_1", syntax="latex").symbols.keys() == {"x1", "x2", "w1"}
    assert cr.parse(r"\sum_{i=1}^N (y_i - \hat{y}_i)^2 + y_N").symbols.keys() == {"y", "y_hat"}


# --- pseudoinverse
@pytest.mark.parametrize(
    "text", [r"\mathbf{X}^{+}\mathbf{b}", r"\mathbf{X}^\dagger\mathbf{b}", r"{(X^\top)^\top}^{\dagger} \mathbf{b}"]
)
def test_the_pseudoinverse_as_papers_write_it(text: str) -> None:
    assert cr.parse(text, {"X": ("N", "d")}) is cr.parse("pinv(X) @ b", {"X": ("N", "d")})


def test_a_plus_above_a_small_letter_is_a_name_and_above_a_difference_no_pseudoinverse() -> None:
    assert cr.parse("w^+ - w", syntax="latex").symbols.keys() == {"w_plus", "w"}
    with pytest.raises(cr.FormulaSyntaxError):
        cr.parse(r"(1 - \mathbf{z})^+")


# --- norms
def test_norms_along_axes_keep_them_when_asked() -> None:
    X = np.random.default_rng(3).normal(size=(3, 4))
    for text, expected in [
        ("X / norm(X, axis=1, keepdims=True)", X / np.linalg.norm(X, axis=1, keepdims=True)),
        ("X - norm(X, 1, axis=0, keepdims=True)", X - np.abs(X).sum(0, keepdims=True)),
        ("X * norminf(X, axis=1, keepdims=True)", X * np.abs(X).max(1, keepdims=True)),
        ("norm(X, axis=(0, 1))", np.linalg.norm(X)),
    ]:
        assert cr.parse(text, {"X": ("N", "d")}).eval(X=X) == pytest.approx(expected)
    with pytest.raises(cr.ChainruleError, match="one axis"):
        cr.parse("norm(X, 1, axis=(0, 1))")


def test_rows_of_unit_length_have_the_right_derivative() -> None:
    X = np.random.default_rng(4).normal(size=(2, 3))
    unit = cr.parse("X / norm(X, axis=1, keepdims=True)", {"X": ("N", "d")})
    expected = differences(lambda Y: Y / np.linalg.norm(Y, axis=1, keepdims=True), X)
    assert cr.jacobian(unit, "X").eval(X=X) == pytest.approx(expected, abs=1e-6)


# --- derivatives of derivatives
def test_what_a_derivative_no_longer_reads_it_can_still_be_differentiated_by() -> None:
    quadratic = cr.parse("x @ A @ x", {"x": "n"})
    third = cr.jacobian(cr.hessian(quadratic, "x"), "x")
    assert third.shape == ("n", "n", "n")
    assert str(third) == "0"
    assert cr.derive(cr.hessian(quadratic, "x"), "x").verified
    with pytest.raises(cr.UnknownSymbol):
        cr.jacobian(cr.hessian(quadratic, "x"), "q")


def test_a_size_that_only_a_dropped_symbol_shows_is_known_at_every_order() -> None:
    first = cr.jacobian(cr.parse("log(s * x)", {"x": "d", "s": ()}), "s")
    second = cr.jacobian(first, "s")
    assert second.eval(s=2.0, x=np.ones(4)) == pytest.approx(np.full(4, -0.25))


# --- printing
@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("log(mean(x**2))", "(2/‖x‖²) x"),
        ("log(sum(x) / N)", "(1/sum(x)) 1⃗"),
        ("log(var(x) * s)", None),
        ("1 / mean(x**2)", None),
    ],
)
def test_a_mean_below_a_mean_loses_its_count(text: str, printed: str | None) -> None:
    gradient = cr.grad(cr.parse(text, {"x": "N", "s": ()}), "x")
    assert "N(1/N)" not in str(gradient)
    assert printed is None or str(gradient) == printed
    assert cr.parse(cr.formula(gradient), {"x": "N", "s": ()}) is gradient


# --- transposes and calls in plain text
def test_a_raised_capital_t_is_a_transpose_where_it_is_nothing_else() -> None:
    for syntax in ("text", "matlab"):
        e = cr.parse("x^T @ A^T @ y" if syntax == "text" else "x^T * A^T * y", syntax=syntax)
        assert e is cr.parse("y @ A @ x")
    assert cr.parse("(A @ x)^T @ y", {"A": ("m", "n")}) is cr.parse("(A @ x) @ y", {"A": ("m", "n")})
    assert cr.parse("g^T").symbols.keys() == {"g", "T"}  # a scalar to a power
    assert cr.parse("x^T", {"x": (), "T": ()}).symbols.keys() == {"x", "T"}
    assert "T" in cr.parse("sum(x^T) / T").symbols


@pytest.mark.parametrize(("text", "hint"), [("sin x", "write sin(x)"), ("log x + 1", "write log(x)")])
def test_a_function_without_brackets_is_told_so(text: str, hint: str) -> None:
    with pytest.raises(cr.FormulaSyntaxError) as caught:
        cr.parse(text)
    assert caught.value.hint == hint


# --- a number under a root
def test_layernorm_with_a_number_for_eps_is_told_as_with_a_letter() -> None:
    shapes = {"X": ("N", "d"), "gamma": "d", "beta": "d"}
    layer = cr.parse("layernorm(X, gamma, beta, eps=0.001)", shapes)
    assert cr.jacobian(layer, "X").eval(
        X=np.eye(2, 3) + 0.5, gamma=np.array([1.0, 2.0, 3.0]), beta=np.zeros(3)
    ) == pytest.approx(
        differences(
            lambda X: (
                (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 0.001) * np.array([1.0, 2.0, 3.0])
            ),
            np.eye(2, 3) + 0.5,
        ),
        abs=1e-6,
    )
    d = cr.derive(layer, "X", cotangent="dY")
    assert d.verified
    assert [str(name) for name in d.names][:3] == ["X̃", "σ", "X̂"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("0.5 * norm(A @ x - b)**2 + s * sum(x)", "s sum(x) + (1/2) ‖b − Ax‖²"),
        ("sqrt(x @ x / n + 0.001)", "√(1/1000 + (1/n) ‖x‖²)"),
        ("0.5 * x @ A @ x - 0.5 * sum(x)", "(1/2) (xᵀAx − sum(x))"),
    ],
)
def test_a_fraction_in_front_leaves_fewer_numbers_behind(text: str, printed: str) -> None:
    assert str(cr.parse(text, {"x": "n", "b": "m", "s": ()})) == printed


# --- values and facts that are none
@pytest.mark.parametrize("value", ["abc", None, [[1], [2, 3]], np.array([1j, 2.0]), {"a": 1}])
def test_what_is_no_array_of_real_numbers_is_refused_by_name(value: object) -> None:
    with pytest.raises(cr.DomainError, match="x"):
        cr.parse("x @ x").eval(x=value)


@pytest.mark.parametrize("text", ["min(x)", "max(x)"])
def test_an_empty_vector_has_no_largest_entry(text: str) -> None:
    with pytest.raises(cr.DomainError, match="not defined"):
        cr.parse(text, {"x": "n"}).eval(x=np.zeros(0))


def test_a_fact_that_nothing_knows_is_refused() -> None:
    with pytest.raises(cr.DomainError, match="known fact"):
        cr.matrix("D", "n", "n", "triangular")
    assert cr.matrix("D", "n", "n", "diagonal").T is not None


def test_gradient_of_scaled_normalised_columns_is_simplified() -> None:
    """A number that divides inside a factor whose axes are not numbered from 0."""
    f = cr.parse(
        "sum(dY * gamma * (X - mean(X, axis=0)) / sqrt(mean((X - mean(X, axis=0))**2, axis=0)))",
        {"X": ("N", "d"), "gamma": "d", "dY": ("N", "d")},
    )
    rng = np.random.default_rng(0)
    point = {"X": rng.normal(size=(5, 3)), "gamma": rng.normal(size=3), "dY": rng.normal(size=(5, 3))}
    way = rng.normal(size=(5, 3))
    ahead, behind = (f.eval(**{**point, "X": point["X"] + h * way}) for h in (1e-5, -1e-5))
    assert np.sum(cr.grad(f, "X").eval(**point) * way) == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("norm(x, 1)", lambda x, A: np.linalg.norm(x, 1)),
        ("norm(x, 2)", lambda x, A: np.linalg.norm(x, 2)),
        ("norm(x, inf)", lambda x, A: np.linalg.norm(x, np.inf)),
        ("norm(x, ord=1)", lambda x, A: np.linalg.norm(x, 1)),
        ("norm(A, fro)", lambda x, A: np.linalg.norm(A, "fro")),
        ("norm(A, nuc)", lambda x, A: np.linalg.norm(A, "nuc")),
        ("sum(norm(A, 1, axis=1))", lambda x, A: np.linalg.norm(A, 1, axis=1).sum()),
    ],
)
def test_what_stands_second_in_a_norm_is_its_order(text, wanted) -> None:
    rng = np.random.default_rng(0)
    x, A = rng.normal(size=4), rng.normal(size=(3, 5))
    e = cr.parse(text, {"x": "n", "A": ("m", "k")})
    assert float(e.eval(**{"x": x} if "x" in e.symbols else {"A": A})) == pytest.approx(wanted(x, A), rel=1e-12)
