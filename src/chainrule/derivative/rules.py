"""The named rules a reader knows: which rule a local derivative uses, and the forms it is written in on the way.

Names and statements follow Parr and Howard 2018 (sections 2 to 6). Values come from `differentiate`; a row says how.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chainrule.derivative.differentiate import jacobian, substitute
from chainrule.expression.node import Add, Apply, Einsum, Expr, Identity, Ones, Symbol, depends_on
from chainrule.expression.power import constant_value, exponent_of
from chainrule.expression.product import einsum
from chainrule.expression.shape import Scalar
from chainrule.rewrite.statement import Partial, Written, WrittenProduct, WrittenSum, spoken

Predicate = Callable[[Expr, Symbol], bool]
Forms = Callable[[Expr, Symbol], tuple[Written, ...]]


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A rule of differentiation: its name, its statement, one sentence, when it fits, and how it is written out."""

    name: str
    statement: str
    because: str
    fits: Predicate
    forms: Forms = lambda e, x: ()
    names_inner: bool = False  # the rule's name goes on with the rule of the function inside
    backward: str = ""  # the sentence for the way back, where an adjoint is carried through


@dataclass(frozen=True, slots=True)
class LocalDerivative:
    """∂e/∂x with the rule that gives it; `forms` are the written forms between ∂e/∂x and the result."""

    rule: str
    because: str
    forms: tuple[Written, ...]


# --- when a rule fits
def _linear_terms(e: Expr) -> tuple[tuple[Scalar, ...], tuple[Expr, ...]]:
    return (e.coefficients, e.args) if isinstance(e, Add) else ((1,), (e,))


def reader_order(e: Expr, names: Sequence[Symbol] = ()) -> tuple[tuple[Scalar, ...], tuple[Expr, ...]]:
    """Return the terms as a reader writes them: positive ones first; products and names, symbols, then expansions."""

    def group(t: Expr) -> int:
        if isinstance(t, Symbol):
            return 0 if t in names else 1
        return 2 if isinstance(t, Ones) or any(isinstance(a, Ones) for a in t.args) else 0

    pairs = list(zip(*_linear_terms(e), strict=True))
    pairs.sort(key=lambda pair: (pair[0] < 0, group(pair[1])))
    return tuple(c for c, _ in pairs), tuple(t for _, t in pairs)


def is_sum(e: Expr, x: Symbol) -> bool:
    """True for several terms, none subtracted."""
    return isinstance(e, Add) and len(e.args) > 1 and all(c > 0 for c in e.coefficients)


def is_difference(e: Expr, x: Symbol) -> bool:
    """True for several terms."""
    return isinstance(e, Add) and len(e.args) > 1


def is_multiple(e: Expr, x: Symbol) -> bool:
    """True for one term with a number before it."""
    return isinstance(e, Add) and len(e.args) == 1


def _factors(e: Expr, x: Symbol) -> list[tuple[Expr, tuple[int, ...]]]:
    """Return the factors of a product that depend on x."""
    pairs = zip(e.args, e.subscripts, strict=True) if isinstance(e, Einsum) else []
    return [(a, s) for a, s in pairs if depends_on(a, x)]


def is_linear_product(e: Expr, x: Symbol) -> bool:
    """True if the product has x itself as its only factor that depends on x."""
    found = _factors(e, x)
    return len(found) == 1 and found[0][0] is x


def _others(e: Einsum, x: Symbol) -> list[tuple[Expr, tuple[int, ...]]]:
    pairs = zip(e.args, e.subscripts, strict=True)
    return [(a, s) for a, s in pairs if a is not x and a.shape and not isinstance(a, Ones)]


def _form(inputs: tuple[int, ...], output: int, contracted: int) -> Predicate:
    """Return a test for a product of x with one other array: ranks of (x, other), rank of the result, summed axes."""

    def fits(e: Expr, x: Symbol) -> bool:
        if not isinstance(e, Einsum) or not is_linear_product(e, x):
            return False
        others = _others(e, x)
        shape = (x.ndim, *(a.ndim for a, _ in others))
        return shape == inputs and e.ndim == output and len(e.summed) == contracted

    return fits


def _is_expansion(e: Expr, x: Symbol) -> bool:
    return isinstance(e, Einsum) and not x.shape and any(isinstance(a, Ones) for a in e.args) and len(e.args) == 2


def _is_sum_reduction(e: Expr, x: Symbol) -> bool:
    return isinstance(e, Einsum) and is_linear_product(e, x) and not _others(e, x) and bool(e.summed)


def _is_scaled(e: Expr, x: Symbol) -> bool:
    return isinstance(e, Einsum) and is_linear_product(e, x) and not _others(e, x) and not e.summed


def _is_quotient(e: Expr, x: Symbol) -> bool:
    """True for w ⊘ x, by either."""
    if not isinstance(e, Einsum) or e.summed or e.shape != x.shape or not x.shape:
        return False
    powers = [exponent_of(a) for a in e.args]
    return any(k == -1 and base.shape == x.shape for base, k in powers) and all(
        a is x or base is x or not depends_on(a, x) for a, (base, _) in zip(e.args, powers, strict=True)
    )


def _is_trace(e: Expr, x: Symbol) -> bool:
    return isinstance(e, Einsum) and not e.output and any(len(set(s)) < len(s) for a, s in _factors(e, x))


def _is_quadratic_form(e: Expr, x: Symbol) -> bool:
    return isinstance(e, Einsum) and [a for a, _ in _factors(e, x)] == [x, x] and not e.output and x.ndim == 1


def _is_product(e: Expr, x: Symbol) -> bool:
    return len(_factors(e, x)) > 1


def _is_reduced_function(e: Expr, x: Symbol) -> bool:
    """Σ f(x): the one factor that depends on x is an element-wise function, and axes are summed."""
    found = _factors(e, x)
    inner = found[0][0] if len(found) == 1 and isinstance(e, Einsum) and e.summed else None
    return isinstance(inner, Apply) and inner.op.is_elementwise


# --- how a rule is written out
def _sum_forms(e: Expr, x: Symbol) -> tuple[Written, ...]:
    """∂(f + g)/∂x = ∂f/∂x + ∂g/∂x, then the values, zeros included."""
    coefficients, terms = reader_order(e)
    still = sum(not depends_on(t, x) for t in terms)
    if still > 1:  # one zero is worth showing, several are not
        kept = [(c, t) for c, t in zip(coefficients, terms, strict=True) if depends_on(t, x)]
        coefficients, terms = tuple(c for c, _ in kept), tuple(t for _, t in kept)
    partials = WrittenSum(coefficients, tuple(Partial(t, x, direct=True) for t in terms))
    values = tuple(jacobian(t, x) for t in terms)
    return (partials, WrittenSum(coefficients, values)) if still == 1 else (partials,)


def _product_forms(e: Expr, x: Symbol) -> tuple[Written, ...]:
    """∂(fg)/∂x = f ∂g/∂x + g ∂f/∂x: one term for each factor that depends on x, the others held still."""
    assert isinstance(e, Einsum)
    terms = []
    for k, arg in enumerate(e.args):
        if depends_on(arg, x):
            held = Symbol(f"{x.name}_held", x.shape, x.facts)
            args = [a if n == k else substitute(a, {x: held}) for n, a in enumerate(e.args)]
            one = jacobian(einsum(args, e.subscripts, e.output), x)
            terms.append(substitute(one, {held: x}))
    return (WrittenSum((1,) * len(terms), tuple(terms)),)


def _reduction_forms(e: Expr, x: Symbol) -> tuple[Written, ...]:
    """∂ Σ f(x)/∂x = (∂Σ/∂f)(∂f/∂x)."""
    inner = _factors(e, x)[0][0]
    assert isinstance(e, Einsum)
    held = Symbol("inner_held", inner.shape)
    args = [held if a is inner else a for a in e.args]
    outer = jacobian(einsum(args, e.subscripts, e.output), held)
    return (WrittenProduct((outer, jacobian(inner, x)), (inner.ndim,)),)


def _constant(e: Expr, x: Symbol) -> bool:
    return not depends_on(e, x)


NAMED_RULES: tuple[NamedRule, ...] = (
    NamedRule("constant", "∂c/∂x = 0", "what does not depend on the variable does not change with it", _constant),
    NamedRule(
        "identity",
        "∂x/∂x = I",
        "an entry changes with itself and with no other: ∂xᵢ/∂xⱼ is 1 for i = j and 0 otherwise",
        lambda e, x: e is x,
    ),
    NamedRule(
        "constant multiple",
        "∂(c f)/∂x = c ∂f/∂x",
        "a constant factor stays in front of the derivative",
        is_multiple,
        _sum_forms,
    ),
    NamedRule(
        "sum",
        "∂(f + g)/∂x = ∂f/∂x + ∂g/∂x",
        "the derivative of a sum is the sum of the derivatives",
        is_sum,
        _sum_forms,
    ),
    NamedRule(
        "difference",
        "∂(f − g)/∂x = ∂f/∂x − ∂g/∂x",
        "the derivative of a difference is the difference of the derivatives",
        is_difference,
        _sum_forms,
    ),
    NamedRule(
        "constant multiple",
        "d(c x)/dx = c",
        "a constant factor stays in front of the derivative",
        lambda e, x: not e.shape and not x.shape and is_linear_product(e, x),
    ),
    NamedRule(
        "dot product",
        "∂(w · x)/∂w = xᵀ",
        "w · x is sum(w ⊗ x), and 1⃗ᵀ diag(x) = xᵀ",
        _form((1, 1), 0, 1),
    ),
    NamedRule(
        "trace",
        "∂ tr(AX)/∂X = Aᵀ",
        "the trace is the sum of the products of matching entries",
        _is_trace,
        names_inner=True,
    ),
    NamedRule(
        "quadratic form",
        "∂ xᵀAx/∂x = xᵀ(A + Aᵀ)",
        "x occurs twice, and each occurrence adds its term",
        _is_quadratic_form,
        _product_forms,
    ),
    NamedRule(
        "scalar expansion",
        "∂(1⃗ z)/∂z = 1⃗",
        "the scalar is copied to every entry, so every entry moves with it",
        _is_expansion,
    ),
    NamedRule(
        "matrix–vector product",
        "∂(A x)/∂x = A",
        "each entry of the product is the dot product of a row of the matrix with the vector",
        _form((1, 2), 1, 1),
    ),
    NamedRule(
        "element-wise quotient",
        "∂(w ⊘ x)/∂w = diag(1/xᵢ) and ∂(w ⊘ x)/∂x = diag(−wᵢ/xᵢ²)",
        "entry i of the quotient reads only entry i of each, so the Jacobian is diagonal",
        _is_quotient,
    ),
    NamedRule(
        "element-wise product",
        "∂(w ⊗ x)/∂w = diag(x)",
        "entry i of the product reads only entry i of each factor, so the Jacobian is diagonal",
        _form((1, 1), 1, 0),
    ),
    NamedRule(
        "copies",
        "∂(1⃗ bᵀ)/∂b: every row is a copy of b",
        "every row has its own copy of the vector, so what comes back from all of them adds up",
        lambda e, x: _is_scaled(e, x) and e.ndim > x.ndim > 0,
    ),
    NamedRule(
        "scalar times vector",
        "∂(z x)/∂x = I z and ∂(z x)/∂z = x",
        "every entry is scaled by the same number",
        lambda e, x: _is_scaled(e, x) or _form((0, 1), 1, 0)(e, x),
    ),
    NamedRule(
        "sum reduction",
        "∂ sum(x)/∂x = 1⃗ᵀ",
        "each entry adds itself once to the sum",
        _is_sum_reduction,
    ),
    NamedRule(
        "sum reduction",
        "∂ Σᵢ f(xᵢ)/∂x = 1⃗ᵀ diag(f′(x))",
        "the derivative moves inside the sum, over the results and not over the parameter",
        _is_reduced_function,
        _reduction_forms,
        names_inner=True,
    ),
    NamedRule(
        "scalar times matrix",
        "∂(z A)/∂z = A",
        "every entry is scaled by the same number",
        lambda e, x: not x.shape and e.ndim > 1 and is_linear_product(e, x),
        backward="every entry is scaled by the same number, so what comes back from all of them adds up",
    ),
    NamedRule(
        "matrix product",
        "∂(A X)/∂X: entry (i, j) of the product reads row i of A and column j of X",
        "a product is linear in each factor",
        is_linear_product,
        backward="what comes back through a product is multiplied by the other factor, transposed",
    ),
    NamedRule(
        "product",
        "∂(f g)/∂x = f ∂g/∂x + g ∂f/∂x",
        "each factor changes while the others stand still, and the effects add",
        _is_product,
        _product_forms,
    ),
    NamedRule(
        "constant factor",
        "∂(c f)/∂x = c ∂f/∂x",
        "what does not depend on the variable stays in front of the derivative",
        lambda e, x: isinstance(e, Einsum),
        names_inner=True,
    ),
)


def local_derivative(e: Expr, x: Symbol) -> LocalDerivative:
    """Return the rule that gives ∂e/∂x, with every other symbol held still, and the forms it is written in."""
    if isinstance(e, Apply):
        return _of_operation(e, x)
    rule = _named_rule(e, x)
    return LocalDerivative(_title(rule, e, x), rule.because, rule.forms(e, x))


def backward_rule(e: Expr, x: Symbol) -> tuple[str, str]:
    """Return the name of the rule that carries an adjoint from `e` back to `x`, and its sentence."""
    if isinstance(e, Apply):
        return e.op.rule, e.op.because
    rule = _named_rule(e, x)
    return _title(rule, e, x), "; ".join([rule.backward or rule.because, *(f.op.because for f in _inner(rule, e, x))])


def _named_rule(e: Expr, x: Symbol) -> NamedRule:
    return next(rule for rule in NAMED_RULES if rule.fits(e, x))


def _title(rule: NamedRule, e: Expr, x: Symbol) -> str:
    """Return the rule's name; some go on with the rule of the function inside."""
    return ", ".join([rule.name, *(f.op.rule for f in _inner(rule, e, x))])


def _inner(rule: NamedRule, e: Expr, x: Symbol) -> list[Apply]:
    return [f for f, _ in _factors(e, x)[:1] if rule.names_inner and isinstance(f, Apply)]


def _of_operation(e: Apply, x: Symbol) -> LocalDerivative:
    """The operation's own rule; where x is not the argument itself, the chain rule joins it to the inside."""
    base, k = exponent_of(e)
    inside = [arg for arg in e.args if depends_on(arg, x) and constant_value(arg) is None]
    rule, because = e.op.rule, e.op.because
    if k == -1:
        rule, because = "reciprocal", "the slope of 1/z is −1/z²"
    if len(inside) != 1 or inside[0] is x:
        return LocalDerivative(rule, because, ())
    held = Symbol("inner_held", inside[0].shape)
    outer = jacobian(e.op(*(held if a is inside[0] else a for a in e.args)), held)
    product = WrittenProduct((substitute(outer, {held: inside[0]}), jacobian(inside[0], x)), (held.ndim,))
    return LocalDerivative(f"{rule}, then the chain rule", because, (product,))


@dataclass(frozen=True, slots=True)
class DiagonalCondition:
    """Whether entry i of an expression reads only entry i of a variable, and the sentence that says so."""

    holds: bool
    because: str


def diagonal_condition(e: Expr, x: Symbol) -> DiagonalCondition:
    """State or refuse the element-wise diagonal condition: then, and only then, ∂e/∂x is a diagonal matrix.

    Shapes: e (n), x (n). Source: Parr and Howard 2018, section 4.2.
    """
    terms = _linear_terms(jacobian(e, x))[1]
    n = e.ndim
    aligned = e.shape == x.shape and all(_has_identity(t, n) for t in terms)
    if aligned:
        return DiagonalCondition(True, f"entry i reads only entry i of {spoken(x.name)}, so the Jacobian is diagonal")
    return DiagonalCondition(
        False,
        f"entry i reads entries of {spoken(x.name)} other than entry i, so the Jacobian is not diagonal: "
        "use its full form",
    )


def _has_identity(t: Expr, n: int) -> bool:
    if isinstance(t, Identity):
        return n == 1
    if not isinstance(t, Einsum):
        return False
    tied = {frozenset(s) for a, s in zip(t.args, t.subscripts, strict=True) if isinstance(a, Identity)}
    return all(frozenset((t.output[k], t.output[n + k])) in tied for k in range(n))
