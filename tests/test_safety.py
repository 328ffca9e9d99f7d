"""Numbers that would overflow, points where a slope is a convention, and expressions that would grow without end."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainError
from chainrule.expression import budget

FAR = np.array([-800.0, -30.0, 0.0, 30.0, 800.0])
FINITE = (
    "sigmoid(x)", "log_sigmoid(x)", "softplus(x)", "softmax(x)", "log_softmax(x)", "logsumexp(x)", "tanh(x)",
    "log(sigmoid(x))", "log(1 - sigmoid(x))", "log(softmax(x))", "log(sum(exp(x)))", "exp(x)/sum(exp(x))",
    "1/(1 + exp(-x))", "exp(x)/(1 + exp(x))", "log(1 + exp(x))", "log(exp(x)/sum(exp(x)))", "log(cosh(x))",
    "softmax(x) @ log(softmax(x))", "hypot(relu(x), relu(x))", "elu(x)", "silu(x)", "gelu(x)", "gelu_tanh(x)",
    "logaddexp(x, 0*x)", "leaky_relu(x)", "cross_entropy(x, x)",
)  # fmt: skip


@pytest.mark.parametrize("text", FINITE)
def test_values_and_slopes_are_finite_far_out(text: str) -> None:
    e = cr.parse(text, shapes={"x": "n"})
    slope = cr.jacobian(e, "x")
    f = cr.compile(e, slope)
    for got in (e.eval(x=FAR), slope.eval(x=FAR), *f(x=FAR), *f(x=FAR.astype(np.float32))):
        assert np.isfinite(got).all()


@pytest.mark.parametrize("text", ["log(sigmoid(x))", "-log(1 + exp(-x))", "log_sigmoid(x)", "log(1 - sigmoid(-x))"])
def test_logarithms_of_a_sigmoid_are_right_far_out(text: str) -> None:
    e = cr.parse(text, shapes={"x": "n"})
    for got in (e.eval(x=FAR), cr.compile(e)(x=FAR)):
        np.testing.assert_allclose(got, -np.logaddexp(0, -FAR))


def test_entropy_is_right_where_a_probability_is_zero() -> None:
    p = np.array([0.0, 0.25, 0.75, 0.0])
    for text in ("-p @ log(p)", "-sum(p * log(p))", "-sum(p * log(p / q))", "-sum(xlogy(p, p))"):
        e = cr.parse(text, shapes={"p": "n", "q": "n"})
        values = {name: a for name, a in {"p": p, "q": np.ones(4)}.items() if name in e.symbols}
        for got in (e.eval(**values), cr.compile(e)(**values)):
            np.testing.assert_allclose(got, -(p[1:3] @ np.log(p[1:3])))


def test_log_sigmoid_far_out_is_right() -> None:
    np.testing.assert_allclose(cr.parse("log_sigmoid(x)", shapes={"x": "n"}).eval(x=FAR)[[0, -1]], [-800.0, 0.0])


@pytest.mark.parametrize(
    ("text", "values", "slope"),
    [
        ("max(x)", [1.0, 3.0, 3.0], [0.0, 0.5, 0.5]),
        ("min(x)", [1.0, 1.0, 3.0], [0.5, 0.5, 0.0]),
        ("norm(x)", [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]),
        ("norm1(x)", [0.0, -2.0, 2.0], [0.0, -1.0, 1.0]),
        ("norminf(x)", [-3.0, 3.0, 1.0], [-0.5, 0.5, 0.0]),
        ("sum(leaky_relu(x))", [0.0, -1.0, 1.0], [0.0, 0.01, 1.0]),
    ],
)
def test_subgradients_are_as_documented(text: str, values: list[float], slope: list[float]) -> None:
    e = cr.parse(text, shapes={"x": "n"})
    np.testing.assert_allclose(cr.grad(e, "x").eval(x=np.array(values)), slope)
    np.testing.assert_allclose(cr.compile(cr.grad(e, "x"))(x=np.array(values)), slope)


ROWS = np.array([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 2.0]])


@pytest.mark.parametrize("axis", [0, 1])
def test_norms_along_an_axis_have_slope_zero_at_zero(axis: int) -> None:
    X = np.moveaxis(ROWS, 1, axis)
    e = cr.parse(f"sum(norm(X, axis={axis}))", shapes={"X": ("m", "n")})
    lengths = np.linalg.norm(X, axis=axis, keepdims=True)
    expected = X / np.where(lengths == 0, 1, lengths)
    slope, second = cr.grad(e, "X"), cr.hessian(e, "X")
    for got in (slope.eval(X=X), cr.compile(slope)(X=X)):
        np.testing.assert_allclose(got, expected)
    for got in (second.eval(X=X), cr.compile(second)(X=X)):
        assert np.isfinite(got).all()
    unknown = np.where(lengths == 3, np.nan, X)
    for got in (slope.eval(X=unknown), cr.compile(slope)(X=unknown)):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(unknown))


@pytest.mark.parametrize("zeros", [(), (1,), (0, 2)])
@pytest.mark.parametrize("axis", [0, 1])
def test_products_with_zeros_have_the_slope_of_the_other_factors(axis: int, zeros: tuple[int, ...]) -> None:
    X = np.array([[2.0, 3.0, 5.0], [1.0, -1.0, 4.0]])
    X[0, list(zeros)] = 0
    e = cr.parse(f"sum(prod(X, axis={axis})**2)", shapes={"X": ("m", "n")})
    lines = np.moveaxis(X, axis, -1)
    others = np.stack([np.prod(np.delete(lines, k, -1), -1) for k in range(lines.shape[-1])], -1)
    expected = np.moveaxis(2 * lines.prod(-1, keepdims=True) * others, -1, axis)
    slope, second = cr.grad(e, "X"), cr.hessian(e, "X")
    for got in (slope.eval(X=X), cr.compile(slope)(X=X)):
        np.testing.assert_allclose(got, expected)
    step = 1e-5 * np.arange(1.0, 7.0).reshape(X.shape)
    moved = (slope.eval(X=X + step) - slope.eval(X=X - step)) / 2
    for got in (second.eval(X=X), cr.compile(second)(X=X)):
        np.testing.assert_allclose(np.einsum("ijkl,kl->ij", got, step), moved, rtol=1e-6, atol=1e-10)


def test_what_is_held_still_has_no_slope() -> None:
    e = cr.parse("sum(stop_gradient(x) * x)", shapes={"x": "n"})
    np.testing.assert_allclose(cr.grad(e, "x").eval(x=FAR), FAR)


@pytest.mark.parametrize("text", ["inv(A)", "solve(A, ones(n))", "logdet(A)"])
def test_singular_matrices_are_a_domain_error(text: str) -> None:
    e = cr.parse(text, shapes={"A": ("n", "n")})
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(DomainError, match="singular"):
        cr.jacobian(e, "A").eval(A=singular)
    with pytest.raises(DomainError, match="singular"):
        cr.compile(cr.jacobian(e, "A"))(A=singular)


def test_a_factor_of_an_indefinite_matrix_is_a_domain_error() -> None:
    e = cr.parse("cholesky(A)")
    with pytest.raises(DomainError, match="positive definite"):
        e.eval(A=-np.eye(2))
    with pytest.raises(DomainError, match="positive definite"):
        cr.compile(e)(A=-np.eye(2))


def test_swell_ends_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "NODES", 500)
    f = cr.parse("x", shapes={"x": "n"})
    for _ in range(8):
        f = cr.parse("softmax(x)", shapes={"x": "n"}) * f * f + f @ f
    with pytest.raises(DomainError, match="grows beyond"):
        cr.hessian(f, "x")


@pytest.mark.parametrize(
    ("text", "near"),
    [("sotfmax(x)", "softmax"), ("batchnrom(x)", "batchnorm"), ("cholesy(A)", "cholesky"), ("krn(A, B)", "kron")],
)
def test_unknown_functions_name_the_nearest(text: str, near: str) -> None:
    with pytest.raises(cr.ChainruleError, match=f"did you mean {near}"):
        cr.parse(text)


@pytest.mark.parametrize(
    ("formula", "x", "value", "slope"),
    [
        ("sum(relu(x)**0.5)", [-1.0, 0.0, 4.0], 2.0, [0.0, 0.0, 0.25]),
        ("sum(exp(relu(x)) * relu(x)**0.5)", [-1.0, 1.0], np.e, [0.0, 1.5 * np.e]),
        ("sum(x**2 * log(x))", [0.0, 1.0], 0.0, [0.0, 1.0]),
        ("sum(sqrt(x) * log(x))", [0.0, 1.0], 0.0, None),
    ],
)
def test_zero_times_infinity(formula: str, x: list[float], value: float, slope: list[float] | None) -> None:
    e = cr.parse(formula)
    for f in (e.eval, cr.compile(e)):
        np.testing.assert_allclose(f(x=np.array(x)), value, atol=1e-15)
    g = cr.grad(e, "x")
    for f in (g.eval, cr.compile(g)) if slope is not None else ():
        np.testing.assert_allclose(f(x=np.array(x)), slope, atol=1e-15)
