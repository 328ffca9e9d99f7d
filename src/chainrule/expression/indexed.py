"""Values while a formula is read: their axes, the indices of sums that run along them, and how they combine.

A value under `Σᵢ` carries `i` as a label: `yᵢ` is all of `y` with its axis labelled. Operations unite labels and
broadcast over them; `Σᵢ` sums the labelled axis out. So index notation becomes array notation without loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import chainrule.expression.build as build
from chainrule.errors import DomainError, ShapeError, Span
from chainrule.expression.node import Expr, Ones
from chainrule.expression.op import CATALOGUE
from chainrule.expression.product import einsum
from chainrule.expression.shape import Shape
from chainrule.expression.sizes import Axes, Sizes, SizeVariable, shape_of, show_axes, unify
from chainrule.expression.survey import names_in
from chainrule.syntax.tree import Index, Name, Tree

# A vector of LaTeX or MATLAB is a column, its transpose a row; "" is a vector without orientation, as in NumPy.
Side = Literal["", "column", "row"]
Builder = Callable[..., Expr]


@dataclass(frozen=True, eq=False, slots=True)
class Label:
    """The index of a Σ: its name, how many values it takes, where it is bound, and its first value."""

    name: str
    extent: SizeVariable
    span: Span
    first: int = 1


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """What a part of the formula is: its axes, and how it is built from the values of its parts, labels leading."""

    axes: Axes
    build: Builder
    parts: tuple[Value, ...] = ()
    labels: tuple[Label, ...] = ()
    side: Side = ""
    tree: Tree | None = None

    @property
    def rank(self) -> int:
        """The number of axes, labels not counted."""
        return len(self.axes)

    @property
    def span(self) -> Span:
        """The place in the text."""
        return self.tree.span if self.tree is not None else Span(0, 0)


@dataclass(slots=True)
class Context:
    """What is known while one reading of a formula is tried."""

    text: str
    oriented: bool  # vectors are columns: LaTeX and MATLAB
    sizes: Sizes = field(default_factory=Sizes)
    undeclared: frozenset[str] = frozenset()
    one_based: bool = False  # axes count from 1: MATLAB
    oddness: float = 0.0  # how odd a reader would find what is made of the undeclared names
    odd_names: set[str] = field(default_factory=set)
    summed: Axes = ()  # the axes that sums ran over, in the order of the text
    is_final: bool = False  # an error that no other reading of the letters should paper over
    wants_matrix: bool = False  # something asked for a matrix: a lower-case letter may be one

    def said(self, value: Value) -> str:
        """Quote the text of a value, shortened."""
        quote = self.text[value.span.start : value.span.end]
        return quote if len(quote) <= 40 else quote[:39] + "…"

    def is_plain_scalar(self, value: Value) -> bool:
        """True for a symbol or an entry that is a scalar only because nothing said otherwise."""
        tree = value.tree.base if isinstance(value.tree, Index) else value.tree
        return value.rank == 0 and isinstance(tree, Name) and tree.name in self.undeclared

    def find_odd(self, cost: float, value: Value) -> None:
        """Note that `value` looks odd as a scalar here, if it is one and undeclared names made it so."""
        names = names_in(value.tree) & self.undeclared if value.rank == 0 and value.tree is not None else None
        if names:
            self.oddness += cost
            self.odd_names |= names

    def tie(self, left: Value, i: int, right: Value, j: int) -> None:
        """Unify axis i of `left` with axis j of `right`. Raises: ShapeError with both places marked."""
        if not unify(left.axes[i], right.axes[j]):
            raise self.disagreement(left, i, right, j)

    def disagreement(self, left: Value, i: int, right: Value, j: int) -> ShapeError:
        """Return the error of two values whose sizes differ."""
        self.is_final = True
        a, b = self.extent_of(left, i), self.extent_of(right, j)
        if left is right:
            b = "but must be square"
        return ShapeError(
            f"{a}, {b}",
            text=self.text,
            spans=(left.span, right.span),
            expected="equal sizes",
            found=f"{left.axes[i].known} and {right.axes[j].known}",
            hint="transpose one of them, or declare the sizes equal in shapes=",
        )

    def extent_of(self, value: Value, axis: int) -> str:
        """Say `X has d columns`."""
        ways = ("entries",) if value.rank == 1 else ("rows", "columns") if value.rank == 2 else ("entries on an axis",)
        size = value.axes[axis].known
        return f"{self.said(value)} has {'?' if size is None else size} {ways[axis % value.rank % len(ways)]}"


def union(values: Sequence[Value]) -> tuple[Label, ...]:
    """Return every label of the values once, in order."""
    return tuple(dict.fromkeys(label for value in values for label in value.labels))


def expand(e: Expr, have: tuple[Label, ...], want: tuple[Label, ...], core: Shape) -> Expr:
    """Expand labels + axes of `e` to the wanted labels and core axes by ones; without labels NumPy's rules do it."""
    if not want or not e.shape or (have == want and e.ndim == len(want) + len(core)):
        return e
    ndim = len(want) + len(core)
    own = e.ndim - len(have)
    places = tuple(want.index(label) for label in have) + tuple(range(ndim - own, ndim))
    shape = tuple(label.extent.size for label in want) + core
    missing = tuple(k for k in range(ndim) if k not in places)
    if not missing:
        return einsum([e], [places], tuple(range(ndim)))
    return einsum([e, Ones(tuple(shape[k] for k in missing))], [places, missing], tuple(range(ndim)))


def elementwise(context: Context, function: Builder, *values: Value) -> Value:
    """Return the value of an element-wise function of values, broadcast against each other."""
    return gufunc(context, function, [0] * len(values), (), *values)


def quotient(context: Context, left: Value, right: Value) -> Value:
    """Return left / right entry by entry; the divisor is inverted before it is expanded, so that 1/Σ stays small."""
    inverse = replace(elementwise(context, lambda e: build.divide(1, e), right), tree=right.tree)
    return elementwise(context, build.multiply, left, inverse)


def gufunc(context: Context, function: Builder, core: Sequence[int], output: Axes, *values: Value) -> Value:
    """Return a function of values whose last `core[k]` axes belong to it; what leads is broadcast as batch axes."""
    labels = union(values)
    leads = [replace(v, axes=v.axes[: v.rank - n]) for v, n in zip(values, core, strict=True)]
    batch = broadcast(context, leads)
    side = common_side(context, values) if not any(core) and not output else ""

    def make(*parts: Expr) -> Expr:
        lead = shape_of(batch)
        expanded = [
            expand(part, value.labels, labels, lead + shape_of(value.axes[value.rank - n :]))
            for part, value, n in zip(parts, values, core, strict=True)
        ]
        return function(*expanded)

    axes = batch + output
    default: Side = "column" if context.oriented and len(axes) == 1 else ""
    return Value(axes, make, tuple(values), labels, side or default)


def broadcast(context: Context, values: Sequence[Value]) -> Axes:
    """Return the common axes, unifying sizes from the last axis backwards; only a declared 1 expands.

    Raises: ShapeError; in LaTeX and MATLAB also for a vector with a matrix, which have no element-wise meaning there.
    """
    widest = max(values, key=lambda v: v.rank)
    axes = list(widest.axes)
    for value in values:
        if context.oriented and 0 < value.rank < widest.rank:
            raise rank_mismatch(context, value, widest)
        for k in range(1, value.rank + 1):
            if axes[-k].known == 1:
                axes[-k] = value.axes[-k]
            elif value.axes[-k].known != 1 and not unify(axes[-k], value.axes[-k]):
                raise context.disagreement(widest, -k, value, -k)
    return tuple(axes)


def rank_mismatch(context: Context, a: Value, b: Value) -> ShapeError:
    """Return the error of a vector combined entry by entry with a matrix."""
    return ShapeError(
        "a vector and a matrix do not combine entry by entry",
        text=context.text,
        spans=(a.span, b.span),
        expected="equal shapes, or a scalar",
        found=f"{show_axes(a.axes)} and {show_axes(b.axes)}",
        hint=r"write the rows out, as in \mathbf{1} b^\top, or use NumPy-style text, which broadcasts",
    )


def common_side(context: Context, values: Sequence[Value]) -> Side:
    """Return whether the result is a row or a column. Raises: ShapeError if a row meets a column."""
    sided = {v.side: v for v in values if v.rank == 1 and v.side}
    if len(sided) > 1:
        raise ShapeError(
            "a row and a column do not combine entry by entry",
            text=context.text,
            spans=tuple(v.span for v in sided.values()),
            expected="two rows or two columns",
            found="a row and a column",
            hint="transpose one of them",
        )
    return next(iter(sided), "")


# --- indices
def indexed(context: Context, value: Value, indices: Sequence[Label | None], tree: Tree) -> Value:
    """Return entries or rows of a value: a label names its axis, None keeps the axis.

    Raises: ShapeError for more indices than axes, or an index that runs further than its axis.
    """
    if len(indices) > value.rank:
        raise ShapeError(
            "more indices than axes",
            text=context.text,
            spans=(tree.span,),
            expected=f"at most {value.rank} for {context.said(value)} ({show_axes(value.axes)})",
            found=str(len(indices)),
        )
    padded = [*indices, *([None] * (value.rank - len(indices)))]
    for k, label in enumerate(padded):
        if label is not None and not unify(label.extent, value.axes[k]):
            raise ShapeError(
                "an index runs over another size than the axis it stands on",
                text=context.text,
                spans=(label.span, tree.span),
                expected="equal sizes",
                found=f"{label.name} runs to {label.extent.known}, {context.extent_of(value, k)}",
            )
    keys = [*value.labels, *(label or k for k, label in enumerate(padded))]
    labels = tuple(dict.fromkeys(key for key in keys if isinstance(key, Label)))
    kept = [k for k, label in enumerate(padded) if label is None]
    number = {key: n for n, key in enumerate([*labels, *kept])}

    def make(e: Expr) -> Expr:
        return einsum([e], [tuple(number[key] for key in keys)], tuple(range(len(number))))

    return Value(tuple(value.axes[k] for k in kept), make, (value,), labels)


def reduced(context: Context, value: Value, label: Label, operator: str) -> Value:
    """Return Σ, Π, max or min of a value over the index `label`."""
    if label not in value.labels:
        return _repeated(context, value, label, operator)
    place = value.labels.index(label)
    labels = tuple(other for other in value.labels if other is not label)

    def make(e: Expr) -> Expr:
        if operator == "sum":
            return build.sum(e, axis=place)
        order = tuple(k for k in range(e.ndim) if k != place)
        return CATALOGUE[operator](build.transpose(e, (*order, place)))

    return Value(value.axes, make, (value,), labels, value.side)


def _repeated(context: Context, value: Value, label: Label, operator: str) -> Value:
    """Σᵢ c = N c and Πᵢ c = c^N: what does not depend on the index is repeated."""
    count = Value((), lambda: build.size(label.extent.size))
    if operator == "sum":
        return elementwise(context, build.multiply, count, value)
    return elementwise(context, build.power, value, count) if operator == "prod" else value


def realise(value: Value, text: str) -> Expr:
    """Build the expression, parts before wholes; an error gets the place of the innermost part that raised it."""
    made: dict[int, Expr] = {}
    stack = [(value, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in made:
            continue
        if not ready:
            stack.append((node, True))
            stack.extend((part, False) for part in node.parts)
            continue
        try:
            made[id(node)] = node.build(*(made[id(part)] for part in node.parts))
        except (ShapeError, DomainError) as error:
            raise error.at(text, node.span) from None
    return made[id(value)]
