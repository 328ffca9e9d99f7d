"""What is passed to a compiled function -> arrays that fit, or an error that names both places that disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Real
from typing import Any

import numpy as np

from chainrule.compile.program import Program
from chainrule.errors import DomainError, ShapeError, UnknownSymbol
from chainrule.expression.extent import extent_of, is_derived, names_of
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import Shape, Size, show_shape

KEPT = "f"  # kinds of type that are kept: floats
CONVERTED = "iub"  # kinds that become float64: integers and truth values


def as_arguments(program: Program, values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values as float arrays and NumPy scalars of the right shapes, then the given sizes.

    Python numbers take the type of the arrays. Raises: ShapeError, DomainError.
    """
    count, positions = len(program.arguments), program.positions
    pairs = enumerate(zip(program.arguments, values[:count], strict=True))
    arrays = [as_numbers(s, value) if k in positions else _as_array(s, value) for k, (s, value) in pairs]
    check_shapes(program.arguments, [np.shape(array) for array in arrays])
    typed = [array for k, array in enumerate(arrays) if k not in positions]
    types = [array.dtype for array in typed if isinstance(array, np.ndarray | np.generic)]
    common = np.result_type(*types) if types else np.dtype(np.float64)
    settled = [
        array if k in positions or (isinstance(array, np.ndarray) and array.ndim) else common.type(array)
        for k, array in enumerate(arrays)
    ]
    return (*settled, *(as_size(name, value) for name, value in zip(program.given, values[count:], strict=True)))


def _as_array(symbol: Symbol, value: Any) -> Any:
    if not symbol.shape and isinstance(value, int | float) and not isinstance(value, np.generic):
        return float(value)
    array = as_numbers(symbol, value)
    if array.dtype.kind in CONVERTED or array.dtype == np.float16:
        array = array.astype(np.float64 if array.dtype.kind in CONVERTED else np.float32)
    return array if array.ndim else array[()]


def as_numbers(symbol: Symbol, value: Any) -> np.ndarray:
    """Return the value as an array of real numbers. Raises: ShapeError, DomainError."""
    if isinstance(value, Expr):
        raise DomainError(f"{symbol.name} is an expression, not an array", hint="pass numbers, or substitute first")
    if isinstance(value, np.ma.MaskedArray):
        raise DomainError(f"{symbol.name} is a masked array", hint="fill it or drop the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{symbol.name} is not an array: {error}", expected=show_shape(symbol.shape)) from error
    if array.dtype.kind not in KEPT + CONVERTED:
        raise not_real(symbol, array.dtype, array)
    return array


def not_real(symbol: Symbol, dtype: Any, array: np.ndarray | None = None) -> DomainError:
    """Return the error of entries that are no floats or integers."""
    if array is not None and array.dtype.kind == "O" and all(isinstance(entry, Real) for entry in array.flat):
        hint = "for exact fractions call .eval(...) on the expression; for floats pass the array with .astype(float)"
    else:
        hint = "compiled code works on real numbers; convert the array first"
    return DomainError(f"{symbol.name} holds {dtype}", expected="float64, float32 or integers", hint=hint)


def extents_of(program: Program, arguments: Sequence[Any]) -> dict[str, int]:
    """Return what the sizes are that arrays show, which fit, and those that are given after them."""
    found = dict(zip(program.given, arguments[len(program.arguments) :], strict=True))
    for size in program.sizes:
        place = program.place_of(size)
        if place is not None:
            found[size] = arguments[place[0]].shape[place[1]]
    return found


def as_size(name: str, value: Any) -> int:
    """Return a size that was passed. Raises: DomainError."""
    if isinstance(value, int | np.integer) and value >= 0:
        return int(value)
    raise DomainError(f"the size {name} is a number of entries", expected="an integer, 0 or more", found=repr(value))


def check_shapes(symbols: Sequence[Symbol], shapes: Sequence[Shape]) -> None:
    """Check that the shapes fit the symbols and that every size has one value. Raises: ShapeError."""
    known: dict[str, tuple[int, str]] = {}
    for symbol, shape in zip(symbols, shapes, strict=True):
        if len(shape) != symbol.ndim:
            raise ShapeError(
                f"{symbol.name} has {_axes(len(shape))}, but it needs {_axes(symbol.ndim)}",
                expected=f"{symbol.name} : {show_shape(symbol.shape)}",
                found=f"shape {shape}",
                hint=_reshape_hint(symbol, shape),
            )
        for axis, (size, count) in enumerate(zip(symbol.shape, shape, strict=True)):
            here = f"{symbol.name} has {extent_words(int(count), symbol.ndim, axis)}"
            if isinstance(size, int):
                if count != size:
                    raise ShapeError(
                        f"{here}, and {size} are expected", expected=show_shape(symbol.shape), found=str(shape)
                    )
                continue
            before, there = known.setdefault(size, (int(count), here))
            if before != count:
                raise ShapeError(
                    f"{here}, {there} ({size})", expected=f"one value of {size}", found=f"{count} and {before}"
                )
    _check_derived({size: count for size, (count, _) in known.items()})


def _check_derived(known: Mapping[Size, int]) -> None:
    """Check that sizes such as n-1 are what the others make of them."""
    plain = {name: count for name, count in known.items() if isinstance(name, str) and not is_derived(name)}
    for size, count in known.items():
        if set(names_of(size)) <= plain.keys() and extent_of(size, plain) != count:
            values = ", ".join(f"{name} = {plain[name]}" for name in names_of(size))
            expected = str(extent_of(size, plain))
            raise ShapeError(f"an axis of {size} entries has {count}", expected=expected, found=values)


def extent_words(count: int, ndim: int, axis: int) -> str:
    """Say how long an axis is: "3 entries", "1 row", "4 columns"."""
    if ndim > 2:
        return f"{count} along axis {axis}"
    one, many = ("entry", "entries") if ndim == 1 else (("row", "rows"), ("column", "columns"))[axis]
    return f"{count} {one if count == 1 else many}"


def _axes(count: int) -> str:
    return ("no axes (a number)", "1 axis (a vector)", "2 axes (a matrix)")[count] if count < 3 else f"{count} axes"


def _reshape_hint(symbol: Symbol, shape: Shape) -> str:
    if symbol.ndim == 2 and len(shape) == 1:
        return f"{symbol.name}.reshape(-1, 1) makes one column of it, {symbol.name}.reshape(1, -1) one row"
    if symbol.ndim == 1 and len(shape) == 2 and 1 in shape:
        return f"{symbol.name}.ravel() makes a vector of it"
    return ""


def missing_argument(program: Program, name: str) -> DomainError:
    """Return the error of an argument that was not passed."""
    needed = [f"{s.name} : {show_shape(s.shape)}" for s in program.arguments] + list(program.given)
    hint = f"no argument shows the size {name}: pass {name}=<its value>" if name in program.given else ""
    return DomainError(f"the argument {name} is missing", expected=", ".join(needed), hint=hint)


def unknown_argument(name: str, allowed: Sequence[str]) -> UnknownSymbol:
    """Return the error of an argument that nobody knows, with the name that may have been meant."""
    close = get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else ""
    return UnknownSymbol(f"there is no argument {name}", expected=", ".join(allowed) or "no arguments", hint=hint)
