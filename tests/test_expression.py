"""The expression itself: interning, canonical products and sums, and what the constructors refuse."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainError, ShapeError, UnknownSymbol
from chainrule.evaluate import evaluate
from chainrule.expression.build import (
    contract,
    diag,
    dot,
    eye,
    matmul,
    matrix,
    mean,
    ones,
    outer,
    power,
    scalar,
    sum,
    trace,
    transpose,
    vector,
    zeros,
)
from chainrule.expression.node import MAX_DEPTH, Einsum, Expr, Symbol, is_zero, walk
from chainrule.expression.op import CATALOGUE
from chainrule.expression.shape import as_shape, exact

A, B, X = matrix("A", "n", "n"), matrix("B", "n", "n"), matrix("X", "N", "d")
w, x, y, b = vector("w", "d"), vector("x", "d"), vector("y", "N"), scalar("b")
relu, sin, tanh, exp, log, det = (CATALOGUE[n] for n in ("relu", "sin", "tanh", "exp", "log", "det"))

SAME = [
    (sum(w * x), dot(w, x), w @ x, x @ w, contract("i,i->", x, w)),
    (w @ w, sum(w**2), sum(w * w), dot(w, w)),
    ((X @ w) ** 2, (X @ w) * (X @ w)),
    (trace(A @ B), trace(B @ A), sum(A * B.T), sum(A.T * B)),
    (sum(w * x - w), w @ x - sum(w)),
    (log(det(A)), log(CATALOGUE["abs"](det(A))), CATALOGUE["logdet"](A)),
    (log(exp(w) / sum(exp(w))), log(CATALOGUE["softmax"](w))),
    (trace(A @ A.T @ A), trace(A.T @ A @ A)),
    (diag(w) @ x, w * x),
    (diag(diag(w)), w),
    (trace(eye("n")), sum(ones("n"))),
    (eye("d") @ w, w),
    (X.T.T, X),
    ((X + X).T, 2 * X.T),
    (relu(X.T), relu(X).T),
    (relu(b + zeros("d")), relu(b) * ones("d")),
    (mean(w), sum(w) / sum(ones("d"))),
    ((2 * w) ** 2, 4 * w**2),
    (w / w, ones("d")),
    (w - w, zeros("d")),
    (b * ones("d") + 1, (b + 1) * ones("d")),
    (1 / (2 * b), b**-1 / 2),
    (power(power(b, 2), 3), b**6),
    (outer(w, x).T, outer(x, w)),
    ((w @ x) * (w @ x), (w @ x) ** 2),
    (sum(X, axis=0), ones("N") @ X),
    (np.exp(w), CATALOGUE["exp"](w)),
    (np.maximum(0, w), relu(w)),
    (np.mean(X, axis=1), X.mean(axis=1)),
    (w.dot(x), np.dot(w, x), np.matmul(w, x)),
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda s: str(s[0].shape))
def test_two_spellings_are_the_same_object(spellings: tuple[Expr, ...]) -> None:
    assert all(spelling is spellings[0] for spelling in spellings)


def test_different_functions_differ() -> None:
    assert A @ B is not B @ A
    assert trace(A @ A @ A) is not trace(A @ A @ A.T)
    assert outer(w, x) is not outer(x, w)


def test_nodes_are_interned_across_threads() -> None:
    def build(_: int) -> Expr:
        return mean((vector("y", "N") - relu(matrix("X", "N", "d") @ vector("w", "d") + scalar("b"))) ** 2)

    with ThreadPoolExecutor(8) as pool:
        built = list(pool.map(build, range(64)))
    assert len(set(map(id, built))) == 1


def test_nodes_survive_pickling() -> None:
    e = mean((y - relu(X @ w + b)) ** 2) + trace(A @ eye("n")) + sum(ones("n")) / 3
    assert pickle.loads(pickle.dumps(e)) is e


def test_structure_is_the_same_in_every_process() -> None:
    code = (
        "import chainrule.ops; from chainrule.expression.build import *;"
        "e = sum(matrix('A','n','n') @ vector('x','n') * vector('q','n') + vector('p','n'));"
        "print([a.order for a in e.args], e.order)"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": s, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for s in ("1", "2")
    }
    assert len(seen) == 1


def test_numbers_are_exact() -> None:
    assert exact(0.1) == Fraction(1, 10)
    assert exact(2.0) == 2 and isinstance(exact(2.0), int)
    assert (b * 0.1 * 3).coefficients == (Fraction(3, 10),)
    assert str(evaluate(b / 3, {"b": np.array(Fraction(1), dtype=object)})) == "1/3"


def test_facts_and_shapes_belong_to_the_symbol() -> None:
    assert matrix("S", "n", "n", "symmetric") is not matrix("S", "n", "n")
    with pytest.raises(ShapeError, match="stands for two things"):
        vector("x", "n") @ vector("x", "n") + vector("x", "m") @ vector("x", "m")
    assert as_shape("N,d") == ("N", "d") == as_shape(("N", "d")) and as_shape("d") == ("d",) and as_shape(()) == ()


@pytest.mark.parametrize(
    "build",
    [
        lambda: X @ y,
        lambda: w + y,
        lambda: X @ b,
        lambda: sum(X, axis=2),
        lambda: trace(X),
        lambda: matmul(X, X),
        lambda: CATALOGUE["inv"](w),
        lambda: CATALOGUE["inv"](X),
        lambda: CATALOGUE["softmax"](b),
    ],
)
def test_shapes_that_cannot_agree(build) -> None:
    with pytest.raises(ShapeError):
        build()


@pytest.mark.parametrize(
    "build",
    [
        lambda: b / 0,
        lambda: zeros() ** -1,
        lambda: bool(w > 0),
        lambda: list(w),
        lambda: np.asarray(w),
        lambda: w + np.ones(3),
        lambda: np.linalg.svd(A),
        lambda: vector("not a name", "n"),
        lambda: relu(w, x),
        lambda: w + "text",
    ],
)
def test_what_has_no_meaning_is_refused(build) -> None:
    with pytest.raises(DomainError):
        build()


def test_depth_is_bounded_with_a_message() -> None:
    e: Expr = b
    with pytest.raises(DomainError, match=f"more than {MAX_DEPTH}"):
        for _ in range(MAX_DEPTH + 10):
            e = sin(e)


def test_evaluation_names_what_is_wrong() -> None:
    e = X @ w
    with pytest.raises(UnknownSymbol, match="no value for"):
        evaluate(e, {"X": np.ones((2, 3))})
    with pytest.raises(ShapeError, match="w has 4 entries"):
        evaluate(e, {"X": np.ones((2, 3)), "w": np.ones(4)})
    with pytest.raises(ShapeError, match="wrong number of axes"):
        evaluate(e, {"X": np.ones((2, 3)), "w": np.ones((3, 1))})


def test_transposes_of_higher_rank_and_batches() -> None:
    T = Symbol("T", ("a", "b", "c"))
    value = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(evaluate(transpose(T, (1, 2, 0)), {"T": value}), value.transpose(1, 2, 0))
    np.testing.assert_allclose(
        evaluate(T @ vector("v", "c"), {"T": value, "v": np.arange(4.0)}), value @ np.arange(4.0)
    )
    np.testing.assert_allclose(evaluate(tanh(T).sum(axis=(0, 2)), {"T": value}), np.tanh(value).sum(axis=(0, 2)))


def test_walk_visits_parts_before_wholes() -> None:
    e = sin(w @ x) + b
    seen = walk(e)
    assert seen[-1] is e and len(seen) == len(set(seen))
    assert all(seen.index(arg) < seen.index(node) for node in seen for arg in node.args)
    assert is_zero(zeros("n")) and not is_zero(e) and isinstance(w @ x, Einsum)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_operations_along_an_axis_are_what_text_says(name: str, axis: int) -> None:
    Z = cr.matrix("Z", "N", "k")
    assert getattr(cr, name)(Z, axis=axis) is cr.parse(f"{name}(Z, axis={axis})", {"Z": ("N", "k")})
    assert getattr(cr, name)(Z) is getattr(cr, name)(Z, axis=-1)


def test_an_operation_without_an_axis_to_choose_says_so() -> None:
    with pytest.raises(DomainError, match="exp.z. does not work along one axis"):
        cr.exp(cr.matrix("Z", "N", "k"), axis=0)
    with pytest.raises(ShapeError, match="there is no axis 2"):
        cr.softmax(cr.matrix("Z", "N", "k"), axis=2)
    with pytest.raises(ShapeError, match="a number has no axes"):
        cr.log_softmax(cr.scalar("a"))
