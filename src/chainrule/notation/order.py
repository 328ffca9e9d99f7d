"""The order in which people write terms and factors, which the stored, structural order knows nothing of."""

from __future__ import annotations

from fractions import Fraction as Rational

from chainrule.expression.shape import Scalar
from chainrule.notation.layout import (
    ONE_LAYOUT,
    Applied,
    BigSum,
    Bracket,
    Cases,
    Constant,
    Dot,
    Extent,
    Fraction,
    Function,
    Hadamard,
    Layout,
    Name,
    Norm,
    Numeral,
    Power,
    Product,
    Quotient,
    Root,
    Sub,
    Sum,
    Transpose,
    product,
)

SignedLayout = tuple[int, Layout]


def magnitude(c: Scalar) -> Scalar:
    """Return |c|."""
    return -c if c < 0 else c


def is_plain(e: Layout) -> bool:
    """True for a symbol, an entry of one, or a power of these."""
    if isinstance(e, Power):
        return is_plain(e.base) and isinstance(e.exponent, Numeral)
    return isinstance(e, Name | Extent) or (isinstance(e, Sub) and isinstance(e.base, Name))


def degree(e: Layout) -> Scalar:
    """Return the degree of a monomial as it is written; what is no monomial has degree 0."""
    match e:
        case Name() | Sub():
            return 1
        case Power(base, Numeral(value)):
            return degree(base) * value
        case Product(parts) | Hadamard(parts):
            return sum((degree(part) for part in parts), start=Rational(0))
        case Dot():
            return 2
        case Fraction(numerator, denominator):
            return degree(numerator) - degree(denominator)
        case Transpose(base):
            return degree(base)
        case _:
            return 0


def spelled(e: Layout) -> str:
    """Return the name by which plain things are sorted."""
    match e:
        case Name(name):
            return name
        case Extent(size):
            return size
        case Sub(base=base) | Power(base=base) | Transpose(base):
            return spelled(base)
        case _:
            return ""


def _term_group(e: Layout) -> int:
    """Products and functions stand before plain symbols, scalar expansions after them, numbers last."""
    match e:
        case Numeral():
            return 3
        case Product(parts) if any(isinstance(part, Constant) and part.which == "ones" for part in parts):
            return 2
        case Name() | Sub() | Constant() | Extent():
            return 1
        case Transpose(base):
            return _term_group(base)
        case _:
            return 0


def _is_one_and_functions(terms: list[SignedLayout]) -> bool:
    """True for 1 + exp(x) and its like, where the number stands first; but x² + 1."""
    others = [e for _, e in terms if not isinstance(e, Numeral)]
    return bool(others) and all(
        isinstance(e, Applied) or (isinstance(e, Power) and isinstance(e.base, Applied)) for e in others
    )


def ordered_terms(terms: list[SignedLayout]) -> Sum:
    """Return the sum in textbook order: positive terms first, powers descending, constants last."""

    number_first = _is_one_and_functions(terms)

    def key(term: SignedLayout) -> tuple[object, ...]:
        sign, e = term
        group = -1 if number_first and isinstance(e, Numeral) else _term_group(e)
        return sign < 0, group, -degree(e), isinstance(e, Transpose), spelled(e)

    terms = sorted(terms, key=key)
    return Sum(tuple(sign for sign, _ in terms), tuple(e for _, e in terms))


GROUPS: dict[type[Layout], int] = {  # fmt: off
    Numeral: 0,
    Extent: 0,
    Bracket: 1,
    Applied: 3,
    Sum: 4,
    BigSum: 6,
    Cases: 6,
}  # fmt: on


def _factor_group(e: Layout) -> int:
    """Numbers, gates, symbols, functions, sums, what is longer, Σ last."""
    if isinstance(e, Name) and e.leads:
        return 1
    if is_plain(e):
        return 0 if isinstance(e, Extent) else 2
    if isinstance(e, Transpose | Power | Root | Sub):
        return _factor_group(e.base)
    return GROUPS.get(type(e), 5)


def ordered_factors(factors: list[Layout]) -> list[Layout]:
    """Return factors that commute in textbook order: numbers, gates, symbols, sums, functions, then what is longer."""
    return sorted(factors, key=lambda e: (_factor_group(e), spelled(e)))


def ordered_entries(factors: list[Layout]) -> list[Layout]:
    """Return element-wise factors in textbook order: gates, symbols, products and functions, then sums."""
    return sorted(factors, key=lambda e: (9 if isinstance(e, Sum) else _factor_group(e), spelled(e)))


def hadamard(factors: list[Layout]) -> Layout:
    """Return the element-wise product; divisors go behind one ⊘."""
    above: list[Layout] = []
    below: list[Layout] = []
    for factor in factors:
        if isinstance(factor, Quotient):
            below.append(factor.denominator)
            above += [] if factor.numerator == ONE_LAYOUT else [factor.numerator]
        else:
            above.append(factor)
    numerator = _joined(above)
    return Quotient(numerator or ONE_LAYOUT, _joined(below) or ONE_LAYOUT) if below else numerator or ONE_LAYOUT


def _joined(factors: list[Layout]) -> Layout | None:
    factors = ordered_entries([p for f in factors for p in (f.parts if isinstance(f, Hadamard) else (f,))])
    return None if not factors else factors[0] if len(factors) == 1 else Hadamard(tuple(factors))


def _is_long(e: Layout) -> bool:
    """True for a scalar that a fraction stands in front of, as in (1/N) ‖x‖²: no symbol and no function of one."""
    if isinstance(e, Power):
        return _is_long(e.base)
    return isinstance(e, Norm | Dot | BigSum | Cases | Product) or (isinstance(e, Function) and e.kind == "scalar")


def as_powers(factors: list[Layout]) -> list[Layout]:
    """Return scalar factors with equal ones as a power: tr(A)²."""
    result = []
    for e in dict.fromkeys(factors):
        count = factors.count(e)
        if count == 1:
            result.append(e)
        elif isinstance(e, Power) and isinstance(e.exponent, Numeral):
            result.append(Power(e.base, Numeral(count * e.exponent.value)))
        else:
            result.append(Power(e, Numeral(count)))
    return result


def scaled(coefficient: Scalar, above: list[Layout], below: list[Layout], body: Layout | None) -> Layout:
    """Return coefficient · Π above / Π below · body, the coefficient positive; `body` is no scalar, or None."""
    exact = Rational(coefficient) if not isinstance(coefficient, float) else None
    number: list[Layout] = [Numeral(exact.numerator if exact is not None else coefficient)]
    divisors = ordered_factors([*([Numeral(exact.denominator)] if exact is not None else []), *below])
    below_line = product(*divisors)
    factors = ordered_factors(as_powers(above))
    if isinstance(body, Quotient) and body.numerator == ONE_LAYOUT and not factors and not below:
        return Quotient(number[0], product(below_line, body.denominator))  # 1 ⊘ 2√x for (1/2) (1 ⊘ √x)
    if below_line == ONE_LAYOUT:
        return _with_body(product(*number, *factors), factors, body)
    if body is None and not any(_is_long(e) or isinstance(e, Sum) for e in factors):
        return Fraction(product(*number, *factors), below_line)
    if body is not None and not factors and coefficient == 1 and is_plain(body) and not _is_size(below):
        return Fraction(body, below_line)
    front = [e for e in factors if is_plain(e)]
    rest = [e for e in factors if not is_plain(e)]
    return _with_body(product(Fraction(product(*number, *front), below_line), *rest), rest, body)


def _is_size(divisors: list[Layout]) -> bool:
    return all(isinstance(e, Extent | Numeral) for e in divisors)


def _with_body(lead: Layout, factors: list[Layout], body: Layout | None) -> Layout:
    """Scalars stand before a vector, but behind the ones that expand them: 2 x, yet 1⃗b."""
    if body is None:
        return lead
    if isinstance(body, Constant) and body.which == "ones" and factors:
        count = len(factors)
        parts = lead.parts if isinstance(lead, Product) else (lead,)
        return product(*parts[: len(parts) - count], body, *parts[len(parts) - count :])
    return product(lead, body)
