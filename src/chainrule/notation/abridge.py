"""Expressions too large to read are printed with `…` for what lies deep inside: a print must never take minutes."""

from __future__ import annotations

from chainrule.expression.node import Add, Apply, Einsum, Expr, Symbol

DEPTHS = (40, 25, 16, 10, 6, 4, 2)  # how many operations deep a print may go; the first that fits is taken
MOST = 2000  # parts that a print may have

ELLIPSIS = "…"


def abridged(e: Expr) -> Expr:
    """Return `e`, or if it is too deep or too large, `e` with symbols named `…` in place of its inner parts."""
    depth = next((d for d in DEPTHS if _parts(e, d, {}) <= MOST), DEPTHS[-1])
    return _cut(e, depth, {}) if e.depth > depth else e


def _parts(e: Expr, depth: int, known: dict[tuple[Expr, int], int]) -> int:
    """Count what would be written: a shared part counts each time it is written."""
    if depth == 0 or not e.args:
        return 1
    key = (e, depth)
    if key not in known:
        known[key] = 1 + sum(_parts(arg, depth - 1, known) for arg in e.args)
    return known[key]


def _cut(e: Expr, depth: int, known: dict[tuple[Expr, int], Expr]) -> Expr:
    if not e.args or e.depth <= depth:
        return e
    if depth == 0:
        return Symbol(ELLIPSIS, e.shape)
    key = (e, depth)
    if key not in known:
        known[key] = _with_args(e, tuple(_cut(arg, depth - 1, known) for arg in e.args))
    return known[key]


def _with_args(e: Expr, args: tuple[Expr, ...]) -> Expr:
    """The raw kinds, not the constructors: two parts left out are not the same part twice."""
    if isinstance(e, Einsum):
        return Einsum(args, e.subscripts, e.output)
    if isinstance(e, Add):
        return Add(e.coefficients, args, e.shape)
    assert isinstance(e, Apply)
    return Apply(e.op, args, e.shape)
