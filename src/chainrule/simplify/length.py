"""How long an expression is to read: an estimate of the names, numbers and operators that its notation takes."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from chainrule.expression.node import ONE, Add, Apply, Einsum, Expr, Number, Ones
from chainrule.expression.power import constant_value, exponent_of, is_length
from chainrule.expression.shape import Scalar
from chainrule.rewrite.facts import is_symmetric

UNWRITABLE = 100  # a sum of three axes inside a matrix product has no notation: it must be multiplied out

_lengths: WeakKeyDictionary[Expr, int] = WeakKeyDictionary()


def length(e: Expr) -> int:
    """Return how long an expression is to read: its symbols, numbers and operations."""
    if isinstance(e, Ones) or e is ONE:
        return 0
    if not e.args:
        return 1 + e.ndim * (isinstance(e, Apply))  # an array of constants is written with its sizes
    known = _lengths.get(e)
    if known is None:
        base, k = exponent_of(e)
        parts = sum(length(arg) for arg in e.args) if base is e else length(base)
        known = _lengths[e] = parts + (_own(e) if base is e else of_exponent(2 * k if is_length(base) else k))
    return known


def _own(e: Expr) -> int:
    """What the node itself adds to its parts."""
    if isinstance(e, Add):
        numbers = sum(of_number(c) or constant_value(t) == 1 for c, t in zip(e.coefficients, e.args, strict=True))
        return len(e.args) - 1 + numbers + (not any(c > 0 for c in e.coefficients))
    return _of_product(e) if isinstance(e, Einsum) else 1


def of_exponent(k: Scalar) -> int:
    """Return how long an exponent is: a square or a root takes one sign, a quotient another."""
    if k < 0:
        return 1 + (0 if k == -1 else of_exponent(-k))
    return 1 if isinstance(k, int) or 2 * k == 1 else 3


def of_number(c: Scalar) -> int:
    """Return how long a coefficient is: nothing for ±1, 1 for a whole number, 3 for a fraction."""
    if c in (1, -1):
        return 0
    return 1 if isinstance(c, int | float) else 3


def _of_product(e: Einsum) -> int:
    """Transposes, ⊙, diag and 1⃗ that a product takes."""
    on: dict[int, list[int]] = {}
    own = turns(e)
    for f, sub in zip(e.args, e.subscripts, strict=True):
        if isinstance(f, Ones):
            own += len(sub)
        elif isinstance(f, Add) and len(sub) > max(2, len(e.output)):
            own += UNWRITABLE
        for i in set(sub) if not isinstance(f, Ones | Number) else ():
            on.setdefault(i, []).append(len(sub))
    for i, ranks in on.items():
        vectors = ranks.count(1)
        matrices = len(ranks) - vectors
        own += max(0, vectors - 1)
        if i in e.output:
            own += vectors > 0 and matrices > 0
        else:
            own += (vectors > 0 and matrices > 1) + (len(ranks) == 1)
    return own


def turns(e: Expr) -> int:
    """Count the transposes that the chain from the first axis of `e` to its last takes: Aᵀ, or abᵀ."""
    if isinstance(e, Add):
        return sum(turns(t) for t in e.args)
    if not isinstance(e, Einsum) or not e.output:
        return 0
    count, end = _passed(e, e.output[0], 1)
    if len(e.output) != 2 or end == e.output[1]:
        return count
    return count + 1 + _passed(e, e.output[1], 0)[0]


def _passed(e: Einsum, start: int, backwards: int) -> tuple[int, int]:
    """Walk along a chain of matrices; count those passed with their axis `backwards` first, and say where it ends."""
    left = [(f, s) for f, s in zip(e.args, e.subscripts, strict=True) if len(s) == 2 and not isinstance(f, Ones)]
    count, at = 0, start
    while True:
        steps = [pair for pair in left if at in pair[1]]
        if len(steps) != 1:
            return count, at
        left.remove(steps[0])
        f, sub = steps[0]
        count += sub[backwards] == at and sub[0] != sub[1] and not is_symmetric(f)
        at = sub[1] if sub[0] == at else sub[0]
