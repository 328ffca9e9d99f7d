"""At a kink a derivative is a convention: lines that differ there, and nowhere else, are right with a remark."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.evaluate import evaluate_all
from chainrule.expression.node import Apply, Expr, Symbol, walk
from chainrule.expression.shape import concrete
from chainrule.verify.sample import sizes_for

ATTEMPTS = 24
REMARK = "at the kink itself, where the derivative is a convention, it takes another value than the usual one"


def kink_remark(truth: Expr, said: Expr) -> str:
    """Return a remark if two sides that agree elsewhere differ exactly on a kink; points there have small integers."""
    bent = [n for n in walk(truth, said) if isinstance(n, Apply) and n.op.kinks is not None]
    if not bent or truth is said:
        return ""
    symbols: dict[str, Symbol] = {**truth.symbols, **said.symbols}
    sizes = sizes_for([truth, said])
    rng = np.random.default_rng(7)
    for _ in range(ATTEMPTS):
        point = {name: small(s, concrete(s.shape, sizes), rng) for name, s in symbols.items()}
        if differs_on_a_kink(truth, said, bent, point, sizes):
            return REMARK
    return ""


def small(symbol: Symbol, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Draw −1, 0 and 1; a symmetric matrix stays one."""
    value = rng.integers(-1, 2, shape).astype(float)
    if symbol.facts and value.ndim == 2 and shape[0] == shape[1]:
        return np.asarray(np.eye(shape[0]))
    return np.abs(value) + 1 if "positive" in symbol.facts else np.asarray(value)


def differs_on_a_kink(
    truth: Expr, said: Expr, bent: list[Apply], point: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> bool:
    """True if some kink is met exactly at this point, and the sides differ there."""
    arguments = [a for n in bent for a in n.args]
    try:
        left, right, *values = evaluate_all([truth, said, *arguments], point, sizes)
    except ChainruleError:
        return False
    known = dict(zip(arguments, values, strict=True))
    with np.errstate(all="ignore"):
        met = any(np.any(np.asarray(n.op.kinks(*(known[a] for a in n.args))) == 0) for n in bent if n.op.kinks)
        a, b = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
        if not met or a.shape != b.shape or not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
            return False
        return bool(np.max(np.abs(a - b), initial=0.0) > 1e-6 * max(1.0, float(np.max(np.abs(a), initial=0.0))))
