"""Which symbols the function of a derivative had: those that dropped out may still be passed as values."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from chainrule.expression.node import Expr, Symbol

_origins: WeakKeyDictionary[Expr, frozenset[Symbol]] = WeakKeyDictionary()


def derived(result: Expr, function: Expr) -> Expr:
    """Remember the symbols of the function, and of what it is itself a derivative of; return the derivative."""
    _origins[result] = origins(result) | origins(function) | frozenset(function.symbols.values())
    return result


def origins(e: Expr) -> frozenset[Symbol]:
    """Return the symbols of the functions that this is a derivative of."""
    return _origins.get(e, frozenset())
