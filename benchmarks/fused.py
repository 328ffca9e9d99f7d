"""Value and gradients of losses that are sums over rows: the fused kernels against frameworks and against memory.

    python benchmarks/fused.py [--only WORDS] [--seconds S] [--small] [--list]

The limit is the time it takes two threads to read X once; NumPy by hand is what someone writes who has the formula.
PyTorch, JAX and tensorgrad are raced where they are installed (pip install torch jax; `peers.py` on tensorgrad).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from frameworks import tensorgrad_joint
from race import Peers, Race, installed, main

import chainrule as cr

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
SIZES = ((10_000, 10), (100_000, 100), (1_000_000, 100), (200_000, 1000))
CLASSES = 10
TOLERANCE = {"float64": 1e-9, "float32": 2e-3}
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Loss:
    """A loss in every library: `hand` gives the value and the gradients, the others the value alone.

    `tensor` is tensorgrad's, of its functions and its variables, whose edges are named as in `shapes`.
    """

    text: str
    shapes: dict[str, object]
    wrt: tuple[str, ...]
    hand: Callable[..., tuple[Any, ...]]
    jax: Callable[..., Any]
    torch: Callable[..., Any]
    tensor: Callable[..., Any]


# --- NumPy by hand
def cost_by_hand(X: Any, w: Any, b: Any, y: Any) -> tuple[Any, ...]:
    z = X @ w + b
    r = y - np.maximum(z, 0)
    e = (z > 0) * (y - z)
    scale = X.dtype.type(-2 / len(y))
    return r @ r / len(y), (X.T @ e) * scale, e.sum() * scale


def logistic_by_hand(X: Any, w: Any, b: Any, y: Any) -> tuple[Any, ...]:
    m = y * (X @ w + b)
    t = np.exp(-np.abs(m))
    s = np.where(m >= 0, t, 1) / (1 + t)
    e = y * s
    n = X.dtype.type(len(y))
    return (np.maximum(-m, 0) + np.log1p(t)).sum() / n, -(X.T @ e) / n, -e.sum() / n


def hinge_by_hand(X: Any, w: Any, b: Any, y: Any) -> tuple[Any, ...]:
    m = 1 - y * (X @ w + b)
    e = y * (m > 0)
    n = X.dtype.type(len(y))
    return np.maximum(m, 0).sum() / n, -(X.T @ e) / n, -e.sum() / n


def softmax_by_hand(X: Any, W: Any, c: Any, Y: Any) -> tuple[Any, ...]:
    Z = X @ W + c
    Z -= Z.max(axis=1, keepdims=True)
    E = np.exp(Z)
    S = E.sum(axis=1, keepdims=True)
    n = X.dtype.type(len(Y))
    value = (np.log(S[:, 0]) @ Y.sum(axis=1) - np.vdot(Y, Z)) / n
    E *= Y.sum(axis=1, keepdims=True) / S
    E -= Y
    return value, X.T @ E / n, E.sum(axis=0) / n


# --- the same in the frameworks: xp is jax.numpy, and jax.nn's functions are stable
def logistic_in_jax(X: Any, w: Any, b: Any, y: Any) -> Any:
    jax = importlib.import_module("jax")
    return jax.nn.softplus(-y * (X @ w + b)).mean()


def softmax_in_jax(X: Any, W: Any, c: Any, Y: Any) -> Any:
    jax = importlib.import_module("jax")
    return -(Y * jax.nn.log_softmax(X @ W + c)).sum(axis=1).mean()


def cost_in_jax(X: Any, w: Any, b: Any, y: Any) -> Any:
    jax = importlib.import_module("jax")
    return ((y - jax.nn.relu(X @ w + b)) ** 2).mean()


def hinge_in_jax(X: Any, w: Any, b: Any, y: Any) -> Any:
    jax = importlib.import_module("jax")
    return jax.nn.relu(1 - y * (X @ w + b)).mean()


def softmax_in_torch(X: Any, W: Any, c: Any, Y: Any) -> Any:
    return -(Y * (X @ W + c).log_softmax(1)).sum(1).mean()


# --- and in tensorgrad, F being its functions; its compiler finds the stable forms by itself
def cost_in_tensorgrad(F: Any, X: Any, w: Any, b: Any, y: Any) -> Any:
    error = y - F.relu(F.dot(X, w, "d") + b)
    return F.mean(error * error)


def logistic_in_tensorgrad(F: Any, X: Any, w: Any, b: Any, y: Any) -> Any:
    return F.mean(F.log(1 + F.exp(-(y * (F.dot(X, w, "d") + b)))))


def hinge_in_tensorgrad(F: Any, X: Any, w: Any, b: Any, y: Any) -> Any:
    return F.mean(F.relu(1 - y * (F.dot(X, w, "d") + b)))


def softmax_in_tensorgrad(F: Any, X: Any, W: Any, c: Any, Y: Any) -> Any:
    return F.mean(F.cross_entropy(F.dot(X, W, "d") + c, Y, "k"))


VECTORS = {"X": ("N", "d"), "w": "d", "b": (), "y": "N"}
LOSSES = {
    "cost": Loss(
        "mean((y - max(0, X @ w + b))**2)",
        VECTORS,
        ("w", "b"),
        cost_by_hand,
        cost_in_jax,
        lambda X, w, b, y: ((y - (X @ w + b).relu()) ** 2).mean(),
        cost_in_tensorgrad,
    ),
    "logistic": Loss(
        "mean(log(1 + exp(-y * (X @ w + b))))",
        VECTORS,
        ("w", "b"),
        logistic_by_hand,
        logistic_in_jax,
        lambda X, w, b, y: importlib.import_module("torch").nn.functional.softplus(-y * (X @ w + b)).mean(),
        logistic_in_tensorgrad,
    ),
    "hinge": Loss(
        "mean(max(0, 1 - y * (X @ w + b)))",
        VECTORS,
        ("w", "b"),
        hinge_by_hand,
        hinge_in_jax,
        lambda X, w, b, y: (1 - y * (X @ w + b)).relu().mean(),
        hinge_in_tensorgrad,
    ),
    "softmax": Loss(
        "-mean(sum(Y * log(softmax(X @ W + c)), axis=1))",
        {"X": ("N", "d"), "W": ("d", "k"), "c": "k", "Y": ("N", "k")},
        ("W", "c"),
        softmax_by_hand,
        softmax_in_jax,
        softmax_in_torch,
        softmax_in_tensorgrad,
    ),
}


# --- data and peers
def data(loss: Loss, rows: int, d: int, kind: str) -> Arrays:
    """Return arrays of the loss's symbols; y is ±1, Y one-hot."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, d), dtype=kind)
    if "W" in loss.shapes:
        Y = np.zeros((rows, CLASSES), kind)
        Y[np.arange(rows), rng.integers(0, CLASSES, rows)] = 1
        return {
            "X": X,
            "W": (0.1 * rng.standard_normal((d, CLASSES))).astype(kind),
            "c": np.zeros(CLASSES, kind),
            "Y": Y,
        }
    y = np.sign(rng.standard_normal(rows)).astype(kind)
    return {"X": X, "w": (rng.standard_normal(d) / d**0.5).astype(kind), "b": X.dtype.type(0.1), "y": y}


def reading(X: np.ndarray) -> Callable[[], Any]:
    """Return a call that reads X once in as many threads as there are processors: no loss can be faster."""
    numba = importlib.import_module("numba")

    @numba.njit(nogil=True, fastmath={"reassoc"})
    def total(x: Any) -> Any:
        t = x[0]
        for i in range(x.size):
            t += x[i]
        return t

    parts = np.array_split(X.reshape(-1), THREADS)
    pool = ThreadPoolExecutor(THREADS)
    for part in parts[:1]:
        total(part)

    def read() -> Any:
        others = [pool.submit(total, part) for part in parts[1:]]
        return total(parts[0]) + sum(other.result() for other in others)

    return read if X.nbytes > 1 << 20 else lambda: total(X.reshape(-1))


def in_jax(loss: Loss, arrays: Arrays) -> Peers:
    """Return JAX's jitted value and gradient."""
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    names = list(arrays)
    places = tuple(names.index(name) for name in loss.wrt)
    function = jax.jit(jax.value_and_grad(loss.jax, argnums=places))
    values = [jax.numpy.asarray(a) for a in arrays.values()]

    def run() -> Any:
        value, gradients = jax.block_until_ready(function(*values))
        return value, *gradients

    return {"JAX jit": run}


def in_torch(loss: Loss, arrays: Arrays, compiled: bool) -> Peers:
    """Return torch's value and gradient, eager and compiled."""
    torch = importlib.import_module("torch")
    values = {name: torch.as_tensor(a) for name, a in arrays.items()}
    for name in loss.wrt:
        values[name] = values[name].clone().requires_grad_(True)

    def runner(function: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            value = function(**values)
            return value, *torch.autograd.grad(value, [values[name] for name in loss.wrt])

        return run

    found = {"torch eager": runner(loss.torch)}
    if compiled:
        found["torch compiled"] = runner(torch.compile(loss.torch, dynamic=False))
    return found


def in_tensorgrad(loss: Loss, arrays: Arrays) -> Peers:
    """Return tensorgrad's value and gradients, compiled together."""

    def make(tg: Any, F: Any) -> Any:
        axes = {name: (shape,) if isinstance(shape, str) else shape for name, shape in loss.shapes.items()}
        sizes = {axis: tg.symbols(axis) for shape in axes.values() for axis in shape}
        variables = {name: tg.Variable(name, **{a: sizes[a] for a in shape}) for name, shape in axes.items()}
        value = loss.tensor(F, **variables)
        gradients = [(value.grad(variables[name]), axes[name]) for name in loss.wrt]
        return [(value, ()), *gradients], {variables[name]: a for name, a in arrays.items()}

    return tensorgrad_joint(make)


def without_frameworks(loss: Loss, arrays: Arrays) -> Peers:
    """Return the fused kernel, the limit, and NumPy by hand."""
    cost = cr.parse(loss.text, shapes=loss.shapes)
    fused = cr.compile(cost, *(cr.grad(cost, name) for name in loss.wrt), backend="numba")
    return {
        "chainrule": lambda: fused(**arrays),
        "limit": reading(arrays["X"]),
        "by hand": lambda: loss.hand(**arrays),
    }


def peers(loss: Loss, rows: int, d: int, kind: str, compiled: bool) -> Peers:
    """Return everyone who computes the value and the gradients of this loss."""
    arrays = data(loss, rows, d, kind)
    found = without_frameworks(loss, arrays)
    if installed("jax"):
        found |= in_jax(loss, arrays)
    if installed("torch"):
        found |= in_torch(loss, arrays, compiled)
    return found | in_tensorgrad(loss, arrays)


def races(small: bool = False) -> Iterator[Race]:
    """Yield every loss at every size in both types."""
    for name, loss in LOSSES.items():
        for kind in ("float64", "float32"):
            for rows, d in ((200, 7),) if small else SIZES:
                nbytes = rows * d * np.dtype(kind).itemsize
                yield Race(
                    f"{name}, N = {rows}, d = {d}, {kind}",
                    lambda loss=loss, rows=rows, d=d, kind=kind: peers(loss, rows, d, kind, not small),
                    tolerance=TOLERANCE[kind],
                    unchecked=frozenset({"limit"}),
                    facts={"N": rows, "d": d, "bytes": nbytes},
                )


if __name__ == "__main__":
    main("fused", races)
