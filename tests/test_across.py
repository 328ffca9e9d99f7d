"""Arrays that lie across, as in A + Aᵀ: the loops that take tiles give the same bits as those that do not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.lower import lower
from chainrule.compile.whole import on_little_data
from chainrule.expression.node import Expr
from test_whole import ORDERS

pytest.importorskip("numba")

A, B, C = cr.matrix("A", "n", "m"), cr.matrix("B", "m", "n"), cr.matrix("C", "n", "n")
T, U = cr.symbol("T", ("k", "n", "m")), cr.symbol("U", ("k", "m", "n"))
x, c = cr.vector("x", "n"), cr.scalar("c")
S = C * C + 3 * C


CASES: dict[str, Callable[[], Sequence[Expr]]] = {
    "a matrix and its transpose": lambda: [C + C.T],
    "two matrices": lambda: [A - 2 * B.T],
    "the transpose alone": lambda: [3 * A.T],
    "a choice": lambda: [cr.maximum(A, B.T) * cr.abs(A) - cr.sqrt(B.T * B.T + A * A)],
    "a quotient": lambda: [A / B.T],
    "a row, a column and a number": lambda: [x * C.T + c * C + cr.outer(x, x)],
    "two results": lambda: [A * B.T, A + B.T],
    "a result that is read across": lambda: [S, S + S.T],
    "an axis around": lambda: [np.swapaxes(T, 1, 2) + U],
    "a Hessian": lambda: [cr.hessian(x @ C @ x, "x")],
}
NO_TILES = {
    "functions that no vector has": lambda: [cr.exp(A - B.T)],
    "a sum": lambda: [cr.sum(A * B.T)],
    "nothing across": lambda: [A + 2 * A],
}
_compiled: dict[tuple[str, bool], Any] = {}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "CHAINRULE_CACHE", str(tmp_path_factory.mktemp("kernels")))
        _compiled.clear()
        yield
        _compiled.clear()


def compiled(name: str, tiles: bool = True) -> Callable[..., Any]:
    """Return the one function of the program, for any data; without tiles, no axis is long enough for them."""
    if (name, tiles) not in _compiled:
        program = lower(*(CASES | NO_TILES)[name]())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(import_module("chainrule.compile.whole"), "LITTLE", 1 << 30)
            if not tiles:
                patch.setattr(import_module("chainrule.compile.across"), "SIDE", 1 << 30)
            run = on_little_data(program, has_kernels=False)
        _compiled[name, tiles] = lambda values: run(*(values[s.name] for s in program.arguments))
    return _compiled[name, tiles]


def arrays(name: str, n: int, m: int, kind: Any = np.float64) -> dict[str, Any]:
    rng, sizes = np.random.default_rng(n), {"n": n, "m": m, "k": 2}
    symbols = {s.name: s.shape for e in (CASES | NO_TILES)[name]() for s in e.symbols.values()}
    made = {own: rng.normal(size=[sizes[k] for k in shape]).astype(kind) for own, shape in symbols.items()}
    return {own: value if value.ndim else value[()] for own, value in made.items()}


def same(name: str, values: dict[str, Any], *others: dict[str, Any]) -> None:
    wanted = compiled(name, tiles=False)(values)
    with np.errstate(all="ignore"):
        plain = cr.compile(*(CASES | NO_TILES)[name]())(**values)
    plain = plain if isinstance(plain, tuple) else (plain,)
    for given in (values, *others):
        found = compiled(name)(given)
        found, expected = (r if isinstance(r, tuple) else (r,) for r in (found, wanted))
        for got, want, numpys in zip(found, expected, plain, strict=True):
            assert np.array_equal(got, want, equal_nan=True)
            assert got.dtype == numpys.dtype and got.shape == numpys.shape
            np.testing.assert_allclose(got, numpys, **dict.fromkeys(("rtol", "atol"), 64 * np.finfo(got.dtype).eps))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", CASES)
def test_the_same_bits_for_any_sizes(name: str, kind: Any) -> None:
    for n, m in ((1, 1), (3, 20), (20, 3), (8, 8), (9, 15), (16, 11), (33, 40)):
        same(name, arrays(name, n, m, kind))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["two matrices", "a matrix and its transpose"])
def test_the_same_bits_however_arrays_lie(name: str, order: str) -> None:
    values = arrays(name, 13, 21)
    same(name, values, *({**values, own: ORDERS[order](value)} for own, value in values.items()))
    same(name, values, {own: ORDERS[order](value) for own, value in values.items()})


@pytest.mark.parametrize("name", ["two matrices", "a choice", "a quotient"])
def test_bad_numbers_stay_where_they_are(name: str) -> None:
    values = arrays(name, 19, 12)
    values["A"][3, 5] = values["B"][11, 17] = np.nan
    values["A"][18, 11] = values["B"][0, 0] = np.inf
    values["A"][7, 7] = values["B"][2, 9] = -np.inf
    values["A"][0, 1], values["B"][8, 2] = 0.0, -0.0
    same(name, values)


def texts_of(name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    machine, texts = import_module("chainrule.compile.machine"), []
    whole = machine.llvm_module
    monkeypatch.setattr(machine, "llvm_module", lambda text, layout: (texts.append(text), whole(text, layout))[1])
    program = lower(*(CASES | NO_TILES)[name]())
    values = arrays(name, 12, 9)
    on_little_data(program, has_kernels=False)(*(values[s.name] for s in program.arguments))
    return texts


@pytest.mark.parametrize("name", CASES | NO_TILES)
def test_what_lies_across_goes_by_tiles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is turned where vectors are computed with it, in machine code; numba is not asked."""
    monkeypatch.setattr(
        import_module("chainrule.compile.machine"), "kernel_module", lambda text: pytest.fail("numba has compiled it")
    )
    (text,) = texts_of(name, monkeypatch)
    assert (" across(" in text) == (name in CASES)


def test_what_llvm_makes_no_vectors_of_is_no_news(capfd: pytest.CaptureFixture[str]) -> None:
    e = cr.diag(x) @ C.T
    for kind in (np.float64, np.float32):
        cr.compile(e, cr.jacobian(e, "x"), backend="numba")(x=np.ones(17, kind), C=np.ones((17, 17), kind))
    assert capfd.readouterr() == ("", "")


def test_more_data_goes_through_the_one_function() -> None:
    """Its tiles are as fast as two threads; what lies as it is read takes kernels earlier."""
    run = on_little_data(lower(C + C.T))
    assert run(np.ones((350, 350))) is not None and run(np.ones((450, 450))) is None
    other = on_little_data(lower(C * x))
    assert other(np.ones((150, 150)), np.ones(150)) is not None
    assert other(np.ones((350, 350)), np.ones(350)) is None
