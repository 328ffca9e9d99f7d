"""Results that no cache has room for are written past the caches: the same numbers in every place."""

from importlib import import_module
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from test_tiles import in_python

pytest.importorskip("numba")
TEXT = files("chainrule.compile.scalars").joinpath("streamed.py").read_text(encoding="utf-8")
KERNEL = f"""
from __future__ import annotations
from numba import njit

{TEXT[TEXT.index("# --- functions") :]}
@njit(nogil=True)
def kernel(target, source, lo, hi):
    streamed(target[lo:hi], source[lo:hi])
"""


@pytest.fixture(params=["machine code", "text"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    if request.param == "text":
        return in_python(KERNEL)
    machine = import_module("chainrule.compile.machine")
    monkeypatch.setattr(machine, "kernel_module", lambda text: pytest.fail("numba has compiled it"))
    return machine.Kernel(KERNEL)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("width", [1, 7, 8, 16, 17, 64, 75])
@pytest.mark.parametrize("offset", [0, 1, 3, 15])
def test_every_entry_is_written_and_no_other(kernel: Any, kind: type, width: int, offset: int) -> None:
    source = np.arange(5.0 * width).reshape(5, width).astype(kind)
    memory = np.full(offset + 5 * (width + 2), -1, kind)
    target = memory[offset:].reshape(5, width + 2)[:, :width]
    kernel(target, source, 1, 4)
    wanted = np.full((5, width + 2), -1, kind)
    wanted[1:4, :width] = source[1:4]
    np.testing.assert_array_equal(memory[offset:], wanted.ravel())
    assert (memory[:offset] == -1).all()


X, w, G = cr.matrix("X", "N", "d"), cr.vector("w", "d"), cr.matrix("G", "N", "d")
PROGRAMS = {
    "a Jacobian": (cr.jacobian(cr.tanh(X @ w), "w"),),
    "a layer": (
        (Y := (X - cr.mean(X, axis=1, keepdims=True)) * (cr.mean(X**2, axis=1, keepdims=True) + 1) ** -0.5 * w),
        *(cr.vjp(Y, name, G) for name in "Xw"),
    ),
    "a loss and rows": (cr.mean(cr.tanh(X @ w) ** 2), cr.grad(cr.mean(cr.tanh(X @ w) ** 2), "w"), cr.softmax(X)),
    "a transpose": (X.T * w[:, None], X + 1),
}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.usefixtures("always_kernels")
def test_programs(name: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    machine = import_module("chainrule.compile.machine")
    whole = machine.llvm_module
    monkeypatch.setattr(machine, "llvm_module", lambda text, layout: (texts.append(text), whole(text, layout))[1])
    monkeypatch.setattr(import_module("chainrule.compile.fused"), "LAST_CACHE", 0)
    monkeypatch.setattr(import_module("chainrule.compile.whole"), "LITTLE", -1)
    exprs, rng, bound = PROGRAMS[name], np.random.default_rng(0), 1e-12 if kind is np.float64 else 1e-4
    fast, plain = cr.compile(*exprs, backend="numba"), cr.compile(*exprs)
    for N, d in ((1, 40), (501, 333), (3001, 64)):
        every = {"X": rng.normal(size=(N, d)), "w": rng.normal(size=d), "G": rng.normal(size=(N, d))}
        values = {symbol: every[symbol].astype(kind) for symbol in plain.parameters}
        found, wanted = fast(**values), plain(**values)
        for part, want in zip(
            found if len(exprs) > 1 else [found], wanted if len(exprs) > 1 else [wanted], strict=True
        ):
            np.testing.assert_allclose(part, want, rtol=bound, atol=bound)
    assert any("streamed(w" in text for text in texts)


OUTER = {
    "u vᵀ": ((90,), (80,), ((0,), (1,)), (90, 80)),
    "v uᵀ": ((80,), (90,), ((1,), (0,)), (90, 80)),
    "u ⊗ A": ((5,), (6, 70), ((0,), (1, 2)), (5, 6, 70)),
    "A ⊗ u": ((5, 6), (70,), ((0, 1), (2,)), (5, 6, 70)),
    "u between": ((6,), (3, 9, 70), ((1,), (0, 2, 3)), (3, 6, 9, 70)),
    "rows times columns": ((4, 6), (4, 70), ((0, 1), (0, 2)), (4, 6, 70)),
}
REFUSED = {
    "both have the last axis": ((6, 70), (70,), ((0, 1), (1,)), (6, 70)),
    "short rows": ((900,), (5,), ((0,), (1,)), (900, 5)),
    "few rows in each of many": ((90, 2), (90, 70), ((0, 1), (0, 2)), (90, 2, 70)),
}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", [*OUTER, *REFUSED])
def test_outer_products(name: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("chainrule.compile.outer_product")
    monkeypatch.setattr(module, "LAST_CACHE", 0)
    monkeypatch.setattr(module, "SHORT", 128)
    monkeypatch.setattr(module, "FEW", 1600)
    first, second, axes, shape = (OUTER | REFUSED)[name]
    rng = np.random.default_rng(0)
    u, v = rng.normal(size=first).astype(kind), rng.normal(size=second).astype(kind)
    result = np.full(shape, np.nan, kind)
    for operands in ((u, v), (np.asfortranarray(u), v.astype(np.float16).astype(kind))):
        assert module.outer_past_caches(result, axes, operands) == (name in OUTER)
        if name in OUTER:
            letters = ["".join("abcd"[axis] for axis in own) for own in axes]
            wanted = np.einsum(f"{letters[0]},{letters[1]}->{'abcd'[: len(shape)]}", *operands)
            np.testing.assert_array_equal(result, wanted)


def test_a_large_outer_product() -> None:
    """As Hessians of networks end with one."""
    e = cr.parse("x @ W @ A @ W.T @ x", {"x": "n", "W": ("n", "m"), "A": ("m", "m")})
    hessian = cr.hessian(e, "W")
    rng = np.random.default_rng(0)
    values = {"x": rng.normal(size=60), "A": rng.normal(size=(30, 30))}
    found = cr.compile(hessian, backend="numba")(**values)
    assert found.nbytes > 1 << 23
    np.testing.assert_allclose(found, cr.compile(hessian)(**values), rtol=1e-12)
