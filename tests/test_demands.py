"""What slices, places and extremes ask of sizes: refused in the same words everywhere; no other memory is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.demands import all_demands, demands_of
from chainrule.compile.lower import lower
from chainrule.expression.node import Expr
from test_bad_input import BACKENDS
from test_gather import loops  # noqa: F401 - a fixture
from test_takeaway import run_clean, write

X, x, w = cr.matrix("X", "N", "d"), cr.vector("x", "n"), cr.vector("w", 3)
TOO_SHORT: dict[str, tuple[Expr, dict[str, np.ndarray], str]] = {
    "first_entries": (x[:3] @ w, {"x": np.ones(2), "w": np.ones(3)}, "x has 2 entries (n)"),
    "one_column": (cr.sum(cr.tanh(X[:, :3]) @ w), {"X": np.ones((7, 1)), "w": np.ones(3)}, "X has 1 column (d)"),
    "place": (x[4] ** 2, {"x": np.ones(4)}, "x has 4 entries (n)"),
    "place_from_the_end": (x[-3] ** 2, {"x": np.ones(2)}, "x has 2 entries (n)"),
    "gradient": (cr.grad(cr.sum(x[2:5] ** 3), "x"), {"x": np.ones(3)}, "x has 3 entries (n)"),
    "differences": (cr.sum((x[1:] - x[:-1]) ** 2), {"x": np.ones(0)}, "x has 0 entries (n)"),
}  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", TOO_SHORT)
def test_short_axes_are_refused(backend: str, name: str) -> None:
    e, values, found = TOO_SHORT[name]
    f = cr.compile(e, backend=backend)
    for given in (values, {n: a.tolist() for n, a in values.items()} if values else {}):
        with pytest.raises(cr.ShapeError, match="too short for a slice or a place") as caught:
            f(**given)
        assert found in str(caught.value)


def test_what_is_just_long_enough_is_computed() -> None:
    assert cr.compile(x[:3] @ w)(x=np.arange(3.0), w=np.ones(3)) == 3
    assert cr.compile(cr.sum((x[1:] - x[:-1]) ** 2))(x=np.ones(1)) == 0
    assert cr.compile(2 * cr.ones("m")[2:])(m=2).shape == (0,)
    with pytest.raises(cr.ShapeError, match="m = 1"):
        cr.compile(2 * cr.ones("m")[2:])(m=1)


def test_each_demand_is_made_once_and_only_where_it_may_fail() -> None:
    program = lower(cr.sum(x[2:] * x[:-2]), x[::-1], cr.amax(x))
    assert [(d.size, d.least) for d in demands_of(program)] == [("n", 2)]
    assert [(d.size, d.least) for d in all_demands(program)] == [("n", 2), ("n", 1)]
    assert not demands_of(lower(cr.concatenate([x, w]), cr.vector("z", 5)[1:4]))


def test_code_to_take_away_refuses_them(loops: str, tmp_path: Path) -> None:  # noqa: F811
    """C returns 3, numba raises: beyond the axis there is other memory, and no number is the largest of none."""
    cases = {name: (e, values) for name, (e, values, _) in TOO_SHORT.items()}
    cases |= {"largest": (cr.amax(x), {"x": np.ones(0)}), "smallest": (cr.amin(X, axis=1), {"X": np.ones((2, 0))})}
    for name, (e, values) in cases.items():
        sizes = {n: k for s, a in values.items() for n, k in zip(e.symbols[s].shape, a.shape, strict=True)}
        write(loops, tmp_path, name, (e,), values, sizes, [np.zeros([sizes.get(n, n) for n in e.shape])], fails=True)
    results = run_clean(loops, tmp_path, list(cases))
    for name in cases:
        if loops == "c":
            assert results[f"{name}.status"] == 3
        else:
            assert "axis" in str(results[f"{name}.error"])


def test_the_comment_says_which() -> None:
    assert "3 if an axis is too short: n < 3, d < 1" in cr.source((x[:3], cr.amax(X, axis=1)), "c")
