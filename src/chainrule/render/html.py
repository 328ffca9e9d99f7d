"""A derivation as one HTML fragment: no scripts, no links, every text escaped; LaTeX stands in a data attribute."""

from __future__ import annotations

import chainrule.notation.layout as n
from chainrule.notation.layout import Layout
from chainrule.notation.matrix import notate
from chainrule.notation.written import notate_equation
from chainrule.render.latex import layout_to_latex
from chainrule.render.outline import Part, layout_words, mark, outline, quality, where
from chainrule.render.text import layout_to_text, title_of
from chainrule.rewrite.statement import Derivation, Step

STYLE = (
    ".chainrule{font-family:system-ui,sans-serif;line-height:1.5}"
    ".chainrule .formula{font-family:'STIX Two Math','Cambria Math',serif;font-size:1.1em}"
    ".chainrule .formula{overflow-x:auto;display:block}"
    ".chainrule .rule{font-weight:600}.chainrule .because,.chainrule .note{color:#555;display:block}"
    ".chainrule .holds{color:#176b2c}.chainrule .fails{color:#a11;font-weight:700}"
)


ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})


def escape(text: str) -> str:
    """Return text that stands for itself in HTML. (The library's `html` costs 5 ms to import.)"""
    return text.translate(ENTITIES)


def formula(e: Layout) -> str:
    """Return notation as a span, Unicode to read and LaTeX to take away; an equation has one `=` a line."""
    words = escape(layout_to_text(e))
    if isinstance(e, n.Chain):
        sides = [escape(layout_to_text(side)) for side in e.sides]
        links = "".join(f"<br>&emsp;{sign} {side}" for sign, side in zip(e.signs[1:], sides[2:], strict=True))
        words = f"{sides[0]} {e.signs[0]} {sides[1]}{links}" + (f"&emsp;{escape(e.condition)}" if e.condition else "")
    return f'<span class="formula" data-latex="{escape(layout_to_latex(e))}">{words}</span>'


def derivation_html(d: Derivation) -> str:
    """Write a derivation as an HTML fragment: lists of steps under headings, with rules, reasons and verdicts."""
    number = 1
    sections = []
    for part in outline(d):
        sections.append(_section(part, d, number))
        number += len(part.steps)
    assumptions = "".join(f"<li>{escape(sentence)}</li>" for sentence in d.assumptions)
    assumed = f"<h4>Assumed</h4><ul>{assumptions}</ul>" if assumptions else ""
    verdict = "holds" if d.verified else "fails"
    return (
        f'<div class="chainrule"><style>{STYLE}</style>'
        f"<h3>{escape(title_of(d))}</h3>{formula(notate(d.function))}<p>{escape(layout_words(d))}</p>"
        f'{"".join(sections)}{assumed}<p class="{verdict}">{escape(quality(d))}</p></div>'
    )


def _section(part: Part, d: Derivation, start: int) -> str:
    items = "".join(_step(step, d) for _, step in part.steps)
    meant = "".join(f"<p>where {formula(notate_equation(equation, d.layout))}</p>" for equation in where(d, part))
    return f'<h4>{escape(part.title)}</h4><ol start="{start}">{items}</ol>{meant}'


def _step(step: Step, d: Derivation) -> str:
    verdict = mark(step)
    state = "fails" if verdict.startswith("✗") else "holds"
    note = f'<span class="note">{escape(step.note)}</span>' if step.note else ""
    return (
        f"<li>{formula(notate_equation(step.equation, d.layout))}"
        f'<span class="rule">{escape(step.rule)}</span> <span class="{state}">{escape(verdict)}</span>'
        f'<span class="because">{escape(step.because)}</span>{note}</li>'
    )
