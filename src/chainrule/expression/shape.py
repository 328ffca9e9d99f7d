"""Shapes: a size is a name (`"N"`), a number, or made of them (`"N-1"`); a shape is a tuple of sizes, as in NumPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from chainrule.expression.extent import Size, extent_of, spelled, terms_of

__all__ = ["Scalar", "Shape", "Size", "as_shape", "as_size", "concrete", "exact", "show_shape"]

Shape = tuple[Size, ...]
Scalar = int | Fraction | float

MEANT_DIGITS = 15  # a float has 15 to 17 digits; a decimal that someone wrote has fewer


def as_shape(value: object) -> Shape:
    """Read a shape as people write it: `"d"`, `3`, `("N", "d")`, `"N,d"`, `()`.

    Raises: TypeError for anything else, ValueError for a size below 0.
    """
    if isinstance(value, str):
        parts = [part.strip() for part in value.strip("()").split(",") if part.strip()]
        return tuple(as_size(int(part) if part.isdigit() else part) for part in parts)
    if isinstance(value, int):
        return (as_size(value),)
    if isinstance(value, Iterable):
        return tuple(as_size(item) for item in value)
    raise TypeError(f"a shape is a name, a number or a tuple of them, not {value!r}")


def as_size(value: object) -> Size:
    """Check one size: a natural number, an identifier, or a sum or product of them such as `n-1`."""
    if isinstance(value, str):
        try:
            return value if value.isidentifier() else spelled(terms_of(value))
        except ValueError:
            raise ValueError(f"a size is named by an identifier such as 'N', not {value!r}") from None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TypeError(f"a size is a name or a natural number, not {value!r}")


def show_shape(shape: Shape) -> str:
    """Write a shape for people: `scalar`, `d`, `N×d`."""
    return "×".join(str(size) for size in shape) or "scalar"


def exact(value: Scalar) -> Scalar:
    """Return the number in its plainest form: an integer where it is one, else a fraction, else a float.

    A float stands for the decimal that its shortest spelling shows (`0.1` is one tenth), so that arithmetic stays
    rational; floats of extreme size, and those with too many digits to have been meant as a decimal, stay floats.
    """
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else value
    value = float(value)
    if value != value or value in (float("inf"), float("-inf")):
        return value
    spelled = repr(value)
    if value == 0 or (1e-30 < abs(value) < 1e30 and len(spelled.strip("-0").replace(".", "")) <= MEANT_DIGITS):
        return exact(Fraction(spelled))
    return value


def concrete(shape: Shape, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """Return the shape in integers, given the sizes' values."""
    return tuple(extent_of(size, sizes) for size in shape)
