"""Left sides: what a name, a derivative or an expression before an equals sign is about."""

from __future__ import annotations

from dataclasses import dataclass

from chainrule.errors import ChainruleError, DomainError
from chainrule.expression.node import Expr, Symbol
from chainrule.proofread.claim import Kind
from chainrule.proofread.differential import Differential, differentials
from chainrule.proofread.notebook import Notebook
from chainrule.proofread.reading import Row
from chainrule.proofread.rightside import Stated, stated
from chainrule.proofread.sides import equation, indexed_name, without_arguments
from chainrule.proofread.targets import Target, expression_of, resolved


@dataclass(slots=True)
class Subject:
    """What the current chain of equals signs is about: its left side as written, and what that is."""

    left: str
    target: Target | None
    value: Expr | None = None  # of an identity
    kind: Kind = "identity"


def names(book: Notebook, row: Row, left: str) -> str | None:
    """Return the name that a left side defines, if it is one."""
    if differentials(left):
        return None
    found = indexed_name(without_arguments(left)[0], row.form, book.known)
    return found[0] if found else None


def is_cotangent(book: Notebook, name: str) -> bool:
    """True for dX where X is known and dX is not a name of its own."""
    return len(name) > 1 and name[0] == "d" and name[1:] in book.shapes and name not in book.cotangents


def derivative_in(book: Notebook, row: Row, right: str) -> Target | None:
    """Return the derivative that a right side is, if it is one and nothing else: δ = ∂C/∂z."""
    found = differentials(right)
    return resolved(book, found[0], row.form) if len(found) == 1 and whole(right, found[0]) else None


def meaning(
    book: Notebook, row: Row, right: str, free: tuple[str, ...], layout: str
) -> tuple[Expr, dict[str, tuple[str | int, ...]]]:
    """Return what a definition's right side means. Raises: the error of its first reading."""
    first: ChainruleError | None = None
    if differentials(right):
        for one in stated(book, right, row.form, None, layout):
            if isinstance(one, Stated):
                return one.expression, dict(one.shapes or {})
            first = first or one
    for meaning in book.meanings(right, row.form, free, closed=False):
        if not isinstance(meaning, ChainruleError):
            return meaning.expression, dict(meaning.shapes)
        first = first or meaning
    raise first or DomainError("this cannot be read")


def identity(book: Notebook, row: Row, left: str, right: str) -> Subject:
    """Return the subject of `left = right`, both expressions."""
    name = names(book, row, left)
    found = indexed_name(without_arguments(left)[0], row.form, book.known)
    if name in book.shapes and found is not None:
        symbol = book.symbol(name)
        return Subject(left, indexed_target(symbol, found[1]) if found[1] else None, symbol)
    try:
        both = expression_of(book, f"({left}) - ({right})", row.form)
        book.learn(both.shapes)
    except ChainruleError:
        pass
    return Subject(left, None, expression_of(book, left, row.form).expression)


def equation_left(row: Row) -> str:
    """Return the left side of a row, "" if it has none."""
    said = equation(row.text)
    return said.left if said else ""


def whole(text: str, one: Differential) -> bool:
    """True if a derivative is all that a text holds."""
    return not text[: one.start].strip(" (") and not text[one.stop :].strip(" )")


def indexed_target(symbol: Symbol, free: tuple[str, ...]) -> Target:
    """Return the target of an equation between entries, such as zᵢ = …"""
    return Target(symbol, (), symbol, free, len(free), kind="identity")
