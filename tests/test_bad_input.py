"""Every backend refuses what does not fit in the same words, and passes NaN and empty data through as NumPy does."""

from __future__ import annotations

from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ChainruleError

BACKENDS = ["numpy", *(name for name in ("numba", "jax", "torch") if find_spec(name))]
COST = cr.parse("mean((y - max(0, X @ w + b))**2)")
GOOD = {"X": np.ones((5, 4)), "w": np.ones(4), "b": 0.0, "y": np.ones(5)}


class Elsewhere:
    """What only says that it is an array."""

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        raise RuntimeError("this array is on another device")


BAD = [
    ({"w": np.ones(3)}, "w has 3 entries, X has 4 columns (d)"),
    ({"y": np.ones(6)}, "y has 6 entries, X has 5 rows (N)"),
    ({"w": np.ones((4, 1))}, "w has 2 axes (a matrix), but it needs 1 axis (a vector)"),
    ({"X": np.ones(4)}, "X has 1 axis (a vector), but it needs 2 axes (a matrix)"),
    ({"b": np.ones(2)}, "b has 1 axis (a vector), but it needs no axes (a number)"),
    ({"w": np.ones(4, complex)}, "complex128"),
    ({"w": np.array(list("abcd"))}, "w holds text"),
    ({"w": np.array([b"1"] * 4)}, "w holds bytes"),
    ({"w": np.zeros(4, "M8[D]")}, "w holds dates"),
    ({"w": np.array([Fraction(1, 3)] * 4)}, "w holds objects of type Fraction"),
    ({"w": [1, 2, None, 4]}, "w holds objects of type NoneType"),
    ({"w": {"a": 1}}, "w holds objects of type dict"),
    ({"X": [[1, 2], [3]]}, "X is not an array"),
    ({"X": np.ma.ones((5, 4))}, "X is a masked array"),
    ({"w": Elsewhere()}, "cannot read w: this array is on another device"),
    ({"w": cr.vector("w", "d")}, "w is an expression"),
    ({"b": None}, "b holds objects of type NoneType"),
    ({"b": "1"}, "b holds text"),
    ({"b": 10**400}, "b is too large a number"),
    ({"z": 1.0}, "there is no argument z"),
    ({"ww": 1.0}, "did you mean w?"),
]


@pytest.fixture(scope="module", params=BACKENDS)
def f(request: pytest.FixtureRequest) -> cr.Compiled:
    return cr.compile(COST, cr.grad(COST, "w"), cr.grad(COST, "b"), backend=request.param)


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_arguments(f: cr.Compiled, change: dict[str, object], words: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        f(**{**GOOD, **change})
    assert words in str(caught.value)


def test_missing_argument(f: cr.Compiled) -> None:
    with pytest.raises(ChainruleError, match="the argument y is missing"):
        f(**{name: array for name, array in GOOD.items() if name != "y"})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["X", "y", "w"])
def test_bad_numbers_pass_through(f: cr.Compiled, bad: float, place: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {"X": rng.normal(size=(5, 4)), "w": rng.normal(size=4), "b": 0.1, "y": rng.normal(size=5)}
    arrays[place].flat[2] = bad  # type: ignore[union-attr]
    with np.errstate(all="ignore"):
        found, wanted = f(**arrays), cr.compile(*f.exprs)(**arrays)
    # XLA turns the product with a mask into a choice, so that a masked NaN is gone: of JAX the value alone is compared
    count = 1 if f.backend == "jax" else 3
    for a, b in zip(found[:count], wanted[:count], strict=True):
        np.testing.assert_array_equal(np.isfinite(np.asarray(a)), np.isfinite(b))


def test_empty_data(f: cr.Compiled) -> None:
    with np.errstate(all="ignore"):
        value, dw, db = f(X=np.empty((0, 3)), w=np.ones(3), b=0.0, y=np.empty(0))
    assert np.isnan(np.asarray(value)) and np.asarray(dw).shape == (3,)


@pytest.mark.parametrize("kind", [np.int64, np.bool_])
def test_integers_become_floats(f: cr.Compiled, kind: type) -> None:
    value = f(**{name: np.asarray(array).astype(kind) for name, array in GOOD.items()})[0]
    np.testing.assert_allclose(np.asarray(value), 9.0)
