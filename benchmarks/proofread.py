"""How well wrong lines are found and explained: every mutation at every place of the public corpus's closed forms.

    python benchmarks/proofread.py [--seeds 50] [--every 1] [--json proofread.json]

A mutant counts as wrong in truth if its value, at the points that came with the problem, is defined and is not the
derivative given there (nor its transpose); the classes that count as right are fixed in `tests/mutations.py`. Lines
that do not parse are left out, and problems whose own closed form holds only under facts that no symbol here can have
("large", "nonzero" …): they are listed. The unmutated lines are judged with many seeds, and with badly scaled values;
none may be called wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import numpy as np

import chainrule as cr
from chainrule.derivative.differentiate import substitute
from chainrule.evaluate import evaluate
from chainrule.expression.node import Expr, Symbol
from chainrule.proofread.claim import Claim
from chainrule.proofread.compare import Grounds, Place, grounds
from chainrule.proofread.diagnosis import diagnose
from chainrule.proofread.judge import judge
from chainrule.syntax.parse import read
from mutations import MUTATIONS, Mutant, mutants
from test_corpus import FACTS, STATED, answers

VISIBLE = 1e-6  # a mutant that differs by less, relative to the derivative, counts as the same


@dataclass
class Row:
    """One mutation: how many mutants differ, how many were found out, and how many rightly explained.

    Found out is a line that is called wrong, or right under a condition only (`on_condition`: 2A for A + Aᵀ).
    """

    mutation: str
    differ: int = 0
    wrong: int = 0
    on_condition: int = 0
    right_class: int = 0
    among_readings: int = 0
    seconds: float = 0.0


def with_facts(e: Expr, domain: dict[str, str]) -> Expr:
    known = {s: FACTS[domain[s.name]] for s in e.symbols.values() if domain.get(s.name) in FACTS}
    return substitute(e, {s: Symbol(s.name, s.shape, frozenset({fact})) for s, fact in known.items()})


@cache
def problem(name: str) -> tuple[Expr, Symbol, Expr]:
    """The function, the variable and the derivative."""
    p = next(p for p in STATED if p["id"] == name)
    function = with_facts(cr.parse(p["expr"], p["shapes"]), p["domain"])
    x = function.symbols[p["wrt"]]
    return function, x, cr.jacobian(function, x) if p["order"] == 1 else cr.hessian(function, x)


def claim_of(p: dict, text: str) -> Claim:
    """The claim that a line makes. Raises: ChainruleError if the line cannot be read at all."""
    function, x, truth = problem(p["id"])
    shapes = {name: tuple(shape) for name, shape in p["shapes"].items()}
    written = read(text)
    try:
        stated = with_facts(cr.parse(text, p["shapes"]), p["domain"])
    except cr.ShapeError as error:
        return Claim("derivative", function, (x,) * p["order"], None, truth, {}, written, shapes, error)
    return Claim("derivative", function, (x,) * p["order"], stated, truth, {}, written, shapes)


def verdict(claim: Claim) -> str:
    """The checker's verdict; a line whose shapes disagree is wrong."""
    return "wrong" if claim.stated is None else judge(claim).status


def differs(p: dict, stated: Expr | None) -> bool:
    """True if the line is not the derivative at the points that came with the problem."""
    if stated is None:
        return True
    for seed in (0, 1):
        head = f"{p['id']}|{seed}|"
        values = {key.removeprefix(head): a for key, a in answers().items() if key.startswith(head)}
        truth = np.asarray(values.pop("answer"), dtype=float)
        got = np.asarray(evaluate(stated, values, {n: c for n, c in p["dims"].items() if n not in values}), dtype=float)
        if not np.all(np.isfinite(got)):
            return False
        scale = max(float(np.max(np.abs(truth), initial=0.0)), 1e-3)
        if not any(
            side.shape == truth.shape and np.max(np.abs(side - truth), initial=0.0) <= VISIBLE * scale
            for side in (got, got.T)
        ):
            return True
    return False


@cache
def conditional() -> frozenset[str]:
    """Problems whose closed form is not the derivative in general, and those that our parser cannot read."""
    found = set()
    for p in STATED:
        try:
            claim = claim_of(p, p["closed_form"])
        except cr.ChainruleError:
            found.add(p["id"])
            continue
        if not judge(claim).status.startswith("correct") or judge(claim).condition:
            found.add(p["id"])
    return frozenset(found)


def unmutated(seeds: int) -> tuple[int, Counter[str], list[str]]:
    """Compare each closed form with the derivative at the points of many seeds, then with values badly scaled.

    Returns how many were compared, the answers, and the problems with a false "different".
    """
    answers: Counter[str] = Counter()
    blamed = []
    count = 0
    for p in STATED:
        if p["id"] in conditional():
            continue
        claim = claim_of(p, p["closed_form"])
        assert claim.stated is not None
        turned = claim.stated.shape != claim.truth.shape
        count += 1
        for seed in range(seeds):
            try:
                ground = grounds([claim.truth, claim.stated], seed=seed)
            except cr.DomainError:
                answers["no point"] += 1
                continue
            for scaled in (ground, *(rescaled(ground, size) for size in (1e-6, 1e6)[: 2 if seed < 3 else 0])):
                answer = scaled.agree(claim.stated, claim.truth, turned).answer
                answers[answer] += 1
                if answer == "different":
                    blamed.append(f"{p['id']} (seed {seed})")
    return count, answers, blamed


def rescaled(ground: Grounds, size: float) -> Grounds:
    """The same points with every second value badly scaled."""

    def stretched(values: dict) -> dict:
        return {name: v * size if k % 2 == 0 else v for k, (name, v) in enumerate(values.items())}

    return Grounds([Place(stretched(p.values), p.sizes, tuple(map(stretched, p.moved))) for p in ground.places])


def cases(every: int) -> Iterator[tuple[dict, Mutant, Claim]]:
    """Every mutant that can be read and differs; of these every k-th."""
    count = 0
    for p in STATED:
        if p["id"] in conditional():
            continue
        for mutant in mutants(p["closed_form"], p["shapes"]):
            count += 1
            if count % every:
                continue
            try:
                claim = claim_of(p, mutant.text)
                if claim.stated is not None and not claim.stated.symbols.keys() <= p["shapes"].keys():
                    continue
                if differs(p, claim.stated):
                    yield p, mutant, claim
            except cr.ChainruleError:
                continue


def measure(every: int, verbose: bool) -> tuple[list[Row], Counter[tuple[str, str]]]:
    rows = {name: Row(name) for name in MUTATIONS}
    confusion: Counter[tuple[str, str]] = Counter()
    for p, mutant, claim in cases(every):
        row = rows[mutant.mutation]
        started = time.perf_counter()
        said = verdict(claim)
        wrong = said in ("wrong", "correct if")
        found = diagnose(claim) if wrong else None
        row.seconds += time.perf_counter() - started
        accepted = accepted_classes(mutant, claim)
        row.differ += 1
        row.wrong += wrong
        row.on_condition += said == "correct if"
        kind = found.kind if found else "no class" if wrong else "not called wrong"
        row.right_class += kind in accepted
        row.among_readings += found is not None and bool(accepted & set(found.kinds))
        if kind not in accepted:
            confusion[mutant.mutation, kind] += 1
            if verbose:
                print(
                    f"{mutant.mutation} -> {kind} | {p['id']} | {p['closed_form'][:90]} | {mutant.text[:90]} | {found}"
                )
    return list(rows.values()), confusion


def accepted_classes(mutant: Mutant, claim: Claim) -> frozenset[str]:
    """A line of another shape than the derivative may be called that."""
    fits = claim.stated is not None and claim.stated.shape in (claim.truth.shape, claim.truth.shape[::-1])
    return mutant.accepted if fits else mutant.accepted | {"shape"}


def table(rows: list[Row]) -> str:
    lines = [f"{'mutation':22}{'differ':>8}{'wrong':>9}{'correct if':>11}{'class':>9}{'or among':>10}{'ms each':>9}"]
    total = Row("all")
    for row in rows:
        for key in ("differ", "wrong", "on_condition", "right_class", "among_readings", "seconds"):
            setattr(total, key, getattr(total, key) + getattr(row, key))
    for row in [*rows, total]:
        n = max(row.differ, 1)
        shares = f"{(row.wrong - row.on_condition) / n:>9.1%}{row.on_condition / n:>11.1%}{row.right_class / n:>9.1%}"
        shares += f"{row.among_readings / n:>10.1%}"
        lines.append(f"{row.mutation:22}{row.differ:>8}{shares}{1000 * row.seconds / n:>9.0f}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every k-th mutant only")
    parser.add_argument("--json", type=Path, help="save the table")
    parser.add_argument("--verbose", action="store_true", help="print every mutant with another class")
    parser.add_argument("--seeds", type=int, default=50, help="seeds for the unmutated lines")
    args = parser.parse_args()
    count, judged, blamed = unmutated(args.seeds)
    print(f"unmutated: {count} lines, {args.seeds} seeds: {dict(judged)}; called wrong: {blamed or 'none'}")
    print(f"left out: {', '.join(sorted(conditional()))}\n")
    rows, confusion = measure(args.every, args.verbose)
    print(table(rows))
    for (mutation, kind), count in confusion.most_common(30):
        print(f"{count:5}  {mutation} -> {kind}")
    if args.json:
        args.json.write_text(
            json.dumps(
                {
                    "unmutated": {"lines": count, "seeds": args.seeds, "answers": judged, "called wrong": blamed},
                    "left out": sorted(conditional()),
                    "rows": [asdict(row) for row in rows],
                },
                indent=1,
            )
        )


if __name__ == "__main__":
    main()
