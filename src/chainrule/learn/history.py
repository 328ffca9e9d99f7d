"""The picture of a training: the loss at every step, and the fit against the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from chainrule.errors import DomainError
from chainrule.learn.data import Array
from chainrule.learn.descent import Descent
from chainrule.learn.model import r_squared

INK, LINE, ACCENT, QUIET = "#22272e", "#2f6f9f", "#c8553d", "#9aa4ae"
COLOURS = (LINE, ACCENT)
MANY_STEPS = 100  # with more, the steps are drawn on a logarithmic scale too
LOG_RANGE = 10.0  # a loss that spans more than this factor is drawn on a logarithmic scale


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Predictions for some rows: targets `y` and `predicted`, both (N), and `x` (N) where there is one feature."""

    label: str
    y: Array
    predicted: Array
    x: Array | None = None


def save_plot(
    path: str | Path, descent: Descent, fits: Sequence[Fit], *, target: str = "y", feature: str = "x", title: str = ""
) -> Path:
    """Draw the loss curve and the fit, and write them as a PNG (or what the name of `path` ends in).

    With one feature (every fit has `x`) the fitted curve is drawn over the data; otherwise predictions against
    targets, with the line where both are equal. `target` and `feature` label the axes: give units with the names.

    Raises: DomainError if the file cannot be written.
    """
    figure = Figure(figsize=(10.5, 4.4), dpi=144, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    draw_loss(left, descent, target)
    if fits and all(fit.x is not None for fit in fits):
        draw_curve(right, fits, target, feature)
    else:
        draw_agreement(right, fits, target)
    for axes in (left, right):
        plain(axes)
    if title:
        figure.suptitle(title, color=INK, fontsize=12, fontweight="bold")
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise DomainError(f"cannot write the plot to {path}: {error}", hint="a name ending in .png works") from None
    return Path(path)


def draw_loss(axes: Axes, descent: Descent, target: str) -> None:
    """Draw the loss before every step, and mark the best."""
    losses = np.where(np.isfinite(descent.history), descent.history, np.nan)
    axes.plot(losses, color=LINE, linewidth=1.8)
    axes.plot(descent.best_step, descent.best_loss, "o", color=ACCENT, markersize=6, zorder=3)
    finite = losses[np.isfinite(losses)]
    if finite.size and finite.min() > 0 and finite.max() > LOG_RANGE * finite.min():
        axes.set_yscale("log")
    if descent.steps > MANY_STEPS:
        # The first steps bring most of the fall: on a linear axis they are a vertical line.
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(ScalarFormatter())
    right_half = descent.best_step > 0.6 * max(descent.steps, 1)
    axes.annotate(
        f"best: {descent.best_loss:.5g} at step {descent.best_step}",
        (descent.best_step, descent.best_loss),
        xytext=(-4, 12) if right_half else (8, -14),
        textcoords="offset points",
        ha="right" if right_half else "left",
        color=ACCENT,
        fontsize=9,
    )
    outcome = f"{descent.reason} after {descent.steps} steps, η = {descent.learning_rate:.3g}"
    axes.set_title(f"Loss: {outcome}", color=INK, fontsize=10, loc="left")
    axes.set_xlabel("step")
    axes.set_ylabel(f"mean squared error ({target}²)")
    axes.margins(y=0.12)


def draw_agreement(axes: Axes, fits: Sequence[Fit], target: str) -> None:
    """Draw predictions against targets: a perfect fit lies on the line."""
    middle = float(np.mean(fits[0].y)) if fits else 0.0
    axes.axline(
        (middle, middle), slope=1, color=QUIET, linewidth=1.2, linestyle="--", zorder=1, label="predicted = actual"
    )
    for fit, colour in zip(fits, cycle(COLOURS), strict=False):
        label = f"{fit.label}: R² = {r_squared(fit.y, fit.predicted):.3f}"
        axes.scatter(fit.y, fit.predicted, s=18, color=colour, alpha=0.6, edgecolors="none", label=label)
    axes.set_title("Fit: predicted against actual", color=INK, fontsize=10, loc="left")
    axes.set_xlabel(f"actual {target}")
    axes.set_ylabel(f"predicted {target}")


def draw_curve(axes: Axes, fits: Sequence[Fit], target: str, feature: str) -> None:
    """Draw the data over their one feature, and the fitted curve through them."""
    for fit, colour in zip(fits, cycle(COLOURS), strict=False):
        label = f"{fit.label}: R² = {r_squared(fit.y, fit.predicted):.3f}"
        axes.scatter(np.asarray(fit.x), fit.y, s=18, color=colour, alpha=0.6, edgecolors="none", label=label)
    x = np.concatenate([fit.x for fit in fits if fit.x is not None])
    predicted = np.concatenate([fit.predicted for fit in fits])
    order = np.argsort(x)
    axes.plot(x[order], predicted[order], color=INK, linewidth=1.8, label="fitted neuron")
    axes.set_title(f"Fit: {target} over {feature}", color=INK, fontsize=10, loc="left")
    axes.set_xlabel(feature)
    axes.set_ylabel(target)


def plain(axes: Axes) -> None:
    """Give axes the quiet look: no box, a light grid behind the data, a legend without a frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color="#e6e9ec", linewidth=0.8)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)
