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


SECOND = [
    "d2C/dw2", "d^2C/dw^2", "d²C/dw²", "d**2C/dw**2", "d2C/dwdw", "d^2 C / dw dw^T", "∂²C/∂w∂wᵀ", "∂²C/∂w²",
    r"$\frac{\partial^2 C}{\partial w \partial w^\top}$", r"$\nabla^2_w C$", r"$\nabla_w^2 C$",
]  # fmt: skip


@pytest.mark.parametrize("left", SECOND)
def test_second_derivatives_in_every_spelling(left: str) -> None:
    right = "2 X^T X"
    line = f"{left[:-1]} = {right}$" if left.startswith("$") else f"{left} = {right}"
    claim = cr.check(f"X : N x d, w : d, y : N\nC = ‖Xw − y‖²\n{line}").lines[-1]
    assert (claim.kind, claim.verdict) == ("derivative", "correct"), claim


@pytest.mark.parametrize(
    "said",
    [
        "dO : cotangent of s", "dO is the cotangent of s", "Let dO be the upstream gradient of s.", "dO = dL/ds",
        "Let $dO$ be the gradient with respect to s", "grad_output is the incoming gradient of s",
    ],
)  # fmt: skip
def test_cotangents_in_every_spelling(said: str) -> None:
    g = "grad_output" if "grad_output" in said else "dO"
    for right, verdict in ((f"s * ({g} - sum(s * {g}))", "correct"), (f"s * {g}", "wrong")):
        claim = cr.check(f"x : n\ns = softmax(x)\n{said}\ndx = {right}").lines[-1]
        assert (claim.kind, claim.verdict) == ("cotangent", verdict), claim


def test_a_cotangent_that_nothing_declares_is_asked_for() -> None:
    line = cr.check("x : n\ns = softmax(x)\ndx = s * dO").lines[-1]
    assert line.verdict == "cannot tell" and "dO is not known" in line.why


def test_a_gate_of_one_number_is_a_condition() -> None:
    line = cr.check("m : scalar, x : d\nf = max(0, m - norm(x))**2\ndf/dx = -2 * (m - norm(x)) * x / norm(x)").lines[-1]
    assert line.verdict == "correct if" and line.condition.startswith("the gate is active")


def test_what_is_nothing_under_a_condition_is_not_right_under_it() -> None:
    """x ⊙ x is x for a one-hot x, where both are constant; that makes no line right."""
    line = cr.check("x : n\nf = norm(x)\ndf/dx = x * x / norm(x)").lines[-1]
    assert line.verdict == "wrong"


def test_a_shape_that_nothing_says_makes_no_line_wrong() -> None:
    text = "$z = Wx + b$\n\n$p = \\mathrm{softmax}(z)$\n\n$L = -\\sum_k y_k \\log p_k$, where y is one-hot\n\n"
    lines = cr.check(
        text + r"$\frac{\partial L}{\partial W} = (p - y) x^T$ and $\frac{\partial L}{\partial b} = p - y$"
    ).lines
    assert [line.verdict for line in lines[-2:]] == ["correct", "cannot tell"]


def test_a_gradient_called_d_is_no_loss() -> None:
    """dgamma is a number here; dx is not its derivative."""
    report = cr.check("h = x * gamma; C = sum((h - t)**2)\ndh = 2 * (h - t)\ndgamma = sum(dh * x)\ndx = dh * gamma")
    assert report.correct, report


def test_written_fractions() -> None:
    assert cr.check("x : n\nf = ½ ‖x‖²\n∂f/∂x = x").correct
