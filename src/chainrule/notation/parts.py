"""A symbol times a selector is written as its part: S x is x[1:], A e is a column A[:, 0], and H W is W[idx, :].

Positions stand in an index with a mark before them, `@idx`: they are no letter that a sum runs over.
"""

from __future__ import annotations

from collections.abc import Callable

from chainrule.expression.extent import Size, minus, plus, times
from chainrule.expression.gather import onehot
from chainrule.expression.node import Apply, Expr, Symbol
from chainrule.expression.product import Factor, number_size
from chainrule.expression.selection import flip, one_hot, selector, strided
from chainrule.notation.layout import Constant, Extent, Layout, Name, Numeral, Sub


def with_parts(factors: list[Factor], output: tuple[int, ...]) -> list[Factor]:
    """Replace symbols and the selectors beside them by symbols with the name of the part, such as `x[1:]`."""
    for f, sub in factors:
        if isinstance(f, Apply) and f.op in (selector, one_hot, strided, flip, onehot):
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
    if selection.op is onehot:
        return _taken(f, sub, axis, selection, new)
    start = number_size(selection.args[0]) if selection.args else 0
    if new:
        written = _written(selection)
    elif isinstance(start, str) and start.isidentifier():
        return None  # it would read as the index of a sum
    else:
        written = str(start)
    name, _, known = f.name.partition("[")
    if "@" in known:
        return None
    places = known.rstrip("]").split(",") if known else [":"] * f.ndim
    kept = [k for k, place in enumerate(places) if ":" in place]  # axes that an entry took are gone from the shape
    if ":" not in places[kept[axis]] or len(places[kept[axis]]) > 1:
        return None
    places[kept[axis]] = written
    shape = (*f.shape[:axis], *selection.shape[: len(new)], *f.shape[axis + 1 :])
    return Symbol(f"{name}[{','.join(places)}]", shape, f.facts), (*sub[:axis], *new, *sub[axis + 1 :])


def _taken(f: Symbol, sub: tuple[int, ...], axis: int, hot: Apply, new: tuple[int, ...]) -> Factor | None:
    idx = hot.args[0]
    if not isinstance(idx, Symbol) or "[" in f.name + idx.name:
        return None
    places = [f"@{idx.name}" if k == axis else ":" for k in range(f.ndim)]
    shape = (*f.shape[:axis], *idx.shape, *f.shape[axis + 1 :])
    return Symbol(f"{f.name}[{','.join(places)}]", shape, f.facts), (*sub[:axis], *new, *sub[axis + 1 :])


def size_arguments(e: Apply, written: Callable[[Expr], Layout]) -> tuple[Layout, ...]:
    """Return what an array of zeros and ones is written with: positions or whole numbers, and its sizes."""
    positions = e.args if e.op.is_positional else ()
    counts = () if e.op.is_positional else tuple(number_size(a) for a in e.args)
    sizes = (*counts, *e.shape[e.ndim - len(e.op.extents) :])
    known = tuple(Extent(size) if isinstance(size, str) else Numeral(size) for size in sizes)
    return (*(written(a) for a in positions), *known)


def selection_layout(e: Apply) -> Layout | None:
    """Return a selector as rows of the identity, I[1:], and a single one as a unit vector, e[0]."""
    if e.op in (selector, strided, flip):
        return Sub(Constant("identity", e.shape[1:] * 2), (_written(e),), "matrix")
    if e.op is one_hot:
        return Sub(Name("e", "column"), (str(number_size(e.args[0])),), "column")
    return None


def _written(e: Apply) -> str:
    if e.op is flip:
        return "::-1"
    start, (length, size) = number_size(e.args[0]), e.shape
    return _range(start, length, size) if e.op is selector else _steps(start, length, size, e.args[1])


def _steps(start: Size, length: Size, size: Size, by: Expr) -> str:
    """Return `start:stop:step`, ends that are those of the axis left out."""
    step = int(number_size(by))
    after, last = plus(start, times(step, length)), plus(start, times(step, minus(length, 1)))
    beyond = minus(after, size) if step > 0 else minus(-1, after)
    to_end = isinstance(beyond, int) and beyond >= 0
    first = 0 if step > 0 else minus(size, 1)
    stop = "" if to_end else plus(last, 1 if step > 0 else -1)
    return f"{start if start != first else ''}:{stop}:{step}"


def _range(start: Size, length: Size, size: Size) -> str:
    stop = plus(start, length)
    return f"{start if start != 0 else ''}:{stop if stop != size else ''}"


WHOLE_AXIS = "·"  # stands among letters for an axis that an operation reads whole


def is_part(indices: tuple[str, ...]) -> bool:
    """True if indices are places, slices and positions, counted from 0, and no letters."""
    return any(not index.isidentifier() and index != WHOLE_AXIS for index in indices)


def counted_from_one(place: str) -> str:
    """Return a place or a slice as textbooks count: 0 is 1, and `1:n-1` is `2:n-1`, both ends included."""
    if place.startswith("@"):
        return place[1:] if len(place) == 2 else rf"\mathrm{{{place[1:]}}}"
    start, colon, rest = place.partition(":")
    stop, _, step = rest.partition(":")
    first = str(plus(_size(start), 1)) if start else ""
    if step.startswith("-") and stop:  # the last entry that is taken, one before the stop, counted from 1
        stop = str(plus(_size(stop), 2))
    return f"{first}{colon}{stop}" + (f":{step}" if step else "")


def _size(text: str) -> Size:
    return int(text) if text.lstrip("-").isdecimal() else text
