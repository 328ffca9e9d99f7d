"""Names that the reader chose: each has to be free, to name one thing, and to fit what it names."""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.errors import DomainError, ShapeError
from chainrule.explain.fold import folded
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import show_shape


def check_names(
    function: Expr, chosen: Mapping[str, Expr], function_name: str, cotangent: Symbol | None = None
) -> None:
    """Check the names for parts of a function, of the function itself and of the cotangent against each other.

    A name that occurs in the function as a symbol says what that symbol stands for; its expression must not occur too.
    Raises: DomainError for a name that is taken, no identifier, or one of two for the same part; ShapeError.
    """
    named: dict[Expr, str] = {}
    taken = {function_name: "the function itself"}
    if cotangent is not None:
        taken[cotangent.name] = "the cotangent"
    for name, e in chosen.items():
        if not name.isidentifier():
            raise DomainError(f"{name!r} cannot be a name", hint="letters, digits and _, the first no digit")
        if name in taken:
            raise DomainError(f"{name} names {e} and {taken[name]}", hint="choose another name for one of them")
        if e in named:
            raise DomainError(f"{named[e]} and {name} both name {e}", hint="leave one of them out")
        _check_symbol(function, name, e)
        named[e] = name
    if function_name in function.symbols:
        raise DomainError(f"{function_name} names the function and one of its symbols", hint="choose function_name=…")


def _check_symbol(function: Expr, name: str, e: Expr) -> None:
    """A symbol of the function may be given a meaning, of its own shape, if that is no second name of a part."""
    symbol = function.symbols.get(name)
    if symbol is None:
        return
    if symbol.shape != e.shape:
        raise ShapeError(
            f"{name} is a symbol of the formula of shape {show_shape(symbol.shape)}",
            found=f"{e} of shape {show_shape(e.shape)}",
            hint="choose a name that does not occur in the formula",
        )
    if folded(function, Symbol("_", e.shape), e) is not function:
        raise DomainError(
            f"{name} names {e}, but is a symbol of the formula already",
            hint="choose a name that does not occur in the formula",
        )
