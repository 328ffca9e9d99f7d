"""The way in: a text in any of the three syntaxes to a `Formula`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from chainrule.errors import FormulaSyntaxError, Span
from chainrule.syntax.latex import LatexParser
from chainrule.syntax.names import FUNCTIONS
from chainrule.syntax.outline import depth
from chainrule.syntax.pratt import Parser
from chainrule.syntax.spellings import MATLAB, TEXT
from chainrule.syntax.text import TextParser
from chainrule.syntax.tokens import MAX_LENGTH, too_deep
from chainrule.syntax.tree import Formula, Tree

Syntax = Literal["text", "matlab", "latex"]
LATEX_MARKS = ("\\", "$", "_{", "^{")
MAX_DEPTH = 200  # nodes from the root of a tree to a leaf; later passes may recurse this deep


def read(
    text: str,
    syntax: Literal["auto", "text", "matlab", "latex"] = "auto",
    *,
    functions: Collection[str] = FUNCTIONS,
    names: Collection[str] = (),
) -> Formula:
    """Return the syntax tree of a formula; a left side (`C(y, w) =`) is taken off and kept as written.

    `functions` are the names that may be called, `names` those of declared symbols. "auto" reads LaTeX where a
    backslash, `$`, `_{` or `^{` occurs.
    Raises: FormulaSyntaxError, with the place, what was expected, what was found and what to try.

    >>> from chainrule.syntax.outline import outline
    >>> outline(read(r"C = \\frac{1}{N} \\sum_i x_i^2").tree)
    '(juxt (/ 1 N) (bound-sum i _ _ (matpow (index x i) 2)))'
    """
    if len(text) > MAX_LENGTH:
        raise FormulaSyntaxError(
            "the formula is too long",
            expected=f"at most {MAX_LENGTH} characters",
            found=f"{len(text)} characters",
            hint="give parts of it names and put them together afterwards",
        )
    chosen = detected(text) if syntax == "auto" else syntax
    try:
        left, tree = right_side(parser(text, chosen, functions, names))
    except RecursionError:  # the caller was deep in the stack already
        raise too_deep(text, Span(0, len(text))) from None
    if depth(tree) > MAX_DEPTH:
        raise FormulaSyntaxError(
            f"the formula has more than {MAX_DEPTH} operations in one chain",
            text=text,
            spans=(tree.span,),
            hint="use sum, or give parts of it names and put them together afterwards",
        )
    return Formula(tree, text, chosen, left)


def detected(text: str) -> Syntax:
    """Return the syntax a text looks like."""
    return "latex" if any(mark in text for mark in LATEX_MARKS) else "text"


def parser(text: str, syntax: Syntax, functions: Collection[str], names: Collection[str] = ()) -> Parser:
    """Return the parser for one syntax."""
    if syntax == "latex":
        return LatexParser(text, functions, names)
    return TextParser(text, MATLAB if syntax == "matlab" else TEXT, functions, names)


def right_side(parser: Parser) -> tuple[str | None, Tree]:
    """Read the whole text: at most one left side, then the formula."""
    stop = len(parser.tokens) - 1
    if stop == 0:
        raise parser.error("the formula is empty", Span(0, len(parser.text)), expected="a formula", found="nothing")
    equals = parser.find(0, stop, "=")
    if not equals:
        return None, parser.inside(0, stop)
    if len(equals) > 1:
        spans = tuple(parser.tokens[place].span for place in equals)
        raise parser.error("one formula has one left side", *spans, expected="one =", found=f"{len(equals)} of them")
    sign = parser.tokens[equals[0]].span
    if equals[0] == 0:
        raise parser.error("the left side is missing", sign, expected="a name before =", found="nothing")
    left = parser.text[parser.tokens[0].span.start : parser.tokens[equals[0] - 1].span.end]
    return left, parser.inside(equals[0] + 1, stop)
