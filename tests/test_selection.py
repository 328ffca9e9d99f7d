"""Slices, entries, stacks, triangles, vec and Kronecker products: constants in a product, real slices in code."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError, DomainError, ShapeError
from chainrule.evaluate import evaluate
from chainrule.expression.extent import minus, plus, solved, times
from chainrule.render.input import source_text
from conftest import agrees

RNG = np.random.default_rng(7)
SHAPES = {"x": "n", "y": "n", "A": ("m", "n"), "B": ("p", "q"), "S": ("n", "n"), "z": "n-1"}
SIZES = {"n": 4, "m": 3, "p": 2, "q": 5, "n-1": 3}
VALUES = {
    name: RNG.normal(size=[SIZES[s] for s in ((shape,) if isinstance(shape, str) else shape)])
    for name, shape in SHAPES.items()
}
x, y, A, B, S, z = (VALUES[name] for name in SHAPES)

CASES = {
    "x[1:] - x[:-1]": np.diff(x),
    "x[1:] * z": x[1:] * z,
    "x[-1]": x[-1],
    "x[1:3]": x[1:3],
    "A[0]": A[0],
    "A[:, -1]": A[:, -1],
    "A[1:, :-1]": A[1:, :-1],
    "A[2, 1] * x": A[2, 1] * x,
    "hstack([x, y, x])": np.hstack([x, y, x]),
    "vstack([x, y])": np.vstack([x, y]),
    "vstack([A, A])": np.vstack([A, A]),
    "concatenate([A, A], axis=1)": np.concatenate([A, A], 1),
    "stack([x, y], axis=1)": np.stack([x, y], 1),
    "tril(S)": np.tril(S),
    "triu(S, 1)": np.triu(S, 1),
    "cumsum(x)": np.cumsum(x),
    "cumsum(A, axis=0)": np.cumsum(A, 0),
    "vec(A)": A.ravel("F"),
    "A.ravel()": A.ravel(),
    "kron(A, B)": np.kron(A, B),
    "kron(x, y)": np.kron(x, y),
    "kron(A, B) @ vec(B.T @ ones(p, n))": np.kron(A, B) @ (B.T @ np.ones((2, 4))).ravel("F"),
    "x[::-1] * y": x[::-1] * y,
    "A[:, ::-1]": A[:, ::-1],
    "x[-2::-1]": x[-2::-1],
    "A[:0:-1]": A[:0:-1],
    "x[:, None] * z[None]": x[:, None] * z[None],
    "A[:, None, :] - S[None]": A[:, None, :] - S[None],
    "diag(S)[1:]": np.diag(S)[1:],
    "diag(S)[::-1] * x": np.diag(S)[::-1] * x,
    "diag(S)[1]": np.diag(S)[1],
    "mean(x[1:])": x[1:].mean(),
    "var(A[:, 1:], axis=0)": A[:, 1:].var(0),
}


@pytest.mark.parametrize("text", CASES)
def test_parts_have_numpys_values_and_right_slopes(text: str) -> None:
    e = cr.parse(text, shapes=SHAPES)
    values = {name: VALUES[name] for name in e.symbols}
    np.testing.assert_allclose(e.eval(**values), CASES[text], atol=1e-12)
    for name in values:
        slope = cr.jacobian(e, name)
        assert agrees(slope.eval(**values), e, name, values, RNG) < 1e-7
        value, derivative = cr.compile(e, slope)(**values)
        np.testing.assert_allclose(value, CASES[text], atol=1e-12)
        np.testing.assert_allclose(derivative, slope.eval(**values), atol=1e-12)
        assert cr.parse(source_text(slope), shapes=SHAPES) is slope


@pytest.mark.parametrize("text", CASES)
def test_every_derivation_holds(text: str) -> None:
    e = cr.parse(text, shapes=SHAPES)
    assert cr.derive(e, next(iter(e.symbols))).verified


def test_python_slices_are_the_same_expression() -> None:
    v = cr.vector("x", "n")
    assert v[1:] is cr.parse("x[1:]", shapes={"x": "n"})
    assert cr.trace(lambda x: x[:-1], x="n") is v[:-1]
    assert cr.matrix("A", "m", "n")[..., 0] is cr.parse("A[:, 0]", shapes=SHAPES)


def test_code_slices_and_never_multiplies() -> None:
    e = cr.parse("sum((x[1:] - x[:-1])**2)", shapes=SHAPES)
    text = cr.source((e, cr.grad(e, "x")))
    assert "x[1:n_n]" in text and "selected_rows" not in text and "eye" not in text


def test_kronecker_code_never_forms_the_product() -> None:
    text = cr.source(cr.parse("kron(A, B) @ x"))
    assert "eye" not in text and "A @" in text


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\sum_{i=1}^{n-1} (x_{i+1} - x_i)^2", "sum((x[1:] - x[:-1])**2)"),
        (r"\sum_{i=2}^{n} (x_i - x_{i-1})^2", "sum((x[1:] - x[:-1])**2)"),
        (r"\mathbf{x}_{2:}^\top \mathbf{y}_{2:}", "x[1:] @ y[1:]"),
        (r"\prod_{i=1}^n x_i", "prod(x)"),
        (r"\max_i x_i", "max(x)"),
    ],
)
def test_latex_counts_from_one(latex: str, text: str) -> None:
    shapes = {"x": "n", "y": "n"}
    found = cr.parse(latex, shapes={k: v for k, v in shapes.items() if k in latex})
    assert found is cr.parse(text, shapes=shapes)


def test_einsum_is_read() -> None:
    assert cr.parse('einsum("ij,jk->ik", A, C)', shapes={"A": "m,n", "C": "n,k"}).shape == ("m", "k")
    assert cr.parse('einsum("ii->", S)') is cr.parse("trace(S)")
    with pytest.raises(ChainruleError, match="do not fit"):
        cr.parse('einsum("ij,jk->ik", A)')


def test_sizes_have_one_spelling() -> None:
    assert minus(plus("n", 1), 1) == "n"
    assert times("n", "m") == times("m", "n") == "m*n"
    assert plus("n", "n") == "2*n"
    assert minus("n", "n") == 0
    assert solved("2*n+1", 7, {}) == ("n", 3)


def test_a_size_is_worked_out_from_what_shows_it() -> None:
    e = cr.parse("sum(z) + sum(x[1:] * z)", shapes=SHAPES)
    slope = cr.grad(e, "x")
    assert evaluate(slope, {"z": z}).shape == (4,)
    with pytest.raises(ShapeError):
        e.eval(x=x, z=x)
    with pytest.raises(ShapeError, match="n-1"):
        cr.compile(e)(x=x, z=x)


def test_slices_beyond_an_axis_are_refused() -> None:
    with pytest.raises(ShapeError, match="beyond"):
        cr.vector("x", 3)[2:5]
    with pytest.raises(ShapeError, match="beyond"):
        cr.vector("x", 3)[3]
    with pytest.raises(DomainError, match="do not exist"):
        cr.vector("x", "n")[2:5].eval(x=np.ones(3))
    with pytest.raises(DomainError, match="a step of 2 takes is open"):
        cr.vector("x", "n")[::2]


def test_otimes_is_kronecker_where_only_that_has_a_meaning() -> None:
    shapes = {"A": ("m", "n"), "B": ("p", "q"), "C": ("m", "n")}
    assert cr.parse("A ⊗ B", shapes=shapes) is cr.parse("kron(A, B)", shapes=shapes)
    assert cr.parse(r"\mathbf{A} \otimes \mathbf{C}", shapes=shapes) is cr.parse("A * C", shapes=shapes)


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_nuclear_norm_is_the_sum_of_singular_values(shape: tuple[int, int]) -> None:
    e, value = cr.parse(r"\lVert \mathbf{A} \rVert_*"), RNG.normal(size=shape)
    left, singular, right = np.linalg.svd(value, full_matrices=False)
    np.testing.assert_allclose(cr.compile(e)(A=value), singular.sum())
    np.testing.assert_allclose(cr.grad(e, "A").eval(A=value), left @ right)


@pytest.mark.parametrize(
    ("text", "gradient"),
    [
        ("norm(kron(X, A))**2", "2‖A‖² X"),
        ("norm(vec(X))**2", "2X"),
        ("sum(kron(A, X))", "sum(A) 1⃗ 1⃗ᵀ"),
        ("norm(hstack([X, Y]))**2", "2X"),
        ("norm(kron(A, X) - B)**2", "2Xᵢⱼ Σₖₗ Aₖₗ² − 2 Σₖₗₘₙ Aₖₗ Bₘₙ pair(m*p, m, p)ₘₖᵢ pair(n*q, n, q)ₙₗⱼ"),
    ],
)
def test_gradients_through_rearranged_arrays_are_closed(text: str, gradient: str) -> None:
    shapes = {"A": ("m", "n"), "X": ("p", "q"), "Y": ("p", "k"), "B": ("m*p", "n*q")}
    assert str(cr.grad(cr.parse(text, shapes), "X")) == gradient


STEPS = ["x[::2]", "x[1::2]", "x[1:5:3]", "x[::-2]", "x[4:1:-1]", "x[::-1]", "x[-2:0:-2]", "x[5:4:-1]"]
STEPS += ["X[1::2, :]", "X[::-1, ::2]", "x[::2] * x[::-1][::2]", "X[:, ::-1] @ X[::-1].T"]


@pytest.mark.parametrize("text", STEPS)
def test_steps_are_numpys_and_read_back(text: str) -> None:
    shapes = {"x": 6, "X": (6, 3)}
    points = {"x": RNG.normal(size=6), "X": RNG.normal(size=(6, 3))}
    e = cr.parse(text, shapes)
    assert cr.parse(source_text(e), shapes) is e
    assert cr.trace(lambda x, X: eval(text, {"x": x, "X": X}), **shapes) is e  # noqa: S307
    (name,) = e.symbols
    wanted = eval(text, {name: points[name]})  # noqa: S307
    loss = cr.parse(f"sum(({text})**3)", shapes)
    slope = cr.grad(loss, name)
    assert agrees(slope.eval(**{name: points[name]}), loss, name, {name: points[name]}, RNG) < 1e-7
    value, derivative = cr.compile(e, slope)(**{name: points[name]})
    np.testing.assert_allclose(value, wanted)
    np.testing.assert_allclose(derivative, slope.eval(**{name: points[name]}), atol=1e-12)


def test_a_step_takes_a_known_number_of_entries() -> None:
    assert cr.parse("x[::2] - x[1::2]", {"x": "2*n"}).shape == ("n",)
    with pytest.raises(DomainError, match="how many entries a step of 2 takes"):
        cr.parse("x[::2]", {"x": "n"})
    with pytest.raises(DomainError, match="whole steps"):
        cr.parse("x[::0]")
    with pytest.raises(ShapeError, match="beyond its axis"):
        cr.parse("x[0:9:2]", {"x": 6})


def test_turning_round_is_a_permutation() -> None:
    assert str(cr.grad("sum(x[::-1]**2)", "x")) == "2x"
    assert "eye" not in cr.source(cr.parse("sum(x[::-1] * y)", {"x": "n", "y": "n"}))


def test_spellings_of_powers_and_einsum() -> None:
    assert cr.parse("np.linalg.matrix_power(A, 3)") is cr.parse("A @ A @ A")
    assert cr.parse("matrix_power(A, -2) @ x") is cr.parse("inv(A) @ inv(A) @ x")
    with pytest.raises(ChainruleError, match="no power of a matrix"):
        cr.parse("matrix_power(A, 2.5)")
    shapes = {"X": ("b", "i", "j"), "Y": ("b", "j")}
    assert cr.parse("einsum('bij,bj->bi', X, Y)", shapes) is cr.parse('einsum("bij,bj->bi", X, Y)', shapes)
    with pytest.raises(DomainError, match="entries count from 1"):
        cr.parse(r"\sum_{k=0}^{3} x_k")
