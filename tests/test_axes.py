"""Square matrices have rows: axes of one size are told apart, and the kernels agree with the NumPy program."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.axes import told_apart
from chainrule.compile.fused import Fused
from chainrule.compile.lower import lower
from chainrule.compile.program import Load
from chainrule.expression.node import Expr

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("always_kernels")

A, B = cr.matrix("A", "n", "n"), cr.matrix("B", "n", "n")
x, y, k = cr.vector("x", "n"), cr.vector("y", "n"), cr.vector("k", "m")

WITH_ROWS: dict[str, Callable[[], Expr]] = {
    "tanh(Ax), its Jacobian": lambda: cr.jacobian(cr.tanh(A @ x), "x"),
    "softmax(Ax), its Jacobian": lambda: cr.jacobian(cr.softmax(A @ x), "x"),
    "tanh of softmax(Ax), its Jacobian": lambda: cr.jacobian(cr.tanh(cr.softmax(A @ x) + A @ x), "x"),
    "a quadratic form, its Hessian": lambda: cr.hessian(x @ A @ x, "x"),
    "a quadratic form, its gradient": lambda: cr.grad(x @ A @ x, "x"),
    "A times its transpose, by entries": lambda: A * A.T,
    "rows of the transpose, scaled": lambda: cr.exp(A.T) * x,
    "two matrices, one turned": lambda: A * x - cr.tanh(B.T),
    "softmax of rows": lambda: cr.softmax(A) * x,
    "softmax between two products": lambda: cr.diag(cr.softmax(A @ cr.softmax(A @ x))) @ A,
    "rows by a softmax of a vector": lambda: cr.diag(cr.softmax(x)) @ A,
    "a layer, by its weights": lambda: cr.grad(cr.sum((y - cr.tanh(A @ x)) ** 2), "A"),
    "mean of the rows": lambda: cr.mean(A, axis=0) + x,
    "tanh(Ax) and its derivative along y": lambda: cr.jvp(cr.tanh(A @ x), "x", "y"),
    "the gradient of a sum of tanh(Ax)": lambda: cr.grad(cr.sum(cr.tanh(A @ x)), "x"),
    "two layers along y": lambda: cr.jvp(cr.tanh(B @ cr.tanh(A @ x)), "x", "y"),
    "columns of the transpose": lambda: cr.sum(cr.sigmoid(A.T) * x, axis=0) + A @ y,
}
WITHOUT: dict[str, Callable[[], Expr]] = {
    "a product": lambda: A @ A,
    "a product of entries": lambda: cr.tanh(A @ B) * A.T,
    "softmax(Ax)": lambda: cr.softmax(A @ x),
    "softmax(Ax) along y": lambda: cr.jvp(cr.softmax(A @ x), "x", "y"),
    "log sum exp of Ax, its gradient": lambda: cr.grad(cr.logsumexp(A @ x), "x"),
    "tanh(Ax)": lambda: cr.tanh(A @ x),
    "a trace": lambda: cr.trace(A),
    "a diagonal": lambda: cr.diag(A) * x,
    "a determinant": lambda: cr.grad(cr.log(cr.det(A)), "A") + A,
}
ANY: dict[str, Callable[[], Expr]] = {
    "a trace beside rows": lambda: cr.trace(A) * cr.tanh(A @ x),
    "rows on a diagonal": lambda: cr.diag(cr.tanh(A @ x)),
    "all rows but one": lambda: cr.tanh(A[1:] @ x),
    "all columns but one": lambda: cr.tanh(A[:, 1:].T * x),
    "a row": lambda: cr.tanh(A[0] * (A @ x)),
    "an identity": lambda: cr.hessian(cr.sum(cr.cos(x)) + x @ A @ x, "x"),
    "rows in another order": lambda: cr.tanh(A[::-1] + A),
    "differences": lambda: A[1:] - A[:-1],
    "what stands at positions": lambda: cr.tanh(A[k]) + x,
    "a number and a size": lambda: cr.mean(A @ x) * A + A.T / cr.mean(A),
}


def arrays(e: Expr, n: int, kind: type = np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    found = {}
    for name, symbol in sorted(e.symbols.items()):
        shape = [{"n": n, "m": 2 * n}[size] for size in symbol.shape]
        found[name] = rng.integers(0, n, shape) if name == "k" else np.asarray(rng.standard_normal(shape) / 3, kind)
    return found


def agree(e: Expr, *cases: dict[str, np.ndarray], rtol: float = 1e-10) -> None:
    fused, plain = cr.compile(e, backend="numba"), cr.compile(e)
    for values in cases:
        found, wanted = fused(**values), plain(**values)
        assert np.shape(found) == np.shape(wanted) and found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol)


def has_rows(e: Expr) -> bool:
    run = cr.compile(e, backend="numba")._run
    return isinstance(run, Fused) and run.plan is not None


SLOW = {"a quadratic form, its gradient", "a layer, by its weights", "tanh of softmax(Ax), its Jacobian"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in WITH_ROWS])
def test_square_matrices_have_rows(name: str) -> None:
    e = WITH_ROWS[name]()
    assert has_rows(e)
    agree(e, *(arrays(e, n) for n in (1, 7, 45, 130)))


@pytest.mark.parametrize("name", WITHOUT)
def test_what_is_tied_has_none(name: str) -> None:
    e = WITHOUT[name]()
    assert not has_rows(e)
    agree(e, arrays(e, 9))


@pytest.mark.parametrize("name", ANY)
def test_agrees_with_numpy(name: str) -> None:
    e = ANY[name]()
    agree(e, *(arrays(e, n) for n in (2, 41)))


ACROSS = "two matrices, one turned"


@pytest.mark.parametrize("name", ["tanh(Ax), its Jacobian", "a quadratic form, its Hessian", ACROSS])
def test_any_array(name: str) -> None:
    e = WITH_ROWS[name]()
    values = arrays(e, 70)
    M = values["A"]
    still = M.copy()
    still.flags.writeable = False
    strided = np.repeat(np.repeat(M, 2, axis=0), 3, axis=1)[::2, ::3]
    kinds = [np.asfortranarray(M), strided, M[::-1, ::-1].copy()[::-1, ::-1], still]
    agree(e, *(values | {"A": other} for other in kinds))
    if "B" in values:
        agree(e, *(values | {"B": other} for other in kinds))
    agree(e, {name: np.asfortranarray(value) for name, value in values.items()})


@pytest.mark.parametrize("name", ["tanh(Ax), its Jacobian", "softmax(Ax), its Jacobian", ACROSS])
def test_float32_is_kept(name: str) -> None:
    e = WITH_ROWS[name]()
    agree(e, arrays(e, 50, np.float32), rtol=2e-5)


@pytest.mark.parametrize("name", ["tanh(Ax), its Jacobian", "a quadratic form, its Hessian", ACROSS])
def test_no_rows(name: str) -> None:
    e = WITH_ROWS[name]()
    agree(e, {key: value[tuple(slice(0) for _ in value.shape)] for key, value in arrays(e, 3).items()})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_stay_where_they_are(bad: float) -> None:
    e = WITH_ROWS[ACROSS]()
    values = arrays(e, 45)
    values["A"][3, 5] = values["B"][17, 41] = bad
    agree(e, values)


@pytest.mark.parametrize("name", ["softmax(Ax), its Jacobian", ACROSS])
def test_threads_do_not_change_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    e = WITH_ROWS[name]()
    fused, values, results = cr.compile(e, backend="numba"), arrays(e, 1100), []
    for threads in "1", "2", "3":
        monkeypatch.setenv("CHAINRULE_THREADS", threads)
        results.append(fused(**values))
    assert all(np.array_equal(results[0], other) for other in results[1:])
    np.testing.assert_allclose(results[0], cr.compile(e)(**values), rtol=1e-10, atol=1e-12)


def test_rows_are_those_of_the_result() -> None:
    for e in (cr.exp(A.T) * x, A * x - cr.tanh(B.T), A * A.T):
        plan = cr.compile(e, backend="numba")._run.plan
        assert [step.results for step in plan.passes] == [(0,)]


def test_shapes_are_checked_as_they_were_written() -> None:
    fused = cr.compile(cr.tanh(A @ x), backend="numba")
    with pytest.raises(cr.errors.ShapeError):
        fused(A=np.ones((40, 41)), x=np.ones(41))


def test_an_argument_that_is_read_in_one_way_is_one() -> None:
    (first, *_) = told_apart(lower(WITH_ROWS["tanh(Ax), its Jacobian"]()))
    loads = [step.shape for step in first.program.instructions if isinstance(step.action, Load)]
    assert first.sources == (0, 1) and sorted(map(len, loads)) == [1, 2]
    (matrix,) = (shape for shape in loads if len(shape) == 2)
    assert len(set(matrix)) == 2
