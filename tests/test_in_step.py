"""A product of rows and a sum over them in step: the same numbers as NumPy's for any rows, threads and vectors."""

from importlib import import_module
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("numba")
TEXT = files("chainrule.compile.scalars").joinpath("in_step.py").read_text(encoding="utf-8")
HEAD = "from __future__ import annotations\nimport numpy as np\nfrom numba import njit\n\nT = np.KIND\n"
LINES = TEXT[TEXT.index("# --- functions") :]
BODY = "    in_step(total, weights, products, left, rows, at, before, size)\n"
KERNEL = f"{HEAD}{LINES}\n@njit\ndef kernel(total, weights, products, left, rows, at, before, size):\n{BODY}"
SHAPES = {"X": ("N", "d"), "w": "d", "v": "d", "y": "N"}
LOSS = "mean(log(1 + exp(-y * (X @ w))))"


def in_python(kind: str) -> Any:
    """Return the kernel as its text says it, which is what numba compiles."""
    space: dict[str, Any] = {}
    exec("\n".join(line for line in KERNEL.replace("KIND", kind).split("\n") if "njit" not in line), space)
    return space["kernel"]


@pytest.fixture(params=["wide vectors", "short vectors", "text"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what makes the kernel of a type."""
    if request.param == "text":
        return in_python
    registers = (64, 4) if request.param == "wide vectors" else (32, 2)
    monkeypatch.setattr(import_module("chainrule.compile.llvm_tiles"), "registers", lambda: registers)
    machine = import_module("chainrule.compile.machine")
    monkeypatch.setattr(machine, "kernel_module", lambda text: pytest.fail("numba has compiled it"))
    return lambda kind: machine.Kernel(KERNEL.replace("KIND", kind))


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize(("before", "size"), [(0, 16), (16, 16), (16, 11), (16, 0), (5, 0), (8, 3)])
@pytest.mark.parametrize("width", [1, 64, 75])
@pytest.mark.parametrize("layout", ["rows", "every other column", "padded"])
def test_calls(kernel: Any, kind: str, before: int, size: int, width: int, layout: str) -> None:
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(before + size, 2 * width)).astype(kind)
    rows = {"rows": whole[:, :width].copy(), "every other column": whole[:, ::2], "padded": whole[:, :width]}[layout]
    if size:
        rows[-1, 0] = np.nan  # it is for the last product alone
    left, total = rng.normal(size=(2, width)).astype(kind)
    weights, products = rng.normal(size=(2, before + size)).astype(kind)
    earlier, beyond = total.copy(), products[size:].copy()
    kernel(kind)(total, weights, products, left, rows, before, before, size)
    close = {"rtol": 1e-12, "atol": 1e-12} if kind == "float64" else {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(products[:size], rows[before:] @ left, **close)
    np.testing.assert_array_equal(products[size:], beyond)
    np.testing.assert_allclose(total, earlier + weights[:before] @ rows[:before], **close)


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the kernels that are made, as if no cache had the rows."""
    found: list[str] = []
    ways = import_module("chainrule.compile.ways")
    monkeypatch.setattr(ways, "LAST_CACHE", 0)
    monkeypatch.setattr(ways, "Kernel", lambda text, make=ways.Kernel: (found.append(text), make(text))[1])
    return found


def compared(outputs: tuple[Any, ...], arrays: dict[str, np.ndarray], rtol: float = 1e-10) -> tuple[np.ndarray, ...]:
    """Compare a compiled function's results with those of NumPy in float64, and return them."""
    found = cr.compile(*outputs, backend="numba")(**arrays)
    wanted = cr.compile(*outputs)(**{name: a.astype(float) for name, a in arrays.items()})
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol)
    return found


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("rows", [1, 17, 1100, 3001])
def test_losses_go_in_step(texts: list[str], monkeypatch: pytest.MonkeyPatch, kind: str, rows: int) -> None:
    loss = cr.parse(LOSS, shapes=SHAPES)
    rng = np.random.default_rng(rows)
    width = 1300 if kind == "float32" else 650
    arrays = {"X": rng.normal(size=(rows, width)), "w": rng.normal(size=width) / 30, "y": rng.normal(size=rows)}
    arrays = {name: a.astype(kind) for name, a in arrays.items()}
    outputs = loss, cr.grad(loss, "w")
    monkeypatch.setenv("CHAINRULE_THREADS", "2")
    found = compared(outputs, arrays, 1e-10 if kind == "float64" else 1e-4)
    monkeypatch.setenv("CHAINRULE_THREADS", "1")
    for one, other in zip(found, cr.compile(*outputs, backend="numba")(**arrays), strict=True):
        np.testing.assert_array_equal(one, other)
    assert rows < 100 or all("in_step(g" in text for text in texts)


@pytest.mark.parametrize(
    ("text", "wrt", "taken"),
    [("mean(log(1 + exp(X @ w))) + sum((X @ v)**2)", ("w", "v"), ()), ("sum((X @ w)**2) + sum(y @ X)", ("w",), ("y",))],
)
def test_other_products_do_not(texts: list[str], text: str, wrt: tuple[str, ...], taken: tuple[str, ...]) -> None:
    loss = cr.parse(text, shapes=SHAPES)
    rng = np.random.default_rng(1)
    sizes = {"X": (1100, 650), "w": 650, "v": 650, "y": 1100}
    arrays = {name: rng.normal(size=size) / 30 for name, size in sizes.items() if name in (*wrt, "X", *taken)}
    compared((loss, *(cr.grad(loss, name) for name in wrt)), arrays)
    assert texts
    assert not any("in_step(g" in text for text in texts)


def test_values_that_are_no_numbers_stay_where_they_are(texts: list[str]) -> None:
    loss = cr.parse("sum(max(0, X @ w)**2)", shapes=SHAPES)
    rows = np.random.default_rng(2).normal(size=(1100, 650))
    rows[700, 3] = -np.inf
    outputs = cr.grad(loss, "w"), cr.parse("X @ w", shapes=SHAPES)
    found = cr.compile(*outputs, backend="numba")(X=rows, w=np.ones(650))
    assert np.flatnonzero(~np.isfinite(found[0])).tolist() == [3]
    assert np.flatnonzero(~np.isfinite(found[1])).tolist() == [700]
    assert any("in_step(g" in text for text in texts)
