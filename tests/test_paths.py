"""Every path through compiled code gives the interpreter's numbers: programs at random, arrays of any kind."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from math import prod

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ChainruleError
from chainrule.evaluate import evaluate_all
from chainrule.expression.extent import extent_of
from chainrule.expression.node import Einsum, Expr, walk
from strategies import LEAVES, SHAPES, expressions
from test_whole import ORDERS

pytest.importorskip("numba")

ASKED = os.environ.get("CHAINRULE_PROGRAMS", "")  # how many programs, other ones in each run; by default a few
PROGRAMS = settings(
    max_examples=int(ASKED or 40), deadline=None, derandomize=not ASKED, suppress_health_check=list(HealthCheck)
)
PARTS: dict[int, list[Callable[[Expr], Expr]]] = {
    1: [
        lambda v: v[::-1],
        lambda v: v - cr.mean(v),
        lambda v: cr.concatenate([v[:1], v[1:] - v[:-1]]),
        lambda v: cr.elu(v, 0.5),
        lambda v: v / cr.sqrt(1 + cr.dot(v, v)),
        cr.softmax,
        cr.cumsum,
    ],
    2: [
        lambda M: M[::-1],
        lambda M: M - cr.mean(M, axis=0),
        lambda M: M * cr.amax(M, axis=1)[:, None],
        lambda M: M / cr.sqrt(1 + cr.mean(M**2, axis=1))[:, None],
        lambda M: cr.where(M > 0, M, cr.sin(M)),
        lambda M: M @ (M.T @ M),
        cr.softmax,
    ],
}
OTHER_ORDERS = ORDERS | {
    "fields of records": lambda X: fields(X),
    "one value repeated": lambda X: np.broadcast_to(X[:1], X.shape) if len(X) else X,
}
ACCEPT = [LEAVES[shape][0] for shape in LEAVES]
# what little data is: decided by sizes, all of it, none
LITTLE = {"as it is": None, "kernels": -1, "one function": 10**12}


def fields(X: np.ndarray) -> np.ndarray:
    record = np.zeros(X.shape, [("a", X.dtype), ("b", "i1")])
    record["a"] = X
    return record["a"]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "CHAINRULE_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield


@dataclass
class Case:
    """Expressions, what their sizes are, and how their arrays lie in memory."""

    exprs: tuple[Expr, ...]
    sizes: dict[str, int]
    orders: dict[str, str]
    kind: type
    little: str
    seed: int

    def values(self, seed: int) -> dict[str, np.ndarray]:
        """Arrays of float64 in one order."""
        names = sorted({name for e in self.exprs for name in e.symbols})
        rng = np.random.default_rng(seed)
        return {name: rng.normal(0, 0.6, [self.sizes[n] for n in SHAPES[name]]) for name in names}

    def laid_out(self, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays in their orders; nothing may write to them."""
        found = {}
        for name, array in values.items():
            found[name] = OTHER_ORDERS[self.orders[name]](array) if array.ndim else array
            found[name].flags.writeable = False
        return found


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A program of one function, or of a function and derivatives of it."""
    shape = draw(st.sampled_from([("n",), ("m",), ("m", "n"), ("n", "n")]))
    inner = draw(expressions(shape, draw(st.integers(0, 2))))
    e = draw(st.sampled_from(PARTS[len(shape)]))(inner) * draw(st.sampled_from([1, *LEAVES[shape]]))
    e = draw(st.sampled_from([lambda e: e, lambda e: e, cr.sum, lambda e: cr.mean(e**2)]))(e)
    names = sorted(e.symbols)
    sizes = {n: draw(st.sampled_from([0, 1, 2, 3, 8, 17, 40])) for n in "mn"}
    sizes["m"] = draw(st.sampled_from([sizes["m"], sizes["m"], 3000]))
    exprs = [e]
    if names and e.ndim < 2:
        by = draw(st.sampled_from(names))
        small = e.ndim + len(SHAPES[by]) < 3
        exprs += [cr.jacobian(e, by) if small else cr.vjp(e, by, LEAVES[e.shape][-1])]
    orders = {name: draw(st.sampled_from(sorted(OTHER_ORDERS))) for name in SHAPES}
    kind, little = draw(st.sampled_from([np.float64, np.float64, np.float32])), draw(st.sampled_from(sorted(LITTLE)))
    return Case(tuple(exprs), sizes, orders, kind, little, draw(st.integers(0, 1000)))


def called(f: cr.Compiled, values: dict[str, np.ndarray]) -> tuple[np.ndarray, ...] | None:
    """What the function returns as a tuple; None if it refuses."""
    try:
        found = f(**{name: values[name] for name in f.parameters})
    except ChainruleError:
        return None
    return found if isinstance(found, tuple) else (found,)


def steps(e: Expr, sizes: dict[str, int]) -> int:
    """How many products of entries the interpreter takes, and holds at a time."""
    products = [node.sizes.values() for node in walk(e) if isinstance(node, Einsum)]
    return max((prod(extent_of(n, sizes) for n in axes) for axes in products), default=0)


def interpreted(case: Case, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What the expressions say; where that takes too long what NumPy says, and where there is nothing.

    The mean of nothing is NaN, and to the interpreter, which adds up, 0.
    """
    if 0 in case.sizes.values() or any(steps(e, case.sizes) > 1e6 for e in case.exprs):
        plain = cr.compile(*case.exprs, accept=[LEAVES[shape][0] for shape in LEAVES])
        return [np.asarray(part) for part in called(plain, values) or ()]
    return [np.asarray(part) for part in evaluate_all(list(case.exprs), values, case.sizes)]


def in_numpy(case: Case) -> tuple[cr.Compiled, Case]:
    """The program in NumPy, and the case of its arguments, which say the type."""
    plain = cr.compile(*case.exprs, accept=ACCEPT)
    assume(all(prod(extent_of(n, case.sizes) for n in step.shape) < 1e6 for step in plain.program.instructions))
    assume(plain.program.arguments)
    return plain, replace(case, exprs=tuple(plain.program.arguments))


def check(case: Case) -> None:
    rng = np.random.default_rng(case.seed)
    plain, every = in_numpy(case)
    values = case.laid_out({name: a.astype(case.kind) for name, a in every.values(case.seed).items()})
    exact = {name: a.astype(np.float64) for name, a in values.items()}
    first = called(plain, values)
    assume(first is not None)
    wanted = interpreted(case, exact)
    assume(all(np.all(np.abs(part) < 1e6) for part in wanted))  # no NaN either
    step = 1e-14 if case.kind is np.float64 else 3e-7
    moved = interpreted(case, {name: a * (1 + step * rng.normal(size=a.shape)) for name, a in exact.items()})
    # what cancels in a sum of many terms leaves the rounding of each, in one direction where all are the same
    most = max(prod(extent_of(n, case.sizes) for n in part.shape) for part in plain.program.instructions)
    fast = cr.compile(*case.exprs, accept=ACCEPT, backend="numba")
    results = [first, called(fast, values)]
    held = [np.array(part) for part in results[1] or ()]
    results += [called(fast, values)]
    called(fast, every.values(case.seed + 1))
    for found in results:
        assert found is not None
        for part, want, other in zip(found, wanted, moved, strict=True):
            assert part.shape == want.shape and part.dtype == case.kind and isinstance(part, np.ndarray | np.generic)
            noise = 100 * np.max(np.abs(want - other), initial=0) + (1e4 + 1e2 * most) * step * (
                1 + np.max(np.abs(want), initial=0)
            )
            np.testing.assert_allclose(part, want, rtol=0, atol=noise)
    for part, again, before in zip(*results[1:], held, strict=True):
        np.testing.assert_array_equal(part, before)  # it is the caller's
        np.testing.assert_array_equal(again, before)  # the same each time
        assert not any(np.shares_memory(part, array) for array in values.values())


def check_special(case: Case) -> None:
    """Where entries are NaN, infinite or zeros, each result is NaN or infinite where NumPy's is."""
    rng = np.random.default_rng(case.seed)
    plain, every = in_numpy(case)
    values = every.values(case.seed)
    for array in values.values():
        some = rng.integers(array.size, size=rng.integers(0, 4)) if array.size else []
        array.flat[some] = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], size=len(some))
    values = case.laid_out({name: a.astype(case.kind) for name, a in values.items()})
    wanted = called(plain, values)
    assume(wanted is not None)
    found = called(cr.compile(*case.exprs, accept=ACCEPT, backend="numba"), values)
    assert found is not None and wanted is not None
    for part, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(np.where(np.isfinite(part), 0, part), np.where(np.isfinite(want), 0, want))


def on_its_path(case: Case, check: Callable[[Case], None]) -> None:
    whole, little = import_module("chainrule.compile.whole"), LITTLE[case.little]
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for name in ("LITTLE", "LITTLE_BESIDE_KERNELS") if little is not None else ():
            patch.setattr(whole, name, little)
        check(case)


@PROGRAMS
@given(cases())
def test_any_program_on_any_arrays(case: Case) -> None:
    on_its_path(case, check)


@PROGRAMS
@given(cases())
def test_any_program_on_special_numbers(case: Case) -> None:
    on_its_path(case, check_special)
