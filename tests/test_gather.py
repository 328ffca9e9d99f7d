"""Positions in an index: rows of an embedding, the log-probability of a label; and their derivatives."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DomainError, ShapeError
from chainrule.evaluate import evaluate_all
from chainrule.expression.build import size
from chainrule.expression.extent import extent_of
from chainrule.expression.gather import position_limits, take
from chainrule.expression.node import Expr
from chainrule.render.input import source_text
from chainrule.verify.sample import generic_points
from test_takeaway import check_plain, run_clean, write

NEGATIVE_LOG = "-mean(log_softmax(Z)[arange(N), y])"
CASES = {  # formula: (shapes, by what, how the gradient is printed)
    "sum((W[idx] - Y)**2)": ({}, "W", "2 onehot(idx)ᵀ (W[idx, :] − Y)"),
    "sum(x[idx] * a[idx])": ({"x": "n", "a": "n"}, "x", "onehot(idx)ᵀ a[idx]"),
    "norm(W[:, idx] - B)**2": ({}, "W", "2(W[:, idx] − B) onehot(idx)"),
    "sum(tanh(E[t] @ W))": ({"E": ("V", "d"), "t": ("B", "T")}, "E", None),
    "sum(W[idx[1:]]**3)": ({"idx": "N"}, "W", None),
    "sum(x[t[t]]**2)": ({"x": "n", "t": "n"}, "x", None),
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


# formula: the same with places instead of positions)
SAME_PLACE = {
    "sum(W[ones(p)])": "sum(ones(p)) * sum(W[1, :])",
    "W[ones(p)]": "outer(ones(p), W[1])",
    "W[zeros(p)]": "outer(ones(p), W[0])",
    "W[:, ones(p)]": "outer(W[:, 1], ones(p))",
    "take(W, 2*ones(p), axis=1)": "outer(W[:, 2], ones(p))",
    "take(W, ravel(T) - ravel(T), axis=0)": "outer(ones(p*q), W[0])",
    "take_along_axis(W, ones((m, n)), axis=1)": "outer(W[:, 1], ones(n))",
    "onehot(2, K)": "one_hot(2, K)",
}


@pytest.mark.parametrize("formula", SAME_PLACE)
def test_one_position_everywhere_is_a_place(formula: str) -> None:
    known = {"W": ("m", "n"), "T": ("p", "q")}
    e, expected = (
        cr.parse(text, shapes={name: shape for name, shape in known.items() if name in text})
        for text in (formula, SAME_PLACE[formula])
    )
    assert e is expected
    assert cr.parse(source_text(e), shapes={n: s.shape for n, s in e.symbols.items()}) is e


def test_a_constant_row_is_taken_as_often_as_there_are_positions() -> None:
    e = cr.parse("sum(W[ones(p)])", shapes={"W": ("m", "n")})
    assert str(e) == "p sum(W[1, :])"
    W = np.arange(6.0).reshape(3, 2)
    assert e.eval(W=W, p=4) == cr.compile(e)(W=W, p=4) == 4 * W[1].sum()
    assert cr.derive(e, "W").verified


# positions that are known, and not all the same
KNOWN = {
    "x[concatenate([ones(2), zeros(3)])]": [1, 1, 0, 0, 0],
    "take(x, eye(2), axis=0)": [[1, 0], [0, 1]],
    "take(x, cumsum(ones(3)) - 1)": [0, 1, 2],
    "take(x, n*ones(2) - 2*ones(2))": [2, 2],
}


@pytest.mark.parametrize("formula", KNOWN)
def test_known_positions(formula: str) -> None:
    e, x = cr.parse(formula, shapes={"x": "n"}), np.array([2.0, 3.0, 5.0, 7.0])
    np.testing.assert_array_equal(e.eval(x=x), x[np.array(KNOWN[formula])])
    np.testing.assert_array_equal(cr.compile(e)(x=x), x[np.array(KNOWN[formula])])
    assert cr.parse(source_text(e), shapes={"x": "n"}) is e
    assert str(e)
    assert cr.derive(cr.sum(e**2), "x").verified
    assert all(cr.source(e, language) for language in ("numba", "c"))


@pytest.mark.parametrize("formula", ["take(x, -ones(p))", "take(x, ones(p)/2)", "take(x, 3*ones(p))", "onehot(3, 3)"])
def test_a_known_number_that_is_no_position(formula: str) -> None:
    shapes = {"x": (3,)} if "x," in formula else {}
    with pytest.raises((DomainError, ShapeError)) as caught:
        cr.parse(formula, shapes=shapes)
    assert caught.value.spans
    assert caught.value.expected == "0 to 2"
    assert caught.value.hint


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


@pytest.mark.parametrize("positions", ["idx", "idx[::-1]", "idx[idx]"])
def test_single_precision_stays(positions: str) -> None:
    f = cr.compile(cr.grad(cr.parse(f"sum((W[{positions}] - Y)**2)", {"idx": "p"}), "W"))
    W, Y = np.ones((5, 2), np.float32), np.zeros((3, 2), np.float32)
    assert f(W=W, Y=Y, idx=np.array([2, 0, 2])).dtype == np.float32


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


def test_a_size_that_only_one_hot_rows_have() -> None:
    e = cr.parse("onehot(y, K).T @ A", {"y": "N", "A": ("N", "d")})
    assert e.shape == ("K", "d")
    assert cr.derive(e, "A").verified


# --- code to take away
def with_gradient(formula: str, shapes: dict[str, object], *names: str) -> tuple[Expr, ...]:
    e = cr.parse(formula, shapes=shapes)
    return (e, *(cr.grad(e, name) for name in names))


LOOKUP = with_gradient("sum((W[idx] - Y)**2)", {}, "W", "Y")
CLASSES = with_gradient("cross_entropy(Z, y)", {"Z": ("N", "K"), "y": "N"}, "Z")
ALONG = with_gradient("sum(take_along_axis(tanh(Z), J, axis=1)**2)", {"Z": ("N", "K"), "J": ("N", "k")}, "Z")
x, t, n = cr.vector("x", "n"), cr.vector("t", "n"), size("n")
LOOPS: dict[str, tuple[Expr, ...]] = {
    "lookup": LOOKUP,
    "classes": CLASSES,
    "along": ALONG,
    "some_positions": with_gradient("sum(W[idx[1:]]**3)", {"idx": "N"}, "W"),
    "at_positions_at_positions": with_gradient("sum(x[t[t]]**2)", {"x": "n", "t": "n"}, "x"),
    "positions_that_count": with_gradient("sum(x[idx]**2 * idx)", {"x": "n", "idx": "N"}, "x"),
    "computed_positions": (take(x, n - 1 - t), cr.grad(cr.sum(take(x, n - 1 - t) ** 3), x)),
    "on_both_axes": with_gradient("logdet(S[p][:, p] @ S[p][:, p].T + eye(k))", {"S": ("n", "n"), "p": "k"}, "S"),
    "within_zeros": with_gradient("sum(concatenate([tanh(x)[t], y])**3)", {"x": "n", "t": "k", "y": "m"}, "x", "y"),
    "rows_alone": (
        cr.parse("onehot(y, K)", shapes={"y": "N"}),
        cr.parse("onehot(y, K).T @ A", {"y": "N", "A": ("N", "d")}),
    ),
    "split_and_cut": (cr.grad(cr.parse("sum(ravel(A)**3)"), "A")[1:],),
}


ARITHMETIC = {
    "x[2*i]": lambda x, W, i, j: x[2 * i],
    "x[n - 1 - i]": lambda x, W, i, j: x[8 - i],
    "x[2*(i + 1)]": lambda x, W, i, j: x[2 * (i + 1)],
    "W[2*i + 1, :]": lambda x, W, i, j: W[2 * i + 1, :],
    "W[i*j, j]": lambda x, W, i, j: W[i * j, j],
}


@pytest.mark.parametrize("formula", ARITHMETIC)
def test_arithmetic_with_positions_gives_positions(formula: str) -> None:
    e = cr.parse(formula, shapes={"i": "N", "j": "N", "x": "n", "W": ("n", "d")})
    values = {"i": np.array([0, 2, 1]), "j": np.array([1, 1, 0]), "x": np.arange(9.0) ** 2}
    values["W"] = np.outer(values["x"], [1.0, -1.0])
    wanted = ARITHMETIC[formula](**values)
    needed = {name: values[name] for name in e.symbols}
    np.testing.assert_array_equal(cr.compile(e)(**needed), wanted)
    np.testing.assert_array_equal(evaluate_all([e], values)[0], wanted)


@pytest.mark.parametrize(
    ("formula", "shapes", "words"),
    [
        ("x[2*i]", {"x": "n"}, "the index i is not bound by a sum"),
        ("x[2*i:]", {"x": "n", "i": "N"}, "i is an array, and a slice ends at"),
        (r"\sum_{i=1}^n x_{2i}", {}, "stands in an index alone, or with a whole number added"),
        (r"\sum_{i=1}^n x_{n-i}", {"x": "n"}, "stands in an index alone, or with a whole number added"),
        (r"\sum_{i=1}^n \sum_{j=1}^n x_{i+j}", {}, "stands in an index alone, or with a whole number added"),
    ],
)
def test_what_stands_in_an_index_is_not_taken_for_a_size(formula: str, shapes: dict[str, object], words: str) -> None:
    with pytest.raises(DomainError, match=words):
        cr.parse(formula, shapes=shapes)


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.backend(name)) for name in ("numba", "c")])
def loops(request: pytest.FixtureRequest) -> str:
    """A language with loops that is here."""
    name: str = request.param
    if name == "c" and shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    if name != "c":
        pytest.importorskip(name)
    return name


def all_values(exprs: tuple[Expr, ...]) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    return next(generic_points(list(exprs), 1))


def test_loops_agree_with_the_interpreter(loops: str, tmp_path: Path) -> None:
    few = ("lookup", "classes", "along", "computed_positions")  # numba takes seconds for each
    check_plain(loops, tmp_path, {name: LOOPS[name] for name in (LOOPS if loops == "c" else few)})


@pytest.mark.parametrize("library", [pytest.param(n, marks=pytest.mark.backend(n)) for n in ("numpy", "jax", "torch")])
def test_arrays_agree_with_the_interpreter(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    check_plain(library, tmp_path, LOOPS)


@pytest.mark.slow
@pytest.mark.backend("numba")
def test_all_loops_in_numba(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    check_plain("numba", tmp_path, LOOPS)


@pytest.mark.backend("c")
@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_second_derivatives_in_c(kind: type, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here")
    functions = {}
    for k, (formula, (shapes, name, _)) in enumerate(CASES.items()):
        e = cr.parse(formula, shapes=shapes)
        functions[f"f{k}"] = (e, cr.grad(e, name), cr.hessian(e, name))
    check_plain("c", tmp_path, functions, kind)


def test_loops_add_up_what_comes_twice_and_take_nothing(loops: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    twice = {"W": rng.normal(size=(3, 2)), "Y": rng.normal(size=(4, 2)), "idx": np.array([2, 0, 2, 2])}
    nothing = {"W": np.ones((3, 2)), "Y": np.ones((0, 2)), "idx": np.zeros(0, int)}
    nowhere = {"W": np.ones((0, 2)), "Y": np.ones((0, 2)), "idx": np.zeros(0, int)}
    for k, point in enumerate((twice, nothing, nowhere)):
        sizes = {"m": len(point["W"]), "n": 2, "p": len(point["idx"])}
        folder = tmp_path / str(k)
        folder.mkdir()
        check_plain(loops, folder, {"lookup": LOOKUP}, at=lambda _, p=point, s=sizes: (p, s))


BAD = {  # a position that is not there: too large, or negative
    "lookup": (LOOKUP, "idx"),
    "classes": (CLASSES, "y"),
    "classes_in_the_gradient": (CLASSES[1:], "y"),
    "along": (ALONG, "J"),
    "computed_positions": (LOOPS["computed_positions"], "t"),
}


def test_loops_refuse_positions_that_do_not_exist(loops: str, tmp_path: Path) -> None:
    """C returns 2, numba raises, and what an argument holds is refused before anything is written."""
    for name, (exprs, held) in BAD.items():
        point, sizes = all_values(exprs)
        expected = [np.asarray(part) for part in evaluate_all(list(exprs), point, sizes)]
        for change, bad in {"above": 10**6, "last": sizes_of(exprs, sizes), "below": -1}.items():
            places = point[held].copy()
            places.flat[-1] = bad
            with pytest.raises(DomainError, match="whole numbers from 0"):
                evaluate_all(list(exprs), point | {held: places}, sizes)
            write(loops, tmp_path, f"{name}_{change}", exprs, point | {held: places}, sizes, expected, fails=True)
    names = [f"{name}_{change}" for name in BAD for change in ("above", "last", "below")]
    results = run_clean(loops, tmp_path, names)
    for name in names:
        if loops == "numba":
            assert "positions are whole numbers from 0 to n_" in str(results[f"{name}.error"])
        else:
            assert results[f"{name}.status"] == 2
        if loops == "c" and not name.startswith("computed"):
            assert all(
                np.isnan(part).all() for key, part in results.items() if key.startswith(f"{name}.") and key[-1] in "012"
            )


def sizes_of(exprs: tuple[Expr, ...], sizes: dict[str, int]) -> int:
    """One more than the last position."""
    (limit,) = position_limits(exprs).values()
    return extent_of(limit, sizes)


def test_the_type_of_positions_is_said() -> None:
    text = cr.source(LOOKUP, "c", "f")
    assert "const long *idx" in text and " * idx: p, positions from 0: long" in text
    assert "2 if a position is not on its axis" in text
    assert "# idx: p, positions from 0: any integers" in cr.source(LOOKUP, "numba", "f")
    for library in ("jax", "torch"):
        for exprs in (LOOKUP, LOOKUP[0]):
            assert "# idx: p, positions from 0: integers, which are not checked" in cr.source(exprs, library, "f")
    assert "const real *idx," in cr.source(LOOPS["positions_that_count"], "c", "f")
    assert "const long *idx," in cr.source(LOOPS["some_positions"], "c", "f")


@pytest.mark.backend("c")
def test_loops_never_make_what_is_not_taken() -> None:
    """A lookup and its gradient are one pass, and of log-softmax only the classes' entries are computed."""
    assert "malloc" not in cr.source(LOOKUP, "c", "f").partition("*/")[2]
    value = cr.source(CLASSES[0], "c", "f")
    assert "n_N * (size_t)n_K" not in value
