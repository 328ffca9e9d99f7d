"""Functions of a square matrix. Source: Petersen and Pedersen, The Matrix Cookbook (2012), sections 2.1 and 2.2."""

from __future__ import annotations

import numpy as np

from chainrule.expression.build import contract, negative
from chainrule.expression.op import Code, Notation, Op


def _smallest_singular_value(a: np.ndarray) -> np.ndarray:
    return np.linalg.svd(a, compute_uv=False)[..., -1] - 0.05


inv = Op(
    "inv(A)",
    "(n,n)->(n,n)",
    derivative=lambda A, Y: negative(contract("...ik,...lj->...ijkl", Y, Y)),  # Cookbook eq. (60)
    because="moving A moves its inverse by −A⁻¹ (dA) A⁻¹",
    rule="inverse",
    notation=Notation(text="$A⁻¹", latex="$A^{-1}", binding="power"),
    code=Code("$xp.linalg.inv($A)"),
    domain=_smallest_singular_value,
)

det = Op(
    "det(A)",
    "(n,n)->()",
    derivative=lambda A, y: contract("...,...ji->...ij", y, inv(A)),  # Cookbook eq. (49)
    because="the determinant grows along A by det(A) A⁻ᵀ (Jacobi's formula)",
    rule="determinant",
    notation=Notation(latex=r"\det($A)"),
    code=Code("$xp.linalg.det($A)"),
    domain=_smallest_singular_value,
)

logdet = Op(
    "logdet(A)",
    "(n,n)->()",
    derivative=lambda A, y: contract("...ji->...ij", inv(A)),  # Cookbook eq. (57)
    because="the gradient of log |det A| is A⁻ᵀ",
    rule="log-determinant",
    notation=Notation(text="log|det($A)|", latex=r"\log\lvert\det($A)\rvert"),
    code=Code("$xp.linalg.slogdet($A)[1]"),
    domain=_smallest_singular_value,
)

LINEAR = (inv, det, logdet)
