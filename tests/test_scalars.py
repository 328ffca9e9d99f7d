"""The elementary functions of the kernels: 3 units in the last place at most, and right at the ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chainrule.compile.scalars import double, single

Function = Callable[[np.ndarray], np.ndarray]

FUNCTIONS: dict[str, tuple[Function, tuple[tuple[float, float], ...]]] = {
    "exp": (np.exp, ((-80, 80), (-1, 1), (-745, -690), (-104, -80))),
    "expm1": (np.expm1, ((-40, 80), (-1, 1), (-1e-4, 1e-4))),
    "log": (np.log, ((1e-3, 10), (0, 1e30))),
    "log1p": (np.log1p, ((-0.99, 3), (-1e-3, 1e-3))),
    "tanh": (np.tanh, ((-10, 10), (-0.1, 0.1))),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), ((-30, 30), (-745, -690), (-104, -80))),
    "softplus": (
        lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
        ((-30, 30), (-1, 1), (-745, -690), (-104, -80)),
    ),
}
ENDS = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 800.0, -800.0, 1e-310, -1e-310, 5e-324)


@pytest.fixture(scope="module", params=[(double, np.float64, np.longdouble), (single, np.float32, np.float64)])
def kind(request: pytest.FixtureRequest) -> tuple[ModuleType, type, type]:
    return request.param


def run(module: ModuleType, name: str, points: np.ndarray) -> np.ndarray:
    """Run the text as plain Python, one number at a time, as numba's loops do."""
    with np.errstate(all="ignore"):
        return np.array([getattr(module, f"fast_{name}")(z) for z in points], dtype=points.dtype)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name: str, kind: tuple[ModuleType, type, type]) -> None:
    module, narrow, wide = kind
    function, ranges = FUNCTIONS[name]
    for low, high in ranges:
        points = np.random.default_rng(0).uniform(low, high, 2000).astype(narrow)
        with np.errstate(over="ignore"):
            exact = function(points.astype(wide))
        units = np.abs((run(module, name, points).astype(wide) - exact) / np.spacing(np.abs(exact.astype(narrow))))
        assert np.max(units) <= 3, (name, low, high)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ends(name: str, kind: tuple[ModuleType, type, type]) -> None:
    module, narrow, _ = kind
    points = np.array(ENDS, dtype=narrow)
    with np.errstate(all="ignore"):
        wanted = FUNCTIONS[name][0](points)
    np.testing.assert_allclose(run(module, name, points), wanted, rtol=4 * np.finfo(narrow).eps, atol=0)


def test_keys_are_in_the_order_of_the_numbers(kind: tuple[ModuleType, type, type]) -> None:
    module, narrow, _ = kind
    points = np.array([-np.inf, -3.5, -1e-30, 0.0, 1e-30, 2.0, np.inf], dtype=narrow)
    keys = [module.order_key(z) for z in points]
    assert keys == sorted(keys)
    assert all(module.key_value(key) == z for key, z in zip(keys, points, strict=True))
    assert module.order_key(narrow(np.nan)) >= max(keys) and np.isnan(
        module.key_value(module.order_key(narrow(np.nan)))
    )


def test_both_types_have_the_same_functions() -> None:
    names = [set(re.findall(r"^def (\w+)", Path(m.__file__).read_text(), re.M)) for m in (double, single)]
    assert names[0] == names[1]
