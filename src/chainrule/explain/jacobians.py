"""Local Jacobians multiplied by the chain rule, in the order the textbooks tell it.

forward:  from the inside out, ∂z/∂w, ∂u/∂w, ∂v/∂w, ∂C/∂w (Parr and Howard 2018; Wang)
backward: from the loss back, ∂C/∂v, ∂C/∂u, ∂C/∂z, ∂C/∂w (backpropagation)
Both say the same; every value on the way is worked out by `differentiate` and simplified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from chainrule.derivative.chains import chain_rule
from chainrule.derivative.differentiate import jacobian
from chainrule.derivative.rules import diagonal_condition, local_derivative, reader_order
from chainrule.explain.closing import closing_steps
from chainrule.explain.fold import folded
from chainrule.explain.intermediates import Intermediate, expanded, intermediates, keeps_value
from chainrule.explain.reductions import without_identities
from chainrule.explain.samples import has_gate, sample_axis, sampled
from chainrule.explain.summary import assumptions
from chainrule.expression.node import Add, Apply, Expr, Symbol, depends_on, zeros
from chainrule.expression.product import einsum
from chainrule.expression.shape import Size
from chainrule.expression.total import add_terms
from chainrule.rewrite.statement import (
    Derivation,
    Detail,
    Equation,
    Indexed,
    Narrative,
    Partial,
    Step,
    Written,
    WrittenProduct,
    WrittenSum,
)
from chainrule.simplify.simplify import simplify


@dataclass(slots=True)
class _Story:
    """A derivation being written: what is named, what is known already, and the steps so far."""

    function: Expr
    wrt: Symbol
    root: Intermediate
    variables: tuple[Intermediate, ...]
    size: Size | None
    detail: Detail
    part: str  # the heading of the steps between the names and the substitution
    steps: list[Step] = field(default_factory=list)
    totals: dict[Symbol, Expr] = field(default_factory=dict)  # ∂k/∂wrt, in terms of names
    shown: set[tuple[Symbol, Symbol]] = field(default_factory=set)

    @property
    def chain(self) -> tuple[Intermediate, ...]:
        return (*self.variables, self.root)

    def inputs(self, k: Intermediate) -> list[Symbol]:
        """The variables that the definition of `k` reads and that depend on wrt (wrt itself included)."""
        known = {self.wrt, *(i.symbol for i in self.variables)}
        read = [s for s in k.definition.symbols.values() if s in known]
        return [s for s in read if s is self.wrt or not self._is_still(s)]

    def _is_still(self, s: Symbol) -> bool:
        definition = next(i.definition for i in self.variables if i.symbol is s)
        return not any(d is self.wrt or d in {i.symbol for i in self.variables} for d in definition.symbols.values())

    def say(self, rule: str, equation: Equation, because: str, part: str, note: str = "") -> None:
        self.steps.append(Step(rule, equation, because, None, part, note))


def multiply_jacobians(
    function: Expr,
    wrt: Symbol,
    narrative: Narrative = "forward",
    detail: Detail = "normal",
    names: Mapping[str, Expr] | None = None,
    function_name: str = "C",
) -> Derivation:
    """Return the derivation of ∂function/∂wrt, steps not yet judged (`verify` does that).

    Shapes: function (m), wrt (n) -> result (m, n); a scalar function's result has the shape of wrt.
    Raises: DomainError for names that do not fit.
    """
    named = intermediates(function, wrt, detail, names)
    root = Intermediate(Symbol(function_name, function.shape), named.function)
    story = _Story(function, wrt, root, named.variables, sample_axis(function), detail, narrative)
    _introduce(story)
    if not depends_on_names(story):
        _say_constant(story)
    elif narrative == "forward":
        _forward(story)
    else:
        _backward(story)
    result = simplify(jacobian(expanded(story.root.definition, story.variables), wrt))
    closing = closing_steps(story.totals[root.symbol], root, named.variables, wrt, story.size, result)
    return Derivation(
        function=function,
        wrt=wrt,
        result=result,
        steps=(*story.steps, *closing.steps),
        names={i.symbol: i.definition for i in (*named.variables, *closing.names, root)},
        function_name=function_name,
        assumptions=assumptions(function, wrt),
    )


def depends_on_names(story: _Story) -> bool:
    """True if the variable occurs at all, be it inside a name."""
    return any(depends_on(i.definition, story.wrt) for i in story.chain)


def _say_constant(story: _Story) -> None:
    root = story.root.symbol
    zero = zeros(root.shape + story.wrt.shape)
    story.totals[root] = zero
    because = f"{story.wrt.name} does not occur, so nothing changes with it"
    story.say("constant", Equation(Partial(root, story.wrt), (zero,), root.ndim), because, story.part)


# --- names
def _introduce(story: _Story) -> None:
    """State the function, then each intermediate variable."""
    if story.variables:
        because = "name the parts, so that each step differentiates one simple function"
        for i in story.variables:
            equation = Equation(i.symbol, (i.definition,), by_definition=True)
            story.say("introduce an intermediate variable", equation, because, "names")
    forms: tuple[Written, ...] = (story.root.definition,)
    if story.size is not None and not story.function.shape:
        forms = (Indexed(story.root.definition, story.size), story.root.definition)
    story.say("the function", Equation(story.root.symbol, forms), "the function in terms of the names", "names")


# --- local Jacobians
def _local(story: _Story, k: Intermediate, j: Symbol) -> Expr:
    """State ∂k/∂j, with every other name held still, and return it."""
    value = _value_of_local(k, j, k is story.root)
    if (k.symbol, j) in story.shown:
        return value
    story.shown.add((k.symbol, j))
    rule = local_derivative(k.definition, j)
    because = rule.because
    if k.symbol.ndim == 1 and isinstance(k.definition, Apply) and k.symbol.shape == j.shape:
        because = f"{because}; {diagonal_condition(k.definition, j).because}"
    left = Partial(k.symbol, j, direct=True)
    other_names = {i.symbol for i in story.variables} & set(k.definition.symbols.values()) - {j}
    forms = () if other_names else rule.forms  # a name beside j is held still here, but ∂u/∂z would not say so
    story.say(rule.rule, Equation(left, (*forms, value), k.symbol.ndim), because, story.part)
    if has_gate(value) and isinstance(k.definition, Apply) and k.symbol.shape == j.shape:
        _local_cases(story, k, j, rule.rule)
    return value


def _value_of_local(k: Intermediate, j: Symbol, is_root: bool) -> Expr:
    """Return ∂k/∂j; in terms of k where the rule is: ∂p/∂z = diag(p) − ppᵀ, ∂u/∂z = diag(u ⊙ (1 − u))."""
    value = jacobian(k.definition, j)
    if keeps_value(k.definition) and not is_root:
        return folded(simplify(value), k.symbol, k.definition)
    if not isinstance(k.definition, Apply) or k.definition.op.is_elementwise or not k.symbol.shape:
        return simplify(value)
    return without_identities(folded(value, k.symbol, k.definition))


def _local_cases(story: _Story, k: Intermediate, j: Symbol, rule: str) -> None:
    """∂uᵢ/∂zᵢ = {0 if zᵢ ≤ 0; 1 if zᵢ > 0}, entry by entry."""
    assert isinstance(k.definition, Apply)
    if k.symbol.ndim > 1 or len(k.definition.args) != 1:
        return
    local = k.definition.op.local_jacobians(k.definition.args, k.definition)[0]
    if local is None:
        return
    left = Partial(k.symbol, j, direct=True, entry=True)
    size = k.symbol.shape[0] if k.symbol.shape else None
    because = "the slope is that of the branch that is taken"
    story.say(rule, Equation(left, (Indexed(local, size, cases=True),)), because, story.part)


# --- forward: ∂k/∂w for every k, innermost first
def _forward(story: _Story) -> None:
    for k in story.chain:
        if story.inputs(k):
            story.totals[k.symbol] = _total(story, k)
    story.totals.setdefault(story.root.symbol, zeros(story.root.symbol.shape + story.wrt.shape))


def _total(story: _Story, k: Intermediate) -> Expr:
    inputs = story.inputs(k)
    if inputs == [story.wrt]:
        value = _local(story, k, story.wrt)
        if not isinstance(k.definition, Apply):  # an operation has said its case split already
            _rows(story, k, value)
        return value
    if _is_plain_sum(story, k):
        return _sum_rule(story, k)
    locals_ = {j: _local(story, k, j) for j in inputs}
    return _chained(story, k, locals_)


def _is_plain_sum(story: _Story, k: Intermediate) -> bool:
    """True for a sum of names, and of terms that do not move: then the sum rule says it in one step."""
    if not isinstance(k.definition, Add):
        return False
    moving = [t for t in k.definition.args if any(depends_on(t, s) for s in story.inputs(k))]
    return all(isinstance(t, Symbol) or story.inputs(Intermediate(k.symbol, t)) == [story.wrt] for t in moving)


def _sum_rule(story: _Story, k: Intermediate) -> Expr:
    """∂v/∂w = ∂y/∂w − ∂u/∂w = 0 − ∂u/∂w: the derivative of a sum is the sum of the derivatives."""
    assert isinstance(k.definition, Add)
    coefficients, terms = reader_order(k.definition, [i.symbol for i in story.variables])
    moves = [depends_on(t, story.wrt) or any(depends_on(t, s) for s in story.inputs(k)) for t in terms]
    if moves.count(False) > 1:  # one zero is worth showing, several are not
        coefficients = tuple(c for c, moving in zip(coefficients, moves, strict=True) if moving)
        terms = tuple(t for t, moving in zip(terms, moves, strict=True) if moving)
    shape = k.symbol.shape + story.wrt.shape
    partials = tuple(Partial(t, story.wrt) for t in terms)
    totals = [_term_total(story, t) for t in terms]
    values: tuple[Written, ...] = tuple(
        p if isinstance(t, Symbol) and t in story.totals else total
        for p, t, total in zip(partials, terms, totals, strict=True)
    )
    value = simplify(add_terms(zip(coefficients, totals, strict=True), shape))
    rule = local_derivative(k.definition, story.wrt if depends_on(k.definition, story.wrt) else story.inputs(k)[0])
    forms = (WrittenSum(coefficients, partials), WrittenSum(coefficients, values), value)
    equation = Equation(Partial(k.symbol, story.wrt), forms, k.symbol.ndim)
    paths = len(story.inputs(k))
    name, because = (
        (rule.rule, rule.because) if paths == 1 else (chain_rule(paths, True).name, chain_rule(paths, True).because)
    )
    story.say(name, equation, because, story.part)
    _rows(story, k, value)
    return value


def _term_total(story: _Story, t: Expr) -> Expr:
    if isinstance(t, Symbol) and t in story.totals:
        return story.totals[t]
    return simplify(jacobian(t, story.wrt))


def _chained(story: _Story, k: Intermediate, locals_: Mapping[Symbol, Expr]) -> Expr:
    """∂k/∂w = Σⱼ (∂k/∂j)(∂j/∂w), and what reads w directly."""
    w, outputs = story.wrt, k.symbol.ndim
    forms: list[Written] = []
    values: list[Written] = []
    total = []
    for j, local in locals_.items():
        if j is w:
            forms.append(Partial(k.symbol, w, direct=True))
            values.append(local)
            total.append(local)
            continue
        forms.append(WrittenProduct((Partial(k.symbol, j, direct=True), Partial(j, w)), (j.ndim,)))
        values.append(WrittenProduct((local, story.totals[j]), (j.ndim,)))
        total.append(contracted(local, story.totals[j], j.ndim))
    value = simplify(add_terms([(1, t) for t in total], total[0].shape))
    scalar = not (k.symbol.shape or w.shape or any(j.shape for j in locals_))
    rule = chain_rule(len(locals_), scalar)
    sides = (_written_sum(forms), _written_sum(values), value)
    story.say(rule.name, Equation(Partial(k.symbol, w), sides, outputs), rule.because, story.part)
    _rows(story, k, value)
    return value


def _written_sum(parts: list[Written]) -> Written:
    return parts[0] if len(parts) == 1 else WrittenSum((1,) * len(parts), tuple(parts))


def contracted(outer: Expr, inner: Expr, shared: int) -> Expr:
    """Return the product of two Jacobians over the axes of the variable between them."""
    m, n = outer.ndim - shared, inner.ndim - shared
    left = tuple(range(m + shared))
    right = tuple(range(m, m + shared + n))
    return einsum([outer, inner], [left, right], tuple(range(m)) + right[shared:])


def _rows(story: _Story, k: Intermediate, value: Expr) -> None:
    """Where a gate takes part, say it once more sample by sample, as a case split."""
    if not has_gate(value) or not sampled(value, k.symbol.ndim, story.size):
        return
    free = bool(k.symbol.shape)
    left = Partial(k.symbol, story.wrt, index=story.size if free else None)
    form = Indexed(value, story.size, cases=True, inside=not free and story.size is not None)
    because = "where the gate is 0 nothing moves, where it is 1 the active branch counts"
    if not free and story.size is not None:
        because += "; the condition depends on i, so it stays inside the sum"
    story.say("case split", Equation(left, (form,), 0 if free else k.symbol.ndim), because, story.part)


# --- backward: ∂C/∂k for every k, outermost first
def _backward(story: _Story) -> None:
    root = story.root
    adjoints: dict[Symbol, list[tuple[Intermediate, Expr]]] = {}
    for j in story.inputs(root):
        adjoints.setdefault(j, []).append((root, _local(story, root, j)))
    known: dict[Symbol, Expr] = {}
    for i in reversed(story.variables):
        if i.symbol in adjoints:
            known[i.symbol] = _adjoint(story, i.symbol, adjoints[i.symbol], known)
            for j in story.inputs(i):
                adjoints.setdefault(j, []).append((i, _local(story, i, j)))
    story.totals[root.symbol] = _adjoint(story, story.wrt, adjoints[story.wrt], known)


def _adjoint(story: _Story, j: Symbol, uses: list[tuple[Intermediate, Expr]], known: Mapping[Symbol, Expr]) -> Expr:
    """∂C/∂j = Σₖ (∂C/∂k)(∂k/∂j) over everything that reads j."""
    root = story.root.symbol
    if [k.symbol for k, _ in uses] == [root]:
        return uses[0][1]
    forms: list[Written] = []
    values: list[Written] = []
    total = []
    for k, local in uses:
        if k.symbol is root:
            forms.append(Partial(root, j, direct=True))
            values.append(local)
            total.append(local)
            continue
        forms.append(WrittenProduct((Partial(root, k.symbol), Partial(k.symbol, j, direct=True)), (k.symbol.ndim,)))
        values.append(WrittenProduct((known[k.symbol], local), (k.symbol.ndim,)))
        total.append(contracted(known[k.symbol], local, k.symbol.ndim))
    value = simplify(add_terms([(1, t) for t in total], total[0].shape))
    scalar = not (root.shape or j.shape or any(k.symbol.shape for k, _ in uses))
    rule = chain_rule(len(uses), scalar)
    sides = (_written_sum(forms), _written_sum(values), value)
    story.say(rule.name, Equation(Partial(root, j), sides, root.ndim), rule.because, story.part)
    return value
