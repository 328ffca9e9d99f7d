"""The fused kernels agree with the NumPy program, in every order, type and number of threads."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.fused import Fused
from chainrule.compile.lower import lower
from chainrule.compile.reuse import Reused
from chainrule.compile.rows import row_plan
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE

pytest.importorskip("numba")

ROWS = {"X": ("N", "d"), "w": "d", "b": (), "y": "N"}
CLASSES = {"X": ("N", "d"), "W": ("d", "k"), "c": "k", "Y": ("N", "k")}
SIZES = {"N": 1003, "d": 37, "k": 5, "h": 6}

LOSSES: dict[str, tuple[str, dict[str, object], str]] = {
    "the article's cost": ("mean((y - max(0, X @ w + b))**2)", ROWS, "w b"),
    "least squares": ("sum((X @ w - y)**2)", {"X": ("N", "d"), "w": "d", "y": "N"}, "w"),
    "logistic": ("mean(log(1 + exp(-y * (X @ w + b))))", ROWS, "w b"),
    "Poisson": ("mean(exp(X @ w + b) - y * (X @ w + b))", ROWS, "w b"),
    "hinge": ("mean(max(0, 1 - y * (X @ w + b))) + 0.5 * sum(w**2)", ROWS, "w b"),
    "Huber": ("mean(where(abs(X @ w - y) > 1, abs(X @ w - y) - 0.5, 0.5 * (X @ w - y)**2))", ROWS, "w"),
    "a tanh neuron": ("mean((y - tanh(X @ w + b))**2)", ROWS, "w b"),
    "softmax regression": ("-mean(sum(Y * log(softmax(X @ W + c)), axis=1))", CLASSES, "W c"),
    "softmax of rows": ("-mean(sum(Y * log(softmax(X)), axis=1))", {"X": ("N", "d"), "Y": ("N", "d")}, "X"),
    "two layers": (
        "mean((y - relu(X @ W + c) @ v)**2)",
        {"X": ("N", "d"), "W": ("d", "h"), "c": "h", "v": "h", "y": "N"},
        "W c v",
    ),
    "a factorisation machine": (
        "mean((y - b - X @ w - 0.5 * sum((X @ V)**2 - (X**2) @ (V**2), axis=1))**2)",
        {"X": ("N", "d"), "w": "d", "V": ("d", "k"), "b": (), "y": "N"},
        "V w b",
    ),
    "centred columns, three passes": ("sum(tanh(X - mean(X, axis=0)).T @ y)", {"X": ("N", "d"), "y": "N"}, "X"),
}


@pytest.fixture(scope="module", autouse=True)
def compiled_here(always_kernels: None) -> Iterator[None]:
    """What is compiled here runs as kernels, and so is for no other module."""
    _compiled.clear()
    yield
    _compiled.clear()


_compiled: dict[tuple[Expr, ...], tuple[object, object]] = {}


def joint(name: str) -> tuple[Expr, ...]:
    text, shapes, wrt = LOSSES[name]
    cost = cr.parse(text, shapes=shapes)
    return (cost, *(cr.grad(cost, s) for s in wrt.split()))


def both(exprs: Sequence[Expr]):
    key = tuple(exprs)
    if key not in _compiled:
        _compiled[key] = cr.compile(*exprs, backend="numba"), cr.compile(*exprs)
    return _compiled[key]


def arrays(exprs: Sequence[Expr], kind: type = np.float64, seed: int = 0, **sizes: int) -> dict[str, np.ndarray]:
    known = SIZES | sizes
    found = {name: symbol for e in exprs for name, symbol in e.symbols.items()}
    rng = np.random.default_rng(seed)
    return {
        name: np.asarray(0.3 * rng.standard_normal([known[n] for n in symbol.shape]), kind)
        for name, symbol in sorted(found.items())
    }


def agree(exprs: Sequence[Expr], values: dict[str, np.ndarray], rtol: float = 1e-10) -> None:
    fused, plain = both(exprs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        found, wanted = fused(**values), plain(**values)
    for got, want in zip(found, wanted, strict=True):
        assert np.shape(got) == np.shape(want) and got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)


# the largest kernel, and losses whose kernels are like others'
SLOW = {"a factorisation machine", "two layers", "least squares", "Huber", "Poisson", "a tanh neuron"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in LOSSES])
def test_agrees_with_numpy(name: str) -> None:
    exprs = joint(name)
    agree(exprs, arrays(exprs))
    agree(exprs, arrays(exprs, N=1))
    assert isinstance(both(exprs)[0]._run, Fused) and both(exprs)[0]._run.plan is not None


@pytest.mark.parametrize(
    "name", ["the article's cost", pytest.param("logistic", marks=pytest.mark.slow), "softmax of rows"]
)
def test_float32_is_kept(name: str) -> None:
    exprs = joint(name)
    agree(exprs, arrays(exprs, np.float32), rtol=2e-4)


@pytest.mark.parametrize("d", [1, pytest.param(3, marks=pytest.mark.slow), 10])
def test_short_rows(d: int) -> None:
    exprs = joint("the article's cost")
    agree(exprs, arrays(exprs, d=d))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_rows_become_lanes(kind: type) -> None:
    turned = importlib.import_module("chainrule.compile.scalars.turned").turned
    for n, d in [(0, 9), (1, 9), (8, 8), (21, 1), (9, 2), (24, 3), (21, 7), (16, 10), (30, 17), (64, 24)]:
        whole = np.arange(4.0 * n * (d + 1), dtype=kind).reshape(2 * n, 2 * (d + 1))
        record = np.zeros((n, d), [("a", kind), ("b", "i1")])["a"]  # its rows and entries are at odd distances
        for rows in (whole[:n, :d].copy(), whole[:n, 1 : d + 1], whole[1::2, ::-1][:n, :d], whole[::-2, :d], record):
            lanes = np.full((d, n + 3), -1, kind)
            turned(lanes, rows)
            assert np.array_equal(lanes[:, :n], rows.T) and np.all(lanes[:, n:] == -1)


@pytest.mark.parametrize(
    ("d", "k"),
    [(100, 10), *(pytest.param(*pair, marks=pytest.mark.slow) for pair in [(33, 1), (40, 33), (7, 36), (36, 36)])],
)
def test_products_of_long_and_short_rows(d: int, k: int) -> None:
    exprs = joint("softmax regression")
    values = arrays(exprs, d=d, k=k)
    agree(exprs, values)
    agree(exprs, {**values, "W": np.asfortranarray(values["W"]), "X": np.asfortranarray(values["X"])})
    agree(exprs, {**values, "X": np.repeat(values["X"], 2, axis=0)[::2]})  # rows apart from each other


@pytest.mark.parametrize("order", ["F", "strided", "reversed", "read-only", "transposed"])
def test_any_array(order: str) -> None:
    exprs = joint("the article's cost")
    values = arrays(exprs)
    X = values["X"]
    if order == "strided":
        X = np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3]
    elif order == "reversed":
        X = X[::-1, ::-1]
    elif order == "read-only":
        X.flags.writeable = False
    else:
        X = np.asarray(X, order="F") if order == "F" else np.ascontiguousarray(X.T).T
    agree(exprs, values | {"X": X})


def test_mixed_types_are_numpys() -> None:
    exprs = joint("the article's cost")
    values = arrays(exprs)
    agree(exprs, values | {"X": values["X"].astype(np.float32)}, rtol=1e-6)
    agree(exprs, values | {"X": np.arange(1003 * 37).reshape(1003, 37) % 7})
    agree(exprs, values | {"b": 2})


@pytest.mark.parametrize("name", ["the article's cost", "logistic", "softmax regression", "softmax of rows"])
def test_no_rows(name: str) -> None:
    exprs = joint(name)
    agree(exprs, arrays(exprs, N=0))


def test_rows_made_of_numbers_alone() -> None:
    """No argument of such a pass shows how many rows there are."""
    X = cr.matrix("X", "N", "d")
    e = cr.sin(cr.mean(X))
    for exprs in ((e, cr.grad(e, "X")), (cr.jacobian(cr.mean(cr.tanh(X), axis=1), "X"),)):
        agree(exprs, arrays(exprs, N=300, d=100) if len(exprs) > 1 else arrays(exprs, N=60, d=50))


def test_one_entry_within_zeros_has_no_rows() -> None:
    z, b = cr.vector("z", "N"), cr.scalar("b")
    values = {"z": np.arange(5.0) ** 2, "b": 2.0}
    e = cr.concatenate([z[:1], z[1:] - z[:-1]]) * b
    for exprs in ((e,), (e, cr.grad(cr.sum(e**2), "z"))):
        found = cr.compile(*exprs, backend="numba", constant=["z"])(**values)
        for part, want in zip(found if len(exprs) > 1 else [found], exprs, strict=True):
            np.testing.assert_allclose(part, want.eval(**values))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["the article's cost", "logistic", "hinge", "softmax of rows"])
def test_bad_numbers_go_where_numpy_lets_them(name: str, bad: float) -> None:
    exprs = joint(name)
    values = arrays(exprs)
    values["X"][17, 3] = bad
    agree(exprs, values)


@pytest.mark.parametrize("N", [7, 200_000])
def test_the_freedom_to_reorder_sums_keeps_what_is_no_number(N: int) -> None:
    """Two products with one factor are not one product: 2∞ − ∞ is NaN, and (2 − 1)∞ is not."""
    shapes = {"a": "N", "b": "N", "x": "N"}
    f = cr.compile(cr.parse("a*x - b*x", shapes), cr.parse("a + b", shapes), backend="numba")
    with np.errstate(invalid="ignore"):
        difference, zeros = f(a=np.full(N, 2.0), b=np.ones(N), x=np.full(N, np.inf))
    assert np.isnan(difference).all() and (zeros == 3).all()
    assert np.signbit(f(a=np.full(N, -0.0), b=np.full(N, -0.0), x=np.ones(N))[1]).all()


@pytest.mark.parametrize("name", ["the article's cost", "softmax regression", "softmax of rows"])
def test_threads_do_not_change_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exprs = joint(name)
    fused = both(exprs)[0]
    values = arrays(exprs, N=40_000)
    results = []
    for threads in "1", "2", "3":
        monkeypatch.setenv("CHAINRULE_THREADS", threads)
        results.append(fused(**values))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert np.array_equal(a, b)


def test_one_axis_is_enough() -> None:
    assert row_plan(lower(cr.parse("A @ x", shapes={"A": ("n", "n"), "x": "n"}))) is None
    cost = joint("the article's cost")
    plan = row_plan(lower(*cost))
    assert plan is not None and plan.size == "N" and len(plan.passes) == 1
    centred = row_plan(lower(*joint("centred columns, three passes")))
    assert centred is not None and len(centred.passes) == 3


def test_the_axis_with_the_fewest_passes_is_taken() -> None:
    X, G, g = cr.matrix("X", "N", "d"), cr.matrix("G", "N", "d"), cr.vector("g", "d")
    e = g * X / cr.sqrt(cr.mean(X**2, axis=1, keepdims=True) + 1e-5)
    plan = row_plan(lower(e, cr.vjp(e, "X", G), cr.vjp(e, "g", G)))  # along d, a row's norm needs a pass of its own
    assert plan is not None and plan.size == "N" and len(plan.passes) == 1


def test_outputs_belong_to_the_caller() -> None:
    X, y = cr.matrix("X", "N", "d"), cr.vector("y", "N")
    fused = cr.compile(X, cr.diag(y) @ X, cr.sum(X, axis=0), backend="numba")
    values = {"X": np.ones((4, 40)), "y": np.arange(4.0)}
    first = fused(**values)
    first[0][:] = 7
    assert values["X"].max() == 1
    assert np.array_equal(fused(**values)[1][:, 0], np.arange(4.0))


# --- every operation that has a line for loops
def in_loops() -> list[str]:
    return [op.name for op in CATALOGUE.entries if op.is_elementwise and op.loop.line and len(op.parameters) == 1]


def test_nan_in_every_argument() -> None:
    """What takes several arguments gives NaN for one of them just where NumPy does."""
    X, Y = cr.matrix("X", "N", "d"), cr.matrix("Y", "N", "d")
    several = [op for op in CATALOGUE.entries if op.is_elementwise and op.loop.line and len(op.parameters) > 1]
    assert {"elu", "maximum", "power", "where", "xlogy"} <= {op.name for op in several}
    exprs = [
        op(*(X if k == place else Y for k in range(n)))
        for op in several
        for n in [len(op.parameters)]
        for place in range(n)
    ]
    values = {"X": np.array([[np.nan, 0.5, np.inf, 0.0]]), "Y": np.array([[0.5, np.nan, 0.3, 0.2]])}
    agree(exprs, values)


def test_every_operation_on_entries() -> None:
    X = cr.matrix("X", "N", "d")
    names = in_loops()
    assert {"exp", "tanh", "relu", "erf", "arcsin"} <= set(names)
    inside = [CATALOGUE[name](X) for name in names if name != "arccosh"]
    values = {"X": np.random.default_rng(0).uniform(-0.95, 0.95, (21, 40))}
    agree(inside, {"X": np.abs(values["X"])}, rtol=1e-12)
    values["X"][3, :5] = np.nan, np.inf, -np.inf, 0, -0.0
    agree(inside, values, rtol=1e-12)
    (step,) = [s for s in both(inside)[0]._run.steps if hasattr(s, "kernels")]
    assert None not in step.kernels.made.values(), "it ran as a kernel"


def test_every_operation_of_rows() -> None:
    X = cr.matrix("X", "N", "d")
    names = [op.name for op in CATALOGUE.entries if op.loop.gather or op.loop.recipe]
    assert {"softmax", "logsumexp", "max", "min", "prod"} <= set(names)
    exprs = [CATALOGUE[name](X) for name in names]
    agree(exprs, arrays(exprs), rtol=1e-12)
    agree(exprs, arrays(exprs, d=3), rtol=1e-12)


# --- layers: maps of rows and sums over rows in the same pass
def layer(centred: bool) -> list[Expr]:
    X, G, g, b = cr.matrix("X", "N", "d"), cr.matrix("G", "N", "d"), cr.vector("g", "d"), cr.vector("b", "d")
    c = X - cr.mean(X, axis=1, keepdims=True) if centred else X
    Y = c * (cr.mean(c**2, axis=1, keepdims=True) + 1e-5) ** -0.5 * g + b
    return [Y, *(cr.vjp(Y, s, G) for s in ("X", "g", "b"))]


@pytest.mark.parametrize("centred", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["layernorm", "RMSNorm"])
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_layers(centred: bool, kind: type) -> None:
    exprs = layer(centred)
    agree(exprs, arrays(exprs, kind), rtol=1e-10 if kind is np.float64 else 1e-4)
    assert len(both(exprs)[0]._run.plan.passes) == 1


@pytest.mark.parametrize("d", [33, 70, pytest.param(130, marks=pytest.mark.slow), 300, 1100])
def test_rows_of_any_width_are_added(d: int) -> None:
    X, w = cr.matrix("X", "N", "d"), cr.vector("w", "d")
    exprs = [cr.sum(X**2, axis=0), X @ w]
    for n in (1, 7, 1003):
        agree(exprs, arrays(exprs, N=n, d=d))
    values = arrays(exprs, np.float32, N=501, d=d)
    values["X"][[3, 500], [5, 6]] = np.inf, np.nan
    agree(exprs, values, rtol=1e-4)


@pytest.mark.parametrize(("N", "d"), [(1, 40), (7, 40), (1003, 40), (1801, 600), (203, 1700)])
def test_rows_of_any_width_and_number_are_multiplied(N: int, d: int) -> None:
    """Side by side or one after the other, by one vector or two; what is no number stays in its row."""
    f = cr.parse("tanh(X @ w)", {"X": ("N", "d"), "w": "d"})
    for exprs in ((f,), (f, cr.jvp(f, "w", "dw"))):
        values = arrays(exprs, N=N, d=d)
        values["X"][[N // 2, N - 1], [5, 6]] = np.inf, np.nan
        agree(exprs, values)


def test_sums_begin_at_zero_in_memory_that_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    exprs = layer(centred=True)
    fused, values = both(exprs)[0], arrays(exprs, np.float32, N=2050, d=1000)
    first = fused(**values)
    for threads in "1", "3", "2":
        monkeypatch.setenv("CHAINRULE_THREADS", threads)
        assert all(np.array_equal(a, b) for a, b in zip(first, fused(**values), strict=True))


# --- memory
def test_results_that_somebody_holds_are_left_alone() -> None:
    X = cr.matrix("X", "N", "d")
    fused = cr.compile(cr.tanh(X), backend="numba")
    held = [fused(X=np.full((4000, 40), 0.1 * k)) for k in range(3)]
    tail = held.pop()[-1:]  # a view holds its array
    fused(X=np.full((4000, 40), 5.0))
    np.testing.assert_allclose(tail[0], np.tanh(0.2))
    np.testing.assert_allclose([a[0, 0] for a in held], np.tanh([0.0, 0.1]))


def test_results_that_nobody_holds_are_used_again() -> None:
    kept = Reused()
    shape, kind = (1 << 17,), np.dtype(np.float64)
    place = kept.empty(shape, kind).ctypes.data
    again = kept.empty(shape, kind)
    assert again.ctypes.data == place
    assert kept.empty(shape, kind).ctypes.data != place
    assert kept.empty((4,), kind).shape == (4,)
    larger = 1 << 18
    for other in (kind, np.dtype(np.float32)):  # nobody holds what is kept, and it does not fit
        found = kept.empty((larger,), other)
        assert found.shape == (larger,) and found.dtype == other
        del found
    kept.empty((larger,), kind)[:] = 1
    assert not kept.zeros((larger,), kind).any() and not kept.zeros((4,), kind).any()
    found = kept.empty((larger,), kind)
    found.setflags(write=False)
    del found
    assert kept.empty((larger,), kind).flags.writeable


def test_one_large_array_is_held_where_calls_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    reuse = importlib.import_module("chainrule.compile.reuse")
    monkeypatch.setattr(reuse, "LARGE", 1 << 19)
    kept, other, shape, kind = Reused(), Reused(), (1 << 17,), np.dtype(np.float64)

    def size() -> int:
        return tracemalloc.get_traced_memory()[0] // (8 * shape[0])

    tracemalloc.start()
    try:
        kept.empty(shape, kind)
        assert size() == 0, "the first one may be the last"
        place = kept.empty(shape, kind).ctypes.data
        held = kept.empty(shape, kind)
        assert held.ctypes.data == place
        kept.empty(shape, kind)
        assert size() == 1, "one that the caller holds is not kept beside another"
        del held
        assert size() == 0
        for k in (kept, other, other):
            k.empty(shape, kind)
        assert size() == 1, "of two functions, one holds memory"
        del other, k
        assert size() == 0, "one that is gone holds nothing"
        for _ in range(3):
            kept.empty(shape, kind)
        assert size() == 1
        kept.empty((1 << 16,), kind)
        assert size() == 0, "nor one that is called with less"
    finally:
        tracemalloc.stop()


def test_memory_is_kept_for_one_shape_only() -> None:
    fused = cr.compile(cr.tanh(cr.matrix("X", "N", "d")), backend="numba")
    X = np.ones((8010, 40))
    tracemalloc.start()
    try:
        for n in range(8000, 8010):
            fused(X=X[:n])
        assert tracemalloc.get_traced_memory()[0] < 2 * X.nbytes
    finally:
        tracemalloc.stop()


MEMORY = """
import resource, numpy as np, chainrule as cr
shapes = {"X": ("N", "d"), "w": "d", "b": (), "y": "N"}
cost = cr.parse("mean((y - max(0, X @ w + b))**2)", shapes=shapes)
f = cr.compile(cost, cr.grad(cost, "w"), cr.grad(cost, "b"), backend="numba")
values = lambda n: dict(X=np.ones((n, 50)), w=np.ones(50), b=np.float64(1), y=np.ones(n))
for _ in range(3):  # what loads, compiles and starts threads
    f(**values(100_000))
large = values(400_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
f(**large)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in other units elsewhere")
def test_memory_stays_within_a_block() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2048, "kilobytes more than the arguments, of which X @ w alone would need 3200"


def test_without_numba_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = importlib.import_module("chainrule.compile.backends")
    monkeypatch.setattr(backends, "find_spec", lambda name: None)
    with pytest.raises(cr.DomainError, match="numba is not installed") as caught:
        cr.compile(cr.vector("x", "n") * 2, backend="numba")
    assert "chainrule[fast]" in str(caught.value)


def test_a_type_that_was_read_from_a_file_is_the_same_type() -> None:
    e = cr.parse("sum(exp(X @ w))", {"X": ("N", "d"), "w": "d"})
    fused = cr.compile(e, cr.grad(e, "w"), backend="numba")
    values = arrays([e], N=4000)
    wanted = fused(**values)
    known = len(fused._run._known)
    for found, want in zip(fused(**pickle.loads(pickle.dumps(values))), wanted, strict=True):
        assert np.array_equal(found, want)
    assert len(fused._run._known) == known


def test_more_shapes_than_are_remembered() -> None:
    x = cr.vector("x", "N")
    fused = cr.compile(cr.sum(cr.exp(x)), backend="numba")
    for extra in (*range(70), 0):
        n = 40_000 + extra
        np.testing.assert_allclose(fused(x=np.zeros(n)), n)
    assert len(fused._run._known) < 70
