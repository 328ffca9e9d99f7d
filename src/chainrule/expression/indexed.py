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
from chainrule.expression.product import einsum
from chainrule.expression.shape import Shape
from chainrule.expression.sizes import Axes, Sizes, SizeVariable, shape_of, show_axes, unify
from chainrule.syntax.tree import Name, Tree

# A vector of LaTeX or MATLAB is a column, its transpose a row; "" is a vector without orientation, as in NumPy.
Side = Literal["", "column", "row"]
Builder = Callable[..., Expr]


@dataclass(frozen=True, eq=False, slots=True)
class Label:
    """The index of a Σ: its name, how far it runs, and where it is bound."""

    name: str
    extent: SizeVariable
    span: Span


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
    complaints: list[tuple[float, Tree]] = field(default_factory=list)  # what a reader would find odd, and how much
    undeclared: frozenset[str] = frozenset()

    def said(self, value: Value) -> str:
        """Quote the text of a value, shortened."""
        quote = self.text[value.span.start : value.span.end]
        return quote if len(quote) <= 40 else quote[:39] + "…"

    def is_plain_scalar(self, value: Value) -> bool:
        """True for a symbol that is a scalar only because nothing said otherwise."""
        return value.rank == 0 and isinstance(value.tree, Name) and value.tree.name in self.undeclared

    def find_odd(self, cost: float, value: Value) -> None:
        """Note that `value` looks odd as a scalar here."""
        if value.tree is not None and self.is_plain_scalar(value):
            self.complaints.append((cost, value.tree))

    def tie(self, left: Value, i: int, right: Value, j: int) -> None:
        """Unify axis i of `left` with axis j of `right`. Raises: ShapeError with both places marked."""
        if not unify(left.axes[i], right.axes[j]):
            raise self.disagreement(left, i, right, j)

    def disagreement(self, left: Value, i: int, right: Value, j: int) -> ShapeError:
        """Return the error of two values whose sizes differ."""
        a, b = self.extent_of(left, i), self.extent_of(right, j)
        return ShapeError(
            "the sizes do not agree",
            text=self.text,
            spans=(left.span, right.span),
            expected="equal sizes here",
            found=f"{a}, {b}",
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
    if not want or (have == want and e.ndim == len(want) + len(core)):
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
            elif value.axes[-k].known != 1:
                if not unify(axes[-k], value.axes[-k]):
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


# --- products
_FORMS = {  # what the neighbours are: how they multiply, and the side of a vector that results
    ("row", "column"): ("...i,...i->...", ""),
    ("row", "vector"): ("...i,...i->...", ""),
    ("vector", "column"): ("...i,...i->...", ""),
    ("column", "row"): ("...i,...j->...ij", ""),
    ("vector", "row"): ("...i,...j->...ij", ""),
    ("matrix", "column"): ("...ij,...j->...i", "column"),
    ("matrix", "vector"): ("...ij,...j->...i", "column"),
    ("row", "matrix"): ("...i,...ij->...j", "row"),
    ("vector", "matrix"): ("...i,...ij->...j", "row"),
    ("matrix", "matrix"): ("...ij,...jk->...ik", ""),
}
ODD_SCALAR = 3.0  # more than the cost of reading two symbols otherwise than by their letters


def scaled(context: Context, left: Value, right: Value) -> Value:
    """Return the product entry by entry, which a scalar factor makes of any product."""
    return elementwise(context, build.multiply, left, right)


def product(context: Context, left: Value, right: Value) -> Value:
    """Return the product of neighbours: a scalar multiple, or the matrix product with columns and rows told apart."""
    if not left.rank or not right.rank:
        if left.rank:
            context.find_odd(ODD_SCALAR, right)  # Ax is a matrix times a vector: scalars are written in front
        return scaled(context, left, right)
    forms = _form(left), _form(right)
    if forms not in _FORMS:
        raise _no_product(context, left, right, forms)
    spec, side = _FORMS[forms]
    result = contraction(context, spec, left, right)
    return replace(result, side=side) if context.oriented else result


def _form(value: Value) -> str:
    return (value.side or "vector") if value.rank == 1 else "matrix"


def _no_product(context: Context, left: Value, right: Value, forms: tuple[str, str]) -> ShapeError:
    both = set(forms) <= {"column", "row", "vector"}
    a, b = context.said(left), context.said(right)
    return ShapeError(
        f"a {forms[0]} times a {forms[1]} has no meaning",
        text=context.text,
        spans=(left.span, right.span),
        expected="neighbours whose inner sizes agree; vectors are columns",
        found=f"{a} is a {forms[0]} ({show_axes(left.axes)}), {b} is a {forms[1]} ({show_axes(right.axes)})",
        hint=f"for the dot product transpose the first ({a}^T {b}), entry by entry write ⊙ (\\odot, .*)"
        if both
        else "transpose one of them",
    )


_RANKS = {(1, 1): "...i,...i->...", (1, 2): "...i,...ij->...j", (2, 1): "...ij,...j->...i"}


def matmul(context: Context, left: Value, right: Value) -> Value:
    """Return the product as NumPy's `@` has it; in LaTeX and MATLAB as neighbours multiply."""
    for value in (left, right):
        if not value.rank:
            raise ShapeError(
                "@ needs vectors or matrices",
                text=context.text,
                spans=(value.span,),
                expected="a vector or a matrix",
                found=f"{context.said(value)} is a scalar",
                hint="write * to multiply by a scalar, or declare its shape",
            )
    if context.oriented:
        return product(context, left, right)
    return contraction(context, _RANKS.get((min(left.rank, 2), min(right.rank, 2)), "...ij,...jk->...ik"), left, right)


def dot(context: Context, left: Value, right: Value) -> Value:
    """Return the dot product of two vectors however they are turned; anything else multiplies as neighbours do."""
    if left.rank == right.rank == 1:
        return contraction(context, "...i,...i->...", left, right)
    if context.is_plain_scalar(left) and context.is_plain_scalar(right):
        context.find_odd(ODD_SCALAR, left)
        context.find_odd(ODD_SCALAR, right)
    return product(context, left, right)


def contraction(context: Context, spec: str, *values: Value) -> Value:
    """Return an Einstein sum over the last axes, such as `"...ij,...j->...i"`; leading axes are batches."""
    inputs, output = spec.split("->")
    found: dict[str, tuple[Value, int]] = {}
    groups = [group.removeprefix("...") for group in inputs.split(",")]
    for value, letters in zip(values, groups, strict=True):
        for k, letter in enumerate(letters):
            first = found.setdefault(letter, (value, k - len(letters)))
            context.tie(*first, value, k - len(letters))
    axes = tuple(found[c][0].axes[found[c][1]] for c in output.removeprefix("..."))
    core = [len(group) for group in groups]
    return gufunc(context, lambda *parts: build.contract(spec, *parts), core, axes, *values)


def transpose(context: Context, value: Value) -> Value:
    """Return the transpose; a NumPy vector is its own, a column becomes a row."""
    if value.rank == 0:
        context.find_odd(ODD_SCALAR, value)
        return value
    if value.rank == 1:
        side: Side = "column" if value.side == "row" else "row"
        return replace(value, side=side) if context.oriented else value
    count = len(value.labels)
    order = (*range(count), *reversed(range(count, count + value.rank)))
    return Value(
        tuple(reversed(value.axes)), lambda e: build.transpose(e, order), (value,), value.labels, tree=value.tree
    )


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
        return build.CATALOGUE[operator](build.transpose(e, (*order, place)))

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
