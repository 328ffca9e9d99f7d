"""Forward and backward of layers in float32: code that `cr.source` wrote against the frameworks' own kernels.

    python benchmarks/backwards.py [--only WORDS] [--seconds S] [--small] [--list]

Ours is the `autograd.Function` of `cr.source(layer, backend="torch")`, and the same program through NumPy and numba.
PyTorch and JAX are raced where they are installed (pip install torch jax). Without torch, NumPy is ours.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from race import OURS, Peers, Race, installed, main

import chainrule as cr

TOLERANCE = 2e-4
NAME = "layer"


@dataclass(frozen=True)
class Layer:
    """A layer: its expression, the arrays by name, the cotangent, and by which arrays it is differentiated.

    `plain` is written once for torch and JAX; `native` calls torch's own kernels; `hand` is the closed form in torch,
    in place and with the statistics of a row kept.
    """

    e: cr.Expr
    arrays: Mapping[str, np.ndarray]
    cotangent: np.ndarray
    wrt: tuple[str, ...]
    plain: Callable[..., Any]
    native: Callable[..., Any]
    hand: Callable[..., tuple[Any, ...]]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# --- the layers
def layer_norm(rows: int, d: int) -> Layer:
    X, gamma, beta = cr.matrix("X", "N", "d"), cr.vector("gamma", "d"), cr.vector("beta", "d")
    centred = X - cr.mean(X, axis=1, keepdims=True)
    e = gamma * centred / cr.sqrt(cr.mean(centred**2, axis=1, keepdims=True) + 1e-5) + beta
    arrays = {"X": random(rows, d), "gamma": 1 + random(d, seed=1), "beta": random(d, seed=2)}

    def plain(xp: Any, X: Any, gamma: Any, beta: Any) -> Any:
        centred = X - X.mean(1)[:, None]
        return gamma * centred / xp.sqrt((centred * centred).mean(1) + 1e-5)[:, None] + beta

    def native(F: Any, X: Any, gamma: Any, beta: Any) -> Any:
        return F.layer_norm(X, gamma.shape, gamma, beta, 1e-5)

    def hand(torch: Any, G: Any, X: Any, gamma: Any, beta: Any) -> tuple[Any, ...]:
        unit = X - X.mean(1, keepdim=True)
        r = torch.rsqrt(torch.linalg.vecdot(unit, unit) / X.shape[1] + 1e-5)[:, None]
        value = torch.addcmul(beta, unit.mul_(r), gamma)
        dgamma = (G * unit).sum(0)
        dX = G * gamma
        mean, slope = dX.mean(1, keepdim=True), torch.linalg.vecdot(dX, unit)[:, None] / X.shape[1]
        return value, dX.sub_(mean).addcmul_(unit, slope, value=-1).mul_(r), dgamma, G.sum(0)

    return Layer(e, arrays, random(rows, d, seed=3), ("X", "gamma", "beta"), plain, native, hand)


def rms_norm(rows: int, d: int) -> Layer:
    X, gamma = cr.matrix("X", "N", "d"), cr.vector("gamma", "d")
    e = gamma * X / cr.sqrt(cr.mean(X**2, axis=1, keepdims=True) + 1e-5)
    arrays = {"X": random(rows, d), "gamma": 1 + random(d, seed=1)}

    def plain(xp: Any, X: Any, gamma: Any) -> Any:
        return gamma * X / xp.sqrt((X * X).mean(1) + 1e-5)[:, None]

    def native(F: Any, X: Any, gamma: Any) -> Any:
        return F.rms_norm(X, gamma.shape, gamma, 1e-5)

    def hand(torch: Any, G: Any, X: Any, gamma: Any) -> tuple[Any, ...]:
        r = torch.rsqrt(torch.linalg.vecdot(X, X) / X.shape[1] + 1e-5)[:, None]
        unit = X * r
        value = unit * gamma
        dgamma = (G * unit).sum(0)
        dX = G * gamma
        slope = torch.linalg.vecdot(dX, unit)[:, None] / X.shape[1]
        return value, dX.addcmul_(unit, slope, value=-1).mul_(r), dgamma

    return Layer(e, arrays, random(rows, d, seed=3), ("X", "gamma"), plain, native, hand)


def cross_entropy(rows: int, classes: int) -> Layer:
    Y, Z = cr.symbol("Y", ("N", "k"), "one-hot"), cr.matrix("Z", "N", "k")
    e = -cr.mean(cr.sum(Y * cr.log(cr.softmax(Z)), axis=1))
    labels = np.random.default_rng(1).integers(0, classes, rows)
    arrays = {"Y": np.eye(classes, dtype=np.float32)[labels], "Z": random(rows, classes)}

    def plain(xp: Any, Y: Any, Z: Any) -> Any:
        top = xp.amax(Z, 1)[:, None]
        return (xp.log(xp.exp(Z - top).sum(1)) + top[:, 0] - (Y * Z).sum(1)).mean()

    def native(F: Any, Y: Any, Z: Any) -> Any:
        return F.cross_entropy(Z, native.labels)  # type: ignore[attr-defined]

    native.labels = labels  # type: ignore[attr-defined]

    def hand(torch: Any, G: Any, Y: Any, Z: Any) -> tuple[Any, ...]:
        logs = torch.log_softmax(Z, 1)
        return -torch.dot(Y.flatten(), logs.flatten()) / len(Z), logs.exp_().sub_(Y).mul_(G / len(Z))

    return Layer(e, arrays, np.ones((), np.float32), ("Z",), plain, native, hand)


def attention(heads: int, n: int, d: int) -> Layer:
    Q, K, V = (cr.symbol(name, ("h", "n", "d")) for name in "QKV")
    scale = d**-0.5
    P = cr.softmax(scale * cr.contract("hid,hjd->hij", Q, K))
    arrays = {name: random(heads, n, d, seed=k) for k, name in enumerate("QKV")}

    def plain(xp: Any, Q: Any, K: Any, V: Any) -> Any:
        S = scale * (Q @ xp.swapaxes(K, 1, 2))
        E = xp.exp(S - xp.amax(S, 2)[:, :, None])
        return (E / E.sum(2)[:, :, None]) @ V

    def native(F: Any, Q: Any, K: Any, V: Any) -> Any:
        return F.scaled_dot_product_attention(Q, K, V)

    def hand(torch: Any, G: Any, Q: Any, K: Any, V: Any) -> tuple[Any, ...]:
        P = torch.softmax((Q @ K.mT).mul_(scale), -1)
        value = P @ V
        dS = (G @ V.mT).sub_((G * value).sum(-1, keepdim=True)).mul_(P).mul_(scale)
        return value, dS @ K, dS.mT @ Q, P.mT @ G

    e = cr.contract("hij,hjd->hid", P, V)
    return Layer(e, arrays, random(heads, n, d, seed=4), ("Q", "K", "V"), plain, native, hand)


# --- the peers
def peers(layer: Layer) -> Peers:
    found: Peers = {}
    if installed("torch"):
        found |= torch_peers(layer)
    seed = cr.symbol("G", layer.e.shape)
    slopes = [cr.vjp(layer.e, name, seed) for name in layer.wrt]
    given = {**layer.arrays, **({"G": layer.cotangent} if any("G" in s.symbols for s in slopes) else {})}
    for backend in ("numpy", *(["numba"] if installed("numba") else [])):
        f = cr.compile(layer.e, *slopes, backend=backend)
        found[f"{OURS}, {backend}"] = lambda f=f: f(**given)
    if installed("jax"):
        found |= jax_peers(layer)
    if OURS not in found:
        found = {OURS: found.pop(f"{OURS}, numpy"), **found}
    return found


def written(layer: Layer) -> Callable[..., Any]:
    """Load the code that `cr.source` writes, as somebody would who took it away."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{NAME}.py"
        file.write_text(cr.source(layer.e, "torch", NAME), encoding="utf-8")
        spec = importlib.util.spec_from_file_location(NAME, file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, NAME)
    return function


def torch_peers(layer: Layer) -> Peers:
    import torch

    tensors = {name: torch.as_tensor(a).requires_grad_(name in layer.wrt) for name, a in layer.arrays.items()}
    inputs = [tensors[name] for name in layer.wrt]
    fixed = {name: t.detach() for name, t in tensors.items()}
    G = torch.as_tensor(layer.cotangent)
    if hasattr(layer.native, "labels"):
        layer.native.labels = torch.as_tensor(layer.native.labels)  # type: ignore[attr-defined]
    ours, order = written(layer), [s.name for s in cr.compile(layer.e).program.arguments]
    arguments = [tensors[name] for name in order]

    def run(forward: Callable[[], Any]) -> Callable[[], Any]:
        def both() -> Any:
            value = forward()
            return value, *torch.autograd.grad(value, inputs, G)

        return both

    found = {
        OURS: run(lambda: ours(*arguments)),
        "by hand": lambda: layer.hand(torch, G, **fixed),
        "torch native": run(lambda: layer.native(torch.nn.functional, **tensors)),
        "torch eager": run(lambda: layer.plain(torch, **tensors)),
    }
    if shutil.which("g++"):  # which torch.compile needs
        compiled = torch.compile(lambda **t: layer.plain(torch, **t))
        found["torch.compile"] = run(lambda: compiled(**tensors))
    return found


def jax_peers(layer: Layer) -> Peers:
    import jax
    import jax.numpy as jnp

    arrays = {name: jnp.asarray(a, jnp.float32) for name, a in layer.arrays.items()}
    G = jnp.asarray(layer.cotangent, jnp.float32)
    fixed = {name: a for name, a in arrays.items() if name not in layer.wrt}

    def both(G: Any, fixed: Any, *moving: Any) -> Any:
        def forward(*moving: Any) -> Any:
            return layer.plain(jnp, **fixed, **dict(zip(layer.wrt, moving, strict=True)))

        value, pull = jax.vjp(forward, *moving)
        return value, *pull(G)

    jitted = jax.jit(both)
    moving = [arrays[name] for name in layer.wrt]
    return {"JAX jit": lambda: jax.block_until_ready(jitted(G, fixed, *moving))}


def races(small: bool = False) -> Iterator[Race]:
    cases = {
        "layernorm": (layer_norm, (8, 6) if small else (4096, 1024)),
        "RMSNorm": (rms_norm, (8, 6) if small else (4096, 1024)),
        "cross-entropy": (cross_entropy, (8, 5) if small else (4096, 1000)),
        "attention": (attention, (2, 5, 3) if small else (16, 256, 64)),
    }
    for name, (make, shape) in cases.items():
        title = f"{name}, {' × '.join(map(str, shape))}, float32"
        yield Race(title, lambda make=make, shape=shape: peers(make(*shape)), tolerance=TOLERANCE)


if __name__ == "__main__":
    main("backwards", races)
