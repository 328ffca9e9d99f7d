"""A program with its minus signs elsewhere computes the same, and nothing twice that differs in sign alone."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.assembly import helpers
from chainrule.compile.dialects import IN_NUMPY
from chainrule.compile.execute import run_text
from chainrule.compile.lower import lower
from chainrule.compile.program import Combine, Program
from chainrule.compile.signs import signs_last
from chainrule.compile.source import function_text, made_names
from chainrule.expression.node import Expr

A, B = cr.matrix("A", "m", "n"), cr.matrix("B", "m", "n")
v = cr.vector("v", "n")
PAIRS: dict[str, tuple[Expr, ...]] = {
    "products": ((A - B) * v, (B - A) @ v),
    "transposes": ((A - B).T, B - A),
    "across": ((A - v) * A, (v - A).T @ B),
    "functions": (cr.exp(A - B), cr.relu(B - A), cr.sin(B - A) * (A - B)),
    "quotients": (v @ v / cr.sum(A - B), cr.sum(B - A), v / cr.exp(-v)),
    "sums": (A - (B - A) * v, 2 * (A - B) - 3 * (B - A) * A),
    "multiples": (-A, -2 * cr.exp(-A), -(A @ v)),
    "over_a_term": (v * (v - cr.exp(v)), (A - cr.softmax(B)) @ v),
}


def run(program: Program) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    sizes = {"m": 3, "n": 4}
    given = [rng.normal(size=[sizes[str(n)] for n in symbol.shape]) for symbol in program.arguments]
    text = function_text(program, made_names(program), "program")
    found = run_text(text, "program", {"np": np, **helpers(program, IN_NUMPY)})(*given)
    return list(found) if isinstance(found, tuple) else [found]


@pytest.mark.parametrize("name", PAIRS)
def test_values_are_the_same(name: str) -> None:
    program = lower(*PAIRS[name])
    for found, wanted in zip(run(signs_last(program)), run(program), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-13)


def differences(program: Program) -> int:
    return sum(isinstance(step.action, Combine) and len(step.operands) == 2 for step in program.instructions)


def test_one_of_two_differences() -> None:
    program = lower(*PAIRS["transposes"])
    assert differences(program) == 2 and differences(signs_last(program)) == 1
