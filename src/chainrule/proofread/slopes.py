"""The slope of a function applied entry by entry, as in σ'(z): a symbol is put in its place, with its value."""

from __future__ import annotations

import re

from chainrule.derivative.differentiate import jacobian, substitute
from chainrule.errors import ChainruleError
from chainrule.expression.build import sum as total
from chainrule.expression.build import symbol
from chainrule.expression.node import Expr
from chainrule.proofread.notebook import Notebook
from chainrule.proofread.reading import Form
from chainrule.proofread.sides import indexed_name
from chainrule.proofread.targets import expression_of
from chainrule.simplify.simplify import simplify

PLACEHOLDER = "Slope"
INNER = "Argument"
PRIMED = re.compile(
    r"(?P<name>\\sigma|\\tanh|\\sin|\\cos|\\exp|\\log|\\operatorname\{\w+\}|\\mathrm\{\w+\}|\\text\{\w+\}|σ|[A-Za-z]\w*)\s*"
    r"(?:'|′|\^\s*\{?\\prime\}?)\s*(?:\\left\s*)?\((?P<arg>[^()]*(?:\([^()]*\)[^()]*)*?)(?:\\right\s*)?\)"
)


def with_slopes(book: Notebook, text: str, form: Form) -> tuple[str, dict[str, Expr]]:
    """Put a symbol in place of every σ'(z); return the text and the symbols' values. What is no function stays."""
    values: dict[str, Expr] = {}
    pieces, place = [], 0
    for match in PRIMED.finditer(text):
        if match["name"] in book.shapes:
            continue
        found = slope(book, match["name"], match["arg"], form)
        if found is None:
            continue
        value, indices = found
        name = f"{PLACEHOLDER}{len(values) + 1}"
        values[name] = value
        pieces += [text[place : match.start()], written(name, indices, form)]
        place = match.end()
    return "".join([*pieces, text[place:]]), values


def slope(book: Notebook, name: str, argument: str, form: Form) -> tuple[Expr, tuple[str, ...]] | None:
    """Return the slope of a function entry by entry at an argument, and the indices the argument carries."""
    named = indexed_name(argument.strip(), form, book.known)
    try:
        if named is not None and named[0] in book.shapes:
            inner: Expr = book.symbol(named[0])
        else:
            inner = expression_of(book, argument, form).expression
        at = symbol(INNER, inner.shape)
        within = book.copied()
        within.shapes[INNER] = inner.shape
        spelled = rf"{name}\left(\mathrm{{{INNER}}}\right)" if form == "latex" else f"{name}({INNER})"
        f = expression_of(within, spelled, form).expression
        if f.shape != inner.shape:
            return None
        return substitute(simplify(jacobian(total(f), at)), {at: inner}), named[1] if named else ()
    except ChainruleError:
        return None


def written(name: str, indices: tuple[str, ...], form: Form) -> str:
    """Write a placeholder's symbol with its indices."""
    if form == "plain":
        return name + (f"[{', '.join(indices)}]" if indices else "")
    return rf"\mathrm{{{name}}}" + (f"_{{{','.join(indices)}}}" if indices else "") + " "
