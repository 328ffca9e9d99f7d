"""A report as text: every line with its verdict, then the first wrong one, marked and explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from chainrule.proofread.report import Line, Report

Tone = Literal["", "heading", "quiet", "good", "bad", "open"]
Part = tuple[str, Tone]
MARKS = {
    "correct": "✓", "correct up to layout": "✓", "correct if": "!", "wrong": "✗", "cannot tell": "?", "given": " ",
    "not understood": "?",
}  # fmt: skip
TONES: dict[str, Tone] = {"✓": "good", "✗": "bad", "!": "bad", "?": "open", " ": "quiet"}


def report_text(report: Report) -> str:
    """Return a report as plain text."""
    return "\n".join("".join(words for words, _ in parts).rstrip() for parts in report_parts(report))


def report_parts(report: Report) -> Iterator[list[Part]]:
    """Yield the lines of a report, in parts that each have a tone."""
    width = max((len(str(line.number)) for line in report.lines), default=1)
    for line in report.lines:
        yield from line_parts(line, width)
    yield [("", "")]
    first = report.first_wrong
    if first is None:
        yield [summary(report)]
        return
    yield from explanation(first)


def line_parts(line: Line, width: int) -> Iterator[list[Part]]:
    """Yield one line with its verdict, and below it why."""
    mark = MARKS[line.verdict]
    number = f"{line.number:>{width}} "
    said: list[Part] = [(number, "quiet"), (f"{mark} ", TONES[mark]), (line.text, "quiet" if mark == " " else "")]
    yield said
    remark = remark_of(line)
    if remark:
        yield [(" " * (width + 3) + remark, TONES[mark] if mark != "✓" else "quiet")]


def remark_of(line: Line) -> str:
    """Return what is to be said of a line besides its mark."""
    if line.verdict == "given" or (line.verdict == "correct" and not line.why):
        return ""
    verdict = f"correct if {line.condition}" if line.condition else line.verdict
    return f"{verdict}: {line.why}" if line.why else verdict


def summary(report: Report) -> Part:
    """Return one sentence about a working without a wrong line."""
    claims = len(report.claims)
    if not claims:
        return ("Nothing is claimed: no derivative and no identity.", "open")
    right = sum(line.verdict in ("correct", "correct up to layout") for line in report.claims)
    exact = sum(line.exact for line in report.claims)
    words = f"{right} of {claims} claims are correct" + (f", {exact} of them in exact fractions" if exact else "")
    return (words + ".", "good" if report.correct else "open")


def explanation(line: Line) -> Iterator[list[Part]]:
    """Yield what is wrong with the first wrong line, and what is right."""
    yield [(f"The first wrong line is line {line.number}:", "heading")]
    yield [(f"    {line.text}", "")]
    start = 4 + (len(line.left) + 3 if line.left and line.text.startswith(line.left) else 0)
    yield [(" " * start + "^" * max(1, len(line.text) + 4 - start), "bad")]
    if line.condition:
        yield [(f"  It is right only if {line.condition}.", "")]
    if line.diagnosis is not None:
        yield [(f"  {line.diagnosis.kind}: {line.diagnosis.message}", "")]
        if line.diagnosis.counterexample is not None:
            yield [("  For example:", "")]
            for row in str(line.diagnosis.counterexample).split("\n"):
                yield [(f"    {row}", "quiet")]
    elif line.finding or line.why:
        yield [("  " + ": ".join(words for words in (line.finding, line.why) if words), "")]
    yield from truth(line)


def truth(line: Line) -> Iterator[list[Part]]:
    """Yield the correct line, and how it comes about."""
    if line.correct:
        yield [("  It should say:", "")]
        yield [(f"    {line.correct}", "good")]
    if line.steps:
        yield [("  Because:", "")]
    for step in line.steps:
        yield [(f"    {step}", "quiet")]
