"""The neuron as a scikit-learn estimator."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from chainrule.learn.data import Array, Scaling
from chainrule.learn.descent import Parameters, Rate
from chainrule.learn.model import known, predict, train_neuron
from chainrule.learn.progress import progress_bar


class NeuronRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """One neuron, trained by full-batch gradient descent on its mean squared error with the derived gradient.

    `activation="relu"` answers max(0, w·x + b), which is never negative: targets below zero are out of its reach,
    `fit` warns of them, and `activation="identity"` (a linear unit) has no such limit. The columns are standardised
    for the descent only (`standardize`); `coef_` and `intercept_` are in the columns' own units.

    Attributes after `fit`: `coef_` (d), `intercept_`, `loss_curve_` (loss before each step, in squared units of y),
    `n_iter_` (steps), `n_features_in_`, and `descent_` (why it stopped, `chainrule.learn.Descent`). They hold the
    best parameters seen, also after a divergence, which is a `ConvergenceWarning` that says which step size to try.
    """

    def __init__(
        self,
        *,
        activation: str = "relu",
        learning_rate: Rate = "auto",
        max_iter: int = 10_000,
        tol: float = 1e-6,
        n_iter_no_change: int = 10,
        standardize: bool = True,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool | int = 0,
    ) -> None:
        self.activation = activation
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.standardize = standardize
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on X (N, d) and y (N); with `warm_start`, go on from the last fit. Ctrl-C keeps the best so far.

        Raises: ValueError (scikit-learn's checks) for data that are not finite numbers of these shapes; DomainError
        for settings that make no sense.
        """
        checked = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        rows: Array = checked[0]
        targets: Array = checked[1].astype(np.float64)
        self._warn_of_targets_out_of_reach(targets)
        scaling = Scaling.of(rows) if self.standardize else Scaling.none(rows.shape[1])
        with progress_bar(self.max_iter) if self.verbose else nullcontext() as on_step:
            self.descent_ = train_neuron(
                scaling.standardise(rows),
                targets,
                activation=self.activation,
                learning_rate=self.learning_rate,
                max_iter=self.max_iter,
                tol=self.tol,
                patience=self.n_iter_no_change,
                start=self._last_parameters(scaling),
                seed=check_random_state(self.random_state),
                on_step=on_step,
            )
        best = self.descent_.best
        self.coef_, self.intercept_ = scaling.unscaled(best["w"], float(best["b"]))
        self.loss_curve_ = self.descent_.history
        self.n_iter_ = self.descent_.steps
        if not self.descent_.converged:
            warnings.warn(self.descent_.message, ConvergenceWarning, stacklevel=2)
        return self

    def predict(self, X: ArrayLike) -> Array:
        """Return predictions (N), in the units of y, for X (N, d)."""
        check_is_fitted(self)
        rows: Array = validate_data(self, X, dtype=np.float64, reset=False)
        return predict({"w": self.coef_, "b": np.array(self.intercept_)}, rows, activation=self.activation)

    def _last_parameters(self, scaling: Scaling) -> Parameters | None:
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        weights, bias = scaling.scaled(self.coef_, self.intercept_)
        return {"w": weights, "b": np.array(bias)}

    def _warn_of_targets_out_of_reach(self, y: Array) -> None:
        floor = known(self.activation).floor
        if floor is not None and np.any(y < floor):
            share = float(np.mean(y < floor))
            message = (
                f"{share:.0%} of the targets are below {floor:g}, which this neuron cannot answer: "
                'shift the target, or use activation="identity"'
            )
            warnings.warn(message, UserWarning, stacklevel=3)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # scikit-learn scores estimators on standardised targets, half of them negative. A unit that answers
        # max(0, z) can explain at most half of the variance of such a target: E[min(y, 0)²] is out of its reach.
        tags.regressor_tags.poor_score = self.activation == "relu"
        return tags
