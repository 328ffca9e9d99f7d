"""What `derive` answers, in the form asked for: on the terminal, as text, LaTeX, HTML, JSON, or a program."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import click

from chainrule import api
from chainrule.cli.page import definition_line, show_derivation
from chainrule.cli.terminal import QUIET, Page
from chainrule.compile.source import is_safe_name
from chainrule.compile.takeaway import LANGUAGES
from chainrule.expression.node import Expr
from chainrule.notation.written import notate_equation
from chainrule.render.html import escape
from chainrule.render.latex import layout_to_latex
from chainrule.render.page import failed
from chainrule.render.text import layout_to_text
from chainrule.rewrite.statement import Derivation, Step

FAILED, WIDE = 1, "\n\n" + "─" * 72 + "\n\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """A derivation, and what was inferred about the names in its formula."""

    derivation: Derivation
    inferred: tuple[str, ...]


def show_answers(answers: list[Answer], form: str | None, code: str | None) -> int:
    """Write the answers, and return the exit code: 1 if a step does not hold."""
    derivations = [answer.derivation for answer in answers]
    if not (code and unverified(derivations)):
        _write(answers, form, code)
    for sentence in unverified(derivations):
        click.echo(sentence, err=True)
    return FAILED if unverified(derivations) else 0


def unverified(derivations: list[Derivation]) -> list[str]:
    """Return a sentence for each step that does not hold: that is a bug, and must not be missed."""
    return [
        f"NOT VERIFIED: step {number} of the derivative by {d.wrt.name} ({step.rule}) fails its check"
        + (f", relative error {step.verdict.error:.1e}" if step.verdict else "")
        + ". This is a bug in chainrule: do not use the result, and please report the formula."
        for d in derivations
        for number, step in enumerate(d.steps, 1)
        if failed(step)
    ]


def _write(answers: list[Answer], form: str | None, code: str | None) -> None:
    derivations = [answer.derivation for answer in answers]
    if form == "json":
        content = [as_json(answer) for answer in answers]
        if code:
            content = [{**item, "code": program(derivations, code)} for item in content]
        click.echo(json.dumps(content[0] if len(content) == 1 else content, indent=2, ensure_ascii=False))
    elif code:
        click.echo(program(derivations, code), nl=False)
    elif form == "html":
        click.echo(html_page(derivations))
    elif form == "latex":
        click.echo("\n\n".join(d.to_latex() for d in derivations))
    elif form == "text":
        click.echo(WIDE.join(str(d) for d in derivations))
    else:
        show_on_terminal(Page(), answers)


def show_on_terminal(page: Page, answers: list[Answer]) -> None:
    """Write what was understood, then every derivation."""
    first = answers[0]
    page.prose(definition_line(first.derivation))
    for sentence in first.inferred:
        page.prose(sentence, 2, QUIET)
    for answer in answers:
        page.line()
        show_derivation(page, answer.derivation)


def program(derivations: list[Derivation], backend: str) -> str:
    """Return code that computes the value and every derivative together, bound to each other where that is usual."""
    function, title = derivations[0].function, derivations[0].function_name
    if LANGUAGES[backend].binds is not None and derivations[0].cotangent is None:
        return api.source(function, backend, title if is_safe_name(title) else None)
    name = "value_and_jacobian" if function.shape else "value_and_gradient"
    return api.source((function, *(d.result for d in derivations)), backend, name)


def html_page(derivations: list[Derivation]) -> str:
    """Return a whole page to open in a browser."""
    title = escape(f"{definition_line(derivations[0])}: its derivative")
    body = "\n<hr>\n".join(d.to_html() for d in derivations)
    look = "body{max-width:60rem;margin:2rem auto;padding:0 1rem}"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{look}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>'


def as_json(answer: Answer) -> dict[str, Any]:
    """Return a derivation as JSON data; a number that is not finite is null."""
    d = answer.derivation
    return {
        "function": {"name": d.function_name, **both(d.function)},
        "wrt": d.wrt.name,
        "layout": d.layout,
        "shapes": {name: list(s.shape) for name, s in {**d.function.symbols, d.wrt.name: d.wrt}.items()},
        "inferred": list(answer.inferred),
        "result": {**both(d.result), "shape": list(d.result.shape)},
        "steps": [step_as_json(step, d) for step in d.steps],
        "names": {symbol.name: both(e) for symbol, e in d.names.items()},
        "assumptions": list(d.assumptions),
        "verified": d.verified,
    }


def step_as_json(step: Step, d: Derivation) -> dict[str, Any]:
    """Return one step as JSON data."""
    equation = notate_equation(step.equation, d.layout)
    verdict = step.verdict and {
        "holds": step.verdict.holds,
        "error": step.verdict.error if math.isfinite(step.verdict.error) else None,
        "points": step.verdict.points,
        "method": step.verdict.method,
    }
    return {
        "part": step.part,
        "rule": step.rule,
        "equation": layout_to_text(equation),
        "latex": layout_to_latex(equation),
        "because": step.because,
        "note": step.note,
        "verdict": verdict,
    }


def both(e: Expr) -> dict[str, str]:
    """Return an expression as text and as LaTeX."""
    return {"text": str(e), "latex": e.to_latex()}
