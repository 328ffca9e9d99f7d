"""NumPy's functions on the axes of symbols agree with NumPy on arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainError, ShapeError

FUNCTIONS: list[Callable[[Any], Any]] = [
    lambda T: np.einsum("ijk,ilk->jl", T, T),
    lambda T: np.einsum("ijk,ilk", T, T),
    lambda T: np.einsum("...ij->...ji", T),
    lambda T: np.swapaxes(T, 0, -1),
    lambda T: np.moveaxis(T, 0, -1),
    lambda T: np.moveaxis(T, (0, 2), (1, 0)),
    lambda T: np.expand_dims(T, 1),
    lambda T: np.expand_dims(T, (0, -1)),
    lambda T: np.squeeze(np.expand_dims(T, 1)),
    lambda T: np.squeeze(np.expand_dims(T, 1), axis=1),
    lambda T: T[:, None, 1:],
    lambda T: T[None, 0, :, None],
    lambda T: np.reshape(T, -1),
    lambda T: np.reshape(T, (6, 4)),
    lambda T: np.reshape(T, (4, 2, 3)),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_agrees_with_numpy(function: Callable[[Any], Any]) -> None:
    T = np.arange(24.0).reshape(2, 3, 4)
    e = cr.trace(function, T=(2, 3, 4))
    np.testing.assert_array_equal(e.eval(T=T), function(T))
    np.testing.assert_array_equal(cr.compile(e)(T=T), function(T))


def test_einsum_is_the_product() -> None:
    A, B = cr.matrix("A", "m", "n"), cr.matrix("B", "n", "k")
    assert np.einsum("ij,jk->ik", A, B) is A @ B is cr.parse('einsum("ij,jk->ik", A, B)', {"A": A.shape, "B": B.shape})


def test_what_does_not_fit() -> None:
    A = cr.matrix("A", "m", "n")
    for wrong in (lambda: np.squeeze(A, 0), lambda: np.reshape(A, ("m", "m")), lambda: np.einsum("ij,jk->ik", A)):
        with pytest.raises(ShapeError):
            wrong()
    with pytest.raises(DomainError):
        np.reshape(A, (-1, 2))
