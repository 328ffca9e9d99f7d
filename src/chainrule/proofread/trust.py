"""The truth is itself checked: the engine's derivative against central differences of the function."""

from __future__ import annotations

import numpy as np

from chainrule.derivative.differentiate import jacobian
from chainrule.errors import ChainruleError
from chainrule.evaluate import evaluate
from chainrule.expression.node import Apply, Expr, Symbol, walk
from chainrule.simplify.simplify import simplify
from chainrule.verify.sample import generic_points

STEP = 1e-5
SMOOTH = 1e-5
ATTEMPTS = 3


def trusted(function: Expr, wrt: tuple[Symbol, ...], truth: Expr) -> bool:
    """True if the derivative agrees with differences of the function (of its first derivative, for a second one)."""
    for x in wrt[:-1]:
        function = simplify(jacobian(function, x))
    if any(isinstance(node, Apply) and node.op.is_held for node in walk(function)):
        return True  # what is held still by decree moves in a difference
    x = wrt[-1]
    try:
        return any(
            _agrees(function, x, truth, values, sizes, seed)
            for seed in range(ATTEMPTS)
            for values, sizes in generic_points([function, truth], 1, seed, [x])
        )
    except ChainruleError:
        return False


def _agrees(
    function: Expr, x: Symbol, truth: Expr, values: dict[str, np.ndarray], sizes: dict[str, int], seed: int
) -> bool:
    at = values[x.name]
    direction = np.random.default_rng(seed).normal(size=at.shape)
    direction /= max(1.0, float(np.linalg.norm(direction)))
    predicted = np.tensordot(np.asarray(evaluate(truth, values, sizes), dtype=float), direction, axes=at.ndim)

    def change(step: float) -> np.ndarray:
        ends = [evaluate(function, {**values, x.name: at + s * step * direction}, sizes) for s in (1, -1)]
        return np.asarray((np.asarray(ends[0]) - np.asarray(ends[1])) / (2 * step), dtype=float)

    found = (4 * change(STEP) - change(2 * STEP)) / 3
    with np.errstate(all="ignore"):
        scale = max(float(np.max(np.abs(found), initial=0.0)), 1e-3)
        gap = float(np.max(np.abs(found - predicted), initial=0.0))
    return bool(np.isfinite(gap)) and gap <= SMOOTH * scale + 1e-7
