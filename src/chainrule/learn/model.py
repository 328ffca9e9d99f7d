"""The article's neuron: its cost as an expression, and its training with the derived gradient.

C(w, b) = (1/N) Σᵢ (yᵢ − a(w·xᵢ + b))²      with the activation a, max(0, z) in the article
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from chainrule import api
from chainrule.errors import DomainError, ShapeError
from chainrule.expression.node import Expr
from chainrule.learn.descent import (
    Array,
    Descent,
    OnStep,
    Parameters,
    Rate,
    ValueAndGrads,
    check_settings,
    descend,
    safe_rate,
)

Program = Callable[..., tuple[Array, ...]]


@dataclass(frozen=True, slots=True)
class Activation:
    """What a neuron does to z; `floor` is the smallest value it can answer, None if there is none."""

    apply: Callable[[Expr], Expr]
    floor: float | None = None


ACTIVATIONS = {
    "relu": Activation(api.relu, floor=0.0),
    "identity": Activation(lambda z: z),
}


def neuron(activation: str = "relu") -> Expr:
    """Return the neuron a(X w + b), shape (N), of X (N, d), w (d) and b ()."""
    X, w, b = api.matrix("X", "N", "d"), api.vector("w", "d"), api.scalar("b")
    return known(activation).apply(X @ w + b)


def neuron_cost(activation: str = "relu") -> Expr:
    """Return the article's cost, the mean squared error of `neuron` against y (N): a scalar."""
    return api.mean((api.vector("y", "N") - neuron(activation)) ** 2)


@cache
def compiled_cost(activation: str) -> Program:
    """Return the program of the cost and its gradients by w and b, compiled once for each activation."""
    cost = neuron_cost(activation)
    program: Program = api.compile(cost, api.grad(cost, "w"), api.grad(cost, "b"))
    return program


@cache
def compiled_neuron(activation: str) -> Callable[..., Array]:
    """Return the program of the neuron itself, compiled once for each activation."""
    program: Callable[..., Array] = api.compile(neuron(activation))
    return program


def known(activation: str) -> Activation:
    """Return an activation by name; raises DomainError if there is none of that name."""
    if activation not in ACTIVATIONS:
        expected = " or ".join(ACTIVATIONS)
        raise DomainError(f"unknown activation {activation!r}", expected=expected, found=repr(activation))
    return ACTIVATIONS[activation]


def predict(parameters: Parameters, X: Array, *, activation: str = "relu") -> Array:
    """Return predictions (N), in the target's units, for X (N, d) scaled as in training."""
    known(activation)
    return np.asarray(compiled_neuron(activation)(X=X, w=parameters["w"], b=parameters["b"]))


def r_squared(y: Array, predicted: Array) -> float:
    """Return the share of the variance of y (N) that is predicted: 1 is perfect, 0 no better than the mean.

    NaN where y does not vary, a single row included: there is no variance to predict.
    """
    variation = float(np.sum((y - np.mean(y)) ** 2))
    return 1 - float(np.sum((y - predicted) ** 2)) / variation if variation else float("nan")


def train_neuron(
    X: Array,
    y: Array,
    *,
    activation: str = "relu",
    learning_rate: Rate = "auto",
    max_iter: int = 10_000,
    tol: float = 1e-6,
    patience: int = 10,
    start: Parameters | None = None,
    seed: int | np.random.Generator | np.random.RandomState = 0,
    on_step: OnStep | None = None,
) -> Descent:
    """Train the neuron by full-batch gradient descent on X (N, d), best standardised, and targets y (N).

    The result's parameters are `w` (d) and `b` (). `learning_rate="auto"` is 1/λ with λ the largest curvature with
    every sample active: the Hessian of the cost is (2/N) X̃ᵀ diag(m) X̃ with a mask m of zeros and ones, so no other
    mask has a larger one. `start` resumes from given parameters. A neuron that no sample activates any more is
    reported with the reason "dead".

    Raises: ShapeError if X and y disagree; DomainError for numbers that are not finite, an unknown activation, or
    settings that make no sense.
    """
    unit = known(activation)
    check_data(X, y)
    check_settings(learning_rate, max_iter, tol, patience)
    cost = cost_of(X, y, activation)
    safe = safe_rate(cost, {"w": np.zeros(X.shape[1]), "b": np.array(1.0)})  # every sample active: z = 1
    begin = first_parameters(y, X.shape[1], unit, seed) if start is None else start
    descent = descend(
        cost,
        begin,
        learning_rate=safe if learning_rate == "auto" else learning_rate,
        max_iter=max_iter,
        tol=tol,
        patience=patience,
        curvature=1 / safe,
        on_step=on_step,
    )
    return with_death_explained(descent, X, y, activation, safe)


def check_data(X: Array, y: Array) -> None:
    """Raise ShapeError or DomainError unless X is (N, d) and y (N), with N and d at least 1, all finite."""
    if np.ndim(X) != 2 or np.shape(y) != np.shape(X)[:1] or not np.size(X):
        raise ShapeError("X and y do not fit together", expected="X: (N, d), y: (N)", found=f"{X.shape}, {y.shape}")
    for name, values in (("X", X), ("y", y)):
        if not np.isfinite(values).all():
            place = ", ".join(str(int(k)) for k in np.argwhere(~np.isfinite(values))[0])
            raise DomainError(f"{name}[{place}] is not a finite number", expected="finite numbers")


def cost_of(X: Array, y: Array, activation: str) -> ValueAndGrads:
    """Return the cost on the given data as a function of the parameters, with its gradients."""
    program = compiled_cost(activation)

    def value_and_grads(parameters: Parameters) -> tuple[float, Parameters]:
        value, dw, db = program(X=X, w=parameters["w"], b=parameters["b"], y=y)
        return float(value), {"w": dw, "b": db}

    return value_and_grads


def first_parameters(
    y: Array, d: int, unit: Activation, seed: int | np.random.Generator | np.random.RandomState
) -> dict[str, Array]:
    """Return where training starts: small random weights (d), and a bias that answers with the mean of y.

    Where the mean lies at or below the activation's floor, the bias is the mean magnitude of y instead, so that
    every sample is active at the start and has a slope to follow.
    """
    random = np.random.default_rng(seed) if isinstance(seed, int | np.integer) else seed
    bias = float(np.mean(y))
    if unit.floor is not None and bias <= unit.floor:
        bias = unit.floor + float(np.mean(np.abs(y)))
    return {"w": 0.01 * bias / np.sqrt(d) * random.standard_normal(d), "b": np.array(bias)}


def with_death_explained(descent: Descent, X: Array, y: Array, activation: str, safe: float) -> Descent:
    """Return the descent, with reason and message rewritten if at its end no sample activates the neuron."""
    floor = known(activation).floor
    if floor is None or descent.reason == "diverged":
        return descent
    if np.any(predict(descent.parameters, X, activation=activation) > floor):
        return descent
    if not np.any(y > floor):
        message = (
            f"No target is above {floor:g}, and the neuron answers nothing below: the best it can do is {floor:g}."
        )
        return replace(descent, message=f"{message} {descent.message}")
    message = (
        f"The neuron died at step {descent.steps}: w·x + b is negative for every sample, so its slope is zero and no "
        f"step can move it. The step size η = {descent.learning_rate:.4g} threw it over the edge. The parameters of "
        f"step {descent.best_step} are kept, where the loss was smallest: {descent.best_loss:.6g}. "
        f'Try η = {safe:.3g}, what learning_rate="auto" takes.'
    )
    return replace(descent, reason="dead", message=message, suggested_rate=safe)
