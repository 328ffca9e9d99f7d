"""Rows within rows: arrays of three axes go through kernels, and agree with the NumPy program."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.expression.node import Expr

pytest.importorskip("numba")
pytestmark = pytest.mark.usefixtures("always_kernels")

X, gamma, beta = cr.symbol("X", ("b", "t", "d")), cr.vector("gamma", "d"), cr.vector("beta", "d")
W, M, B = cr.matrix("W", "d", "e"), cr.matrix("M", "n", "n"), cr.symbol("B", ("h", "n", "n"))
Q, K, V = (cr.symbol(name, ("h", "n", "d")) for name in "QKV")
SCORES = 0.125 * cr.contract("hid,hjd->hij", Q, K)


def layer_norm() -> Expr:
    centred = X - cr.mean(X, axis=2, keepdims=True)
    return gamma * centred / cr.sqrt(cr.mean(centred**2, axis=2, keepdims=True) + 1e-5) + beta


def attention(scores: Expr) -> Expr:
    return cr.contract("hij,hjd->hid", cr.softmax(scores), V)


CASES: dict[str, tuple[Callable[[], Expr], str]] = {
    "layer norm": (layer_norm, "X gamma beta"),
    "softmax": (lambda: cr.softmax(X), "X"),
    "logsumexp": (lambda: cr.logsumexp(X), "X"),
    "entries": (lambda: X * cr.tanh(X) + gamma, "X gamma"),
    "linear": (lambda: cr.tanh(cr.contract("btd,de->bte", X, W)), "X W"),
    "attention": (lambda: attention(SCORES), "Q K V"),
    "a bias by head": (lambda: attention(SCORES + B), "Q K V B"),
    "a bias for all heads": (lambda: attention(SCORES + M), "Q K V"),
    "a mask": (lambda: attention(cr.where(M > 0, SCORES, -1e9)), "Q K V"),
    "no softmax": (lambda: cr.contract("hij,hjd->hid", cr.exp(-SCORES), V), "Q K V"),
}
QUICK = {"layer norm", "softmax", "linear", "a mask"}  # the others take as long to compile, and are slow tests
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES]
NOT_YET = {"sums over heads alone": (lambda: attention(SCORES + M), "M")}
LONG, SHORT = {"b": 3, "t": 75, "d": 67, "e": 40, "h": 3, "n": 75}, {"b": 4, "t": 9, "d": 5, "e": 3, "h": 4, "n": 9}
MIXED = LONG | {"d": 5}


def joint(name: str) -> list[Expr]:
    """Return the value and its derivatives against a cotangent."""
    make, wrt = (CASES | NOT_YET)[name]
    value = make()
    return [value, *(cr.vjp(value, own, cr.symbol("G", value.shape)) for own in wrt.split())]


def arrays(exprs: list[Expr], sizes: dict[str, int], kind: type = np.float64) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    symbols = {s.name: s for e in exprs for s in e.symbols.values()}
    return {name: rng.normal(size=[sizes[n] for n in s.shape]).astype(kind) for name, s in symbols.items()}


def agree(exprs: list[Expr], *values: dict[str, np.ndarray], rtol: float = 1e-11) -> None:
    fused, plain = cr.compile(*exprs, backend="numba"), cr.compile(*exprs)
    for given in values:
        pairs = zip(fused(**given), plain(**given), strict=True)
        for one, other in pairs:
            assert one.dtype == other.dtype and one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.nanmax(np.abs(other), initial=1))


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the kernels that are made, of which none is numba's."""
    machine, found = import_module("chainrule.compile.machine"), list[str]()
    whole = machine.llvm_module
    monkeypatch.setattr(machine, "llvm_module", lambda text, layout: (found.append(text), whole(text, layout))[1])
    monkeypatch.setattr(machine, "kernel_module", lambda text: pytest.fail("numba has compiled it"))
    return found


@pytest.mark.parametrize("name", EVERY)
def test_a_kernel_computes_it(name: str, texts: list[str]) -> None:
    exprs = joint(name)
    agree(exprs, *(arrays(exprs, sizes) for sizes in (LONG, SHORT, MIXED)))
    assert texts and all("for e in range(" in text for text in texts)


@pytest.mark.parametrize("name", NOT_YET)
def test_the_rest_agrees(name: str) -> None:
    exprs = joint(name)
    agree(exprs, arrays(exprs, LONG))


@pytest.mark.parametrize("name", ["layer norm", "attention"])
def test_float32_is_kept(name: str) -> None:
    exprs = joint(name)
    agree(exprs, arrays(exprs, LONG, np.float32), rtol=3e-5)


@pytest.mark.parametrize("name", ["layer norm", pytest.param("a mask", marks=pytest.mark.slow)])
def test_arrays_may_lie_as_they_like(name: str) -> None:
    exprs = joint(name)
    values = arrays(exprs, LONG)
    fortran = {own: np.asfortranarray(a) for own, a in values.items()}
    strided = {own: np.repeat(a, 2, axis=-1)[..., ::2] for own, a in values.items()}
    turned = {own: a.T.copy().T[::-1].copy()[::-1] for own, a in values.items()}
    agree(exprs, fortran, strided, turned)


@pytest.mark.parametrize("name", ["layer norm", pytest.param("attention", marks=pytest.mark.slow)])
@pytest.mark.parametrize("empty", ["b h", "t n", "b h t n"])
def test_no_rows(name: str, empty: str) -> None:
    exprs = joint(name)
    agree(exprs, arrays(exprs, LONG | dict.fromkeys(empty.split(), 0)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_bad_numbers_stay_in_their_head(bad: float) -> None:
    exprs = joint("a bias by head")
    values = arrays(exprs, LONG)
    values["B"][1, 3, 5] = bad
    found = cr.compile(*exprs, backend="numba")(**values)
    expected = cr.compile(*exprs)(**values)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
        assert np.isfinite(one[[0, 2]]).all()


def test_large_scores_do_not_overflow() -> None:
    exprs = joint("attention")
    values = arrays(exprs, LONG, np.float32)
    values["Q"] *= 1e4
    found = cr.compile(*exprs, backend="numba")(**values)
    assert all(np.isfinite(part).all() for part in found)
    expected = cr.compile(*exprs)(**{own: a.astype(float) for own, a in values.items()})
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["layer norm", "attention"])
def test_threads_do_not_change_a_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    exprs = joint(name)
    fused, values, results = cr.compile(*exprs, backend="numba"), arrays(exprs, LONG | {"b": 40, "h": 11}), []
    for threads in "1", "2", "3":
        monkeypatch.setenv("CHAINRULE_THREADS", threads)
        results.append(fused(**values))
    for other in results[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(results[0], other, strict=True))


@pytest.mark.slow
def test_numba_compiles_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is for numba too, where there is no LLVM that we can ask."""
    machine = import_module("chainrule.compile.machine")

    def refused(*arguments: Any) -> str:
        raise machine.Unwritten("all")

    monkeypatch.setattr(machine, "llvm_module", refused)
    exprs = joint("attention")
    agree(exprs, arrays(exprs, LONG))


def test_large_matrices_are_left_to_blas(monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> None:
    rows = import_module("chainrule.compile.rows_within")
    exprs, sizes = joint("linear"), {"b": 3, "t": 20, "d": 67, "e": 67}
    monkeypatch.setattr(rows, "THIN", 66)
    monkeypatch.setattr(rows, "LARGE", 67 * 67 * 8)
    agree(exprs, arrays(exprs, sizes))
    assert len(texts) == 1
    monkeypatch.setattr(rows, "LARGE", 67 * 67 * 8 - 1)
    agree(exprs, arrays(exprs, sizes))
    assert len(texts) == 1


def test_results_belong_to_the_caller() -> None:
    exprs = joint("attention")
    fused = cr.compile(*exprs, backend="numba")
    values = arrays(exprs, LONG | {"n": 300, "h": 4})
    first = fused(**values)
    before = [part.copy() for part in first]
    fused(**(values | {"V": 2 * values["V"]}))
    assert all(np.array_equal(one, two) for one, two in zip(first, before, strict=True))
