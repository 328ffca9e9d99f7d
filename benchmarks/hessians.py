"""Hessians and Jacobians in closed form against those that are differentiated automatically.

    uv run --group bench python benchmarks/hessians.py [--only WORDS]

The functions are those of Laue, Mitterreiter and Giesen, *Computing Higher Order Derivatives of Matrix and Tensor
Expressions* (NeurIPS 2018) and *A Simple and Efficient Tensor Calculus* (AAAI 2020): logistic regression, matrix
factorisation, a ReLU network with cross-entropy (the first layer's Hessian), a quadratic form; and two Jacobians. "By
hand" is the closed form as one would write it with NumPy. "Times direction" is our result kept factored, with
`structured=True`, against the dense closed form. JAX, PyTorch and tensorgrad take part where they are installed;
torch.func stays out of the largest factorisation, see `TORCH_ENTRIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import frameworks
import numpy as np
import race

import chainrule as cr


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    """Return normal random numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def compiled(exprs: Any, name: str = race.OURS, **options: Any) -> dict[str, Callable[..., Any]]:
    """Return our function compiled for numba where that is installed, and in NumPy, by the peers' names."""
    backends = {name: "numba", f"{name}, numpy": "numpy"} if race.installed("numba") else {name: "numpy"}
    return {peer: cr.compile(exprs, backend=backend, **options) for peer, backend in backends.items()}


def ours(exprs: Any, arrays: frameworks.Arrays, name: str = race.OURS, **options: Any) -> race.Peers:
    """Return our function at the arrays."""
    return {peer: lambda f=f: f(**arrays) for peer, f in compiled(exprs, name, **options).items()}


def ours_times(e: Any, arrays: frameworks.Arrays, direction: np.ndarray, **options: Any) -> race.Peers:
    """Return our function at the arrays, its result factored, times the direction."""
    functions = compiled(e, structured=True, **options)
    return {peer: lambda f=f: f(**arrays) @ direction for peer, f in functions.items()}


# --- the quadratic form
def quadratic(n: int) -> race.Peers:
    """The Hessian of xᵀAx is A + Aᵀ."""
    A, x = normal(n, n), normal(n)
    hessian = cr.hessian(cr.parse("x @ A @ x", {"A": ("n", "n"), "x": "n"}), "x")

    def function(xp: Any, A: Any, x: Any) -> Any:
        return x @ A @ x

    def tensor(tg: Any, F: Any) -> Any:
        size = tg.symbols("n")
        v, M = tg.Variable("x", size), tg.Variable("A", i=size, j=size)
        form = F.dot(F.dot(M, v.rename(n="j"), "j"), v.rename(n="i"), "i")
        return form.grad(v, {"n": "p"}).grad(v, {"n": "q"}), ("p", "q"), {M: A, v: x}

    return {
        **ours(hessian, {"A": A}),
        "by hand": lambda: A + A.T,
        **frameworks.jax_peer("hessian", function, "x", {"A": A, "x": x}),
        **frameworks.torch_peer("hessian", function, "x", {"A": A, "x": x}),
        **frameworks.tensorgrad_peer(tensor),
    }


# --- logistic regression
def logistic(N: int, d: int) -> race.Peers:
    """The Hessian of Σ log(1 + exp(−yᵢ w·xᵢ)) is Xᵀ diag(σ(1 − σ)) X."""
    X, w, y = normal(N, d), normal(d) / d**0.5, np.sign(normal(N))
    loss = cr.parse("sum(log(1 + exp(-y * (X @ w))))", {"X": ("N", "d"), "w": "d", "y": "N"})

    def by_hand() -> np.ndarray:
        s = 1 / (1 + np.exp(-y * (X @ w)))
        return (X.T * (y * y * s * (1 - s))) @ X

    def function(xp: Any, X: Any, w: Any, y: Any) -> Any:
        return xp.sum(xp.logaddexp(xp.zeros_like(y), -y * (X @ w)))

    def tensor(tg: Any, F: Any) -> Any:
        rows, columns = tg.symbols("N d")
        M, v, t = tg.Variable("X", N=rows, d=columns), tg.Variable("w", columns), tg.Variable("y", rows)
        total = F.sum(F.log(1 + F.exp(-(t * F.dot(M, v, "d")))))
        return total.grad(v, {"d": "p"}).grad(v, {"d": "q"}), ("p", "q"), {M: X, v: w, t: y}

    arrays = {"X": X, "w": w, "y": y}
    return {
        **ours(cr.hessian(loss, "w"), arrays),
        "by hand": by_hand,
        **frameworks.jax_peer("hessian", function, "w", arrays),
        **frameworks.torch_peer("hessian", function, "w", arrays),
        **frameworks.tensorgrad_peer(tensor),
    }


# --- matrix factorisation
FACTORS = {"T": ("n", "m"), "U": ("n", "k"), "V": ("m", "k")}
TORCH_ENTRIES = 1000  # of U: for each, torch.func holds several arrays as large as T, 5 GB apiece for 2500 entries


def factorisation(n: int, k: int) -> race.Peers:
    """The Hessian of ‖T − UVᵀ‖² by U is 2 I ⊗ VᵀV."""
    T, U, V = normal(n, n), normal(n, k), normal(n, k, seed=1)
    loss = cr.parse("norm(T - U @ V.T)**2", FACTORS)
    hessian = cr.hessian(loss, "U")
    eye = np.eye(n)

    def by_hand() -> np.ndarray:
        H = np.zeros((n, k, n, k))
        np.einsum("iaib->iab", H)[...] = 2 * (V.T @ V)
        return H

    def function(xp: Any, T: Any, U: Any, V: Any) -> Any:
        return ((T - U @ V.T) ** 2).sum()

    def tensor(tg: Any, F: Any) -> Any:
        rows, columns, rank = tg.symbols("n m k")
        t, u, v = (
            tg.Variable("T", n=rows, m=columns),
            tg.Variable("U", n=rows, k=rank),
            tg.Variable("V", m=columns, k=rank),
        )
        total = F.frobenius2(t - F.dot(u, v, "k"))
        second = total.grad(u, {"n": "n1", "k": "k1"}).grad(u, {"n": "n2", "k": "k2"})
        return second, ("n1", "k1", "n2", "k2"), {t: T, u: U, v: V}

    arrays = {"T": T, "U": U, "V": V}
    return {
        **ours(hessian, arrays, accept=["T"]),
        "by hand": by_hand,
        "by hand, einsum": lambda: np.einsum("ij,kl->ikjl", eye, 2 * (V.T @ V)),
        **frameworks.jax_peer("hessian", function, "U", arrays),
        **(frameworks.torch_peer("hessian", function, "U", arrays) if U.size <= TORCH_ENTRIES else {}),
        **frameworks.tensorgrad_peer(tensor),
    }


# --- a ReLU network with cross-entropy, the Hessian by its first layer
def network(n: int, layers: int) -> race.Peers:
    """−log softmax(Wₗ relu(… relu(W₁x)))·y: with J the Jacobian by z₁, Jᵀ(diag(p) − ppᵀ)J ⊗ xxᵀ."""
    names = [f"W{k}" for k in range(1, layers + 1)]
    arrays = {name: normal(n, n, seed=k) * (2 / n) ** 0.5 for k, name in enumerate(names)}
    arrays |= {"x": normal(n), "y": np.eye(n)[0]}
    text = "x"
    for name in names[:-1]:
        text = f"relu({name} @ {text})"
    shapes: dict[str, object] = {**dict.fromkeys(names, ("n", "n")), "x": "n", "y": "n"}
    loss = cr.parse(f"logsumexp(W{layers} @ {text}) - dot(y, W{layers} @ {text})", shapes)

    def function(xp: Any, x: Any, y: Any, **weights: Any) -> Any:
        h = x
        for name in names[:-1]:
            z = weights[name] @ h
            h = xp.where(z > 0, z, xp.zeros_like(z))
        z = weights[names[-1]] @ h
        top = z.max()
        return xp.log(xp.exp(z - top).sum()) + top - (y * z).sum()

    return {
        **ours(cr.hessian(loss, "W1"), arrays, accept=["y"]),
        "by hand": lambda: network_by_hand([arrays[name] for name in names], arrays["x"]),
        **frameworks.jax_peer("hessian", function, "W1", arrays),
        **frameworks.torch_peer("hessian", function, "W1", arrays),
        **frameworks.tensorgrad_peer(lambda tg, F: network_tensor(tg, F, names, arrays)),
    }


def network_by_hand(weights: list[np.ndarray], x: np.ndarray) -> np.ndarray:
    """The closed form, the Jacobian multiplied from the first layer on."""
    h, slope = x, None
    for W in weights[:-1]:
        z = W @ h
        gate = (z > 0).astype(z.dtype)
        slope = np.diag(gate) if slope is None else (W * gate[:, None]) @ slope
        h = gate * z
    z = weights[-1] @ h
    p = np.exp(z - z.max())
    p /= p.sum()
    J = weights[-1] @ slope
    g = J.T @ p
    return np.einsum("ik,j,l->ijkl", (J.T * p) @ J - np.outer(g, g), x, x)


def network_tensor(tg: Any, F: Any, names: list[str], arrays: frameworks.Arrays) -> Any:
    """The same function for tensorgrad."""
    size, layers = tg.symbols("n"), len(names)
    v, t = tg.Variable("x", e0=size), tg.Variable("y", **{f"e{layers}": size})
    weights = [tg.Variable(name, **{f"e{k + 1}": size, f"e{k}": size}) for k, name in enumerate(names)]
    h: Any = v
    for k, W in enumerate(weights[:-1]):
        h = F.relu(F.dot(W, h, f"e{k}"))
    total = F.cross_entropy(F.dot(weights[-1], h, f"e{layers - 1}"), t, f"e{layers}")
    second = total.grad(weights[0], {"e1": "a", "e0": "b"}).grad(weights[0], {"e1": "c", "e0": "d"})
    values = {W: arrays[name] for W, name in zip(weights, names, strict=True)} | {v: arrays["x"], t: arrays["y"]}
    return second, ("a", "b", "c", "d"), values


# --- two Jacobians
def softmax_jacobian(n: int) -> race.Peers:
    """The Jacobian of softmax(Wx) by x is (diag(p) − ppᵀ) W."""
    W, x = normal(n, n) / n**0.5, normal(n)
    jacobian = cr.jacobian(cr.parse("softmax(W @ x)", {"W": ("n", "n"), "x": "n"}), "x")

    def by_hand() -> np.ndarray:
        z = W @ x
        p = np.exp(z - z.max())
        p /= p.sum()
        return p[:, None] * W - np.outer(p, p @ W)

    def function(xp: Any, W: Any, x: Any) -> Any:
        z = W @ x
        e = xp.exp(z - z.max())
        return e / e.sum()

    def tensor(tg: Any, F: Any) -> Any:
        size = tg.symbols("n")
        v, M = tg.Variable("x", n=size), tg.Variable("W", m=size, n=size)
        return F.softmax(F.dot(M, v, "n"), dim="m").grad(v, {"n": "p"}), ("m", "p"), {M: W, v: x}

    return _jacobian_peers(jacobian, by_hand, function, {"W": W, "x": x}, tensor)


def tanh_jacobian(n: int) -> race.Peers:
    """The Jacobian of tanh(Ax) by x is diag(1 − tanh²) A."""
    A, x = normal(n, n) / n**0.5, normal(n)
    jacobian = cr.jacobian(cr.parse("tanh(A @ x)", {"A": ("n", "n"), "x": "n"}), "x")

    def function(xp: Any, A: Any, x: Any) -> Any:
        return xp.tanh(A @ x)

    def tensor(tg: Any, F: Any) -> Any:
        size = tg.symbols("n")
        v, M = tg.Variable("x", n=size), tg.Variable("A", m=size, n=size)
        return F.tanh(F.dot(M, v, "n")).grad(v, {"n": "p"}), ("m", "p"), {M: A, v: x}

    def by_hand() -> np.ndarray:
        return (1 - np.tanh(A @ x) ** 2)[:, None] * A

    return _jacobian_peers(jacobian, by_hand, function, {"A": A, "x": x}, tensor)


def _jacobian_peers(jacobian: Any, by_hand: Any, function: Any, arrays: frameworks.Arrays, tensor: Any) -> race.Peers:
    return {
        **ours(jacobian, arrays),
        "by hand": by_hand,
        **frameworks.jax_peer("jacrev", function, "x", arrays),
        **frameworks.jax_peer("jacfwd", function, "x", arrays, "JAX jit jacfwd"),
        **frameworks.torch_peer("jacrev", function, "x", arrays),
        **frameworks.tensorgrad_peer(tensor),
    }


# --- times a direction, the derivative kept factored
def factorisation_times(n: int, k: int) -> race.Peers:
    """The Hessian of ‖T − UVᵀ‖² by U times a direction: 2 dU VᵀV. By hand, the dense closed form is multiplied."""
    arrays = {"T": normal(n, n), "U": normal(n, k), "V": normal(n, k, seed=1)}
    V, direction = arrays["V"], normal(n, k, seed=2)
    loss = cr.parse("norm(T - U @ V.T)**2", FACTORS)
    along = cr.jvp(cr.grad(loss, "U"), "U", "dU")

    def by_hand() -> np.ndarray:
        H = np.zeros((n, k, n, k))
        np.einsum("iaib->iab", H)[...] = 2 * (V.T @ V)
        return np.tensordot(H, direction, 2)

    def function(xp: Any, T: Any, U: Any, V: Any) -> Any:
        return ((T - U @ V.T) ** 2).sum()

    return {
        **ours_times(cr.hessian(loss, "U"), arrays, direction, accept=["T"]),
        **ours(along, {**arrays, "dU": direction}, "chainrule, jvp of grad", accept=["T", "U"]),
        "by hand": by_hand,
        **frameworks.jax_times(function, "U", arrays, direction),
    }


def tanh_times(n: int) -> race.Peers:
    """The Jacobian of tanh(Ax) times a direction: (1 − tanh²) ⊙ Av. By hand, the dense closed form is multiplied."""
    A, x, direction = normal(n, n) / n**0.5, normal(n), normal(n, seed=2)
    f = cr.parse("tanh(A @ x)", {"A": ("n", "n"), "x": "n"})
    return {
        **ours_times(cr.jacobian(f, "x"), {"A": A, "x": x}, direction),
        **ours(cr.jvp(f, "x", "dx"), {"A": A, "x": x, "dx": direction}, "chainrule, jvp"),
        "by hand": lambda: ((1 - np.tanh(A @ x) ** 2)[:, None] * A) @ direction,
    }


def diagonal_times(n: int) -> race.Peers:
    """The Jacobian of tanh(x) times a direction: a diagonal. By hand, the dense closed form is multiplied."""
    x, direction = normal(n), normal(n, seed=2)
    jacobian = cr.jacobian(cr.parse("tanh(x)", {"x": "n"}), "x")
    return {
        **ours_times(jacobian, {"x": x}, direction),
        "by hand": lambda: np.diag(1 - np.tanh(x) ** 2) @ direction,
    }


def races(small: bool = False) -> Iterator[race.Race]:
    """Yield the cases, from small to large."""
    for n in (7,) if small else (30, 100, 300, 1000, 3000):
        yield race.Race(f"Hessian, quadratic, n = {n}", lambda n=n: quadratic(n))
    for N, d in ((20, 4),) if small else ((1000, 10), (10_000, 100), (100_000, 100), (20_000, 500), (2000, 1000)):
        yield race.Race(f"Hessian, logistic, N = {N}, d = {d}", lambda N=N, d=d: logistic(N, d))
    for n, k in ((6, 2),) if small else ((30, 5), (100, 5), (200, 5), (500, 5)):
        out: dict[str, str] = {"left out": "torch.func: out of memory"} if n * k > TORCH_ENTRIES else {}
        yield race.Race(
            f"Hessian, factorisation, n = m = {n}, k = {k}", lambda n=n, k=k: factorisation(n, k), facts=out
        )
    for n, layers in ((4, 3),) if small else ((10, 10), (20, 10), (50, 10), (70, 10)):
        yield race.Race(f"Hessian, network, {layers} layers of {n}", lambda n=n, m=layers: network(n, m))
    for n in (5,) if small else (30, 100, 300, 1000, 3000):
        yield race.Race(f"Jacobian, softmax(Wx), n = {n}", lambda n=n: softmax_jacobian(n))
        yield race.Race(f"Jacobian, tanh(Ax), n = {n}", lambda n=n: tanh_jacobian(n))
    for n, k in ((6, 2),) if small else ((100, 5), (500, 5)):
        yield race.Race(
            f"Hessian times direction, factorisation, n = {n}, k = {k}", lambda n=n, k=k: factorisation_times(n, k)
        )
    for n in (5,) if small else (100, 1000, 3000):
        yield race.Race(f"Jacobian times direction, tanh(Ax), n = {n}", lambda n=n: tanh_times(n))
        yield race.Race(f"Jacobian times direction, tanh(x), n = {n}", lambda n=n: diagonal_times(n))


if __name__ == "__main__":
    race.main("hessians", races)
