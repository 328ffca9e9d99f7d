"""A plain NumPy function, called with symbols in place of arrays, gives the expression that it computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import chainrule.expression.build as build
from chainrule.errors import ChainruleError, DomainError, ShapeError
from chainrule.expression.node import Expr
from chainrule.expression.shape import Shape, as_shape

_COLLECTING = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def trace(function: Callable[..., Any], **shapes: object) -> Expr:
    """Return what a NumPy function of yours computes, as an expression of its arguments.

    `shapes` gives each argument's shape: `X=("N", "d"), w="d", b=()`. An argument with a default may be left out and
    keeps its default. The function runs once, with symbols: a branch or a loop on their values cannot be followed.
    Raises: ShapeError for an argument without a shape, DomainError for what has no expression (naming it).

    >>> from chainrule.expression.build import matrix, vector
    >>> trace(lambda X, w: X @ w, X=("N", "d"), w="d") is matrix("X", "N", "d") @ vector("w", "d")
    True
    """
    symbols = {name: build.symbol(name, shape) for name, shape in _shapes_of(function, shapes).items()}
    try:
        result = function(**symbols)
    except ChainruleError:
        raise
    except (TypeError, AttributeError) as error:
        raise _not_followed(function, error) from error
    return _as_expression(function, result)


def _shapes_of(function: Callable[..., Any], shapes: Mapping[str, object]) -> dict[str, Shape]:
    """Check the shapes against the function's arguments."""
    name = _name(function)
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = {name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in shapes}  # type: ignore[assignment]
    collects = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for parameter in parameters.values():
        if parameter.kind in _COLLECTING or parameter.name in shapes:
            continue
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise DomainError(f"{name} takes {parameter.name} by position only", hint="wrap it in a lambda")
        if parameter.default is inspect.Parameter.empty:
            raise ShapeError(
                f"{name} has an argument {parameter.name} whose shape was not given",
                expected=f"{parameter.name}=… beside the function",
                found=", ".join(shapes) or "no shapes",
                hint=f'trace({name}, {parameter.name}="n"), or {parameter.name}=() for a scalar',
            )
    for key in shapes:
        if key not in parameters and not collects:
            expected = ", ".join(parameters) or "no argument"
            raise ShapeError(f"{name} has no argument {key}", expected=expected, found=key)
    return {key: _read_shape(key, shape) for key, shape in shapes.items()}


def _read_shape(name: str, shape: object) -> Shape:
    try:
        return as_shape(shape)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"the shape of {name} cannot be read: {error}", hint='X=("N", "d"), w="d", b=()') from None


def _as_expression(function: Callable[..., Any], result: Any) -> Expr:
    if isinstance(result, Expr):
        return result
    if isinstance(result, (int, float, np.number)):
        return build.as_expr(result)
    if result is None:
        raise DomainError(f"{_name(function)} returned nothing", hint="end it with `return …`")
    raise DomainError(
        f"{_name(function)} returned {type(result).__name__}, not an expression",
        expected="one expression of its arguments",
        hint="trace a function for each output" if isinstance(result, tuple | list | dict) else "",
    )


def _not_followed(function: Callable[..., Any], error: Exception) -> DomainError:
    """Say what the function did that expressions cannot do."""
    return DomainError(
        f"{_name(function)} cannot be followed: {error}",
        hint="use NumPy functions and operators only, and `where(condition, a, b)` instead of a branch",
    )


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "the function" if name == "<lambda>" else str(name)
