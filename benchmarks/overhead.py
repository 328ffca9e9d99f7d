"""What a call, a compilation, an import and the way to the first result cost: the cost of a neuron with its gradients.

    uv run --group bench python benchmarks/overhead.py [--only WORDS]

"By hand" is the program that `cr.source` prints, called directly: what a call costs beyond it is the overhead. The
fresh processes start Python, import, derive, compile and call once; "cold" ones find no compiled kernels on the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import race

import chainrule as cr

COST = "mean((y - max(0, X @ w + b))**2)"
NAMES = ("X", "w", "y", "b")


def arrays(N: int, d: int) -> dict[str, Any]:
    """Return data, the scalar as a Python float."""
    rng = np.random.default_rng(0)
    return {"X": rng.normal(size=(N, d)), "w": rng.normal(size=d), "y": rng.normal(size=N), "b": 0.5}


def parts() -> tuple[cr.Expr, ...]:
    """Return the cost and its gradients."""
    C = cr.parse(COST)
    return C, cr.grad(C, "w"), cr.grad(C, "b")


def taken_away() -> Callable[..., Any]:
    """Return the function that the printed code defines."""
    space: dict[str, Any] = {}
    exec(cr.source(parts(), name="by_hand"), space)
    function: Callable[..., Any] = space["by_hand"]
    return function


# --- one call
def call(N: int, d: int) -> race.Peers:
    """One call, everything compiled before."""
    values = arrays(N, d)
    given = [values[name] for name in NAMES]
    plain, compiled = taken_away(), cr.compile(*parts())
    peers: race.Peers = {"chainrule": lambda: compiled(**values), "by hand": lambda: plain(*given)}
    if race.installed("numba"):
        fast = cr.compile(*parts(), backend="numba")
        peers["chainrule numba"] = lambda: fast(**values)
    return {**peers, **jax_call(values), **torch_call(values)}


def jax_call(values: dict[str, Any]) -> race.Peers:
    """`jit(value_and_grad)`, in float64."""
    if not race.installed("jax"):
        return {}
    import jax

    jitted = jax_compiled()
    w, rest = jax.numpy.asarray(values["w"]), {n: jax.numpy.asarray(values[n]) for n in ("X", "y")}
    b = jax.numpy.asarray(values["b"])

    def run() -> Any:
        value, slopes = jitted(w, b, rest["X"], rest["y"])
        return tuple(a.block_until_ready() for a in (value, *slopes))

    return {"JAX jit": run}


def jax_compiled() -> Callable[..., Any]:
    """Return a function that JAX has not compiled yet."""
    import jax

    jax.config.update("jax_enable_x64", True)

    def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
        return ((y - jax.numpy.maximum(0, X @ w + b)) ** 2).mean()

    return jax.jit(jax.value_and_grad(cost, argnums=(0, 1)))


def torch_call(values: dict[str, Any]) -> race.Peers:
    """PyTorch's eager mode, forward and backward."""
    if not race.installed("torch"):
        return {}
    import torch

    X, y = torch.as_tensor(values["X"]), torch.as_tensor(values["y"])
    w = torch.as_tensor(values["w"]).requires_grad_()
    b = torch.tensor(values["b"], dtype=torch.float64, requires_grad=True)

    def run() -> Any:
        cost = ((y - torch.relu(X @ w + b)) ** 2).mean()
        return (cost, *torch.autograd.grad(cost, (w, b)))

    return {"torch eager": run}


# --- from the text to the first result, inside one process
def cold(make: Callable[[], Any], values: dict[str, Any]) -> Any:
    """Return what a new compiled function gives, its code nowhere on the disk yet."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get("CHAINRULE_CACHE")
        os.environ["CHAINRULE_CACHE"] = folder
        try:
            return make()(**values)
        finally:
            os.environ.pop("CHAINRULE_CACHE")
            os.environ.update({} if before is None else {"CHAINRULE_CACHE": before})


def first_call() -> race.Peers:
    """Derive, compile and call once; "compile" alone starts from the derivatives."""
    values = arrays(100, 10)
    given = [values[name] for name in NAMES]
    plain = taken_away()
    known = parts()
    peers: race.Peers = {
        "chainrule": lambda: cr.compile(*parts())(**values),
        "chainrule, compile alone": lambda: cr.compile(*known)(**values),
        "by hand": lambda: plain(*given),
    }
    if race.installed("numba"):
        peers["chainrule numba, cold"] = lambda: cold(lambda: cr.compile(*parts(), backend="numba"), values)
    if race.installed("jax"):

        def jax_run() -> Any:
            value, slopes = jax_compiled()(values["w"], values["b"], values["X"], values["y"])
            return (value, *slopes)

        peers["JAX jit"] = jax_run
    return peers


CLASSES = "sum(logsumexp(X @ W, axis=1)) - sum(Y * (X @ W))"
CLASS_SHAPES = {"X": ("N", "d"), "W": ("d", "K"), "Y": ("N", "K")}


def first_call_of_classes(N: int, d: int, K: int) -> race.Peers:
    """The same of softmax regression, whose kernels have the longest text."""
    rng = np.random.default_rng(0)
    values = {"X": rng.normal(size=(N, d)), "W": rng.normal(size=(d, K)), "Y": np.eye(K)[rng.integers(K, size=N)]}

    def compiled(backend: str) -> Callable[..., Any]:
        loss = cr.parse(CLASSES, CLASS_SHAPES)
        return cr.compile(loss, cr.grad(loss, "W"), backend=backend)

    def by_hand() -> tuple[Any, Any]:
        z = values["X"] @ values["W"]
        top = z.max(axis=1, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(axis=1, keepdims=True)
        value = (np.log(total) + top).sum() - (values["Y"] * z).sum()
        return value, values["X"].T @ (e / total - values["Y"])

    peers: race.Peers = {"chainrule": lambda: compiled("numpy")(**values), "by hand": by_hand}
    if race.installed("numba"):
        peers["chainrule numba, cold"] = lambda: cold(lambda: compiled("numba"), values)
    if race.installed("jax"):
        import jax

        def loss(W: Any) -> Any:
            z = values["X"] @ W
            return jax.scipy.special.logsumexp(z, axis=1).sum() - (values["Y"] * z).sum()

        jax.config.update("jax_enable_x64", True)
        peers["JAX jit"] = lambda: jax.jit(jax.value_and_grad(lambda W: loss(W)))(values["W"])
    return peers


# --- fresh processes
BEGIN = f"""
import json, sys
import numpy as np
rng = np.random.default_rng(0)
v = {{"X": rng.normal(size=(100, 10)), "w": rng.normal(size=10), "y": rng.normal(size=100), "b": 0.5}}
COST = "{COST}"
"""
OURS = """
import chainrule as cr
C = cr.parse(COST)
value, dw, db = cr.compile(C, cr.grad(C, "w"), cr.grad(C, "b"), backend=BACKEND)(**v)
"""
BY_HAND = """
z = v["X"] @ v["w"] + v["b"]
e = (z > 0) * (z - v["y"])
value, dw, db = np.mean((v["y"] - np.maximum(0, z)) ** 2), 2 / len(z) * (v["X"].T @ e), 2 / len(z) * e.sum()
"""
JAX = """
import jax
jax.config.update("jax_enable_x64", True)
cost = lambda w, b: ((v["y"] - jax.numpy.maximum(0, v["X"] @ w + b)) ** 2).mean()
value, (dw, db) = jax.jit(jax.value_and_grad(cost, argnums=(0, 1)))(v["w"], v["b"])
"""
TORCH = """
import torch
X, y = torch.as_tensor(v["X"]), torch.as_tensor(v["y"])
w = torch.as_tensor(v["w"]).requires_grad_()
b = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
cost = COMPILE(lambda w, b: ((y - torch.relu(X @ w + b)) ** 2).mean())
value = cost(w, b)
dw, db = torch.autograd.grad(value, (w, b))
value = value.detach()
"""
END = "\nprint(json.dumps([float(value), *map(float, dw), float(db)]))\n"


def process(body: str, is_cold: bool = False) -> Callable[[], np.ndarray]:
    """Return a call that runs a script in a fresh interpreter; a cold one has empty caches of compiled kernels."""

    def run() -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
            if is_cold:
                places = ("CHAINRULE_CACHE", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR")
                variables |= dict.fromkeys(places, folder)
            done = subprocess.run(
                [sys.executable, "-c", BEGIN + body + END], env=variables, check=True, capture_output=True, text=True
            )
        return np.array(json.loads(done.stdout))

    return run


def fresh() -> race.Peers:
    """Start Python, import, derive, compile, call once."""
    peers: race.Peers = {
        "chainrule": process(OURS.replace("BACKEND", "'numpy'")),
        "by hand": process(BY_HAND),
    }
    if race.installed("numba"):
        peers["chainrule numba, cold"] = process(OURS.replace("BACKEND", "'numba'"), is_cold=True)
        peers["chainrule numba"] = process(OURS.replace("BACKEND", "'numba'"))
    if race.installed("jax"):
        peers["JAX jit"] = process(JAX)
    if race.installed("torch"):
        peers["torch eager"] = process(TORCH.replace("COMPILE", ""))
        peers["torch.compile, cold"] = process(TORCH.replace("COMPILE", "torch.compile"), is_cold=True)
    return peers


def imports() -> race.Peers:
    """Start Python and import."""
    names = [n for n in ("chainrule", "numpy", "numba", "jax", "torch") if race.installed(n)]
    return {n: process(f"import {n}\nvalue, dw, db = 1.0, [], 1.0") for n in names}


def races(small: bool = False) -> Iterator[race.Race]:
    """Yield the cases."""
    yield race.Race("one call, N = 4, d = 2", lambda: call(4, 2))
    if not small:
        yield race.Race("one call, N = 1000, d = 10", lambda: call(1000, 10))
    yield race.Race("first call, in process", first_call)
    size = (40, 7, 3) if small else (20_000, 100, 10)
    yield race.Race("first call of softmax regression, in process", lambda: first_call_of_classes(*size))
    if small:
        yield race.Race("first result, fresh process", lambda: {n: fresh()[n] for n in ("chainrule", "by hand")})
    else:
        yield race.Race("first result, fresh process", fresh)
        yield race.Race("import, fresh process", imports)


if __name__ == "__main__":
    race.main("overhead", races)
