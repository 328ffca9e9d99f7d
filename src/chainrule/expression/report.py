"""Sentences that say what inference decided about each name, and why."""

from __future__ import annotations

from collections.abc import Mapping

from chainrule.expression.infer import Customs, Kind
from chainrule.expression.shape import Shape, show_shape


def sentence(name: str, kind: Kind, likeliest: Kind, customs: Customs, symbols: Mapping[str, Shape]) -> str:
    """Say what was decided about a name, and why."""
    if kind == "euler":
        return "e : Euler's number"
    if kind == "rows":
        return f"{name}ᵢ : row i of {name.upper()}, which is {show_shape(symbols[name.upper()])}"
    if kind == "size":
        return f"{name} : a size, the number of {_counted(name, symbols)}"
    shape = show_shape(symbols[name])
    return f"{name} : {shape} ({_reason(name, kind, likeliest, customs)})"


def _counted(name: str, symbols: Mapping[str, Shape]) -> str:
    for symbol, shape in sorted(symbols.items(), key=lambda item: -len(item[1])):
        if name in shape:
            return f"{'entries' if len(shape) == 1 else ('rows', 'columns')[shape.index(name) % 2]} of {symbol}"
    return "terms of a sum"


def _reason(name: str, kind: Kind, likeliest: Kind, customs: Customs) -> str:
    what = {0: "scalar", 1: "vector"}.get(kind, "matrix") if isinstance(kind, int) else ""
    if kind != likeliest:
        return f"used as a {what}"
    indices = customs.found.names[name].indices
    if indices:
        return "its entries are used" if indices == kind else "its rows are used"
    if name[0].isupper():
        return "a capital letter is a matrix"
    if customs.latex:
        return "bold lower case is a vector" if kind else "an italic lower-case letter is a scalar"
    if name in customs.found.names and kind == 0:
        return "a Greek letter is a scalar" if len(name) > 1 and name[0] not in "abcdefg" else "a…g are scalars"
    return "h…z are vectors"
