"""In which order to multiply the factors of a product: Σ over pairs of what a pair costs, least in total.

Source: the order of a chain of contractions is chosen by dynamic programming over subsets of the factors, as in
Pfeifer, Haegeman, Verstraete, *Faster identification of optimal contraction sequences*, Phys. Rev. E 90, 033315 (2014).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import combinations
from math import prod

from chainrule.expression.shape import Size

Tree = int | tuple["Tree", "Tree"]
Labels = frozenset[int]
Known = Callable[[int, int, Labels], bool]  # is the product of factors a and b, keeping these indices, at hand already?

EXHAUSTIVE = 6  # factors: 3^6 splits are tried in about a millisecond
MANY, FEW = 1000.0, 50.0  # what a size is taken for: textbooks write N for the number of samples, and d beside it
KEPT_DISCOUNT = 1e-6  # what depends on constants alone is computed once, not in every call
MATRIX_DISCOUNT = 1 / 8  # a multiplication inside a matrix product is cheaper than one that goes through memory


def leaves(tree: Tree) -> list[int]:
    """Return the factors that are multiplied in a tree."""
    return [tree] if isinstance(tree, int) else leaves(tree[0]) + leaves(tree[1])


def nominal(size: Size) -> float:
    """Return the number that stands for a size when costs are compared."""
    if isinstance(size, int):
        return float(max(size, 1))
    return MANY if size[:1].isupper() else FEW


def step_cost(a: Labels, b: Labels, kept: Labels, sizes: Mapping[int, float]) -> float:
    """Return the cost of one product of two factors: multiplications, and entries written."""
    union = a | b
    work = prod(sizes[i] for i in union)
    if a - b and b - a and union - kept:
        work *= MATRIX_DISCOUNT
    return work + prod(sizes[i] for i in kept)


def contraction_order(
    factors: Sequence[Collection[int]],
    output: Collection[int],
    sizes: Mapping[int, float],
    known: Known = lambda a, b, kept: False,
    fixed: Collection[int] = (),
) -> tuple[float, Tree]:
    """Return (cost, tree) of the cheapest order found; leaves of the tree are positions in `factors`.

    Products of `fixed` factors cost next to nothing.
    """
    labels = [frozenset(factor) for factor in factors]
    if len(labels) > EXHAUSTIVE:
        return _greedy(labels, frozenset(output), sizes)
    moving = sum(1 << k for k in range(len(labels)) if k not in fixed)
    return _exhaustive(labels, frozenset(output), sizes, known, moving)


def _exhaustive(
    labels: Sequence[Labels], output: Labels, sizes: Mapping[int, float], known: Known, moving: int
) -> tuple[float, Tree]:
    everything = (1 << len(labels)) - 1
    results = {mask: _kept(labels, mask, output) for mask in range(1, everything + 1)}
    best: dict[int, tuple[float, Tree]] = {1 << k: (0.0, k) for k in range(len(labels))}
    for mask in sorted(range(1, everything + 1), key=int.bit_count):
        part = (mask - 1) & mask
        while part:
            rest = mask ^ part
            if part < rest:
                (cost_a, a), (cost_b, b) = best[part], best[rest]
                step = step_cost(results[part], results[rest], results[mask], sizes)
                step *= 1 if mask & moving else KEPT_DISCOUNT
                if isinstance(a, int) and isinstance(b, int) and known(a, b, results[mask]):
                    step = 0.0
                if mask not in best or cost_a + cost_b + step < best[mask][0]:
                    best[mask] = (cost_a + cost_b + step, (a, b))
            part = (part - 1) & mask
    return best[everything]


def _kept(labels: Sequence[Labels], mask: int, output: Labels) -> Labels:
    """The indices that the product of these factors must keep: those of the output and of the other factors."""
    inside = frozenset().union(*(sub for k, sub in enumerate(labels) if mask >> k & 1))
    outside = output.union(*(sub for k, sub in enumerate(labels) if not mask >> k & 1))
    return inside & outside


def _greedy(labels: Sequence[Labels], output: Labels, sizes: Mapping[int, float]) -> tuple[float, Tree]:
    """Factors with the same indices first, one after the other; then always the pair that saves most."""
    same: dict[Labels, Tree] = {}
    for k, sub in enumerate(labels):
        same[sub] = (same[sub], k) if sub in same else k
    rest = [(tree, sub) for sub, tree in same.items()]
    total = sum(prod(sizes[i] for i in sub) for sub in labels)
    while len(rest) > 1:
        holders = Counter(i for _, sub in rest for i in sub)
        steps = []
        for (i, (_, a)), (j, (_, b)) in combinations(enumerate(rest), 2):
            kept = frozenset(n for n in a | b if n in output or holders[n] > (n in a) + (n in b))
            freed = prod(sizes[n] for n in a) + prod(sizes[n] for n in b)
            cost = step_cost(a, b, kept, sizes)
            steps.append((cost - freed, cost, i, j, kept))
        _, cost, i, j, kept = min(steps, key=lambda step: step[:4])
        total += cost
        pair: Tree = (rest[i][0], rest[j][0])
        rest = [item for k, item in enumerate(rest) if k not in (i, j)] + [(pair, kept)]
    return total, rest[0][0]
