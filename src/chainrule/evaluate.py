"""The slow, obvious interpreter that everything else is checked against. Works on floats and on exact fractions."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import reduce
from numbers import Real
from typing import Any

import numpy as np

from chainrule.errors import DomainError, ShapeError, UnknownSymbol
from chainrule.expression.extent import extent_of, is_derived, names_of, solved
from chainrule.expression.node import (
    Add,
    Apply,
    Dimension,
    Einsum,
    Expr,
    Identity,
    Number,
    Ones,
    Symbol,
    walk,
)
from chainrule.expression.op import numpy_code
from chainrule.expression.power import exponent_of, is_length
from chainrule.expression.shape import Shape, Size, concrete, show_shape

Values = Mapping[str, Any]


def evaluate(e: Expr, values: Values, sizes: Mapping[str, int] | None = None) -> Any:
    """Return the value of `e`, an array of its shape, in float64; exact if every value is an integer or a Fraction
    held in an object array (`dtype=object`).

    `values` maps symbols' names to arrays (others may be there too); `sizes` gives sizes that no symbol shows.
    Raises: UnknownSymbol for a missing value, ShapeError for a wrong one, DomainError where exactness is lost.
    """
    return evaluate_all([e], values, sizes)[0]


def evaluate_all(roots: list[Expr], values: Values, sizes: Mapping[str, int] | None = None) -> list[Any]:
    """Return the values of several expressions, shared parts worked out once."""
    place = Place(values, sizes)
    return [place.value(root) for root in roots]


class Place:
    """One point: values of the symbols, and every value worked out there so far."""

    def __init__(self, values: Values, sizes: Mapping[str, int] | None = None) -> None:
        self.arrays = {name: as_array(name, value) for name, value in values.items()}
        self.sizes = dict(sizes or {})
        self.rational = any(a.dtype == object for a in self.arrays.values())
        self.done: dict[Expr, Any] = {}

    def define(self, name: str, value: Any) -> None:
        """Give a name a value, once; what was worked out before does not change."""
        self.arrays[name] = as_array(name, value)

    def value(self, e: Expr) -> Any:
        """Return the value of an expression here."""
        if e not in self.done:
            nodes = walk(e, known=self.done)
            self.sizes = bind_sizes(nodes, self.arrays, self.sizes)
            with np.errstate(all="ignore"):
                for node in nodes:
                    args = [self.done[arg] for arg in node.args]
                    self.done[node] = _value(node, args, self.arrays, self.sizes, self.rational)
        return self.done[e]


def as_array(name: str, value: Any) -> np.ndarray:
    """Return the value of a symbol as an array: of float64, or of exact numbers.

    Raises: DomainError for what is no array of real numbers, such as text or rows of unequal length.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        raise DomainError(f"the rows given for {name} have unequal lengths") from None
    numbers = array.dtype.kind in "biuf" or all(isinstance(entry, Real) for entry in array.flat)
    if not numbers or array.dtype.kind == "c":
        found = f"entries of type {type(array.flat[0]).__name__}"
        raise DomainError(f"{name} needs real numbers", found=found, hint="pass a number or an array of numbers")
    return array if array.dtype == object else array.astype(np.float64)


def bind_sizes(nodes: list[Expr], arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int] | None) -> dict[str, int]:
    """Read every size off the arrays, checking that they agree."""
    known = dict(sizes or {})
    names = {node.name for node in nodes if isinstance(node, Symbol)}
    for name, array in arrays.items():  # a size may be given by its name, where no array shows it
        if name not in names and array.ndim == 0 and float(array).is_integer():
            known.setdefault(name, int(array))
    source: dict[str, str] = {}
    shown = [node for node in nodes if isinstance(node, Symbol)]
    for node in sorted(shown, key=lambda symbol: any(map(is_derived, symbol.shape))):
        array = _array_of(node, arrays)
        for axis, (size, count) in enumerate(zip(node.shape, array.shape, strict=True)):
            wanted = _wanted(size, count, known)
            if wanted != count:
                raise ShapeError(
                    f"{node.name} has {count} entries on axis {axis}, but {size} is {wanted}"
                    + (f" (from {source[str(size)]})" if str(size) in source else "")
                )
            source.setdefault(str(size), node.name)
    return known


def _wanted(size: Size, count: int, known: dict[str, int]) -> int:
    """Return how long an axis has to be; `count` is how long it is, which may say what is not known yet."""
    if isinstance(size, str) and not is_derived(size):
        return known.setdefault(size, count)
    answer = solved(size, count, known)
    if answer is not None:
        known[answer[0]] = answer[1]
    return extent_of(size, known) if all(name in known for name in names_of(size)) else count


def _array_of(symbol: Symbol, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the symbol's array, which must be there and have as many axes. Raises: UnknownSymbol, ShapeError."""
    expected = show_shape(symbol.shape)
    if symbol.name not in arrays:
        raise UnknownSymbol(f"no value for {symbol.name}", expected=f"an array of shape {expected}")
    array = arrays[symbol.name]
    if array.ndim != len(symbol.shape):
        raise ShapeError(f"{symbol.name} has the wrong number of axes", expected=expected, found=str(array.shape))
    return array


def _value(e: Expr, args: list[Any], arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], rational: bool) -> Any:
    if isinstance(e, Symbol):
        return arrays[e.name]
    if isinstance(e, Number):
        return _constant(e.value, rational)
    if isinstance(e, Dimension):
        return _constant(_extent((e.size,), sizes)[0], rational)
    if isinstance(e, Ones | Identity):
        return _array_constant(e, _extent(e.shape, sizes), rational)
    if isinstance(e, Einsum):
        return _sum_of_products(e, args, sizes)
    if isinstance(e, Add):
        terms = [_constant(c, rational) * arg for c, arg in zip(e.coefficients, args, strict=True)]
        return reduce(lambda a, b: a + b, terms, np.full(_extent(e.shape, sizes), _constant(0, rational)))
    if isinstance(e, Apply):
        return _applied(e, args, _extent(e.shape, sizes) if e.op.extents else (), rational)
    raise TypeError(e.kind)


def _array_constant(e: Expr, extent: tuple[int, ...], rational: bool) -> Any:
    """Return ones, or the identity."""
    array = np.ones(extent) if isinstance(e, Ones) else np.eye(extent[0])
    return np.vectorize(lambda v: Fraction(int(v)), otypes=[object])(array) if rational else array


def _extent(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    for name in (name for size in shape for name in names_of(size)):
        if name not in sizes:
            raise UnknownSymbol(
                f"the size {name} is not known", hint=f"pass an array that has an axis of this size, or {name}=… itself"
            )
    return concrete(shape, sizes)


def _constant(value: Any, rational: bool) -> Any:
    return Fraction(value) if rational else np.float64(value)


def _applied(e: Apply, args: list[Any], extent: tuple[int, ...], rational: bool) -> Any:
    if rational and not e.op.rational:
        raise DomainError(f"{e.op.name} has no exact value on fractions", hint="pass floats")
    if extent and not e.op.is_positional:
        args = [int(arg) for arg in args]
    try:
        result = numpy_code(e.op)(*args, *extent[len(extent) - len(e.op.extents) :])
    except (np.linalg.LinAlgError, IndexError, ValueError) as error:
        raise DomainError(f"{e.op.name} is not defined at these values: {str(error).lower()}") from None
    if not rational:
        return result
    return np.vectorize(Fraction, otypes=[object])(result) if np.ndim(result) else Fraction(np.asarray(result).item())


def _sum_of_products(e: Einsum, args: list[Any], sizes: Mapping[str, int]) -> Any:
    """Lay every factor out over all indices, multiply, and add up: what the definition says, nothing clever."""
    if any(arg.shape for arg in e.args):  # x/‖x‖ is 0 at x = 0
        args = [_or_zero(arg, a) for arg, a in zip(e.args, args, strict=True)]
    letters = list(dict.fromkeys([*e.output, *(i for sub in e.subscripts for i in sub)]))
    if any(a.dtype == object for a in map(np.asarray, args)) or len(letters) <= 4:
        full = [_laid_out(np.asarray(a), sub, letters) for a, sub in zip(args, e.subscripts, strict=True)]
        product = reduce(lambda a, b: a * b, full)
        extent = tuple(_extent((e.sizes[i],), sizes)[0] for i in letters)
        product = np.broadcast_to(product, extent)
        summed = tuple(range(len(e.output), len(letters)))
        return product.sum(axis=summed) if summed else product
    operands = [item for a, sub in zip(args, e.subscripts, strict=True) for item in (a, list(sub))]
    return np.einsum(*operands, list(e.output), optimize="greedy")


def _or_zero(factor: Expr, value: Any) -> Any:
    if exponent_of(factor)[1] < 0 and is_length(factor) and isinstance(value, np.ndarray | np.float64):
        return np.where(value == np.inf, 0, value)
    return value


def _laid_out(a: np.ndarray, sub: tuple[int, ...], letters: list[int]) -> np.ndarray:
    """Return `a` as an array over all letters, with size 1 where it does not have the letter."""
    while len(set(sub)) < len(sub):  # a repeated letter takes the diagonal
        i = next(i for i in sub if sub.count(i) > 1)
        first, second = [axis for axis, letter in enumerate(sub) if letter == i][:2]
        a = np.moveaxis(np.diagonal(a, axis1=first, axis2=second), -1, 0)
        sub = (i, *(letter for axis, letter in enumerate(sub) if axis not in (first, second)))
    order = sorted(range(len(sub)), key=lambda axis: letters.index(sub[axis]))
    shape = iter(a.shape[axis] for axis in order)
    present = set(sub)
    return a.transpose(order).reshape([next(shape) if i in present else 1 for i in letters])
