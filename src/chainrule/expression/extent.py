"""Arithmetic on sizes: `n-1`, `m+n`, `m*n` are sizes too, spelled in one way each, so that equal sizes are equal text.

A size is a natural number, a name, or a polynomial in names with whole coefficients.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from math import prod

Size = int | str
Monomial = tuple[str, ...]  # the names multiplied, sorted; the empty one is the number 1
Terms = tuple[tuple[Monomial, int], ...]

_TERM = re.compile(r"([+-]?)([^+-]+)")


@cache
def terms_of(size: Size) -> Terms:
    """Return the terms of a size, each a product of names with its coefficient.

    Raises: ValueError for text that is no polynomial in identifiers.
    """
    if isinstance(size, int):
        return (((), size),) if size else ()
    text = size.replace(" ", "")
    found: Counter[Monomial] = Counter()
    if not text or _TERM.sub("", text):
        raise ValueError(f"{size!r} is no size")
    for sign, term in _TERM.findall(text):
        factors = term.split("*")
        if not all(f.isidentifier() or f.isdecimal() for f in factors):
            raise ValueError(f"{size!r} is no size")
        names = tuple(sorted(f for f in factors if not f.isdecimal()))
        found[names] += (-1 if sign == "-" else 1) * prod(int(f) for f in factors if f.isdecimal())
    return tuple((names, c) for names, c in found.items() if c)


def spelled(terms: Iterable[tuple[Monomial, int]]) -> Size:
    """Return the size with these terms: a number if it is one, else its one spelling, what is added first."""
    found: Counter[Monomial] = Counter()
    for names, c in terms:
        found[names] += c
    rest = {names: c for names, c in found.items() if c}
    if not rest.keys() - {()}:
        return rest.get((), 0)
    order = sorted(rest, key=lambda names: (rest[names] < 0, -len(names), names))
    text = "".join(_spelled_term(names, rest[names]) for names in order)
    return text.removeprefix("+")


def _spelled_term(names: Monomial, c: int) -> str:
    factors = ([str(abs(c))] if abs(c) != 1 or not names else []) + list(names)
    return ("-" if c < 0 else "+") + "*".join(factors)


def plus(*sizes: Size) -> Size:
    """Return the sum of sizes."""
    return spelled(term for size in sizes for term in terms_of(size))


def minus(a: Size, b: Size) -> Size:
    """Return the difference of two sizes."""
    return spelled([*terms_of(a), *((names, -c) for names, c in terms_of(b))])


def per_step(size: Size, step: int) -> Size | None:
    """Return how many of `size` entries are taken in steps, ⌈size/step⌉; None if names leave that open.

    >>> per_step(7, 2), per_step("2*n-1", 2), per_step("n", 2)
    (4, 'n', None)
    """
    terms = terms_of(size)
    if any(names and c % step for names, c in terms):
        return None
    return spelled((names, -(-c // step)) for names, c in terms)


def times(*sizes: Size) -> Size:
    """Return the product of sizes."""
    result: Size = 1
    for size in sizes:
        result = _times(result, size)
    return result


def _times(a: Size, b: Size) -> Size:
    return spelled((tuple(sorted(m + n)), c * d) for m, c in terms_of(a) for n, d in terms_of(b))


def is_derived(size: Size) -> bool:
    """True for a size that is worked out from others."""
    return isinstance(size, str) and not size.isidentifier() and names_of(size) != (size,)


def names_of(size: Size) -> tuple[str, ...]:
    """Return the names that a size is made of, each once."""
    if isinstance(size, int):
        return ()
    return (size,) if size.isidentifier() else _names_in(size)


@cache
def _names_in(size: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(name for names, _ in terms_of(size) for name in names))
    except ValueError:  # a name that nobody could have written in a formula is a name all the same
        return (size,)


def extent_of(size: Size, sizes: Mapping[str, int]) -> int:
    """Return a size as an integer, given its names' values. Raises: KeyError for a name without a value."""
    if isinstance(size, int):
        return size
    if size in sizes:
        return sizes[size]
    return sum(c * prod(sizes[name] for name in names) for names, c in terms_of(size))


def solved(size: Size, value: int, sizes: Mapping[str, int]) -> tuple[str, int] | None:
    """Return the name that is not known yet and its value if `size` is `value`; None if that leaves several answers.

    >>> solved("n-1", 4, {})
    ('n', 5)
    """
    unknown = [name for name in names_of(size) if name not in sizes]
    linear = [(names, c) for names, c in terms_of(size) if set(names) & set(unknown)]
    if len(unknown) != 1 or any(names.count(unknown[0]) != 1 for names, _ in linear):
        return None
    known = {**sizes, unknown[0]: 0}
    slope = extent_of(size, {**known, unknown[0]: 1}) - extent_of(size, known)
    rest = value - extent_of(size, known)
    return (unknown[0], rest // slope) if slope and rest % slope == 0 and rest // slope >= 0 else None
