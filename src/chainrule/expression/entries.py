"""Subscripts of LaTeX outside a Σ: where `z_j` is an entry of z, `z_1` is one too, and `z_k` is no symbol of its own.

The reader takes a subscript that no Σ binds for a part of the name, as in W₁. In z_k − log Σⱼ exp(zⱼ) that would make
z_k a number that has nothing to do with z, and the derivative by z wrong without a word.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

from chainrule.errors import Span
from chainrule.syntax.tree import Formula, Index, Name, Num, Tree

SUBSCRIPTED = re.compile(r"(?P<base>.*[^\d_])(?:(?P<number>\d+)|_(?P<letter>[A-Za-z]))")


def with_entries(formula: Formula, declared: Collection[str]) -> Formula:
    """Return the formula in which undeclared `z_1` and `z_k` are indices of z, if z has an index elsewhere."""
    if formula.syntax != "latex":
        return formula
    arrays = frozenset(part.base.name for part in _parts(formula.tree) if _is_entry(part))
    return replace(formula, tree=_indexed(formula.tree, arrays, declared)) if arrays else formula


def _is_entry(part: Any) -> bool:
    return isinstance(part, Index) and isinstance(part.base, Name)


def _parts(part: Any) -> Iterator[Any]:
    if isinstance(part, tuple):
        for item in part:
            yield from _parts(item)
    elif is_dataclass(part) and not isinstance(part, Span):
        yield part
        for f in fields(part):
            yield from _parts(getattr(part, f.name))


def _indexed(part: Any, arrays: Collection[str], declared: Collection[str]) -> Any:
    if isinstance(part, tuple):
        return tuple(_indexed(item, arrays, declared) for item in part)
    if not is_dataclass(part) or isinstance(part, Span | type):
        return part
    if isinstance(part, Name):
        return part if part.name in declared else _entry(part, arrays)
    return replace(part, **{f.name: _indexed(getattr(part, f.name), arrays, declared) for f in fields(part)})


def _entry(name: Name, arrays: Collection[str]) -> Tree:
    """Return the name as it is, or as an index of the array that it is an entry of."""
    found = SUBSCRIPTED.fullmatch(name.name)
    if found is None or found["base"] not in arrays:
        return name
    number, letter = found["number"], found["letter"]
    index = Num(Fraction(int(number)), name.span) if number else Name(letter, name.span)
    return Index(Name(found["base"], name.span, name.face), (index,), name.span, one_based=True)
