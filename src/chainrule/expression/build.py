"""The constructors people use: they broadcast as NumPy does, and build products, sums and operations.

Below this module there is no implicit broadcasting: `x + b` is `x + 1⃗ b`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any

from chainrule.errors import DomainError, ShapeError
from chainrule.expression.node import (
    ONE,
    Expr,
    Identity,
    Number,
    Ones,
    Symbol,
    is_zero,
)
from chainrule.expression.node import zeros as zero_of
from chainrule.expression.op import CATALOGUE
from chainrule.expression.power import constant_value, power_of
from chainrule.expression.power import power as power_op
from chainrule.expression.product import einsum, size_number
from chainrule.expression.shape import Shape, Size, as_shape, as_size, exact, show_shape
from chainrule.expression.total import add_terms, scale

Axis = int | tuple[int, ...] | None


FACTS = frozenset(
    {"symmetric", "diagonal", "orthogonal", "positive definite", "positive", "one-hot", "sums to one", "mask"}
)


# --- leaves
def symbol(name: str, shape: object = (), *facts: str) -> Expr:
    """Return the variable `name` of a shape (`"d"`, `("N", "d")`, `()`); facts such as "symmetric" may follow.

    Raises: DomainError for a name that is no identifier, or a fact that nothing here knows how to use.
    """
    if not name.isidentifier():
        raise DomainError(f"a symbol is named by an identifier, not {name!r}", hint="use letters, digits and _")
    if unknown := sorted({*facts} - FACTS):
        raise DomainError(
            f"{unknown[0]!r} is no known fact about {name}", expected="one of " + ", ".join(sorted(FACTS))
        )
    return Symbol(name, as_shape(shape), frozenset(facts))


def scalar(name: str, *facts: str) -> Expr:
    """Return a scalar variable."""
    return symbol(name, (), *facts)


def vector(name: str, size: Size, *facts: str) -> Expr:
    """Return a vector variable with `size` entries."""
    return symbol(name, (size,), *facts)


def matrix(name: str, rows: Size, columns: Size, *facts: str) -> Expr:
    """Return a matrix variable of rows × columns."""
    return symbol(name, (rows, columns), *facts)


def ones(*sizes: Size) -> Expr:
    """Return the array of ones of that shape."""
    return Ones(tuple(as_size(s) for s in sizes)) if sizes else ONE


def zeros(*sizes: Size) -> Expr:
    """Return the array of zeros of that shape."""
    return zero_of(tuple(as_size(s) for s in sizes))


def eye(size: Size) -> Expr:
    """Return the identity matrix."""
    return Identity(as_size(size))


def size(name: Size) -> Expr:
    """Return a size as a scalar: the `N` of `1/N`."""
    return size_number(name)


def as_expr(value: Any) -> Expr:
    """Return `value` as an expression; numbers become exact constants.

    Raises: DomainError for an array (give it a name and a shape, and pass its values later).
    """
    if isinstance(value, Expr):
        return value
    if isinstance(value, Integral):
        return Number(int(value))
    if isinstance(value, Rational):
        return Number(exact(Fraction(int(value.numerator), int(value.denominator))))
    if isinstance(value, Real):
        return Number(exact(float(value)))
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return as_expr(value.item())
    raise DomainError(
        f"cannot put {type(value).__name__} into an expression",
        expected="an expression or a number",
        hint="name the array, A = cr.matrix('A', 'm', 'n'), and pass its values to .eval or the compiled function",
    )


# --- broadcasting
def broadcast_shapes(left: Shape, right: Shape) -> Shape:
    """Return NumPy's common shape; sizes are equal by name, and only the size 1 expands.

    Raises: ShapeError.
    """
    n = max(len(left), len(right))
    a, b = (1,) * (n - len(left)) + left, (1,) * (n - len(right)) + right
    if any(s != t and 1 not in (s, t) for s, t in zip(a, b, strict=True)):
        raise ShapeError(
            f"shapes {show_shape(left)} and {show_shape(right)} do not go together",
            expected="equal sizes on each axis, or a scalar",
            found=f"{show_shape(left)} and {show_shape(right)}",
        )
    return tuple(t if s == 1 else s for s, t in zip(a, b, strict=True))


def broadcast(e: Expr, shape: Shape) -> Expr:
    """Expand `e` to `shape` with explicit ones: the scalar expansion 1⃗b of the textbooks, and its like for axes."""
    if e.shape == shape:
        return e
    offset = len(shape) - len(e.shape)
    stretched = [k for k, s in enumerate(e.shape) if s != shape[offset + k]]
    # an axis of size 1 is summed away (a sum of one term) and expanded anew
    sub = tuple(len(shape) + k if k in stretched else offset + k for k in range(len(e.shape)))
    return einsum([e, Ones(shape)], [sub, tuple(range(len(shape)))], tuple(range(len(shape))))


def _aligned(*values: Any) -> list[Expr]:
    exprs = [_operand(v, values) for v in values]
    shape: Shape = ()
    for e in exprs:
        shape = broadcast_shapes(shape, e.shape)
    return [broadcast(e, shape) for e in exprs]


def _operand(value: Any, beside: Sequence[Any]) -> Expr:
    """Read an operand. A size's name is a number beside an expression that has it: `sum(e) / X.shape[0]` is a mean."""
    if isinstance(value, str):
        sizes = {s for e in beside if isinstance(e, Expr) for symbol in e.symbols.values() for s in symbol.shape}
        if value in sizes:
            return size_number(value)
    return as_expr(value)


# --- arithmetic
def add(a: Any, b: Any) -> Expr:
    """Return a + b."""
    x, y = _aligned(a, b)
    return add_terms([(1, x), (1, y)], x.shape)


def subtract(a: Any, b: Any) -> Expr:
    """Return a − b."""
    x, y = _aligned(a, b)
    return add_terms([(1, x), (-1, y)], x.shape)


def negative(a: Any) -> Expr:
    """Return −a."""
    return scale(-1, as_expr(a))


def multiply(a: Any, b: Any) -> Expr:
    """Return the element-wise product."""
    x, y = _aligned(a, b)
    axes = tuple(range(x.ndim))
    return einsum([x, y], [axes, axes], axes)


def divide(a: Any, b: Any) -> Expr:
    """Return the element-wise quotient a · b⁻¹."""
    divisor = _operand(b, (a,))
    if is_zero(divisor):
        raise DomainError("division by zero")
    return multiply(a, power_of(divisor, -1))


def power(a: Any, k: Any) -> Expr:
    """Return the element-wise power."""
    exponent = as_expr(k)
    c = constant_value(exponent)
    base = as_expr(a)
    if c is not None and exponent.ndim <= base.ndim:
        if is_zero(base) and c < 0:
            raise DomainError("zero to a negative power is a division by zero")
        return power_of(base, c)
    return power_op(base, exponent)


def matmul(a: Any, b: Any) -> Expr:
    """Return the product as NumPy's `@` has it: matrix–matrix, matrix–vector, or the dot product of two vectors."""
    x, y = as_expr(a), as_expr(b)
    if not x.shape or not y.shape:
        raise ShapeError("@ needs vectors or matrices", found="a scalar", hint="write * to multiply by a scalar")
    if x.shape[-1] != y.shape[-2 if y.ndim > 1 else 0]:
        raise mismatch(x, y)
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    k = len(batch)
    left = ((k,) if x.ndim > 1 else ()) + (k + 1,)
    right = (k + 1,) + ((k + 2,) if y.ndim > 1 else ())
    x = broadcast(x, batch + x.shape[-2:]) if x.ndim > 1 else x
    y = broadcast(y, batch + y.shape[-2:]) if y.ndim > 1 else y
    lead = tuple(range(k))
    out = lead + left[:-1] + right[1:]
    return einsum([x, y], [(lead if x.ndim > 1 else ()) + left, (lead if y.ndim > 1 else ()) + right], out)


def mismatch(x: Expr, y: Expr) -> ShapeError:
    """Return the error of a matrix product whose inner sizes differ."""
    columns = f"{x.shape[-1]} " + ("columns" if x.ndim > 1 else "entries")
    rows = f"{y.shape[-2 if y.ndim > 1 else 0]} " + ("rows" if y.ndim > 1 else "entries")
    return ShapeError(
        f"a product of {show_shape(x.shape)} with {show_shape(y.shape)} does not exist",
        expected="as many columns on the left as entries (rows) on the right",
        found=f"{columns} on the left, {rows} on the right",
        hint="transpose one of them, or give the sizes the same name",
    )


def transpose(a: Any, axes: Sequence[int] | None = None) -> Expr:
    """Return `a` with its axes reversed, or in the order given; a vector is its own transpose."""
    x = as_expr(a)
    order = tuple(reversed(range(x.ndim))) if axes is None else tuple(k % x.ndim for k in axes)
    return einsum([x], [tuple(range(x.ndim))], order) if x.ndim > 1 else x


# --- reductions
def normal_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return the axes as non-negative numbers. Raises: ShapeError for an axis that is not there."""
    axes = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    for k in axes:
        if not -ndim <= k < ndim:
            expected = f"an axis from {-ndim} to {ndim - 1}" if ndim else "an array: a number has no axes"
            raise ShapeError(f"there is no axis {k}", expected=expected, found=f"axis={k}")
    return tuple(k % ndim for k in axes)


def sum(a: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """Return the sum over all entries, or along an axis."""
    x = as_expr(a)
    axes = normal_axes(axis, x.ndim)
    kept = tuple(k for k in range(x.ndim) if k not in axes)
    if not keepdims:
        return einsum([x], [tuple(range(x.ndim))], kept)
    sub = tuple(x.ndim + k if k in axes else k for k in range(x.ndim))
    return einsum([x, *(Ones((1,)) for _ in axes)], [sub, *((k,) for k in axes)], tuple(range(x.ndim)))


def count_of(x: Expr, axes: Sequence[int]) -> Expr:
    """Return the number of entries along the axes, as a scalar expression."""
    return einsum([ONE, *(size(x.shape[k]) for k in axes)], [()] * (1 + len(axes)), ())


def mean(a: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """Return the mean over all entries, or along an axis: the sum divided by the count."""
    x = as_expr(a)
    return multiply(sum(x, axis, keepdims), power_of(count_of(x, normal_axes(axis, x.ndim)), -1))


def dot(a: Any, b: Any) -> Expr:
    """Return the dot product of two vectors (in general, NumPy's `@`)."""
    x, y = as_expr(a), as_expr(b)
    return multiply(x, y) if not x.shape or not y.shape else matmul(x, y)


def outer(a: Any, b: Any) -> Expr:
    """Return the outer product a bᵀ of two vectors."""
    return contract("...i,...j->...ij", a, b)


def trace(a: Any) -> Expr:
    """Return the sum of the diagonal of a square matrix."""
    return contract("...ii->...", a)


def diag(a: Any) -> Expr:
    """Return diag(v), the matrix with v on its diagonal; of a matrix, its diagonal."""
    x = as_expr(a)
    if x.ndim == 1:
        return einsum([x, Identity(x.shape[0])], [(0,), (0, 1)], (0, 1))
    return contract("...ii->...i", x)


def diagonal_matrix(a: Any) -> Expr:
    """Return diag(v) of the last axis, the leading axes being batches."""
    x = as_expr(a)
    k = x.ndim - 1
    return einsum([x, Identity(x.shape[-1])], [tuple(range(k + 1)), (k, k + 1)], tuple(range(k + 2)))


def contract(spec: str, *values: Any) -> Expr:
    """Return an Einstein sum such as `contract("...ij,...j->...i", A, x)`; `...` are batch axes, equal or absent.

    Raises: ShapeError if an index has two sizes or an argument has too few axes.
    """
    left, right = spec.replace(" ", "").split("->")
    args = [as_expr(v) for v in values]
    letters = {c: n for n, c in enumerate(sorted(set(spec) - set(".,->")))}
    subs, batch = [], 0
    for part, arg in zip(left.split(","), args, strict=True):
        core = tuple(letters[c] for c in part.replace(".", ""))
        lead = arg.ndim - len(core)
        if lead < 0 or (lead and "..." not in part):
            raise ShapeError(f"expected {len(core)} axes", found=f"{arg.ndim} axes ({show_shape(arg.shape)})")
        batch = max(batch, lead)
        subs.append((lead, core))
    base = len(letters)
    full = [tuple(range(base + batch - lead, base + batch)) + core for lead, core in subs]
    dots = tuple(range(base, base + batch)) if "..." in right else ()
    return einsum(args, full, dots + tuple(letters[c] for c in right.replace(".", "")))


def norm(a: Any) -> Expr:
    """Return the Euclidean norm of all entries: ‖x‖, or ‖A‖ of Frobenius."""
    return power_of(sum(power(a, 2)), Fraction(1, 2))


def var(a: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """Return the variance: the mean of the squared distance from the mean."""
    return mean(power(subtract(a, mean(a, axis, keepdims=True)), 2), axis, keepdims)


def std(a: Any, axis: Axis = None, keepdims: bool = False) -> Expr:
    """Return the standard deviation: the root of the variance."""
    return power_of(var(a, axis, keepdims), Fraction(1, 2))


def clip(a: Any, low: Any, high: Any) -> Expr:
    """Return min(max(a, low), high)."""
    return CATALOGUE["minimum"](CATALOGUE["maximum"](a, low), high)


# --- comparisons: [a > b] is the step function of a − b
def greater(a: Any, b: Any) -> Expr:
    """Return [a > b], 1 where it holds and 0 elsewhere."""
    return CATALOGUE["step"](subtract(a, b))


def greater_equal(a: Any, b: Any) -> Expr:
    """Return [a ≥ b]."""
    return subtract(1, CATALOGUE["step"](subtract(b, a)))


def equal(a: Any, b: Any) -> Expr:
    """Return [a = b]. (`==` on expressions asks whether they are the same expression.)"""
    return subtract(greater_equal(a, b), greater(a, b))


# --- NumPy functions applied to expressions
def numpy_function(name: str, method: str, inputs: Sequence[Any], keywords: dict[str, Any]) -> Any:
    """Answer `np.exp(x)`, `np.mean(x, axis=0)` … on expressions with the constructor of that name."""
    function = NUMPY.get(name) or CATALOGUE.get(name)
    if method != "__call__" or function is None:
        asked = f"np.{name}" if method == "__call__" else f"np.{name}.{method}"
        near = get_close_matches(name, NUMPY | CATALOGUE)
        raise DomainError(
            f"{asked} has no meaning for expressions yet",
            expected="one of " + ", ".join(sorted(NUMPY | CATALOGUE)),
            hint=f"did you mean np.{near[0]}?" if near else "",
        )
    return function(*inputs, **{k: v for k, v in keywords.items() if v is not None or k == "axis"})


NUMPY: dict[str, Any] = {
    "add": add, "subtract": subtract, "multiply": multiply, "divide": divide, "true_divide": divide,
    "negative": negative, "positive": as_expr, "power": power, "float_power": power, "matmul": matmul,
    "norm": norm, "clip": clip, "var": var, "std": std,
    "ones_like": lambda x: broadcast(ONE, as_expr(x).shape), "zeros_like": lambda x: zero_of(as_expr(x).shape),
    "sqrt": lambda x: power(x, Fraction(1, 2)), "square": lambda x: power(x, 2), "reciprocal": lambda x: divide(1, x),
    "sum": sum, "mean": mean, "dot": dot, "inner": dot, "vdot": dot, "outer": outer, "trace": trace,
    "transpose": transpose, "diag": diag, "greater": greater, "greater_equal": greater_equal,
    "less": lambda a, b: greater(b, a), "less_equal": lambda a, b: greater_equal(b, a), "equal": equal,
}  # fmt: skip

Expr.arithmetic = sys.modules[__name__]
