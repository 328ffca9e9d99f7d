"""Operations on one axis that are read together share the largest entry, the exponentials and their sum."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainError

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


# --- an axis without entries
BACKENDS = ["numpy", pytest.param("numba", marks=pytest.mark.backend("numba"))]
EMPTY = {
    "softmax": ((cr.softmax(Z),), [np.zeros((3, 0))]),
    "logsumexp": ((cr.logsumexp(Z),), [np.full(3, -np.inf)]),
    "together": ((cr.softmax(Z), cr.logsumexp(Z)), [np.zeros((3, 0)), np.full(3, -np.inf)]),
    "summed": ((cr.sum(cr.logsumexp(Z)),), [np.array(-np.inf)]),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", EMPTY)
def test_exponentials_of_nothing_add_up_to_zero(name: str, kind: type, backend: str) -> None:
    pytest.importorskip(backend)
    exprs, wanted = EMPTY[name]
    if len(exprs) > 1:
        warnings.filterwarnings("ignore", "divide by zero")  # in log 0 and by a sum of 0, as NumPy says it
    found = cr.compile(*exprs, backend=backend)(Z=np.ones((3, 0), kind))
    for part, value, e in zip(found if len(exprs) > 1 else [found], wanted, exprs, strict=True):
        assert np.asarray(part).dtype == kind
        np.testing.assert_array_equal(part, value)
        np.testing.assert_array_equal(e.eval(Z=np.ones((3, 0))), value)
    rows = cr.compile(*exprs, backend=backend)(Z=np.ones((0, 0), kind))
    assert [np.shape(part) for part in (rows if len(exprs) > 1 else [rows])] == [
        tuple(0 for _ in e.shape) for e in exprs
    ]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rows", [3, 200_000])
@pytest.mark.parametrize("formula", ["max(Z, axis=1)", "sum(min(Z, axis=1)**2)", "softmax(max(Z, axis=1))"])
def test_nothing_has_no_largest_entry(formula: str, rows: int, backend: str) -> None:
    pytest.importorskip(backend)
    e = cr.parse(formula, {"Z": ("N", "k")})
    for found in (e, cr.jacobian(e, "Z")):
        with pytest.raises(DomainError, match=r"(?s)(max|min) is not defined for an axis without entries.*k = 0"):
            cr.compile(found, backend=backend)(Z=np.ones((rows, 0)))
    with pytest.raises(DomainError, match="is not defined at these values"):
        e.eval(Z=np.ones((3, 0)))
    with pytest.raises(DomainError, match="axis without entries"):
        cr.compile(e, backend=backend)(Z=np.ones((0, 0)))
    assert np.shape(cr.compile(e, backend=backend)(Z=np.ones((0, 2)))) == tuple(0 for _ in e.shape)


def test_another_mistake_is_not_taken_for_it() -> None:
    """What NumPy refuses for another reason keeps its own error."""
    f = cr.compile(cr.softmax(Z))
    f._run = lambda *_: (_ for _ in ()).throw(ValueError("another"))
    with pytest.raises(ValueError, match="another"):
        f(Z=np.ones((3, 2)))


@pytest.mark.parametrize("N", [1, 5000])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_infinite_entries(backend: str, N: int) -> None:
    """As SciPy has it: the logarithm of a sum of nothing but exp(−∞) is −∞, and ∞ outweighs all."""
    inf, nan = np.inf, np.nan
    some = np.array([[-inf, -inf], [-inf, 3], [inf, 3], [inf, -inf], [inf, inf], [nan, 3], [nan, -inf]])
    f = cr.compile(cr.logsumexp(Z), cr.softmax(Z), backend=backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log, parts = f(Z=np.tile(some, (N, 1)))
        alone = cr.compile(cr.logsumexp(Z), backend=backend)(Z=np.tile(some, (N, 1)))
    np.testing.assert_array_equal(log, np.tile([-inf, 3, inf, inf, inf, nan, nan], N))
    np.testing.assert_array_equal(alone, log)
    rows = [[nan, nan], [0, 1], [nan, 0], [nan, 0], [nan, nan], [nan, nan], [nan, nan]]  # as exp(z)/sum(exp(z))
    np.testing.assert_array_equal(parts, np.tile(rows, (N, 1)))


def test_no_warning_of_a_logarithm_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cr.compile(cr.logsumexp(Z))(Z=np.full((2, 3), -np.inf)).tolist() == [-np.inf] * 2
