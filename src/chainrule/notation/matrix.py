"""From an expression to matrix notation. What has none is written with indices (`index.py`), whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction as Rational

import chainrule.notation.index as index
from chainrule.errors import DomainError
from chainrule.expression.node import (
    Add,
    Apply,
    Dimension,
    Einsum,
    Expr,
    Identity,
    Number,
    Ones,
    Symbol,
    is_zero,
)
from chainrule.expression.power import constant_value, exponent_of
from chainrule.expression.power import power as power_op
from chainrule.expression.product import Factor, einsum, expanded_axes, factors_of
from chainrule.expression.shape import Scalar
from chainrule.expression.total import add_terms, content, linear_terms, scale
from chainrule.notation.abridge import abridged
from chainrule.notation.contraction import Network, NoMatrixForm
from chainrule.notation.layout import (
    ONE_LAYOUT,
    Applied,
    Bracket,
    Constant,
    Extent,
    Fraction,
    Hadamard,
    Layout,
    Name,
    Norm,
    Numeral,
    Orientation,
    Power,
    Quotient,
    Relation,
    Root,
    Sub,
    Sum,
    kind_of_rank,
    oriented,
    product,
)
from chainrule.notation.order import SignedLayout, magnitude, ordered_terms, scaled
from chainrule.notation.parts import selection_layout, size_arguments, with_parts
from chainrule.rewrite.facts import is_symmetric

Names = Mapping[str, Layout]  # symbols that stand for a piece of notation


def notate(e: Expr, orientation: Orientation = "plain") -> Layout:
    """Return the notation of an expression: matrix notation where there is one, else index notation.

    A vector is a column; orientation "row" writes it as xᵀ, and "transposed" transposes a matrix too.
    """
    return notate_with(e, {}, orientation)


def notate_with(e: Expr, names: Names, orientation: Orientation = "plain") -> Layout:
    """Return the notation of an expression in which some symbols stand for a piece of notation."""
    e = abridged(e)
    try:
        return oriented(Writer(names).write(e), orientation)
    except NoMatrixForm:
        return index.entry_notation(e, names, Writer(names).write)


def notate_entry(e: Expr, at: Iterable[str]) -> Layout:
    """Return the notation of one entry of an array of three or more axes, at the indices `at`."""
    e = abridged(e)
    return index.entry_notation(e, {}, Writer({}).write, at)


def literal_notation(e: Expr, sharing: bool = False) -> Layout:
    """Return notation that, read back, is the identical expression; `einsum(…)` for what has no matrix notation.

    With `sharing` a number that all terms of a sum share stands in front of it.

    Raises: DomainError for an expression nested very deeply.
    """
    if e.depth > MAX_INPUT_DEPTH:
        raise DomainError(
            f"the expression is nested {e.depth} operations deep, too deep to write out",
            hint="name an intermediate result and write the parts",
        )
    return (IdiomWriter if sharing else LiteralWriter)({}).write(e)


MAX_INPUT_DEPTH = 100


class Writer:
    """Writes expressions in matrix notation. Raises NoMatrixForm where there is none."""

    literal = False
    sharing = True  # of a number by the terms of a sum

    def __init__(self, names: Names) -> None:
        self.names = names
        self._written: dict[Expr, Layout] = {}

    def write(self, e: Expr) -> Layout:
        """Return the notation of `e`, its sign included."""
        done = self._written.get(e)
        if done is None:
            sign, layout = self.signed(1, e)
            done = self._written[e] = layout if sign > 0 else Sum((-1,), (layout,))
        return done

    def signed(self, coefficient: Scalar, e: Expr) -> SignedLayout:
        """Return the sign and the notation of |coefficient · e|."""
        if isinstance(e, Number):
            value = coefficient * e.value
            return (-1 if value < 0 else 1), scaled(magnitude(value), [], [], None)
        if is_zero(e):
            return 1, Constant("zeros", e.shape)
        if isinstance(e, Add):
            if len(e.args) == 1:
                return self.signed(coefficient * e.coefficients[0], e.args[0])
            if magnitude(coefficient) == 1:
                return self.shared_number(scale(coefficient, e))
        return self.product(coefficient, factors_of(e), tuple(range(e.ndim)) if not isinstance(e, Einsum) else e.output)

    def shared_number(self, e: Expr) -> SignedLayout:
        """Return a sum, the number that all terms share in front: (1/2) (K⁻¹ − ααᵀ), but 2x + 2."""
        c = content(e) if isinstance(e, Add) else 1
        if magnitude(c) != 1 and self.shares(e, c):
            return 1, product(scaled(magnitude(c), [], [], None), self.sum(scale(1 / magnitude(c), e)))
        return 1, self.sum(e)

    def shares(self, e: Expr, c: Scalar) -> bool:
        """Say whether c is written once in front: a fraction that leaves fewer numbers behind, or a whole number that
        two terms or more are rid of."""
        if not self.sharing:
            return False
        if isinstance(c, Rational) and not isinstance(c, int):
            numbers = [d for d, _ in linear_terms(e)]
            return sum(magnitude(d / c) != 1 for d in numbers) < sum(magnitude(d) != 1 for d in numbers)
        terms = linear_terms(e)
        bare = sum(magnitude(d) == magnitude(c) for d, _ in terms)
        return bare > 1 and all(constant_value(t) is None for _, t in terms)

    def sum(self, e: Expr) -> Layout:
        """Return a sum of several terms in textbook order. Among other terms, c·1⃗ is written c."""
        return ordered_terms([self.signed(c, t) for c, t in self.terms(e)])

    def terms(self, e: Expr) -> list[tuple[Scalar, Expr]]:
        """Return the terms of a sum, a constant array as its number."""
        return [(c, Number(1) if isinstance(t, Ones) else t) for c, t in linear_terms(e)]

    # products
    def product(self, coefficient: Scalar, factors: list[Factor], output: tuple[int, ...]) -> SignedLayout:
        """Return sign and notation of a product: the sign goes into a difference where that reads better."""
        try:
            return self.contracted(coefficient, factors, output)
        except NoMatrixForm:
            expanded = _distributed(factors, output)
            if expanded is None:
                raise
            return self.signed(coefficient, expanded)

    def contracted(self, coefficient: Scalar, factors: list[Factor], output: tuple[int, ...]) -> SignedLayout:
        """Return a product by eliminating its summed indices. Raises: NoMatrixForm."""
        factors = with_parts(factors, output)
        if coefficient < 0:
            coefficient, factors = self.turned(coefficient, factors)
        sizes = {i: s for f, sub in factors for i, s in zip(sub, f.shape, strict=True)}
        network = Network(output, sizes, self.literal)
        below: list[Layout] = []
        for f, sub in factors:
            base, k = exponent_of(f)
            if not sub and k < 0:
                below.append(self.power(base, -k))
            elif sub or f != Number(1):
                self.enter(network, f, sub)
        body = network.contract()
        sign = -1 if coefficient < 0 else 1
        return sign, scaled(magnitude(coefficient), network.scalars, below, body)

    def turned(self, coefficient: Scalar, factors: list[Factor]) -> tuple[Scalar, list[Factor]]:
        """−2 (y − z) = 2 (z − y): turn the first difference that reads no worse with the other sign."""
        for k, (f, sub) in enumerate(factors):
            if isinstance(f, Add) and 2 * sum(c < 0 for c in f.coefficients) >= len(f.coefficients):
                return -coefficient, [*factors[:k], (scale(-1, f), sub), *factors[k + 1 :]]
        return coefficient, factors

    def enter(self, network: Network, f: Expr, sub: tuple[int, ...]) -> None:
        """Enter one factor into the network."""
        if not sub:
            network.scalars.append(self.factor(f))
        else:
            network.add(self.factor(f), sub)

    def factor(self, f: Expr) -> Layout:
        """Return the notation of one factor: a leaf, a function, a power, or a sum."""
        if isinstance(f, Symbol):
            return self.symbol(f)
        if isinstance(f, Dimension):
            return Extent(f.size)
        if isinstance(f, Ones):
            return Constant("ones", f.shape)
        if isinstance(f, Identity):
            return Constant("identity", f.shape)
        if isinstance(f, Apply):
            return self.applied(f)
        return self.write(f)

    def symbol(self, e: Symbol) -> Layout:
        """Return a symbol, or the piece of notation that it stands for; `x[i]` is an entry or a row."""
        if e.name in self.names:
            return self.names[e.name]
        kind = kind_of_rank(e.ndim)
        if kind == "array":
            self.refuse()
        name, bracket, indices = e.name.partition("[")
        if bracket:
            return Sub(Name(name, kind, "mask" in e.facts), tuple(indices.rstrip("]").split(",")), kind)
        return Name(name, kind, "mask" in e.facts, not self.literal and is_symmetric(e))

    def refuse(self) -> None:
        """An array of three axes has no matrix notation."""
        raise NoMatrixForm

    # functions
    def applied(self, e: Apply) -> Layout:
        """Return an operation on its arguments; powers and gates have notation of their own."""
        if e.op is power_op:
            base, k = exponent_of(e)
            if base is e:
                return Power(self.argument(e.args[0]), self.argument(e.args[1]))
            return Quotient(ONE_LAYOUT, self.power(base, -k)) if k < 0 else self.power(base, k)
        selected = None if self.literal else selection_layout(e)
        if selected is not None:
            return selected
        if e.op.is_gate:
            return Bracket(self.condition(e.args[0]))
        kind = kind_of_rank(e.ndim)
        if kind == "array":
            self.refuse()
        if e.op.extents:
            return Applied(e.op, size_arguments(e, self.write), kind)
        written = self.argument if e.op.is_elementwise else self.write
        return Applied(e.op, tuple(written(a) for a in e.args), kind)

    def argument(self, a: Expr) -> Layout:
        """Return an argument; one that is the same number everywhere is that number."""
        value = constant_value(a)
        return self.write(a if value is None else Number(value))

    def power(self, base: Expr, k: Scalar) -> Layout:
        """Return base^k for k > 0: a square of a length, a root, or a power; even powers do not see the sign."""
        written = self.write(_agreeable(base) if k % 2 == 0 else base)
        return raised(written, k)

    def condition(self, difference: Expr) -> Relation:
        """Return `difference > 0`, with what is subtracted on the right side."""
        terms = linear_terms(difference)
        left = [(c, t) for c, t in terms if c > 0]
        right = [(-c, t) for c, t in terms if c < 0]
        if not left:
            return Relation(self.side(right, difference), "<", Numeral(0))
        return Relation(self.side(left, difference), ">", self.side(right, difference) if right else Numeral(0))

    def side(self, terms: list[tuple[Scalar, Expr]], whole: Expr) -> Layout:
        """Return a sum of terms; a constant array as its number, unless the numbers alone would lose the shape."""
        if len(terms) == 1:
            c, t = terms[0]
            return self.argument(scale(c, t))
        return self.sum(Add(tuple(c for c, _ in terms), tuple(t for _, t in terms), whole.shape))


class AsStored(Writer):
    """Writes signs as the expression holds them: −2 (y − z)."""

    def turned(self, coefficient: Scalar, factors: list[Factor]) -> tuple[Scalar, list[Factor]]:
        """Leave the sign where it is."""
        return coefficient, factors


class LiteralWriter(Writer):
    """Writes what can be read back: arrays of any rank have names, and `einsum(…)` stands where notation ends."""

    literal = True
    sharing = False

    def refuse(self) -> None:
        """An array has a name, whatever its rank."""

    def sum(self, e: Expr) -> Layout:
        """Return a sum whose first two terms are not expanded along one axis: read, they would become one product."""
        axes = [expanded_axes(t) for _, t in linear_terms(e)]
        signed = [self.signed(c, t) for c, t in self.terms(e)]
        whole = ordered_terms(signed)
        expanded = dict(zip(signed, axes, strict=True))
        terms = list(zip(whole.signs, whole.parts, strict=True))
        if e.ndim > 1 and expanded[terms[0]] & expanded[terms[1]]:
            first = min(terms, key=lambda term: len(expanded[term]))
            second = next((term for term in terms if term != first and not expanded[term] & expanded[first]), first)
            terms = list(dict.fromkeys([first, second, *terms]))
        return Sum(tuple(sign for sign, _ in terms), tuple(e for _, e in terms))

    def product(self, coefficient: Scalar, factors: list[Factor], output: tuple[int, ...]) -> SignedLayout:
        """Return the product in matrix notation, or as an `einsum`."""
        try:
            if len(output) < 3 or len(factors) > 1:
                return self.contracted(coefficient, factors, output)
        except NoMatrixForm:
            pass
        if len(factors) == 1 and factors[0][1] == output:
            return (-1 if coefficient < 0 else 1), product(Numeral(magnitude(coefficient)), self.factor(factors[0][0]))
        spec = index.einsum_subscripts([sub for _, sub in factors], output)
        call = index.einsum_call(spec, [self.factor(f) for f, _ in factors], len(output))
        return (-1 if coefficient < 0 else 1), product(scaled(magnitude(coefficient), [], [], None), call)


class IdiomWriter(LiteralWriter):
    """Writes what can be read back, a number that all terms of a sum share in front."""

    sharing = True


def raised(base: Layout, k: Scalar) -> Layout:
    """Return base^k for k > 0; ‖x‖² to the k is ‖x‖ to the 2k, and the square of a matrix's entries is A ⊙ A."""
    if isinstance(base, Power) and isinstance(base.base, Norm) and isinstance(base.exponent, Numeral):
        return raised(base.base, k * base.exponent.value)
    if k == 1:
        return base
    if k == Rational(1, 2):
        return Root(base)
    if k == 2 and base.kind == "matrix" and isinstance(base, Name):
        return Hadamard((base, base))
    exact = Rational(k) if not isinstance(k, float) else None
    if exact is not None and exact.denominator != 1:
        return Power(base, Fraction(Numeral(exact.numerator), Numeral(exact.denominator)))
    return Power(base, Numeral(k))


def _distributed(factors: list[Factor], output: tuple[int, ...]) -> Expr | None:
    """Multiply out a sum of three or more axes, whose terms may have matrix notation where the whole has none."""
    for k, (f, sub) in enumerate(factors):
        if isinstance(f, Add) and f.ndim > 2 and len(output) <= 2:
            rest = [*factors[:k], *factors[k + 1 :]]
            args, subs = [e for e, _ in rest], [s for _, s in rest]
            terms = [(c, einsum([t, *args], [sub, *subs], output)) for c, t in linear_terms(f)]
            return add_terms(terms, terms[0][1].shape)
    return None


def _agreeable(base: Expr) -> Expr:
    """Return the one of ±base that has fewer minus signs."""
    if isinstance(base, Add) and 2 * sum(c < 0 for c in base.coefficients) > len(base.coefficients):
        return scale(-1, base)
    return base
