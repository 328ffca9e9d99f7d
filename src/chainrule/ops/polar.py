"""The nuclear norm, and the orthogonal factor of a matrix that is its gradient.

A = P H with PᵀP = I and H symmetric. Source: Higham, Functions of Matrices (2008), chapter 8; Watson, Characterization
of the subdifferential of some matrix norms (1992).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.expression.build import add, contract, eye, negative, subtract
from chainrule.expression.node import Expr
from chainrule.expression.op import Code, Notation, Op
from chainrule.ops.linear import inv, smallest_singular_value


def orthogonal_factor(a: Any, xp: Any) -> Any:
    """U Vᵀ of the singular value decomposition A = U Σ Vᵀ."""
    u, _, vt = xp.linalg.svd(a, full_matrices=False)
    return u @ vt


def polar_factor(a: Any) -> Any:
    """U Vᵀ of the singular value decomposition A = U Σ Vᵀ."""
    u, _, vt = np.linalg.svd(a, False)
    return u @ vt


def lyapunov_loops(h: Any) -> Any:
    """The tensor T with X = T : C for H X + X H = C."""
    n = len(h)
    sums = np.zeros((n * n, n * n), h.dtype)
    for i in range(n):
        for j in range(n):
            for k in range(n):
                sums[i * n + j, k * n + j] += h[i, k]
                sums[i * n + j, i * n + k] += h[k, j]
    return np.linalg.inv(sums.T).T.reshape((n, n, n, n))


def lyapunov_inverse(h: Any, xp: Any) -> Any:
    """The tensor T with X = T : C for H X + X H = C."""
    n = h.shape[-1]
    one = xp.tril(xp.triu(xp.ones_like(h)))
    sums = xp.einsum("...ik,...jl->...ijkl", h, one) + xp.einsum("...ik,...lj->...ijkl", one, h)
    return xp.linalg.inv(sums.reshape(*h.shape[:-2], n * n, n * n)).reshape(sums.shape)


def _sums_of_pairs(h: np.ndarray) -> np.ndarray:
    """Return how far the eigenvalue sums λᵢ + λⱼ of H are from 0."""
    values = np.linalg.eigvals(h)
    return np.asarray(np.abs(values[..., :, None] + values[..., None, :]).min(axis=(-2, -1)) - 0.05)


def _lyapunov_jacobian(H: Expr, T: Expr) -> Expr:
    """dT = −T : (dH · + · dH) : T, as for any inverse."""
    first = contract("...ijpb,...qbkl->...ijklpq", T, T)
    return negative(add(first, contract("...ijaq,...apkl->...ijklpq", T, T)))


lyapunov = Op(
    "lyapunov(H)",
    "(n,n)->(n,n,n,n)",
    derivative=_lyapunov_jacobian,
    because="the inverse of X ↦ H X + X H moves like every inverse, by −T (dH · + · dH) T",
    rule="Lyapunov equation",
    notation=Notation(text="lyap($H)", latex=r"\operatorname{lyap}($H)"),
    code=Code("lyapunov_inverse($H, $xp)", numba="lyapunov_loops($H)", helper=(lyapunov_inverse, lyapunov_loops)),
    domain=_sums_of_pairs,
)


def _polar_jacobian(A: Expr, P: Expr) -> Expr:
    """dP = P Ω + (I − P Pᵀ) dA H⁻¹, where H Ω + Ω H = Pᵀ dA − dAᵀ P and H = Pᵀ A."""
    H = contract("...ki,...kj->...ij", P, A)
    T = lyapunov(H)
    turned = subtract(
        contract("...ia,...ajcl,...kc->...ijkl", P, T, P), contract("...ia,...ajld,...kd->...ijkl", P, T, P)
    )
    outside = subtract(eye(A.shape[-2]), contract("...is,...ks->...ik", P, P))
    return add(turned, contract("...ik,...lj->...ijkl", outside, inv(H)))


polar = Op(
    "polar(A)",
    "(m,n)->(m,n)",
    derivative=_polar_jacobian,
    because="the orthogonal factor of A turns with A, and tilts where A has more rows than columns",
    rule="polar factor",
    notation=Notation(text="polar($A)", latex=r"\operatorname{polar}($A)"),
    code=Code("orthogonal_factor($A, $xp)", numba="polar_factor($A)", helper=(orthogonal_factor, polar_factor)),
    domain=smallest_singular_value,
)

nuclear_norm = Op(
    "norm_nuc(A)",
    "(m,n)->()",
    derivative=lambda A, y: polar(A),
    because="the gradient of the sum of the singular values of A = U Σ Vᵀ is U Vᵀ, the orthogonal factor of A",
    rule="nuclear norm",
    notation=Notation(text="‖$A‖⁎", latex=r"\lVert $A \rVert_*"),
    code=Code(
        "$xp.linalg.svd($A, compute_uv=False).sum(-1)",
        numba="np.linalg.svd($A)[1].sum()",
        torch="$xp.linalg.svdvals($A).sum(-1)",
    ),
    domain=smallest_singular_value,
    aliases=("nuclear_norm",),
)

POLAR = (lyapunov, polar, nuclear_norm)
