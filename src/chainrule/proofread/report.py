"""What a proofreading found: a verdict for every line, the first wrong one, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from chainrule.expression.node import Expr
from chainrule.proofread.claim import Claim
from chainrule.proofread.judge import LayoutName, Status
from chainrule.proofread.reading import Form

SCHEMA = 1
WRONG: tuple[Status, ...] = ("wrong", "correct if")
OPEN: tuple[Status, ...] = ("cannot tell", "not understood")


class Diagnosis(Protocol):
    """What is wrong with a line: the class of error, a sentence, what repairs it, and small numbers that show it."""

    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def repair(self) -> Expr | None: ...  # noqa: D102
    @property
    def counterexample(self) -> object: ...  # noqa: D102


@dataclass(frozen=True)
class Line:
    """One formula of a working and what is to be said of it.

    `number` is its line in the text (from 1) and `column` where it starts there (from 0). `kind` is "declaration",
    "definition", "derivative", "identity", "cotangent", "update" or "formula" (one that could not be read). `verdict`
    is "correct", "correct up to layout", "correct if" (then `condition` says what has to hold), "wrong",
    "cannot tell", "given" (nothing is claimed) or "not understood"; `why` explains it. `layout` is "numerator" or
    "denominator" where the line shows one. `correct` is what the line should say, in its own notation.
    """

    number: int
    text: str
    kind: str
    verdict: Status
    why: str = ""
    condition: str = ""
    layout: LayoutName = ""
    column: int = 0
    exact: bool = False
    correct: str = ""
    finding: str = ""
    left: str = ""
    diagnosis: Diagnosis | None = None
    claim: Claim | None = field(default=None, repr=False)
    steps: tuple[str, ...] = ()
    form: Form = "plain"

    @property
    def is_claim(self) -> bool:
        """True if the line claims something that can be right or wrong."""
        return self.verdict not in ("given", "not understood")


@dataclass(frozen=True)
class Report:
    """The verdict on every line of a working, in its order.

    `first_wrong` is the first line that is wrong, or right only under a condition that nothing has stated; later lines
    are judged against the truth, whatever they were derived from. `diagnosis` says what is wrong with it.
    """

    text: str
    lines: tuple[Line, ...]
    views: ClassVar[dict[str, Callable[[Report], str]]] = {}

    @property
    def claims(self) -> tuple[Line, ...]:
        """The lines that claim something."""
        return tuple(line for line in self.lines if line.is_claim)

    @property
    def first_wrong(self) -> Line | None:
        """The first wrong line."""
        return next((line for line in self.lines if line.verdict in WRONG), None)

    @property
    def diagnosis(self) -> Diagnosis | None:
        """What is wrong with the first wrong line, if that could be found out."""
        line = self.first_wrong
        return line.diagnosis if line else None

    @property
    def correct(self) -> bool:
        """True if there are claims and all of them are correct, up to layout at most."""
        return bool(self.claims) and all(
            line.verdict in ("correct", "correct up to layout", "given") for line in self.lines
        )

    @property
    def exit_code(self) -> int:
        """0: all correct; 1: a wrong line; 2: something could not be read or decided, or nothing is claimed."""
        return 1 if self.first_wrong else 0 if self.correct else 2

    def __str__(self) -> str:
        return self.views["text"](self)

    def _repr_html_(self) -> str:
        return self.views["html"](self)

    def to_json(self) -> str:
        """Return the report as JSON; docs/proofread.md has its fields."""
        return json.dumps(as_data(self), indent=2, ensure_ascii=False)


def as_data(report: Report) -> dict[str, Any]:
    """Return the report as plain data."""
    first = report.first_wrong
    return {
        "schema": SCHEMA,
        "correct": report.correct,
        "exit_code": report.exit_code,
        "first_wrong": first.number if first else None,
        "lines": [line_data(line) for line in report.lines],
    }


def line_data(line: Line) -> dict[str, Any]:
    """Return one line as plain data."""
    return {
        "line": line.number,
        "column": line.column,
        "text": line.text,
        "kind": line.kind,
        "verdict": line.verdict,
        "condition": line.condition,
        "layout": line.layout,
        "exact": line.exact,
        "why": line.why,
        "correct": line.correct,
        "diagnosis": diagnosis_data(line.diagnosis),
        "derivation": list(line.steps),
    }


def diagnosis_data(diagnosis: Diagnosis | None) -> dict[str, Any] | None:
    """Return a diagnosis as plain data."""
    if diagnosis is None:
        return None
    example = diagnosis.counterexample
    return {
        "kind": diagnosis.kind,
        "message": diagnosis.message,
        "repair": None if diagnosis.repair is None else str(diagnosis.repair),
        "counterexample": None if example is None else str(example),
    }
