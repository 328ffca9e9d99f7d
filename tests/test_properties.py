"""Five properties that hold of every expression."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import DomainError
from chainrule.evaluate import evaluate
from chainrule.expression.node import Expr
from chainrule.render.input import source_text
from chainrule.verify.sample import is_generic
from conftest import agrees
from strategies import SHAPES, SIZES, expressions

SMALL = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
READING = settings(SMALL, max_examples=300)
# a size may occur where no symbol shows it: m sum(x)
GIVEN_SIZES = {name: np.asarray(size) for name, size in SIZES.items()}
ANY = st.sampled_from([(), ("n",), ("m",), ("m", "n"), ("n", "n")]).flatmap(expressions)


def values_for(e: Expr, seed: int) -> dict[str, np.ndarray]:
    """A generic point of the expression, or no example."""
    rng = np.random.default_rng(seed)
    for _ in range(10):
        values = {name: rng.normal(0, 0.6, [SIZES[s] for s in shape]) for name, shape in SHAPES.items()}
        if is_generic([e], values, SIZES) and np.max(np.abs(evaluate(e, values, SIZES))) < 1e6:
            return values
    assume(False)
    raise AssertionError


@READING
@given(ANY)
def test_text_reads_back(e: Expr) -> None:
    assert cr.parse(source_text(e), shapes=SHAPES) is e


@READING
@given(ANY)
def test_latex_reads_back(e: Expr) -> None:
    assert cr.parse(source_text(e, syntax="latex"), shapes=SHAPES, syntax="latex") is e


@READING
@given(ANY)
def test_matlab_reads_back(e: Expr) -> None:
    assert cr.parse(source_text(e, syntax="matlab"), shapes=SHAPES, syntax="matlab") is e


@SMALL
@given(ANY, st.integers(0, 1000))
def test_simplify_keeps_the_value(e: Expr, seed: int) -> None:
    values = values_for(e, seed)
    np.testing.assert_allclose(
        evaluate(cr.simplify(e), values, SIZES), evaluate(e, values, SIZES), rtol=1e-8, atol=1e-8
    )


@SMALL
@given(expressions(), st.integers(0, 1000))
def test_gradient_agrees_with_a_difference(e: Expr, seed: int) -> None:
    values = values_for(e, seed)
    rng = np.random.default_rng(seed)
    for name in e.symbols:
        slope = np.asarray(evaluate(cr.grad(e, name), values, SIZES))
        assume(np.max(np.abs(slope), initial=0) < 1e4)
        assert agrees(slope, e, name, values | GIVEN_SIZES, rng) < 1e-5


@SMALL
@given(ANY, st.integers(0, 1000))
def test_compiled_code_agrees_with_the_interpreter(e: Expr, seed: int) -> None:
    values = values_for(e, seed)
    needed = {name: values[name] for name in e.symbols}
    program = cr.compile(e, cr.simplify(e))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for got in program(**needed):
            np.testing.assert_allclose(got, evaluate(e, values, SIZES), rtol=1e-8, atol=1e-8)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet=r"xyXab0123456789.+-*/^@()[]{}_=<>,;:'\| ∑·⊙²ᵀ∂fracsumexplog", max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        cr.parse(text)
    except cr.ChainruleError as error:
        assert str(error)


@pytest.mark.slow
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions(depth=4), st.integers(0, 10_000))
def test_gradients_at_length(e: Expr, seed: int) -> None:
    values = values_for(e, seed)
    rng = np.random.default_rng(seed)
    for name in e.symbols:
        try:
            slope = np.asarray(evaluate(cr.grad(e, name), values, SIZES))
        except DomainError:
            continue
        assume(np.max(np.abs(slope), initial=0) < 1e3)
        assert agrees(slope, e, name, values | GIVEN_SIZES, rng) < 1e-4
