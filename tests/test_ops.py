"""Walks the catalogue: a new operation brings its own tests."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.derivative.differentiate import hessian, jacobian
from chainrule.evaluate import evaluate
from chainrule.expression.build import symbol
from chainrule.expression.node import Apply, Expr, is_zero, walk
from chainrule.expression.op import CATALOGUE, Op
from chainrule.ops import kink_value
from chainrule.verify.sample import generic_points
from conftest import agrees

OPS = [op for op in CATALOGUE.entries if not op.extents]
CONSTANTS = [op for op in CATALOGUE.entries if op.extents]
SIZES = {"n": 4, "m": 3, "batch": 2}


def applied(op: Op, batch: bool = False) -> Expr:
    """The operation on symbols of its signature, element-wise ones on vectors."""
    lead = ("batch",) if batch else ("n",) if op.is_elementwise else ()
    arguments = [symbol(f"arg{k}", (*lead, *core)) for k, core in enumerate(op.core.inputs)]
    return op(*arguments)


def points(e: Expr, count: int = 3, derivatives: tuple[Expr, ...] = ()):
    """Points at which the function and what is tested of it exist."""
    for values, sizes in generic_points([e, *derivatives], count):
        yield values | {name: np.asarray(size) for name, size in sizes.items()}


@pytest.mark.parametrize("op", OPS, ids=str)
def test_has_its_words(op: Op) -> None:
    assert op.because and op.rule and not op.because.endswith(".")
    assert (
        op.is_gate
        or not op.kinks
        or op.convention
        or op.local_jacobians(list(applied(op).args), applied(op)) == (None,)
    )


@pytest.mark.parametrize("op", [o for o in OPS if o.definition], ids=str)
def test_code_is_what_the_definition_says(op: Op) -> None:
    e = applied(op)
    defined = op.definition(*e.args)
    for values in points(e):
        np.testing.assert_allclose(evaluate(e, values), evaluate(defined, values), rtol=1e-12, atol=1e-12)
        if op.kinks:
            at_kink = {name: np.zeros_like(v) if name.startswith("arg") else v for name, v in values.items()}
            np.testing.assert_allclose(evaluate(e, at_kink), evaluate(defined, at_kink), atol=1e-12)


@pytest.mark.parametrize("batch", [False, True], ids=["plain", "batched"])
@pytest.mark.parametrize("op", OPS, ids=str)
def test_derivative_agrees_with_differences(op: Op, batch: bool, rng: np.random.Generator) -> None:
    e = applied(op, batch)
    if op.is_held:
        assert all(is_zero(jacobian(e, name)) for name in e.symbols)
        return
    slopes = {name: jacobian(e, name) for name in e.symbols}
    for values in points(e, derivatives=tuple(slopes.values())):
        for name, slope in slopes.items():
            assert agrees(evaluate(slope, values), e, name, values, rng) < 1e-6


@pytest.mark.parametrize("op", OPS, ids=str)
def test_derivative_differentiates_again(op: Op, rng: np.random.Generator) -> None:
    e = applied(op)
    name = next(iter(e.symbols))
    first = jacobian(e, name)
    if name not in first.symbols:
        return
    second = hessian(e, name)
    for values in points(e, 1, (second,)):
        assert agrees(evaluate(second, values), first, name, values, rng) < 1e-6


@pytest.mark.parametrize("op", [o for o in OPS if o.definition], ids=str)
def test_slope_at_the_kink_is_that_of_the_definition(op: Op) -> None:
    e = applied(op)
    if op.kinks is None or not isinstance(e, Apply):
        return
    values = {name: np.zeros(4) for name in e.symbols} | {"n": np.asarray(4)}
    got = evaluate(jacobian(e, "arg0"), values)
    assert np.isin(np.diagonal(got), (0.0, 0.5, 1.0, -1.0)).all()


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_kink_value_is_a_setting(value: float) -> None:
    relu = CATALOGUE["relu"]
    z = symbol("z")
    with kink_value(value):
        slope = jacobian(relu(z), "z")
    assert evaluate(slope, {"z": np.asarray(0.0)}) == value
    assert evaluate(slope, {"z": np.asarray(2.0)}) == 1
    assert evaluate(slope, {"z": np.asarray(-2.0)}) == 0


def test_all_spellings_of_relu_are_one() -> None:
    relu, maximum, where = (CATALOGUE[n] for n in ("relu", "maximum", "where"))
    z = symbol("z", "n")
    spellings = [
        maximum(0, z),
        maximum(z, 0),
        where(z > 0, z, 0),
        where(z <= 0, 0, z),
        where(z > 0, z, 0),
        where(z >= 0, z, 0),
    ]
    assert all(s is relu(z) for s in spellings)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "softmax", "logsumexp", "tanh"])
@pytest.mark.parametrize("size", [-800.0, 800.0])
def test_large_arguments_stay_finite(name: str, size: float) -> None:
    e = CATALOGUE[name](symbol("z", "n"))
    values = {"z": np.array([size, 0.0, -size / 2])}
    assert np.isfinite(evaluate(e, values)).all()
    assert np.isfinite(evaluate(jacobian(e, "z"), values)).all()


@pytest.mark.parametrize("op", CONSTANTS, ids=str)
def test_arrays_of_constants_have_no_slope(op: Op) -> None:
    e = op.of_shape(op.core.output, *(1 for _ in op.parameters))
    assert not any(op.local_jacobians(list(e.args), e))
    x = symbol("x", (op.core.output[-1], "l"))
    assert not jacobian(e @ x, "x").symbols


def test_every_operation_appears_where_it_is_applied() -> None:
    for op in OPS:
        assert any(isinstance(node, Apply) and node.op is op for node in walk(applied(op))), op


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1.0, 30.0])
def test_the_matrix_exponential_is_scipys(scale: float, rng: np.random.Generator) -> None:
    scipy_linalg = pytest.importorskip("scipy.linalg")
    A, E = scale * rng.normal(size=(4, 4)), 1e3 * rng.normal(size=(4, 4))
    a, e = symbol("A", ("n", "n")), symbol("E", ("n", "n"))
    expm, slope = CATALOGUE["expm"], CATALOGUE["expm_frechet"]
    np.testing.assert_allclose(evaluate(expm(a), {"A": A}), scipy_linalg.expm(A), rtol=1e-10)
    expected = scipy_linalg.expm_frechet(A, E, compute_expm=False)
    got = evaluate(slope(a, e), {"A": A, "E": E})
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    assert np.isnan(evaluate(expm(a), {"A": A + np.nan})).all()


@pytest.mark.parametrize(
    ("text", "gradient"),
    [
        ("trace(expm(X))", "expm(X)ᵀ"),
        ("trace(expm(X))**2", "2 tr(expm(X)) expm(X)ᵀ"),
        ("sum(C * expm(X))", "expm′(Xᵀ)[C]"),
        ("norm(expm(X) - C)**2", "−2 expm′(Xᵀ)[C − expm(X)]"),
        ("sum(expm(t * X) @ v)", "t expm′(tXᵀ)[1⃗vᵀ]"),
    ],
)
def test_gradients_of_the_matrix_exponential(text: str, gradient: str) -> None:
    e = cr.parse(text, shapes={"X": ("n", "n"), "C": ("n", "n"), "t": (), "v": "n"})
    assert str(cr.grad(e, "X")) == gradient
    assert cr.derive(e, "X").verified


def test_second_derivatives_of_the_matrix_exponential_compile(rng: np.random.Generator) -> None:
    e = cr.parse("sum(C * expm(X))", shapes={"X": ("n", "n"), "C": ("n", "n")})
    second = cr.hessian(e, "X")
    values = {"X": rng.normal(size=(3, 3)), "C": rng.normal(size=(3, 3))}
    np.testing.assert_allclose(cr.compile(second)(**values), second.eval(**values), rtol=1e-9, atol=1e-9)
