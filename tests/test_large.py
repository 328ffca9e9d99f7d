"""What large arrays are computed with gives the numbers of the plain program, and touches nobody's data."""

from __future__ import annotations

import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import large, primitives
from chainrule.compile.compiled import compile_expressions
from chainrule.compile.groups import fused
from chainrule.compile.large import Blocks, gram
from chainrule.compile.lower import lower
from chainrule.compile.program import Entries, Gram
from chainrule.compile.threads import in_threads
from chainrule.expression.build import contract, diag, matrix, vector
from chainrule.expression.build import sum as total
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE
from test_compile import JOINT, check, values

exp, tanh, relu = (CATALOGUE[name] for name in ("exp", "tanh", "relu"))
A, B, X = matrix("A", "n", "n"), matrix("B", "n", "n"), matrix("X", "N", "d")
u, s, w = vector("u", "n"), vector("s", "N"), vector("w", "d")


@pytest.fixture(params=["strips", "tiles"])
def everything_is_large(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks at every size, of a few entries each; where an operand lies across, strips of rows or square tiles."""
    monkeypatch.setattr(primitives, "LARGE", 0)
    if request.param == "tiles":
        monkeypatch.setattr(large, "TILE", 2)
        monkeypatch.setattr(large, "ALIAS", 1)
    for name, value in {"BLOCK": 6, "WHOLE": 8, "LINE": 2, "GRAM_ROWS": 3, "GRAM_SMALL": 0}.items():
        monkeypatch.setattr(large, name, value)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("exprs", JOINT.values(), ids=JOINT.keys())
def test_blocks_agree_with_the_interpreter(exprs: tuple[Expr, ...], kind: type) -> None:
    found = check(*exprs, kind=kind)
    if any(e.symbols for e in exprs):
        assert {array.dtype for array in found} == {np.dtype(kind)}


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.repeat(a, 2, 0)[::2], lambda a: a[::-1]])
def test_arguments_are_left_alone(layout: object) -> None:
    e = exp(A + A.T) * A - 2 * (A @ B), diag(u) @ A, A @ B + A
    arrays = {name: layout(array) for name, array in values(*e).items()}  # type: ignore[operator]
    before = {name: array.copy() for name, array in arrays.items()}
    for array in arrays.values():
        array.setflags(write=False)
    results = compile_expressions(*e)(**arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, before[name])
        assert not any(np.shares_memory(array, result) for result in results)


@pytest.mark.usefixtures("everything_is_large")
def test_a_product_that_is_asked_for_is_not_written_over() -> None:
    product, changed = compile_expressions(A @ B, exp(A @ B) + 1)(**values(A, B))
    np.testing.assert_allclose(changed, np.exp(product) + 1)


def test_a_product_nobody_needs_afterwards_holds_the_result() -> None:
    (group,) = (i.action for i in fused(lower(exp(A @ B) + A)).instructions if isinstance(i.action, Entries))
    assert group.reuse >= 0
    (group,) = (i.action for i in fused(lower(exp(A) + A.T)).instructions if isinstance(i.action, Entries))
    assert group.reuse == -1


def grams(e: Expr) -> int:
    return sum(isinstance(i.action, Gram) for i in fused(lower(e)).instructions)


@pytest.mark.parametrize(
    ("e", "count"),
    [
        (X.T @ diag(s) @ X, 1),
        (X.T @ diag(exp(X @ w)) @ X, 1),
        (A @ diag(u) @ A.T, 1),
        (A @ diag(u) @ A, 0),
        (contract("ni,nj,nk,nl->ijkl", X, X, X, X), 1),
        (X.T @ X, 0),  # NumPy sees this one by itself
        (total(X * X, axis=0), 0),
    ],
)
def test_a_matrix_with_itself(e: Expr, count: int) -> None:
    assert grams(e) == count
    check(e)


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("order", ["C", "F"])
def test_weights_of_any_sign(sign: float, order: str) -> None:
    rng = np.random.default_rng(0)
    x, weights = np.array(rng.normal(size=(11, 4)), order=order), rng.normal(size=11)
    weights = sign * np.abs(weights) if sign else weights
    np.testing.assert_allclose(gram(x, weights), x.T @ np.diag(weights) @ x, atol=1e-13)
    assert gram(x.astype(np.float32), weights.astype(np.float32)).dtype == np.float32


@pytest.mark.usefixtures("everything_is_large")
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_stay_bad(bad: float) -> None:
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(5, 3)), rng.normal(size=5)
    weights[2] = bad
    np.testing.assert_array_equal(gram(x, weights), (x * weights[:, None]).T @ x)
    weights[2], x[1, 1] = 1.0, bad
    assert not np.isfinite(gram(x, weights)[1]).any()


def test_no_rows() -> None:
    np.testing.assert_array_equal(gram(np.ones((0, 3)), np.ones(0)), np.zeros((3, 3)))
    assert gram(np.ones((0, 3, 2))).shape == (3, 2, 3, 2)
    for shape in (0, 3), (3, 0):
        found = Blocks()(lambda a, out=None: a + 1, shape, ((0, 1),), -1, "operation", False, np.ones(shape))
        assert found.shape == shape


def test_threads_keep_the_settings_of_errors_and_raise() -> None:
    def divide() -> None:
        np.divide(np.ones(3), np.zeros(3))

    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        in_threads([divide, lambda: None])
    with np.errstate(divide="ignore"):
        in_threads([divide, divide])


def test_work_has_ended_when_threads_raise() -> None:
    done = []

    def fail() -> None:
        raise ValueError("here")

    def late() -> None:
        time.sleep(0.05)
        done.append(True)

    with pytest.raises(ValueError, match="here"):
        in_threads([fail, late, late, fail])
    assert done == [True, True]


def test_the_same_bits_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.random.default_rng(0).normal(size=(700, 600))
    results = []
    for count in (1, 2, 5):
        monkeypatch.setenv("CHAINRULE_THREADS", str(count))
        results.append(Blocks()(lambda a, out=None: np.exp(a), a.shape, ((0, 1),), -1, "operation", False, a))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()


def test_large_results_use_memory_again_that_nobody_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_THREADS", "1")  # another thread may hold the result for a moment longer
    f = compile_expressions(cr.parse("A * exp(A)", {"A": ("m", "n")}))
    A = np.random.default_rng(0).normal(size=(900, 700))
    first = f(A=A)
    kept, second = first.copy(), f(A=2 * A)
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, kept)
    place = second.ctypes.data
    del second
    third = f(A=A)
    assert third.ctypes.data == place
    assert np.array_equal(third, kept)
