"""Functions of a square matrix. Source: Petersen and Pedersen, The Matrix Cookbook (2012), sections 2.1 and 2.2."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.expression.build import add, contract, eye, multiply, negative, subtract, transpose
from chainrule.expression.node import Expr
from chainrule.expression.op import Code, Notation, Op
from chainrule.expression.selection import tri


def smallest_singular_value(a: np.ndarray) -> np.ndarray:
    """Return how far a matrix is from losing rank."""
    return np.linalg.svd(a, compute_uv=False)[..., -1] - 0.05


inv = Op(
    "inv(A)",
    "(n,n)->(n,n)",
    derivative=lambda A, Y: negative(contract("...ik,...lj->...ijkl", Y, Y)),  # Cookbook eq. (60)
    because="moving A moves its inverse by −A⁻¹ (dA) A⁻¹",
    rule="inverse",
    notation=Notation(text="$A⁻¹", latex="$A^{-1}", binding="power"),
    code=Code("$xp.linalg.inv($A)", c="inverse"),
    domain=smallest_singular_value,
)

det: Op = Op(
    "det(A)",
    "(n,n)->()",
    derivative=lambda A, y: contract("...,...ji->...ij", y, inv(A)),  # Cookbook eq. (49)
    because="the determinant grows along A by det(A) A⁻ᵀ (Jacobi's formula)",
    rule="determinant",
    notation=Notation(latex=r"\det($A)"),
    code=Code("$xp.linalg.det($A)", c="determinant"),
    domain=smallest_singular_value,
    logarithm=lambda A: logdet(A),
)

logdet: Op = Op(
    "logdet(A)",
    "(n,n)->()",
    derivative=lambda A, y: contract("...ji->...ij", inv(A)),  # Cookbook eq. (57)
    because="the gradient of log |det A| is A⁻ᵀ",
    rule="log-determinant",
    notation=Notation(text="log|det($A)|", latex=r"\log\lvert\det($A)\rvert"),
    code=Code("$xp.linalg.slogdet($A)[1]", c="log_determinant"),
    domain=smallest_singular_value,
)


def _pinv_jacobian(A: Expr, P: Expr) -> Expr:
    """dP = −P dA P + P Pᵀ dAᵀ (I − A P) + (I − P A) dAᵀ Pᵀ P. Source: Golub and Pereyra 1973, theorem 4.3."""
    rows, columns = A.shape[-2:]
    left = subtract(eye(rows), contract("...ij,...jk->...ik", A, P))
    right = subtract(eye(columns), contract("...ij,...jk->...ik", P, A))
    inner = contract("...ai,...bi->...ab", P, P)
    outer = contract("...ia,...ib->...ab", P, P)
    return add(
        contract("...ik,...lj->...ijkl", negative(P), P),
        add(contract("...il,...kj->...ijkl", inner, left), contract("...il,...kj->...ijkl", right, outer)),
    )


pinv = Op(
    "pinv(A)",
    "(m,n)->(n,m)",
    derivative=_pinv_jacobian,
    because="the pseudoinverse moves like an inverse, and with the spaces of A that it leaves out",
    rule="pseudoinverse",
    notation=Notation(text="$A⁺", latex="$A^{+}", binding="power"),
    code=Code("$xp.linalg.pinv($A)"),
    domain=smallest_singular_value,
)


def lower_factor(a: Any, xp: Any) -> Any:
    """The lower triangular L with L Lᵀ = A; of A, its symmetric part is read."""
    return xp.linalg.cholesky((a + xp.swapaxes(a, -1, -2)) / 2)


def _cholesky_jacobian(A: Expr, L: Expr) -> Expr:
    """dL = L Φ(L⁻¹ dA L⁻ᵀ): Φ keeps the lower triangle and halves the diagonal. Source: Murray 2016, equation (8)."""
    size = A.shape[-1]
    phi = subtract(tri.of_shape((size, size), 0), multiply(Fraction(1, 2), eye(size)))
    M = inv(L)
    one_sided = contract("...ia,ab,...ak,...bl->...ibkl", L, phi, M, M)
    return multiply(Fraction(1, 2), add(one_sided, transpose_last(one_sided)))


def transpose_last(e: Expr) -> Expr:
    """Exchange the last two axes."""
    return transpose(e, [*range(e.ndim - 2), e.ndim - 1, e.ndim - 2])


cholesky = Op(
    "cholesky(A)",
    "(n,n)->(n,n)",
    derivative=_cholesky_jacobian,
    because="moving A = L Lᵀ moves L by L Φ(L⁻¹ (dA) L⁻ᵀ), Φ the lower triangle with half the diagonal",
    rule="Cholesky factor",
    notation=Notation(text="chol($A)", latex=r"\operatorname{chol}($A)"),
    code=Code(
        "lower_factor($A, $xp)",
        numba="np.linalg.cholesky(($A + $A.T) / 2)",
        c="lower_factor",
        torch="$xp.linalg.cholesky(($A + $A.mT) / 2)",
        helper=lower_factor,
    ),
    domain=lambda a: np.linalg.eigvalsh((a + np.swapaxes(a, -1, -2)) / 2)[..., 0] - 0.05,
    aliases=("chol",),
)

LINEAR = (inv, det, logdet, pinv, cholesky)
