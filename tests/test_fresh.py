"""Problems written for this project after the manner of the corpus (`corpus/fresh.json`), each with its source.

The functions and closed forms are those of books, papers and documentation, written from memory: the citation names
where the formula is known from, and the mathematics is checked here against differences and against the closed form.

`python tests/test_fresh.py` prints the table of lengths, counted as in `test_corpus.py` and, by `plain`, as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

import chainrule as cr
from chainrule.evaluate import evaluate
from chainrule.expression.node import Expr
from chainrule.notation.matrix import notate
from test_corpus import EINSUM, FOLDER, source_tokens, tokens, with_facts

PROBLEMS = {p["id"]: p for p in json.loads((FOLDER / "fresh.json").read_text())}
EACH = pytest.mark.parametrize("name", PROBLEMS)
STEP = 1e-5
TOLERANCE = 1e-6
SHARE = 0.8
Random = np.random.Generator
Extent = tuple[int, ...]


def like_gram(random: Random, shape: Extent) -> np.ndarray:
    """A well-conditioned symmetric positive definite matrix."""
    v = random.standard_normal(shape)
    return np.asarray(v @ v.T / shape[0] + 0.5 * np.eye(shape[0]))


def of_distances(random: Random, shape: Extent) -> np.ndarray:
    """The squared distances of random points of the plane."""
    points = random.standard_normal((shape[0], 2))
    return np.asarray(((points[:, None] - points[None]) ** 2).sum(-1))


def one_hot(random: Random, shape: Extent) -> np.ndarray:
    """A one-hot vector, or one-hot rows."""
    return np.asarray(np.eye(shape[-1])[random.integers(0, shape[-1], shape[:-1])])


DOMAINS: dict[str, Callable[[Random, Extent], np.ndarray]] = {
    "default": lambda r, s: 0.7 * r.standard_normal(s),
    "small": lambda r, s: 0.2 * r.standard_normal(s),
    "positive": lambda r, s: r.uniform(0.5, 2, s),
    "gt1": lambda r, s: r.uniform(1.2, 2.5, s),
    "large": lambda r, s: r.uniform(4, 6, s),
    "unit": lambda r, s: r.uniform(0.1, 0.9, s),
    "nonzero": lambda r, s: r.choice([-1.0, 1.0], s) * r.uniform(0.4, 1.6, s),
    "pm1": lambda r, s: r.choice([-1.0, 1.0], s),
    "binary": lambda r, s: r.integers(0, 2, s).astype(float),
    "count": lambda r, s: r.poisson(3.0, s).astype(float),
    "onehot": one_hot,
    "symmetric": lambda r, s: like_gram(r, s) - 0.7 * np.eye(s[0]),
    "spd": like_gram,
    "invertible": lambda r, s: 1.3 * np.eye(s[0]) + 0.3 * r.standard_normal(s),
    "risk": lambda r, s: np.triu(np.ones(s)),
    "sqdist": of_distances,
}


def point(p: dict, seed: int) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Random values of a problem's symbols, and the sizes that no symbol shows."""
    random = np.random.default_rng([seed, sum(map(ord, p["id"]))])
    values = {
        name: np.asarray(DOMAINS[p["domain"].get(name, "default")](random, tuple(p["dims"][s] for s in shape)))
        for name, shape in p["shapes"].items()
    }
    return values, {size: count for size, count in p["dims"].items() if size not in values}


@cache
def function(name: str) -> Expr:
    return cr.parse(PROBLEMS[name]["expr"], shapes=PROBLEMS[name]["shapes"])


@cache
def derivative(name: str) -> Expr:
    p = PROBLEMS[name]
    return (cr.jacobian if p["order"] == 1 else cr.hessian)(function(name), p["wrt"])


@cache
def with_known(name: str) -> Expr:
    """The derivative, with the facts that the problem states."""
    return cr.simplify(with_facts(derivative(name), PROBLEMS[name]["domain"]))


def error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.max(np.abs(got - expected), initial=0) / max(1.0, np.max(np.abs(expected), initial=0)))


@EACH
def test_against_differences(name: str) -> None:
    """Of the function, or of the gradient (which has its own differences), along a random direction."""
    p = PROBLEMS[name]
    values, sizes = point(p, 0)
    before = function(name) if p["order"] == 1 else cr.jacobian(function(name), p["wrt"])
    direction = np.random.default_rng(1).standard_normal(values[p["wrt"]].shape)

    def along(t: float) -> np.ndarray:
        return np.asarray(evaluate(before, values | {p["wrt"]: values[p["wrt"]] + t * direction}, sizes))

    slope = (along(STEP) - along(-STEP)) / (2 * STEP)
    got = np.asarray(evaluate(derivative(name), values, sizes))
    assert error(np.tensordot(got, direction, direction.ndim), slope) < TOLERANCE


@EACH
def test_is_the_closed_form(name: str) -> None:
    p = PROBLEMS[name]
    closed = cr.parse(p["closed_form"], shapes=p["shapes"])
    for seed in (0, 1):
        values, sizes = point(p, seed)
        expected = np.asarray(evaluate(closed, values, sizes))
        for e in (derivative(name), with_known(name)):
            assert error(np.asarray(evaluate(e, values, sizes)), expected) < TOLERANCE


@EACH
def test_every_spelling_is_one_object(name: str) -> None:
    p = PROBLEMS[name]
    if "matlab" in p:
        assert cr.parse(p["matlab"], p["shapes"], syntax="matlab") is function(name)
    if "latex" in p:
        assert cr.parse(p["latex"], p["shapes"], syntax="latex", symbols=p.get("latex_symbols")) is function(name)


@pytest.mark.parametrize("name", list(PROBLEMS)[::6])
def test_derivation_holds(name: str) -> None:
    assert cr.derive(function(name), PROBLEMS[name]["wrt"]).verified


# --- length
TEXT_TOKEN = re.compile(r"[A-Za-z_]\w*|[\d.]*\d|\*\*|@|[-+/*<>&|]")


def plain(text: str) -> int:
    """How many names, numbers and operators a NumPy text has, products and transposes included."""
    return len(TEXT_TOKEN.findall(EINSUM.sub(lambda spec: " ".join(spec[1].replace(",", "")), text.replace('"', "'"))))


def lengths(name: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Ours and the source's, by the measure of `test_corpus.py` and as plain text."""
    p, ours = PROBLEMS[name], with_known(name)
    return (tokens(notate(ours)), source_tokens(p)), (plain(cr.formula(ours)), plain(p["closed_form"]))


@pytest.mark.parametrize("measure", [0, 1], ids=["notation", "plain text"])
def test_no_longer_than_the_source(measure: int) -> None:
    found = [lengths(name)[measure] for name in PROBLEMS]
    assert sum(ours <= theirs for ours, theirs in found) >= SHARE * len(found)


if __name__ == "__main__":
    for problem in PROBLEMS:
        (ours, theirs), (own_text, their_text) = lengths(problem)
        print(f"{ours:4} {theirs:4}   {own_text:4} {their_text:4}  {problem:16} {with_known(problem)}"[:150])
