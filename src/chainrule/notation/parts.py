"""A symbol times a selector is written as its part: S x is x[1:], and A e is a column A[:, 0]."""

from __future__ import annotations

from chainrule.expression.extent import Size, plus
from chainrule.expression.node import Apply, Expr, Symbol
from chainrule.expression.product import Factor, number_size
from chainrule.expression.selection import one_hot, selector
from chainrule.notation.layout import Constant, Layout, Name, Sub


def with_parts(factors: list[Factor], output: tuple[int, ...]) -> list[Factor]:
    """Replace symbols and the selectors beside them by symbols with the name of the part, such as `x[1:]`."""
    for f, sub in factors:
        if isinstance(f, Apply) and f.op in (selector, one_hot):
            index = sub[-1]
            beside = [pair for pair in factors if index in pair[1] and pair != (f, sub)]
            if index not in output and len(beside) == 1 and factors.count((f, sub)) == 1:
                part = _part(*beside[0], f, sub)
                if part is not None:
                    rest = [part if pair == beside[0] else pair for pair in factors if pair != (f, sub)]
                    return with_parts(rest, output)
    return factors


def _part(f: Expr, sub: tuple[int, ...], selection: Apply, ends: tuple[int, ...]) -> Factor | None:
    index, new = ends[-1], ends[:-1]
    if not isinstance(f, Symbol) or sub.count(index) > 1 or set(new) & set(sub):
        return None
    axis = sub.index(index)
    start = number_size(selection.args[0])
    if new:
        written = _range(start, *selection.shape)
    elif isinstance(start, str) and start.isidentifier():
        return None  # it would read as the index of a sum
    else:
        written = str(start)
    name, _, known = f.name.partition("[")
    places = known.rstrip("]").split(",") if known else [":"] * f.ndim
    kept = [k for k, place in enumerate(places) if ":" in place]  # axes that an entry took are gone from the shape
    if ":" not in places[kept[axis]] or len(places[kept[axis]]) > 1:
        return None
    places[kept[axis]] = written
    shape = (*f.shape[:axis], *selection.shape[: len(new)], *f.shape[axis + 1 :])
    return Symbol(f"{name}[{','.join(places)}]", shape, f.facts), (*sub[:axis], *new, *sub[axis + 1 :])


def selection_layout(e: Apply) -> Layout | None:
    """Return a selector as rows of the identity, I[1:], and a single one as a unit vector, e[0]."""
    if e.op is selector:
        return Sub(Constant("identity", e.shape[1:] * 2), (_range(number_size(e.args[0]), *e.shape),), "matrix")
    if e.op is one_hot:
        return Sub(Name("e", "column"), (str(number_size(e.args[0])),), "column")
    return None


def _range(start: Size, length: Size, size: Size) -> str:
    stop = plus(start, length)
    return f"{start if start != 0 else ''}:{stop if stop != size else ''}"


def is_part(indices: tuple[str, ...]) -> bool:
    """True if indices are places and slices, counted from 0, and no letters."""
    return any(not index.isidentifier() for index in indices)


def counted_from_one(place: str) -> str:
    """Return a place or a slice as textbooks count: 0 is 1, and `1:n-1` is `2:n-1`, both ends included."""
    start, colon, stop = place.partition(":")
    first = str(plus(_size(start), 1)) if start else ""
    return f"{first}{colon}{stop}"


def _size(text: str) -> Size:
    return int(text) if text.lstrip("-").isdecimal() else text
