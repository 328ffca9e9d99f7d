"""Full-batch gradient descent that stops by itself, and says why.

On a function whose curvature is at most λ, a step of size η along the gradient lowers the value whenever
η < 2/λ, and 1/λ is the best such step known without knowing more (Nesterov, *Introductory Lectures on Convex
Optimization*, 2004, section 2.1.5). λ is measured from gradients alone, by power iteration on Hessian-vector
products (LeCun, Simard, Pearlmutter, *Automatic Learning Rate Maximization by On-Line Estimation of the
Hessian's Eigenvectors*, 1993).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DomainError

Array = NDArray[np.float64]
Parameters = Mapping[str, Array]
ValueAndGrads = Callable[[Parameters], tuple[float, Parameters]]
OnStep = Callable[[int, float], object]
Rate = float | Literal["auto"]
Reason = Literal["converged", "step limit", "diverged", "oscillating", "interrupted", "dead"]

GROWN = 10.0  # a loss this many times the first one, and rising, is on its way to infinity
RISING_STEPS = 5
RISEN = 1e-6  # relative rise above the best loss that rounding does not explain
PROBE = np.finfo(np.float64).eps ** (1 / 3)  # relative step of a central difference


@dataclass(frozen=True, slots=True, eq=False)
class Descent:
    """How a descent went: where it ended, where it was best, and why it stopped.

    `history[k]` is the loss before step k, in the units of the loss; `best` are the parameters at `best_step`.
    `curvature` is the largest one measured, and `suggested_rate` a step size to try where this one was too large.
    """

    parameters: Parameters
    best: Parameters
    best_step: int
    history: Array
    reason: Reason
    message: str
    learning_rate: float
    curvature: float | None = None
    suggested_rate: float | None = None

    @property
    def converged(self) -> bool:
        """Whether the descent ended because the loss no longer falls."""
        return self.reason == "converged"

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        return len(self.history) - 1

    @property
    def best_loss(self) -> float:
        """The smallest loss seen."""
        return float(self.history[self.best_step])


def descend(
    function: ValueAndGrads,
    start: Parameters,
    *,
    learning_rate: Rate = "auto",
    max_iter: int = 10_000,
    tol: float = 1e-6,
    patience: int = 10,
    curvature: float | None = None,
    on_step: OnStep | None = None,
) -> Descent:
    """Follow the negative gradient of `function` from `start`, and keep the best parameters seen.

    `function` maps parameters (arrays by name) to a number and gradients of the same shapes. `learning_rate` is the
    step size η, or "auto" for 1/λ with the curvature λ measured at `start`. The descent ends when the loss has fallen
    by less than the share `tol` over `patience` steps, when it diverges, after `max_iter` steps, or on Ctrl-C.
    `curvature` is a bound that is known beforehand; without it, the curvature is measured where it matters.
    `on_step(step, loss)` is called at every step. To resume, start from the `best` of an earlier descent.

    Raises: DomainError for a step size, step limit or tolerance that makes no sense.
    """
    check_settings(learning_rate, max_iter, tol, patience)
    run = Run(function, dict(start), 0.0, tol, patience, curvature)
    try:
        run.learning_rate = safe_rate(function, start) if learning_rate == "auto" else float(learning_rate)
        reason = run.walk(max_iter, on_step)
    except KeyboardInterrupt:
        reason = "interrupted"
    return concluded(run, reason)


def check_settings(learning_rate: Rate, max_iter: int, tol: float, patience: int) -> None:
    """Raise DomainError for settings no descent can follow."""
    if learning_rate != "auto" and not (isinstance(learning_rate, int | float) and 0 < learning_rate < np.inf):
        expected = 'a positive number, or "auto" to measure one'
        raise DomainError("the learning rate must be positive", expected=expected, found=repr(learning_rate))
    for name, value, least in (("max_iter", max_iter, 0), ("tol", tol, 0), ("patience", patience, 1)):
        if not value >= least:
            raise DomainError(f"{name} must be at least {least}", found=repr(value))


@dataclass(slots=True, eq=False)
class Run:
    """A descent under way."""

    function: ValueAndGrads
    parameters: dict[str, Array]
    learning_rate: float
    tol: float
    patience: int
    bound: float | None = None  # of the curvature, if one is known
    losses: list[float] = field(default_factory=list)
    best: Parameters = field(default_factory=dict)
    best_step: int = 0
    reference: float = np.inf  # the last loss that counted as progress
    stale: int = 0  # steps since then
    rising: int = 0  # steps in a row with a loss that is far above the first, and rising

    def walk(self, max_iter: int, on_step: OnStep | None) -> Reason:
        """Take steps until there is a reason to stop, and return it."""
        self.best = self.parameters
        for step in range(max_iter + 1):
            with np.errstate(over="ignore", invalid="ignore"):
                value, grads = self.function(self.parameters)
            loss = float(value)
            self.observe(step, loss)
            if on_step is not None:
                on_step(step, loss)
            if reason := self.reason_to_stop(loss, grads):
                return reason
            if step < max_iter:
                with np.errstate(over="ignore", invalid="ignore"):
                    self.parameters = moved(self.parameters, -self.learning_rate, grads)
        return "step limit"

    def observe(self, step: int, loss: float) -> None:
        """Record a loss, and what it says about progress and about divergence."""
        far = step > 0 and loss > GROWN * abs(self.losses[0]) and loss > self.losses[-1]
        self.rising = self.rising + 1 if far else 0
        self.losses.append(loss)
        if loss < self.losses[self.best_step]:
            self.best, self.best_step = self.parameters, step
        progress = step == 0 or self.reference - loss > self.tol * abs(self.reference)
        self.stale = 0 if progress else self.stale + 1
        self.reference = loss if progress else self.reference

    def reason_to_stop(self, loss: float, grads: Parameters) -> Reason | None:
        """Return why the descent cannot usefully go on, or None."""
        if not np.isfinite(loss) or not all(np.isfinite(g).all() for g in grads.values()):
            return "diverged"
        if self.rising >= RISING_STEPS:
            return "diverged"
        if not any(np.any(g) for g in grads.values()):
            return "converged"
        if self.stale < self.patience:
            return None
        return "oscillating" if self.overshoots(loss) else "converged"

    def curvature(self) -> float | None:
        """Return the bound of the curvature, or what is measured at the best parameters (a kink nearby inflates it)."""
        return self.bound or largest_curvature(self.function, self.best)

    def overshoots(self, loss: float) -> bool:
        """Say whether the loss stopped falling because steps jump over the minimum: it has risen, and η > 2/λ.

        A loss with kinks may rattle within one step of its minimum at any step size; the curvature tells the two apart.
        """
        best = self.losses[self.best_step]
        if loss <= best + RISEN * abs(best):
            return False
        curvature = self.curvature()
        return curvature is not None and self.learning_rate * curvature > 2


def concluded(run: Run, reason: Reason) -> Descent:
    """Return the result of a run, with a message that explains why it stopped."""
    curvature = suggested = None
    if reason in ("diverged", "oscillating"):
        curvature = run.curvature()
        suggested = 1 / curvature if curvature else run.learning_rate / 10
        # A curvature measured at the best point can miss a steeper place on the way; the step that failed cannot.
        suggested = min(suggested, run.learning_rate / 2)
    if not run.losses:
        run.losses, run.best = [np.inf], run.parameters
    message = explained(run, reason, curvature, suggested)
    return Descent(
        run.parameters,
        run.best,
        run.best_step,
        np.array(run.losses),
        reason,
        message,
        run.learning_rate,
        curvature,
        suggested,
    )


def explained(run: Run, reason: Reason, curvature: float | None, suggested: float | None) -> str:
    """Return what happened, in sentences a reader can act on."""
    steps, last, best = len(run.losses) - 1, run.losses[-1], run.losses[run.best_step]
    kept = f"The parameters of step {run.best_step} are kept, where the loss was smallest: {best:.6g}."
    if reason == "converged":
        return f"The loss no longer falls: {last:.6g} after {steps} steps."
    if reason == "step limit":
        return f"The step limit of {steps} is reached and the loss still falls: {last:.6g}. {kept} Allow more steps."
    if reason == "interrupted":
        return f"Interrupted after {steps} steps. {kept}"
    if steps == 0:
        return f"The loss or its gradient is not finite at the start ({last:g}): the data or the start are too large."
    if reason == "oscillating":
        what = f"it jumps over the minimum, and {steps - run.best_step} steps after its best the loss is {last:.6g}"
    elif np.isfinite(last):
        what = f"the loss went from {run.losses[0]:.6g} to {last:.6g} in {steps} steps"
    else:
        what = f"the loss went from {run.losses[0]:.6g} past every finite number at step {steps}"
    why = f"The step size η = {run.learning_rate:.4g} is too large: {what}."
    if curvature:
        why += f" The largest curvature is λ ≈ {curvature:.4g}, and steps fall only for η < 2/λ ≈ {2 / curvature:.4g}."
    return f"{why} {kept} Try η = {suggested:.3g}."


def safe_rate(function: ValueAndGrads, at: Parameters) -> float:
    """Return the step size 1/λ, with the largest curvature λ measured at `at`; 1 where nothing curves."""
    curvature = largest_curvature(function, at)
    return 1 / curvature if curvature else 1.0


def largest_curvature(
    function: ValueAndGrads, at: Parameters, *, iterations: int = 30, accuracy: float = 1e-3
) -> float | None:
    """Return the largest eigenvalue, by magnitude, of the Hessian of `function` at `at`; None if there is none.

    Power iteration: v ← Hv/|Hv|, where Hv ≈ (∇(p + hv) − ∇(p − hv)) / 2h needs gradients only. The unit of the
    result is the loss per squared unit of the parameters. Source: LeCun, Simard, Pearlmutter 1993.
    """
    random = np.random.default_rng(0)
    direction: Parameters = {name: random.standard_normal(np.shape(p)) for name, p in at.items()}
    curvature, size = 0.0, PROBE * (1 + length(at))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(iterations):
            direction = moved({}, 1 / length(direction), direction)
            ahead = function(moved(at, size, direction))[1]
            behind = function(moved(at, -size, direction))[1]
            direction = moved({}, 1 / (2 * size), moved(ahead, -1.0, behind))
            before, curvature = curvature, length(direction)
            if not np.isfinite(curvature) or curvature == 0:
                return None
            if abs(curvature - before) <= accuracy * curvature:
                break
    return curvature


def moved(start: Parameters, distance: float, direction: Parameters) -> dict[str, Array]:
    """Return start + distance · direction, name by name; an absent start is zero."""
    return {name: start.get(name, np.float64(0)) + distance * np.asarray(d) for name, d in direction.items()}


def length(vector: Parameters) -> float:
    """Return the Euclidean length of all entries together."""
    return float(np.sqrt(sum(float(np.sum(np.square(part))) for part in vector.values())))
