"""A trained neuron as a file: what is needed to predict, in JSON, checked when it is read back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.errors import DomainError
from chainrule.learn.data import Array, Scaling
from chainrule.learn.model import ACTIVATIONS, predict
from chainrule.learn.table import Table, position, read_text

VERSION = 1
NUMBERS = ("means", "scales", "weights")
FIELDS = ("features", *NUMBERS, "bias", "target", "activation")


@dataclass(frozen=True, slots=True, eq=False)
class TrainedNeuron:
    """Weights (d) and bias on standardised columns, with the scaling and the names that belong to them."""

    features: tuple[str, ...]
    scaling: Scaling
    weights: Array
    bias: float
    target: str
    activation: str = "relu"

    def predict(self, X: Array) -> Array:
        """Return predictions (N), in the target's units, for features X (N, d) in their own units."""
        parameters = {"w": self.weights, "b": np.array(self.bias)}
        return predict(parameters, self.scaling.standardise(X), activation=self.activation)

    def predict_table(self, table: Table) -> Array:
        """Return predictions (N) for a table; columns are found by name, others are ignored.

        Raises: DomainError if a feature is not a column of the table.
        """
        places = [position(name, table.names, table.source) for name in self.features]
        return self.predict(table.values[:, places])

    def save(self, path: str | Path) -> None:
        """Write the parameters as JSON; raises DomainError if the file cannot be written."""
        content = {
            "format": "chainrule neuron",
            "version": VERSION,
            "target": self.target,
            "activation": self.activation,
            "features": list(self.features),
            "means": self.scaling.means.tolist(),
            "scales": self.scaling.scales.tolist(),
            "weights": self.weights.tolist(),
            "bias": float(self.bias),
        }
        try:
            Path(path).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise DomainError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
        except ValueError:
            raise DomainError("the parameters are not finite, so they are not saved", hint="train again") from None

    @classmethod
    def load(cls, path: str | Path) -> TrainedNeuron:
        """Read parameters that `save` wrote; raises DomainError if the file is anything else."""
        source = Path(path).name
        content = checked_content(read_text(Path(path)), source)
        means, scales, weights = (finite_numbers(content, name, source) for name in NUMBERS)
        return cls(
            tuple(content["features"]),
            Scaling(means, scales),
            weights,
            float(content["bias"]),
            content["target"],
            content["activation"],
        )


def checked_content(text: str, source: str) -> dict[str, Any]:
    """Return the fields of a parameter file; raises DomainError if it is not one of ours."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise wrong_file(source, "text that is not JSON") from None
    if not isinstance(content, dict) or content.get("format") != "chainrule neuron":
        raise wrong_file(source, "JSON of another kind")
    if content.get("version") != VERSION:
        raise wrong_file(source, f"version {content.get('version')!r}, and this program reads version {VERSION}")
    if missing := [field for field in FIELDS if field not in content]:
        raise wrong_file(source, f"no {missing[0]}")
    for field, holds, what in CHECKS:
        if not holds(content[field]):
            raise wrong_file(source, what)
    return content


def are_names(value: object) -> bool:
    """Say whether a JSON value is a list of at least one string."""
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def is_finite_number(value: object) -> bool:
    """Say whether a JSON value is a number that fits a float64 (JSON readers let NaN and huge integers through)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


CHECKS: tuple[tuple[str, Callable[[object], bool], str], ...] = (
    ("features", are_names, "features that are not names"),
    ("target", lambda value: isinstance(value, str), "a target that is not a name"),
    ("activation", lambda value: value in tuple(ACTIVATIONS), "an activation that is not known"),
    ("bias", is_finite_number, "a bias that is not a finite number"),
)


def finite_numbers(content: dict[str, Any], name: str, source: str) -> Array:
    """Return one field as an array (d) of finite numbers, one for each feature."""
    try:
        values = np.array(content[name], dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise wrong_file(source, f"{name} that are not numbers") from None
    if values.shape != (len(content["features"]),) or not np.isfinite(values).all():
        raise wrong_file(source, f"{name} that are not one finite number for each feature")
    if name == "scales" and (values <= 0).any():
        raise wrong_file(source, "a scale that is not positive")
    return values


def wrong_file(source: str, found: str) -> DomainError:
    """Return the error for a file that does not hold a trained neuron."""
    hint = "train again and save: chainrule train DATA.csv --target COLUMN"
    return DomainError(
        f"{source} is not a file of trained parameters",
        expected="parameters saved by chainrule",
        found=found,
        hint=hint,
    )
