"""The last part of a derivation: substitute the names back, simplify, name what repeats, close, and update."""

from __future__ import annotations

from dataclasses import dataclass, replace

from chainrule.derivative.differentiate import substitute
from chainrule.explain.fold import folded
from chainrule.explain.intermediates import Intermediate, expanded, is_of_rows, keeps_value
from chainrule.explain.samples import has_gate, sampled
from chainrule.explain.summary import update
from chainrule.expression.node import Add, Apply, Einsum, Expr, Symbol
from chainrule.expression.shape import Size
from chainrule.expression.total import scale
from chainrule.rewrite.rule import Rewrite
from chainrule.rewrite.statement import (
    Equation,
    Indexed,
    Partial,
    Step,
    Written,
    spoken,
)
from chainrule.simplify.simplify import simplify

SCOPE_NOTE = (
    "a condition that depends on i stays inside Σᵢ; published lines that move it outside are right only if "
    "all samples are on the same branch"
)


ERROR, MASK = "error term", "mask"  # facts of the names that a closed form introduces
ROLES = {
    ERROR: ("name the error term", "the error of each sample: what is predicted minus what is given"),
    MASK: ("name the mask", "1 for the samples on the active branch, 0 for the others"),
}


@dataclass(frozen=True, slots=True)
class Closing:
    """The closing steps and the names they introduced."""

    steps: tuple[Step, ...]
    names: tuple[Intermediate, ...]


def closing_steps(
    total: Expr,
    root: Intermediate,
    variables: tuple[Intermediate, ...],
    wrt: Symbol,
    size: Size | None,
    result: Expr,
) -> Closing:
    """Return the steps from the chained derivative, in terms of names, to the closed form and the update."""
    left = Partial(root.symbol, wrt)
    steps: list[Step] = []
    current = total
    if variables and set(total.symbols) & {i.symbol.name for i in variables}:
        current = expanded(total, variables)
        used = _used(total, variables)
        names = ", ".join(spoken(i.symbol.name) for i in reversed(variables) if i.symbol.name in used)
        forms = _forms(current, root.symbol.ndim, size)
        because = "put the definitions back in place of the names"
        steps.append(
            Step(
                "substitute", Equation(left, forms, root.symbol.ndim), because, None, "substitute", f"replaces {names}"
            )
        )
    records: list[Rewrite] = []
    simplified = simplify(current, record=records.append)
    if steps and all(r.is_rearrangement for r in records):  # nothing to explain: show the tidy form at once
        forms = _forms(simplified, root.symbol.ndim, size)
        steps = [replace(steps[0], equation=Equation(left, forms, root.symbol.ndim))]
    elif simplified is not current:
        rules = "; ".join(dict.fromkeys(r.rule for r in records)) or "collect like terms"
        because = "; ".join(dict.fromkeys(r.because for r in records if r.because)) or "equal terms add up"
        forms = _forms(simplified, root.symbol.ndim, size)
        steps.append(Step(rules, Equation(left, forms, root.symbol.ndim), because, None, "substitute"))
    steps += _constants_out(simplified, left, root, size)
    named, definitions = _named(result, root, variables)
    for i in variables:
        if is_of_rows(i.definition) or keeps_value(i.definition):
            named = folded(named, i.symbol, expanded(i.definition, variables))
    if named is not result or not _already_said(steps, total, result):
        steps += _closed_form(result, named, definitions, left, root, size)
    taken = {i.symbol.name for i in (*variables, *definitions)}
    steps += update(named, root, wrt, taken, "; the row becomes a column first" if wrt.ndim == 1 else "")
    return Closing(tuple(steps), definitions)


def _already_said(steps: list[Step], total: Expr, result: Expr) -> bool:
    """True if the last step already shows the result in matrix form."""
    if not steps:
        return total is result
    return steps[-1].equation.right[-1] is result


def _used(e: Expr, variables: tuple[Intermediate, ...]) -> set[str]:
    """Return the names that occur in `e`, directly or inside the definition of one that does."""
    found = set(e.symbols)
    for i in reversed(variables):
        if i.symbol.name in found:
            found |= set(i.definition.symbols)
    return found


def _forms(e: Expr, outputs: int, size: Size | None) -> tuple[Written, ...]:
    """Sample by sample with a case split where there is a gate; the matrix form otherwise."""
    if has_gate(e) and sampled(e, outputs, size):
        return (Indexed(e, size, cases=True, inside=size is not None and not outputs),)
    return (e,)


def _constants_out(e: Expr, left: Partial, root: Intermediate, size: Size | None) -> list[Step]:
    """(1/N) Σᵢ −2(yᵢ − …) = (2/N) Σᵢ (… − yᵢ): constants leave the sum, conditions do not."""
    if size is None or root.symbol.shape or not has_gate(e) or not sampled(e, 0, size):
        return []
    equation = Equation(left, (Indexed(e, size, cases=True),), 0)
    because = "a constant factor leaves the sum and takes its sign along"
    return [Step("constant multiple", equation, because, None, "substitute", SCOPE_NOTE)]


def _named(
    result: Expr, root: Intermediate, variables: tuple[Intermediate, ...]
) -> tuple[Expr, tuple[Intermediate, ...]]:
    """Name the error term e and the mask m in the closed form. The sign of e makes the whole positive."""
    product = result.args[0] if isinstance(result, Add) and len(result.args) == 1 else result
    coefficient = result.coefficients[0] if isinstance(result, Add) and len(result.args) == 1 else 1
    if not isinstance(product, Einsum):
        return result, ()
    known = {scale(c, expanded(i.definition, variables)) for i in variables for c in (1, -1)}
    taken = {*root.definition.symbols, *(i.symbol.name for i in variables), *result.symbols, root.symbol.name}
    replacements: dict[Expr, Expr] = {}
    definitions: list[Intermediate] = []
    for factor in product.args:
        if isinstance(factor, Apply) and factor.op.is_gate and factor.shape and "m" not in taken:
            replacements[factor] = _define("m", MASK, factor, definitions, taken)
        elif isinstance(factor, Add) and factor.shape and _is_residual(factor, known) and "e" not in taken:
            sign = -1 if coefficient < 0 else 1
            symbol = _define("e", ERROR, scale(sign, factor), definitions, taken)
            replacements[factor] = scale(sign, symbol)
    if not any(ERROR in d.symbol.facts for d in definitions):
        return result, ()
    return substitute(result, replacements), tuple(definitions)


def _define(name: str, role: str, e: Expr, definitions: list[Intermediate], taken: set[str]) -> Symbol:
    symbol = Symbol(name, e.shape, frozenset({role}))
    definitions.append(Intermediate(symbol, e))
    taken.add(name)
    return symbol


def _is_residual(e: Add, known: set[Expr]) -> bool:
    """True for a difference with a plain symbol in it: what is predicted against what is given, and no name yet."""
    if e in known:
        return False
    signs = {c > 0 for c in e.coefficients}
    return len(signs) == 2 and any(isinstance(t, Symbol) for t in e.args)


def _closed_form(
    result: Expr, named: Expr, names: tuple[Intermediate, ...], left: Partial, root: Intermediate, size: Size | None
) -> list[Step]:
    steps = []
    for i in names:
        rule, because = next(said for role, said in ROLES.items() if role in i.symbol.facts)
        steps.append(Step(rule, Equation(i.symbol, (i.definition,), by_definition=True), because, None, "closed form"))
    masked = bool(names) and size is not None and any(MASK in i.symbol.facts for i in names) and not root.symbol.shape
    forms: tuple[Written, ...] = (named,)
    if masked:  # Σ over the active samples says the same as the mask
        unmasked = substitute(named, {i.symbol: i.definition for i in names if MASK in i.symbol.facts})
        forms = (Indexed(unmasked, size, samples=True), named)
    because = "the whole derivative"
    if result.shape:
        because += " as one product of matrices and vectors" if result.ndim <= 2 else ", entry by entry"
    steps.append(Step("closed form", Equation(left, forms, root.symbol.ndim), because, None, "closed form"))
    return steps
