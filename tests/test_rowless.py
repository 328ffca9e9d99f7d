"""Programs without independent rows, with numba: little data runs in one function, and results are NumPy's."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.whole import on_little_data
from test_whole import ORDERS

pytest.importorskip("numba")

SQUARE = {**dict.fromkeys(("A", "B", "C"), ("n", "n")), "x": "n", "y": "n"}
FACTORS = {"T": ("n", "m"), "U": ("n", "k"), "V": ("m", "k")}
CHAIN = "logsumexp(C @ relu(B @ relu(A @ x))) - dot(y, C @ relu(B @ relu(A @ x)))"
CASES = {
    "quadratic": lambda: cr.hessian(cr.parse("x @ A @ x", SQUARE), "x"),
    "softmax": lambda: cr.jacobian(cr.parse("softmax(A @ x)", SQUARE), "x"),
    "tanh": lambda: cr.jacobian(cr.parse("tanh(A @ x)", SQUARE), "x"),
    "network": lambda: cr.hessian(cr.parse(CHAIN, SQUARE), "A"),
    "factorisation": lambda: cr.hessian(cr.parse("norm(T - U @ V.T)**2", FACTORS), "U"),
    "cubic": lambda: cr.hessian(cr.parse("trace(A @ A @ A)", SQUARE), "A"),
}
LITTLE = {"n": 6, "m": 5, "k": 3}
_compiled: dict[str, tuple[Any, Any]] = {}


def both(name: str) -> tuple[Any, Any]:
    if name not in _compiled:
        expr = CASES[name]()
        accept = [cr.matrix("T", "n", "m")] if name == "factorisation" else ["y"]
        _compiled[name] = tuple(cr.compile(expr, backend=b, accept=accept) for b in ("numba", "numpy"))
    return _compiled[name]


def values(name: str, kind: type = np.float64, **sizes: int) -> dict[str, np.ndarray]:
    known, rng = LITTLE | sizes, np.random.default_rng(0)
    shaped = {symbol.name: symbol.shape for symbol in both(name)[0].program.arguments}
    return {own: rng.normal(size=[known[n] for n in shape]).astype(kind) for own, shape in shaped.items()}


def agree(name: str, arrays: dict[str, np.ndarray], rtol: float = 1e-11) -> np.ndarray:
    compiled, plain = both(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found, wanted = compiled(**arrays), plain(**arrays)
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)
    return found


def in_one_function(name: str, arrays: dict[str, np.ndarray]) -> bool:
    program = both(name)[0].program
    return on_little_data(program, has_kernels=False)(*(arrays[s.name] for s in program.arguments)) is not None


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_numpy(name: str) -> None:
    assert in_one_function(name, values(name))
    agree(name, values(name))
    agree(name, values(name, n=1, m=1, k=1))
    if name in ("softmax", "network"):  # NumPy finds no largest entry among none
        assert both(name)[0](**values(name, n=0)).size == 0
    else:
        agree(name, values(name, n=0))


@pytest.mark.parametrize("name", ["softmax", "factorisation"])
def test_float32_is_kept(name: str) -> None:
    assert agree(name, values(name, np.float32), rtol=1e-5).dtype == np.float32


@pytest.mark.parametrize(
    ("name", "little", "much"), [("softmax", 300, 800), ("quadratic", 600, 700), ("cubic", 12, 40)]
)
def test_both_sides_of_the_bound(name: str, little: int, much: int) -> None:
    assert in_one_function(name, values(name, n=little)) and not in_one_function(name, values(name, n=much))
    agree(name, values(name, n=little))
    agree(name, values(name, n=much))


def test_more_instructions_make_more_data_little() -> None:
    """A call of the one function saves a call for each of them; one product alone is BLAS's."""
    product = cr.compile(cr.parse("A @ B", SQUARE)).program
    A = np.ones((20, 20))
    assert on_little_data(product, has_kernels=False)(A, A) is None
    assert in_one_function("network", values("network", n=20))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["softmax", "tanh", "quadratic"])
def test_bad_numbers_go_where_numpy_lets_them(name: str, bad: float) -> None:
    arrays = values(name)
    arrays["A"][2, 1] = bad
    agree(name, arrays)


@pytest.mark.parametrize("order", ORDERS)
def test_any_array_gives_the_same_bits(order: str) -> None:
    arrays = values("network")
    found = both("network")[0](**arrays | {"B": ORDERS[order](arrays["B"])})
    assert np.array_equal(found, both("network")[0](**arrays))


@pytest.mark.parametrize("name", CASES)
def test_each_call_has_a_result_of_its_own(name: str) -> None:
    arrays = values(name)
    first = both(name)[0](**arrays)
    kept = first.copy()
    first[...] = 7
    second = both(name)[0](**arrays)
    assert np.array_equal(second, kept) and not np.shares_memory(first, second)
    assert not any(np.shares_memory(second, array) for array in arrays.values())


PRODUCTS = ["A @ B", "A.T @ B", "A @ B.T", "A.T @ B.T"]


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_products_however_their_factors_lie(kind: type) -> None:
    """A result that is kept transposed, of which another product is made, entries are read, and one is returned."""
    shapes = {"A": ("n", "n"), "B": ("n", "n"), "x": "n"}
    parts = [cr.parse(text, shapes) for text in PRODUCTS]
    exprs = [cr.sin(p) @ q + p @ cr.parse("x", shapes) for p in parts for q in parts[2:]]
    rng = np.random.default_rng(0)
    arrays = {own: rng.normal(size=5 if own == "x" else (5, 5)).astype(kind) for own in "ABx"}
    program = cr.compile(*exprs, *parts).program
    found = on_little_data(program, has_kernels=False)(*(arrays[s.name] for s in program.arguments))
    wanted = cr.compile(*exprs, *parts)(**arrays)
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10 if kind is np.float64 else 2e-4, atol=1e-5)


def test_what_is_zero_but_on_a_diagonal() -> None:
    x = cr.vector("x", "n")
    exprs = [cr.jacobian(cr.tanh(x), "x"), cr.diag(x), cr.diag(cr.exp(x)) @ cr.matrix("A", "n", "n")]
    compiled = cr.compile(*exprs, backend="numba")
    arrays = {"x": np.linspace(-1, 1, 5), "A": np.arange(25.0).reshape(5, 5)}
    for _ in range(2):
        for got, want in zip(compiled(**arrays), cr.compile(*exprs)(**arrays), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12)
            got[...] = 7
