"""What a language with loops has to say: lines, entries and conditions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from chainrule.errors import DomainError
from chainrule.expression.op import Op
from chainrule.expression.shape import Scalar, Shape

At = tuple[str, ...]  # the text of an index for each axis


@dataclass(slots=True)
class Scope:
    """Where a line stands: how deep, and the lines so far."""

    depth: int
    lines: list[str]

    def add(self, line: str) -> None:
        """Add a line."""
        self.lines.append("    " * self.depth + line)


class LoopLanguage(ABC):
    """How lines of a language with loops are written."""

    language: str

    @abstractmethod
    def opened(self, scope: Scope, variable: str, extent: str) -> None:
        """Write the first line of a loop."""

    @abstractmethod
    def closed(self, scope: Scope) -> None:
        """Write what ends a loop."""

    @abstractmethod
    def variable(self, scope: Scope, name: str, text: str, constant: bool = True) -> None:
        """Set a new variable."""

    @abstractmethod
    def assigned(self, scope: Scope, target: str, text: str, sign: str = "=") -> None:
        """Write an assignment."""

    @abstractmethod
    def indexed(self, name: str, at: At, shape: Shape) -> str:
        """Write an entry of an array."""

    @abstractmethod
    def made(self, scope: Scope, k: int, name: str) -> None:
        """Make the memory of a stored value with axes."""

    @abstractmethod
    def line(self, line: str, named: dict[str, str]) -> str:
        """Write a line of the catalogue."""

    @abstractmethod
    def choice(self, condition: str, value: str, other: str) -> str:
        """Write a value that depends on a condition."""

    @abstractmethod
    def number(self, value: Scalar) -> str:
        """Write a known number."""

    @abstractmethod
    def whole(self, scope: Scope, k: int, op: Op, operands: Sequence[str]) -> None:
        """Write an operation on whole arrays, once for each entry of its leading axes."""

    @abstractmethod
    def size_as_number(self, text: str) -> str:
        """Write a size as a number of the arrays' type."""

    @abstractmethod
    def both(self, a: str, b: str) -> str:
        """Write that both conditions hold."""

    @abstractmethod
    def quotient(self, a: str, b: str) -> tuple[str, str]:
        """Write the whole quotient and the remainder of two indices."""

    @abstractmethod
    def as_place(self, text: str) -> str:
        """Write a number of the arrays' type as a position."""

    @abstractmethod
    def refused(self, scope: Scope, condition: str, text: str, extent: str) -> None:
        """Write that the function fails unless the condition holds, which says that the text is a position."""


def lacking(op: Op, language: str) -> DomainError:
    """Return the error of an operation that a language cannot do."""
    return DomainError(f"{op.name} has no {language} code", expected="numpy, jax or torch")
