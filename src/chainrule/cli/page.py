"""A derivation on the terminal: numbered steps, each with its rule, its reason and what the numbers say."""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.cli.terminal import FAILS, HEADING, HOLDS, QUIET, RULE, Page, broken
from chainrule.notation.layout import Chain, Differential, Layout, Name
from chainrule.notation.written import notate_equation, notate_written
from chainrule.render.outline import Part, layout_words, mark, outline, quality
from chainrule.render.text import layout_to_text, text, title_of, width
from chainrule.rewrite.statement import Derivation, Step

NUMBER = 5  # columns that a step's number takes


def show_derivation(page: Page, d: Derivation) -> None:
    """Write a whole derivation."""
    page.line(f"{title_of(d)}  ", (f"({layout_words(d)})", QUIET))
    reason = ""
    for part in outline(d):
        reason = _show_part(page, d, part, reason)
    show_ending(page, d)


def show_ending(page: Page, d: Derivation) -> None:
    """Write the result without names, what was assumed, and how many steps were verified."""
    page.heading("Result")
    outputs = d.function.ndim if d.cotangent is None else 0
    result = Chain((title_layout(d), notate_written(d.result, outputs, d.layout)), ("=",))
    for line in equation_lines(" " * NUMBER, result, page.columns):
        page.line((line, HEADING))
    for sentence in d.assumptions:
        page.prose(f"assumed: {sentence}", NUMBER, QUIET)
    show_quality(page, d)


def title_layout(d: Derivation) -> Layout:
    """Return the notation of what is derived: ∂C/∂w, or dQ with a cotangent."""
    if d.cotangent is not None:
        return Name(f"d{d.wrt.name}")
    return Differential(Name(d.function_name), Name(d.wrt.name))


def show_quality(page: Page, d: Derivation) -> None:
    """Write how many steps were verified, and against what."""
    style = HOLDS if d.verified else FAILS
    verdicts = [step.verdict for step in d.steps if step.verdict]
    points, worst = max(v.points for v in verdicts), max(v.error for v in verdicts)
    page.line(
        " " * NUMBER,
        (quality(d), style),
        (f", {points} random points each, relative error ≤ {worst:.0e}", QUIET),
    )


def _show_part(page: Page, d: Derivation, part: Part, reason: str) -> str:
    """Write the steps under one heading, and return the last reason given: it is not repeated."""
    page.heading(part.title)
    for number, step in part.steps:
        for line in equation_lines(f"{number:3}. ", notate_equation(step.equation, d.layout), page.columns):
            page.line(line)
        verdict = mark(step)
        page.line(" " * NUMBER, (f"[{step.rule}]", RULE), "  ", (verdict, FAILS if failed(step) else HOLDS))
        if step.because != reason:
            page.prose(step.because, NUMBER + 2, QUIET)
        if step.note:
            page.prose(f"note: {step.note}", NUMBER + 2, QUIET)
        reason = step.because
    return reason


def failed(step: Step) -> bool:
    """True for a step that was not checked, or that does not hold."""
    return step.verdict is None or not step.verdict.holds


def equation_lines(number: str, e: Layout, columns: int) -> list[str]:
    """Return an equation on one line if it fits, else with one sign a line, the signs below each other."""
    line = number + layout_to_text(e)
    if width(line) <= columns or not isinstance(e, Chain):
        return [line]
    left = f"{number}{layout_to_text(e.sides[0])} "
    lines: list[str] = []
    for sign, side in zip(e.signs, e.sides[1:], strict=True):
        lines += side_lines(left if not lines else " " * width(left), f"{sign} {layout_to_text(side)}", columns)
    lines[-1] += f"   {e.condition}" if e.condition else ""
    return lines


def side_lines(before: str, side: str, columns: int) -> Iterator[str]:
    """Yield one side of an equation: a case split one branch a line, anything else broken at spaces."""
    margin = width(before)
    head, brace, branches = side.partition("{")
    if margin + width(side) <= columns:
        yield before + side
    elif brace and side.endswith("}") and "{" not in branches:
        below = " " * (margin + width(head) + 1)
        first, *rest = branches.split("; ")
        yield f"{before}{head}{{{first}" + ";" * bool(rest)
        yield from (f"{below}{branch}{';' * (k < len(rest))}" for k, branch in enumerate(rest, 1))
    else:
        first, *rest = broken(side, columns - margin, 0, 2)
        yield before + first
        yield from (" " * margin + line for line in rest)


def definition_line(d: Derivation) -> str:
    """Return the function with its name: `C = (1/N) ‖y − max(0, Xw + 1⃗b)‖²`."""
    return f"{layout_to_text(Name(d.function_name))} = {text(d.function)}"
