"""What a wrong line should say, in the notation of the file, and the steps that lead to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

from chainrule.errors import ChainruleError
from chainrule.explain.narrative import explain
from chainrule.expression.node import Expr, Symbol, depends_on, walk
from chainrule.expression.power import exponent_of
from chainrule.notation.layout import Layout
from chainrule.notation.matrix import notate
from chainrule.notation.written import notate_equation
from chainrule.proofread.claim import Claim
from chainrule.proofread.counterexample import smallest_counterexample
from chainrule.proofread.diagnosis import Diagnosis, diagnose
from chainrule.proofread.differential import differentials
from chainrule.proofread.edit import Kind
from chainrule.proofread.ingredients import in_names
from chainrule.proofread.report import Line
from chainrule.proofread.sides import INDEXED
from chainrule.render.input import Spelling, source_text
from chainrule.render.latex import layout_to_latex
from chainrule.render.text import layout_to_text
from chainrule.rewrite.statement import Called, Derivation, Partial, Step
from chainrule.simplify.length import length
from chainrule.simplify.simplify import simplify
from chainrule.verify.check import judged

OWN: dict[str, Kind] = {
    "condition outside its sum": "condition outside its sum",
    "Jacobian given as its diagonal": "Jacobian given as its diagonal",
}
MOST_STEPS = 12
FREE_INDEX = re.compile(
    r"_\s*\{\s*[ijklmn](?:\s*,?\s*[ijklmn])*\s*\}|_[ijklmn]{1,2}(?![A-Za-z])|\[[ijklmn][^\]]*\]|[ᵢⱼₖₗₘₙ]+"
)
HANDWRITTEN = re.compile("[ᵀ⁻²³·⊙⊗−∘Σ∑⃗ᵢⱼ‖]")  # signs of mathematics in plain characters


def remedied(line: Line, before: Sequence[Line], layout: str) -> Line:
    """Return a wrong line with its diagnosis, the line it should be, and the derivation from what was right before."""
    claim = line.claim
    if claim is None:
        return replace(line, diagnosis=Diagnosis("shape", line.why), correct=with_columns(line.text))
    try:
        diagnosis = diagnose(claim)
    except ChainruleError:  # the verdict stands without it
        diagnosis = None
    if line.finding in OWN and (diagnosis is None or diagnosis.kind != line.finding):
        diagnosis = own(claim, OWN[line.finding], line.why)
    correct = corrected(line, claim, layout, None if diagnosis is None else diagnosis.repair)
    return replace(line, diagnosis=diagnosis, correct=correct, steps=steps(claim, before, layout))


def with_columns(text: str) -> str:
    """Return an update with its derivatives turned from rows into columns."""
    pieces, place = [], 0
    for one in differentials(text):
        piece = text[one.start : one.stop].strip()
        column = rf"\left({piece}\right)^\top" if "\\" in piece else f"({piece})ᵀ"
        pieces += [text[place : one.start], column]
        place = one.stop
    return "".join([*pieces, text[place:]])


def own(claim: Claim, kind: Kind, why: str) -> Diagnosis:
    """Return the diagnosis of an error that was found while the line was read."""
    return Diagnosis(kind, why, in_names(claim.truth, claim), smallest_counterexample(claim))


def corrected(line: Line, claim: Claim, layout: str, repair: Expr | None) -> str:
    """Return the line as it should be: the same left side, and the truth, close to what the reader wrote."""
    try:
        closed = simplify(in_names(simplify(claim.truth), claim))
        candidates = [e for e in (repair, closed, simplify(claim.truth)) if e is not None and not has_odd_powers(e)]
        truth = min(candidates or [claim.truth], key=length)
        return f"{without_indices(line.left)} = {spelled(truth, line, claim, layout)}"
    except ChainruleError:
        return ""


def has_odd_powers(e: Expr) -> bool:
    """True if some name stands in a power such as f^(3/4), which no reader would write."""
    powers = (exponent_of(node) for node in walk(e))
    return any(
        isinstance(base, Symbol) and Fraction(k).denominator > 2 for base, k in powers if isinstance(k, Fraction)
    )


def without_indices(left: str) -> str:
    """Return a left side without free indices: what is printed is the whole derivative, not one entry."""
    found = differentials(left)
    if not found or not any(INDEXED.match(part) for part in (found[0].function, *found[0].wrt)):
        return left
    return FREE_INDEX.sub("", left)


def spelled(truth: Expr, line: Line, claim: Claim, layout: str) -> str:
    """Write an expression as the file writes: LaTeX, NumPy or MATLAB text, or plain mathematics."""
    outputs = claim.function.ndim if claim.function is not None and claim.kind == "derivative" else None
    row = outputs == 0 and truth.ndim == 1 and layout == "numerator"
    if line.form == "latex":
        return layout_to_latex(notate(truth, "row" if row else "plain"))
    syntax = claim.written.syntax if claim.written is not None else ""
    spellings: dict[str, Spelling] = {"text": "text", "matlab": "matlab"}
    if syntax in spellings and not HANDWRITTEN.search(line.text[len(line.left) :]):
        return source_text(truth, spellings[syntax])
    return layout_to_text(notate(truth, "row" if row else "plain"))


# --- the way there
def steps(claim: Claim, before: Sequence[Line], layout: str) -> tuple[str, ...]:
    """Return the equations that lead to the truth, each with its rule, without those that the reader has already."""
    derivation = derived(claim)
    if derivation is None or not derivation.verified:
        return ()
    derivation = derivation.in_layout("numerator" if layout == "numerator" else "denominator")
    known = set(known_before(before))
    kept = [step for step in derivation.steps if not is_given(step, known, claim)]
    return tuple(f"{said(step, derivation)}   [{step.rule}]" for step in kept[-MOST_STEPS:])


def said(step: Step, derivation: Derivation) -> str:
    """Write one step."""
    equation: Layout = notate_equation(step.equation, derivation.layout)
    return layout_to_text(equation)


def derived(claim: Claim) -> Derivation | None:
    """Return the derivation of a first derivative with the reader's names, or with names of ours if those do not do."""
    if claim.function is None or len(claim.wrt) != 1 or claim.kind not in ("derivative", "cotangent"):
        return None
    seed = cotangent_of(claim)
    for names in (named_parts(claim), {}):
        try:
            return judged(told(claim, names, seed))
        except ChainruleError:
            continue
    return None


def told(claim: Claim, names: dict[str, Expr], seed: Symbol | None) -> Derivation:
    """Return the short derivation of what a claim is about."""
    assert claim.function is not None
    return explain(claim.function, claim.wrt[0], "auto", "brief", names, title(claim), seed)


def cotangent_of(claim: Claim) -> Symbol | None:
    """Return the cotangent of a vector–Jacobian product: the symbol of the truth that the function has not."""
    if claim.kind != "cotangent" or claim.function is None or not claim.function.shape:
        return None
    symbols = claim.truth.symbols.items()
    return next((s for n, s in symbols if n not in claim.function.symbols and s.shape == claim.function.shape), None)


def named_parts(claim: Claim) -> dict[str, Expr]:
    """Return the reader's names for parts of the function that depend on the variable."""
    assert claim.function is not None
    x = claim.wrt[0]
    parts: dict[str, Expr] = {}
    for name, definition in claim.names.items():
        whole = claim.expanded(definition) if name not in claim.function.symbols else definition
        if name != x.name and whole is not claim.function and depends_on(whole, x) and is_part(whole, claim.function):
            parts[name] = whole
    return parts


def is_part(e: Expr, whole: Expr) -> bool:
    """True if an expression occurs in another."""
    return e.args != () and depends_on(whole, e)


def title(claim: Claim) -> str:
    """Return the reader's name of the function, or f."""
    assert claim.function is not None
    whole = claim.expanded(claim.function)
    taken = {*claim.function.symbols}
    named = (n for n, e in reversed(list(claim.names.items())) if claim.expanded(e) is whole and n not in taken)
    return next(named, next(n for n in ("f", "g", "C", "value") if n not in taken))


def known_before(before: Iterable[Line]) -> Iterable[tuple[str, str]]:
    """Yield function and variable of every derivative that the reader has stated correctly."""
    for line in before:
        claim = line.claim
        if claim is not None and claim.function is not None and len(claim.wrt) == 1 and line.verdict == "correct":
            for name, e in claim.names.items():
                if claim.expanded(e) is claim.expanded(claim.function):
                    yield name, claim.wrt[0].name


def is_given(step: Step, known: set[tuple[str, str]], claim: Claim) -> bool:
    """True for a definition that the reader has, for a derivative stated correctly above, and for what comes after."""
    left = step.equation.left
    if step.part == "update":
        return True
    if isinstance(left, Symbol) and left.name in claim.names:
        return True
    partial = left.by if isinstance(left, Called) else left
    if not isinstance(partial, Partial) or partial.wrt is claim.wrt[0] and partial.of is claim.function:
        return False
    return isinstance(partial.of, Symbol) and (partial.of.name, partial.wrt.name) in known
