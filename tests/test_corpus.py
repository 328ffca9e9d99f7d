"""Problems that other people posed (`corpus/`, see its README): right on numbers, and no longer than the source's form.

`python tests/test_corpus.py` prints the table of lengths; so does `pytest -s tests/test_corpus.py -k table`.

The measure of length: every name, number, function name and operator that is printed counts one; parentheses, commas
and the empty space of a product count nothing. (Aᵀx counts three: A, ᵀ, x.) The source's closed form is read by our
parser and written by the same writer; what it cannot read is counted in the source's text in the same way (a product
sign `@` or `*` counts nothing, and of an `einsum` the name and the letters that stand at its factors).
The source's forms rest on facts that it states about its symbols, such as symmetry: ours may use the same facts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.notation.layout as n
from chainrule.derivative.differentiate import substitute
from chainrule.evaluate import evaluate
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.op import Op
from chainrule.notation.matrix import notate

FOLDER = Path(__file__).parent / "corpus"
PROBLEMS = json.loads((FOLDER / "public.json").read_text())
STATED = [p for p in PROBLEMS if p["closed_form"]]
FACTS = {
    "symmetric": "symmetric", "spd": "positive definite", "symprob": "symmetric", "sqdist": "symmetric",
    "onehot": "one-hot", "probability": "sums to one", "positive": "positive", "gt1": "positive", "large": "positive",
    "unit": "positive",
}  # fmt: skip
SHARE = 0.8
TOLERANCE = 1e-7


@cache
def answers() -> dict[str, np.ndarray]:
    return dict(np.load(FOLDER / "answers.npz"))


@cache
def derivative(name: str) -> Expr:
    """The derivative of a problem, no facts assumed."""
    p = next(p for p in PROBLEMS if p["id"] == name)
    e = cr.parse(p["expr"], shapes=p["shapes"])
    return cr.jacobian(e, p["wrt"]) if p["order"] == 1 else cr.hessian(e, p["wrt"])


def with_facts(e: Expr, domain: dict[str, str]) -> Expr:
    """The same expression, its symbols with the facts that the problem states."""
    known = {s: FACTS[domain[s.name]] for s in e.symbols.values() if domain.get(s.name) in FACTS}
    return substitute(e, {s: Symbol(s.name, s.shape, frozenset({fact})) for s, fact in known.items()})


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("p", PROBLEMS, ids=lambda p: p["id"])
def test_right_on_numbers(p: dict, seed: int) -> None:
    head = f"{p['id']}|{seed}|"
    values = {key.removeprefix(head): a for key, a in answers().items() if key.startswith(head)}
    expected = values.pop("answer")
    result = derivative(p["id"])
    sizes = {name: count for name, count in p["dims"].items() if name not in values}
    for e in dict.fromkeys([result, cr.simplify(with_facts(result, p["domain"]))]):
        got = evaluate(e, values, sizes)
        assert np.shape(got) == expected.shape
        error = np.max(np.abs(got - expected), initial=0) / max(1.0, np.max(np.abs(expected), initial=0))
        assert error <= TOLERANCE, str(e)


VARIANTS = [(p, kind) for p in PROBLEMS for kind in ("latex", "matlab") if p[kind]]


@pytest.mark.parametrize(("p", "kind"), VARIANTS, ids=lambda v: v if isinstance(v, str) else v["id"])
def test_variants_are_the_same_expression(p: dict, kind: str) -> None:
    symbols = p["latex_symbols"] if kind == "latex" else None
    e = cr.parse(p[kind], shapes=p["shapes"], syntax=kind, symbols=symbols or None)
    assert e is cr.parse(p["expr"], shapes=p["shapes"])


# --- length
def parts_of(e: object) -> Iterator[object]:
    """Whatever a piece of notation is made of."""
    if isinstance(e, tuple):
        yield from e
    elif is_dataclass(e) and not isinstance(e, Op):
        yield from (getattr(e, f.name) for f in fields(e))


def own_tokens(e: object) -> int:
    """The tokens that a piece of notation adds to those of its parts."""
    match e:
        case n.Name() | n.Numeral() | n.Extent() | n.Constant():
            return 1
        case n.Sum(signs):
            return len(signs) - (signs[0] > 0)
        case n.Hadamard(parts) | n.Contraction(parts):
            return len(parts) - 1
        case n.Sub(indices=indices) | n.BigSum(indices=indices):
            return len(indices) + isinstance(e, n.BigSum)
        case n.Product() | n.Power() | n.Chain() | n.Cases() | tuple():
            return 0
        case _:
            return int(is_dataclass(e) and not isinstance(e, Op))


def tokens(e: object) -> int:
    """How many tokens are printed."""
    return own_tokens(e) + sum(tokens(part) for part in parts_of(e))


EINSUM = re.compile(r"'([a-z,]*)->[a-z]*'")
TEXT_TOKEN = re.compile(r"[A-Za-z_]\w*|[\d.]+|\*\*|[-+/<>&|]")


def source_tokens(p: dict) -> int:
    """The length of the source's closed form."""
    try:
        return tokens(notate(cr.parse(p["closed_form"], shapes=p["shapes"])))
    except cr.ChainruleError:
        spelled = EINSUM.sub(lambda spec: " ".join(spec[1].replace(",", "")), p["closed_form"])
        return len(TEXT_TOKEN.findall(spelled))


@cache
def table() -> tuple[tuple[str, int, int, str], ...]:
    """For each problem with a closed form: its name, our length, the source's, and what we print."""
    rows = []
    for p in STATED:
        ours = cr.simplify(with_facts(derivative(p["id"]), p["domain"]))
        rows.append((p["id"], tokens(notate(ours)), source_tokens(p), str(ours)))
    return tuple(rows)


def share() -> float:
    """How many of our forms are no longer than the source's."""
    return sum(ours <= theirs for _, ours, theirs, _ in table()) / len(table())


def printed_table() -> str:
    """The table, the longest beyond the source's first."""
    rows = sorted(table(), key=lambda row: row[2] - row[1])
    lines = [f"{ours:5} {theirs:6}  {name:28} {form[:120]}" for name, ours, theirs, form in rows]
    total = f"no longer than the source's: {share():.1%} of {len(rows)}"
    return "\n".join([" ours source", *lines, total])


def test_table_of_lengths() -> None:
    print("\n" + printed_table())
    assert share() >= SHARE


if __name__ == "__main__":
    print(printed_table())
