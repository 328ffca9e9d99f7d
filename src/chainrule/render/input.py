"""An expression as text that reads back to the identical expression, in each of the three syntaxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from chainrule.derivative.differentiate import substitute
from chainrule.errors import ChainruleError, DomainError
from chainrule.expression.elaborate import elaborate
from chainrule.expression.functions import function_names
from chainrule.expression.node import Expr, Symbol, walk
from chainrule.expression.shape import Size, show_shape
from chainrule.notation.matrix import literal_notation
from chainrule.render.input_idiom import IdiomWriter
from chainrule.render.input_latex import LatexInputWriter
from chainrule.render.input_matlab import MatlabWriter
from chainrule.render.input_numpy import InputWriter
from chainrule.render.turning import without_turned_sums
from chainrule.syntax.parse import read

Spelling = Literal["text", "matlab", "latex"]


def source_text(e: Expr, syntax: Spelling = "text") -> str:
    """Write an expression so that `parse(…, syntax=syntax)`, told the shapes of its symbols, gives it back.

    NumPy text can say everything; MATLAB text and LaTeX, what has matrix notation.
    Raises: DomainError for what the syntax cannot say, and for an expression nested very deeply.

    >>> from chainrule.expression.build import matrix, vector
    >>> A, x, y = matrix("A", "m", "n"), vector("x", "n"), vector("y", "m")
    >>> print(source_text(A.T @ (A @ x - y)))
    A.T @ (A @ x - y)
    >>> print(source_text(A.T @ (A @ x - y), "matlab"))
    A'*(A*x - y)
    """
    return WRITERS[syntax](e)


def _numpy_text(e: Expr) -> str:
    habitual, careful = (without_turned_sums(literal_notation(e, sharing)) for sharing in (True, False))
    shown = _shown(e)
    means, sums = (IdiomWriter(shown, means).write(habitual) for means in (True, False))
    return _shortest(means, _shortest(sums, InputWriter(shown).write(careful), e, "text"), e, "text")


def _matlab_text(e: Expr) -> str:
    large = next((node for node in walk(e) if node.ndim > 2), None)
    if large is not None:
        raise DomainError(
            "MATLAB text has only scalars, vectors and matrices",
            expected="at most two axes",
            found=f"an array of shape {show_shape(large.shape)}",
            hint='write it in NumPy text, source_text(e, syntax="text")',
        )
    layout, shown = without_turned_sums(literal_notation(e)), _shown(e)
    plain, sized = (MatlabWriter(shown, sized).write(layout) for sized in (False, True))
    return _shortest(plain, sized, e, "matlab")


def _latex_text(e: Expr) -> str:
    layout = without_turned_sums(literal_notation(e))
    plain, sized = (LatexInputWriter(_shown(e), sized).write(layout) for sized in (False, True))
    return _shortest(plain, sized, e, "latex")


def _shortest(plain: str, sized: str, e: Expr, syntax: Spelling) -> str:
    """Leave the sizes of constants to the formula around them where it decides them, else say them."""
    return plain if plain == sized or _means(plain, e, syntax) else sized


def _means(text: str, e: Expr, syntax: Spelling) -> bool:
    """True if the text reads back; no size that is left open may be guessed right by chance."""
    e = _without_facts(e)
    shapes = {name: symbol.shape for name, symbol in e.symbols.items()}
    taken = tuple(dict.fromkeys(size for node in walk(e) for size in node.shape))
    try:
        formula = read(text, syntax, functions=function_names(), names=[*shapes])
        return elaborate(formula, {**shapes, "_taken": taken}).expression is e
    except ChainruleError:
        return False


def _without_facts(e: Expr) -> Expr:
    """Return the expression as a text says it: what is known of a symbol is told beside it."""
    plain: dict[Expr, Expr] = {s: Symbol(s.name, s.shape) for s in e.symbols.values() if s.facts}
    return substitute(e, plain) if plain else e


def _shown(e: Expr) -> set[Size]:
    return {size for symbol in e.symbols.values() for size in symbol.shape}


WRITERS: Mapping[Spelling, Callable[[Expr], str]] = {
    "text": _numpy_text,
    "matlab": _matlab_text,
    "latex": _latex_text,
}
