"""Code to take away runs in a clean interpreter that cannot import chainrule, and computes what the expression says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule.evaluate import evaluate_all
from chainrule.expression.node import Expr
from chainrule.verify.sample import generic_points
from conftest import NAMED

ATTENTION = {"Q": ("n", "d"), "K": ("n", "d"), "V": ("n", "d"), "tau": ()}
ROWS = {"X": ("N", "d"), "gamma": "d", "beta": "d", "epsilon": ()}
CENTRED = "(X - mean(X, axis=1, keepdims=True))"
VARIANCE = f"mean({CENTRED}**2, axis=1, keepdims=True)"
BOUND: dict[str, Expr] = {
    "attention": cr.parse("softmax(tau * Q @ K.T) @ V", ATTENTION),
    "layer_norm": cr.parse(f"gamma * {CENTRED} / sqrt({VARIANCE} + epsilon**2) + beta", ROWS),
    "rms_norm": cr.parse("X / sqrt(mean(X**2, axis=1, keepdims=True) + epsilon**2)", ROWS),
    "cross_entropy": cr.parse("-mean(sum(Y * log(softmax(Z)), axis=1))", {"Y": ("N", "k"), "Z": ("N", "k")}),
    "neuron": cr.parse("mean((y - max(0, X @ w + b))**2)"),
    "logistic": cr.parse("mean(softplus(-(y * (X @ w))))", {"X": ("N", "d"), "y": "N", "w": "d"}),
    "evidence": cr.parse("y @ inv(A @ A.T + eye(n)) @ y + logdet(A @ A.T + eye(n))", {"A": ("n", "m"), "y": "n"}),
    "differences": cr.parse("sum((x[1:] - x[:-1])**2) / norm(x)", {"x": "n"}),
    "repeated": cr.scalar("b") ** 2 * cr.ones("n"),  # no argument shows n
    "in_place": cr.matrix("ctx", "inputs", "n") @ cr.vector("value", "n"),  # names that the code uses itself
    "sums": cr.sum(cr.matrix("X", "N", "d"), axis=1),
}
PLAIN = {name: (e, *(cr.jacobian(e, s) for s in e.symbols.values() if not e.shape)) for name, e in BOUND.items()}

CLEAN = """
import sys
sys.modules["chainrule"] = None
import importlib.util
import numpy as np
def load(name):
    spec = importlib.util.spec_from_file_location(name, f"{folder}/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
folder, names = sys.argv[1], sys.argv[2:]
results = {}
for name in names:
    given = np.load(f"{folder}/{name}.npz")
    order = sorted(key for key in given if key.startswith("in"))
    arguments = [given[key] if given[key].dtype.kind == "f" else int(given[key]) for key in order]
    run(load(name), name, arguments, given)
np.savez(f"{folder}/results.npz", **results)
"""
RUNNERS = {
    "numpy": """
def run(module, name, arguments, given):
    found = getattr(module, name)(*arguments)
    for k, part in enumerate(found if isinstance(found, tuple) else [found]):
        results[f"{name}.{k}"] = part
""",
    "jax": """
import jax
jax.config.update("jax_enable_x64", True)
def run(module, name, arguments, given):
    function = getattr(module, name)
    arrays = [jax.numpy.asarray(a) for a in arguments if not isinstance(a, int)]
    sizes = [a for a in arguments if isinstance(a, int)]
    if "cotangent" not in given:
        found = jax.jit(lambda *arrays: function(*arrays, *sizes))(*arrays)
        parts = found if isinstance(found, tuple) else [found]
    else:
        def both(cotangent, *arrays):
            value, pull = jax.vjp(lambda *arrays: function(*arrays, *sizes), *arrays)
            return value, *pull(cotangent)
        parts = jax.jit(both)(jax.numpy.asarray(given["cotangent"]), *arrays)
        jax.eval_shape(jax.vmap(lambda a: function(a, *arrays[1:], *sizes)), arrays[0][None])
    for k, part in enumerate(parts):
        results[f"{name}.{k}"] = part
""",
    "torch": """
import torch
def run(module, name, arguments, given):
    function = getattr(module, name)
    values = [a if isinstance(a, int) else torch.tensor(a, requires_grad=True) for a in arguments]
    tensors = [a for a in values if not isinstance(a, int)]
    found = function(*values)
    parts = list(found) if isinstance(found, tuple) else [found]
    if "cotangent" in given:
        parts += torch.autograd.grad(found, tensors, torch.as_tensor(given["cotangent"]))
        getattr(module, f"test_{name}")()
        for one in tensors:  # a gradient that is not asked for is not computed, and the others are the same
            alone = function(*[a if a is one or isinstance(a, int) else a.detach() for a in values])
            (slope,) = torch.autograd.grad(alone, [one], torch.as_tensor(given["cotangent"]))
            torch.testing.assert_close(slope, parts[1 + [t is one for t in tensors].index(True)])
        stacked = torch.stack([tensors[0], tensors[0]]).detach()
        torch.func.vmap(lambda a: function(a, *[v if isinstance(v, int) else v.detach() for v in values[1:]]))(stacked)
        single = [a if isinstance(a, int) else a.detach().float() for a in values]
        assert function(*single).dtype == torch.float32
    for k, part in enumerate(parts):
        results[f"{name}.{k}"] = part.detach().numpy()
""",
}
LIBRARIES = [NAMED] if NAMED else list(RUNNERS)


@pytest.fixture(params=LIBRARIES)
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    pytest.importorskip(name, reason=f"{name} is not installed here; .ci/run tests it where it is")
    return name


def run_clean(backend: str, folder: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Run the files of these names in the folder, each on the arrays beside it."""
    (folder / "clean.py").write_text(CLEAN.replace("folder, names =", RUNNERS[backend] + "folder, names ="))
    command = [sys.executable, "-I", str(folder / "clean.py"), str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=folder)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "results.npz"))


def ordered(e: tuple[Expr, ...]) -> tuple[list[cr.Expr], list[str]]:
    """The symbols in the order of the parameters, and the sizes that none of them shows."""
    f = cr.compile(*e)
    return list(f.program.arguments), list(f.program.given)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


def test_plain_functions(backend: str, tmp_path: Path) -> None:
    expected: dict[str, list[np.ndarray]] = {}
    for name, exprs in PLAIN.items():
        text = cr.source(exprs, backend, name)
        assert "chainrule" not in text
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        symbols, given = ordered(exprs)
        values, sizes = next(generic_points(list(exprs), 1))
        arguments = [*(values[s.name] for s in symbols), *(sizes[n] for n in given)]
        np.savez(tmp_path / f"{name}.npz", **{f"in{k:02}": a for k, a in enumerate(arguments)})
        expected[name] = evaluate_all(list(exprs), values, sizes)
    results = run_clean(backend, tmp_path, list(PLAIN))
    for name, parts in expected.items():
        for k, wanted in enumerate(parts):
            close(results[f"{name}.{k}"], np.asarray(wanted))


def test_bound_derivatives(backend: str, tmp_path: Path) -> None:
    """The value, and the derivative by every argument times a cotangent: against our own, and by differences."""
    if backend == "numpy":
        return
    expected: dict[str, list[np.ndarray]] = {}
    for name, e in BOUND.items():
        (tmp_path / f"{name}.py").write_text(cr.source(e, backend, name), encoding="utf-8")
        symbols, given = ordered((e,))
        roots = [e, *(cr.vjp(e, s, "seed") for s in symbols)]
        values, sizes = next(generic_points(roots, 1))
        seed = values.get("seed", np.ones(np.shape(evaluate_all([e], values, sizes)[0])))
        arguments = [*(values[s.name] for s in symbols), *(sizes[n] for n in given)]
        inputs = {f"in{k:02}": a for k, a in enumerate(arguments)}
        np.savez(tmp_path / f"{name}.npz", cotangent=seed, **inputs)
        expected[name] = evaluate_all(roots, values, sizes)
    results = run_clean(backend, tmp_path, list(BOUND))
    for name, parts in expected.items():
        for k, wanted in enumerate(parts):
            close(results[f"{name}.{k}"], np.asarray(wanted))
