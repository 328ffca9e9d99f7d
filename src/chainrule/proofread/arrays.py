"""A user's arrays and functions as they are: NumPy, JAX or PyTorch, recognised by their type and never imported."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from chainrule.errors import DomainError

Array = np.ndarray[Any, Any]
BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def as_numpy(value: Any) -> Array:
    """Return a value as a NumPy array of floats, detached from whatever computes gradients.

    Raises: DomainError for what is no array of numbers.
    """
    if hasattr(value, "detach"):  # PyTorch
        value = value.detach().cpu()
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DomainError(f"this is not an array of numbers: {error}", found=type(value).__name__) from None


def is_float(value: Any) -> bool:
    """True for what can be moved by a little: floating-point arrays and Python floats."""
    kind = str(getattr(value, "dtype", ""))
    return (
        "float" in kind
        if kind
        else isinstance(value, float) or (isinstance(value, list) and np.asarray(value).dtype.kind == "f")
    )


def like(original: Any, value: Array) -> Any:
    """Return an array of the same library as `original`, in float64 where that library allows it."""
    home = type(original).__module__.partition(".")[0]
    if home == "torch":
        return sys.modules["torch"].as_tensor(value)
    if home in ("jax", "jaxlib"):
        return sys.modules["jax"].numpy.asarray(value)
    return float(value) if isinstance(original, float | int) else value


def in_double(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the floating-point values in float64, as far as their library allows it; the others as they are."""
    return {n: like(v, as_numpy(v)) if is_float(v) and not isinstance(v, list) else v for n, v in values.items()}


def precision(value: Any) -> float:
    """Return the machine epsilon of a result: that of float32 where the user's library computes in it."""
    kind = str(getattr(value, "dtype", "float64"))
    return float(np.finfo(np.float32).eps) if "32" in kind or "16" in kind else float(np.finfo(np.float64).eps)


def called(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Call a function with those of the values that it takes, by position where it names them so.

    Raises: DomainError for an argument without a value.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(**values)
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return function(**values)
    by_place, by_name, skipped = [], {}, False
    for p in parameters.values():
        if p.name in values and p.kind in BY_PLACE and not skipped:
            by_place.append(values[p.name])
        elif p.name in values:
            by_name[p.name] = values[p.name]
        elif p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_POSITIONAL:
            name = getattr(function, "__name__", "the function")
            raise DomainError(f"{name} has an argument {p.name} without a value", hint=f"add {p.name}=…")
        else:
            skipped = True
    return function(*by_place, **by_name)
