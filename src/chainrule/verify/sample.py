"""Random generic points: unequal sizes, unsymmetric matrices, away from kinks, inside domains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from chainrule.errors import DomainError
from chainrule.evaluate import evaluate_all
from chainrule.expression.extent import extent_of, is_derived, names_of
from chainrule.expression.gather import position_limits
from chainrule.expression.node import Apply, Dimension, Expr, Identity, Ones, Symbol, walk
from chainrule.expression.shape import Size, concrete

Point = dict[str, np.ndarray]
PRIMES = (3, 4, 2, 5, 6, 7)  # sizes, all different, so that a lost transpose cannot hide
MARGIN = 0.02  # distance kept from kinks and from the borders of domains
ATTEMPTS = 200


def sizes_for(roots: Iterable[Expr], attempt: int = 0) -> dict[str, int]:
    """Choose a different small number for each named size, in order of appearance; later attempts turn the order round
    (XᵀX is regular only if X is tall)."""
    names: dict[str, int] = {}
    derived: set[Size] = set()
    numbers = PRIMES if attempt % 2 == 0 else PRIMES[1::-1] + PRIMES[2:]
    for node in walk(*roots):
        made = isinstance(node, Apply) and node.op.extents  # its sizes may be nowhere else
        shape = node.shape if made or isinstance(node, Symbol | Ones | Identity) or not node.args else ()
        for size in (*shape, *((node.size,) if isinstance(node, Dimension) else ())):
            derived |= {size} if is_derived(size) else set()
            for name in names_of(size):
                names.setdefault(name, numbers[len(names) % len(numbers)])
    for _ in range(4):
        if all(extent_of(size, names) > 0 for size in derived):
            break
        # x[5:] needs more than five entries
        names = {name: count + len(numbers) for name, count in names.items()}
    return names


def generic_points(
    roots: list[Expr], count: int, seed: int = 0, extra: Iterable[Symbol] = ()
) -> Iterator[tuple[Point, dict[str, int]]]:
    """Yield `count` points (values and sizes) at which every root is defined, finite and smooth.

    Raises: DomainError if no such point is found: the formula may be defined nowhere.
    """
    symbols: dict[str, Symbol] = {s.name: s for s in extra}
    for root in roots:
        symbols.update(root.symbols)
    rng = np.random.default_rng(seed)
    limits = position_limits(roots)
    found = 0
    for attempt in range(ATTEMPTS):
        sizes = sizes_for([*roots, *extra], attempt // 4)
        others = {name: s for name, s in symbols.items() if s not in limits}
        point = {name: draw(s, concrete(s.shape, sizes), rng, attempt) for name, s in others.items()}
        for s, limit in limits.items():
            point[s.name] = rng.integers(0, extent_of(limit, sizes), concrete(s.shape, sizes))
        if is_generic(roots, point, sizes):
            yield point, sizes
            found += 1
            if found == count:
                return
    raise DomainError(
        "found no point at which the formula is defined and smooth",
        hint="say what the symbols are: facts such as 'positive' or 'positive definite' narrow the search",
    )


def draw(symbol: Symbol, shape: tuple[int, ...], rng: np.random.Generator, attempt: int) -> np.ndarray:
    """Draw a value: any sign at first, positive later (many domains want that), now and then above 1 or dominated by a
    matrix's diagonal, respecting the symbol's facts."""
    if attempt % 8 == 7:
        value = rng.uniform(1.1, 2.5, shape)
    elif attempt % 16 == 10 and len(shape) > 1 and shape[-1] == shape[-2]:
        value = rng.normal(0.0, 0.5, shape) + shape[-1] * np.eye(shape[-1])
    elif "positive" in symbol.facts or attempt % 4 == 3:
        value = rng.uniform(0.3, 1.7, shape)
    elif attempt % 4 == 2:
        value = rng.uniform(0.05, 0.5, shape)
    else:
        value = rng.normal(0.0, 1.0, shape)
    if len(shape) == 2 and shape[0] == shape[1]:
        value = _with_facts(value, symbol.facts)
    if "one-hot" in symbol.facts:
        value = (value == np.max(value, axis=-1, keepdims=True)) * 1.0
    if "sums to one" in symbol.facts:
        value = np.abs(value) / np.sum(np.abs(value), axis=-1, keepdims=True)
    return np.asarray(value)


def _with_facts(value: np.ndarray, facts: frozenset[str]) -> np.ndarray:
    if "positive definite" in facts:
        return np.asarray(value @ value.T + 0.5 * np.eye(len(value)))
    if "symmetric" in facts:
        return np.asarray((value + value.T) / 2)
    if "diagonal" in facts:
        return np.diag(np.diag(value))
    if "orthogonal" in facts:
        return np.linalg.qr(value)[0]
    return value


def is_generic(roots: list[Expr], point: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> bool:
    """True if every operation below the roots is inside its domain, away from its kinks, and everything is finite."""
    applied = [n for n in walk(*roots) if isinstance(n, Apply)]
    parts = list(dict.fromkeys([*roots, *applied, *(arg for n in applied for arg in n.args)]))
    try:
        values = dict(zip(parts, evaluate_all(parts, point, sizes), strict=True))
    except DomainError:
        return False
    with np.errstate(all="ignore"):
        if not all(np.all(np.isfinite(np.asarray(v, dtype=float))) for v in values.values()):
            return False
        for n in applied:
            args = [values[a] for a in n.args]
            if n.op.domain is not None and not np.all(n.op.domain(*args) > MARGIN):
                return False
            if n.op.kinks is not None and not np.all(np.abs(n.op.kinks(*args)) > MARGIN):
                return False
    return True
