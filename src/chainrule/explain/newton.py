"""Newton's step as a derivation: gradient, Hessian, w₊ = w − H⁻¹g, and weighted least squares where the cost reads the
variable through a product Xw alone.

Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2009, section 4.4.1; Murphy, Machine
Learning, 2012, section 8.3.4 (iteratively reweighted least squares).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field

from chainrule.derivative.chains import chain_rule
from chainrule.derivative.differentiate import jacobian, put_back
from chainrule.derivative.rules import backward_rule
from chainrule.errors import ShapeError
from chainrule.explain.fold import folded
from chainrule.explain.intermediates import Intermediate
from chainrule.explain.samples import has_gate
from chainrule.explain.summary import assumptions
from chainrule.expression.build import diag, divide, matmul, multiply, ones, subtract
from chainrule.expression.node import ONE, Apply, Einsum, Expr, Ones, Symbol, depends_on, is_zero, walk, zeros
from chainrule.expression.power import constant_value, exponent_of
from chainrule.expression.product import einsum, factors_of
from chainrule.expression.shape import show_shape
from chainrule.expression.total import add_terms, linear_terms, scale
from chainrule.ops.linear import inv
from chainrule.rewrite.statement import Derivation, Equation, Partial, Step, Written, WrittenProduct, WrittenSum
from chainrule.simplify.simplify import simplify


@dataclass(frozen=True, slots=True)
class _Score:
    """A cost k φ(z) + R(w) with z = Xw, in which every entry of z acts for itself: ∂φ/∂z = r, ∂²φ/∂z² = diag(s)."""

    z: Intermediate
    X: Expr
    cost: Expr  # in terms of z
    factor: Expr  # k, a scalar
    slope: Expr  # r
    weights: Expr  # s
    rest: Expr  # R


@dataclass(slots=True)
class _Telling:
    """The derivation being written."""

    root: Symbol
    wrt: Symbol
    taken: set[str]
    steps: list[Step] = field(default_factory=list)
    names: dict[Symbol, Expr] = field(default_factory=dict)

    def say(self, rule: str, equation: Equation, because: str, part: str) -> None:
        self.steps.append(Step(rule, equation, because, None, part))

    def named(self, name: str, definition: Expr, facts: frozenset[str] = frozenset()) -> Symbol:
        """Return a new name for an expression of names."""
        k, free = 1, name
        while free in self.taken:
            k, free = k + 1, f"{name}{k + 1}"
        self.taken.add(free)
        symbol = Symbol(free, definition.shape, facts)
        self.names[symbol] = definition
        return symbol


def newton_step(function: Expr, wrt: Symbol, function_name: str) -> Derivation:
    """Return the derivation of w₊ = w − H⁻¹g, steps not yet judged.

    Shapes: function (), wrt () or (d) -> result as wrt.
    Raises: ShapeError for a function that is no scalar, or a variable of two axes or more.
    """
    if function.shape or wrt.ndim > 1:
        raise ShapeError(
            "Newton's step is that of a scalar function of a vector or a number",
            found=f"a function of shape {show_shape(function.shape)}, a variable of shape {show_shape(wrt.shape)}",
            hint="take the entries of a matrix as one vector",
        )
    telling = _Telling(Symbol(function_name), wrt, {function_name, *function.symbols})
    score = _score(function, wrt, telling.taken)
    ending = _of_scores(telling, score) if score else _of_any(telling, function)
    result = put_back(ending, list(telling.names.items()))
    goal = next(s for s in telling.names if s.name.endswith("_+"))
    return Derivation(
        function=function,
        wrt=wrt,
        result=result,
        steps=tuple(telling.steps),
        names=telling.names,
        layout="denominator",
        function_name=function_name,
        assumptions=assumptions(function, wrt),
        goal=goal,
        way="adjoints",
    )


# --- reading the cost
def _score(function: Expr, w: Symbol, taken: set[str]) -> _Score | None:
    for node in walk(function):
        if isinstance(node, Einsum) and node.args.count(w) == 1:
            product = _product_with(node, w)
            found = None if product is None else _reads_only(function, w, *product, taken)
            if found is not None:
                return found
    return None


def _product_with(node: Einsum, w: Symbol) -> tuple[Expr, Expr] | None:
    """Return X and Xw if the node holds that product of a matrix with the variable."""
    factors = factors_of(node)
    place = next(sub for f, sub in factors if f is w)
    if len(place) != 1 or place[0] not in node.summed:
        return None
    others = [(f, sub) for f, sub in factors if f is not w and place[0] in sub]
    if len(others) != 1 or len(others[0][1]) != 2 or len(set(others[0][1])) != 2 or depends_on(others[0][0], w):
        return None
    X, sub = others[0]
    rows = tuple(i for i in sub if i != place[0])
    return einsum([X], [sub], (*rows, *place)), einsum([X, w], [sub, place], rows)


def _reads_only(function: Expr, w: Symbol, X: Expr, Xw: Expr, taken: set[str]) -> _Score | None:
    name = next(n for n in ("z", "a", "u", "score") if n not in taken)
    z = Symbol(name, Xw.shape)
    cost = folded(function, z, Xw)
    moving = [(c, t) for c, t in linear_terms(cost) if depends_on(t, z)]
    if not moving or any(depends_on(t, w) for _, t in moving):
        return None
    slope = simplify(jacobian(add_terms(moving, ()), z))
    curvature = simplify(jacobian(slope, z))
    weights = simplify(matmul(curvature, ones(*z.shape)))
    if is_zero(weights) or not is_zero(simplify(subtract(curvature, diag(weights)))):
        return None
    taken.add(name)
    factor, weights = _without_scalars(weights)
    rest = add_terms([(c, t) for c, t in linear_terms(cost) if depends_on(t, w)], ())
    return _Score(Intermediate(z, Xw), X, cost, factor, simplify(divide(slope, factor)), weights, rest)


def _without_scalars(e: Expr) -> tuple[Expr, Expr]:
    """Return the numbers and scalars that multiply the whole of a vector, and what is left."""
    terms = linear_terms(e)
    if len(terms) != 1:
        return ONE, e
    factors = factors_of(terms[0][1])
    outer = [f for f, _ in factors if not f.shape]
    inner = [(f, sub) for f, sub in factors if f.shape]
    factor = scale(terms[0][0], einsum(outer, [()] * len(outer), ()) if outer else ONE)
    if not inner:
        return factor, ones(*e.shape)
    own = inner[0][1] if len(inner) == 1 else terms[0][1].output  # type: ignore[attr-defined]
    return factor, einsum([f for f, _ in inner], [sub for _, sub in inner], own)


def _mean_function(score: _Score) -> Apply | None:
    """Return the one function of the scores that slope and weights are made of: σ(z), exp(z)."""
    found = {
        n
        for n in walk(score.slope, score.weights)
        if isinstance(n, Apply) and depends_on(n, score.z.symbol) and n.shape == score.z.symbol.shape
        if exponent_of(n)[1] == 1 and n.op.is_elementwise and not n.op.is_gate
    }
    return found.pop() if len(found) == 1 else None


def _letter(f: Apply) -> str:
    """A function with a letter of its own gives it to its value, σ for σ(z); else μ, the mean of a sample."""
    letter, _, _ = f.op.notation.text.partition("(")
    return unicodedata.name(letter).split()[-1].lower() if len(letter) == 1 and not letter.isascii() else "mu"


# --- any function
def _of_any(telling: _Telling, function: Expr) -> Expr:
    w = telling.wrt
    telling.names[telling.root] = function
    telling.say("the function", Equation(telling.root, (function,)), "the function as it was given", "names")
    slope = simplify(jacobian(function, w))
    g = telling.named("g", slope)
    telling.say("gradient", Equation(g, (Partial(telling.root, w), slope), by_definition=True),
                "the slope in every direction", "gradient")  # fmt: skip
    curvature = simplify(jacobian(slope, w))
    H = telling.named("H", curvature)
    telling.say("Hessian", Equation(H, (Partial(g, w), curvature), by_definition=True),
                "the derivative of the gradient", "Hessian")  # fmt: skip
    return _newton(telling, g, H, solved(curvature, slope))


def solved(A: Expr, b: Expr) -> Expr:
    """Return A⁻¹b, or b/A for numbers. Shapes: A (d, d), b (d) -> (d); () and () -> ()."""
    return matmul(inv(A), b) if A.shape else divide(b, A)


def _newton(telling: _Telling, g: Symbol, H: Symbol, change: Expr) -> Expr:
    w = telling.wrt
    step = subtract(w, solved(H, g))
    goal = telling.named(f"{w.name}_+", step)
    equation = Equation(goal, (step, _less(w, change)), by_definition=True)
    because = f"the parabola with the cost's value, slope g and curvature H at {w} has its lowest point there"
    telling.say("Newton's method", equation, because, "Newton step")
    return subtract(w, change)


def _less(e: Expr, by: Expr) -> WrittenSum:
    """Return e − by as it is written, without two signs in a row."""
    terms = linear_terms(by)
    falls = len(terms) == 1 and terms[0][0] < 0
    return WrittenSum((1, 1 if falls else -1), (e, scale(-1, by) if falls else by))


# --- a function of scores
def _of_scores(telling: _Telling, score: _Score) -> Expr:
    slope, weights = _name_scores(telling, score)
    w, z, X, k = telling.wrt, score.z.symbol, score.X, score.factor
    if is_zero(score.rest):
        rule, because = _slope_rule(score)
        equation = Equation(Partial(telling.root, z), (multiply(k, slope),))
        telling.say(rule, equation, because, "gradient")
    own = simplify(jacobian(score.rest, w)) if score.rest.symbols else zeros(w.shape)
    direction = matmul(_turned(X), slope)
    gradient = add_terms([(1, multiply(k, direction)), (1, own)], w.shape)
    g = telling.named("g", gradient)
    telling.say(
        "matrix–vector product",
        Equation(g, (Partial(telling.root, w), gradient), by_definition=True),
        f"what comes back through {score.z.definition} is multiplied by {_turned(X)}",
        "gradient",
    )
    S = _name_weights(telling, weights)
    curved = _weighted(X, S)
    bent = simplify(jacobian(own, w))
    curvature = add_terms([(1, multiply(k, curved)), (1, bent)], bent.shape)
    forms: tuple[Written, ...] = (Partial(g, w), curvature)
    if is_zero(score.rest):
        forms = (forms[0], WrittenProduct((Partial(g, z), Partial(z, w)), (1,)), curvature)
    H = telling.named("H", curvature)
    chain = chain_rule(1, False)
    telling.say(chain.name, Equation(H, forms, by_definition=True), chain.because, "Hessian")
    plain = is_zero(own)
    value = _newton(telling, g, H, solved(curved, direction) if plain else solved(curvature, gradient))
    if not has_gate(score.weights):
        _least_squares(telling, score, slope, S, curved if plain else curvature, own, bent)
    return value


def _slope_rule(score: _Score) -> tuple[str, str]:
    """Return the rule of the sum over samples, with that of the function summed."""
    inner = next((n for n in walk(score.cost) if isinstance(n, Apply) and depends_on(n, score.z.symbol)), None)
    rule, because = backward_rule(score.cost, score.z.symbol)
    if inner is None or inner.op.rule in rule:
        return rule, because
    return f"sum reduction, {inner.op.rule}", inner.op.because


def _turned(X: Expr) -> Expr:
    return einsum([X], [(0, 1)], (1, 0))


def _weighted(X: Expr, S: Expr | None) -> Expr:
    return matmul(_turned(X), X) if S is None else matmul(matmul(_turned(X), S), X)


def _name_scores(telling: _Telling, score: _Score) -> tuple[Expr, Expr]:
    """Introduce z and the mean σ, and return slope and weights in terms of them."""
    because = "name the parts, so that each step differentiates one simple function"
    telling.names[score.z.symbol] = score.z.definition
    introduced = [(score.z.symbol, score.z.definition)]
    slope, weights = score.slope, score.weights
    mean = _mean_function(score)
    if mean is not None:
        symbol = telling.named(_letter(mean), mean)
        introduced.append((symbol, mean))
        slope, weights = (folded(e, symbol, mean) for e in (slope, weights))
    for name, definition in introduced:
        telling.say("introduce an intermediate variable", Equation(name, (definition,), by_definition=True), because,
                    "names")  # fmt: skip
    telling.names[telling.root] = score.cost
    telling.say("the function", Equation(telling.root, (score.cost,)), "the function in terms of the names", "names")
    return slope, weights


def _name_weights(telling: _Telling, weights: Expr) -> Symbol | None:
    """Name s and S = diag(s): the slope of every sample's error. None if all samples weigh the same."""
    if isinstance(weights, Ones) or constant_value(weights) is not None:
        return None
    because = "the weight of a sample is the curvature of its own cost; it reads no other sample's score"
    s = weights if isinstance(weights, Symbol) else telling.named("s", weights)
    if s is not weights:
        telling.say("name the weights", Equation(s, (weights,), by_definition=True), because, "Hessian")
    S = telling.named("S", diag(s), frozenset({"diagonal"}))
    telling.say("name the weights", Equation(S, (diag(s),), by_definition=True), because, "Hessian")
    return S


def _least_squares(
    telling: _Telling, score: _Score, slope: Expr, S: Symbol | None, normal: Expr, own: Expr, bent: Expr
) -> None:
    """w₊ = (XᵀSX)⁻¹ XᵀS z̃, with the working response z̃ = Xw − S⁻¹r."""
    w, z, X = telling.wrt, score.z.symbol, score.X
    goal = next(s for s in telling.names if s.name.endswith("_+"))
    part, plain = "weighted least squares" if S is not None else "least squares", is_zero(own)
    k = ONE if plain else score.factor
    rest = simplify(subtract(matmul(bent, w), own)) if not plain else zeros(w.shape)
    gradient = add_terms([(1, multiply(k, matmul(_turned(X), slope))), (1, own)], w.shape)
    back = matmul(normal, w)
    inverse = inv(normal)
    forms: list[Written] = [WrittenProduct((inverse, _less(back, gradient)), (1,))]
    if S is not None and plain:
        inside = WrittenSum((1, 1), (z, matmul(inv(S), scale(-1, slope))))
        forms.append(WrittenProduct((inverse, matmul(_turned(X), S), inside), (1, 1)))
    because = f"{w} is {inverse} times {back}, so the inverse is a common factor"
    telling.say("common factor", Equation(goal, tuple(forms)), because, part)
    target = _working_response(telling, score, slope, S, part)
    pull = matmul(_turned(X), target) if S is None else matmul(matmul(_turned(X), S), target)
    value = matmul(inverse, add_terms([(1, multiply(k, pull)), (1, rest)], w.shape))
    because = "these are the normal equations of least squares, all samples with the same weight: one step arrives"
    if S is not None:
        because = f"these are the normal equations: {goal} fits the working responses best, each sample with its weight"
    telling.say(part, Equation(goal, (value,)), because, part)


def _working_response(telling: _Telling, score: _Score, slope: Expr, S: Symbol | None, part: str) -> Expr:
    """Name z̃ = z − S⁻¹r, if it is more than a symbol, and return it."""
    z = score.z.symbol
    working = simplify(subtract(z, slope)) if S is None else subtract(z, matmul(inv(S), slope))
    if isinstance(working, Symbol):
        return working
    target = telling.named(f"{z.name}_tilde", working)
    written = working if S is None else WrittenSum((1, 1), (z, matmul(inv(S), scale(-1, slope))))
    because = "the score at which the tangent to a sample's own slope reaches zero"
    telling.say("name the working response", Equation(target, (written,), by_definition=True), because, part)
    return target
