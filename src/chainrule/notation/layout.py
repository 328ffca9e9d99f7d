"""The tree of notation: what stands on paper. Vectors are columns, and products are matrix products.

A tree means something by itself: read as matrix algebra (or, under indices, as sums over entries) it has the value of
the expression that it shows. It knows nothing of Unicode or LaTeX.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from chainrule.expression.op import Op
from chainrule.expression.shape import Scalar, Shape, Size

Kind = Literal["scalar", "column", "row", "matrix", "array"]
Orientation = Literal["plain", "row", "column", "transposed"]
Sign = Literal[">", "<", "≤", "≥", "=", "←", "≔"]
KINDS: tuple[Kind, ...] = ("scalar", "column", "matrix")


def kind_of_rank(rank: int) -> Kind:
    """Return the kind of an array with that many axes: a vector is a column."""
    return KINDS[rank] if rank < len(KINDS) else "array"


@dataclass(frozen=True, slots=True)
class Name:
    """A symbol; its kind says how it is dressed (bold lower case, bold capital, italic).

    `leads` is true for a mask, which is written before the factors it selects from. What is symmetric is never written
    as a transpose.
    """

    name: str
    kind: Kind = "scalar"
    leads: bool = False
    symmetric: bool = False


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number, not negative."""

    value: Scalar
    kind: Kind = "scalar"


@dataclass(frozen=True, slots=True)
class Extent:
    """A size used as a number."""

    size: str
    kind: Kind = "scalar"


@dataclass(frozen=True, slots=True)
class Constant:
    """1⃗, 0⃗, I, or a matrix of zeros, of a shape."""

    which: Literal["ones", "zeros", "identity"]
    shape: Shape

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return kind_of_rank(len(self.shape))


@dataclass(frozen=True, slots=True)
class Product:
    """Factors written side by side: scalars, and matrices whose inner sizes fit."""

    parts: tuple[Layout, ...]

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        kinds = [part.kind for part in self.parts if part.kind != "scalar"]
        if not kinds:
            return "scalar"
        tall, wide = kinds[0] in ("column", "matrix"), kinds[-1] in ("row", "matrix")
        return "matrix" if tall and wide else "column" if tall else "row" if wide else "scalar"


@dataclass(frozen=True, slots=True)
class Hadamard:
    """The element-wise product of things of one shape, a ⊙ b."""

    parts: tuple[Layout, ...]

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.parts[0].kind


@dataclass(frozen=True, slots=True)
class Quotient:
    """The element-wise quotient a ⊘ b; the numerator may be the number 1."""

    numerator: Layout
    denominator: Layout

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.denominator.kind


@dataclass(frozen=True, slots=True)
class Dot:
    """The dot product of two vectors, w·x."""

    left: Layout
    right: Layout
    kind: Kind = "scalar"


@dataclass(frozen=True, slots=True)
class Fraction:
    """A quotient of scalars, or of a vector by a scalar."""

    numerator: Layout
    denominator: Layout

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.numerator.kind


@dataclass(frozen=True, slots=True)
class Sum:
    """Terms with their signs; a number among vectors is added to every entry."""

    signs: tuple[int, ...]
    parts: tuple[Layout, ...]

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return next((part.kind for part in self.parts if part.kind != "scalar"), "scalar")


@dataclass(frozen=True, slots=True)
class Power:
    """A power, entry by entry."""

    base: Layout
    exponent: Layout

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.base.kind if self.base.kind != "scalar" else self.exponent.kind


@dataclass(frozen=True, slots=True)
class Root:
    """The square root, entry by entry."""

    base: Layout

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.base.kind


@dataclass(frozen=True, slots=True)
class Norm:
    """The length ‖x‖, the root of the sum of squares of all entries."""

    base: Layout
    kind: Kind = "scalar"


@dataclass(frozen=True, slots=True)
class Transpose:
    """xᵀ. Make it with `transpose`, which moves it inwards."""

    base: Layout

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        swapped: dict[Kind, Kind] = {"column": "row", "row": "column"}
        return swapped.get(self.base.kind, self.base.kind)


@dataclass(frozen=True, slots=True)
class Sub:
    """xᵢ: an entry or a row (written as a column) of an array; `kind` is the kind of what is left."""

    base: Layout
    indices: tuple[str, ...]
    kind: Kind = "scalar"


@dataclass(frozen=True, slots=True)
class Table:
    """[aᵢⱼ]ᵢⱼ: the array with these entries, where it has no notation of its own; the indices count its axes."""

    entry: Layout
    indices: tuple[str, ...]
    kind: Kind = "matrix"


@dataclass(frozen=True, slots=True)
class Function:
    """A function that needs no entry in the catalogue: sum, tr, diag, and vec, which stacks columns."""

    word: Literal["sum", "mean", "tr", "diag", "vec"]
    argument: Layout
    kind: Kind


@dataclass(frozen=True, slots=True)
class Applied:
    """An operation of the catalogue, written as its entry says."""

    op: Op
    arguments: tuple[Layout, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class BigSum:
    """Σᵢ body, over indices with their sizes; `condition` restricts it: Σ over i with zᵢ > 0."""

    indices: tuple[tuple[str, Size], ...]
    body: Layout
    condition: tuple[Layout, ...] = ()

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.body.kind


@dataclass(frozen=True, slots=True)
class Cases:
    """{a if condition; b if condition}; no condition is "otherwise"."""

    branches: tuple[tuple[Layout, tuple[Layout, ...]], ...]

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.branches[0][0].kind


@dataclass(frozen=True, slots=True)
class Relation:
    """left sign right: a condition, or one link in a chain of equations."""

    left: Layout
    sign: Sign
    right: Layout
    kind: Kind = "scalar"


@dataclass(frozen=True, slots=True)
class Bracket:
    """Iverson's [z > 0]: 1 where the condition holds, else 0."""

    condition: Relation

    @property
    def kind(self) -> Kind:
        """The kind of the whole."""
        return self.condition.left.kind if self.condition.left.kind != "scalar" else self.condition.right.kind


@dataclass(frozen=True, slots=True)
class Differential:
    """∂of/∂wrt; `total` writes it with an upright d, where both kinds of derivative stand in one equation."""

    of: Layout
    wrt: Layout
    kind: Kind = "matrix"
    total: bool = False


@dataclass(frozen=True, slots=True)
class Contraction:
    """Factors that share two or more axes, A : B."""

    parts: tuple[Layout, ...]
    kind: Kind = "matrix"


@dataclass(frozen=True, slots=True)
class Kronecker:
    """The Kronecker product A ⊗ B; of what stands beside it, a row or a column is a matrix of one row or column."""

    parts: tuple[Layout, ...]
    kind: Kind = "matrix"


@dataclass(frozen=True, slots=True)
class Einstein:
    """`einsum("ij,ik,jk->i", A, B, C)`: the spelling for input of what has no matrix notation."""

    subscripts: str
    arguments: tuple[Layout, ...]
    kind: Kind


@dataclass(frozen=True, slots=True)
class Chain:
    """left = right = … : a whole equation, with its signs and a side condition in words."""

    sides: tuple[Layout, ...]
    signs: tuple[Sign, ...]
    condition: str = ""
    kind: Kind = "scalar"


Layout = (
    Name | Numeral | Extent | Constant | Product | Hadamard | Quotient | Dot | Fraction | Sum | Power | Root | Norm
    | Transpose | Sub | Table | Function | Applied | BigSum | Cases | Relation | Bracket | Differential | Contraction
    | Kronecker | Einstein | Chain
)  # fmt: skip

ONE_LAYOUT = Numeral(1)


def product(*parts: Layout) -> Layout:
    """Return the factors side by side, flat, without ones. A scalar such as xᵀAx stays together."""
    flat = [p for part in parts if part != ONE_LAYOUT for p in factors_of(part)]
    return flat[0] if len(flat) == 1 else Product(tuple(flat)) if flat else ONE_LAYOUT


def factors_of(e: Layout) -> tuple[Layout, ...]:
    """Return the factors of a product that may stand beside others: matrices that close to a scalar stay together."""
    if not isinstance(e, Product) or (e.kind == "scalar" and any(part.kind != "scalar" for part in e.parts)):
        return (e,)
    return tuple(p for part in e.parts for p in factors_of(part))


def transpose(e: Layout) -> Layout:
    """Return the transpose, moved inwards through products: (A B)ᵀ = Bᵀ Aᵀ. Scalars in front stay in front."""
    match e:
        case _ if e.kind == "scalar" or _is_symmetric(e):
            return e
        case Transpose(base):
            return base
        case Product(parts):
            lead = next((k for k, part in enumerate(parts) if part.kind != "scalar"), len(parts))
            return Product((*parts[:lead], *(transpose(part) for part in reversed(parts[lead:]))))
        case Sum(signs, (part,)):
            return Sum(signs, (transpose(part),))
        case BigSum(body=body):
            return replace(e, body=transpose(body))
        case Cases(branches):
            return Cases(tuple((transpose(value), condition) for value, condition in branches))
        case Fraction(numerator, denominator):
            return Fraction(transpose(numerator), denominator)
        case _:
            return Transpose(e)


def _is_symmetric(e: Layout) -> bool:
    if isinstance(e, Function):
        return e.word == "diag" and e.kind == "matrix"
    if isinstance(e, Applied):
        return e.kind == "matrix" and all(len(core) == 2 for core in e.op.core.inputs) and _all_symmetric(e.arguments)
    return (isinstance(e, Constant) and e.which == "identity") or (isinstance(e, Name) and e.symmetric)


def _all_symmetric(parts: tuple[Layout, ...]) -> bool:
    return all(_is_symmetric(part) for part in parts)


def transposed_terms(e: Layout) -> Layout:
    """Transpose a whole side: term by term where every term stands for itself, else the sum in parentheses."""
    if isinstance(e, Sum) and all(part.kind != "scalar" and not isinstance(part, Sum) for part in e.parts):
        return Sum(e.signs, tuple(transpose(part) for part in e.parts))
    return transpose(e)


def oriented(e: Layout, orientation: Orientation) -> Layout:
    """Return a side as the layout asks for it: a vector as a row or a column, a matrix as it is or transposed."""
    if orientation == "row" and e.kind == "column":
        return transposed_terms(e)
    if orientation == "column" and e.kind == "row":
        return transposed_terms(e)
    if orientation == "transposed" and e.kind in ("matrix", "column"):
        return transposed_terms(e)
    return e
