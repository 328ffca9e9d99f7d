"""Small changes of the line as it was written, for shapes that do not fit together, or where nothing else helps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, cast

from chainrule.errors import ChainruleError
from chainrule.expression.elaborate import elaborate
from chainrule.expression.node import Expr
from chainrule.expression.shape import Shape
from chainrule.proofread.edit import Kind
from chainrule.syntax.tree import Binary, Call, Formula, Name, Num, Tree, Unary

PRODUCTS = ("*", "@", "juxt", "dot", "otimes")
MOST = 300

Change = tuple[Kind, float, Tree, str]


def respelled(formula: Formula, shapes: Mapping[str, Shape]) -> Iterator[tuple[Kind, float, Expr, str]]:
    """Yield the expressions of all small changes that fit together, each with its class, its cost and a sentence."""
    changes = sorted(_changes(formula.tree, formula, shapes), key=lambda change: change[1])
    for kind, cost, tree, says in changes[:MOST]:
        try:
            yield (
                kind,
                cost,
                elaborate(replace(formula, tree=tree), cast("Mapping[str, object]", shapes)).expression,
                says,
            )
        except ChainruleError:
            continue


def _changes(tree: Tree, formula: Formula, shapes: Mapping[str, Shape]) -> Iterator[Change]:
    yield from _here(tree, formula, shapes)
    if not is_dataclass(tree):
        return
    for field in fields(tree):
        part = getattr(tree, field.name)
        if is_dataclass(part) and hasattr(part, "span"):
            for kind, cost, new, says in _changes(cast("Tree", part), formula, shapes):
                yield kind, cost + 0.01, replace(cast("Any", tree), **{field.name: new}), says
        elif isinstance(part, tuple):
            yield from _in_tuple(tree, field.name, part, formula, shapes)


def _in_tuple(
    tree: Tree, name: str, parts: tuple[Any, ...], formula: Formula, shapes: Mapping[str, Shape]
) -> Iterator[Change]:
    for k, part in enumerate(parts):
        if is_dataclass(part) and hasattr(part, "span"):
            for kind, cost, new, says in _changes(cast("Tree", part), formula, shapes):
                changed = (*parts[:k], new, *parts[k + 1 :])
                yield kind, cost + 0.01, replace(cast("Any", tree), **{name: changed}), says


def _here(tree: Tree, formula: Formula, shapes: Mapping[str, Shape]) -> Iterator[Change]:
    """The changes of one part of the tree."""
    words = formula.text[tree.span.start : tree.span.end].strip()
    if isinstance(tree, Unary) and tree.operator == "T":
        yield "transpose", 1.5, tree.argument, f"{words} should not be transposed"
    elif isinstance(tree, Name):
        yield from _other_names(tree, shapes)
    elif isinstance(tree, Binary):
        yield from _of_binary(tree, words)
    elif isinstance(tree, Call):
        yield from _of_call(tree, words)
    if not isinstance(tree, Num | Unary):
        cost = 1.5 if isinstance(tree, Name) else 1.6
        yield "transpose", cost, Unary("T", tree, tree.span), f"{words} should be transposed"


def _other_names(tree: Name, shapes: Mapping[str, Shape]) -> Iterator[Change]:
    for other in shapes:
        if other != tree.name and not other.startswith("_"):
            yield "wrong symbol", 1.9, replace(tree, name=other), f"{tree.name} in place of {other}"


def _of_binary(tree: Binary, words: str) -> Iterator[Change]:
    if tree.operator in PRODUCTS:
        order: Kind = "element-wise or matrix product"
        if tree.operator != "@":
            yield order, 1.8, replace(tree, operator="@"), f"{words} should be a matrix product"
        if tree.operator != "*":
            yield order, 1.8, replace(tree, operator="*"), f"{words} should be multiplied entry by entry"
        swapped = replace(tree, left=tree.right, right=tree.left)
        yield order, 1.85, swapped, f"the factors of {words} stand in the wrong order"
        outer = Call("outer", (tree.left, tree.right), (), tree.span, tree.mark)
        yield order, 1.9, outer, f"{words} should be an outer product"
        yield "spurious factor", 2, tree.left, f"the last factor of {words} does not belong there"
        yield "spurious factor", 2, tree.right, f"the first factor of {words} does not belong there"
    elif tree.operator in ("+", "-"):
        yield "spurious term", 2.2, tree.left, f"the last term of {words} does not belong there"


def _of_call(tree: Call, words: str) -> Iterator[Change]:
    axis: Kind = "sum, mean or axis"
    twin = {"sum": "mean", "mean": "sum"}.get(tree.function)
    if twin is None:
        return
    yield axis, 1.4, replace(tree, function=twin), f"{words}: a {tree.function} in place of a {twin}"
    keywords = dict(tree.keywords)
    for number in (0, 1):
        chosen = Num(Fraction(number), tree.span)
        for kept in (True, False):
            new = {k: v for k, v in keywords.items() if k not in ("axis", "keepdims")} | {"axis": chosen}
            if kept:
                new["keepdims"] = Name("True", tree.span)
            says = f"{words} runs over the wrong axis: it should be axis={number}" + (", kept" if kept else "")
            yield axis, 1.3, replace(tree, keywords=tuple(new.items())), says
