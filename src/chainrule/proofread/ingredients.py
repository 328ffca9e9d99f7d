"""What may be missing from a line: the parts of the truth and of the function, their names, local derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chainrule.derivative.differentiate import jacobian
from chainrule.errors import ChainruleError
from chainrule.explain.fold import folded
from chainrule.expression.build import diag, transpose
from chainrule.expression.node import Add, Apply, Dimension, Einsum, Expr, Number, Ones, Symbol, walk
from chainrule.expression.power import constant_value
from chainrule.expression.product import einsum
from chainrule.proofread.claim import Claim
from chainrule.simplify.length import length
from chainrule.simplify.simplify import simplify

MOST = 140
MOST_DERIVATIVES = 24
MOST_TERMS = 6


@dataclass(frozen=True, slots=True)
class Ingredient:
    """An expression in the reader's names, and what it is, if there is more to say than its formula."""

    e: Expr
    role: str = ""

    def __str__(self) -> str:
        return f"{self.e}, {self.role}" if self.role else str(self.e)


def ingredients(claim: Claim) -> list[Ingredient]:
    """Return what a repair may put in, the shortest first."""
    roles = {e: role for e, role in _derivatives(claim)}
    everything: dict[Expr, str] = {}
    for e in (*_symbols(claim), *roles, *_parts(claim)):
        for shown in dict.fromkeys((in_names(e, claim), e)):
            everything.setdefault(shown, roles.get(e, ""))
    for e in list(everything):
        for turned in _turned(e):
            everything.setdefault(turned, "")
    useful = [Ingredient(e, role) for e, role in everything.items() if _is_useful(e)]
    return sorted(useful, key=lambda i: length(i.e))[:MOST]


def in_names(e: Expr, claim: Claim) -> Expr:
    """Return an expression with the reader's names for what they stand for."""
    for name, definition in reversed(list(claim.names.items())):
        if length(definition) <= length(e):
            e = folded(e, Symbol(name, definition.shape), definition)
    return e


def _symbols(claim: Claim) -> Iterator[Expr]:
    for e in _roots(claim):
        yield from e.symbols.values()
    for name, definition in claim.names.items():
        yield Symbol(name, definition.shape)


def _roots(claim: Claim) -> list[Expr]:
    roots = [claim.truth, *claim.names.values()]
    return roots if claim.function is None else [*roots, claim.function]


def _parts(claim: Claim) -> Iterator[Expr]:
    """Every part of the truth and of the function, and the terms of sums with their numbers."""
    raw = _derived_anew(claim)
    for e in walk(*_roots(claim), claim.expanded(claim.truth), *raw):
        yield e
        if isinstance(e, Add):
            yield from (c * t for c, t in zip(e.coefficients, e.args, strict=True) if c != 1)
        elif isinstance(e, Einsum):
            yield from _distributed(e)


def _distributed(e: Einsum) -> Iterator[Expr]:
    """The terms of a product with a sum among its factors, multiplied out."""
    for k, factor in enumerate(e.args):
        if isinstance(factor, Add) and 1 < len(factor.args) <= MOST_TERMS:
            for term in factor.args:
                args = [term if n == k else arg for n, arg in enumerate(e.args)]
                yield einsum(args, e.subscripts, e.output)


def _derived_anew(claim: Claim) -> list[Expr]:
    """The derivative as reverse accumulation gives it, before it is simplified: its terms are those of the paths."""
    if claim.function is None or len(claim.wrt) != 1:
        return []
    try:
        return [jacobian(claim.function, claim.wrt[0])]
    except ChainruleError:
        return []


def _derivatives(claim: Claim) -> list[tuple[Expr, str]]:
    """The local derivatives of the operations on the way, each with its name."""
    result: list[tuple[Expr, str]] = []
    applied = [e for e in walk(*_roots(claim)) if isinstance(e, Apply)]
    for e in applied[:MOST_DERIVATIVES]:
        moving = [a for a in e.args if constant_value(a) is None and a.symbols]
        if len(moving) != 1 or not e.op.is_elementwise:
            continue
        local = e.op.local_jacobians(e.args, e)[e.args.index(moving[0])]
        if local is not None and local.shape == e.shape:
            result.append((simplify(local), f"the derivative of {e}"))
    return result


def _turned(e: Expr) -> Iterable[Expr]:
    """Transposes of symbols, and diagonal matrices of vectors."""
    if isinstance(e, Symbol) and e.ndim == 2:
        yield transpose(e)
    if isinstance(e, Symbol | Apply) and e.ndim == 1:
        yield diag(e)


def _is_useful(e: Expr) -> bool:
    return not isinstance(e, Number | Ones) and e.ndim <= 3 and (bool(e.symbols) or isinstance(e, Dimension | Einsum))
