"""One right side: all its plausible readings are judged, and the best verdict counts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from chainrule.errors import ChainruleError, DomainError, FormulaSyntaxError, ShapeError
from chainrule.expression.node import Expr
from chainrule.proofread.claim import Claim
from chainrule.proofread.differential import differentials
from chainrule.proofread.judge import Verdict, judge, judge_branches
from chainrule.proofread.notebook import Notebook
from chainrule.proofread.reading import Row
from chainrule.proofread.rightside import Stated, stated
from chainrule.proofread.sides import plain_name
from chainrule.proofread.subjects import Subject
from chainrule.proofread.targets import Target

STATIONARY = re.compile(
    r"\b(?:set|sets|setting|zero|vanish\w*|stationar\w*|optim\w*|minim\w*|maxim\w*|solve|solving)\b", re.IGNORECASE
)


def best_reading(
    book: Notebook, rows: Sequence[Row], row: Row, right: str, subject: Subject, truth: Expr,
    layouts: Mapping[bool, str],
) -> tuple[Verdict, Claim] | ChainruleError:  # fmt: skip
    """Return the best verdict that a plausible reading of the right side gets, or the first error."""
    first: ChainruleError | None = None
    found: tuple[Verdict, Claim] | None = None
    target = subject.target
    layout = layouts.get(True, layouts.get(False, ""))
    for one in stated(book, right, row.form, target, layout):
        if isinstance(one, ChainruleError):
            first = clearer(first, one)
            continue
        claim = made(book, row, subject, truth, one)
        verdict = verdict_of(claim, one, target, layouts, rows)
        if found is None or verdict.rank < found[0].rank:
            found = verdict, claim
        if verdict.rank == 0:
            break
    if found is not None and (unsaid := taken_for_a_number(book, *found)):
        hint = f"nothing says what {unsaid} is, and it was taken for a number; declare it, {unsaid} : n"
        return Verdict("cannot tell", hint), found[1]
    return found or first or DomainError("this cannot be read")


def taken_for_a_number(book: Notebook, verdict: Verdict, claim: Claim) -> str:
    """Return the variable whose shape is a guess that the line goes against, as b in `z = W x + b`; else ""."""
    if verdict.status != "wrong" or claim.stated is None or not claim.stated.ndim:
        return ""
    return next((x.name for x in claim.wrt if x.name in book.guessed and not x.ndim), "")


def clearer(first: ChainruleError | None, other: ChainruleError) -> ChainruleError:
    """Return the error that says more: shapes that disagree, rather than a notation that could not read the line."""
    if first is None or (isinstance(other, ShapeError) and isinstance(first, FormulaSyntaxError)):
        return other
    return first


def verdict_of(
    claim: Claim, one: Stated, target: Target | None, layouts: Mapping[bool, str], rows: Sequence[Row]
) -> Verdict:
    """Return the verdict on one reading; a ∂ may mean the partial derivative that holds other names still."""
    if one.branches:
        return judge_branches(claim, [claim.expanded(branch) for branch in one.branches])
    outputs = 0 if target is None or target.entry or target.kind != "derivative" else target.outputs
    agreed = layouts.get(target is not None and not target.outputs, "")
    side = "" if one.variant else one.side  # derivatives on the right are turned as it suits
    verdict = judge(claim, side, outputs, agreed, one.loose)
    if verdict.rank > 1 and target is not None and target.direct is not None and has_total(rows, target):
        other = judge(replace(claim, truth=target.direct), side, outputs, agreed, one.loose)
        if other.status == "correct":
            return replace(other, why="as the partial derivative that holds other names still")
    return verdict


def has_total(rows: Sequence[Row], target: Target) -> bool:
    """True if the working also writes the total derivative of the same function with a d."""
    return any(
        one.sign == "d" and one.function.strip() == target.label[0] for row in rows for one in differentials(row.text)
    )


def made(book: Notebook, row: Row, subject: Subject, truth: Expr, one: Stated) -> Claim:
    """Return the claim of one reading."""
    target = subject.target
    function = target.function if target is not None and subject.kind != "identity" else None
    wrt = target.wrt if target is not None and subject.kind != "identity" else ()
    own = plain_name(subject.left, row.form) if subject.kind == "derivative" else None
    names = {name: e for name, e in book.names.items() if name != own}
    return Claim(
        subject.kind,
        function,
        wrt,
        one.expression,
        truth,
        names,
        one.formula,
        dict(book.shapes),
    )


def is_condition(row: Row, right: str) -> bool:
    """True for `∂C/∂w = 0` as a condition for a minimum, which claims nothing."""
    zero = right.strip("$ .,{}") in ("0", r"\mathbf{0", "𝟎", "0⃗", r"\vec{0")
    return zero and (bool(STATIONARY.search(row.lead + " " + row.tail)) or r"{=}" in row.text)
