"""Operations on one axis that are read together share the largest entry, the exponentials and their sum."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

Z = cr.matrix("Z", "N", "k")
VALUES = [
    np.array([[1.0, -2.0, 0.5], [3.0, 3.0, 3.0]]),
    np.array([[1000.0, -1000.0, 999.0], [-1e4, -1e4, -1e4]]),  # exp overflows, or gives 0
    np.array([[-np.inf, 0.0, 1.0], [np.nan, 0.0, 1.0]]),
]


@pytest.mark.parametrize("values", VALUES)
def test_two_functions_of_one_argument(values: np.ndarray) -> None:
    both = cr.compile(cr.logsumexp(Z), cr.softmax(Z))(Z=values)
    alone = cr.compile(cr.logsumexp(Z))(Z=values), cr.compile(cr.softmax(Z))(Z=values)
    for found, wanted in zip(both, alone, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_exponentials_are_taken_once() -> None:
    text = cr.source((cr.logsumexp(Z), cr.softmax(Z)), name="both")
    assert text.count("np.exp(") == 1
    assert "np.exp(" not in cr.source((cr.logsumexp(Z), cr.softmax(2 * Z)), name="f").split("def f(")[1]
