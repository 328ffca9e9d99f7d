"""Folding: a sub-expression is written by its name wherever it occurs, also as some factors of a product, some terms of
a sum, or under another power. Unfolding is `substitute`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from chainrule.derivative.differentiate import rebuilt
from chainrule.expression.node import ONE, Add, Einsum, Expr, Ones, Symbol, walk
from chainrule.expression.power import exponent_of, power_of
from chainrule.expression.product import einsum, factors_of
from chainrule.expression.total import add_terms, linear_terms, scale
from chainrule.rewrite.pattern import match_product


def folded(e: Expr, name: Expr, definition: Expr) -> Expr:
    """Return `e` with `name` in place of `definition`. Shapes: name and definition are of one shape.

    >>> from chainrule.expression.build import matrix, vector
    >>> A, x, y, z = matrix("A", "m", "n"), vector("x", "n"), vector("y", "m"), vector("z", "m")
    >>> folded(y @ (A @ x), z, A @ x) is y @ z
    True
    """
    if isinstance(definition, Symbol | Ones) or definition is ONE:
        return e
    done: dict[Expr, Expr] = {}
    for node in walk(e):
        done[node] = _at_root(rebuilt(node, [done[arg] for arg in node.args]), name, definition)
    return done[e]


def _at_root(e: Expr, name: Expr, definition: Expr) -> Expr:
    if e is definition:
        return name
    base, p = exponent_of(definition)
    mine, q = exponent_of(e)
    if p != 1 and q != 1 and mine is base:
        return power_of(name, q / Fraction(p))
    terms = linear_terms(definition)
    if len(terms) == 1 and isinstance(terms[0][1], Einsum) and isinstance(e, Einsum):
        return _in_product(e, scale(1 / Fraction(terms[0][0]), name), terms[0][1])
    if len(terms) > 1 and isinstance(e, Add):
        return _in_sum(e, name, terms)
    return e


def _in_product(e: Einsum, name: Expr, definition: Expr) -> Expr:
    """Write the factors that make up the definition as the name, as often as they occur."""
    held: dict[Symbol, Expr] = {s: s for s in definition.symbols.values()}
    if not {type(a) for a in definition.args} <= {type(a) for a in e.args}:
        return e
    for found in match_product(definition, e, held):
        if found.lead:
            continue
        rest = [f for n, f in enumerate(factors_of(e)) if n not in found.used]
        cover = [(Ones((e.sizes[i],)), (i,)) for i in e.output]
        args = [name, *(a for a, _ in (*rest, *cover))]
        after = einsum(args, [found.output, *(s for _, s in (*rest, *cover))], e.output)
        return _in_product(after, name, definition) if isinstance(after, Einsum) else after
    return e


def _in_sum(e: Add, name: Expr, wanted: Sequence[tuple[int | float | Fraction, Expr]]) -> Expr:
    """Write the terms that make up the definition, all with one common coefficient, as the name."""
    have = {t: c for c, t in linear_terms(e)}
    if not all(t in have for _, t in wanted):
        return e
    ratios = {Fraction(have[t]) / Fraction(c) for c, t in wanted}
    if len(ratios) != 1:
        return e
    used = {t for _, t in wanted}
    rest = [(c, t) for t, c in have.items() if t not in used]
    return add_terms([(ratios.pop(), name), *rest], e.shape)
