"""Jacobians in vec form: of vec(Y) by vec(X), columns stacked, as sums of Kronecker products.

∂vec(AXB)/∂vec(X) = Bᵀ ⊗ A, ∂vec(X⁻¹)/∂vec(X) = −(X⁻ᵀ ⊗ X⁻¹), ∂vec(Xᵀ)/∂vec(X) = K, the commutation matrix with
K vec(X) = vec(Xᵀ). Source: Magnus and Neudecker, Matrix Differential Calculus (2019), chapters 2, 3 and 9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product as pairs

from chainrule.errors import DomainError
from chainrule.expression.extent import times
from chainrule.expression.node import ONE, Add, Expr, Identity, Ones
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.shape import Scalar, Shape, Size, show_shape
from chainrule.expression.total import linear_terms
from chainrule.notation.contraction import NoMatrixForm
from chainrule.notation.layout import Constant, Function, Kronecker, Layout, Name, Product, Sum, product, transpose
from chainrule.notation.matrix import Writer
from chainrule.notation.order import SignedLayout

Slots = tuple[int | None, int | None]  # the index that runs fast (rows of the matrix that is stacked), and the slow one
MAX_TERMS = 64


def vec_form(e: Expr, outputs: int) -> Layout:
    """Return the Jacobian as the matrix that takes vec(dX) to vec(dY); the first `outputs` axes of `e` are those of Y.

    Shapes: Y and X have at most two axes; a vector is its own vec.
    Raises: DomainError where there is no such form.
    """
    if outputs > 2 or e.ndim - outputs > 2:
        raise _none(e, "vec stacks the columns of a matrix")
    try:
        terms = [_term(c, factors, e.shape, outputs) for c, factors in _expanded(e)]
    except NoMatrixForm:
        raise _none(e, "some entry ties three of its indices together") from None
    signs, parts = zip(*terms, strict=True) if terms else ((1,), (Constant("zeros", ("n", "n")),))
    return parts[0] if len(parts) == 1 and signs[0] > 0 else Sum(tuple(signs), tuple(parts))


def _none(e: Expr, reason: str) -> DomainError:
    return DomainError(
        "this derivative has no form with ⊗",
        expected="a sum of products, each of one matrix for the rows and one for the columns",
        found=f"an array of shape {show_shape(e.shape)}: {reason}",
        hint="print it in index notation, str(e)",
    )


def _expanded(e: Expr) -> list[tuple[Scalar, list[Factor]]]:
    """Return the terms as factors over the axes 0 … ndim − 1, sums of three and more axes multiplied out."""
    done: list[tuple[Scalar, list[Factor]]] = []
    work: list[tuple[Scalar, Expr]] = list(reversed(linear_terms(e)))
    while work:
        c, t = work.pop()
        factors, output = factors_of(t), _axes(t)
        large = next((k for k, (f, _) in enumerate(factors) if isinstance(f, Add) and f.ndim > 2), None)
        if large is None:
            place = {i: axis for axis, i in enumerate(output)}
            done.append((c, [(f, tuple(place.get(i, i + e.ndim) for i in sub)) for f, sub in factors]))
            continue
        f, sub = factors.pop(large)
        args, subs = [a for a, _ in factors], [s for _, s in factors]
        work += [(c * d, einsum([part, *args], [sub, *subs], output)) for d, part in linear_terms(f)]
        if len(work) > MAX_TERMS:
            raise NoMatrixForm
    return done


def _axes(t: Expr) -> tuple[int, ...]:
    output = getattr(t, "output", None)
    return tuple(range(t.ndim)) if output is None else output


@dataclass(frozen=True, slots=True)
class Piece:
    """Factors that are joined by summed indices, and the axes of the Jacobian that they carry."""

    factors: tuple[Factor, ...]
    axes: frozenset[int]


def _pieces(factors: Sequence[Factor], ndim: int) -> list[Piece]:
    """Take a product apart; ones only say that an axis is there, so each axis of theirs is a piece of its own."""
    single = [
        (Ones((size,)), (i,)) for f, sub in factors if isinstance(f, Ones) for size, i in zip(f.shape, sub, strict=True)
    ]
    rest: list[Piece] = []
    for f, sub in [*(factor for factor in factors if not isinstance(factor[0], Ones)), *single]:
        joined = Piece(((f, sub),), frozenset(i for i in sub if i < ndim))
        summed = {i for i in sub if i >= ndim}
        apart = []
        for piece in rest:
            if summed & {i for _, s in piece.factors for i in s}:
                joined = Piece((*piece.factors, *joined.factors), piece.axes | joined.axes)
            else:
                apart.append(piece)
        rest = [*apart, joined]
    return rest


def _term(c: Scalar, factors: list[Factor], shape: Shape, outputs: int) -> SignedLayout:
    """Return the sign and the notation of one term. Raises: NoMatrixForm."""
    pieces = _pieces(factors, len(shape))
    scalars = [f for piece in pieces if not piece.axes for f in piece.factors]
    sign, lead = Writer({}).signed(c, einsum([ONE, *(f for f, _ in scalars)], [(), *(s for _, s in scalars)], ()))
    carrying = [piece for piece in pieces if piece.axes]
    try:
        body = _body(carrying, shape, outputs)
    except NoMatrixForm:
        body = _body(_retied(carrying, outputs), shape, outputs)
    if isinstance(lead, Sum):
        return sign, Product((lead, body))
    return sign, product(lead, body)


def _retied(pieces: list[Piece], outputs: int) -> list[Piece]:
    """Under δⱼₗ the index j is l: let pieces that carry axes of Y and of X carry those of one only, if they can."""
    result = list(pieces)
    for tie in pieces:
        if tie not in result or not isinstance(tie.factors[0][0], Identity) or len(tie.axes & set(range(outputs))) != 1:
            continue
        a, b = sorted(tie.axes)
        for k, piece in enumerate(result):
            one_side = max(piece.axes) < outputs or min(piece.axes) >= outputs
            for old, new in () if one_side or piece is tie else ((a, b), (b, a)):
                axes = piece.axes - {old} | {new} if old in piece.axes else piece.axes
                if max(axes) < outputs or min(axes) >= outputs:
                    renamed = tuple((f, tuple(new if i == old else i for i in sub)) for f, sub in piece.factors)
                    result[k] = Piece(renamed, axes)
                    break
    return result


def _slots(first: int, count: int) -> Iterator[Slots]:
    """Yield the ways to see axes as rows and columns: a vector may be either."""
    if count == 2:
        yield first, first + 1
    elif count == 1:
        yield from ((first, None), (None, first))
    else:
        yield None, None


def _body(pieces: list[Piece], shape: Shape, outputs: int) -> Layout:
    rows, columns = set(range(outputs)), set(range(outputs, len(shape)))
    ties = [p for p in pieces if p.axes & rows and p.axes & columns]
    if not ties:
        left, right = ([p for p in pieces if p.axes <= side] for side in (rows, columns))
        parts = [_vec(left, sorted(rows), shape)] if rows else []
        return product(*parts, *([transpose(_vec(right, sorted(columns), shape))] if columns else []))
    for (i, k), (j, m) in pairs(_slots(0, outputs), _slots(outputs, len(shape) - outputs)):
        if all(p.axes <= {i, j} or p.axes <= {k, m} for p in ties):
            return _kronecker(pieces, ((k, m), (i, j)), shape, outputs)
        if len(shape) == 4 and all(p.axes <= {i, m} or p.axes <= {k, j} for p in ties):
            turned = _kronecker(pieces, ((k, j), (i, m)), shape, outputs)
            swap = _commutation(shape[outputs], shape[outputs + 1])
            return swap if _is_identity(turned) else product(turned, swap)
    raise NoMatrixForm


def _commutation(m: Size, n: Size) -> Layout:
    short = len(f"{m}{n}") == 2
    return Name(f"K_{m}{n}" if short else f"K_{m}_{n}", "matrix")


def _kronecker(pieces: list[Piece], groups: tuple[Slots, Slots], shape: Shape, outputs: int) -> Layout:
    """Return diag(vec(F)) (P ⊗ Q) diag(vec(G)): F scales the entries of Y, G those of X."""
    used = [p for p in pieces if any(p.axes <= set(group) for group in groups)]
    rest = [p for p in pieces if p not in used]
    rows = [p for p in rest if max(p.axes) < outputs]
    columns = [p for p in rest if min(p.axes) >= outputs]
    if len(rows) + len(columns) < len(rest):
        raise NoMatrixForm
    matrices = [_matrix([p for p in used if p.axes <= set(group)], group, shape) for group in groups]
    kept = [layout for layout in matrices if layout is not None]
    whole: Layout = kept[0] if len(kept) == 1 else Kronecker(tuple(kept))
    if all(map(_is_identity, kept)):
        whole = Constant("identity", (times(*shape[outputs:]),) * 2)
    left = [_scaling(rows, list(range(outputs)), shape)] if rows else []
    right = [_scaling(columns, list(range(outputs, len(shape))), shape)] if columns else []
    inner = [] if (left or right) and _is_identity(whole) else [whole]
    return product(*left, *inner, *right)


def _is_identity(e: Layout) -> bool:
    return isinstance(e, Constant) and e.which == "identity"


def _scaling(pieces: list[Piece], axes: list[int], shape: Shape) -> Layout:
    return Function("diag", _vec(pieces, axes, shape), "matrix")


def _array(pieces: list[Piece], axes: Sequence[int], shape: Shape) -> Expr:
    """Return the product of pieces as an array over the axes."""
    factors = [f for p in pieces for f in p.factors]
    ones = Ones(tuple(shape[axis] for axis in axes))
    return einsum([ones, *(f for f, _ in factors)], [tuple(axes), *(sub for _, sub in factors)], tuple(axes))


def _vec(pieces: list[Piece], axes: list[int], shape: Shape) -> Layout:
    """Return vec(F); a vector is its own."""
    layout = Writer({}).write(_array(pieces, axes, shape))
    return Function("vec", layout, "column") if layout.kind == "matrix" else layout


def _matrix(pieces: list[Piece], group: Slots, shape: Shape) -> Layout | None:
    """Return one side of ⊗: a matrix, or a row or a column where the other index is missing."""
    row, column = group
    axes = [axis for axis in (row, column) if axis is not None]
    if not axes:
        return None
    layout = Writer({}).write(_array(pieces, axes, shape))
    return transpose(layout) if row is None else layout
