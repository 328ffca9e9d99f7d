"""Programs in other array libraries compute what NumPy's do, take what those libraries take, and fit inside them.

Without the library a test is skipped with a reason. `.ci/run` makes an environment for each and names it in
CHAINRULE_BACKEND: then only that library's tests run, and a test that is skipped has failed (`conftest.py`).
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from chainrule.compile.backends import BACKENDS
from chainrule.compile.compiled import compile_expressions
from chainrule.derivative.differentiate import grad, hessian, jacobian
from chainrule.errors import DomainError, ShapeError, UnknownSymbol
from chainrule.evaluate import evaluate_all
from chainrule.expression.build import contract, diag, dot, vector
from chainrule.expression.build import sum as total
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE, Op
from chainrule.expression.selection import concatenate, ravel, stack
from chainrule.verify.sample import generic_points
from conftest import NAMED
from test_compile import GOOD, JOINT, SIZES, A, X, attention, b, cost, exp, logistic, maximum, u, v, values, w, where, y
from test_ops import applied

OTHERS = [NAMED] if NAMED else [name for name in BACKENDS if name != "numpy"]
DIFFERENTIATE = [name for name in OTHERS if name in ("jax", "torch")]


@pytest.fixture(params=OTHERS)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name, reason=f"{name} is not installed here; .ci/run tests it where it is")
    if name == "jax":
        import_module("jax").config.update("jax_enable_x64", True)
    return name


def as_numpy(array: Any) -> np.ndarray:
    return array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)


def native(backend: str, array: Any) -> Any:
    if backend == "numba":
        return np.asarray(array)
    return import_module("torch").as_tensor(array) if backend == "torch" else import_module("jax").numpy.asarray(array)


def run(backend: str, exprs: tuple[Expr, ...], arrays: dict[str, Any], given: dict[str, int]) -> list[np.ndarray]:
    f = compile_expressions(*exprs, backend=backend)
    found = f(**arrays, **{name: given[name] for name in f.program.given})
    kind = type(native(backend, np.ones(1))) if backend == "torch" else (np.ndarray, np.generic)
    kind = import_module("jax").Array if backend == "jax" else kind
    found = found if isinstance(found, tuple) else (found,)
    assert all(isinstance(part, kind) for part in found)
    return [as_numpy(part) for part in found]


c = vector("c", 6)
PARTS = {
    "slices": (u[1:] - u[:-1], total(u[1:] ** 2), grad(total(u[1:] ** 2 * v[:-1]), u), A[1:, :2], A[0], u[2] * v),
    "steps": (u[::-1] - u, A[::-1, ::-1], grad(total(u[::-1] ** 2 * v), u), u[-2::-1], grad(total(u[-2::-1] ** 3), u)),
    "steps of two": (c[::2], c[4:0:-2], grad(total(c[::2] ** 3), c), grad(total(c[4:0:-2] ** 3), c)),
    "put together": (concatenate([u, v]), stack([u, v]), ravel(A), grad(dot(ravel(A), ravel(A @ A)), A), A[:, -1]),
    "norms": (u / dot(u, u) ** 0.5, grad(dot(u, u) ** 0.5, u), where(u > 0, 2, 0.5) * v, maximum(u, 0.25), b**u),
    "parts of diagonals": (diag(A)[1:], diag(A)[2], diag(A)[::-1], A[1:] + diag(A), grad(total(diag(A)[1:] ** 3), A)),
    "slopes on diagonals": (contract("ij,k->ijk", A, u), jacobian(A * X[0, 0], A), jacobian(exp(u), u) * 2),
}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", [*JOINT, *PARTS])
def test_agrees_with_the_interpreter(backend: str, name: str, kind: type) -> None:
    exprs = {**JOINT, **PARTS}[name]
    arrays = values(*exprs, kind=kind)
    if name == "norms":
        arrays["b"] = np.abs(arrays["b"])
    exact = kind is np.float64 and arrays  # what is made from nothing has the library's own type
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if exact else {"rtol": 2e-3, "atol": 1e-3}
    expected = evaluate_all(list(exprs), arrays, SIZES)
    for got, wanted in zip(run(backend, exprs, arrays, SIZES), expected, strict=True):
        assert got.shape == wanted.shape
        assert got.dtype == kind or not arrays
        np.testing.assert_allclose(got, wanted, **tolerance)


# --- the whole catalogue
def constants(op: Op) -> tuple[Expr, dict[str, int]]:
    """An array of constants times a symbol of its first axis, so that it is made and not eliminated."""
    shape = {"k": 6, "m": 2, "n": 3} if op.name == "pair" else {"k": 2, "m": 3, "n": 5}
    array = op.of_shape(tuple(shape[axis] for axis in op.core.output), *(1 for _ in op.parameters))
    return exp(array), {}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("op", CATALOGUE.entries, ids=str)
def test_every_operation(backend: str, op: Op, kind: type) -> None:
    e = constants(op)[0] if op.extents else applied(op)
    for arrays, sizes in generic_points([e], 2) if e.symbols else [({}, {})]:
        arrays = {name: np.asarray(array, kind) for name, array in arrays.items()}
        (wanted,) = evaluate_all([e], arrays, sizes)
        (got,) = run(backend, (e,), arrays, sizes)
        assert got.dtype == kind or not arrays
        tolerance = 1e-9 if kind is np.float64 and arrays else 2e-3
        np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)


# --- as NumPy's: what goes in, and what is refused
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"w": np.ones(3)}, ShapeError, "w has 3 entries, X has 4 columns (d)"),
        ({"X": np.ones(4)}, ShapeError, "X.reshape(-1, 1)"),
        ({"w": np.ones(4, complex)}, DomainError, "complex128"),
        ({"w": np.array(list("abcd"))}, DomainError, "w holds"),
        ({"b": "1"}, DomainError, "b holds"),
        ({"w": w}, DomainError, "w is an expression"),
        ({"z": 1.0}, UnknownSymbol, "there is no argument z"),
    ],
)
def test_bad_arguments(backend: str, change: dict[str, object], error: type[Exception], words: str) -> None:
    f = compile_expressions(cost, backend=backend)
    assert float(f(**GOOD)) == 9
    with pytest.raises(error) as caught:
        f(**{**GOOD, **change})
    assert words in str(caught.value)
    with pytest.raises(ShapeError, match="w has 3 entries"):
        f(**{**GOOD, "w": native(backend, np.ones(3))})
    with pytest.raises(DomainError, match="w holds .*complex"):
        f(**{**GOOD, "w": native(backend, np.ones(4, complex))})
    with pytest.raises(DomainError, match="the argument y is missing"):
        f(**{name: array for name, array in GOOD.items() if name != "y"})


def test_numbers_take_the_type_of_the_arrays(backend: str) -> None:
    f = compile_expressions(exp(u * b), backend=backend)
    for array, number in [(np.ones(3, np.float32), 0.5), (native(backend, np.ones(3, np.float32)), 1)]:
        assert as_numpy(f(u=array, b=number)).dtype == np.float32
    assert as_numpy(f(u=np.ones(3), b=2)).dtype == np.float64
    assert as_numpy(f(u=np.arange(3), b=1)).shape == (3,)
    assert as_numpy(compile_expressions(cost, backend=backend)(**GOOD)) == 9


def test_empty_data_and_bad_numbers(backend: str) -> None:
    f = compile_expressions(cost, grad(cost, "w"), total(y), diag(y), backend=backend)
    value, gradient, nothing, _ = f(X=np.empty((0, 3)), w=np.ones(3), b=0.0, y=np.empty(0))
    assert np.isnan(as_numpy(value)) and np.isnan(as_numpy(gradient)).all() and as_numpy(nothing) == 0
    arrays = values(cost)
    arrays["y"][2] = np.inf
    value, _, _, diagonal = f(**arrays)
    assert not np.isfinite(as_numpy(value))
    np.testing.assert_array_equal(as_numpy(diagonal), np.diag(arrays["y"]))


def test_part_that_does_not_exist(backend: str) -> None:
    with pytest.raises(ShapeError, match="too short"):
        compile_expressions(u[3] * v, backend=backend)(u=np.ones(2), v=np.ones(2))


def test_pickle(backend: str) -> None:
    f = pickle.loads(pickle.dumps(compile_expressions(cost, backend=backend)))
    assert float(f(**GOOD)) == 9


def test_not_imported_before_it_is_asked_for() -> None:
    code = "import sys, chainrule as cr; cr.compile(cr.parse('x @ x')); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "chainrule" in loaded and not {"jax", "torch", "numba"} & set(loaded)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_missing_library(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = BACKENDS[name]
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(library.__dict__, "module", None)
    monkeypatch.delitem(library.__dict__, "module")
    with pytest.raises(DomainError, match=f"(?s){name} is not installed.*pip install {name}"):
        compile_expressions(cost, backend=name)


# --- inside the library
def close(a: Any, b: Any) -> None:
    np.testing.assert_allclose(as_numpy(a), as_numpy(b), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backend", DIFFERENTIATE, indirect=True)
@pytest.mark.parametrize("e", [cost, logistic, total(exp(attention))], ids=["cost", "logistic", "attention"])
def test_derivative_is_the_one_the_library_finds(backend: str, e: Expr) -> None:
    """The value's program is differentiated by the library; the derivative's program is ours."""
    by, arrays = "X", values(e)
    value = compile_expressions(e, backend=backend)
    ours = compile_expressions(grad(e, by), backend=backend)(**arrays)
    if backend == "jax":
        jax = import_module("jax")
        close(jax.grad(lambda x: value(**{**arrays, by: x}))(arrays[by]), ours)
        close(jax.jit(jax.grad(lambda x: value(**{**arrays, by: x})))(arrays[by]), ours)
    else:
        x = native(backend, arrays[by]).requires_grad_()
        value(**{**arrays, by: x}).backward()
        close(x.grad, ours)


@pytest.mark.parametrize("backend", DIFFERENTIATE, indirect=True)
def test_inside_vmap(backend: str) -> None:
    f = compile_expressions(cost, grad(cost, "w"), jacobian(exp(w), w), backend=backend)
    arrays = values(cost)
    several = native(backend, np.stack([arrays["w"], arrays["w"] + 1]))
    framework = import_module("jax") if backend == "jax" else import_module("torch").func
    got = framework.vmap(lambda one: f(**{**arrays, "w": one}))(several)
    for k in range(2):
        for batch, single in zip(got, f(**{**arrays, "w": several[k]}), strict=True):
            close(batch[k], single)


@pytest.mark.parametrize("backend", DIFFERENTIATE, indirect=True)
def test_second_derivative_by_the_library(backend: str) -> None:
    arrays = values(logistic)
    gradient = compile_expressions(grad(logistic, "w"), backend=backend)
    ours = compile_expressions(hessian(logistic, "w"), backend=backend)(**arrays)
    framework = import_module("jax") if backend == "jax" else import_module("torch").func
    close(framework.jacrev(lambda one: gradient(**{**arrays, "w": one}))(native(backend, arrays["w"])), ours)


@pytest.mark.backend("jax")
def test_inside_jit() -> None:
    jax = pytest.importorskip("jax")
    f = compile_expressions(cost, grad(cost, "w"), backend="jax")
    arrays = {name: jax.numpy.asarray(array) for name, array in values(cost).items()}
    jitted = jax.jit(lambda **kw: f(**kw))
    for got, wanted in zip(jitted(**arrays), f(**arrays), strict=True):
        close(got, wanted)


@pytest.mark.backend("torch")
def test_torch_compile() -> None:
    torch = pytest.importorskip("torch")
    f = compile_expressions(cost, grad(cost, "w"), backend="torch")
    arrays = {name: torch.as_tensor(array) for name, array in values(cost).items()}
    compiled = torch.compile(lambda X, w, b, y: f(X=X, w=w, b=b, y=y), backend="aot_eager", fullgraph=True)
    for got, wanted in zip(compiled(**arrays), f(**arrays), strict=True):
        close(got, wanted)


@pytest.mark.backend("torch")
def test_torch_keeps_half_precision() -> None:
    torch = pytest.importorskip("torch")
    f = compile_expressions(exp(u), backend="torch")
    assert f(u=torch.ones(3, dtype=torch.bfloat16)).dtype == torch.bfloat16
