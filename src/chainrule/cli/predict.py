"""`chainrule predict`: the answers of a trained neuron for new rows."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import click
import numpy as np

from chainrule import learn
from chainrule.cli.training import OUR_NAME, score
from chainrule.errors import DomainError
from chainrule.learn.data import Array
from chainrule.learn.parameters import TrainedNeuron

EPILOG = """\b
Examples:
  chainrule predict houses.params.json new-houses.csv
  chainrule predict houses.params.json new-houses.csv --out prices.csv
"""


@click.command(epilog=EPILOG)
@click.argument("parameters", metavar="PARAMS.json", type=click.Path(path_type=Path))
@click.argument("data", metavar="DATA.csv", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Write here and not to standard output.")
def predict(parameters: Path, data: Path, out: Path | None) -> None:
    """Predict the target of every row of DATA.csv with parameters that `train` saved.

    Columns are found by their names; others are ignored. The answer is CSV, one row for each row of the data. Where
    the target is a column of the data, its score is shown too.
    """
    neuron = TrainedNeuron.load(parameters)
    predicted = neuron.predict_table(learn.read_csv(data, columns=neuron.features, at_least=1))
    text = as_csv(f"predicted_{neuron.target}", predicted)
    if out is None:
        click.echo(text, nl=False)
    else:
        write(out, text)
        click.echo(f"{len(predicted)} predictions: {out}")
    known = known_targets(data, neuron.target)
    if known is not None:
        found = score(OUR_NAME, known, predicted)
        click.echo(f"against the column {neuron.target}: R² {found.r_squared:.3f}, RMSE {found.rmse:.4g}", err=True)


def as_csv(name: str, values: Array) -> str:
    """Return one column of numbers, each with as many digits as it takes to read it back exactly."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([[name], *([float(value)] for value in values)])
    return lines.getvalue()


def known_targets(data: Path, target: str) -> Array | None:
    """Return the target column (N) of the data, or None where it is absent or incomplete."""
    try:
        return np.asarray(learn.read_csv(data, columns=[target], at_least=1).column(target))
    except DomainError:
        return None


def write(path: Path, text: str) -> None:
    """Write a file; raises DomainError if that is not possible."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DomainError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
