"""What stands in an index: `i` of a Σ, `i+1`, a whole number, a slice. Slices and numbers take parts of the array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

import chainrule.expression.selection as selection
from chainrule.errors import DomainError, ShapeError
from chainrule.expression.application import literal, size_of
from chainrule.expression.gathering import Computed, Positions, is_running, taken
from chainrule.expression.indexed import Context, Label, Value, indexed
from chainrule.expression.node import Expr
from chainrule.expression.rearranging import expand_dims
from chainrule.expression.shape import Size
from chainrule.expression.sizes import SizeVariable, combined, difference, shifted, unify
from chainrule.expression.survey import sized_names
from chainrule.syntax.tree import Binary, Index, Name, Slice, Tree

NEVER_SIZES = frozenset("ij")  # letters that are indices, whose sum is missing


def picked(context: Context, labels: Sequence[Label], whole: Value, tree: Index, computed: Computed) -> Value:
    """Return the entries, rows or parts of a value that an index asks for; `computed` says which are positions.

    Raises: ShapeError for more indices than axes, DomainError for an index that is not bound by a sum.
    """
    if any(isinstance(index, Slice) and index.is_new for index in tree.indices):
        own = tuple(index for index in tree.indices if not (isinstance(index, Slice) and index.is_new))
        inner = picked(context, labels, whole, replace(tree, indices=own), computed) if own else whole
        return with_new_axes(context, inner, tree)
    if len(tree.indices) > whole.rank:
        raise ShapeError(
            "more indices than axes",
            text=context.text,
            spans=(tree.span,),
            expected=f"at most {whole.rank} for {context.said(whole)}",
            found=str(len(tree.indices)),
        )
    value, found = whole, list[Label | Positions | None]()
    for axis in reversed(range(len(tree.indices))):
        index = tree.indices[axis]
        if isinstance(index, Slice):
            value = _sliced(context, value, axis, index, tree.one_based)
            found.insert(0, None)
        elif (running := _running(context, labels, index)) is not None:
            label, offset = running
            value = _run(context, value, axis, label, offset)
            found.insert(0, label)
        elif is_running(index):
            found.insert(0, Positions(None, index))
        elif (positions := computed(index)) is not None:
            found.insert(0, Positions(positions, index))
        else:
            value = _entry(context, value, axis, index, tree.one_based)
    value, named = taken(context, replace(value, tree=whole.tree), found)
    return indexed(context, replace(value, tree=whole.tree), named, tree)


def with_new_axes(context: Context, value: Value, tree: Index) -> Value:
    """Return the value that was picked with the axes of one entry that `None` asks for.

    Raises: DomainError beside positions, whose axes move.
    """
    place, axes = 0, list[int]()
    for index in tree.indices:
        if isinstance(index, Slice):
            axes += [place] if index.is_new else []
            place += 1
        elif literal(index) is None and not isinstance(index, Name | Binary):
            message = "None stands beside slices and entries only"
            raise DomainError(message, text=context.text, spans=(tree.span,), expected="x[:, None]")
    shift = len(value.labels)

    def make(e: Expr) -> Expr:
        return expand_dims(e, [axis + shift for axis in axes])

    sizes = list(value.axes)
    for axis in axes:
        sizes.insert(axis, SizeVariable(1))
    return Value(tuple(sizes), make, (value,), value.labels, "", value.tree)


# --- an index of a Σ
def _running(context: Context, labels: Sequence[Label], index: Tree) -> tuple[Label, int] | None:
    """Return the label and the number added to it, or None if the index is bound by no sum.

    Raises: DomainError for another use of the label, such as 2i.
    """
    names = {name.name for name in sized_names(index)}
    label = next((label for label in reversed(labels) if label.name in names), None)
    if label is None:
        return None
    if isinstance(index, Name):
        return label, 0
    if isinstance(index, Binary) and isinstance(index.left, Name) and index.left.name == label.name:
        number = literal(index.right)
        if index.operator in "+-" and number is not None and number.denominator == 1:
            return label, int(number if index.operator == "+" else -number)
    raise DomainError(
        "an index of a sum stands in an index alone, or with a whole number added",
        text=context.text,
        spans=(index.span,),
        expected=f"{label.name}, {label.name} + 1 or {label.name} - 1",
        found=context.text[index.span.start : index.span.end],
        hint="in NumPy text, x[::2] are the entries in steps of 2, and x[::-1] those from the end",
    )


def _run(context: Context, value: Value, axis: int, label: Label, offset: int) -> Value:
    """Return the entries that the index runs over: i = first … last is entries first − 1 + offset … of the axis."""
    start = label.first - 1 + offset
    last = shifted(label.extent, start)  # how many entries of the axis there have to be, at least
    own = value.axes[axis]
    if own.is_free:
        whole = label.extent.root if isinstance(label.extent.root.value, str) else last
        beyond = difference(whole, last).known
        unify(own, last if isinstance(beyond, int) and beyond < 0 else whole)
    if start < 0:
        raise DomainError("an index reaches before the first entry", text=context.text, spans=(label.span,))
    spare = difference(own, last).known
    if start == 0 and not (isinstance(spare, int) and spare > 0):
        return value
    return _taken(value, axis, SizeVariable(start), label.extent)


# --- parts
def _taken(value: Value, axis: int, start: SizeVariable, length: SizeVariable) -> Value:
    place = axis + len(value.labels)

    def make(e: Expr) -> Expr:
        return selection.take(e, place, start.size, length.size)

    axes = (*value.axes[:axis], length, *value.axes[axis + 1 :])
    return Value(axes, make, (value,), value.labels, value.side, value.tree)


def _entry(context: Context, value: Value, axis: int, index: Tree, one_based: bool) -> Value:
    for name in sized_names(index):
        if name.name not in context.sizes.named and (name is index or name.name in NEVER_SIZES):
            raise DomainError(
                f"the index {name.name} is not bound by a sum",
                text=context.text,
                spans=(name.span,),
                expected="an index of a surrounding Σ, or a whole number",
                found=name.name,
                hint=_hint_of_index(context, name.name, name is index),
            )
    place = shifted(_end(context, value.axes[axis], index), -1 if one_based else 0)
    position = axis + len(value.labels)

    def make(e: Expr) -> Expr:
        return selection.entry(e, position, place.size)

    axes = value.axes[:axis] + value.axes[axis + 1 :]
    return Value(axes, make, (value,), value.labels, "", value.tree)


def _hint_of_index(context: Context, name: str, alone: bool) -> str:
    if context.oriented and not context.one_based:
        return f"write \\sum_{{{name}=1}}^N, or say what the symbol stands for with symbols="
    return f"say that {name} is an array of positions: shapes={{{name!r}: 'N'}}" + ", or call it idx" * alone


def _sliced(context: Context, value: Value, axis: int, index: Slice, one_based: bool) -> Value:
    """a:b without b as in Python; in LaTeX and MATLAB entries count from 1 and b belongs to it."""
    if index.start is None and index.stop is None and index.step is None:
        return value
    whole = value.axes[axis]
    step = 1 if index.step is None else _step(context, index.step)
    first, beyond = (SizeVariable(0), whole) if step > 0 else (shifted(whole, -1), SizeVariable(-1))
    start = first if index.start is None else _end(context, whole, index.start)
    if one_based and index.start is not None:
        start = shifted(start, -1)
    stop = beyond if index.stop is None else _end(context, whole, index.stop)
    length = difference(stop, start) if step > 0 else difference(start, stop)
    if step == 1:
        return _taken(value, axis, start, length)
    return _in_steps(value, axis, start, length, step)


def _step(context: Context, tree: Tree) -> int:
    number = literal(tree)
    if number is None or number == 0 or number.denominator != 1:
        message = "a slice goes in whole steps"
        raise DomainError(message, text=context.text, spans=(tree.span,), expected="x[a:b:2] or x[::-1]")
    return int(number)


def _in_steps(value: Value, axis: int, start: SizeVariable, whole: SizeVariable, step: int) -> Value:
    place = axis + len(value.labels)
    length = whole if step == -1 else combined(_counted(step), whole)

    def make(e: Expr) -> Expr:
        return selection.take_steps(e, place, start.size, length.size, step)

    axes = (*value.axes[:axis], length, *value.axes[axis + 1 :])
    return Value(axes, make, (value,), value.labels, value.side, value.tree)


@cache
def _counted(step: int) -> Callable[[Size], Size]:
    """One function for a step, so that sizes made by it are seen to be equal."""
    return partial(selection.steps_in, step=step)


def _end(context: Context, whole: SizeVariable, tree: Tree) -> SizeVariable:
    """Return the place that is written; a negative number counts from the end."""
    number = literal(tree)
    if number is not None and number < 0 and number.denominator == 1:
        return shifted(whole, int(number))
    return size_of(context, tree)
