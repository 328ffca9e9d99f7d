"""A derivation on the terminal: the lines of `render.page`, coloured, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from chainrule.cli.terminal import FAILS, HEADING, HOLDS, QUIET, RULE, Page
from chainrule.notation.layout import Name
from chainrule.render.page import NUMBER, Line, Role, derivation_lines, ending_lines, result_lines
from chainrule.render.text import layout_to_text, text
from chainrule.rewrite.statement import Derivation

STYLES: dict[Role, str] = {
    "plain": "", "heading": HEADING, "rule": RULE, "quiet": QUIET, "holds": HOLDS, "fails": FAILS,
}  # fmt: skip


def show_derivation(page: Page, d: Derivation) -> None:
    """Write a whole derivation."""
    show(page, derivation_lines(d, page.columns))
    show_ending(page, d)


def show_ending(page: Page, d: Derivation) -> None:
    """Write the result without names, what was assumed, and how many steps were verified, against what."""
    verdicts = [step.verdict for step in d.steps if step.verdict]
    points, worst = max(v.points for v in verdicts), max(v.error for v in verdicts)
    *lines, last = [*result_lines(d, page.columns), *ending_lines(d, page.columns, NUMBER)]
    last.append((f", {points} random points each, relative error ≤ {worst:.0e}", "quiet"))
    show(page, [*lines, last])


def show(page: Page, lines: Iterable[Line]) -> None:
    """Write lines in the terminal's colours."""
    for line in lines:
        page.line(*((words, STYLES[role]) for words, role in line))


def definition_line(d: Derivation) -> str:
    """Return the function with its name: `C = (1/N) ‖y − max(0, Xw + 1⃗b)‖²`."""
    return f"{layout_to_text(Name(d.function_name))} = {text(d.function)}"
