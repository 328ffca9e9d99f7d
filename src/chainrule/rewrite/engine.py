"""Applying rules, and recording what was applied. Parts are rewritten before wholes, until nothing fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from chainrule.expression.node import Add, Apply, Einsum, Expr, Ones, Subscripts
from chainrule.expression.product import einsum, factors_of
from chainrule.expression.shape import Scalar, exact
from chainrule.expression.total import add_terms
from chainrule.rewrite.pattern import Bindings, instantiate, match, match_product
from chainrule.rewrite.rule import Rewrite, Rule

LIMIT = 200  # rewrites of one node; a set of rules that needs more does not terminate


def rewrite_node(e: Expr, rules: Sequence[Rule], record: Callable[[Rewrite], None] | None = None) -> Expr:
    """Return `e` with the rules applied at its root until none fits."""
    for _ in range(LIMIT):
        heads = _heads(e)
        for rule in rules:
            if not rule.needs <= heads:
                continue
            after = apply_rule(rule, e)
            if after is not None and after is not e:
                if record is not None:
                    record(Rewrite(rule.name, rule.because, e, after))
                e = after
                break
        else:
            return e
    raise RuntimeError(f"the rules do not come to an end on {e.kind} of shape {e.shape}")


def _heads(e: Expr) -> set[object]:
    """Return what a rule may ask for before it is worth matching: the kind and operation of the node and its parts."""
    heads: set[object] = {type(e)}
    for part in (e, *e.args):
        if isinstance(part, Apply):
            heads.add(part.op)
    return heads


def apply_rule(rule: Rule, e: Expr) -> Expr | None:
    """Return what one rule makes of `e` at its root, or None if it does not fit."""
    if rule.within:
        return _apply_within(rule, e)
    if isinstance(rule.this, Einsum):
        return _apply_to_product(rule, e) if isinstance(e, Einsum) else None
    if isinstance(rule.this, Add):
        return _apply_to_sum(rule, e)
    lead = e.ndim - rule.this.ndim
    found = match(rule.this, e, {}, lead) if lead >= 0 else None
    return None if found is None else instantiate(rule.becomes, found, e.shape[:lead])


def _apply_to_product(rule: Rule, e: Einsum) -> Expr | None:
    """Replace some factors of a product by the right side."""
    for found in match_product(rule.this, e):
        batch = tuple(e.sizes[i] for i in found.lead)
        new = instantiate(rule.becomes, found.bindings, batch)
        rest = [f for n, f in enumerate(factors_of(e)) if n not in found.used]
        covered = [(Ones((e.sizes[i],)), (i,)) for i in e.output]
        args = [new, *(a for a, _ in rest), *(a for a, _ in covered)]
        subs = [found.lead + found.output, *(s for _, s in rest), *(s for _, s in covered)]
        return einsum(args, subs, e.output)
    return None


def _apply_to_sum(rule: Rule, e: Expr) -> Expr | None:
    """Replace some terms of a sum, where they carry one common coefficient."""
    if not isinstance(e, Add) or not isinstance(rule.this, Add) or len(e.args) < len(rule.this.args):
        return None
    lead = e.ndim - rule.this.ndim
    if lead < 0:
        return None
    found = _choose_terms(rule.this, e, 0, (), {}, lead, None)
    if found is None:
        return None
    used, bindings, c = found
    rest = [(d, t) for k, (d, t) in enumerate(zip(e.coefficients, e.args, strict=True)) if k not in used]
    return add_terms([(c, instantiate(rule.becomes, bindings, e.shape[:lead])), *rest], e.shape)


def _choose_terms(
    pattern: Add, e: Add, k: int, used: tuple[int, ...], bindings: Bindings, lead: int, ratio: Scalar | None
) -> tuple[tuple[int, ...], Bindings, Scalar] | None:
    if k == len(pattern.args):
        return used, bindings, 1 if ratio is None else ratio
    for n, (d, t) in enumerate(zip(e.coefficients, e.args, strict=True)):
        c = exact(d / Fraction(pattern.coefficients[k]))
        if n in used or (ratio is not None and c != ratio):
            continue
        held = match(pattern.args[k], t, bindings, lead)
        if held is not None:
            rest = _choose_terms(pattern, e, k + 1, (*used, n), held, lead, c)
            if rest is not None:
                return rest
    return None


def _apply_within(rule: Rule, e: Expr) -> Expr | None:
    """g ⊙ (… + a + …) = g ⊙ (… + b + …) when g ⊙ a = g ⊙ b."""
    if not isinstance(e, Einsum) or not isinstance(rule.this, Einsum) or not isinstance(rule.becomes, Einsum):
        return None
    g = next(f for f in rule.this.args if f in rule.becomes.args)
    a = next(f for f in rule.this.args if f is not g)
    b = next(f for f in rule.becomes.args if f is not g)
    for n, (factor, sub) in enumerate(factors_of(e)):
        bindings = match(g, factor, {}, factor.ndim)
        if bindings is None:
            continue
        for m, (other, indices) in enumerate(factors_of(e)):
            if m == n or not isinstance(other, Add) or not set(sub) <= set(indices):
                continue
            place = tuple(indices.index(i) for i in sub)
            new = _replace_in_terms(other, a, b, bindings, place)
            if new is not other:
                args = [new if k == m else f for k, f in enumerate(e.args)]
                return einsum(args, e.subscripts, e.output)
    return None


def _replace_in_terms(e: Add, a: Expr, b: Expr, bindings: Bindings, place: Subscripts) -> Expr:
    """Replace the factor `a` by `b` in every term that has it on the axes `place` of the sum."""
    terms = []
    for c, t in zip(e.coefficients, e.args, strict=True):
        free = t.output if isinstance(t, Einsum) else tuple(range(t.ndim))
        target = tuple(free[p] for p in place)
        factors = []
        for factor, sub in factors_of(t):
            fits = sub == target and match(a, factor, bindings, factor.ndim) == bindings
            factors.append((instantiate(b, bindings, factor.shape) if fits else factor, sub))
        terms.append((c, einsum([f for f, _ in factors], [s for _, s in factors], free)))
    return add_terms(terms, e.shape)
