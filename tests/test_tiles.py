"""Products of matrices by tiles: the same numbers as NumPy's for any sizes, vectors and layout."""

from importlib import import_module
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("numba")
TEXT = files("chainrule.compile.scalars").joinpath("by_tiles.py").read_text(encoding="utf-8")
HEAD = "from __future__ import annotations\nimport numpy as np\nfrom numba import njit\n\n"
BODY = """
    products(lanes, left, rows, 3, left.shape[0] // 3 * 3, size)
    sums_of_products(total, lanes, rows, rows, size, 3, left.shape[0] // 3 * 3, size)
"""
KERNEL = f"{TEXT[TEXT.index('# --- functions') :]}\n@njit\ndef kernel(lanes, left, rows, total, size):{BODY}"


def in_python(text: str) -> Any:
    """Return the kernel as its text says it, which is what numba compiles."""
    space: dict[str, Any] = {}
    exec("\n".join(line for line in text.split("\n") if "njit" not in line), space)
    return space["kernel"]


def by_machine(text: str, monkeypatch: pytest.MonkeyPatch, registers: tuple[int, int]) -> Any:
    """Return the kernel in machine code, with vectors of so many bytes."""
    monkeypatch.setattr(import_module("chainrule.compile.llvm_tiles"), "registers", lambda: registers)
    machine = import_module("chainrule.compile.machine")
    monkeypatch.setattr(machine, "kernel_module", lambda text: pytest.fail("numba has compiled it"))
    return machine.Kernel(text)


@pytest.fixture(params=[np.float64, np.float32])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture(params=["wide vectors", "short vectors", "text"])
def kernel(kind: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    text = f"{HEAD}T = np.{kind.__name__}\n{KERNEL}"
    if request.param == "text":
        return in_python(text)
    return by_machine(text, monkeypatch, (64, 4) if request.param == "wide vectors" else (32, 2))


@pytest.mark.parametrize(("size", "count", "width"), [(9, 7, 75), (4, 3, 32), (3, 2, 64), (8, 1, 1), (5, 4, 133)])
@pytest.mark.parametrize("layout", ["rows", "every other column", "padded"])
@pytest.mark.parametrize("side_by_side", [True, False])
def test_products(kernel: Any, kind: Any, size: int, count: int, width: int, layout: str, side_by_side: bool) -> None:
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(size, 2 * width)).astype(kind)
    whole[-1, 0] = np.nan
    rows = {"rows": whole[:, :width].copy(), "every other column": whole[:, ::2], "padded": whole}[layout]
    left = rng.normal(size=(count, width)).astype(kind)
    lanes = np.full((count, size + 3), np.nan, kind)  # memory that holds anything
    lanes = lanes if side_by_side else lanes.T.copy().T
    total = rng.normal(size=(count, width)).astype(kind)
    before, beyond = total.copy(), lanes[:, size:].copy()
    kernel(lanes, left, rows, total, size)
    expected = left @ rows[:, :width].T
    close = {"rtol": 1e-11 if kind is np.float64 else 1e-3, "atol": 1e-11 if kind is np.float64 else 1e-3}
    np.testing.assert_allclose(lanes[:, :size], expected, **close)
    np.testing.assert_array_equal(lanes[:, size:], beyond)
    np.testing.assert_allclose(total, before + expected @ rows[:, :width], **close)


@pytest.mark.parametrize(
    ("cost", "also", "sums"),
    [
        ("sum(max(0, X @ W)**2)", "sum(X)", 1),
        ("sum(log(1 + exp(X @ W)))", "exp(X @ W)", 1),  # a result, whose rows do not lie side by side
        ("sum(tanh(X @ W) * (X @ V))", "X @ W", 2),  # two products over the same indices
    ],
)
def test_products_are_found_in_kernels(cost: str, also: str, sums: int, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    machine = import_module("chainrule.compile.machine")
    whole = machine.llvm_module
    monkeypatch.setattr(machine, "llvm_module", lambda text, layout: (texts.append(text), whole(text, layout))[1])
    shapes = {"X": ("N", "d"), "W": ("d", "k"), "V": ("d", "k")}
    value = cr.parse(cost, shapes=shapes)
    names = sorted(value.symbols.keys() - {"X"})
    exprs = [value, *(cr.grad(value, name) for name in names), cr.parse(also, shapes=shapes)]
    function, plain = cr.compile(*exprs, backend="numba"), cr.compile(*exprs)
    rng = np.random.default_rng(0)
    for rows in (rng.normal(size=(5003, 70)), np.asfortranarray(rng.normal(size=(5003, 70)))):
        arrays = {"X": rows} | {name: rng.normal(size=(70, 3)) / 10 for name in names}
        for one, other in zip(function(**arrays), plain(**arrays), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    assert any(text.count("sums_of_products(g") == text.count("  products(") == sums for text in texts)
