"""What the tests share: oracles that do not use the engine they test."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from importlib import import_module

import numpy as np
import pytest

import chainrule  # noqa: F401 - fills the catalogue and the views
from chainrule.compile.kernel_files import VARIABLE
from chainrule.evaluate import evaluate
from chainrule.expression.node import Expr

NAMED = os.environ.get("CHAINRULE_BACKEND")  # the one library that CI runs these tests for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests that are for another library than the one that is named."""
    if NAMED:
        items[:] = [item for item in items if all(mark.args[0] == NAMED for mark in item.iter_markers("backend"))]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where a library is named, a test that is skipped would go unseen."""
    report = yield
    if NAMED and report.skipped:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session", autouse=True)
def kernel_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Machine code is neither taken from the user's cache nor left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(scope="module")
def always_kernels() -> Iterator[None]:
    """Kernels on little data too, which otherwise has a function of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("chainrule.compile.whole"), "LITTLE_BESIDE_KERNELS", -1)
        yield


def directional_difference(e: Expr, name: str, values: dict, direction: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """The oracle of first resort: the change of the function itself along a direction."""
    ends = [evaluate(e, {**values, name: values[name] + sign * h * direction}) for sign in (1, -1)]
    return (np.asarray(ends[0], dtype=float) - np.asarray(ends[1], dtype=float)) / (2 * h)


def agrees(jacobian: np.ndarray, e: Expr, name: str, values: dict, rng: np.random.Generator) -> float:
    """Return the relative error of a Jacobian against the difference in a random direction."""
    direction = rng.normal(size=np.shape(values[name]))
    expected = directional_difference(e, name, values, direction)
    got = np.tensordot(jacobian, direction, axes=direction.ndim)
    return float(np.max(np.abs(got - expected), initial=0) / max(1.0, np.max(np.abs(expected), initial=0)))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20181)
