"""Outer products: of a sum of them the common factors are taken out, and the last product has long rows to write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import prod

from chainrule.compile.contraction import Tree, leaves
from chainrule.expression.node import Add, Einsum, Expr, Subscripts
from chainrule.expression.product import einsum
from chainrule.expression.total import add_terms

ROW = 64  # entries that could be written in the time that it takes to begin a row

Factor = tuple[Expr, Subscripts]  # and the axes of the result that it has


# --- a sum of outer products
def with_common_factors(e: Expr) -> Expr:
    """Return Σₖ cₖ u ⊗ aₖ as u ⊗ Σₖ cₖ aₖ: the terms are added while they have few entries.

    >>> from chainrule.expression.build import contract, matrix, vector
    >>> x, A, B = vector("x", "n"), matrix("A", "n", "n"), matrix("B", "n", "n")
    >>> e = contract("j,l,ik->ijkl", x, x, A) - contract("j,l,ik->ijkl", x, x, B)
    >>> [str(arg) for arg in with_common_factors(e).args]
    ['x', 'x', 'A − B']
    """
    if not isinstance(e, Add) or len(e.args) < 2 or not all(_is_plain(t) for t in e.args):
        return e
    terms = [t for t in e.args if isinstance(t, Einsum)]
    common = Counter(f for f in _factors(terms[0]) if f[1] and -1 not in f[1])
    for t in terms[1:]:
        common &= Counter(_factors(t))
    # what has an axis that the rest has too makes the sum no smaller
    kept = {axis for t in terms for _, own in (Counter(_factors(t)) - common).elements() for axis in own}
    outside = list(common.elements())
    while inside := [own for _, own in outside if kept & set(own)]:
        outside = [(f, own) for f, own in outside if not kept & set(own)]
        kept.update(*inside)  # a factor that stays has axes as well
    axes = tuple(axis for axis in range(e.ndim) if all(axis not in own for _, own in outside))
    inner = [_without(t, outside, axes) for t in terms]
    if not outside or not axes or any(t is None for t in inner):
        return e
    shape = tuple(e.shape[axis] for axis in axes)
    total = add_terms(((c, t) for c, t in zip(e.coefficients, inner, strict=True) if t is not None), shape)
    return einsum([*(f for f, _ in outside), total], [*(own for _, own in outside), axes], tuple(range(e.ndim)))


def _is_plain(e: Expr) -> bool:
    """True for a product of which each axis has an index of its own."""
    return isinstance(e, Einsum) and len(set(e.output)) == e.ndim


def _factors(e: Einsum) -> list[Factor]:
    """Return the factors with their axes, -1 where an index is summed over."""
    place = {i: axis for axis, i in enumerate(e.output)}
    return [(arg, tuple(place.get(i, -1) for i in sub)) for arg, sub in zip(e.args, e.subscripts, strict=True)]


def _without(e: Einsum, outside: Sequence[Factor], axes: tuple[int, ...]) -> Expr | None:
    """Return the product on these axes without the factors; None if no other factor has one of the axes."""
    gone, rest = Counter(outside), []
    for factor, sub in zip(_factors(e), e.subscripts, strict=True):
        if gone[factor]:
            gone[factor] -= 1
        else:
            rest.append((factor[0], sub))
    output = tuple(e.output[axis] for axis in axes)
    if not {i for _, sub in rest for i in sub} >= set(output):
        return None
    return einsum([f for f, _ in rest], [sub for _, sub in rest], output)


# --- in which order one outer product is multiplied out
def with_long_rows(
    tree: Tree, factors: Sequence[Collection[int]], output: Subscripts, sizes: Mapping[int, float]
) -> Tree:
    """Return the order of a ⊗ (b ⊗ c) in which the last product, the largest, is written in the longest rows.

    A row is a run of entries along which each of its two operands either goes on or stays. In mᵢₖ xⱼ xₗ = yᵢⱼₖₗ, one
    entry of x meets all mᵢₖ xₗ of an i; were xⱼ xₗ computed first, rows would be as short as the last axis.
    """
    if isinstance(tree, int) or not output:
        return tree
    for one, pair in (tree, tree[::-1]):
        if isinstance(pair, int):
            continue
        three = (one, *pair)
        held = [_held(t, tree, factors, output) for t in three]
        if set().union(*held) == set(output):  # nothing is summed over between them

            def cost(k: int, held: list[set[int]] = held) -> float:
                inner = set().union(*(labels for n, labels in enumerate(held) if n != k))
                return prod(sizes[i] for i in inner) + ROW * _rows((held[k], inner), output, sizes)

            best = min(range(3), key=cost)
            first, second = (t for k, t in enumerate(three) if k != best)
            return tree if best == 0 else (three[best], (first, second))
    return tree


def _held(part: Tree, tree: Tree, factors: Sequence[Collection[int]], output: Subscripts) -> set[int]:
    """Return the indices that the product of a part of the tree has: those that are needed outside."""
    inside = set(leaves(part))
    outside = {i for k in set(leaves(tree)) - inside for i in factors[k]}
    return {i for k in inside for i in factors[k]} & (outside | set(output))


def _rows(operands: tuple[set[int], set[int]], output: Subscripts, sizes: Mapping[int, float]) -> float:
    last = [output[-1] in labels for labels in operands]
    count = len(output)
    while count and [output[count - 1] in labels for labels in operands] == last:
        count -= 1
    return prod(sizes[i] for i in output[:count])
