"""Under which condition a line that is wrong in general holds: each candidate is tested before it is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from chainrule.derivative.differentiate import substitute
from chainrule.errors import ChainruleError
from chainrule.evaluate import evaluate_all
from chainrule.expression.node import Apply, Expr, Symbol, walk
from chainrule.expression.shape import concrete
from chainrule.proofread.compare import compared, grounds
from chainrule.verify.sample import Point, draw, is_generic, sizes_for

ATTEMPTS = 240
ENOUGH = 3
AGREE = "all samples agree on the condition (all active, or none)"


def condition_of(truth: Expr, said: Expr) -> str:
    """Return the first condition under which the two sides are equal, in words; "" if none of those known helps."""
    for words, symbols in facts_to_try(truth, said):
        if holds_with(truth, said, symbols):
            return words
    for words, wanted in GATES:
        if gates(truth, said) and holds_where(truth, said, wanted):
            return words
    return ""


# --- facts of a symbol
def facts_to_try(truth: Expr, said: Expr) -> Iterator[tuple[str, dict[Symbol, str]]]:
    """Yield facts that symbols might have: symmetric, orthogonal, sums to one, one-hot."""
    symbols = sorted({**truth.symbols, **said.symbols}.values(), key=lambda s: s.order)
    square = [s for s in symbols if s.ndim == 2 and s.shape[0] == s.shape[1]]
    for fact in ("symmetric", "orthogonal"):
        for s in square:
            if not s.facts & {fact, "positive definite", "diagonal"}:
                yield f"{s.name} is {fact}", {s: fact}
    plain = [s for s in square if not s.facts]
    if len(plain) > 1:
        yield " and ".join(s.name for s in plain) + " are symmetric", dict.fromkeys(plain, "symmetric")
    for s in symbols:
        if s.ndim and not s.facts:
            which = f"{s.name} sums to one" if s.ndim == 1 else f"the rows of {s.name} sum to one"
            yield which, {s: "sums to one"}
            yield f"{s.name} is one-hot", {s: "one-hot"}


def holds_with(truth: Expr, said: Expr, facts: Mapping[Symbol, str]) -> bool:
    """True if the sides are equal wherever the symbols have the facts."""
    dressed: dict[Expr, Expr] = {s: Symbol(s.name, s.shape, s.facts | {fact}) for s, fact in facts.items()}
    try:
        a, b = substitute(truth, dressed), substitute(said, dressed)
        for points, seed in ((1, 1), (ENOUGH, 0)):  # one point tells most candidates apart
            if not grounds([a, b], points=points, seed=seed, exact=False).agree(a, b).same:
                return False
        return True
    except ChainruleError:
        return False


# --- conditions on the data
def gates(*roots: Expr) -> list[Apply]:
    """Return the gates [z > 0] of expressions."""
    return [n for n in walk(*roots) if isinstance(n, Apply) and n.op.is_gate and n.shape]


def all_on(values: list[np.ndarray]) -> bool:
    """True if every gate is 1 everywhere."""
    return all(bool(np.all(v == 1)) for v in values)


def agreeing(values: list[np.ndarray]) -> bool:
    """True if every gate has one value everywhere."""
    return all(bool(np.all(v == v.flat[0])) for v in values if v.size)


GATES: tuple[tuple[str, Callable[[list[np.ndarray]], bool]], ...] = (
    (AGREE, agreeing),
    ("all samples are active", all_on),
)


def holds_where(truth: Expr, said: Expr, wanted: Callable[[list[np.ndarray]], bool]) -> bool:
    """True if the sides are equal at every point at which the gates are as wanted, and there are such points."""
    symbols = {**truth.symbols, **said.symbols}
    found = gates(truth, said)
    seen = 0
    for point, sizes, values in points_with(symbols, found, [truth, said]):
        if not wanted(values):
            continue
        a, b = (np.asarray(v, dtype=float) for v in evaluate_all([truth, said], point, sizes))
        if compared(a, b, 0.0)[0] == "different":
            return False
        seen += bool(np.any(a))
        if seen == ENOUGH:
            return True
    return False


def agrees_with_some(truth: Expr, branches: list[Expr]) -> bool:
    """True if the truth is one of the branches wherever all its gates have one value, and every branch once."""
    found = gates(truth)
    used: set[int] = set()
    for point, sizes, values in points_with(truth.symbols, found, [truth, *branches]):
        if not agreeing(values):
            continue
        right, *others = (np.asarray(v, dtype=float) for v in evaluate_all([truth, *branches], point, sizes))
        equal = {k for k, other in enumerate(others) if compared(right, other, 0.0)[0] == "same"}
        if not equal:
            return False
        used |= equal
    return len(used) == len(branches)


def points_with(
    symbols: Mapping[str, Symbol], found: list[Apply], roots: list[Expr]
) -> Iterator[tuple[Point, dict[str, int], list[np.ndarray]]]:
    """Yield generic points of many kinds, with the values of the gates there."""
    rng = np.random.default_rng(3)
    sizes = sizes_for(roots)
    for attempt in range(ATTEMPTS):
        point = {name: draw(s, concrete(s.shape, sizes), rng, attempt) for name, s in symbols.items()}
        try:
            values = [np.asarray(v) for v in evaluate_all(list(found), point, sizes)]
        except ChainruleError:
            continue
        if is_generic(roots, point, sizes):
            yield point, sizes, values
