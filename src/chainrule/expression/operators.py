"""The operators of expressions: `+`, `@`, `.T`, comparisons, and NumPy's own functions applied to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, cast

from chainrule.errors import DomainError

if TYPE_CHECKING:
    from chainrule.expression.node import Expr


class Operators:
    """What Python's operators do on expressions: they call the constructors of `build.py`."""

    __slots__ = ()

    arithmetic: ClassVar[Any]  # the constructors of build.py, set there: nodes do not know how they are built
    __array_priority__: ClassVar[int] = 1000

    def __add__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.add(self, other))

    def __radd__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.add(other, self))

    def __sub__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.subtract(self, other))

    def __rsub__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.subtract(other, self))

    def __mul__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.multiply(self, other))

    def __rmul__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.multiply(other, self))

    def __truediv__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.divide(self, other))

    def __rtruediv__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.divide(other, self))

    def __pow__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.power(self, other))

    def __rpow__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.power(other, self))

    def __matmul__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.matmul(self, other))

    def __rmatmul__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.matmul(other, self))

    def __abs__(self) -> Expr:
        return cast("Expr", self.arithmetic.CATALOGUE["abs"](self))

    def __neg__(self) -> Expr:
        return cast("Expr", self.arithmetic.negative(self))

    def __pos__(self) -> Expr:
        return cast("Expr", self)

    def __gt__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.greater(self, other))

    def __lt__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.greater(other, self))

    def __ge__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.greater_equal(self, other))

    def __le__(self, other: Any) -> Expr:
        return cast("Expr", self.arithmetic.greater_equal(other, self))

    def __getitem__(self, index: Any) -> Expr:
        return cast("Expr", self.arithmetic.NUMPY["part"](self, index))

    def __bool__(self) -> bool:
        raise DomainError(
            "an expression is neither true nor false until its symbols have values",
            hint="write where(condition, a, b) instead of `if`, and maximum(a, b) instead of max(a, b)",
        )

    def __iter__(self) -> Iterator[Expr]:
        raise DomainError("an expression cannot be looped over", hint="its sizes are names; write sum(x) or x @ y")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise DomainError(
            "an expression is not an array until its symbols have values", hint="call .eval(X=..., w=...) for numbers"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.arithmetic.numpy_function(ufunc.__name__, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.arithmetic.numpy_function(function.__name__, "__call__", args, kwargs)

    @property
    def T(self) -> Expr:
        """The transpose: axes reversed; a vector is its own."""
        return cast("Expr", self.arithmetic.transpose(self))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Expr:
        """Return the sum over all entries, or along `axis`."""
        return cast("Expr", self.arithmetic.sum(self, axis=axis, keepdims=keepdims))

    def mean(self, axis: Any = None, keepdims: bool = False) -> Expr:
        """Return the mean over all entries, or along `axis`."""
        return cast("Expr", self.arithmetic.mean(self, axis=axis, keepdims=keepdims))

    def dot(self, other: Any) -> Expr:
        """Return the dot product, as NumPy has it."""
        return cast("Expr", self.arithmetic.matmul(self, other))
