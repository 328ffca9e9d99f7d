"""Sums of outer products are computed as one, and the numbers stay those of the interpreter."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from chainrule.compile.compiled import compile_expressions
from chainrule.compile.contraction import nominal
from chainrule.compile.lower import lower
from chainrule.compile.outer import with_common_factors
from chainrule.compile.program import Combine
from chainrule.derivative.differentiate import hessian
from chainrule.expression.build import contract, matrix, vector
from chainrule.expression.node import Einsum, Expr
from chainrule.expression.op import CATALOGUE
from test_compile import check

A, B, W = matrix("A", "n", "n"), matrix("B", "n", "n"), matrix("W", "n", "n")
x, y = vector("x", "n"), vector("y", "n")
exp, logsumexp, sigmoid = (CATALOGUE[name] for name in ("exp", "logsumexp", "sigmoid"))
FIRST, SECOND = contract("j,l,ik->ijkl", x, y, A), contract("j,l,ik->ijkl", x, y, B)


@pytest.mark.parametrize(
    "e",
    [
        FIRST - SECOND,
        2 * FIRST - 3 * contract("j,l,im,mk->ijkl", x, y, A, B),
        contract("i,j->ij", x, y) + contract("i,j->ij", x, exp(y)),
        -(FIRST + SECOND),
    ],
)
def test_few_entries_are_added(e: Expr) -> None:
    sums = [s for s in lower(e).instructions if isinstance(s.action, Combine) and len(s.operands) > 1]
    assert sums
    assert all(len(s.shape) < e.ndim for s in sums)
    check(e)


@pytest.mark.parametrize(
    "e",
    [
        FIRST + contract("j,l,ik->ijkl", y, x, B),  # x and y are factors of other axes
        contract("i,ij->ij", x, A) + contract("i,ij->ij", x, B),  # the sum would have as many entries
        contract("i,j->ij", x, y) + A,
        contract("ij,i,j->ij", A, x, y) + contract("ij,i,j->ij", A, exp(x), y),  # A stays, and has the axis of y
        FIRST + contract("ij,kl->ijkl", A, B),
    ],
)
def test_what_shares_no_axis_is_left(e: Expr) -> None:
    assert with_common_factors(e) is e
    check(e)


def test_the_hessian_of_a_layer_is_one_outer_product() -> None:
    h = hessian(logsumexp(A @ exp(W @ x)), "W")
    last = lower(h).instructions[-1]
    large = [s for s in lower(h).instructions if prod(map(nominal, s.shape)) >= prod(map(nominal, h.shape))]
    assert large == [last]
    check(h)


@pytest.mark.parametrize("e", [FIRST, contract("j,l,im,mn,no,op,pk->ijkl", x, y, A, B, A, W, B)])
def test_the_largest_product_is_written_in_long_rows(e: Expr) -> None:
    steps = lower(e).instructions
    assert len(steps[-1].shape) == 4
    assert sorted(len(sub) for sub in steps[-1].subscripts) == [1, 3]
    check(e)


def test_a_slope_of_a_sigmoid_is_right_in_both_tails() -> None:
    f = compile_expressions(sigmoid(x) * sigmoid(-x))
    z = np.array([-800.0, -700.0, -40.0, -1.0, 0.0, 1.0, 40.0, 700.0, 800.0, np.inf, -np.inf])
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(z))
    np.testing.assert_allclose(f(x=z), e / (1 + e) ** 2, rtol=1e-14)
    assert np.isnan(f(x=np.array([np.nan]))).all()


def test_factors_taken_out_stay_one_product() -> None:
    e = with_common_factors(FIRST - SECOND)
    assert isinstance(e, Einsum)
    assert {x, y} < set(e.args)
