"""A gradient against differences of the function itself: along random directions, then entry by entry.

Slopes are extrapolated from two steps (Richardson); how much the steps disagree says how far a slope can be trusted.
Where the slopes to the two sides differ whatever the step, the point is a kink.
Source: Nocedal and Wright, Numerical Optimization, 2006, section 8.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Array = np.ndarray[Any, Any]
Loss = Callable[[Array], float]  # of one argument, the others held
Outcome = Literal["correct", "wrong", "cannot tell"]

DIRECTIONS = 6
MOST_ENTRIES = 400  # beyond these, a sample of entries is looked at
SURE = 30.0  # times the estimated error of the differences
RELATIVE = 1e-6  # a gradient may be off by this in float64


@dataclass(frozen=True, slots=True)
class Slope:
    """A directional derivative with its estimated error; at a kink, the slopes to both sides."""

    value: float
    error: float
    left: float
    right: float

    @property
    def is_kink(self) -> bool:
        """True if the two sides have different slopes."""
        return abs(self.right - self.left) > 1e-3 * max(abs(self.left), abs(self.right), 1e-12) + SURE * self.error


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differences say of a gradient: the verdict, the largest relative error, and the entry that is worst."""

    outcome: Outcome
    error: float = 0.0
    why: str = ""
    place: tuple[int, ...] = ()
    given: float = 0.0
    expected: float = 0.0
    measured: Array | None = None  # the whole gradient from differences, where that was worked out


def slope(loss: Loss, x: Array, v: Array, eps: float) -> Slope:
    """Return the derivative of the loss at `x` along `v`."""
    size = max(1.0, float(np.max(np.abs(x), initial=0.0))) / max(float(np.max(np.abs(v), initial=0.0)), 1e-300)
    h = 0.3 * eps**0.2 * size
    here = loss(x)
    ends = {k: (loss(x + k * h * v), loss(x - k * h * v)) for k in (1.0, 0.5)}
    wide, narrow = ((up - down) / (2 * k * h) for k, (up, down) in ends.items())
    up, down = ends[0.5]
    right, left = (up - here) / (0.5 * h), (here - down) / (0.5 * h)
    rounding = 8 * eps * max(abs(here), abs(up), abs(down)) / h
    bend = abs(wide - narrow) / 3
    value = (4 * narrow - wide) / 3
    smooth = abs(right - left) <= 4 * bend + 8 * rounding or _halves(ends, here)
    if smooth:
        left = right = value
    return Slope(value, bend + rounding, left, right)


def _halves(ends: dict[float, tuple[float, float]], here: float) -> bool:
    """The jump of the slope shrinks with the step if the function is smooth, and stays if it has a kink."""
    wide, narrow = (abs(up - 2 * here + down) / k for k, (up, down) in ends.items())
    return narrow <= 0.75 * wide


def compared(loss: Loss, x: Array, gradient: Array, eps: float, seed: int = 0) -> Comparison:
    """Compare a gradient with differences of the loss at `x`. Shapes: x and gradient (any, the same)."""
    if gradient.shape != x.shape:
        return Comparison("wrong", why=f"the gradient has the shape {gradient.shape}, the argument {x.shape}")
    if not np.all(np.isfinite(gradient)):
        return Comparison("wrong", why="the gradient is not finite") if np.isfinite(loss(x)) else _undefined()
    if not np.isfinite(loss(x)):
        return _undefined()
    rng = np.random.default_rng(seed)
    found = [_along(loss, x, gradient, v / np.linalg.norm(v), eps) for v in rng.normal(size=(DIRECTIONS, *x.shape))]
    outcomes = {c.outcome for c in found}
    if outcomes == {"correct"}:
        return max(found, key=lambda c: c.error)
    if "wrong" not in outcomes:
        return next(c for c in found if c.outcome == "cannot tell")
    return _worst_entry(loss, x, gradient, eps, rng, max(found, key=lambda c: (c.outcome == "wrong", c.error)))


def _undefined() -> Comparison:
    return Comparison("cannot tell", why="the function is not finite at these values")


def _along(loss: Loss, x: Array, gradient: Array, v: Array, eps: float) -> Comparison:
    s = slope(loss, x, v, eps)
    given = float(np.sum(gradient * v))
    if not np.isfinite(s.value):
        return Comparison("cannot tell", why="the function is not finite near these values")
    if s.is_kink:
        inside = min(s.left, s.right) - SURE * s.error <= given <= max(s.left, s.right) + SURE * s.error
        return Comparison("correct" if inside else "wrong", why="the function has a kink here")
    # the length of the gradient is what its part along v is small against
    scale = max(abs(s.value), abs(given), float(np.linalg.norm(gradient)) / max(1.0, np.sqrt(gradient.size)))
    gap = abs(given - s.value)
    error = gap / scale if scale else 0.0
    if scale and s.error * SURE > 0.2 * scale:
        return Comparison("cannot tell", error, "differences are too inaccurate here")
    if gap <= RELATIVE * scale * (eps / 2.2e-16) ** 0.35 + SURE * s.error:
        return Comparison("correct", error)
    return Comparison("wrong", error)


def _worst_entry(
    loss: Loss, x: Array, gradient: Array, eps: float, rng: np.random.Generator, along: Comparison
) -> Comparison:
    """Return the entry that is most wrong."""
    places = list(np.ndindex(x.shape))
    whole = len(places) <= MOST_ENTRIES
    if not whole:
        largest = [np.unravel_index(k, x.shape) for k in np.argsort(-np.abs(gradient), axis=None)[:20]]
        places = [*largest, *(places[k] for k in rng.choice(len(places), MOST_ENTRIES // 4, replace=False))]
    measured = np.full(x.shape, np.nan)
    for place in places:
        v = np.zeros(x.shape)
        v[place] = 1.0
        measured[place] = slope(loss, x, v, eps).value
    gaps = np.where(np.isnan(measured), -1.0, np.abs(measured - gradient))
    worst = np.unravel_index(int(np.argmax(gaps)), x.shape) if x.shape else ()
    return Comparison(
        "wrong", along.error, along.why, tuple(int(k) for k in worst), float(gradient[worst]), float(measured[worst]),
        measured if whole else None,
    )  # fmt: skip
