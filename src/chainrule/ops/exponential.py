"""The exponential of a matrix, and its derivative in a direction.

L(A, E) = d/dt expm(A + t E) at t = 0 is the upper right block of the exponential of [[A, E], [0, A]], so every higher
derivative is an exponential of a larger block matrix. Source: Higham, Functions of Matrices (2008), section 10.3, with
the Padé approximant of Higham, The Scaling and Squaring Method for the Matrix Exponential Revisited (2005).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from chainrule.expression.build import add, broadcast, contract, eye, multiply, ones
from chainrule.expression.extent import Size, times
from chainrule.expression.node import Add, Einsum, Expr, Identity, is_zero, zeros
from chainrule.expression.op import Code, Notation, Op
from chainrule.expression.product import einsum, is_permutation
from chainrule.expression.selection import embed, take
from chainrule.expression.total import content, scale
from chainrule.ops.linear import transpose_last


def matrix_exponential(a: Any, xp: Any, direction: Any = None) -> Any:
    """The matrix exponential by scaling and squaring with a Padé approximant; or its derivative in a direction."""
    n, size = a.shape[-1], 1.0
    if direction is not None:
        size = float(xp.max(xp.abs(direction), initial=0)) or 1.0
        upper = xp.concatenate([a, direction / size], -1)
        a = xp.concatenate([upper, xp.concatenate([xp.zeros_like(a), a], -1)], -2)
    norm = float(xp.max(xp.sum(xp.abs(a), -2), initial=0))
    if not norm < 1e300:
        return a[..., :n, -n:] * xp.nan
    halvings = 0
    while norm > 5.371920351148152:
        norm, halvings = norm / 2, halvings + 1
    a = a / 2.0**halvings
    b = [64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0]
    b += [10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0]
    a2 = a @ a
    a4, one = a2 @ a2, xp.eye(a.shape[-1], dtype=a.dtype)
    a6 = a2 @ a4
    odd = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * one
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * one
    odd = a @ odd
    result = xp.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        result = result @ result
    return result if direction is None else result[..., :n, n:] * size


def _fold_exponential(A: Expr) -> Expr | None:
    """expm(0) = I, and expm(Aᵀ) = expm(A)ᵀ."""
    if is_zero(A):
        return broadcast(eye(A.shape[-1]), A.shape)
    if is_permutation(A) and isinstance(A, Einsum) and A.output == (*range(A.ndim - 2), A.ndim - 1, A.ndim - 2):
        return transpose_last(expm(A.args[0]))
    return None


def _fold_direction(A: Expr, E: Expr) -> Expr | None:
    """L is linear in the direction, and L(A, I) = expm(A): the identity commutes with A."""
    if is_zero(E):
        return zeros(E.shape)
    if isinstance(E, Identity):
        return expm(A)
    if isinstance(E, Add):
        c = E.coefficients[0] if len(E.args) == 1 else content(E)
        return None if c == 1 else scale(c, expm_frechet(A, scale(1 / Fraction(c), E)))
    return _without_numbers(A, E) if isinstance(E, Einsum) else None


def _without_numbers(A: Expr, E: Einsum) -> Expr | None:
    """L(A, c E) = c L(A, E): a number is what no index ties to the axes of E, such as a trace."""
    factors = list(zip(E.args, E.subscripts, strict=True))
    tied = set(E.output)
    for _ in factors:
        tied |= {i for _, sub in factors if tied & set(sub) for i in sub}
    rest = [(arg, sub) for arg, sub in factors if tied & set(sub)]
    if len(rest) == len(factors):
        return None
    free = [(arg, sub) for arg, sub in factors if not tied & set(sub)]
    number = einsum([arg for arg, _ in free], [sub for _, sub in free], ())
    return multiply(number, expm_frechet(A, einsum([arg for arg, _ in rest], [sub for _, sub in rest], E.output)))


def _units(A: Expr) -> tuple[Expr, Expr]:
    """Return A, and the matrices that are 1 at one place, both for every place k, l: axes k, l, then a matrix."""
    n = A.shape[-1]
    repeated = contract("...ij,kl->...klij", A, ones(n, n))
    return repeated, broadcast(contract("ki,lj->klij", eye(n), eye(n)), repeated.shape)


def _placed(e: Expr, row: int, column: int) -> Expr:
    """Put a square matrix into one of the four blocks of a matrix twice as large, zeros elsewhere."""
    n = e.shape[-1]
    return embed(embed(e, e.ndim - 2, times(row, n), times(2, n)), e.ndim - 1, times(column, n), times(2, n))


def _block(e: Expr, row: int, column: int, n: Size) -> Expr:
    """Return one of the four blocks."""
    return take(take(e, e.ndim - 2, times(row, n), n), e.ndim - 1, times(column, n), n)


def _twice(e: Expr) -> Expr:
    """[[e, 0], [0, e]]."""
    return add(_placed(e, 0, 0), _placed(e, 1, 1))


def _exponential_jacobian(A: Expr, Y: Expr) -> Expr:
    repeated, units = _units(A)
    return contract("...klij->...ijkl", expm_frechet(repeated, units))


def _frechet_jacobians(A: Expr, E: Expr, Y: Expr) -> tuple[Expr, Expr]:
    """By A: L([[A, E], [0, A]], [[H, 0], [0, H]]), its upper right block, for every H that is 1 at one place."""
    repeated, units = _units(A)
    corner = contract("...ij,kl->...klij", E, ones(*units.shape[-2:]))
    blocks = add(_twice(repeated), _placed(corner, 0, 1))
    by_matrix = _block(expm_frechet(blocks, _twice(units)), 0, 1, A.shape[-1])
    return tuple(contract("...klij->...ijkl", slope) for slope in (by_matrix, expm_frechet(repeated, units)))  # type: ignore[return-value]


def _pulled_back_direction(A: Expr, E: Expr, Y: Expr, adjoint: Expr) -> tuple[Expr, Expr]:
    """The adjoint of H ↦ L([[A, E], [0, A]], [[H, 0], [0, H]]) is that of the exponential of the block matrix."""
    n = A.shape[-1]
    blocks = add(_twice(A), _placed(E, 0, 1))
    back = expm_frechet(transpose_last(blocks), _placed(adjoint, 0, 1))
    return add(_block(back, 0, 0, n), _block(back, 1, 1, n)), expm_frechet(transpose_last(A), adjoint)


expm: Op = Op(
    "expm(A)",
    "(n,n)->(n,n)",
    derivative=_exponential_jacobian,
    pullback=lambda A, Y, adjoint: (expm_frechet(transpose_last(A), adjoint),),  # Higham 2008, section 3.2
    because="moving A by dA moves its exponential by the Fréchet derivative L(A, dA), whose adjoint is L(Aᵀ, ·)",
    rule="matrix exponential",
    notation=Notation(latex=r"\operatorname{expm}($A)"),
    code=Code(
        "matrix_exponential($A, $xp)",
        jax="jax.scipy.linalg.expm($A)",
        torch="$xp.linalg.matrix_exp($A)",
        helper=matrix_exponential,
    ),
    fold=_fold_exponential,
)

expm_frechet: Op = Op(
    "expm_frechet(A, E)",
    "(n,n),(n,n)->(n,n)",
    derivative=_frechet_jacobians,
    pullback=_pulled_back_direction,
    because="L(A, E) is a block of the exponential of [[A, E], [0, A]], and moves as that does",
    rule="Fréchet derivative of the matrix exponential",
    notation=Notation(text="expm′($A)[$E]", latex=r"\operatorname{expm}'($A)[$E]"),
    code=Code(
        "matrix_exponential($A, $xp, $E)",
        jax="jax.jvp(jax.scipy.linalg.expm, ($A,), ($E,))[1]",
        torch="$xp.func.jvp($xp.linalg.matrix_exp, ($A.clone(),), ($E.clone(),))[1]",
        helper=matrix_exponential,
    ),
    fold=_fold_direction,
)

EXPONENTIAL = (expm, expm_frechet)
