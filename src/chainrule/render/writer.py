"""What text, LaTeX and source have in common: one method a kind of notation, and parentheses by level."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import chainrule.notation.layout as n
from chainrule.notation.layout import Layout

# levels of binding, loosest first
RELATION, SUM, ELEMENTWISE, QUOTIENT, PRODUCT, POWER, ATOM = range(7)
BINDING = {"call": ATOM, "power": POWER, "product": PRODUCT, "sum": SUM, "relation": RELATION, "atom": ATOM}

LEVELS: dict[type[Any], int] = {
    n.Relation: RELATION, n.Chain: RELATION, n.Sum: SUM, n.BigSum: ELEMENTWISE, n.Hadamard: ELEMENTWISE,
    n.Quotient: ELEMENTWISE, n.Fraction: QUOTIENT, n.Dot: QUOTIENT, n.Contraction: QUOTIENT, n.Product: PRODUCT,
    n.Power: POWER, n.Transpose: POWER,
}  # fmt: skip

OPENING = frozenset("([{,|<>≤≥=‖")
CLOSING = frozenset(")]},|<>≤≥=‖")


def flattened(e: n.Product) -> list[Layout]:
    """Return the factors of a product and of the products in it."""
    return [p for part in e.parts for p in n.factors_of(part)]


def is_coefficient(e: Layout) -> bool:
    """True for a number and for a fraction, which stand apart from what they multiply."""
    return isinstance(e, n.Numeral | n.Fraction)


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
            n.Name: self.name, n.Numeral: self.numeral, n.Extent: self.extent, n.Constant: self.constant,
            n.Product: self.product, n.Hadamard: self.hadamard, n.Quotient: self.quotient, n.Dot: self.dot,
            n.Fraction: self.fraction, n.Sum: self.sum, n.Power: self.power, n.Root: self.root, n.Norm: self.norm,
            n.Transpose: self.transpose, n.Sub: self.sub, n.Function: self.function, n.Applied: self.applied,
            n.BigSum: self.big_sum, n.Cases: self.cases, n.Relation: self.relation, n.Bracket: self.bracket,
            n.Differential: self.differential, n.Contraction: self.contraction, n.Einstein: self.einstein,
            n.Chain: self.chain,
        }  # fmt: skip

    def write(self, e: Layout) -> str:
        """Return the notation as a string."""
        return self._methods[type(e)](e)

    def level(self, e: Layout) -> int:
        """Return how tightly the notation binds as this writer writes it."""
        if isinstance(e, n.Applied):
            return BINDING.get(e.op.notation.binding, ATOM)
        return LEVELS.get(type(e), ATOM)

    def at(self, e: Layout, level: int) -> str:
        """Return the notation, in parentheses if it binds less tightly than `level`."""
        text = self.write(e)
        return text if self.level(e) >= level else self.parenthesized(text)

    def parenthesized(self, text: str) -> str:
        """Return the text in parentheses."""
        return f"({text})"

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
    def name(self, e: n.Name) -> str: ...
    @abstractmethod
    def numeral(self, e: n.Numeral) -> str: ...
    @abstractmethod
    def extent(self, e: n.Extent) -> str: ...
    @abstractmethod
    def constant(self, e: n.Constant) -> str: ...
    @abstractmethod
    def product(self, e: n.Product) -> str: ...
    @abstractmethod
    def hadamard(self, e: n.Hadamard) -> str: ...
    @abstractmethod
    def quotient(self, e: n.Quotient) -> str: ...
    @abstractmethod
    def dot(self, e: n.Dot) -> str: ...
    @abstractmethod
    def fraction(self, e: n.Fraction) -> str: ...
    @abstractmethod
    def sum(self, e: n.Sum) -> str: ...
    @abstractmethod
    def power(self, e: n.Power) -> str: ...
    @abstractmethod
    def root(self, e: n.Root) -> str: ...
    @abstractmethod
    def norm(self, e: n.Norm) -> str: ...
    @abstractmethod
    def transpose(self, e: n.Transpose) -> str: ...
    @abstractmethod
    def sub(self, e: n.Sub) -> str: ...
    @abstractmethod
    def function(self, e: n.Function) -> str: ...
    @abstractmethod
    def applied(self, e: n.Applied) -> str: ...
    @abstractmethod
    def big_sum(self, e: n.BigSum) -> str: ...
    @abstractmethod
    def cases(self, e: n.Cases) -> str: ...
    @abstractmethod
    def relation(self, e: n.Relation) -> str: ...
    @abstractmethod
    def bracket(self, e: n.Bracket) -> str: ...
    @abstractmethod
    def differential(self, e: n.Differential) -> str: ...
    @abstractmethod
    def contraction(self, e: n.Contraction) -> str: ...
    @abstractmethod
    def einstein(self, e: n.Einstein) -> str: ...
    @abstractmethod
    def chain(self, e: n.Chain) -> str: ...
