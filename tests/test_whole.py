"""Little data runs in one compiled function: the same results as NumPy's, for every array that may be passed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.whole import on_little_data
from chainrule.expression.op import CATALOGUE
from test_fused import LOSSES, ROWS, _compiled, agree, arrays, both, in_loops, joint, layer

pytest.importorskip("numba")

LITTLE = {"N": 7, "d": 4, "k": 3, "h": 2}
COST = "the article's cost"


@pytest.fixture(scope="module", autouse=True)
def compiled_here() -> Iterator[None]:
    """What `both` has compiled elsewhere runs as kernels."""
    _compiled.clear()
    yield
    _compiled.clear()


def little(exprs, kind: type = np.float64, **sizes: int) -> dict[str, np.ndarray]:
    return arrays(exprs, kind, **(LITTLE | sizes))


def is_whole(exprs, values: dict[str, np.ndarray]) -> bool:
    """True if the call is answered by the one function."""
    fused = both(exprs)[0]
    ready = [values[name] for name in fused.parameters]
    return on_little_data(fused.program)(*(a if a.ndim else a[()] for a in ready)) is not None


QUICK = {COST, "softmax regression", "logistic", "centred columns, three passes"}


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in LOSSES])
def test_agrees_with_numpy(name: str) -> None:
    exprs = joint(name)
    assert is_whole(exprs, little(exprs))
    agree(exprs, little(exprs))
    agree(exprs, little(exprs, N=0))
    agree(exprs, little(exprs, N=1, seed=1))


@pytest.mark.parametrize("name", [COST, pytest.param("softmax of rows", marks=pytest.mark.slow)])
def test_float32_is_kept(name: str) -> None:
    exprs = joint(name)
    assert is_whole(exprs, little(exprs, np.float32))
    agree(exprs, little(exprs, np.float32), rtol=1e-5)


def test_layers() -> None:
    exprs = layer(True)
    assert is_whole(exprs, little(exprs))
    agree(exprs, little(exprs))


def test_every_operation_on_entries_and_on_rows() -> None:
    X = cr.matrix("X", "N", "d")
    entries = [CATALOGUE[name](X) for name in in_loops() if name != "arccosh"]
    rows = [CATALOGUE[op.name](X) for op in CATALOGUE.entries if op.loop.gather or op.loop.recipe]
    values = {"X": np.random.default_rng(0).uniform(-0.95, 0.95, (6, 5))}
    for exprs in entries[::2], entries[1::2], rows:
        assert is_whole(exprs, values)
        agree(exprs, values, rtol=1e-12)


def spread(X: np.ndarray) -> np.ndarray:
    """The same entries, at other distances along each axis."""
    steps = [2 + axis for axis in range(X.ndim)]
    for axis, step in enumerate(steps):
        X = np.repeat(X, step, axis=axis)
    return X[tuple(slice(None, None, step) for step in steps)]


ORDERS = {
    "by columns": np.asfortranarray,
    "transposed": lambda X: np.ascontiguousarray(X.T).T,
    "strided": spread,
    "reversed": lambda X: np.flip(np.flip(X).copy()),
    "unaligned": lambda X: np.frombuffer(b"." + X.tobytes(), np.byte)[1:].view(X.dtype).reshape(X.shape),
}


@pytest.mark.parametrize("order", ORDERS)
def test_any_array_gives_the_same_bits(order: str) -> None:
    exprs = joint(COST)
    values = little(exprs)
    found = both(exprs)[0](**values | {"X": ORDERS[order](values["X"])})
    for got, wanted in zip(found, both(exprs)[0](**values), strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize(("n", "d"), [(0, 3), (1, 3), (3, 0), (3, 1), (1, 1), (0, 0)])
def test_odd_places_of_axes_without_a_second_entry(n: int, d: int) -> None:
    """NumPy calls such arrays aligned, wherever they are."""
    X, v = cr.matrix("X", "N", "d"), cr.vector("v", "d")
    exprs = cr.sin(X) @ v, cr.cos(X)
    record = np.zeros((n, d), [("a", "i1"), ("b", "f8")])
    values = {"X": record["b"], "v": record[:1].ravel()["b"] if n else np.zeros(d)}
    for array in values.values():
        array[...] = 0.5
    agree(exprs, values)
    agree(exprs, {name: np.array(array) for name, array in values.items()})


def test_arguments_stay_as_they_are_and_results_are_the_callers() -> None:
    X, y, b = cr.matrix("X", "N", "d"), cr.vector("y", "N"), cr.scalar("b")
    total = cr.sum(X, axis=0)
    fused = cr.compile(X, cr.diag(y) @ X, total, total, b, cr.sum(X * b), backend="numba")
    values = {"X": np.arange(12.0).reshape(4, 3), "y": np.arange(4.0), "b": 0.5}
    for array in (values["X"], values["y"]):
        array.flags.writeable = False
    first = fused(**values)
    assert first[2] is not first[3]
    for k in range(4):
        assert first[k].flags.writeable and not np.shares_memory(first[k], values["X"])
        first[k][:] = 7
    second = fused(**values)
    assert np.array_equal(second[0], values["X"]) and np.array_equal(
        second[1][:, 0], np.arange(4.0) * values["X"][:, 0]
    )
    assert second[2].tolist() == second[3].tolist() == [18, 22, 26]
    assert [type(second[k]) for k in (4, 5)] == [np.float64] * 2 and second[4:] == (0.5, 33.0)


def test_what_is_no_float_array_comes_as_it_did() -> None:
    exprs = joint(COST)
    values = little(exprs)
    agree(exprs, values | {"X": values["X"].astype(np.float32)}, rtol=1e-6)
    agree(exprs, values | {"X": np.arange(28).reshape(7, 4) % 5, "b": np.int8(2)})
    agree(exprs, values | {"X": values["X"].astype(">f8"), "b": np.array(0.5)})
    agree(exprs, {name: array.tolist() for name, array in values.items()})
    with pytest.raises(cr.DomainError, match="masked"):
        both(exprs)[0](**values | {"X": np.ma.masked_greater(values["X"], 0)})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [COST, "logistic"])
def test_bad_numbers_go_where_numpy_lets_them(name: str, bad: float) -> None:
    exprs = joint(name)
    values = little(exprs)
    values["X"][2, 1] = bad
    agree(exprs, values)


def test_what_the_shapes_do_not_show() -> None:
    """A size that is passed, sizes that are numbers, and one that is another one's less one."""
    X, w, v = cr.matrix("X", "N", 3), cr.vector("w", "m"), cr.vector("v", "m-1")
    fixed = cr.sum(cr.tanh(X), axis=0)
    agree([fixed, cr.grad(cr.sum(fixed**2), "X")], {"X": np.arange(6.0).reshape(2, 3)})
    with pytest.raises(cr.ShapeError):
        both([fixed, cr.grad(cr.sum(fixed**2), "X")])[0](X=np.ones((2, 4)))
    agree([cr.exp(w) * cr.sum(v), cr.sum(v)], {"w": np.ones(4), "v": np.arange(3.0)})
    with pytest.raises(cr.ShapeError):
        cr.compile(cr.exp(w) * cr.sum(v), backend="numba")(w=np.ones(4), v=np.ones(4))


def test_constants_are_kept() -> None:
    cost = cr.parse(LOSSES[COST][0], shapes=ROWS)
    exprs = (cost, cr.grad(cost, "w"))
    kept = cr.compile(*exprs, backend="numba", constant=["X", "y"])
    values = little(exprs)
    for b in (0.1, 0.2):
        for got, wanted in zip(kept(**values | {"b": b}), cr.compile(*exprs)(**values | {"b": b}), strict=True):
            np.testing.assert_allclose(got, wanted)


def test_only_what_is_called_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the kernels for little data, nor the one function for much."""
    machine, texts = import_module("chainrule.compile.machine"), []
    whole = machine.llvm_module
    monkeypatch.setattr(machine, "llvm_module", lambda text, layout: (texts.append(text), whole(text, layout))[1])
    cost = cr.parse("mean((y - sin(X @ w + b))**2)", shapes=ROWS)
    f = cr.compile(cost, backend="numba")
    (rows,) = [step for step in f._run.steps if hasattr(step, "kernels")]
    f(**little([cost]))
    assert not rows.kernels.made and len(texts) == 1
    f(**arrays([cost], N=5000))
    assert len(rows.kernels.made) == 1
    g = cr.compile(cr.parse("mean((y - cos(X @ w + b))**2)", shapes=ROWS), backend="numba")
    texts.clear()
    g(**arrays([cost], N=5000))
    assert len(texts) == 1
