"""Training: data from a file, gradient descent with the derived gradient, scikit-learn estimators, plots.

What needs scikit-learn, matplotlib or rich is imported when it is asked for, never at `import chainrule.learn`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from chainrule.learn.data import Dataset, Scaling, split
from chainrule.learn.descent import Descent, descend, largest_curvature
from chainrule.learn.model import ACTIVATIONS, neuron_cost, predict, r_squared, train_neuron
from chainrule.learn.parameters import TrainedNeuron
from chainrule.learn.table import Table, read_csv

if TYPE_CHECKING:
    from chainrule.learn.estimators import NeuronRegressor
    from chainrule.learn.history import Fit, save_plot
    from chainrule.learn.progress import progress_bar

__all__ = [
    "ACTIVATIONS",
    "Dataset",
    "Descent",
    "Fit",
    "NeuronRegressor",
    "Scaling",
    "Table",
    "TrainedNeuron",
    "descend",
    "largest_curvature",
    "neuron_cost",
    "predict",
    "progress_bar",
    "r_squared",
    "read_csv",
    "save_plot",
    "split",
    "train_neuron",
]

ON_DEMAND = {
    "NeuronRegressor": "chainrule.learn.estimators",
    "Fit": "chainrule.learn.history",
    "save_plot": "chainrule.learn.history",
    "progress_bar": "chainrule.learn.progress",
}


def __getattr__(name: str) -> Any:
    if name not in ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(ON_DEMAND[name]), name)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "chainrule"):
            raise
        what = f"chainrule.learn.{name} needs {package}, which is not installed; try: pip install 'chainrule[learn]'"
        raise ModuleNotFoundError(what, name=package) from None


def __dir__() -> list[str]:
    return sorted(__all__)
