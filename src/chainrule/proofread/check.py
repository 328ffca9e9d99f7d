"""The way in: a text to a report."""

from __future__ import annotations

import re

from chainrule.errors import DomainError
from chainrule.proofread.declarations import facts_in_prose
from chainrule.proofread.notebook import Notebook
from chainrule.proofread.page import report_html
from chainrule.proofread.reading import rows
from chainrule.proofread.remedy import remedied
from chainrule.proofread.report import Report
from chainrule.proofread.working import SECONDS, Proofreader
from chainrule.proofread.written import report_text

Report.views = {"text": report_text, "html": report_html}
UPHILL = re.compile(r"\b(?:ascent|maximi[sz]\w*|uphill|likelihood|reward)\b", re.IGNORECASE)
LONGEST_SENTENCE = 500
LONGEST = 200_000  # characters of a working


def check(text: str, seconds: float = SECONDS) -> Report:
    """Return the verdict on every line of a hand derivation, and what is wrong with the first wrong one.

    The text is plain, Markdown or LaTeX: declarations (`X : N x d`), definitions (`z = X @ w`), claims (`dC/dw = …`),
    with prose between them. What is not judged after `seconds` says so.
    Raises: DomainError for a text that is too long, is no text, or holds no formula.

    >>> report = check("A : n x n; f = x @ A @ x; df/dx = 2 * A @ x")
    >>> report.first_wrong.verdict, report.first_wrong.condition
    ('correct if', 'A is symmetric')
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise DomainError(
            "this is not a text", found="bytes that no text has", hint="give a text, Markdown or LaTeX file"
        )
    if len(text) > LONGEST:
        raise DomainError(
            "the working is too long",
            expected=f"at most {LONGEST:,} characters",
            found=f"{len(text):,}",
            hint="check it in parts: one derivation at a time",
        )
    reader = Proofreader(rows(text), seconds, Notebook(facts=facts_of(text), ascends=UPHILL.search(text) is not None))
    lines = reader.read()
    if not lines:
        raise DomainError(
            "there is no formula in this text",
            expected="lines such as X : N x d, z = X @ w, dC/dw = …",
            hint="docs/proofread.md shows a whole working",
        )
    report = Report(text, tuple(lines))
    first = report.first_wrong
    if first is None:
        return report
    before = lines[: lines.index(first)]
    explained = remedied(first, before, reader.layout)
    return Report(text, tuple(explained if line is first else line for line in lines))


def facts_of(text: str) -> dict[str, frozenset[str]]:
    """Return what the prose says of symbols: "where A is symmetric"."""
    facts: dict[str, frozenset[str]] = {}
    for line in text.split("\n"):
        for name, said in facts_in_prose(line) if len(line) < LONGEST_SENTENCE else ():
            facts[name] = facts.get(name, frozenset()) | said
    return facts
