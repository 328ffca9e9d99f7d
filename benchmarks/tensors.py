"""The value of a tensorgrad expression, by NumPy. tensorgrad's own `evaluate` needs the named tensors that PyTorch 2.13
no longer has; this reads the same tree: products, sums, copies, renamings and functions of tensors with named edges.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Named = tuple[np.ndarray, list[str]]  # an array, and its edges axis by axis
SIMPLE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "abs": np.abs, "sign": np.sign, "erf": np.vectorize(math.erf),
    "relu": lambda x: np.maximum(x, 0), "gt0": lambda x: (x > 0) * 1.0,
}  # fmt: skip


class Values:
    """Works out tensors at one point, each part once."""

    def __init__(self, point: Mapping[str, np.ndarray], edges: Mapping[str, list[str]], sizes: Mapping[Any, int]):
        self.point, self.edges, self.sizes = point, edges, sizes

    def array(self, tensor: Any, edges: list[str]) -> np.ndarray:
        """Return the value with its axes in the order of `edges`."""
        value, have = self.value(tensor)
        return np.transpose(value, [have.index(e) for e in edges])

    def value(self, t: Any) -> Named:
        return getattr(self, type(t).__name__.lower())(t)

    def variable(self, t: Any) -> Named:
        return np.asarray(self.point[t.name], dtype=float), list(self.edges[t.name])

    def rename(self, t: Any) -> Named:
        value, edges = self.value(t.tensor)
        return value, [t.mapping.get(e, e) for e in edges]

    def delta(self, t: Any) -> Named:
        size, edges = self.sizes[t.size], list(t.edges)
        if not edges:
            return np.asarray(float(size)), edges
        value = np.zeros([size] * len(edges))
        value[(np.arange(size),) * len(edges)] = 1
        return value, edges

    def zero(self, t: Any) -> Named:
        return np.zeros([self.sizes[s] for s in t.shape.values()]), list(t.shape)

    def product(self, t: Any) -> Named:
        number: dict[str, int] = {}
        operands: list[Any] = []
        for value, edges in map(self.value, t.factors):
            operands += [value, [number.setdefault(e, len(number)) for e in edges]]
        edges = list(t.edges)
        return np.einsum(*operands, [number[e] for e in edges], optimize=True) if operands else np.ones(()), edges

    def sum(self, t: Any) -> Named:
        edges = list(t.edges)
        terms = [float(w) * self.array(e, edges) for w, e in zip(t.weights, t.terms, strict=True)]
        return np.asarray(sum(terms)), edges

    def function(self, t: Any) -> Named:
        kind, name = type(t.signature).__name__, t.signature.name
        value, edges = self.value(t.inputs[0])
        if kind == "_PowerFunction":
            return value ** float(t.signature.k), edges
        if name in SIMPLE and not t.signature.edges:
            return SIMPLE[name](value), edges
        if kind in ("_MatrixInverseFunction", "_DeterminantFunction"):
            (core,) = t.signature.inputs
            matrix = sorted(core, key=edges.index)
            order = [*(e for e in edges if e not in core), *matrix]
            value = np.transpose(value, [edges.index(e) for e in order])
            if kind == "_DeterminantFunction":
                return np.linalg.det(value), order[:-2]
            return np.linalg.inv(value), [*order[:-2], *matrix[::-1]]  # edges of one name cancel
        raise NotImplementedError(name)
