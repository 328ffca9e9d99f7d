"""What every rendering of a derivation shares: headings, step numbers, marks of what was verified."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.derivative.differentiate import substitute
from chainrule.expression.node import Expr, Symbol
from chainrule.rewrite.statement import Derivation, Equation, Step, spoken

TITLES = {
    "names": "Names",
    "forward": "Derivatives, from the inside out",
    "backward": "Derivatives, from the result back",
    "substitute": "Substitute back",
    "closed form": "Closed form",
    "update": "Update",
}


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive steps under one heading, with their numbers."""

    title: str
    steps: tuple[tuple[int, Step], ...]


def outline(d: Derivation) -> list[Part]:
    """Return the derivation's steps under their headings, in their order."""
    parts: list[Part] = []
    for number, step in enumerate(d.steps, 1):
        title = TITLES.get(step.part, step.part[:1].upper() + step.part[1:]) or "Steps"
        if parts and parts[-1].title == title:
            parts[-1] = Part(title, (*parts[-1].steps, (number, step)))
        else:
            parts.append(Part(title, ((number, step),)))
    return parts


def mark(step: Step) -> str:
    """Return ✓ with the largest relative error found, ✗ if the step does not hold, or nothing if it was not checked."""
    verdict = step.verdict
    if verdict is None:
        return ""
    if not verdict.holds:
        return f"✗ {verdict.error:.0e}"
    if verdict.method == "definition":
        return "✓"
    return f"✓ {verdict.error:.0e}" if verdict.error else "✓ exact"


def quality(d: Derivation) -> str:
    """Return how many steps were verified."""
    good = sum(step.verdict is not None and step.verdict.holds for step in d.steps)
    return f"verified: {good} of {len(d.steps)} steps"


def where(d: Derivation, part: Part) -> list[Equation]:
    """Return the definitions of the names that a closed form uses, those in between put in: where P = softmax(XW)."""
    if part.title != TITLES["closed form"]:
        return []
    said = {step.equation.left for _, step in part.steps}
    sides = [step.equation.right[-1] for _, step in part.steps]
    known = {name for e in sides if isinstance(e, Expr) for name in e.symbols}
    used = [s for s in d.names if s.name in known and s not in said]
    return [Equation(s, (_unfolded(d, d.names[s], used),)) for s in used]


def _unfolded(d: Derivation, e: Expr, kept: list[Symbol]) -> Expr:
    for symbol, definition in reversed(list(d.names.items())):
        if symbol not in kept:
            e = substitute(e, {symbol: definition})
    return e


def layout_words(d: Derivation) -> str:
    """Return what the layout means, or what the results are."""
    if d.goal is not None:
        return f"the Newton step of {spoken(d.function_name)} by {spoken(d.wrt.name)}; gradients are columns"
    if d.cotangent is not None:
        return f"contracted with the cotangent {spoken(d.cotangent.name)} of {spoken(d.function_name)}"
    return {
        "numerator": "numerator layout: gradients are rows",
        "denominator": "denominator layout: gradients are columns",
    }[d.layout]
