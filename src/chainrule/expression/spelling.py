"""What written symbols stand for: `\\mathbf{x}_i` is `X[i,:]`, `\\lambda` is `lam`, where the user says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from chainrule.errors import Span
from chainrule.syntax.parse import read
from chainrule.syntax.tree import Binary, Formula, Index, Name, Num, Tree


def spell_out(formula: Formula, symbols: Mapping[str, str]) -> Formula:
    """Replace every written symbol by what it stands for, which is read as NumPy-style text; places stay."""
    if not symbols:
        return formula
    known = {
        _shape_of_tree(read(written, syntax="latex" if formula.syntax == "latex" else "text").tree): read(
            meaning, syntax="text"
        ).tree
        for written, meaning in symbols.items()
    }
    return replace(formula, tree=_replaced(formula.tree, known))


def _shape_of_tree(part: Any) -> Any:
    """Return a tree without its places, to compare by."""
    if isinstance(part, Span):
        return None
    if isinstance(part, Index) and isinstance(part.base, Name):
        # outside a Σ the reader takes the subscript for a part of the name
        words = [_word(index) for index in part.indices]
        if all(words):
            return _shape_of_tree(Name(f"{part.base.name}_{''.join(words)}", part.span, part.base.face))
    if is_dataclass(part):
        return (type(part).__name__, *(_shape_of_tree(getattr(part, f.name)) for f in fields(part)))
    return tuple(_shape_of_tree(item) for item in part) if isinstance(part, tuple) else part


def _word(index: Any) -> str:
    """Return an index as part of a name: the i of xᵢ, the 1i of x₁ᵢ, the ws of an index w with an index s."""
    if isinstance(index, Num):
        return str(index.value)
    if isinstance(index, Binary) and index.operator == "juxt":
        return _word(index.left) + _word(index.right)
    if isinstance(index, Index) and isinstance(index.base, Name):
        words = [_word(inner) for inner in index.indices]
        return index.base.name + "".join(words) if all(words) else ""
    return index.name if isinstance(index, Name) else ""


def _replaced(part: Any, known: Mapping[Any, Tree]) -> Any:
    if isinstance(part, tuple):
        return tuple(_replaced(item, known) for item in part)
    if not is_dataclass(part) or isinstance(part, Span | type):
        return part
    meaning = known.get(_shape_of_tree(part))
    if meaning is not None:
        return _moved(meaning, part.span)  # type: ignore[attr-defined]
    return replace(part, **{f.name: _replaced(getattr(part, f.name), known) for f in fields(part)})


def _moved(part: Any, span: Span) -> Any:
    """Return a tree that stands wholly at `span`."""
    if isinstance(part, Span):
        return span
    if isinstance(part, tuple):
        return tuple(_moved(item, span) for item in part)
    if not is_dataclass(part):
        return part
    return replace(part, **{f.name: _moved(getattr(part, f.name), span) for f in fields(part)})  # type: ignore[type-var]
