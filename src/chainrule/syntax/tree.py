"""The syntax tree: what was written, with the place where it was written. It has no shapes and no meaning yet."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from chainrule.errors import Span

BinaryOperator = Literal[
    "+", "-",
    "*",            # element-wise product: NumPy `*`, MATLAB `.*`, LaTeX \odot \circ
    "otimes",       # \otimes or `⊗`: Kronecker product of matrices of two shapes, else element-wise (Parr and Howard)
    "/",            # element-wise quotient: NumPy `/`, MATLAB `./`, \oslash, and \frac
    "**",           # element-wise power: NumPy `**` or `^`, MATLAB `.^`
    "@",            # matrix product: NumPy `@`
    "juxt",         # product of neighbours, or MATLAB `*`: scalar multiple or matrix product, as shapes decide
    "dot",          # \cdot or `·`: dot product of vectors, else as "juxt"
    "matpow",       # `^` of LaTeX and MATLAB: power of a scalar, matrix power of a matrix, `^{-1}` inverse
    "<", "<=", ">", ">=", "==", "!=",
]  # fmt: skip
UnaryOperator = Literal["-", "+", "T"]  # T: transpose, however spelled
Face = Literal["", "bold", "vec", "roman", "blackboard"]  # the typeface a LaTeX name was written in


@dataclass(frozen=True, slots=True)
class Num:
    """A number, exact where it was written exactly (`0.5` is one half)."""

    value: Fraction
    span: Span


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol, a size, or a constant such as `pi`; `face` is how LaTeX dressed it."""

    name: str
    span: Span
    face: Face = ""


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `+x`, or a transpose."""

    operator: UnaryOperator
    argument: Tree
    span: Span


@dataclass(frozen=True, slots=True)
class Binary:
    """Two operands and what stands between them; `mark` is the place of the operator itself."""

    operator: BinaryOperator
    left: Tree
    right: Tree
    span: Span
    mark: Span


@dataclass(frozen=True, slots=True)
class Call:
    """A function by its catalogue name (`relu`, `sum`, `norm`, `max` …), arguments and keywords in written order."""

    function: str
    arguments: tuple[Tree, ...]
    keywords: tuple[tuple[str, Tree], ...]
    span: Span
    mark: Span  # the place of the function's name


@dataclass(frozen=True, slots=True)
class Slice:
    """`:`, `a:b` or `a:b:step` inside an index; with `is_new`, the `None` that makes an axis of one entry."""

    start: Tree | None
    stop: Tree | None
    span: Span
    step: Tree | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """`X[i, :]`, `x_i`, `X_{ij}`: entries or rows of an array. `one_based` is how integers count (LaTeX, MATLAB)."""

    base: Tree
    indices: tuple[Tree | Slice, ...]
    span: Span
    one_based: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """`\\sum_{i=1}^N body`: `operator` is "sum", "prod", "max" or "min", over one or several index names."""

    operator: str
    indices: tuple[Name, ...]
    lower: Tree | None
    upper: Tree | None
    body: Tree
    span: Span


@dataclass(frozen=True, slots=True)
class Cases:
    """`\\begin{cases}`: values with their conditions; the last condition is None for "otherwise"."""

    branches: tuple[tuple[Tree, Tree | None], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Sequence:
    """`(1, 2)` or `[1, 2]` where a keyword such as `axis` or `shape` takes several values."""

    items: tuple[Tree, ...]
    span: Span


Tree = Num | Name | Unary | Binary | Call | Index | Bound | Cases | Sequence


@dataclass(frozen=True, slots=True)
class Formula:
    """A parsed text: its tree, the text itself, how it was read, and the left side (`C(y, w) =`) if there was one."""

    tree: Tree
    text: str
    syntax: Literal["text", "matlab", "latex"]
    left: str | None = None
