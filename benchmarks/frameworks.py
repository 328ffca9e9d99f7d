"""The peers that differentiate by themselves, on the functions of a topic: JAX, PyTorch and tensorgrad.

Each returns a call without arguments whose result is finished; where a library is not installed, there is no peer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import race

Function = Callable[..., Any]
Arrays = Mapping[str, np.ndarray]
Output = tuple[Any, Sequence[str]]  # a tensor of tensorgrad's, and its edges in the order of the axes
Values = Mapping[Any, np.ndarray]  # by its variables


def jax_peer(transform: str, function: Function, wrt: str, arrays: Arrays, name: str = "JAX jit") -> race.Peers:
    """Return `jit(transform(function))` at the arrays; `function(jnp, **arrays)` is written once for all libraries."""
    if not race.installed("jax"):
        return {}
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    rest = {name: jnp.asarray(a) for name, a in arrays.items() if name != wrt}
    x = jnp.asarray(arrays[wrt])
    derived = jax.jit(getattr(jax, transform)(lambda value, others: function(jnp, **others, **{wrt: value})))
    return {name: lambda: derived(x, rest).block_until_ready()}


def jax_times(function: Function, wrt: str, arrays: Arrays, direction: np.ndarray) -> race.Peers:
    """Return the Hessian times a direction without the Hessian: `jit(jvp(grad))`."""
    if not race.installed("jax"):
        return {}
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    rest = {name: jnp.asarray(a) for name, a in arrays.items() if name != wrt}
    x, v = jnp.asarray(arrays[wrt]), jnp.asarray(direction)

    def slope(value: Any, others: Any) -> Any:
        return jax.grad(lambda own: function(jnp, **others, **{wrt: own}))(value)

    derived = jax.jit(lambda value, tangent, others: jax.jvp(lambda own: slope(own, others), (value,), (tangent,))[1])
    return {"JAX jit": lambda: derived(x, v, rest).block_until_ready()}


def torch_peer(transform: str, function: Function, wrt: str, arrays: Arrays) -> race.Peers:
    """Return `torch.func.<transform>` of the function at the arrays."""
    if not race.installed("torch"):
        return {}
    import torch

    rest = {name: torch.as_tensor(a) for name, a in arrays.items() if name != wrt}
    x = torch.as_tensor(arrays[wrt])
    derived = getattr(torch.func, transform)(lambda value: function(torch, **rest, **{wrt: value}))
    return {"torch.func": lambda: derived(x)}


def tensorgrad_peer(make: Callable[[Any, Any], tuple[Any, Sequence[str], Values]]) -> race.Peers:
    """Return tensorgrad's program of `make(tensorgrad, functions)`: a tensor, its edges in order, the values."""

    def one(tg: Any, F: Any) -> tuple[list[Output], Values]:
        tensor, edges, values = make(tg, F)
        return [(tensor, edges)], values

    return tensorgrad_joint(one)


def tensorgrad_joint(make: Callable[[Any, Any], tuple[Sequence[Output], Values]]) -> race.Peers:
    """Return tensorgrad's program of several tensors, compiled together, in the type of the values.

    Its kernels are called directly: its own wrapper uses PyTorch's named tensors, which PyTorch 2.13 no longer has.
    """
    if not race.installed("tensorgrad", "torch"):
        return {}
    import tensorgrad as tg
    import torch
    from tensorgrad import functions as F
    from tensorgrad.compiler import compile_to_callable

    outputs, values = make(tg, F)
    program = compile_to_callable(*(tensor for tensor, _ in outputs))
    tensors = {v: torch.as_tensor(a) for v, a in values.items()}
    sizes = {s: n for v, t in tensors.items() for s, n in zip(v.shape.values(), t.shape, strict=True)}
    (kind,) = {t.dtype for t in tensors.values()}
    given = [tensors[v] for v in program.vars]
    orders = [
        (perm, [list(names).index(edge) for edge in edges])
        for (_, edges), (perm, names) in zip(outputs, program._wrap_plans, strict=True)
    ]

    kernel = program.codegen.specialize(sizes, dtype=kind)

    def run() -> Any:
        with torch.no_grad():
            return tuple(
                (out if perm is None else out.permute(perm)).permute(order)
                for out, (perm, order) in zip(kernel(*given), orders, strict=True)
            )

    return {"tensorgrad": run}
