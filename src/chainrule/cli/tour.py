"""The tour: the article's cost from LaTeX to a trained neuron, every step shown and checked."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from chainrule import api, learn
from chainrule.cli.answer import unverified
from chainrule.cli.page import definition_line, show_derivation, show_ending
from chainrule.cli.terminal import COMMAND, FAILS, HEADING, QUIET, Page, indented
from chainrule.cli.training import PIP_LINE, Settings, save_picture, scores, show_outcome, show_scores, train_on
from chainrule.errors import DomainError
from chainrule.expression.node import Expr
from chainrule.learn.data import Dataset
from chainrule.rewrite.statement import Derivation

COST = r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{X}_i + b))^2"
PLOT = Path("chainrule-tour.png")
NEXT = (
    ('chainrule derive "x\' * A * x" --syntax matlab --wrt x', "another formula"),
    ('chainrule derive "norm(A @ x - b)**2" --wrt x --code numpy', "its gradient as NumPy code"),
    ("chainrule train DATA.csv --target COLUMN", "a neuron on your own data"),
    ("chainrule --help", "everything else"),
)


def tour() -> None:
    """Take the tour; the exit code is 1 if a step of a derivation fails its check."""
    page = Page()
    page.line(("chainrule", HEADING), ": matrix calculus that shows its work")
    cost, derivations = derived(page)
    if wrong := unverified(derivations):
        for sentence in wrong:
            page.prose(sentence, style=FAILS)
        sys.exit(1)
    show_program(page, cost, derivations)
    trained(page)
    page.heading("What to type next")
    for command, what in NEXT:
        page.line("  ", (command, COMMAND))
        page.line((f"      {what}", QUIET))


def derived(page: Page) -> tuple[Expr, list[Derivation]]:
    """Show the formula as written and as understood, and derive it by the weights and by the bias."""
    page.heading("1. A formula, as an article writes it: the cost of a neuron on N samples")
    page.line(f"  {COST}")
    page.heading("2. How it was understood")
    understood, _ = api.understand(COST)
    cost = understood.expression
    by_weights = api.derive(cost, "w")
    page.line(f"  {definition_line(by_weights)}")
    for sentence in understood.inferred:
        page.prose(sentence, 4, QUIET)
    page.heading("3. Its derivative by the weights w, step by step")
    show_derivation(page, by_weights)
    page.heading("4. And by the bias b, in the same way (--detail brief shows less)")
    by_bias = api.derive(cost, "b", detail="brief")
    show_ending(page, by_bias)
    return cost, [by_weights, by_bias]


def show_program(page: Page, cost: Expr, derivations: list[Derivation]) -> None:
    """Show the cost and both derivatives as one program, shared parts computed once."""
    page.heading("5. The cost and both derivatives as one program, which trains the neuron below")
    code = api.source((cost, *(d.result for d in derivations)), name="cost_and_gradient")
    page.line(indented(code[code.index("def ") :]))


def trained(page: Page) -> None:
    """Train the neuron, compare it with linear regression on rows that neither has seen, and draw the plot."""
    if find_spec("sklearn"):
        page.heading("6. Training on real data: 442 patients, 10 measurements, diabetes progression")
        page.line(("from scikit-learn; 80 % of the rows to train on, 20 % held out", QUIET))
        data, title = diabetes(), "diabetes progression, one neuron"
    else:
        page.heading("6. Training on data made up here, with noise: scikit-learn is not installed")
        page.line(f"for real data and the plot: {PIP_LINE}")
        data, title = made_up(), "made-up data, one neuron"
    rows, held_out = learn.split(data, held_out=0.2, seed=0)
    training = train_on(page, rows, held_out, Settings())
    show_outcome(page, training)
    page.line()
    show_scores(page, training, scores(training))
    active = float(np.mean(training.predictions(held_out) > 0))
    page.prose(f"max(0, z) is active on {active:.0%} of the held-out rows; on those the neuron is linear", style=QUIET)
    try:
        save_picture(page, PLOT, training, title)
    except DomainError as error:
        page.line(f"no plot: {error.message}")


def diabetes() -> Dataset:
    """Return scikit-learn's diabetes data (Efron, Hastie, Johnstone, Tibshirani, 2004), in the measurements' units."""
    found = import_module("sklearn.datasets").load_diabetes(scaled=False)
    X, y = np.asarray(found.data, dtype=np.float64), np.asarray(found.target, dtype=np.float64)
    return Dataset(tuple(found.feature_names), X, "progression", y)


def made_up(rows: int = 442, features: int = 10) -> Dataset:
    """Return rows that follow a neuron, with noise of standard deviation 1/2."""
    random = np.random.default_rng(0)
    X, w = random.normal(size=(rows, features)), random.normal(size=features)
    y = np.maximum(0, X @ w + 2) + random.normal(size=rows) / 2
    return Dataset(tuple(f"x{k + 1}" for k in range(features)), X, "y", y)
