"""Left sides: what a name, a derivative or an expression before an equals sign is about."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chainrule.errors import ChainruleError, DomainError, ShapeError, UnknownSymbol
from chainrule.expression.build import as_expr
from chainrule.expression.node import Expr, Symbol, depends_on
from chainrule.proofread.claim import Claim, Kind
from chainrule.proofread.differential import Differential, differentials
from chainrule.proofread.handwriting import to_text
from chainrule.proofread.notebook import Notebook
from chainrule.proofread.reading import Row
from chainrule.proofread.rightside import Stated, stated
from chainrule.proofread.sides import NEXT, NOW, equation, indexed_name, plain_name, without_arguments
from chainrule.proofread.targets import Target, expression_of, from_loss, resolved

RATES = ("eta", "alpha", "lr", "gamma", "epsilon", "lambda", "mu", "learning_rate", "rate", "step", "lam")
SMALL_D = re.compile(r"^(?:d|\\mathrm\{d\}|\\text\{d\})\s*(\\?[A-Za-z].*)$")


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
    small = SMALL_D.match(left.strip()) if row.form == "latex" and "d" not in book.shapes else None
    if found is None and small and (of := plain_name(small[1], "latex")) in book.shapes:
        return f"d{of}"
    return found[0] if found else None


def is_cotangent(book: Notebook, name: str) -> bool:
    """True for dX where X is known and dX is not a name of its own."""
    return len(name) > 1 and name[0] == "d" and name[1:] in book.shapes and name not in book.cotangents


def derivative_in(book: Notebook, row: Row, right: str) -> Target | None:
    """Return the derivative that a right side is, if it is one and nothing else: δ = ∂C/∂z."""
    found = differentials(right)
    return resolved(book, found[0], row.form) if len(found) == 1 and whole(right, found[0]) else None


def upstream_of(book: Notebook, row: Row, right: str) -> str:
    """Return s if the text is `dL/ds` of a loss that nothing defines: then it is the cotangent of s. Else ""."""
    found = differentials(right)
    if len(found) != 1 or not whole(right, found[0]) or len(found[0].wrt) != 1:
        return ""
    loss, of = (plain_name(side, row.form) for side in (found[0].function, found[0].wrt[0]))
    return of if loss is not None and loss not in book.known and of in book.shapes else ""


def meaning(
    book: Notebook, row: Row, right: str, free: tuple[str, ...], layout: str, strict: bool = False
) -> tuple[Expr, dict[str, tuple[str | int, ...]]]:
    """Return what a definition's right side means; with `strict` it may bring in no new names.

    Raises: the error of its first reading.
    """
    first: ChainruleError | None = None
    if differentials(right):
        for one in stated(book, right, row.form, None, layout):
            if isinstance(one, Stated):
                return one.expression, dict(one.shapes or {})
            first = first or one
    for closed in (True,) if strict else (True, False):  # a reading in which every name is known comes first
        for meaning in book.meanings(right, row.form, free, closed=closed):
            if not isinstance(meaning, ChainruleError):
                return meaning.expression, dict(meaning.shapes)
            first = meaning if first is None or isinstance(first, UnknownSymbol) else first
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
        book.learn(both.shapes, passing=True)
    except ChainruleError:
        pass
    return Subject(left, None, expression_of(book, left, row.form).expression)


def updated(book: Notebook, row: Row, left: str, right: str, name: str, layout: str) -> Claim | ChainruleError | None:
    """Return the claim of `w ← w − η …`, the error if rows and columns do not fit, or None if nothing is claimed.

    The claim is that the step goes along the gradient of the last scalar defined, whatever the step size is.
    """
    old = plain_name(NEXT.sub(r"\g<name>", left), row.form) or name
    right = NOW.sub("", right)
    words = to_text(right.replace("\\", " "), book.known)
    book.learn({rate: () for rate in RATES if re.search(rf"(?<!\w){rate}(?!\w)", words)}, passing=True)
    first: ChainruleError | None = None
    for one in stated(book, right, row.form, None, layout, strict=bool(layout)):
        if isinstance(one, Stated):
            return along_gradient(book, one, old)
        first = first or one
    if first is None or isinstance(first, ShapeError):
        return first
    raise first


def along_gradient(book: Notebook, one: Stated, name: str) -> Claim | None:
    """Return the claim that a step goes along the gradient, if there are a scalar to descend and a step size."""
    target = from_loss(book, name) if name in book.shapes else None
    said = one.expression
    if target is None or said.shape != book.shapes[name]:
        return None
    x = book.symbol(name)
    rates = [s for n, s in said.symbols.items() if not s.shape and n not in target.function.symbols]
    if len(rates) != 1 or not depends_on(said, x):
        return None
    truth = x + rates[0] * target.truth if book.ascends else x - rates[0] * target.truth
    names, shapes = dict(book.names), dict(book.shapes)
    return Claim("update", target.function, (x,), said, as_expr(truth), names, one.formula, shapes)


def equation_left(row: Row) -> str:
    """Return the left side of a row, "" if it has none."""
    said = equation(row.text)
    return said.left if said else ""


LAGRANGE = re.compile(
    r"^(?P<name>[^\W\d_][\w\\]*|\\[a-z]+)\s*(?P<primes>'+|′+|″|\^\s*\{\s*(?:\\prime\s*)+\})\s*(?:\((?P<by>[^()]*)\))?$"
)


def primed(left: str) -> Differential | None:
    """Return the derivative that `f'(x)` or `f''(x)` is."""
    match = LAGRANGE.match(left.strip())
    if match is None:
        return None
    count = match["primes"].count("'") + match["primes"].count("′") + 2 * match["primes"].count("″")
    order = count + match["primes"].count("prime")
    return Differential(match["name"], ((match["by"] or "").strip(),) * order, "d", 0, len(left))


def whole(text: str, one: Differential) -> bool:
    """True if a derivative is all that a text holds."""
    return not text[: one.start].strip(" (") and not text[one.stop :].strip(" )")


def indexed_target(symbol: Symbol, free: tuple[str, ...]) -> Target:
    """Return the target of an equation between entries, such as zᵢ = …"""
    return Target(symbol, (), symbol, free, len(free), kind="identity")
