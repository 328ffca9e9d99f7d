"""A JAX or PyTorch function followed as if it were NumPy's: the same code, with stand-ins for the library's modules.

`jnp.tanh(z)` or `torch.tanh(z)` refuses a symbol; `np.tanh(z)` takes it. The function given stays as it is: its copy
shares the code and sees other globals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CellType, FunctionType, ModuleType
from typing import Any

import numpy as np

from chainrule.errors import DomainError
from chainrule.expression.op import CATALOGUE

LIBRARIES = ("jax", "torch")
OTHER_WORDS = {"dim": "axis", "keepdim": "keepdims"}
DEEPEST = 6  # functions that call functions


class Namespace:
    """A library's module, with NumPy's functions and our operations under its names; modules inside it are itself."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(np, name, None)
        if function is None or not callable(function):
            function = CATALOGUE.get(name, function)
        return self if function is None else _in_numpys_words(function)

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Refuse: what is called is unknown."""
        raise DomainError("a function of the library has no counterpart here")


def _in_numpys_words(function: Any) -> Any:
    """Take `dim=` for `axis=`; an operation along an axis works along the last one."""
    if not callable(function):
        return function

    def said_otherwise(*args: Any, **keywords: Any) -> Any:
        words = {OTHER_WORDS.get(word, word): value for word, value in keywords.items()}
        if any(function is op for op in CATALOGUE.values()):
            axis = words.pop("axis", -1)
            last = len(getattr(args[0], "shape", ())) - 1
            if words or axis not in (-1, last):
                raise DomainError(f"{function.name} is taken along the last axis only")
            args = args[: len(function.parameters)]
        return function(*args, **words)

    return said_otherwise


def in_numpy(function: Callable[..., Any], depth: int = 0) -> Callable[..., Any]:
    """Return the function with stand-ins for JAX and PyTorch; a function that uses neither comes back as it is."""
    inner = getattr(function, "__wrapped__", None)
    if not isinstance(function, FunctionType) and isinstance(inner, FunctionType):
        function = inner  # jit(f) computes f
    if not isinstance(function, FunctionType) or depth > DEEPEST:
        return function
    names = function.__code__.co_names
    seen = {name: function.__globals__[name] for name in names if name in function.__globals__}
    swapped = {name: new for name, value in seen.items() if (new := _stand_in(value, depth)) is not value}
    cells = [_cell(cell, depth) for cell in function.__closure__ or ()]
    if not swapped and all(new is old for new, old in zip(cells, function.__closure__ or (), strict=True)):
        return function
    return _copied(function, {**function.__globals__, **swapped}, tuple(cells))


def _copied(function: FunctionType, scope: Mapping[str, Any], cells: tuple[CellType, ...]) -> FunctionType:
    copy = FunctionType(function.__code__, dict(scope), function.__name__, function.__defaults__, cells or None)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _cell(cell: CellType, depth: int) -> CellType:
    try:
        value = cell.cell_contents
    except ValueError:  # not filled yet
        return cell
    new = _stand_in(value, depth)
    return cell if new is value else CellType(new)


def _stand_in(value: Any, depth: int) -> Any:
    if isinstance(value, ModuleType):
        return Namespace() if value.__name__.partition(".")[0] in LIBRARIES else value
    home = str(getattr(value, "__module__", None) or "").partition(".")[0]
    if home in LIBRARIES and callable(value) and not isinstance(getattr(value, "__wrapped__", None), FunctionType):
        return getattr(Namespace(), getattr(value, "__name__", "unknown"))  # from torch import tanh
    return in_numpy(value, depth + 1) if isinstance(value, FunctionType) else value
