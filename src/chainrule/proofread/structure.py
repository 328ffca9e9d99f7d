"""Small changes of one part that need nothing new: a factor less, another order, another axis, a transpose, a sign."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from itertools import combinations

import numpy as np

from chainrule.expression.build import multiply, transpose
from chainrule.expression.node import Add, Apply, Dimension, Einsum, Expr, Identity, Ones
from chainrule.expression.power import constant_value, exponent_of, power_of
from chainrule.expression.shape import Scalar
from chainrule.expression.total import add_terms, scale
from chainrule.proofread.edit import Edit, Factors, Kind, product_of, product_value
from chainrule.proofread.trial import Occurrence, Trial

ORDER: Kind = "element-wise or matrix product"
AXIS: Kind = "sum, mean or axis"
MULTIPLES = (2, Fraction(1, 2), 3, Fraction(1, 3), 4, Fraction(1, 4))


def structural(here: Occurrence, trial: Trial) -> Iterator[Edit]:
    """Yield the changes of one part that need nothing new."""
    node, value = here.node, trial.value(here.node)
    if isinstance(node, Einsum):
        yield from _of_product(node, trial)
    elif isinstance(node, Add):
        yield from _of_sum(node, trial)
    elif isinstance(node, Apply):
        yield from _of_operation(node, trial)
    if here.parent is None or isinstance(here.parent, Apply):
        yield Edit("sign", 1, -value, partial(scale, -1, node), "the sign of {0} is wrong", (node,))
        yield from _multiples(node, trial)
    if node.ndim == 2 and node.shape[0] == node.shape[1] and not isinstance(here.parent, Einsum):
        yield Edit("transpose", 1.5, value.T, partial(transpose, node), "{0} should be transposed", (node,))
    if node.ndim == 2 and node.shape[0] == node.shape[1] and not isinstance(node, Einsum | Identity | Ones):
        says = "{0} and its transpose come up once each, and only one of them is there: {0} need not be symmetric"
        yield Edit("lost term", 2.1, (value + value.T) / 2, partial(_symmetric_part, node), says, (node,))


def _symmetric_part(e: Expr) -> Expr:
    return scale(Fraction(1, 2), add_terms([(1, e), (1, transpose(e))], e.shape))


def _multiples(node: Expr, trial: Trial) -> Iterator[Edit]:
    """The part times a number or a size, where it stands inside an operation."""
    value = trial.value(node)
    for c in MULTIPLES:
        yield Edit(
            "constant factor",
            1.6,
            float(c) * value,
            partial(scale, c, node),
            f"{{0}} should be multiplied by {c}",
            (node,),
        )
    for size, count in trial.sizes.items():
        for k, words in (
            (-1, "divided by {1}: a mean in place of a sum"),
            (1, "multiplied by {1}: a sum in place of a mean"),
        ):
            factor = power_of(Dimension(size), k)
            build = partial(multiply, node, factor)
            yield Edit(AXIS, 1.7, value * float(count) ** k, build, "{0} should be " + words, (node, size))


# --- sums
def _of_sum(node: Add, trial: Trial) -> Iterator[Edit]:
    """A term with the other sign, with another number, or left out."""
    whole = trial.value(node)
    for k, (c, term) in enumerate(zip(node.coefficients, node.args, strict=True)):
        shown, value = scale(c, term), float(c) * trial.value(term)
        build = partial(_with_coefficient, node, k)
        yield Edit("sign", 1.2, whole - 2 * value, partial(build, -c), "the sign of {0} is wrong", (shown,))
        if len(node.args) > 1:
            yield Edit(
                "spurious term", 2, whole - value, partial(build, 0), "the term {0} does not belong there", (shown,)
            )
        for m in MULTIPLES:
            new = whole + (float(m) - 1) * value
            says = "the term {0} should be {1}"
            yield Edit("constant factor", 1.6, new, partial(build, c * m), says, (shown, scale(c * m, term)))
    yield from _two_signs(node, trial)


def _two_signs(node: Add, trial: Trial) -> Iterator[Edit]:
    """Two terms with the other sign: a minus before a bracket."""
    pairs = list(zip(node.coefficients, node.args, strict=True))
    whole = trial.value(node)
    for a, b in combinations(range(len(pairs)), 2) if 2 < len(pairs) <= 6 else ():
        moved = sum(2 * float(pairs[k][0]) * trial.value(pairs[k][1]) for k in (a, b))
        coefficients = [-c if k in (a, b) else c for k, (c, _) in enumerate(pairs)]
        build = partial(add_terms, list(zip(coefficients, node.args, strict=True)), node.shape)
        shown = tuple(scale(*pairs[k]) for k in (a, b))
        yield Edit("sign", 1.4, whole - moved, build, "the signs of {0} and {1} are wrong", shown)


def _with_coefficient(node: Add, k: int, c: Scalar) -> Expr:
    coefficients = [c if n == k else old for n, old in enumerate(node.coefficients)]
    return add_terms(list(zip(coefficients, node.args, strict=True)), node.shape)


# --- operations
def _of_operation(node: Apply, trial: Trial) -> Iterator[Edit]:
    """Without the operation; with another exponent."""
    base, k = exponent_of(node)
    if base is not node:
        yield from _of_power(node, base, k, trial)
    moving = [a for a in node.args if constant_value(a) is None]
    if len(moving) == 1 and moving[0].shape == node.shape and base is node:
        inner = moving[0]
        says = "{0} in place of {1}"
        yield Edit("wrong function", 2.2, trial.value(inner), lambda: inner, says, (node, inner))


def _of_power(node: Expr, base: Expr, k: Scalar, trial: Trial) -> Iterator[Edit]:
    value = trial.value(base)
    exponents: tuple[Scalar, ...] = (k - 1, k + 1, -k, k / Fraction(2), k * 2)
    for new in dict.fromkeys(exponents):
        if new == 0 or new == k:
            continue
        kind: Kind = "wrong function"
        if new in (k - 1, k + 1):
            kind = "lost factor" if abs(Fraction(new)) > abs(Fraction(k)) else "spurious factor"
        says, shown = "the exponent of {0} should be {1}", (base, new)
        with np.errstate(all="ignore"):
            changed = value ** float(new)
        yield Edit(kind, 2, changed, partial(power_of, base, new), says, shown)


# --- products
def _of_product(node: Einsum, trial: Trial) -> Iterator[Edit]:
    yield from _without_factor(node, trial)
    yield from _turned_factor(node, trial)
    yield from _other_products(node, trial)
    yield from _other_axes(node, trial)
    yield from _with_diagonal(node, trial)
    if sorted(node.shape, key=str)[:1] and len(set(node.shape)) < node.ndim:
        yield from _turned(node, trial)


def _edit(kind: Kind, cost: float, node: Einsum, factors: Factors, trial: Trial, says: str, *shown: object) -> Edit:
    sizes = {i: trial.value(a).shape[n] for a, s in _pairs(node) for n, i in enumerate(s)}
    value = product_value(factors, node.output, sizes, trial)
    return Edit(kind, cost, value, partial(product_of, factors, node.output, node.sizes), says, shown)


def _pairs(node: Einsum) -> list[tuple[Expr, tuple[int, ...]]]:
    return list(zip(node.args, node.subscripts, strict=True))


def _without_factor(node: Einsum, trial: Trial) -> Iterator[Edit]:
    """Leave a factor out; a square matrix between two others is taken out of the chain."""
    pairs = _pairs(node)
    for k, (e, sub) in enumerate(pairs):
        if isinstance(e, Ones):
            continue
        rest = [pair for n, pair in enumerate(pairs) if n != k]
        base = exponent_of(e)[0]
        if isinstance(base, Dimension):
            yield _edit(
                AXIS,
                1.6,
                node,
                rest,
                trial,
                "the factor {0} does not belong there: a mean for a sum, or a sum for a mean",
                e,
            )
            continue
        says = "the factor {0} does not belong there"
        if isinstance(e, Identity):
            yield _edit(
                "off-diagonal terms dropped",
                2.5,
                node,
                rest,
                trial,
                "the result is not diagonal: {0} does not belong there",
                e,
            )
            continue
        yield _edit("spurious factor", 2, node, rest, trial, says, e)
        if len(sub) == 2 and sub[0] != sub[1] and e.shape[0] == e.shape[1]:
            keep, gone = sub if sub[0] in node.output else sub[::-1]
            yield _edit("spurious factor", 2, node, _renamed(rest, {gone: keep}), trial, says, e)


def _with_diagonal(node: Einsum, trial: Trial) -> Iterator[Edit]:
    """diag(v) where v was spread over the rows or columns."""
    pairs = _pairs(node)
    for k, (e, sub) in enumerate(pairs):
        for j in node.output:
            if isinstance(e, Ones) and len(sub) == 1 and j not in sub and node.sizes[j] == e.shape[0]:
                changed = [*pairs[:k], (Identity(e.shape[0]), (sub[0], j)), *pairs[k + 1 :]]
                says = "{0} should be a diagonal matrix, not a vector"
                yield _edit("Jacobian given as its diagonal", 1.6, node, changed, trial, says, node)


def _renamed(pairs: Factors, names: dict[int, int]) -> list[tuple[Expr, tuple[int, ...]]]:
    return [(e, tuple(names.get(i, i) for i in sub)) for e, sub in pairs]


def _turned_factor(node: Einsum, trial: Trial) -> Iterator[Edit]:
    pairs = _pairs(node)
    for k, (e, sub) in enumerate(pairs):
        if len(sub) == 2 and sub[0] != sub[1] and e.shape[0] == e.shape[1] and not isinstance(e, Identity | Ones):
            turned = [*pairs[:k], (e, sub[::-1]), *pairs[k + 1 :]]
            yield _edit("transpose", 1.5, node, turned, trial, "{0} should be transposed", e)
    for i, j in combinations(sorted(node.sizes), 2):  # a group of factors: those on one summed index
        group = [k for k, (_, sub) in enumerate(pairs) if {i, j} & set(sub)]
        if node.sizes[i] != node.sizes[j] or len(group) < 2 or len(pairs) > 8:
            continue
        for some in combinations(group, 2):
            swapped = [(e, _swapped(s, i, j)) if k in some else (e, s) for k, (e, s) in enumerate(pairs)]
            names = tuple(pairs[k][0] for k in some)
            crossed = (i in node.output) != (j in node.output)
            kind: Kind = ORDER if crossed else "transpose"
            says = "{0} and {1} are multiplied over the wrong axis" if crossed else "{0} {1} should be transposed"
            yield _edit(kind, 1.9, node, swapped, trial, says, *names)


def _swapped(sub: tuple[int, ...], i: int, j: int) -> tuple[int, ...]:
    return tuple(j if n == i else i if n == j else n for n in sub)


def _turned(node: Einsum, trial: Trial) -> Iterator[Edit]:
    for i, j in combinations(range(node.ndim), 2):
        if node.shape[i] != node.shape[j]:
            continue
        order = list(range(node.ndim))
        order[i], order[j] = j, i
        value = trial.value(node).transpose(order)
        yield Edit("transpose", 1.4, value, partial(transpose, node, order), "{0} should be transposed", (node,))


def _other_products(node: Einsum, trial: Trial) -> Iterator[Edit]:
    """A ⊙ B for A B and A B for A ⊙ B, in either order, where the matrices are square."""
    pairs = _pairs(node)
    fresh = 1 + max(node.sizes, default=0)
    for a, b in combinations(range(len(pairs)), 2):
        (e, s), (f, t) = pairs[a], pairs[b]
        if len(s) != 2 or len(t) != 2 or isinstance(e, Ones | Identity) or isinstance(f, Ones | Identity):
            continue
        if set(s) == set(t) and e.shape[0] == e.shape[1] and s[0] != s[1]:
            i, j = s
            turned = t != s  # B stands transposed beside A
            for left, right in (((i, fresh), (fresh, j)), ((fresh, j), (i, fresh))):
                new = {a: (e, left), b: (f, right[::-1] if turned else right)}
                changed = [new.get(k, pair) for k, pair in enumerate(pairs)]
                says = "{0} and {1} should be multiplied as matrices, not entry by entry"
                yield _edit(ORDER, 1.8, node, changed, trial, says, e, f)
        yield from _as_entries(node, pairs, a, b, trial)


def _as_entries(node: Einsum, pairs: Factors, a: int, b: int, trial: Trial) -> Iterator[Edit]:
    (e, s), (f, t) = pairs[a], pairs[b]
    shared = set(s) & set(t) & node.summed
    if len(shared) != 1 or len(set(s)) < 2 or len(set(t)) < 2:
        return
    k = shared.pop()
    (i,), (j,) = set(s) - {k}, set(t) - {k}
    if not node.sizes[i] == node.sizes[j] == node.sizes[k] or i == j:
        return
    new = {a: (e, tuple(j if n == k else n for n in s)), b: (f, tuple(i if n == k else n for n in t))}
    changed = [new.get(n, pair) for n, pair in enumerate(pairs)]
    yield _edit(ORDER, 1.8, node, changed, trial, "{0} and {1} should be multiplied entry by entry", e, f)
    new = {a: (e, tuple(j if n == i else n for n in s)), b: (f, tuple(i if n == j else n for n in t))}
    changed = [new.get(n, pair) for n, pair in enumerate(pairs)]
    yield _edit(ORDER, 1.8, node, changed, trial, "{0} and {1} stand in the wrong order", e, f)


def _other_axes(node: Einsum, trial: Trial) -> Iterator[Edit]:
    """Sum over another axis: what is summed over k and spread over i beside it is summed over j and spread over k."""
    pairs = _pairs(node)
    fresh = 1 + max(node.sizes, default=0)
    for k in sorted(node.summed):
        group = [n for n, (_, sub) in enumerate(pairs) if k in sub]
        inside = {i for n in group for i in pairs[n][1]}
        for j in sorted(inside - {k}):
            for i in (n for n in node.output if n not in inside and node.sizes[n] == node.sizes[k]):
                moved = {k: i, j: fresh}
                changed = [
                    (e, tuple(moved.get(n, n) for n in sub)) if m in group else (_resized(e, node, k, j), sub)
                    for m, (e, sub) in enumerate(pairs)
                ]
                changed = [pair for pair in changed if not (isinstance(pair[0], Ones) and i in pair[1])]
                says = "the sum runs over the wrong axis: it should run over {0}, not over {1}"
                yield _edit(AXIS, 1.5, node, changed, trial, says, node.sizes[j], node.sizes[k])
            if node.sizes[j] == node.sizes[k] and j in node.output:
                changed = [(e, _swapped(s, k, j)) if m in group else (e, s) for m, (e, s) in enumerate(pairs)]
                yield _edit(
                    AXIS, 1.6, node, changed, trial, "the sum runs over the wrong axis of {0}", pairs[group[0]][0]
                )


def _resized(e: Expr, node: Einsum, old: int, new: int) -> Expr:
    """1/N for a mean over N becomes 1/d for one over d."""
    base, k = exponent_of(e)
    sizes = node.sizes[old], node.sizes[new]
    if isinstance(base, Dimension) and base.size == sizes[0] and isinstance(sizes[1], str):
        return power_of(Dimension(sizes[1]), k)
    return e
