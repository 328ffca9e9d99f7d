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
NOTHING = 1e-12  # a value that counts as zero
AGREE = "all samples agree on the condition (all active, or none)"


def condition_of(truth: Expr, said: Expr) -> str:
    """Return the first condition under which the two sides are equal, in words; "" if none of those known helps.

    A condition under which the truth says nothing any more, because it is zero or the same at every point, is none.
    """
    for words, symbols in facts_to_try(truth, said):
        if holds_with(truth, said, symbols):
            return words
    found = switches(truth, said)
    for words, wanted in gate_conditions(found):
        if holds_where(truth, said, found, wanted):
            return words
    return ""


# --- facts of a symbol
def facts_to_try(truth: Expr, said: Expr) -> Iterator[tuple[str, dict[Symbol, str]]]:
    """Yield facts that symbols might have: symmetric, orthogonal, positive, sums to one."""
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
            yield f"{s.name} is positive", {s: "positive"}  # first: what sums to one is drawn positive
            which = f"{s.name} sums to one" if s.ndim == 1 else f"the rows of {s.name} sum to one"
            yield which, {s: "sums to one"}


def holds_with(truth: Expr, said: Expr, facts: Mapping[Symbol, str]) -> bool:
    """True if the sides are equal wherever the symbols have the facts, and not only because nothing is left there."""
    dressed: dict[Expr, Expr] = {s: Symbol(s.name, s.shape, s.facts | {fact}) for s, fact in facts.items()}
    try:
        a, b = substitute(truth, dressed), substitute(said, dressed)
        for points, seed in ((1, 1), (ENOUGH, 0)):  # one point tells most candidates apart
            ground = grounds([a, b], points=points, seed=seed, exact=False)
            if not ground.agree(a, b).same:
                return False
    except ChainruleError:
        return False
    return not is_degenerate([ground.value(k, a) for k in range(len(ground.places))], bool(truth.symbols))


def is_degenerate(values: list[np.ndarray], varies: bool) -> bool:
    """True if values at several points are all zero, or all the same although they vary in general."""
    if not any(np.any(np.abs(v) > NOTHING) for v in values):
        return True
    alike = [v for v in values[1:] if v.shape == values[0].shape]
    return varies and bool(alike) and all(np.allclose(v, values[0]) for v in alike)


# --- conditions on the data
def switches(*roots: Expr) -> list[Apply]:
    """Return the operations with two branches: gates [z > 0], max(0, z), |z|."""
    return [n for n in walk(*roots) if isinstance(n, Apply) and n.op.kinks is not None]


def all_on(values: list[np.ndarray]) -> bool:
    """True if every switch is on everywhere."""
    return all(bool(np.all(v)) for v in values)


def agreeing(values: list[np.ndarray]) -> bool:
    """True if every switch is the same everywhere."""
    return all(bool(np.all(v == v.flat[0])) for v in values if v.size)


Wanted = Callable[[list[np.ndarray]], bool]


def gate_conditions(found: list[Apply]) -> Iterator[tuple[str, Wanted]]:
    """Yield the conditions on the switches that may be tried, with their words."""
    if any(n.shape for n in found):
        yield AGREE, agreeing
        yield "all samples are active", all_on
    elif found:
        shown = list(dict.fromkeys(str(n) for n in found))
        yield (
            f"the gate is active, {shown[0]}" if len(shown) == 1 else f"all gates are active, {', '.join(shown)}",
            all_on,
        )


def holds_where(truth: Expr, said: Expr, found: list[Apply], wanted: Wanted) -> bool:
    """True if the sides are equal at every point at which the switches are as wanted, and there are such points."""
    symbols = {**truth.symbols, **said.symbols}
    seen: list[np.ndarray] = []
    for point, sizes, values in points_with(symbols, found, [truth, said]):
        if not wanted(values):
            continue
        a, b = (np.asarray(v, dtype=float) for v in evaluate_all([truth, said], point, sizes))
        if compared(a, b, 0.0)[0] == "different":
            return False
        if np.any(a):
            seen.append(a)
        if len(seen) == ENOUGH:
            return not is_degenerate(seen, bool(truth.symbols))
    return False


def agrees_with_some(truth: Expr, branches: list[Expr]) -> bool:
    """True if the truth is one of the branches wherever all its gates have one value, and every branch once."""
    found = switches(truth)
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
    """Yield generic points of many kinds, with where the switches are on there."""
    rng = np.random.default_rng(3)
    sizes = sizes_for(roots)
    for attempt in range(ATTEMPTS):
        point = {name: draw(s, concrete(s.shape, sizes), rng, attempt) for name, s in symbols.items()}
        try:
            values = positions(found, point, sizes)
        except ChainruleError:
            continue
        if is_generic(roots, point, sizes):
            yield point, sizes, values


def positions(found: list[Apply], point: Point, sizes: Mapping[str, int]) -> list[np.ndarray]:
    """Return where each switch is on: on the upper side of its kink."""
    arguments = list(dict.fromkeys(a for n in found for a in n.args))
    known = dict(zip(arguments, evaluate_all(list(arguments), point, sizes), strict=True))
    sides = [n.op.kinks(*(known[a] for a in n.args)) for n in found if n.op.kinks is not None]
    return [np.asarray(side, dtype=float) > 0 for side in sides]
