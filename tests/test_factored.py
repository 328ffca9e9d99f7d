"""Factored results are the arrays they stand for, and hold no more than their factors."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

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


def made(
    kind: str, text: str, wrt: str, dtype: type = np.float64, backend: str = "numpy", times: int = 1
) -> tuple[Factored, np.ndarray]:
    e = derivative(kind, text, wrt)
    factored, dense = cr.compile(e, structured=True, backend=backend), cr.compile(e)
    rng = np.random.default_rng(0)
    shapes = {s.name: s.shape for s in factored.program.arguments}
    arrays = {n: rng.normal(size=tuple(times * SIZES[a] for a in shape)).astype(dtype) for n, shape in shapes.items()}
    values = arrays | {name: times * SIZES[name] for name in factored.program.given}
    return factored(**values), dense(**values)


NUMBA = pytest.param("numba", marks=pytest.mark.skipif(not find_spec("numba"), reason="not installed"))
BACKENDS = ["numpy", NUMBA]
# kernels of float64 are the same but for the type, and take their time to compile
IN_TYPES = [
    ("numpy", np.float64),
    ("numpy", np.float32),
    pytest.param("numba", np.float32, marks=NUMBA.marks),
    pytest.param("numba", np.float64, marks=[*NUMBA.marks, pytest.mark.slow]),
]


@pytest.mark.parametrize(("backend", "dtype"), IN_TYPES)
@pytest.mark.parametrize("case", CASES, ids=[f"{kind} of {text} by {wrt}" for kind, text, wrt in CASES])
def test_it_is_the_array(case: tuple[str, str, str], dtype: type, backend: str) -> None:
    factored, dense = made(*case, dtype, backend)
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
    factored, dense = made(*case)
    words = repr(factored)
    factored @ np.ones(dense.shape[dense.ndim // 2 :])
    held = [np.size(a) for kept in factored._kept.values() for a in kept if isinstance(a, np.ndarray)]
    assert held and max(held) <= largest
    assert f"{sum(held)} numbers beside the arguments" in words and repr(factored) == words


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", [case for case in CASES if case[2] not in "UWA"], ids=lambda case: case[1])
def test_products_are_the_same_the_first_time_and_later(case: tuple[str, str, str], backend: str) -> None:
    """Of more data than goes through one compiled function."""
    factored, dense = made(*case, backend=backend, times=41)
    v = np.random.default_rng(1).normal(size=dense.shape[1])
    close = {"rtol": 1e-9, "atol": 1e-9}
    for u in (v, 2 * v, v):
        np.testing.assert_allclose(factored @ u, dense @ u, **close)
        np.testing.assert_allclose(u @ factored.T, u @ dense.T, **close)
    columns = np.stack([v, -v])
    for _ in range(2):
        np.testing.assert_allclose(columns @ factored.T, columns @ dense.T, **close)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_may_share_it(backend: str) -> None:
    factored, dense = made("hessian", "sum(log(1 + exp(-s * (X @ w))))", "w", backend=backend)
    directions = np.random.default_rng(1).normal(size=(40, dense.shape[1]))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda v: factored @ v, directions))
    np.testing.assert_allclose(found, directions @ dense.T)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_defined_is_refused_by_the_call(backend: str) -> None:
    """No product is needed to find out that a matrix is singular, or that a position is not on the axis."""
    inverse = cr.compile(derivative("jacobian", "inv(A + 9 * eye(n))", "A"), structured=True, backend=backend)
    with pytest.raises(DomainError, match="singular"):
        inverse(A=-9 * np.eye(3))
    x, k = cr.vector("x", "n"), cr.vector("k", "m")
    taken = cr.compile(cr.jacobian(cr.tanh(x[k]), x), structured=True, backend=backend)
    J = taken(x=np.zeros(4), k=np.array([3, 0]))
    assert (J @ np.arange(4.0)).tolist() == [3.0, 0.0]
    with pytest.raises(DomainError):
        taken(x=np.zeros(4), k=np.array([4, 0]))


def test_what_a_product_finds_undefined_is_named() -> None:
    S, b = cr.matrix("S", "n", "n"), cr.vector("b", "n")
    J = cr.compile(cr.jacobian(cr.inv(S) @ b, b), structured=True)(S=np.eye(3))
    assert (J @ np.ones(3)).tolist() == [1.0, 1.0, 1.0]
    e = cr.outer(cr.max(b) * b, b)
    largest = cr.compile(e, structured=True)(b=np.zeros(0))
    for _ in range(2):
        with pytest.raises(DomainError, match="max is not defined for an axis without entries"):
            largest @ np.zeros(0)
        with pytest.raises(DomainError, match="max is not defined for an axis without entries"):
            np.asarray(largest)


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


def test_arrays_of_numpy_and_no_constants() -> None:
    z = cr.vector("z", "n")
    with pytest.raises(DomainError, match="factored"):
        cr.compile(cr.jacobian(z * z, z), structured=True, constant=["z"])
    if find_spec("torch"):
        with pytest.raises(DomainError, match="factored"):
            cr.compile(cr.jacobian(z * z, z), structured=True, backend="torch")


def test_other_sizes_in_turn() -> None:
    factored = cr.compile(cr.jacobian(cr.parse("tanh(A @ x)", {"A": ("m", "n"), "x": "n"}), "x"), structured=True)
    for m, n in ((3, 4), (4, 3), (3, 4), (3, 5)):
        A, x = np.arange(m * n).reshape(m, n) / (m * n), np.ones(n)
        found = factored(A=A, x=x)
        assert found.shape == (m, n)
        np.testing.assert_allclose(found @ np.ones(n), (1 - np.tanh(A @ x) ** 2) * A.sum(axis=1))
