"""Positions in an index: rows of an embedding, the log-probability of a label; and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainError, ShapeError
from chainrule.evaluate import evaluate_all
from chainrule.render.input import source_text
from chainrule.verify.sample import generic_points

NEGATIVE_LOG = "-mean(log_softmax(Z)[arange(N), y])"
CASES = {  # formula: (shapes, by what, how the gradient is printed)
    "sum((W[idx] - Y)**2)": ({}, "W", "2 onehot(idx)ᵀ (W[idx, :] − Y)"),
    "sum(x[idx] * a[idx])": ({"x": "n", "a": "n"}, "x", "onehot(idx)ᵀ a[idx]"),
    "norm(W[:, idx] - B)**2": ({}, "W", "2(W[:, idx] − B) onehot(idx)"),
    "sum(tanh(E[t] @ W))": ({"E": ("V", "d"), "t": ("B", "T")}, "E", None),
    "sum(A[p, q]**2)": ({"p": "k", "q": "k"}, "A", None),
    "sum(A[c]**3)": ({"c": ()}, "A", None),
    "sum(x[1:][p]**3)": ({}, "x", None),
    "sum(diag(A)[p]**3)": ({"A": ("n", "n"), "p": "k"}, "A", None),
    "sum(take_along_axis(tanh(Z), J, axis=1)**2)": ({"Z": ("N", "K"), "J": ("N", "k")}, "Z", None),
    NEGATIVE_LOG: ({"Z": ("N", "K"), "y": "N"}, "Z", "(1/N) (softmax(Z) − onehot(y))"),
}


@pytest.mark.parametrize("formula", CASES)
def test_gradient(formula: str) -> None:
    shapes, name, printed = CASES[formula]
    e = cr.parse(formula, shapes=shapes)
    derivation = cr.derive(e, name)
    assert derivation.verified
    if printed:
        assert str(derivation.result) == printed
    for part in (e, derivation.result):
        assert cr.parse(source_text(part), shapes={n: s.shape for n, s in part.symbols.items()}) is part


@pytest.mark.parametrize("formula", CASES)
def test_programs_agree_with_the_interpreter(formula: str) -> None:
    shapes, name, _ = CASES[formula]
    e = cr.parse(formula, shapes=shapes)
    exprs = [e, cr.grad(e, name), cr.hessian(e, name)]
    f = cr.compile(*exprs)
    for values, sizes in generic_points(exprs, 3):
        got = f(**values, **{size: sizes[size] for size in f.program.given})
        for a, b in zip(got, evaluate_all(exprs, values, sizes), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10)


def test_spellings_are_one() -> None:
    shapes = {"P": ("N", "K"), "y": "N"}
    spellings = ["sum(P[arange(N), y])", "sum_{i=1}^{N} P_{i, y_i}", "sum(onehot(y, K) * P)"]
    texts = [cr.parse(text, shapes=shapes) for text in (spellings[0], spellings[2])]
    latex = cr.parse("\\" + spellings[1], shapes=shapes)
    P, y = cr.matrix("P", "N", "K"), cr.vector("y", "N")
    column = cr.trace(lambda P, y: np.take_along_axis(P, y[:, None], 1), P=("N", "K"), y="N")
    assert cr.sum(column) is texts[0]
    assert texts[0] is texts[1] is latex
    assert column.shape == ("N", 1)
    assert P[:, y].shape == ("N", "N")
    assert (
        cr.parse("take(P, y, axis=1)", shapes=shapes)
        is P[:, y]
        is cr.trace(lambda P, y: np.take(P, y, axis=1), P=("N", "K"), y="N")
    )


def test_no_matrix_of_ones_and_zeros_is_made() -> None:
    e = cr.parse("sum((W[idx] - Y)**2)")
    text = cr.source((e, cr.grad(e, "W")))
    assert "rows_at" not in text
    assert "np.add.at" in text


def test_rows_that_come_twice_are_added_up() -> None:
    e = cr.grad(cr.parse("sum(W[idx] * Y)"), "W")
    Y, idx = np.arange(8.0).reshape(4, 2), np.array([2, 0, 2, 2])
    expected = np.zeros((3, 2))
    np.add.at(expected, idx, Y)
    value = e.eval(Y=Y, idx=idx, W=np.zeros((3, 2)), m=3)
    np.testing.assert_array_equal(value, expected)


def test_single_precision_stays() -> None:
    f = cr.compile(cr.grad(cr.parse("sum((W[idx] - Y)**2)"), "W"))
    W, Y = np.ones((5, 2), np.float32), np.zeros((3, 2), np.float32)
    assert f(W=W, Y=Y, idx=np.array([4, 0, 4])).dtype == np.float32


@pytest.mark.parametrize("idx", [[0, 5], [-1, 0], [0.5, 1.0]])
def test_positions_that_do_not_exist(idx: list[float]) -> None:
    e = cr.parse("sum(W[idx]**2)")
    values = {"W": np.ones((5, 2)), "idx": np.array(idx)}
    with pytest.raises(DomainError, match="whole numbers from 0 to 4"):
        e.eval(**values)
    with pytest.raises(DomainError, match="whole numbers from 0 to 4"):
        cr.compile(e)(**values)


def test_what_is_refused() -> None:
    e = cr.parse("sum(W[idx]**2)")
    with pytest.raises(DomainError, match="idx holds positions; there is no derivative by it"):
        cr.grad(e, "idx")
    with pytest.raises(DomainError, match="not bound by a sum"):
        cr.parse("X[i, :]")
    with pytest.raises(ShapeError, match="arange goes beside"):
        cr.parse("X[arange(N)]")


def test_cross_entropy_with_classes() -> None:
    shapes = {"Z": ("N", "K"), "y": "N"}
    e = cr.parse("cross_entropy(Z, y)", shapes=shapes)
    assert e is cr.parse(NEGATIVE_LOG, shapes=shapes)
    assert e is cr.cross_entropy(cr.matrix("Z", "N", "K"), cr.vector("y", "N"))
