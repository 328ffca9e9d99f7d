"""Narrow matrices times themselves: compiled tiles give what the definition says, however rows lie and are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import gram as tiled
from chainrule.compile import large
from chainrule.compile.compiled import compile_expressions
from chainrule.compile.threads import VARIABLE
from chainrule.expression.build import contract, diag, matrix, vector
from chainrule.expression.op import CATALOGUE

pytest.importorskip("numba")

X, w, s = matrix("X", "N", "d"), vector("w", "d"), vector("s", "N")
KINDS = [np.float64, np.float32]
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rows": lambda x: x,
    "columns": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every other column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "rows of a wider matrix": lambda x: np.hstack([x, np.full((len(x), 3), np.nan, x.dtype)])[:, : x.shape[1]],
    "upwards": lambda x: x[::-1].copy()[::-1],
    "leftwards": lambda x: x[:, ::-1].copy()[:, ::-1],
    "columns upwards": lambda x: np.asfortranarray(x[::-1])[::-1],
    "one row again and again": lambda x: np.broadcast_to(x[:1], x.shape),
}

IN_NUMPY = large.gram


@pytest.fixture(scope="module", autouse=True)
def in_tiles() -> Iterator[None]:
    """Tiles at every size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled, "FEW", 0)
        patch.setattr(tiled, "FLAT", 1000)
        patch.setattr(tiled, "ALONE", 0)
        patch.setattr(large, "gram", None)  # what is for the tiles goes through nothing else
        yield


@pytest.fixture(params=[16, 24, 128])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and chunks of few rows."""
    monkeypatch.setattr(tiled, "BLOCK", request.param)
    monkeypatch.setattr(tiled, "CHUNK", 2 * request.param)


def data(n: int, d: int, kind: type) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + d)
    return rng.normal(size=(n, d)).astype(kind), rng.normal(size=n).astype(kind)


def close(found: np.ndarray, x: np.ndarray, weights: np.ndarray) -> None:
    exact = (x.astype(float) * weights.astype(float)[:, None]).T @ x.astype(float)
    bound = (np.abs(x).astype(float) * np.abs(weights).astype(float)[:, None]).T @ np.abs(x).astype(float)
    assert found.dtype == x.dtype
    assert np.all(np.abs(found - exact) <= 16 * np.finfo(x.dtype).eps * bound)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 3, 7, 8, 9, 16, 17, 23, 24, 31, 33, 48, 50])
def test_any_shape(d: int, kind: type) -> None:
    for n in (1, 2, 7, 16, 33, 100, 257):
        x, weights = data(n, d, kind)
        close(tiled.gram(x, weights), x, weights)
        close(tiled.gram(x), x, np.ones(n, kind))


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_rows_lie_in_any_way_and_are_left_alone(layout: Callable[[np.ndarray], np.ndarray], kind: type) -> None:
    for n, d in ((99, 3), (99, 19), (70, 40), (2, 40)):
        x, weights = data(n, d, kind)
        x = layout(x)
        x.setflags(write=False)
        close(tiled.gram(x, np.repeat(weights, 3)[::3]), x, weights)


def test_narrow_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiles of a processor with half as wide vectors."""
    monkeypatch.setattr(tiled, "registers", lambda: (32, 2))
    for kind in KINDS:
        for d in (1, 4, 6, 21):
            for layout in LAYOUTS.values():
                x, weights = data(75, d, kind)
                x = layout(x)
                close(tiled.gram(x, weights), x, weights)


def test_several_axes() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3, 4))
    weights = x[:, 0, 0]
    want = np.einsum("n,nij,nkl->ijkl", weights, x, x)
    np.testing.assert_allclose(tiled.gram(x, weights), want, atol=1e-12)
    np.testing.assert_allclose(tiled.gram(np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0), weights), want, atol=1e-12)


def test_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "gram", IN_NUMPY)
    np.testing.assert_array_equal(tiled.gram(np.ones((0, 3)), np.ones(0)), np.zeros((3, 3)))
    assert tiled.gram(np.ones((5, 0)), np.ones(5)).shape == (0, 0)
    assert tiled.gram(np.ones((0, 3, 2))).shape == (3, 2, 3, 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_bad_numbers_stay_bad_where_they_are(bad: float, kind: type) -> None:
    x, weights = data(50, 11, kind)
    x[49, 3] = bad
    found = tiled.gram(x, weights)
    want = (x * weights[:, None]).T @ x
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(want))
    np.testing.assert_array_equal(found[~np.isfinite(want)], want[~np.isfinite(want)])
    weights[7], x[7, :2], x[49, 3] = bad, 0, 0
    found = tiled.gram(x, weights)
    np.testing.assert_array_equal(found, (x * weights[:, None]).T @ x)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits_for_any_number_of_threads(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weights = data(3000, 21, kind)
    assert not tiled.cut_of(3000, 21, 8 * 24**2).alone
    found = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv(VARIABLE, threads)
        found.append(tiled.gram(x, weights))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_results_are_held_by_nobody_else() -> None:
    x, weights = data(3000, 200, np.float64)
    first = tiled.gram(x, weights)
    kept = first.copy()
    tiled.gram(x, -weights)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("cut", [(1, 1), (511, 3), (512, 30), (10_000, 100), (100_000, 1000), (10**7, 10)])
def test_chunks_hold_all_rows(cut: tuple[int, int]) -> None:
    rows, columns = cut
    found = tiled.cut_of(rows, columns, 8 * columns**2)
    assert (found.chunks - 1) * found.chunk < rows <= found.chunks * found.chunk
    assert found.chunk % found.block == 0


def test_what_is_not_for_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "gram", lambda x, weights: "elsewhere")
    x, weights = data(30, 4, np.float64)
    assert tiled.gram(x, weights.astype(np.float32)) == "elsewhere"
    assert tiled.gram(x.astype(np.float16)) == "elsewhere"
    assert tiled.gram(np.ones((2, tiled.WIDE + 1))) == "elsewhere"
    monkeypatch.setattr(tiled, "FLAT", 2)
    assert tiled.gram(np.ones((3, 7))) == "elsewhere"
    packed = np.zeros(30, dtype=[("byte", "i1"), ("x", "f8", 4)])["x"]
    assert tiled.gram(packed) == "elsewhere"


@pytest.mark.parametrize("kind", KINDS)
def test_programs_use_them(kind: type) -> None:
    exp = CATALOGUE["exp"]
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(600, 12)), "w": rng.normal(size=12) / 4, "s": rng.normal(size=600)}
    arrays = {name: array.astype(kind) for name, array in arrays.items()}
    for e in (X.T @ diag(s) @ X, X.T @ diag(exp(X @ w)) @ X + diag(w), contract("ni,nj,nk,nl->ijkl", X, X, X, X)):
        values = {name: arrays[name] for name in e.symbols}
        found = compile_expressions(e, backend="numba")(**values)
        assert found.dtype == kind
        want = compile_expressions(e)(**{name: array.astype(float) for name, array in values.items()})
        np.testing.assert_allclose(found, want, rtol=0, atol=1e3 * np.finfo(kind).eps * np.abs(want).max())


LOGISTIC = "sum(log(1 + exp(-y * (X @ w)))) + m * sum(w**2)"
JOINT = {
    "value, gradient and Hessian": lambda loss: (loss, cr.grad(loss, "w"), cr.hessian(loss, "w")),
    "what is made of it": lambda loss: (cr.hessian(loss, "w") @ cr.grad(loss, "w"), loss),
    "twice": lambda loss: (cr.hessian(loss, "w"), cr.hessian(2 * loss, "w")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("joint", JOINT.values(), ids=JOINT.keys())
def test_what_comes_before_and_after(joint: Callable[[cr.Expr], tuple[cr.Expr, ...]], kind: type) -> None:
    loss = cr.parse(LOGISTIC, {"X": ("N", "d"), "w": "d", "y": "N", "m": ()})
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(600, 12)), "w": rng.normal(size=12) / 4, "y": np.sign(rng.normal(size=600))}
    arrays = {name: array.astype(kind) for name, array in arrays.items()} | {"m": kind(2)}
    wants = cr.compile(*joint(loss))(**{name: np.asarray(array, float) for name, array in arrays.items()})
    f = cr.compile(*joint(loss), backend="numba")
    for found, want in zip(f(**arrays), wants, strict=True):
        assert found.dtype == kind
        np.testing.assert_allclose(found, want, rtol=0, atol=1e3 * np.finfo(kind).eps * np.abs(want).max())
    with pytest.raises(cr.ShapeError):
        f(**arrays | {"y": arrays["y"][1:]})


def test_a_size_that_is_given() -> None:
    loss = cr.parse("sum(exp(X @ w)) * sum(ones(k))", {"X": ("N", "d"), "w": "d"})
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(600, 12)), "w": rng.normal(size=12) / 4}
    exprs = cr.hessian(loss, "w"), loss
    for found, want in zip(
        cr.compile(*exprs, backend="numba")(**arrays, k=3), cr.compile(*exprs)(**arrays, k=3), strict=True
    ):
        np.testing.assert_allclose(found, want)
