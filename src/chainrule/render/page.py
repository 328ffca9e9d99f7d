"""A derivation laid out on lines of a given width: the one layout of plain text and of the terminal.

A line is a list of spans, each with its role; the terminal colours the roles, plain text drops them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from chainrule.notation.layout import Chain, Layout, Name
from chainrule.notation.written import notate_equation, notate_written
from chainrule.render.outline import Part, layout_words, mark, outline, quality, where
from chainrule.render.text import derived, layout_to_text, text, title_of, width
from chainrule.rewrite.statement import Derivation, Step

Role = Literal["plain", "heading", "rule", "quiet", "holds", "fails"]
Span = tuple[str, Role]
Line = list[Span]

WIDTH = 100
NUMBER = 5  # columns that a step's number takes
REASON = 7  # where reasons begin


def derivation_text(d: Derivation) -> str:
    """Write a derivation in Unicode: parts, numbered steps, each with its rule, its reason and what the numbers say."""
    name = layout_to_text(Name(d.function_name))
    first = broken(f"{name} = {text(d.function)}", WIDTH, 0)
    return "\n".join([*first, *map(plain, (*derivation_lines(d, WIDTH), *ending_lines(d, WIDTH, 0)))])


def plain(line: Line) -> str:
    """Return a line's words."""
    return "".join(words for words, _ in line).rstrip()


def derivation_lines(d: Derivation, columns: int) -> Iterator[Line]:
    """Yield the lines of a derivation: what is derived, then its parts."""
    yield [(f"{title_of(d)}  ", "plain"), (f"({layout_words(d)})", "quiet")]
    reason = ""
    for part in outline(d):
        yield []
        yield [(part.title, "heading")]
        for number, step in part.steps:
            yield from _step_lines(d, number, step, columns, step.because != reason)
            reason = step.because
        yield from _where_lines(d, part, columns)


def ending_lines(d: Derivation, columns: int, indent: int) -> Iterator[Line]:
    """Yield what was assumed, and how many steps were verified."""
    if not indent:
        yield []
    for sentence in d.assumptions:
        yield from in_role("quiet", broken(f"assumed: {sentence}", columns, indent))
    yield [(" " * indent, "plain"), (quality(d), "holds" if d.verified else "fails")]


def result_lines(d: Derivation, columns: int) -> Iterator[Line]:
    """Yield the result without names, under a heading of its own."""
    yield []
    yield [("Result", "heading")]
    outputs = None if d.goal is not None else d.function.ndim if d.cotangent is None else 0
    result = Chain((derived(d, d.wrt.name), notate_written(d.result, outputs, d.layout)), ("=",))
    yield from in_role("heading", equation_lines(" " * NUMBER, result, columns))


def _step_lines(d: Derivation, number: int, step: Step, columns: int, says_why: bool) -> Iterator[Line]:
    """Yield a step; a reason that the step before gave is not repeated."""
    for line in equation_lines(f"{number:3}. ", notate_equation(step.equation, d.layout), columns):
        yield [(line, "plain")]
    yield [(" " * NUMBER, "plain"), (f"[{step.rule}]", "rule"), ("  ", "plain"),
           (mark(step), "fails" if failed(step) else "holds")]  # fmt: skip
    sentences = [step.because] * (says_why and bool(step.because)) + [f"note: {step.note}"] * bool(step.note)
    for sentence in sentences:
        yield from in_role("quiet", broken(sentence, columns, REASON))


def _where_lines(d: Derivation, part: Part, columns: int) -> Iterator[Line]:
    for k, equation in enumerate(where(d, part)):
        label = f"{'' if k else 'where':>{NUMBER + 5}} "
        yield from in_role("plain", equation_lines(label, notate_equation(equation, d.layout), columns))


def in_role(role: Role, lines: list[str]) -> list[Line]:
    """Return lines of one role."""
    return [[(line, role)] for line in lines]


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


def broken(words: str, columns: int, indent: int, hanging: int | None = None) -> list[str]:
    """Break words at spaces into lines of at most `columns` columns; marks above letters take none."""
    lines = list(_filled(words.split(" "), columns, " " * indent, " " * (indent if hanging is None else hanging)))
    return lines or [""]


def _filled(words: list[str], columns: int, first: str, later: str) -> Iterator[str]:
    line = first + words[0]
    for word in words[1:]:
        if width(line) + 1 + width(word) > columns:
            yield line
            line = later + word
        else:
            line += f" {word}"
    yield line
