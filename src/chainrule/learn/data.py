"""What is trained on: features and a target, standardised columns, rows held out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DomainError
from chainrule.learn.table import Table, position

Array = NDArray[np.float64]
ROUNDING = 100 * np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Rows to learn from: features `X` (N, d) with their names, and the target `y` (N)."""

    features: tuple[str, ...]
    X: Array
    target: str
    y: Array

    @classmethod
    def from_table(cls, table: Table, target: str) -> Dataset:
        """Return the table with one column as target and the others, in order, as features.

        Raises: DomainError if the target is not a column (with the nearest name), or is the only one.
        """
        place = position(target, table.names, table.source)
        features = tuple(name for name in table.names if name != target)
        if not features:
            message = f'{table.source} has no column beside the target "{target}"'
            raise DomainError(message, expected="at least one feature to predict the target from")
        return cls(features, np.delete(table.values, place, axis=1), target, table.values[:, place].copy())

    def rows(self, chosen: NDArray[np.intp]) -> Dataset:
        """Return the dataset with the chosen rows only."""
        return replace(self, X=self.X[chosen], y=self.y[chosen])


def split(data: Dataset, *, held_out: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Return (training rows, held-out rows): a random share `held_out` of the rows, at least one on either side.

    Raises: DomainError if there are fewer than two rows or `held_out` is not between 0 and 1.
    """
    count = len(data.y)
    if not 0 < held_out < 1:
        raise DomainError("the held-out share must lie between 0 and 1", found=str(held_out), hint="0.2 holds out 20 %")
    if count < 2:
        raise DomainError("one row cannot be split in two", expected="at least 2 rows", found=f"{count}")
    order = np.random.default_rng(seed).permutation(count)
    aside = min(max(round(held_out * count), 1), count - 1)
    return data.rows(np.sort(order[aside:])), data.rows(np.sort(order[:aside]))


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Means and standard deviations of columns, both shape (d), in the columns' own units; a constant column has 1."""

    means: Array
    scales: Array

    @classmethod
    def of(cls, X: Array) -> Scaling:
        """Measure the columns of X (N, d)."""
        # Dividing by the largest magnitude first keeps squares of numbers like 1e300 from overflowing.
        largest = np.abs(X).max(axis=0)
        largest = np.where(largest == 0, 1.0, largest)
        means, spread = (X / largest).mean(axis=0), (X / largest).std(axis=0)
        return cls(means * largest, np.where(spread <= ROUNDING, 1.0, spread * largest))

    @classmethod
    def none(cls, columns: int) -> Scaling:
        """Return the scaling that leaves columns as they are."""
        return cls(np.zeros(columns), np.ones(columns))

    def standardise(self, X: Array) -> Array:
        """Return X (N, d) with every column at mean 0 and standard deviation 1 (dimensionless)."""
        return (X - self.means) / self.scales

    def unscaled(self, weights: Array, bias: float) -> tuple[Array, float]:
        """Return the weights and the bias that give the same z on the columns in their own units.

        w·(x − μ)/σ + b = (w/σ)·x + (b − (w/σ)·μ).
        """
        slopes = weights / self.scales
        return slopes, float(bias - slopes @ self.means)

    def scaled(self, weights: Array, bias: float) -> tuple[Array, float]:
        """Return the inverse of `unscaled`: weights and bias for standardised columns."""
        return weights * self.scales, float(bias + weights @ self.means)
