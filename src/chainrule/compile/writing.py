"""Numbers, names and sums as text, for any language with infix operators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from chainrule.expression.extent import terms_of
from chainrule.expression.node import Subscripts
from chainrule.expression.shape import Scalar, Shape, Size

LETTERS = "ijklmnopqrstuvwxyzabcdefgh"
LARGEST_INTEGER = 2**53  # beyond it, an integer is written as the float it becomes


@dataclass(frozen=True, slots=True)
class Names:
    """What arguments and sizes are called in the code: identifiers that we made or checked."""

    arguments: tuple[str, ...]
    sizes: Mapping[str, str]

    def size(self, size: Size) -> str:
        """Write a size: a number, a name, or the sum that it is, in parentheses."""
        if isinstance(size, int):
            return str(size)
        if size in self.sizes:
            return self.sizes[size]
        text = ""
        for names, c in sorted(terms_of(size), key=lambda term: term[1] < 0):
            factors = [*([str(abs(c))] if abs(c) != 1 or not names else []), *(self.sizes[name] for name in names)]
            text += (" - " if c < 0 else " + ") + " * ".join(factors)
        return f"({text.removeprefix(' + ').strip()})"


class Line(NamedTuple):
    """A line of code, the shape of the variable that it sets, and the instruction it was written for."""

    text: str
    shape: Shape | None
    step: int


def literal(value: Scalar) -> str:
    """Write a known number so that it is one operand: `2`, `0.5`, `(1 / 3)`, `(-2)`."""
    if isinstance(value, Fraction) and max(abs(value.numerator), value.denominator) <= LARGEST_INTEGER:
        if value.denominator & (value.denominator - 1):
            return f"({value.numerator} / {value.denominator})"
    elif isinstance(value, int) and abs(value) <= LARGEST_INTEGER:
        return str(value) if value >= 0 else f"({value})"
    try:
        value = float(value)
    except OverflowError:
        value = float("inf") if value > 0 else float("-inf")
    if value != value or value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    return repr(value) if value >= 0 else f"({value!r})"


def parenthesised(text: str) -> str:
    """Make any text one operand: parentheses around what has an operator outside of brackets."""
    depth, bare = 0, text.startswith("-")
    for c in text:
        depth += (c in "([") - (c in ")]")
        bare = bare or (c == " " and depth == 0)
    return f"({text})" if bare else text


def unwrapped(text: str) -> str:
    """Drop the parentheses that `parenthesised` puts around a whole text."""
    closed = [end for end in range(1, len(text) + 1) if text[:end].count("(") == text[:end].count(")")]
    return text[1:-1] if text.startswith("(") and closed[0] == len(text) else text


def einsum_spec(subscripts: Sequence[Subscripts], output: Subscripts) -> str:
    """Write `ij,jk->ik`."""
    left = ",".join("".join(LETTERS[i] for i in sub) for sub in subscripts)
    return f"{left}->{''.join(LETTERS[i] for i in output)}"


def signed_terms(
    coefficients: Sequence[Scalar],
    texts: Sequence[str],
    known: Sequence[Scalar | None] = (),
    number: Callable[[Scalar], str] = literal,
) -> list[tuple[bool, str]]:
    """Write each cₖ tₖ without its sign, a positive one first; True for those to subtract.

    `known` holds the values of terms that are constants, `number` writes one.
    """
    terms = []
    for c, text, value in zip(coefficients, texts, known or [None] * len(texts), strict=True):
        total = c if value is None else c * value
        size = total if total >= 0 else -total
        factor = number(size)
        terms.append((size != total, factor if value is not None else text if size == 1 else f"{factor} * {text}"))
    return sorted(terms, key=lambda term: term[0])


def combination(
    coefficients: Sequence[Scalar],
    texts: Sequence[str],
    known: Sequence[Scalar | None] = (),
    number: Callable[[Scalar], str] = literal,
) -> str:
    """Write Σ cₖ tₖ, a positive term first: `y - 2 * x`; as `signed_terms`."""
    terms = signed_terms(coefficients, texts, known, number)
    text = f"-{terms[0][1]}" if terms[0][0] else terms[0][1]
    return text + "".join(f" {'-' if negative else '+'} {term}" for negative, term in terms[1:])


def either(lines: Sequence[str], condition: str, name: str, other: str) -> str:
    """Write the lines, the last of which sets `name`, under the condition; else `name` is the other text."""
    if len(lines) == 1:
        return f"{lines[0]} if {condition} else {other}"
    inside = "\n".join(f"    {line}" for line in lines)
    return f"if {condition}:\n{inside}\nelse:\n    {name} = {other}"
