"""Changes of one part that put something in: a factor, a term, another symbol, another intermediate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice, product

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.expression.build import broadcast, multiply
from chainrule.expression.node import Add, Dimension, Einsum, Expr, Identity, Number, Ones, Symbol
from chainrule.expression.power import constant_value, exponent_of, power_of
from chainrule.expression.product import factors_of
from chainrule.expression.total import add_terms, scale
from chainrule.proofread.difference import difference
from chainrule.proofread.edit import LARGEST, Edit, Factors, Free, Kind, product_of
from chainrule.proofread.ingredients import Ingredient
from chainrule.proofread.trial import Array, Occurrence, Trial
from chainrule.simplify.length import length

ASSIGNMENTS = 4  # ways to lay a factor's axes on those of a product
LENGTH_COST = 0.02


def inserted(here: Occurrence, trial: Trial, parts: Sequence[Ingredient], names: frozenset[str]) -> Iterator[Edit]:
    """Yield what the part becomes with something else in its place, or with one factor more."""
    yield from _replaced(here, trial, parts, names)
    yield from _other_copy(here.node, trial, parts, names)
    if isinstance(here.parent, Einsum) and here.node.shape and not isinstance(here.node, Einsum):
        return  # the product around it takes the factor
    if not isinstance(here.node, Number):
        yield from _multiplied(here.node, trial, parts)
    if not here.is_linear:
        yield from _with_term(here.node, trial, parts)


def _with_term(node: Expr, trial: Trial, parts: Sequence[Ingredient]) -> Iterator[Edit]:
    """A term more, inside an operation, where its number cannot be solved for."""
    value = trial.value(node)
    for part in parts:
        e = part.e
        if e.ndim <= node.ndim and e.shape == node.shape[node.ndim - e.ndim :] and length(e) < 12:
            wide = broadcast(e, node.shape)
            for sign in (1, -1):
                build = partial(add_terms, [(1, node), (sign, wide)], node.shape)
                says = "the term {0} is missing"
                new = value + sign * trial.value(wide)
                yield Edit("lost term", 2.4 + _length(e), new, build, says, (scale(sign, e),))


def _other_copy(node: Expr, trial: Trial, parts: Sequence[Ingredient], names: frozenset[str]) -> Iterator[Edit]:
    """x² for x y, and 2x for x + y: one of two equal symbols should be another."""
    base, k = exponent_of(node)
    if isinstance(base, Symbol) and isinstance(k, int) and k >= 2:
        for e in (part.e for part in parts if isinstance(part.e, Symbol)):
            if e.shape == base.shape and e is not base:
                value = trial.value(base) ** (k - 1) * trial.value(e)
                build = partial(multiply, power_of(base, k - 1), e)
                yield Edit("wrong symbol", 0.1, value, build, "", (), partial(difference, base, e, names))
    for n, t in enumerate(node.args if isinstance(node, Add) else ()):
        c = node.coefficients[n] if isinstance(node, Add) else 0
        if isinstance(t, Symbol) and c in (2, -2, 3, -3):
            for e in (part.e for part in parts if isinstance(part.e, Symbol) and part.e.shape == t.shape):
                step = 1 if c > 0 else -1
                value = trial.value(node) + step * (trial.value(e) - trial.value(t))
                build = partial(add_terms, [(1, node), (step, e), (-step, t)], node.shape)
                yield Edit("wrong symbol", 0.1, value, build, "", (), partial(difference, t, e, names))


def terms(here: Occurrence, trial: Trial, parts: Sequence[Ingredient]) -> Iterator[Free]:
    """Yield the terms that may be missing from the part, where the line is linear in it."""
    for part in parts:
        e = part.e
        if e.shape == here.node.shape:
            yield Free("lost term", 2.4 + _length(e), trial.value(e), e, "the term {0} is missing")
        elif e.ndim == 0 and here.node.ndim and length(e) < 6:
            wide = broadcast(e, here.node.shape)
            yield Free("lost term", 2.9 + _length(e), trial.value(wide), wide, "the term {0} is missing")
    shape = here.node.shape
    if constant_value(here.node) is None:
        one: Expr = Ones(shape) if shape else Number(1)
        yield Free("lost term", 2.4, np.ones(trial.value(here.node).shape), one, "the term {0} is missing")
        if len(shape) == 2 and shape[0] == shape[1]:
            eye = Identity(shape[0])
            yield Free("lost term", 2.5, trial.value(eye), eye, "the term {0} is missing")


def _length(e: Expr) -> float:
    return LENGTH_COST * length(e)


# --- something else in its place
def _replaced(here: Occurrence, trial: Trial, parts: Sequence[Ingredient], names: frozenset[str]) -> Iterator[Edit]:
    node = here.node
    if here.parent is None and not (isinstance(node, Symbol) and any(part.e is node for part in parts)):
        return  # another line altogether
    for part in parts:
        e = part.e
        if e.shape != node.shape or e is node or node in e.args or isinstance(node, Ones | Number):
            continue  # (a sum or product of the part and something else lacks a term or a factor)
        cost = 0 if isinstance(node, Symbol) and isinstance(e, Symbol) else 0.4 + _length(node) + _length(e)
        named = partial(difference, node, e, names)
        yield Edit("wrong symbol", cost, trial.value(e), partial(_itself, e), "", (), named)


def _itself(e: Expr) -> Expr:
    return e


# --- one factor more
def _multiplied(node: Expr, trial: Trial, parts: Sequence[Ingredient]) -> Iterator[Edit]:
    pairs, sizes = factors_of(node), _sizes(node)
    output = node.output if isinstance(node, Einsum) else tuple(range(node.ndim))
    whole, letters = _laid_out(node, pairs, output, trial)
    if whole is None:
        return
    for part in parts:
        for sub in islice(_assignments(part.e, sizes), ASSIGNMENTS):
            value = np.asarray(np.einsum(whole, letters, trial.value(part.e), list(sub), list(output)))
            cost = 2 + _length(part.e) + (0 if sub else 0.1)
            build = partial(product_of, [*pairs, (part.e, sub)], output, sizes)
            says = "a factor is missing: multiply by {0}"
            is_size = isinstance(exponent_of(part.e)[0], Dimension)
            yield Edit("sum, mean or axis" if is_size else "lost factor", cost, value, build, says, (part,))
        if part.e.ndim == 2 and part.e.shape[0] == part.e.shape[1]:
            yield from _chained(node, pairs, sizes, output, part, trial)


def _sizes(node: Expr) -> dict[int, int | str]:
    return dict(node.sizes) if isinstance(node, Einsum) else dict(enumerate(node.shape))


def _laid_out(node: Expr, pairs: Factors, output: Sequence[int], trial: Trial) -> tuple[Array | None, list[int]]:
    """Return the product over all of its indices, before anything is summed; None if that is too large."""
    if not isinstance(node, Einsum):
        return trial.value(node), list(output)
    extent = {i: trial.value(e).shape[n] for e, sub in pairs for n, i in enumerate(sub)}
    letters = list(extent)
    if np.prod([float(extent[i]) for i in letters]) > LARGEST:
        return trial.value(node), list(output)
    operands = [item for e, sub in pairs for item in (trial.value(e), list(sub))]
    return np.asarray(np.einsum(*operands, letters, optimize="greedy" if len(operands) > 6 else False)), letters


def _assignments(e: Expr, sizes: dict[int, int | str]) -> Iterator[tuple[int, ...]]:
    """Yield the ways to lay the axes of `e` on indices of the same sizes."""
    choices = [[i for i, size in sizes.items() if size == mine] for mine in e.shape]
    return (sub for sub in product(*choices) if len(set(sub)) == len(sub))


def _chained(
    node: Expr, pairs: Factors, sizes: dict[int, int | str], output: Sequence[int], part: Ingredient, trial: Trial
) -> Iterator[Edit]:
    """A square matrix put into the chain beside one of the factors."""
    fresh = 1 + max(sizes, default=0)
    for k, (e, sub) in enumerate(pairs):
        for i in dict.fromkeys(sub):
            if sizes[i] != part.e.shape[0] or isinstance(e, Ones):
                continue
            moved = [*pairs[:k], (e, tuple(fresh if n == i else n for n in sub)), *pairs[k + 1 :]]
            for own in ((i, fresh), (fresh, i)):
                factors = [*moved, (part.e, own)]
                operands = [item for f, s in factors for item in (trial.value(f), list(s))]
                value = np.asarray(np.einsum(*operands, list(output), optimize="greedy"))
                build = partial(_built, factors, output, {**sizes, fresh: sizes[i]})
                says = "a factor is missing in the product: {0}, beside {1}"
                yield Edit("lost factor", 2.2 + _length(part.e), value, build, says, (part, e))


def _built(factors: Factors, output: Sequence[int], sizes: dict[int, int | str]) -> Expr:
    return product_of(factors, output, sizes)


def everywhere(
    line: Expr, trial: Trial, parts: Sequence[Ingredient], names: frozenset[str]
) -> Iterator[tuple[Kind, float, dict[Expr, Expr], str, tuple[object, ...]]]:
    """Yield changes of a symbol at all of its places at once, for a symbol that has several."""
    for symbol in line.symbols.values():
        for part in parts:
            e = part.e
            if e is symbol or length(e) > 4 or symbol in e.symbols.values():
                continue
            if e.shape == symbol.shape:
                kind = difference(symbol, e, names).kind
                yield kind, 2.6 + _length(e), {symbol: e}, "{0} in place of {1}", (symbol, part)
            try:
                scaled = symbol * e
            except ChainruleError:
                continue
            if scaled.shape == symbol.shape:
                says = "a factor is missing: {0} should be multiplied by {1}"
                yield "lost factor", 2.5 + _length(e), {symbol: scaled}, says, (symbol, part)
