"""Mistakes that people make in the derivation itself: what the line would be if a whole rule had been misapplied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from chainrule.derivative.differentiate import pulled_back, substitute, unit
from chainrule.errors import ChainruleError
from chainrule.expression.node import Apply, Expr, Symbol, depends_on, walk, zeros
from chainrule.expression.product import einsum
from chainrule.expression.total import add_terms
from chainrule.proofread.claim import Claim
from chainrule.proofread.edit import Kind
from chainrule.proofread.ingredients import in_names
from chainrule.proofread.trial import Array, Trial

MOST_PARTS = 16


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A mistake, and the line that it leads to."""

    kind: Kind
    message: str
    line: Expr


@dataclass(frozen=True, slots=True)
class _Chain:
    """A function with one part cut out: f = outer(part), both as expressions."""

    claim: Claim
    part: Expr
    hole: Symbol
    outer: Expr
    wrt: Symbol
    seed: Expr
    lead: int

    def back(self, e: Expr) -> Expr:
        return substitute(e, {self.hole: self.part})

    @property
    def past(self) -> Expr:
        """The derivative along all paths that avoid the part."""
        if not depends_on(self.outer, self.wrt):
            return zeros(self.seed.shape[: self.lead] + self.wrt.shape)
        return self.back(pulled_back(self.outer, self.wrt, self.seed, self.lead))

    @property
    def adjoint(self) -> Expr:
        """The derivative by the part."""
        return self.back(pulled_back(self.outer, self.hole, self.seed, self.lead))

    def through(self, argument: Expr, adjoint: Expr) -> Expr:
        """The derivative along the paths through an argument of the part, whose adjoint is given."""
        return pulled_back(argument, self.wrt, adjoint, self.lead)


def hypotheses(claim: Claim) -> Iterator[Hypothesis]:
    """Yield the lines that misapplied rules lead to."""
    if claim.function is None or len(claim.wrt) != 1:
        return
    x, f = claim.wrt[0], claim.function
    seed, lead = _seed(claim, f)
    parts = [e for e in walk(f) if e is not x and e is not f and depends_on(e, x)]
    parts = [e for e in parts if isinstance(e, Apply)] + [e for e in parts if not isinstance(e, Apply)]
    applied = [f] if isinstance(f, Apply) else []
    for part in [*applied, *parts][:MOST_PARTS]:
        hole = Symbol("part_held", part.shape)
        chain = _Chain(claim, part, hole, substitute(f, {part: hole}), x, seed, lead)
        try:
            yield from _of(chain)
        except ChainruleError:
            continue


def _seed(claim: Claim, f: Expr) -> tuple[Expr, int]:
    """Return what the derivative starts from: the cotangent, or an identity for each axis."""
    if claim.kind == "cotangent":
        free = [s for s in claim.truth.symbols.values() if s.name not in f.symbols and s.shape == f.shape]
        if free:
            return free[0], 0
    return unit(f), f.ndim


def _of(chain: _Chain) -> Iterator[Hypothesis]:
    part = chain.part
    shown = in_names(part, chain.claim)
    if isinstance(part, Apply):
        yield from _of_operation(chain, part, shown)
    past, adjoint = chain.past, chain.adjoint
    if depends_on(chain.outer, chain.wrt):
        says = f"the path through {shown} is missing: the total derivative adds the effects along all paths"
        yield Hypothesis("lost term", says, past)
    if part.shape == chain.wrt.shape:
        says = f"a factor is missing: the derivative of {shown} by {chain.wrt} (the chain rule's inner part)"
        yield Hypothesis("lost factor", says, add_terms([(1, past), (1, adjoint)], past.shape))


def _of_operation(chain: _Chain, part: Apply, shown: Expr) -> Iterator[Hypothesis]:
    locals_ = part.op.local_jacobians(part.args, part)
    moving = [k for k, a in enumerate(part.args) if depends_on(a, chain.wrt)]
    if len(moving) != 1 or locals_[moving[0]] is None:
        return
    k = moving[0]
    local, argument = locals_[k], part.args[k]
    assert local is not None
    if part.op.is_elementwise:
        line = add_terms([(1, chain.past), (1, chain.through(argument, chain.adjoint))], chain.past.shape)
        yield Hypothesis(
            "lost factor", f"a factor is missing: {in_names(local, chain.claim)}, the derivative of {shown}", line
        )
    elif part.op.core.output == part.op.core.inputs[k] == part.op.core.output[:1]:
        line = add_terms(
            [(1, chain.past), (1, chain.through(argument, _diagonal_only(chain, local)))], chain.past.shape
        )
        says = (
            f"every entry of {shown} depends on all entries of {in_names(argument, chain.claim)}: "
            "its Jacobian has entries off the diagonal"
        )
        yield Hypothesis("off-diagonal terms dropped", says, line)


def _diagonal_only(chain: _Chain, local: Expr) -> Expr:
    """The adjoint carried back through the diagonal of the local Jacobian alone."""
    lead, n = tuple(range(chain.lead)), chain.part.ndim
    axes = tuple(range(chain.lead, chain.lead + n))
    return einsum([chain.adjoint, local], [lead + axes, (*axes, axes[-1])], lead + axes)


def matches(h: Hypothesis, stated: list[Array], trials: list[Trial]) -> bool:
    """True if the line is the one that the mistake leads to."""
    for value, trial in zip(stated, trials, strict=True):
        wrong = trial.value(h.line)
        if wrong.shape != value.shape:
            wrong = _as_diagonal(wrong, value)
        scale = float(np.max(np.abs(value), initial=0.0)) or 1.0
        if wrong.shape != value.shape or not np.max(np.abs(wrong - value), initial=0.0) <= trial.same * scale:
            return False
    return True


def _as_diagonal(wrong: Array, value: Array) -> Array:
    """A diagonal Jacobian is often given as its diagonal."""
    if wrong.ndim == 2 and value.ndim == 1 and wrong.shape == value.shape * 2:
        return np.asarray(np.diagonal(wrong))
    return wrong
