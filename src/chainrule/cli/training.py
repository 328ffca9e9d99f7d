"""What `train` and the tour share: training with a progress bar, and scores on rows that were held out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from chainrule import learn
from chainrule.cli.terminal import FAILS, HOLDS, QUIET, Page
from chainrule.learn.data import Array, Dataset
from chainrule.learn.descent import Descent, Parameters, Rate
from chainrule.learn.parameters import TrainedNeuron
from chainrule.learn.progress import progress_bar

PIP_LINE = "pip install scikit-learn matplotlib"
OUR_NAME, LINEAR, MEAN = "chainrule neuron", "linear regression", "mean of the target"
UNUSABLE = ("diverged", "oscillating", "dead")


@dataclass(frozen=True, slots=True, eq=False)
class Settings:
    """How to train: `steps` at most, `learning_rate` "auto" for one measured on the data."""

    activation: str = "relu"
    learning_rate: Rate = "auto"
    steps: int = 10_000
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A trained neuron, how its training went and how long it took, and the rows it never saw."""

    neuron: TrainedNeuron
    descent: Descent
    seconds: float
    rows: Dataset
    held_out: Dataset

    def predictions(self, data: Dataset) -> Array:
        """Return the neuron's predictions (N) for a dataset's rows."""
        return self.neuron.predict(data.X)


@dataclass(frozen=True, slots=True)
class Score:
    """R² (share of the variance predicted) and RMSE (in the target's units) of one model on the held-out rows."""

    label: str
    r_squared: float
    rmse: float


def train_on(
    page: Page, rows: Dataset, held_out: Dataset, settings: Settings, resumed: TrainedNeuron | None = None
) -> Training:
    """Train on standardised columns; the parameters are the best seen, however the training ended."""
    scaling = resumed.scaling if resumed else learn.Scaling.of(rows.X)
    start: Parameters | None = {"w": resumed.weights, "b": np.array(resumed.bias)} if resumed else None
    began = time.perf_counter()
    with progress_bar(settings.steps) if page.draws_bars else nullcontext() as on_step:
        descent = learn.train_neuron(
            scaling.standardise(rows.X),
            rows.y,
            activation=settings.activation,
            learning_rate=settings.learning_rate,
            max_iter=settings.steps,
            start=start,
            seed=settings.seed,
            on_step=on_step,
        )
    seconds = time.perf_counter() - began
    best = descent.best
    neuron = TrainedNeuron(rows.features, scaling, best["w"], float(best["b"]), rows.target, settings.activation)
    return Training(neuron, descent, seconds, rows, held_out)


def show_outcome(page: Page, training: Training) -> None:
    """Say why the training stopped, with the step size and the time it took."""
    descent = training.descent
    page.prose(descent.message, style=FAILS if descent.reason in UNUSABLE else "")
    page.line((f"step size η = {descent.learning_rate:.4g}; {descent.steps} steps in {training.seconds:.2f} s", QUIET))


def scores(training: Training) -> list[Score]:
    """Return the held-out scores of the neuron, of linear regression on the same rows, and of answering the mean."""
    seen, unseen = training.rows, training.held_out
    compared = [(OUR_NAME, training.predictions(unseen))]
    label, linear = linear_predictions(seen, unseen)
    compared += [(label, linear), (MEAN, np.full(len(unseen.y), np.mean(seen.y)))]
    return [score(name, unseen.y, predicted) for name, predicted in compared]


def score(label: str, y: Array, predicted: Array) -> Score:
    """Return the score of predictions (N) against targets (N)."""
    return Score(label, learn.r_squared(y, predicted), float(np.sqrt(np.mean((y - predicted) ** 2))))


def linear_predictions(seen: Dataset, unseen: Dataset) -> tuple[str, Array]:
    """Return linear regression's predictions (N) with its name: scikit-learn's, or NumPy's least squares without it."""
    if find_spec("sklearn"):
        model = import_module("sklearn.linear_model").LinearRegression().fit(seen.X, seen.y)
        return f"{LINEAR} (scikit-learn)", np.asarray(model.predict(unseen.X))
    with_ones = [np.column_stack([data.X, np.ones(len(data.y))]) for data in (seen, unseen)]
    coefficients = np.linalg.lstsq(with_ones[0], seen.y, rcond=None)[0]
    return f"{LINEAR} (NumPy)", with_ones[1] @ coefficients


def show_scores(page: Page, training: Training, found: Sequence[Score]) -> None:
    """Write the scores as a table."""
    count, target = len(training.held_out.y), training.neuron.target
    page.line((f"{f'held-out rows: {count}':32}{'R²':>8}{'RMSE':>12}  ({target})", QUIET))
    for entry in found:
        style = HOLDS if entry.label == OUR_NAME else ""
        share = "–" if np.isnan(entry.r_squared) else f"{entry.r_squared:.3f}"
        page.line((f"{entry.label:32}{share:>8}{entry.rmse:12.4g}", style))
    if any(np.isnan(entry.r_squared) for entry in found):
        page.line(("R² needs held-out rows whose targets differ", QUIET))


def save_picture(page: Page, path: Path, training: Training, title: str) -> bool:
    """Draw the loss and the fit into a file, and say so; without matplotlib, say what to install."""
    try:
        save_plot, fit = learn.save_plot, learn.Fit
    except ModuleNotFoundError:
        page.prose(f"no plot: matplotlib is not installed. To have it: {PIP_LINE}")
        return False
    fits = []
    for label, data in (("trained on", training.rows), ("held out", training.held_out)):
        x = data.X[:, 0] if len(data.features) == 1 else None
        fits.append(fit(label, data.y, training.predictions(data), x))
    target, feature = training.neuron.target, training.neuron.features[0]
    save_plot(path, training.descent, fits, target=target, feature=feature, title=title)
    page.line("plot: ", (str(path), "bold"))
    return True
