"""Products in canonical form: one flat list of factors, identities and ones eliminated, equal factors as powers.

Products, sums and powers define each other, so these three modules import one another as modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count

import chainrule.expression.power as power
import chainrule.expression.total as total
from chainrule.errors import ShapeError
from chainrule.expression.extent import is_derived, plus, terms_of, times
from chainrule.expression.node import (
    ONE,
    Add,
    Apply,
    Dimension,
    Einsum,
    Expr,
    Identity,
    Number,
    Ones,
    Order,
    Subscripts,
    zeros,
)
from chainrule.expression.shape import Scalar, Size

Factor = tuple[Expr, Subscripts]


@dataclass(slots=True)
class _Product:
    """A product being put into canonical form: Π factors, times a number, with some indices known to be equal."""

    output: Subscripts
    coefficient: Scalar = 1
    factors: list[Factor] = field(default_factory=list)
    equal: list[tuple[int, int]] = field(default_factory=list)  # index pairs that an identity ties together
    sizes: dict[int, Size] = field(default_factory=dict)
    is_zero: bool = False


def einsum(args: Sequence[Expr], subscripts: Sequence[Subscripts], output: Subscripts) -> Expr:
    """Return Σ Π args over the indices that `output` lacks, in canonical form.

    Indices are integers; an index in `output` that no factor has needs a factor `Ones` to give its size.
    Raises: ShapeError if one index has two sizes.
    """
    product = _Product(tuple(output))
    fresh = count(1 + max((i for sub in (*subscripts, output) for i in sub), default=0))
    _settle(product, list(zip(args, subscripts, strict=True))[::-1], fresh)
    if product.is_zero:
        return zeros(_shape(args, subscripts, output))
    if product.equal:
        _tie(product)
        _settle(product, _merge_powers(product), fresh)
    while _contract_hot(product):
        _tie(product)
        _settle(product, _merge_powers(product), fresh)
    if product.is_zero:
        return zeros(_shape(args, subscripts, output))
    _cover(product, fresh)
    _settle(product, _merge_powers(product), fresh)
    _expand(product)
    apart = _separated(product)
    return total.scale(product.coefficient, _assemble(product) if apart is None else apart)


def _settle(product: _Product, work: list[Factor], fresh: count[int]) -> None:
    """Absorb factors until none is left that splits, vanishes or merges with another."""
    _merge_whole(work)
    while work and not product.is_zero:
        _absorb(product, *work.pop(), work, fresh)
        if not work:
            work = _merge_powers(product)


def _merge_whole(work: list[Factor]) -> None:
    """(Xw)ᵢ (Xw)ᵢ = (Xw)ᵢ²: merge equal sums of products before they fall apart into factors."""
    if len(work) < 2:
        return
    for factor in {f for f in work if isinstance(f[0], Einsum) and f[0].summed}:
        times = work.count(factor)
        if times > 1:
            work[:] = [f for f in work if f != factor] + [(power.power_of(factor[0], times), factor[1])]


def _shape(args: Sequence[Expr], subscripts: Sequence[Subscripts], output: Subscripts) -> tuple[Size, ...]:
    sizes = {i: s for arg, sub in zip(args, subscripts, strict=True) for i, s in zip(sub, arg.shape, strict=True)}
    return tuple(sizes[i] for i in output)


def _absorb(product: _Product, e: Expr, sub: Subscripts, work: list[Factor], fresh: count[int]) -> None:
    """Take one factor in; a factor that is itself a product gives its own factors (a product of products is one)."""
    _note_sizes(product, e, sub)
    if isinstance(e, Number):
        product.coefficient *= e.value
        product.is_zero = e.value == 0
    elif isinstance(e, Add):
        _absorb_sum(product, e, sub, work)
    elif isinstance(e, Einsum):
        names = {i: next(fresh) for i in e.sizes} | dict(zip(e.output, sub, strict=True))
        pairs = zip(reversed(e.args), reversed(e.subscripts), strict=True)
        work.extend((arg, tuple(names[i] for i in inner)) for arg, inner in pairs)
    elif isinstance(e, Identity):
        product.equal.append((sub[0], sub[1]))
    elif not isinstance(e, Ones):
        product.factors.append((e, sub))


def _note_sizes(product: _Product, e: Expr, sub: Subscripts) -> None:
    for i, size in zip(sub, e.shape, strict=True):
        if product.sizes.setdefault(i, size) != size:
            raise ShapeError(f"one index runs over two sizes, {product.sizes[i]} and {size}")


def _absorb_sum(product: _Product, e: Add, sub: Subscripts, work: list[Factor]) -> None:
    """c·u gives its coefficient to the product; a longer sum stays a factor, without its content."""
    if not e.args:
        product.is_zero = True
    elif len(e.args) == 1:
        product.coefficient *= e.coefficients[0]
        work.append((e.args[0], sub))
    else:
        c = total.content(e)
        product.coefficient *= c
        product.factors.append((total.scale(1 / Fraction(c), e) if c != 1 else e, sub))


def _merge_powers(product: _Product) -> list[Factor]:
    """x ⊙ x = x², xᵃ ⊙ xᵇ = xᵃ⁺ᵇ on equal indices. Returns the merged factors, to be absorbed again."""
    if len(product.factors) < 2:
        return []
    groups: dict[Factor, list[Factor]] = {}
    exponents: dict[Factor, Scalar] = {}
    for e, sub in product.factors:
        base, k = power.exponent_of(e)
        groups.setdefault((base, sub), []).append((e, sub))
        exponents[base, sub] = exponents.get((base, sub), 0) + k
    if len(groups) == len(product.factors):
        return []
    product.factors = [group[0] for group in groups.values() if len(group) == 1]
    return [(power.power_of(key[0], exponents[key]), key[1]) for key, group in groups.items() if len(group) > 1]


def _tie(product: _Product) -> None:
    """Eliminate identities: δᵢⱼ renames j to i. It stays only between two indices of the output."""
    if not product.equal:
        return
    root: dict[int, int] = {}

    def find(i: int) -> int:
        while i in root:
            i = root[i]
        return i

    place = {i: k for k, i in enumerate(product.output)}
    for i, j in product.equal:
        a, b = sorted((find(i), find(j)), key=lambda n: place.get(n, len(place)))
        if a != b:
            root[b] = a
    product.factors = [(e, tuple(find(i) for i in sub)) for e, sub in product.factors]
    product.equal = [(find(i), i) for i in product.output if find(i) != i]
    product.sizes = {i: size for i, size in product.sizes.items() if i not in root or i in place}


def _contract_hot(product: _Product) -> bool:
    """Sum out an array of zeros and ones: Σₐ Sᵢₐ = 1, and Σₐ Sᵢₐ Sⱼₐ = δᵢⱼ for rows Sᵢ of an identity."""
    hot = [(e, e.op, sub, group) for e, sub in product.factors if isinstance(e, Apply) for group in e.op.hot]
    for e, op, sub, group in hot:
        inner, rest = _divided(sub, group)
        users = [(f, s) for f, s in product.factors if set(inner) & set(s)]
        if set(inner) & {*product.output, *rest} or len(set(inner)) < len(inner) or len(users) > 2:
            continue
        twin, place = next((u for u in users if u != (e, sub)), (e, sub))
        if op.is_positional and place is not sub:
            continue
        same, other = _divided(place, group) if isinstance(twin, Apply) and twin.op is op else ((), place)
        if set(inner) & set(other):
            continue
        if twin is e and same == inner:
            product.equal += zip(rest, other, strict=True)
            product.factors = [f for f in product.factors if f not in users]
            product.sizes = {i: size for i, size in product.sizes.items() if i not in inner}
            return True
        product.is_zero = product.is_zero or (op.apart is not None and op.apart(e, twin))
    return False


def _divided(sub: Subscripts, group: tuple[int, ...]) -> tuple[Subscripts, Subscripts]:
    """Return the subscripts on the axes of a group, and the others."""
    places = {axis % len(sub) for axis in group}
    return tuple(sub[axis] for axis in group), tuple(i for axis, i in enumerate(sub) if axis not in places)


def _covered(product: _Product) -> set[int]:
    return {i for _, sub in product.factors for i in sub} | {i for pair in product.equal for i in pair}


def _cover(product: _Product, fresh: count[int]) -> None:
    """A summed index that no factor has is a sum of ones: its size."""
    for i in product.sizes.keys() - _covered(product) - set(product.output):
        size = product.sizes[i]
        if isinstance(size, int):
            product.coefficient *= size
        elif is_derived(size):
            _settle(product, [(size_number(size), ())], fresh)
        else:
            product.factors.append((Dimension(size), ()))


def size_number(size: Size) -> Expr:
    """Return a size as a number: the N of 1/N, and n − 1 for the size `n-1`."""
    if isinstance(size, str) and not is_derived(size):
        return Dimension(size)
    terms = [(c, [ONE, *(Dimension(name) for name in names)]) for names, c in terms_of(size)]
    return total.add_terms([(c, einsum(factors, [()] * len(factors), ())) for c, factors in terms], ())


def number_size(e: Expr) -> Size:
    """Return the size that a number made of sizes is: the inverse of `size_number`."""
    if isinstance(e, Number):
        return int(e.value)
    if isinstance(e, Dimension):
        return e.size
    if isinstance(e, Add):
        return plus(*(times(int(c), number_size(t)) for c, t in zip(e.coefficients, e.args, strict=True)))
    return times(*(number_size(arg) for arg in e.args)) if isinstance(e, Einsum) else _power_size(e)


def _power_size(e: Expr) -> Size:
    base, k = power.exponent_of(e)
    return times(*[number_size(base)] * int(k))


def _expand(product: _Product) -> None:
    """An index of the output that no factor has is expanded by ones; two that are tied keep their identity."""
    covered = _covered(product)
    for a, b in product.equal:
        product.factors.append((Identity(product.sizes[a]), (a, b)))
    bare = tuple(i for i in product.output if i not in covered)
    if bare:
        product.factors.append((Ones(tuple(product.sizes[i] for i in bare)), bare))


def _separated(product: _Product) -> Expr | None:
    """Σᵢ (xᵢ yᵢ − zᵢ) = x·y − Σᵢ zᵢ: a sum of all entries is split where a term becomes a product of arrays.

    A sum without such a term stays whole: Σᵢ (yᵢ − zᵢ), the sum of an error. Returns None where nothing is split.
    """
    for k, (e, sub) in enumerate(product.factors):
        if not isinstance(e, Add) or not any(_is_contracted(t) for t in e.args):
            continue
        rest = [factor for j, factor in enumerate(product.factors) if j != k]
        elsewhere = {*product.output, *(i for _, other in rest for i in other)}
        if sub and len(set(sub)) == len(sub) and elsewhere.isdisjoint(sub):
            factors = [*rest, (_sum_of_entries(e), ())]
            return einsum([f for f, _ in factors], [s for _, s in factors], product.output)
    return None


def _sum_of_entries(e: Add) -> Expr:
    """Return the sum of all entries, each term that is contracted by itself, the others together."""
    every = tuple(range(e.ndim))
    terms = list(zip(e.coefficients, e.args, strict=True))
    parts = [(c, einsum([t], [every], ())) for c, t in terms if _is_contracted(t)]
    joined = [(c, t) for c, t in terms if not _is_contracted(t)]
    if joined:
        parts.append((1, einsum([total.add_terms(joined, e.shape)], [every], ())))
    return total.add_terms(parts, ())


def _is_contracted(e: Expr) -> bool:
    """True for x ⊙ y and x²: summed over its entries it is a product of arrays, x·y or ‖x‖²."""
    if power.exponent_of(e)[1] == 2:
        return True
    if not isinstance(e, Einsum):
        return False
    used = [i for arg, sub in zip(e.args, e.subscripts, strict=True) if not isinstance(arg, Ones) for i in sub]
    return any(used.count(i) > 1 for i in e.output)


def _assemble(product: _Product) -> Expr:
    """Order the factors, number the indices by first use, and drop the wrapping where nothing is left to wrap."""
    if not product.factors:
        return ONE
    factors = _ordered(product.factors, product.output)
    if len(factors) == 1:
        e, sub = factors[0]
        if sub == product.output:
            return e
        if isinstance(e, Add) and sorted(sub) == sorted(product.output):
            return _permuted_sum(e, sub, product.output)
        if isinstance(e, Ones | Identity) and sorted(sub) == sorted(product.output):
            return e if isinstance(e, Identity) else Ones(tuple(product.sizes[i] for i in product.output))
    names: dict[int, int] = {}
    for _, sub in factors:
        for i in sub:
            names.setdefault(i, len(names))
    renamed = tuple(tuple(names[i] for i in sub) for _, sub in factors)
    return Einsum(tuple(e for e, _ in factors), renamed, tuple(names[i] for i in product.output))


def _permuted_sum(e: Add, sub: Subscripts, output: Subscripts) -> Expr:
    """(A + B)ᵀ = Aᵀ + Bᵀ."""
    terms = [(c, einsum([t], [sub], output)) for c, t in zip(e.coefficients, e.args, strict=True)]
    return total.add_terms(terms, terms[0][1].shape)


def _ordered(factors: list[Factor], output: Subscripts) -> list[Factor]:
    """Sort factors by structure; equal factors by how they are connected, refined until the order is settled."""
    if len({e for e, _ in factors}) == len(factors):
        return sorted(factors, key=lambda f: f[0].order)
    color: dict[int, int] = {i: k + 1 for k, i in enumerate(output)}
    for _ in range(3):
        marks: dict[int, list[tuple[Order, tuple[int, ...], int]]] = {}
        for e, sub in factors:
            seen = tuple(color.get(i, 0) for i in sub)
            for place, i in enumerate(sub):
                marks.setdefault(i, []).append((e.order, seen, place))
        keys = {i: (color.get(i, 0), tuple(sorted(marks[i]))) for i in marks}
        ranks = {key: n for n, key in enumerate(sorted(set(keys.values())))}
        color = {i: 1 + ranks[key] for i, key in keys.items()}
    return _connected_order(factors, color)


def _connected_order(factors: list[Factor], color: dict[int, int]) -> list[Factor]:
    """Take the smallest factor first, preferring indices already met: ties left are symmetric ones."""
    met: dict[int, int] = {}
    rest, result = list(factors), []
    while rest:
        best = min(rest, key=lambda f: (f[0].order, [color[i] for i in f[1]], [met.get(i, len(met)) for i in f[1]]))
        rest.remove(best)
        result.append(best)
        for i in best[1]:
            met.setdefault(i, len(met))
    return result


def expanded_axes(e: Expr) -> set[int]:
    """Return the axes along which `e` is constant because a factor of ones expands it there."""
    if isinstance(e, Ones):
        return set(range(len(e.shape)))
    if isinstance(e, Einsum):
        ones = {i for arg, sub in zip(e.args, e.subscripts, strict=True) if isinstance(arg, Ones) for i in sub}
        return {axis for axis, i in enumerate(e.output) if i in ones}
    if isinstance(e, Add) and len(e.args) == 1:
        return expanded_axes(e.args[0])
    return set()


def is_permutation(e: Expr) -> bool:
    """True for a bare transpose: one factor whose axes are only reordered."""
    return isinstance(e, Einsum) and len(e.args) == 1 and sorted(e.subscripts[0]) == sorted(e.output)


def factors_of(e: Expr) -> list[Factor]:
    """Return the factors of a product with their subscripts; anything else is its own single factor."""
    if isinstance(e, Einsum):
        return list(zip(e.args, e.subscripts, strict=True))
    return [(e, tuple(range(len(e.shape))))]
