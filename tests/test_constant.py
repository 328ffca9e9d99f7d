"""What depends on constants alone is computed once, and never silently with another array."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile.compiled import Compiled
from chainrule.compile.kept import divided
from chainrule.compile.lower import lower
from chainrule.errors import UnknownSymbol

SHAPES = {"X": ("N", "d"), "y": "N", "w": "d", "A": ("n", "n"), "B": ("n", "n"), "x": "n", "b": ()}
CASES = [
    ("norm(X @ w - y)**2", ["X", "y"]),
    ("norm(X @ w - y)**2", ["X"]),
    ("mean((y - relu(X @ w + b))**2)", ["X", "y"]),
    ("sum(log(1 + exp(-y * (X @ w))))", ["X", "y", "b"]),
    ("x @ inv(A + A.T + 9 * eye(n)) @ B @ x", ["A"]),
    ("x @ A @ B @ x + trace(A @ B)", ["A", "B"]),
    ("b * norm(A @ x)**2", ["A", "b"]),
]


def arrays_for(e: cr.Expr, seed: int = 0) -> dict[str, np.ndarray]:
    rng, sizes = np.random.default_rng(seed), {"N": 9, "d": 3, "n": 4}
    return {name: rng.normal(size=tuple(sizes[n] for n in s.shape)) for name, s in e.symbols.items()}


def compiled(text: str, constant: list[str]) -> tuple[Compiled, Compiled, cr.Expr]:
    e = cr.parse(text, {name: shape for name, shape in SHAPES.items() if name in text.replace("exp", "")})
    wrt = "w" if "w" in e.symbols else "x"
    both = e, cr.grad(e, wrt)
    return cr.compile(*both, constant=[c for c in constant if c in e.symbols]), cr.compile(*both), e


@pytest.mark.parametrize(("text", "constant"), CASES)
def test_the_same_numbers_call_after_call(text: str, constant: list[str]) -> None:
    f, plain, e = compiled(text, constant)
    for change in ([], ["w", "x"], ["X"], ["A", "b"], []):
        arrays = arrays_for(e) | {n: a for n, a in arrays_for(e, seed=len(change)).items() if n in change}
        for found, wanted in zip(f(**arrays), plain(**arrays), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_products_of_constants_are_formed_where_that_pays() -> None:
    e = cr.grad(cr.parse("norm(X @ w - y)**2", {"X": ("N", "d"), "w": "d", "y": "N"}), "w")
    X, y = e.symbols["X"], e.symbols["y"]
    first, rest = divided(lower(e, constant=[X, y]), [X, y])
    assert sorted(first.instructions[k].shape for k in first.outputs) == [("d",), ("d", "d")]
    assert not any("N" in step.shape for step in rest.instructions if step.operands)
    form = cr.parse("s @ X @ X.T @ s", {"X": ("N", "d"), "s": "N"})
    assert divided(lower(form, constant=[X]), [X])[0].outputs == ()  # XXᵀ is N×N: dearer in every call than X twice


def test_kept_as_long_as_the_same_array_is_passed() -> None:
    f, plain, e = compiled("norm(X @ w - y)**2", ["X", "y"])
    arrays = arrays_for(e)
    before = f(**arrays)[1]
    arrays["X"] *= 2.0  # in place: not noticed, as is documented
    np.testing.assert_array_equal(f(**arrays)[1], before)
    f.forget()
    np.testing.assert_allclose(f(**arrays)[1], plain(**arrays)[1])
    arrays["X"] = arrays["X"].tolist()
    np.testing.assert_allclose(f(**arrays)[1], plain(**arrays)[1])
    arrays["X"][0][0] += 1.0  # a list is converted in every call, so it is noticed
    np.testing.assert_allclose(f(**arrays)[1], plain(**arrays)[1])


def test_types_are_kept_and_results_are_the_callers_own() -> None:
    e = cr.parse("A @ A.T", {"A": ("n", "n")})
    f = cr.compile(e, e + 1, constant=["A"])
    A = np.ones((3, 3), np.float32)
    first = f(A=A)
    assert first[0].dtype == np.float32
    first[0][:] = 7.0
    assert f(A=A)[0][0, 0] == 3.0
    assert f(A=A.astype(np.float64))[0].dtype == np.float64


def test_names() -> None:
    e = cr.parse("norm(A @ x)**2", {"A": ("n", "n"), "x": "n"})
    with pytest.raises(UnknownSymbol, match="there is no argument B"):
        cr.compile(e, constant=["B"])
    f = pickle.loads(pickle.dumps(cr.compile(e, constant=["A"])))
    assert f.constant == ("A",) and float(f(A=np.eye(2), x=np.ones(2))) == 2.0
    cr.compile(e).forget()
