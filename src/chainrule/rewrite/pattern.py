"""Matching: does an expression have the form of a rule's left side, and with what in the holes?

A bound hole holds an expression with `lead` more axes than the hole itself: the batch axes (for a scalar hole, all).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from chainrule.expression.node import Add, Apply, Einsum, Expr, Identity, Ones, Subscripts, Symbol
from chainrule.expression.power import constant, constant_value
from chainrule.expression.product import einsum, factors_of
from chainrule.expression.shape import Scalar, Shape
from chainrule.expression.total import add_terms, scale
from chainrule.rewrite.facts import holds

Bindings = dict[Symbol, Expr]


@dataclass(frozen=True, slots=True)
class ProductMatch:
    """Where a product pattern fits: which factors it used, what the holes hold, and where its output indices went."""

    used: tuple[int, ...]
    bindings: Bindings
    lead: Subscripts
    output: Subscripts


def match(pattern: Expr, e: Expr, bindings: Bindings, lead: int) -> Bindings | None:
    """Return the bindings extended so that the pattern equals `e` under `lead` batch axes, or None."""
    if isinstance(pattern, Symbol):
        return _bound(pattern, e, bindings, lead)
    c = constant_value(pattern)
    if c is not None:
        return bindings if constant_value(e) == c else None
    if isinstance(pattern, Apply):
        return _match_apply(pattern, e, bindings, lead)
    if isinstance(pattern, Add):
        return _match_sum(pattern, e, bindings, lead)
    if isinstance(pattern, Einsum) and isinstance(e, Einsum) and len(e.args) == len(pattern.args):
        found = match_product(pattern, e, bindings)
        return next((f.bindings for f in found if len(f.lead) == lead and f.lead + f.output == e.output), None)
    return None


def _bound(hole: Symbol, e: Expr, bindings: Bindings, lead: int) -> Bindings | None:
    """Put `e` into the hole, or see whether it is there already."""
    if e.ndim != hole.ndim + lead:
        return None
    known = bindings.get(hole)
    if known is None:
        return {**bindings, hole: e} if all(holds(fact, e) for fact in hole.facts) else None
    return bindings if known is e else None


def _match_apply(pattern: Apply, e: Expr, bindings: Bindings, lead: int) -> Bindings | None:
    if not isinstance(e, Apply) or e.op is not pattern.op:
        return None
    result: Bindings | None = bindings
    for p, a in zip(pattern.args, e.args, strict=True):
        if result is None:
            return None
        result = match(p, a, result, lead)
    return result


def _match_sum(pattern: Add, e: Expr, bindings: Bindings, lead: int) -> Bindings | None:
    """Terms in any order, the coefficients exactly those of the pattern; −u takes every sum of negative terms."""
    if len(pattern.args) == 1 and isinstance(e, Add) and len(e.args) > 1:
        c = pattern.coefficients[0]
        return match(pattern.args[0], scale(1 / Fraction(c), e), bindings, lead) if _all_below(e, c) else None
    if not isinstance(e, Add) or len(e.args) != len(pattern.args):
        return None
    return _match_terms(list(zip(pattern.coefficients, pattern.args, strict=True)), e, frozenset(), bindings, lead)


def _all_below(e: Add, c: Scalar) -> bool:
    return c == -1 and all(d < 0 for d in e.coefficients)


def _match_terms(
    wanted: list[tuple[object, Expr]], e: Add, used: frozenset[int], bindings: Bindings, lead: int
) -> Bindings | None:
    if not wanted:
        return bindings
    c, p = wanted[0]
    for k, (d, t) in enumerate(zip(e.coefficients, e.args, strict=True)):
        if k not in used and c == d:
            found = match(p, t, bindings, lead)
            rest = None if found is None else _match_terms(wanted[1:], e, used | {k}, found, lead)
            if rest is not None:
                return rest
    return None


def match_product(pattern: Expr, e: Expr, bindings: Bindings | None = None) -> Iterator[ProductMatch]:
    """Yield every way in which some factors of `e` form the product `pattern`."""
    wanted = factors_of(pattern)
    output = pattern.output if isinstance(pattern, Einsum) else tuple(range(pattern.ndim))
    have = factors_of(e)
    free = e.output if isinstance(e, Einsum) else tuple(range(e.ndim))

    def search(
        k: int, used: tuple[int, ...], names: dict[int, int], held: Bindings, lead: Subscripts | None
    ) -> Iterator[ProductMatch]:
        if k == len(wanted):
            if _one_to_one(names, output) and _closed(wanted, output, have, free, used, names):
                yield ProductMatch(used, held, lead or (), tuple(names[i] for i in output))
            return
        part, indices = wanted[k]
        for n, (factor, sub) in enumerate(have):
            split = len(sub) - len(indices)
            if n in used or split < 0 or (lead is not None and sub[:split] != lead):
                continue
            renamed = _unified(names, indices, sub[split:])
            found = None if renamed is None else match(part, factor, held, split)
            if renamed is not None and found is not None:
                yield from search(k + 1, (*used, n), renamed, found, sub[:split])

    yield from search(0, (), {}, bindings or {}, None)


def _unified(names: dict[int, int], indices: Subscripts, sub: Subscripts) -> dict[int, int] | None:
    """Extend the renaming of the pattern's indices, or None."""
    result = dict(names)
    for i, j in zip(indices, sub, strict=True):
        if result.setdefault(i, j) != j:
            return None
    return result


def _one_to_one(names: dict[int, int], output: Subscripts) -> bool:
    """Two indices of the pattern may become one only in its output, where the product closes on itself (a trace)."""
    return all(list(names.values()).count(j) == 1 for i, j in names.items() if i not in output)


def _closed(
    wanted: list[tuple[Expr, Subscripts]],
    output: Subscripts,
    have: list[tuple[Expr, Subscripts]],
    free: Subscripts,
    used: tuple[int, ...],
    names: dict[int, int],
) -> bool:
    """True if what the pattern sums over occurs nowhere outside the matched factors."""
    summed = {names[i] for _, sub in wanted for i in sub if i not in output}
    outside = {i for n, (_, sub) in enumerate(have) if n not in used for i in sub} | set(free)
    return not summed & outside


def instantiate(template: Expr, bindings: Bindings, batch: Shape) -> Expr:
    """Return the template with the holes filled; every bound expression has the axes `batch` in front."""
    if isinstance(template, Symbol):
        return bindings[template]
    c = constant_value(template)
    if c is not None:
        return constant(c, batch + _sizes(template.shape, bindings))
    parts = [instantiate(arg, bindings, batch) for arg in template.args]
    if isinstance(template, Apply):
        return template.op(*parts)
    if isinstance(template, Add):
        return add_terms(list(zip(template.coefficients, parts, strict=True)), parts[0].shape)
    if isinstance(template, Einsum):
        base = 1 + max((i for sub in template.subscripts for i in sub), default=0)
        lead = tuple(range(base, base + len(batch)))
        subs = [lead + sub for sub in template.subscripts]
        return einsum([*parts, Ones(batch)], [*subs, lead], lead + template.output)
    if not template.shape:
        return einsum([template, Ones(batch)], [(), tuple(range(len(batch)))], tuple(range(len(batch))))
    return _expanded_constant(template, bindings, batch)


def _expanded_constant(template: Expr, bindings: Bindings, batch: Shape) -> Expr:
    """An identity or ones of the sizes the holes stand for, copied over the batch axes."""
    shape = _sizes(template.shape, bindings)
    e = Identity(shape[0]) if isinstance(template, Identity) else Ones(shape)
    n = len(batch)
    return einsum([e, Ones(batch)], [tuple(range(n, n + len(shape))), tuple(range(n))], tuple(range(n + len(shape))))


def _sizes(shape: Shape, bindings: Bindings) -> Shape:
    """Return the sizes that the holes' axes stand for."""
    known = {
        s: value.shape[value.ndim - hole.ndim + k] for hole, value in bindings.items() for k, s in enumerate(hole.shape)
    }
    return tuple(known.get(s, s) for s in shape)
