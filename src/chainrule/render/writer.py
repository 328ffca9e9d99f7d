"""What text, LaTeX and source have in common: one method a kind of notation, and parentheses by level."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from math import pi
from typing import Any

import chainrule.notation.layout as n
from chainrule.expression.shape import Scalar
from chainrule.notation.layout import Layout

# levels of binding, loosest first
RELATION, SUM, ELEMENTWISE, QUOTIENT, PRODUCT, POWER, ATOM = range(7)
BINDING = {"call": ATOM, "power": POWER, "product": PRODUCT, "sum": SUM, "relation": RELATION, "atom": ATOM}

LEVELS: dict[type[Any], int] = {
    n.Relation: RELATION, n.Chain: RELATION, n.Sum: SUM, n.Kronecker: SUM, n.BigSum: ELEMENTWISE,
    n.Hadamard: ELEMENTWISE, n.Quotient: ELEMENTWISE, n.Fraction: QUOTIENT, n.Dot: QUOTIENT, n.Contraction: QUOTIENT,
    n.Product: PRODUCT, n.Power: POWER, n.Transpose: POWER,
}  # fmt: skip

OPENING = frozenset("([{,|<>≤≥=‖")
CLOSING = frozenset(")]},|<>≤≥=‖")


def flattened(e: n.Product) -> list[Layout]:
    """Return the factors of a product and of the products in it."""
    return [p for part in e.parts for p in n.factors_of(part)]


def is_coefficient(e: Layout) -> bool:
    """True for a number and for a fraction, which stand apart from what they multiply."""
    return isinstance(e, n.Numeral | n.Fraction)


def shortened(value: Scalar) -> str:
    """Return a number as people read it: a float with at most six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def times_pi(value: Scalar) -> int:
    """Return m if the float is m·π for a small whole m, else 0."""
    m = round(value / pi) if isinstance(value, float) and 3 < value < 30 else 0
    return m if value == m * pi else 0


def ends_open(parts: list[Layout]) -> bool:
    """True if the last factor needs no parentheses: a Σ, or the only derivative, as in η ∂C/∂w."""
    return isinstance(parts[-1], n.BigSum) or (
        isinstance(parts[-1], n.Differential) and not any(isinstance(p, n.Differential) for p in parts[:-1])
    )


def extends(e: Layout) -> bool:
    """True for what may stand behind Σ without parentheses, though it binds less tightly than a product."""
    if isinstance(e, n.Sum):
        return len(e.parts) == 1
    return isinstance(e, n.Dot | n.Fraction | n.BigSum)


class Writer(ABC):
    """Writes notation as a string. Subclasses say how each kind looks."""

    def __init__(self) -> None:
        self._methods: dict[type[Any], Callable[[Any], str]] = {
            n.Name: self._name, n.Numeral: self._numeral, n.Extent: self._extent, n.Constant: self._constant,
            n.Product: self._product, n.Hadamard: self._hadamard, n.Quotient: self._quotient, n.Dot: self._dot,
            n.Fraction: self._fraction, n.Sum: self._sum, n.Power: self._power, n.Root: self._root, n.Norm: self._norm,
            n.Transpose: self._transpose, n.Sub: self._sub, n.Table: self._table, n.Function: self._function,
            n.Applied: self._applied,
            n.BigSum: self._big_sum, n.Cases: self._cases, n.Relation: self._relation, n.Bracket: self._bracket,
            n.Differential: self._differential, n.Contraction: self._contraction, n.Einstein: self._einstein,
            n.Kronecker: self._kronecker,
            n.Chain: self._chain,
        }  # fmt: skip

    def write(self, e: Layout) -> str:
        """Return the notation as a string."""
        return self._methods[type(e)](e)

    def level(self, e: Layout) -> int:
        """Return how tightly the notation binds as this writer writes it."""
        if isinstance(e, n.Applied):
            return BINDING.get(e.op.notation.binding, ATOM)
        if isinstance(e, n.Numeral) and times_pi(e.value) > 1:
            return POWER
        return LEVELS.get(type(e), ATOM)

    def at(self, e: Layout, level: int) -> str:
        """Return the notation, in parentheses if it binds less tightly than `level`."""
        text = self.write(e)
        return text if self.level(e) >= level else self.parenthesized(text)

    def parenthesized(self, text: str) -> str:
        """Return the text in parentheses."""
        return f"({text})"

    def decimal(self, e: n.Fraction) -> str:
        """Return a quotient of large whole numbers as a decimal; "" for any other."""
        if isinstance(e.numerator, n.Numeral) and isinstance(e.denominator, n.Numeral) and e.denominator.value > 1e6:
            return shortened(float(e.numerator.value / e.denominator.value))
        return ""

    def filled(self, template: str, op_parameters: tuple[str, ...], arguments: tuple[Layout, ...]) -> str:
        """Fill an operation's template; an argument that stands between delimiters needs no parentheses of its own."""
        values = dict(zip(op_parameters, arguments, strict=True))

        def fill(match: re.Match[str]) -> str:
            before = template[: match.start()].rstrip()[-1:]
            after = template[match.end() :].lstrip()
            closed = after[:1] in CLOSING or after.startswith(("\\r", "\\|"))
            opened = before in OPENING or template[: match.start()].rstrip().endswith(("lvert", "lVert", "\\|"))
            loose = opened and closed and not after.startswith(("}^", "}_"))
            argument = values[match.group(1)]
            return self.at(argument, SUM if loose else PRODUCT if opened or closed else ATOM)

        return re.sub(r"\$(\w+)", fill, template)

    # what every writer has to say
    @abstractmethod
    def _name(self, e: n.Name) -> str: ...
    @abstractmethod
    def _numeral(self, e: n.Numeral) -> str: ...
    @abstractmethod
    def _extent(self, e: n.Extent) -> str: ...
    @abstractmethod
    def _constant(self, e: n.Constant) -> str: ...
    @abstractmethod
    def _product(self, e: n.Product) -> str: ...
    @abstractmethod
    def _hadamard(self, e: n.Hadamard) -> str: ...
    @abstractmethod
    def _quotient(self, e: n.Quotient) -> str: ...
    @abstractmethod
    def _dot(self, e: n.Dot) -> str: ...
    @abstractmethod
    def _fraction(self, e: n.Fraction) -> str: ...
    @abstractmethod
    def _sum(self, e: n.Sum) -> str: ...
    @abstractmethod
    def _power(self, e: n.Power) -> str: ...
    @abstractmethod
    def _root(self, e: n.Root) -> str: ...
    @abstractmethod
    def _norm(self, e: n.Norm) -> str: ...
    @abstractmethod
    def _transpose(self, e: n.Transpose) -> str: ...
    @abstractmethod
    def _sub(self, e: n.Sub) -> str: ...
    @abstractmethod
    def _table(self, e: n.Table) -> str: ...
    @abstractmethod
    def _function(self, e: n.Function) -> str: ...
    @abstractmethod
    def _applied(self, e: n.Applied) -> str: ...
    @abstractmethod
    def _big_sum(self, e: n.BigSum) -> str: ...
    @abstractmethod
    def _cases(self, e: n.Cases) -> str: ...
    @abstractmethod
    def _relation(self, e: n.Relation) -> str: ...
    @abstractmethod
    def _bracket(self, e: n.Bracket) -> str: ...
    @abstractmethod
    def _differential(self, e: n.Differential) -> str: ...
    @abstractmethod
    def _contraction(self, e: n.Contraction) -> str: ...
    @abstractmethod
    def _kronecker(self, e: n.Kronecker) -> str: ...
    @abstractmethod
    def _einstein(self, e: n.Einstein) -> str: ...
    @abstractmethod
    def _chain(self, e: n.Chain) -> str: ...
