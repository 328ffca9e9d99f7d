"""`chainrule train`: a neuron fitted to a table of numbers, with the derivative that chainrule derived."""

from __future__ import annotations

import os
from pathlib import Path

import click

from chainrule import learn
from chainrule.cli.terminal import COMMAND, FAILS, Page
from chainrule.cli.training import (
    UNUSABLE,
    Settings,
    Training,
    save_picture,
    scores,
    show_outcome,
    show_scores,
    train_on,
)
from chainrule.errors import DomainError
from chainrule.learn.data import Dataset
from chainrule.learn.parameters import TrainedNeuron
from chainrule.learn.table import counted

INTERRUPTED = 130
EPILOG = """\b
Examples:
  chainrule train houses.csv --target price
  chainrule train houses.csv --target price --ignore id --plot fit.png
  chainrule train houses.csv --target price --resume houses.params.json --steps 50000
  chainrule predict houses.params.json new-houses.csv

\b
Exit code: 0 trained, 1 the training diverged (the best parameters are saved), 2 input refused, 130 stopped with
Ctrl-C (the best parameters are saved).
"""


@click.command(epilog=EPILOG)
@click.argument("data", metavar="DATA.csv", type=click.Path(path_type=Path))
@click.option("--target", required=True, metavar="COLUMN", help="Column to predict from all others.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Column to leave out; repeatable.")
@click.option(
    "--activation", type=click.Choice(list(learn.ACTIVATIONS)), help="max(0, z), or z itself.  [default: relu]"
)
@click.option("--learning-rate", type=float, metavar="η", help="Step size.  [default: measured on the data]")
@click.option("--steps", type=click.IntRange(min=0), default=10_000, show_default=True, help="Steps at most.")
@click.option("--held-out", type=float, default=0.2, show_default=True, help="Share of rows kept aside for the score.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which rows, and where to start."
)
@click.option("--out", type=click.Path(path_type=Path), help="Parameters, as JSON.  [default: DATA.params.json]")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the loss and the fit into this file.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="PARAMS.json", help="Go on from saved parameters.")
@click.pass_context
def train(
    ctx: click.Context, data: Path, target: str, ignore: tuple[str, ...], activation: str | None,
    learning_rate: float | None, steps: int, held_out: float, seed: int, out: Path | None, plot: Path | None,
    resume: Path | None,
) -> None:  # fmt: skip
    """Train one neuron on DATA.csv: a header, then rows of numbers.

    The neuron answers max(0, w·x + b). Its mean squared error is lowered by full-batch gradient descent with the
    derivative that chainrule derives and compiles. Columns are standardised; the score is that of rows held out.
    """
    page = Page()
    saved = out or Path(f"{data.stem}.params.json")
    for path in (saved, plot):
        check_writable(path)
    rows, aside = learn.split(table(data, target, ignore), held_out=held_out, seed=seed)
    earlier = TrainedNeuron.load(resume) if resume else None
    chosen = activation or (earlier.activation if earlier else "relu")
    if earlier:
        rows, aside = (arranged(part, earlier, chosen) for part in (rows, aside))
    introduce(page, data, rows, aside, chosen)
    settings = Settings(chosen, learning_rate if learning_rate is not None else "auto", steps, seed)
    training = train_on(page, rows, aside, settings, earlier)
    if training.descent.reason in UNUSABLE and out is None and saved.exists():
        saved = saved.with_suffix(f".{training.descent.reason}.json")  # good parameters of an earlier run stay
    training.neuron.save(saved)
    conclude(page, training, saved, data, plot)
    ctx.exit(exit_code(training))


def introduce(page: Page, data: Path, rows: Dataset, aside: Dataset, activation: str) -> None:
    """Say what is trained on, and which targets are out of the neuron's reach."""
    known, unknown = counted(len(rows.y), "row"), counted(len(aside.y), "row")
    page.line(f"{data.name}: {known} to train on, {unknown} held out, {counted(len(rows.features), 'feature')}")
    floor = learn.ACTIVATIONS[activation].floor
    if floor is not None and (rows.y < floor).any():
        share = f"{(rows.y < floor).mean():.0%} of the targets are below {floor:g}"
        page.prose(f"{share}, which this neuron cannot answer: --activation identity has no such limit", style=FAILS)


def conclude(page: Page, training: Training, saved: Path, data: Path, plot: Path | None) -> None:
    """Say how it went, and what to do next."""
    show_outcome(page, training)
    page.line()
    show_scores(page, training, scores(training))
    page.line()
    if plot:
        save_picture(page, plot, training, f"{data.name}: {training.neuron.target}")
    page.line("parameters: ", (str(saved), "bold"))
    page.line("predict:    ", (f"chainrule predict {saved} {data}", COMMAND))


def table(path: Path, target: str, ignore: tuple[str, ...]) -> Dataset:
    """Read the data; raises DomainError for what cannot be learnt from."""
    if target in ignore:
        raise DomainError(f'"{target}" is the target, so it cannot be ignored', hint="leave out one of the two options")
    return Dataset.from_table(learn.read_csv(path, ignore=ignore), target)


def arranged(data: Dataset, earlier: TrainedNeuron, activation: str) -> Dataset:
    """Return the data with its columns in the order of earlier parameters; raises DomainError if they do not fit."""
    expected = (set(earlier.features), earlier.target, earlier.activation)
    if (set(data.features), data.target, activation) != expected:
        raise DomainError(
            "the saved parameters are those of another model",
            expected=f"{earlier.activation} neuron, {earlier.target} from {', '.join(earlier.features)}",
            found=f"{activation} neuron, {data.target} from {', '.join(data.features)}",
            hint="train without --resume",
        )
    order = [data.features.index(name) for name in earlier.features]
    return Dataset(earlier.features, data.X[:, order], data.target, data.y)


def check_writable(path: Path | None) -> None:
    """Raise DomainError if a file cannot be written: better before the training than after it."""
    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise DomainError(f"cannot write {path}: {what}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise DomainError(f"cannot write {path}: permission denied", hint="choose another place with --out or --plot")


def exit_code(training: Training) -> int:
    """Return 0, or why the parameters are not what was asked for."""
    reason = training.descent.reason
    return 1 if reason in UNUSABLE else INTERRUPTED if reason == "interrupted" else 0
