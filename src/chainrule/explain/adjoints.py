"""Backpropagation as practitioners write it: the adjoint of every part has a name, and is used by that name.

The adjoint of k, ∂C/∂k, has the shape of k. It is carried from a whole to its parts by vector–Jacobian products, so no
array of more axes than the parts themselves is ever written. For a cost, the errors of the layers are called δ; with a
cotangent dO, the adjoint of P is called dP.
Source: Rumelhart, Hinton, Williams 1986; Dao et al. 2022, appendix B.2 (attention).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chainrule.derivative.chains import TOTAL_DERIVATIVE
from chainrule.derivative.differentiate import substitute, vjp
from chainrule.derivative.rules import backward_rule
from chainrule.explain.fold import folded
from chainrule.explain.intermediates import Intermediate, Named, expanded
from chainrule.explain.layers import layers
from chainrule.explain.normalisation import in_normal_form, in_quotients, normalisations
from chainrule.explain.reductions import row_sum_of, solution_in, turned, without_identities
from chainrule.explain.summary import assumptions, update
from chainrule.expression.build import multiply
from chainrule.expression.build import sum as sum_of
from chainrule.expression.node import ONE, Apply, Einsum, Expr, Symbol, depends_on, walk, zeros
from chainrule.expression.total import add_terms, linear_terms, scale
from chainrule.rewrite.statement import Called, Derivation, Equation, Partial, Step, Written, WrittenSum
from chainrule.simplify.length import length
from chainrule.simplify.simplify import simplify

READABLE = 2  # axes that matrix notation has
SHORT = 24  # symbols and operations that a closed form may have and still be read at a glance


@dataclass(slots=True)
class _Pass:
    """A backward pass being written down."""

    function: Expr
    wrts: tuple[Symbol, ...]
    named: Named
    root: Intermediate
    cotangent: Symbol | None
    taken: set[str]
    steps: list[Step] = field(default_factory=list)
    adjoints: dict[Symbol, Expr] = field(default_factory=dict)  # a name, or a short expression of names
    defined: list[Intermediate] = field(default_factory=list)  # the adjoints that have a name
    solutions: list[Intermediate] = field(default_factory=list)  # α = K⁻¹y, read off on the way

    @property
    def chain(self) -> tuple[Intermediate, ...]:
        return (*self.named.variables, self.root)

    @property
    def loss(self) -> Symbol:
        """The scalar that is differentiated: the cost itself, or ℓ = ⟨dO, O⟩."""
        return Symbol("ell") if self.cotangent is not None else self.root.symbol

    def moves(self, s: Symbol) -> bool:
        """True if `s` is one of the variables, or depends on one."""
        if s in self.wrts:
            return True
        definition = next((i.definition for i in self.named.variables if i.symbol is s), None)
        return definition is not None and any(self.moves(part) for part in definition.symbols.values())

    def say(self, rule: str, equation: Equation, because: str, part: str, note: str = "") -> None:
        self.steps.append(Step(rule, equation, because, None, part, note))

    def free_name(self, name: str) -> str:
        """Return the name, numbered if it is taken, and take it."""
        k, result = 1, name
        while result in self.taken:
            k += 1
            result = f"{name}{k}"
        self.taken.add(result)
        return result


def backpropagate(
    function: Expr,
    wrts: Sequence[Symbol],
    names: Mapping[str, Expr] | None = None,
    function_name: str = "C",
    cotangent: Symbol | None = None,
) -> Derivation:
    """Return the derivation of all ∂function/∂wrt in one backward pass, steps not yet judged.

    Shapes: function () or, with a cotangent of its shape, any; each result has the shape of its variable.
    Raises: DomainError for names that do not fit.
    """
    named = layers(function, names)
    root = Intermediate(Symbol(function_name, function.shape), named.function)
    taken = {function_name, "ell", *function.symbols, *(i.symbol.name for i in named.variables)}
    if cotangent is not None:
        taken.add(cotangent.name)
    story = _Pass(function, tuple(wrts), named, root, cotangent, taken)
    _introduce(story)
    values = _pass_back(story)
    whole, seed = expanded(named.function, named.variables), _seed(story)
    results = {x: simplify(vjp(whole, x, seed)) for x in wrts}
    for x in wrts:
        _closed_form(story, x, values[x], results[x])
    if cotangent is None:
        for x in wrts:
            story.steps += update(values[x], root, x, story.taken)
    first, *others = wrts
    definitions = {i.symbol: i.definition for i in (*named.variables, root)}
    if cotangent is not None:
        definitions[story.loss] = sum_of(multiply(cotangent, root.symbol))
    return Derivation(
        function=function,
        wrt=first,
        result=results[first],
        steps=tuple(story.steps),
        names={**definitions, **{i.symbol: i.definition for i in (*story.solutions, *story.defined)}},
        function_name=function_name,
        assumptions=tuple(dict.fromkeys(s for x in wrts for s in assumptions(function, x))),
        others={x: results[x] for x in others},
        cotangent=cotangent,
        way="adjoints",
    )


def _seed(story: _Pass) -> Expr:
    return ONE if story.cotangent is None else story.cotangent


# --- names
def _introduce(story: _Pass) -> None:
    because = "name the parts, so that each step differentiates one simple function"
    for i in story.named.variables:
        equation = Equation(i.symbol, (i.definition,), by_definition=True)
        story.say("introduce an intermediate variable", equation, because, "names")
    equation = Equation(story.root.symbol, (story.root.definition,))
    story.say("the function", equation, "the function in terms of the names", "names")


# --- adjoints, outermost first
def _pass_back(story: _Pass) -> dict[Symbol, Expr]:
    """State every adjoint, and the derivative by each variable as soon as all that read the variable are known."""
    story.adjoints[story.root.symbol] = _seed(story)
    results = _ready_results(story, {})
    for i in reversed(story.named.variables):
        users = _users(story, i.symbol)
        if users and story.moves(i.symbol):
            _adjoint(story, i.symbol, users)
            results = _ready_results(story, results)
    return {x: results[x] if x in results else _result_of(story, x) for x in story.wrts}


def _adjoint(story: _Pass, j: Symbol, users: Sequence[Intermediate]) -> None:
    value = _with_solutions(story, _pulled(story, j, users))
    if value is story.cotangent:  # the output is this part: the cotangent is its adjoint as it stands
        story.adjoints[j] = value
        return
    name = _name_of_adjoint(story, j, value)
    if name is None:
        _state(story, j, None, value, users)
        story.adjoints[j] = value
        return
    value = _with_row_sums(story, value)
    symbol = Symbol(story.free_name(name), j.shape)
    _state(story, j, symbol, value, users)
    story.adjoints[j] = symbol
    story.defined.append(Intermediate(symbol, value))


def _ready_results(story: _Pass, done: dict[Symbol, Expr]) -> dict[Symbol, Expr]:
    """Return what is done and what can be stated now, in the order asked for."""
    result = dict(done)
    for x in story.wrts:
        readers = [k for k in story.chain if depends_on(k.definition, x)]
        if x not in result and readers and all(k.symbol in story.adjoints for k in readers):
            result[x] = _result_of(story, x)
    return result


def _result_of(story: _Pass, x: Symbol) -> Expr:
    """State ∂C/∂x in terms of the names, and return it."""
    users = _users(story, x)
    value = _with_row_sums(story, _with_solutions(story, _pulled(story, x, users))) if users else zeros(x.shape)
    symbol = Symbol(f"d{x.name}", x.shape) if story.cotangent is not None else None
    _state(story, x, symbol, value, users)
    return value


def _users(story: _Pass, j: Symbol) -> list[Intermediate]:
    return [k for k in story.chain if k.symbol in story.adjoints and depends_on(k.definition, j)]


def _pulled(story: _Pass, j: Symbol, users: Sequence[Intermediate]) -> Expr:
    """Σₖ (∂C/∂k)(∂k/∂j) over everything that reads j, each a vector–Jacobian product."""
    pieces = []
    for k in users:
        piece = vjp(k.definition, j, story.adjoints[k.symbol])
        pieces.append(piece if k is story.root else folded(piece, k.symbol, k.definition))
    return in_quotients(story.named.variables, simplify(add_terms([(1, piece) for piece in pieces], j.shape)))


def _name_of_adjoint(story: _Pass, j: Symbol, value: Expr) -> str | None:
    """δ for the error of a layer; dP with a cotangent; no name for what is short or used once."""
    if story.cotangent is not None:
        return f"d{j.name}"
    stem = j.name.rstrip("0123456789")
    if stem.lower() in ("z", "s") and j.shape:
        return f"delta{j.name[len(stem) :]}" if stem.lower() == "z" else f"delta_{j.name}"
    readers = sum(depends_on(k.definition, j) for k in story.chain)
    inner = next(i.definition for i in story.named.variables if i.symbol is j)
    uses = len([s for s in inner.symbols.values() if story.moves(s)])
    again = isinstance(inner, Apply) and not inner.op.is_elementwise and not depends_on(value, j)
    is_reused = again or (length(value) > 6 and (uses > 1 or readers > 1))
    return f"G_{j.name}" if is_reused and j.shape and length(value) > 2 else None


def _with_row_sums(story: _Pass, value: Expr) -> Expr:
    """Name a row sum that a matrix needs in every row: D = rowsum(P ⊙ dP), and say what it is in other names."""
    spread = without_identities(value)
    found = row_sum_of(spread)
    if found is None:
        return value
    symbol = Symbol(story.free_name("D"), found.shape)
    forms: list[Written] = [found]
    other = _in_outer_names(story, found)
    if other is not found:
        forms.append(other)
    because = "each row needs one number: the sum of its own entries"
    story.say("name the row sums", Equation(symbol, tuple(forms), by_definition=True), because, "backward")
    story.defined.append(Intermediate(symbol, found))
    return simplify(folded(spread, symbol, found))


def _with_solutions(story: _Pass, value: Expr) -> Expr:
    """Name a solution of a linear system that the value is made of: α = K⁻¹y."""
    found = solution_in(value)
    if found is None:
        return value
    known = next((i.symbol for i in story.solutions if i.definition is found), None)
    symbol = Symbol("alpha", found.shape) if known is None else known
    after = simplify(folded(folded(value, symbol, found), symbol, turned(found)))
    if not any(isinstance(t, Einsum) and t.args.count(symbol) > 1 for t in walk(after)):
        return value
    if known is None:
        symbol, draft = Symbol(story.free_name("alpha"), found.shape), symbol
        after = substitute(after, {draft: symbol})
        because = "the solution of a linear system is found once and used by name"
        story.say("name the solution", Equation(symbol, (found,), by_definition=True), because, "backward")
        story.solutions.append(Intermediate(symbol, found))
    return after


def _in_outer_names(story: _Pass, e: Expr) -> Expr:
    """Σⱼ P ⊙ dP with dP = dO Vᵀ is Σⱼ dO ⊙ O: put adjoints back and read the function's own value in it."""
    unfolded = expanded(e, story.defined)
    back = folded(unfolded, story.root.symbol, story.root.definition)
    return back if length(back) <= length(e) and back is not unfolded else e


def _state(story: _Pass, j: Symbol, name: Symbol | None, value: Expr, users: Sequence[Intermediate]) -> None:
    slope = Partial(story.loss, j)
    if name is None:
        equation = Equation(slope, (*_term_by_term(story, j, users), value), 0)
    elif story.cotangent is not None:
        equation = Equation(Called(name, slope), (value,))
    else:
        equation = Equation(name, (slope, *_term_by_term(story, j, users), value), 0, by_definition=True)
    rule, because = _reason(j, users)
    story.say(rule, equation, because, "backward")


def _term_by_term(story: _Pass, j: Symbol, users: Sequence[Intermediate]) -> tuple[Written, ...]:
    """Where the result itself is a sum of terms with j in them, their derivatives beside each other; else nothing."""
    if story.cotangent is not None or [k.symbol for k in users] != [story.root.symbol]:
        return ()
    moving = [(c, t) for c, t in linear_terms(story.root.definition) if depends_on(t, j)]
    if len(moving) < 2 or any(t is j for _, t in moving):
        return ()
    coefficients, terms = zip(*moving, strict=True)
    values = [_in_solutions(story, simplify(vjp(t, j, ONE))) for t in terms]
    parts = tuple(Partial(t, j, direct=True) for t in terms)
    falling = [_falls(e) for e in values]
    signs = tuple(-c if down else c for c, down in zip(coefficients, falling, strict=True))
    shown = tuple(scale(-1, e) if down else e for e, down in zip(values, falling, strict=True))
    return WrittenSum(coefficients, parts), WrittenSum(signs, shown)


def _falls(e: Expr) -> bool:
    terms = linear_terms(e)
    return len(terms) == 1 and terms[0][0] < 0


def _in_solutions(story: _Pass, value: Expr) -> Expr:
    """Return the value with the solutions that have a name by their names."""
    for i in story.solutions:
        value = simplify(folded(folded(value, i.symbol, i.definition), i.symbol, turned(i.definition)))
    return value


def _reason(j: Symbol, users: Sequence[Intermediate]) -> tuple[str, str]:
    """Return the rule that carries the adjoint back to j, and its sentence."""
    if not users:
        return "constant", f"{j.name} does not occur, so nothing changes with it"
    if len(users) > 1:
        return TOTAL_DERIVATIVE.name, TOTAL_DERIVATIVE.because
    moving = [t for _, t in linear_terms(users[0].definition) if depends_on(t, j)]
    return backward_rule(moving[0] if len(moving) == 1 and moving[0] is not j else users[0].definition, j)


# --- closed form
def _closed_form(story: _Pass, x: Symbol, value: Expr, result: Expr) -> None:
    """Put the adjoints back in place of their names, where what comes out can still be read."""
    e = _without_adjoints(story, value)
    errors = story.cotangent is None and all(i.symbol.name.startswith("delta") for i in story.defined)
    because = f"put the {'errors' if errors else 'adjoints'} back in place of their names"
    if e is value or length(e) > SHORT:
        if x.ndim > READABLE:  # of indices, names are what can be read
            return
        named = any(depends_on(value, i.symbol) for i in story.solutions)
        if result is value or named or length(result) > min(SHORT, length(value) + 3):
            return
        e, because = result, "put everything back in place of its name"
    slope = Partial(story.loss, x)
    if story.cotangent is not None:
        equation = Equation(Called(Symbol(f"d{x.name}", x.shape), slope), (e,))
    else:
        equation = Equation(slope, (e,), 0)
    story.say("closed form", equation, because, "closed form")


def _without_adjoints(story: _Pass, value: Expr) -> Expr:
    """Return the value without the names of adjoints: of one of them, or of all in a normalisation."""
    used = [i for i in story.defined if depends_on(value, i.symbol)]
    deep = any(depends_on(k.definition, i.symbol) for k in used for i in story.defined)
    normal = {f"d{n.quotient.name}" for n in normalisations(story.named.variables)}
    if not normal:
        return value if deep or len(used) != 1 else simplify(substitute(value, {used[0].symbol: used[0].definition}))
    e = expanded(value, [i for i in story.defined if i.symbol.name not in normal])
    return e if e is value else in_normal_form(story.named.variables, e)
