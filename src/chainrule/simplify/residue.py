"""Values modulo a large prime at a random point: exact, so that zero is zero."""

from __future__ import annotations

import zlib
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.expression.extent import extent_of, names_of
from chainrule.expression.node import Add, Apply, Dimension, Einsum, Expr, Identity, Number, Ones, Symbol, walk
from chainrule.expression.power import exponent_of
from chainrule.expression.power import power as power_op
from chainrule.expression.shape import Scalar
from chainrule.ops.linear import inv
from chainrule.rewrite.facts import holds

PRIME = 2**31 - 1  # products of two residues fit 64 bits
MOST = 200_000  # entries that a product may have on the way
SPREAD = np.uint64(0x9E3779B97F4A7C15)


class NoResidue(Exception):
    """A division by zero at this point, a float, or an array too large."""


class Residues:
    """One random point: sizes, values of the symbols, and every value worked out there so far."""

    def __init__(self, root: Expr, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        names: list[str] = []
        for node in walk(root):
            shape = (node.size,) if isinstance(node, Dimension) else node.shape
            names += [name for size in shape for name in names_of(size) if name not in names]
        self.sizes = {name: 2 + (k + seed) % 3 + seed % 2 for k, name in enumerate(sorted(names))}
        self.done: dict[Expr, Any] = {}

    def value(self, e: Expr) -> Any:
        """Return the value of an expression here. Raises: NoResidue."""
        for node in walk(e, known=self.done):
            self.done[node] = self._value(node, [self.done[a] for a in node.args])
        return self.done[e]

    def _value(self, e: Expr, args: list[Any]) -> Any:
        extent = tuple(extent_of(s, self.sizes) for s in e.shape)
        if isinstance(e, Symbol):
            return self._drawn(e, extent)
        if isinstance(e, Number):
            return _residue(e.value)
        if isinstance(e, Dimension):
            return extent_of(e.size, self.sizes) % PRIME
        if isinstance(e, Ones | Identity):
            return np.ones(extent, np.int64) if isinstance(e, Ones) else np.eye(extent[0], dtype=np.int64)
        if isinstance(e, Add):
            terms = (_residue(c) * a % PRIME for c, a in zip(e.coefficients, args, strict=True))
            return sum(terms, np.zeros(extent, np.int64)) % PRIME
        if isinstance(e, Einsum):
            return _product(e, args)
        assert isinstance(e, Apply)
        return _applied(e, args, extent)

    def _drawn(self, e: Symbol, extent: tuple[int, ...]) -> Any:
        """A random value with the symbol's facts, as far as they say more than signs."""
        value = self.random.integers(1, PRIME, extent)
        if holds("diagonal", e):
            return value * np.eye(extent[0], dtype=np.int64)
        if holds("symmetric", e):
            return (value + value.T) % PRIME
        if holds("orthogonal", e):
            return _matmul(_reflection(value[0]), _reflection(value[-1]))
        if holds("sums to one", e):
            value[..., -1] = (1 - value[..., :-1].sum(-1)) % PRIME
        return value


def _residue(c: Scalar) -> int:
    if isinstance(c, float):
        raise NoResidue
    f = Fraction(c)
    return f.numerator * pow(f.denominator, -1, PRIME) % PRIME


def _product(e: Einsum, args: list[Any]) -> Any:
    """Multiply factor after factor, adding up each index as soon as no later factor has it."""
    letters: list[int] = []
    value: Any = np.int64(1)
    for k, (a, sub) in enumerate(zip(args, e.subscripts, strict=True)):
        new = [i for i in dict.fromkeys(sub) if i not in letters]
        letters = [*letters, *new]
        value = np.reshape(value, (*np.shape(value), *(1 for _ in new)))
        value = value * _laid_out(np.asarray(a), sub, letters) % PRIME
        if value.size > MOST:
            raise NoResidue
        later = {i for s in e.subscripts[k + 1 :] for i in s} | set(e.output)
        gone = tuple(axis for axis, i in enumerate(letters) if i not in later)
        value = value.sum(axis=gone) % PRIME if gone else value
        letters = [i for i in letters if i in later]
    return np.transpose(value, [letters.index(i) for i in e.output])


def _laid_out(a: np.ndarray, sub: tuple[int, ...], letters: list[int]) -> np.ndarray:
    """Return `a` as an array over all letters, with size 1 where it does not have the letter."""
    if len(set(sub)) < len(sub):  # a repeated letter takes the diagonal
        kept = list(dict.fromkeys(sub))
        a, sub = np.einsum(a, list(sub), kept), tuple(kept)
    order = sorted(range(len(sub)), key=lambda axis: letters.index(sub[axis]))
    shape = iter(a.shape[axis] for axis in order)
    return a.transpose(order).reshape([next(shape) if i in sub else 1 for i in letters])


def _applied(e: Apply, args: list[Any], extent: tuple[int, ...]) -> Any:
    if e.op is power_op and exponent_of(e)[0] is not e:
        k = exponent_of(e)[1]
        if isinstance(k, int):
            return raised(np.asarray(args[0]), k)
        if isinstance(k, Fraction):
            return raised(_scattered(f"root {k.denominator}", np.asarray(args[0])), k.numerator)
    if e.op is inv and e.ndim == 2:
        return inverse(args[0])
    return _opaque(e, args, extent)


def raised(a: np.ndarray, k: int) -> np.ndarray:
    """Return aᵏ, entry by entry. Raises: NoResidue for the inverse of zero."""
    if k < 0 and not a.all():
        raise NoResidue
    k %= PRIME - 1  # aᵖ⁻¹ = 1 (Fermat)
    result = np.ones_like(a)
    while k:
        result = result * a % PRIME if k & 1 else result
        a = a * a % PRIME
        k >>= 1
    return result


def inverse(a: np.ndarray) -> np.ndarray:
    """Return A⁻¹ by elimination. Raises: NoResidue for a singular matrix."""
    n = len(a)
    work = np.concatenate([a, np.eye(n, dtype=np.int64)], axis=1)
    for k in range(n):
        pivot = k + int(np.argmax(work[k:, k] != 0))
        if not work[pivot, k]:
            raise NoResidue
        work[[k, pivot]] = work[[pivot, k]]
        work[k] = work[k] * pow(int(work[k, k]), -1, PRIME) % PRIME
        others = [i for i in range(n) if i != k]
        work[others] = (work[others] - work[others, k : k + 1] * work[k]) % PRIME
    return work[:, n:]


def _matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a[:, :, None] * b[None, :, :] % PRIME).sum(axis=1) % PRIME)


def _reflection(v: np.ndarray) -> np.ndarray:
    """I − 2vvᵀ/(vᵀv), which is orthogonal."""
    square = int((v * v % PRIME).sum() % PRIME)
    if not square:
        raise NoResidue
    outer = v[:, None] * v[None, :] % PRIME
    return np.asarray((np.eye(len(v), dtype=np.int64) - outer * (2 * pow(square, -1, PRIME) % PRIME)) % PRIME)


def _scattered(name: str, a: np.ndarray) -> np.ndarray:
    """A random function, the same wherever the name and the value are the same."""
    with np.errstate(over="ignore"):
        x = (a.astype(np.uint64) + np.uint64(zlib.crc32(name.encode()))) * SPREAD
        x = (x ^ (x >> np.uint64(29))) * SPREAD
        x = (x ^ (x >> np.uint64(32))) * SPREAD
    return np.asarray(1 + (x >> np.uint64(20)) % np.uint64(PRIME - 1), dtype=np.int64)


def _opaque(e: Apply, args: list[Any], extent: tuple[int, ...]) -> np.ndarray:
    """Any other function: equal arguments give equal random values."""
    if e.op.is_elementwise:
        mixed = np.zeros(extent, np.int64)
        for a in args:
            mixed = _scattered(e.op.name, (mixed * 31 + a) % PRIME)
        return mixed
    batch = extent[: len(extent) - len(e.op.core.output)]
    mixed = np.zeros(batch, np.int64)
    for a, core in zip(args, e.op.core.inputs, strict=True):
        entries = np.reshape(a, (*batch, -1)) if core else np.reshape(a, (*batch, 1))
        for k in range(entries.shape[-1]):
            mixed = _scattered(e.op.name, (mixed * 31 + entries[..., k]) % PRIME)
    core_extent = extent[len(batch) :]
    places = np.arange(int(np.prod(core_extent, dtype=int))).reshape(core_extent)
    return _scattered(e.op.name, (mixed.reshape((*batch, *(1 for _ in core_extent))) * 31 + places) % PRIME)
