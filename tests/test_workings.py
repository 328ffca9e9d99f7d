"""Workings from life: the first wrong line and its class are found, and the corrected working passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import chainrule as cr

FOLDER = Path(__file__).parent / "workings"
EXPECTED = re.compile(r"<!-- wrong: (?P<line>\d+) (?P<kind>[^;>]+?)(?:; instead: (?P<instead>.*))? -->")
FILES = sorted(FOLDER.glob("*.md"))


def split(path: Path) -> tuple[str, list[re.Match[str]]]:
    """Return a working without what it expects of itself, and that."""
    text = path.read_text(encoding="utf-8")
    found = list(EXPECTED.finditer(text))
    return EXPECTED.sub("", text), found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_first_wrong_line(path: Path) -> None:
    text, expected = split(path)
    report = cr.check(text)
    unread = [line for line in report.lines if line.verdict in ("cannot tell", "not understood")]
    assert not unread, unread[0].why
    if not expected:
        assert report.correct, report
        assert report.exit_code == 0
        return
    first = report.first_wrong
    assert first is not None and first.number == int(expected[0]["line"]), report
    assert first.diagnosis is not None and expected[0]["kind"] in first.diagnosis.kinds, first.diagnosis
    assert report.exit_code == 1
    assert first.correct


@pytest.mark.parametrize("path", [p for p in FILES if split(p)[1]], ids=lambda path: path.stem)
def test_corrected_working_passes(path: Path) -> None:
    text, expected = split(path)
    lines = text.split("\n")
    for wrong in expected:
        lines[int(wrong["line"]) - 1] = wrong["instead"]
    report = cr.check("\n".join(lines))
    assert report.correct, report


@pytest.mark.parametrize("path", [p for p in FILES if split(p)[1]], ids=lambda path: path.stem)
def test_the_correct_line_that_is_printed_is_correct(path: Path) -> None:
    text, _ = split(path)
    report = cr.check(text)
    first = report.first_wrong
    assert first is not None
    if first.kind == "update" or "cases" in first.text:
        return
    lines = text.split("\n")
    old, new = first.text.split(" = ", 1)[-1], first.correct.split(" = ", 1)[1]
    before, found, after = lines[first.number - 1].rpartition(old)
    if not found or not first.correct.startswith(first.left):
        return  # a line of several rows, or one with free indices
    lines[first.number - 1] = before + new + after
    again = [line for line in cr.check("\n".join(lines)).lines if line.number == first.number]
    assert again[-1].verdict in ("correct", "correct up to layout"), again
