"""Rules of application: how the shapes of a function's arguments go, and which constructor builds the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import chainrule.expression.build as build
import chainrule.expression.indexed as indexed
import chainrule.expression.multiplication as multiplication
from chainrule.errors import ChainruleError, DomainError, FormulaSyntaxError, ShapeError
from chainrule.expression.extent import plus, times
from chainrule.expression.indexed import Context, Value
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE, Op
from chainrule.expression.sizes import Axes, SizeVariable, combined, difference, shifted, unify
from chainrule.syntax.tree import Binary, Call, Name, Num, Tree, Unary
from chainrule.syntax.tree import Sequence as Listed


@dataclass(slots=True)
class Use:
    """One application: the call as written, its arguments' values, and the context it stands in."""

    context: Context
    call: Call
    values: tuple[Value, ...]

    def keyword(self, name: str) -> Tree | None:
        """Return what was written after `name=`."""
        return next((tree for key, tree in self.call.keywords if key == name), None)

    def wrong(self, message: str, tree: Tree | None = None, **details: str) -> FormulaSyntaxError:
        """Return an error at the function's name, or at an argument."""
        span = self.call.mark if tree is None else tree.span
        return FormulaSyntaxError(message, text=self.context.text, spans=(span,), **details)


Rule = Callable[[Use], Value]


def literal(tree: Tree) -> Fraction | None:
    """Return the number that is written, or None if it is not a plain number."""
    if isinstance(tree, Num):
        return tree.value
    if isinstance(tree, Unary) and tree.operator in "+-":
        inner = literal(tree.argument)
        return None if inner is None else -inner if tree.operator == "-" else inner
    if isinstance(tree, Binary) and tree.operator == "/":
        a, b = literal(tree.left), literal(tree.right)
        return a / b if a is not None and b else None
    return None


def whole(use: Use, tree: Tree) -> int:
    """Return the integer that is written. Raises: FormulaSyntaxError."""
    number = literal(tree)
    if number is None or number.denominator != 1:
        raise use.wrong("a whole number is needed here", tree, hint="axis=0 is the rows, axis=1 the columns")
    return int(number)


def axes_of(use: Use, value: Value) -> tuple[int, ...]:
    """Return the axes that `axis=` (or a second argument) names, as non-negative numbers; all without it."""
    tree = use.keyword("axis")
    shift = 0
    if tree is None and len(use.call.arguments) > 1:
        tree, shift = use.call.arguments[1], int(use.context.one_based)
    if tree is None or (isinstance(tree, Name) and tree.name == "None"):
        return tuple(range(value.rank))
    listed = tree.items if isinstance(tree, Listed) else (tree,)
    try:
        return build.normal_axes(tuple(whole(use, item) - shift for item in listed), value.rank)
    except ChainruleError as error:
        raise error.at(use.context.text, tree.span) from None


def keeps_dims(use: Use) -> bool:
    """Return whether `keepdims=True` was written."""
    tree = use.keyword("keepdims")
    return tree is not None and (tree.name == "True" if isinstance(tree, Name) else literal(tree) == 1)


# --- rules
def pointwise(function: Callable[..., Expr]) -> Rule:
    """A constructor that works entry by entry."""
    return lambda use: indexed.elementwise(use.context, function, *use.values)


def reduction(function: Callable[..., Expr]) -> Rule:
    """A constructor such as `sum`, with `axis=` and `keepdims=`."""

    def rule(use: Use) -> Value:
        value = use.values[0]
        use.context.find_odd(multiplication.ODD_SCALAR, value)
        axes, keep = axes_of(use, value), keeps_dims(use)
        shift = len(value.labels)
        shifted = tuple(axis + shift for axis in axes)
        use.context.summed += tuple(value.axes[k] for k in axes)
        one = use.context.sizes.of(1)
        left = tuple(one if k in axes else axis for k, axis in enumerate(value.axes) if keep or k not in axes)
        side = "column" if use.context.oriented and len(left) == 1 else ""
        return Value(left, lambda e: function(e, shifted, keep), (value,), value.labels, side)  # type: ignore[arg-type]

    return rule


def contracted(spec: str) -> Rule:
    """An Einstein sum over all axes of the arguments (the dots of `spec` are for the indices of a Σ)."""

    def rule(use: Use) -> Value:
        groups = spec.split("->")[0].split(",")
        for value, group in zip(use.values, groups, strict=True):
            need_rank(use, value, len(group.removeprefix("...")), exactly=True)
        return multiplication.contraction(use.context, spec, *use.values)

    return rule


def need_rank(use: Use, value: Value, rank: int, exactly: bool = False) -> None:
    """Check that a value has axes enough. Raises: ShapeError."""
    if value.rank < rank or (exactly and value.rank > rank):
        use.context.wants_matrix = rank == 2
        raise ShapeError(
            f"{use.call.function} needs {('a scalar', 'a vector', 'a matrix')[rank]}",
            text=use.context.text,
            spans=(value.span,),
            expected=("", "a vector", "a matrix")[rank],
            found=f"{use.context.said(value)} is {('a scalar', 'a vector', 'a matrix', 'more')[min(value.rank, 3)]}",
        )


def by_signature(op: Op) -> Rule:
    """An operation of the catalogue, by its gufunc signature; one that reduces an axis reduces all unless told."""

    def rule(use: Use) -> Value:
        sizes: dict[str, tuple[Value, int]] = {}
        for value, core in zip(use.values, op.core.inputs, strict=True):
            need_rank(use, value, len(core))
            for k, letter in enumerate(core):
                first = sizes.setdefault(letter, (value, k - len(core)))
                use.context.tie(*first, value, k - len(core))
        output = tuple(sizes[c][0].axes[sizes[c][1]] for c in op.core.output)
        return indexed.gufunc(use.context, op, [len(c) for c in op.core.inputs], output, *use.values)

    if op.signature == "(n)->()":
        return along(rule, reduces=True)
    return along(rule) if op.signature == "(n)->(n)" else rule


def of_last_axis(function: Callable[..., Expr]) -> Rule:
    """A constructor (n)->(n) that works along the last axis, or along the axis asked for; others broadcast to it."""

    def rule(use: Use) -> Value:
        value, *others = use.values
        need_rank(use, value, 1)
        for other in others:
            if other.rank:
                use.context.tie(value, -1, other, -1)
        core = [1, *(min(other.rank, 1) for other in others)]
        return indexed.gufunc(use.context, function, core, (value.axes[-1],), value, *others)

    return along(rule)


def along(rule: Rule, reduces: bool = False) -> Rule:
    """Let a rule for the last axis work along the axes asked for: they are moved to the end and back.

    Without `axis=` a reduction takes all axes, anything else the last.
    """

    def moved(use: Use) -> Value:
        value, *others = use.values
        need_rank(use, value, 1)
        axes = axes_of(use, value) if reduces or use.keyword("axis") else (value.rank - 1,)
        for axis in sorted(axes, reverse=True):
            one = replace(use, values=(_moved(value, axis, value.rank - 1), *others))
            value = rule(one) if reduces else _moved(rule(one), value.rank - 1, axis)
        return _kept(use, value, axes) if reduces and keeps_dims(use) else value

    return moved


def _kept(use: Use, value: Value, axes: tuple[int, ...]) -> Value:
    """Give reduced axes back, with one entry each."""
    for axis in sorted(axes):
        shift = len(value.labels)
        spec = (*range(axis + shift), value.rank + shift, *range(axis + shift, value.rank + shift))

        def make(e: Expr, order: tuple[int, ...] = spec) -> Expr:
            return build.transpose(build.contract("...,i->...i", e, build.ones(1)), order)

        left = (*value.axes[:axis], use.context.sizes.of(1), *value.axes[axis:])
        value = Value(left, make, (value,), value.labels)
    return value


def _moved(value: Value, source: int, target: int) -> Value:
    """Return the value with one axis moved to another place."""
    if source == target:
        return value
    order = [k for k in range(value.rank) if k != source]
    order.insert(target, source)
    shift = len(value.labels)
    whole_order = (*range(shift), *(k + shift for k in order))
    axes = tuple(value.axes[k] for k in order)
    return Value(axes, lambda e: build.transpose(e, whole_order), (value,), value.labels, tree=value.tree)


def extreme(pairwise: str, reducing: str) -> Rule:
    """max and min: of several arguments entry by entry, of one argument over its entries."""

    def rule(use: Use) -> Value:
        by_axis = use.keyword("axis") is not None
        if len(use.values) == 1 or by_axis:
            return by_signature(CATALOGUE[reducing])(use)
        value = use.values[0]
        for other in use.values[1:]:
            value = indexed.elementwise(use.context, CATALOGUE[pairwise], value, other)
        return value

    return rule


def unknown(use: Use, message: str, hint: str = "") -> DomainError:
    """Return the error of something that is not supported."""
    return DomainError(message, text=use.context.text, spans=(use.call.span,), hint=hint)


def find_residual(context: Context, value: Value) -> None:
    """In ‖Ax − b‖ the b is a vector: note a plain scalar there as odd. (In ‖y − Xw − b‖ it may well be a scalar.)"""
    tree = value.tree
    if value.rank != 1 or not isinstance(tree, Binary) or tree.operator != "-":
        return
    single = not (isinstance(tree.left, Binary) and tree.left.operator in "+-")
    if single and context.is_plain_scalar(value.parts[1]):
        context.find_odd(2.0, value.parts[1])


def absolute(use: Use) -> Value:
    """|x| entry by entry; but |A| in LaTeX is the determinant, unless A is known not to be square."""
    value = use.values[0]
    written = use.context.text[use.call.mark.start : use.call.mark.end]
    sizes = {axis.known or axis.root for axis in value.axes}
    is_square = len(sizes) == 1 or any(axis.known is None for axis in value.axes)
    if use.context.oriented and "abs" not in written and value.rank == 2 and is_square:
        return by_signature(CATALOGUE["det"])(use)
    return pointwise(CATALOGUE["abs"])(use)


def diagonal(use: Use) -> Value:
    """diag(v) is the matrix with v on its diagonal, diag(M) the diagonal of M."""
    value = use.values[0]
    if value.rank > 1:
        return contracted("...ii->...i")(use)
    need_rank(use, value, 1)
    use_axes = (value.axes[0], value.axes[0])
    return indexed.gufunc(use.context, build.diagonal_matrix, [1], use_axes, value)


def transposed(use: Use) -> Value:
    """transpose(A)."""
    return multiplication.transpose(use.context, use.values[0])


def dotted(use: Use) -> Value:
    """dot(a, b): the dot product of two vectors, else the matrix product."""
    for value in use.values:
        use.context.find_odd(multiplication.ODD_SCALAR, value)
    return multiplication.dot(use.context, *use.values)


def size_of(context: Context, tree: Tree) -> SizeVariable:
    """Return the size that is written: a number, a name, a sum or product of them. Raises: FormulaSyntaxError."""
    number = literal(tree)
    if number is not None and number.denominator == 1 and number >= 0:
        return context.sizes.of(int(number), tree.span)
    if isinstance(tree, Name):
        return context.sizes.of(tree.name, tree.span)
    if isinstance(tree, Binary) and tree.operator in _SIZES:
        a, b = size_of(context, tree.left), size_of(context, tree.right)
        return _SIZES[tree.operator](a, b)
    raise FormulaSyntaxError("a size is needed here", text=context.text, spans=(tree.span,), expected="n, n - 1, or 3")


def _sum_of_sizes(a: SizeVariable, b: SizeVariable) -> SizeVariable:
    if isinstance(b.known, int):
        return shifted(a, b.known)
    return shifted(b, a.known) if isinstance(a.known, int) else combined(plus, a, b)


_SIZES: dict[str, Callable[[SizeVariable, SizeVariable], SizeVariable]] = {
    "+": _sum_of_sizes,
    "-": difference,
    "*": partial(combined, times),
    "juxt": partial(combined, times),
}


def filled(make: Callable[..., Expr], least: int) -> Rule:
    """ones, zeros and eye: of the sizes given, or of sizes that the context decides."""

    def rule(use: Use) -> Value:
        trees = [item for a in use.call.arguments for item in (a.items if isinstance(a, Listed) else (a,))]
        axes: Axes = tuple(size_of(use.context, tree) for tree in trees)
        return constant_array(use.context, make, axes or tuple(use.context.sizes.fresh() for _ in range(least)))

    return rule


def constant_array(context: Context, make: Callable[..., Expr], axes: Axes) -> Value:
    """Return `make(*sizes)`, an array of constants."""
    side = "column" if context.oriented and len(axes) == 1 else ""
    return Value(axes, lambda: make(*(axis.size for axis in axes)), side=side)  # type: ignore[arg-type]


def identity(axis: SizeVariable) -> Value:
    """Return the identity matrix of a size."""
    return Value((axis, axis), lambda: build.eye(axis.size))


def eye(use: Use) -> Value:
    """eye(n), or the identity whose size the context decides."""
    trees = use.call.arguments
    first = size_of(use.context, trees[0]) if trees else use.context.sizes.fresh()
    if len(trees) == 2 and not unify(size_of(use.context, trees[1]), first):
        raise use.wrong("an identity matrix is square", trees[1])
    return identity(first)


def repeated(rank: int) -> Rule:
    """MATLAB's `vector(c)` and `matrix(c)`: an array with c everywhere, its size decided by the context."""

    def rule(use: Use) -> Value:
        need = use.values[0]
        axes = tuple(use.context.sizes.fresh() for _ in range(rank))
        ones = constant_array(use.context, build.ones, axes)
        return indexed.elementwise(use.context, build.multiply, ones, need)

    return rule
