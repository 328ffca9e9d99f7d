"""Factored results are the arrays they stand for, and hold no more than their factors."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.factored import Factored
from chainrule.errors import DomainError, ShapeError

SIZES = {"n": 6, "m": 5, "k": 2, "N": 9, "d": 3}
SHAPES = {
    "T": ("n", "m"), "U": ("n", "k"), "V": ("m", "k"), "A": ("n", "n"), "X": ("N", "d"), "W": ("m", "n"),
    "w": "d", "s": "N", "x": "n",
}  # fmt: skip


def derivative(kind: str, text: str, wrt: str) -> cr.Expr:
    e = cr.parse(text, {name: SHAPES[name] for name in cr.parse(text).symbols})
    return cr.hessian(e, wrt) if kind == "hessian" else cr.jacobian(e, wrt)


CASES = [
    ("hessian", "norm(T - U @ V.T)**2", "U"),
    ("hessian", "x @ A @ x", "x"),
    ("hessian", "sum(log(1 + exp(-s * (X @ w))))", "w"),
    ("jacobian", "softmax(W @ x)", "x"),
    ("jacobian", "softmax(W @ x)", "W"),
    ("jacobian", "tanh(A @ x)", "x"),
    ("jacobian", "tanh(x)", "x"),
    ("jacobian", "A @ A", "A"),
    ("jacobian", "inv(A + 9 * eye(n))", "A"),
    ("jacobian", "x", "x"),
]


def made(kind: str, text: str, wrt: str, dtype: type = np.float64) -> tuple[Factored, np.ndarray]:
    e = derivative(kind, text, wrt)
    factored, dense = cr.compile(e, structured=True), cr.compile(e)
    rng = np.random.default_rng(0)
    shapes = {s.name: s.shape for s in factored.program.arguments}
    arrays = {n: rng.normal(size=tuple(SIZES[a] for a in shape)).astype(dtype) for n, shape in shapes.items()}
    values = arrays | {name: SIZES[name] for name in factored.program.given}
    return factored(**values), dense(**values)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=[f"{kind} of {text} by {wrt}" for kind, text, wrt in CASES])
def test_it_is_the_array(case: tuple[str, str, str], dtype: type) -> None:
    factored, dense = made(*case, dtype)
    assert factored.shape == dense.shape and factored.dtype == dense.dtype and factored.size == dense.size
    close = {"rtol": 1e-9, "atol": 1e-9} if dtype is np.float64 else {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(np.asarray(factored), dense, **close)
    rng = np.random.default_rng(1)
    for count in range(1, dense.ndim + 1):
        if dense.ndim == 2 and count == 2:
            continue
        v = rng.normal(size=dense.shape[dense.ndim - count :]).astype(dtype)
        np.testing.assert_allclose(factored @ v, np.tensordot(dense, v, count), **close)
        u = rng.normal(size=dense.shape[:count]).astype(dtype)
        np.testing.assert_allclose(u @ factored, np.tensordot(u, dense, count), **close)
    if dense.ndim % 2 == 0:
        half = dense.ndim // 2
        turned = np.transpose(dense, (*range(half, dense.ndim), *range(half)))
        np.testing.assert_allclose(np.asarray(factored.T), turned, **close)
    if dense.ndim == 2:
        columns = rng.normal(size=(dense.shape[1], 4)).astype(dtype)
        np.testing.assert_allclose(factored @ columns, dense @ columns, **close)
        np.testing.assert_allclose(columns.T @ factored.T, columns.T @ dense.T, **close)


@pytest.mark.parametrize(
    ("case", "largest"),
    [
        (("hessian", "norm(T - U @ V.T)**2", "U"), 4),  # VᵀV
        (("jacobian", "tanh(x)", "x"), 6),
        (("jacobian", "tanh(A @ x)", "x"), 6),
        (("hessian", "sum(log(1 + exp(-s * (X @ w))))", "w"), 9),
    ],
)
def test_it_holds_its_factors_only(case: tuple[str, str, str], largest: int) -> None:
    factored, _ = made(*case)
    held = [np.size(a) for a in factored._held]
    assert held and max(held) <= largest
    assert f"{sum(held)} numbers beside the arguments" in repr(factored)


def test_what_does_not_fit_is_named() -> None:
    factored, _ = made("jacobian", "softmax(W @ x)", "x")
    with pytest.raises(ShapeError, match=r"shape \(5, 6\) cannot be multiplied with an array of shape \(5,\)"):
        factored @ np.ones(5)
    with pytest.raises(ShapeError):
        factored @ np.float64(2.0)
    with pytest.raises(ShapeError, match="3 axes have no transpose"):
        _ = made("jacobian", "softmax(W @ x)", "W")[0].T
    with pytest.raises(ValueError, match="multiplied out"):
        np.asarray(factored, copy=False)


def test_beside_plain_results() -> None:
    z = cr.vector("z", "n")
    value, slope, J = cr.compile(cr.dot(z, z), 2 * z, cr.jacobian(z * z, z), structured=True)(z=np.arange(3.0))
    assert float(value) == 5.0 and slope.tolist() == [0.0, 2.0, 4.0]
    assert isinstance(J, Factored) and (J @ np.ones(3)).tolist() == [0.0, 2.0, 4.0]
    f = pickle.loads(pickle.dumps(cr.compile(cr.jacobian(z * z, z), structured=True)))
    assert (f(z=np.arange(3.0)) @ [1, 1, 1]).tolist() == [0.0, 2.0, 4.0]


def test_numpy_only() -> None:
    z = cr.vector("z", "n")
    with pytest.raises(DomainError, match="factored"):
        cr.compile(cr.jacobian(z * z, z), structured=True, constant=["z"])


def test_other_sizes_in_turn() -> None:
    factored = cr.compile(cr.jacobian(cr.parse("tanh(A @ x)", {"A": ("m", "n"), "x": "n"}), "x"), structured=True)
    for m, n in ((3, 4), (4, 3), (3, 4), (3, 5)):
        A, x = np.arange(m * n).reshape(m, n) / (m * n), np.ones(n)
        found = factored(A=A, x=x)
        assert found.shape == (m, n)
        np.testing.assert_allclose(found @ np.ones(n), (1 - np.tanh(A @ x) ** 2) * A.sum(axis=1))
