"""Gradients by variables with structure, from the gradient by independent entries.

Source: Petersen and Pedersen, The Matrix Cookbook (2012), section 2.8.
"""

from __future__ import annotations

from chainrule.errors import ShapeError
from chainrule.expression.build import diag
from chainrule.expression.node import Expr
from chainrule.expression.shape import show_shape
from chainrule.expression.total import add_terms
from chainrule.simplify.orientation import transposed


def symmetric_gradient(gradient: Expr) -> Expr:
    """Return the gradient by a symmetric matrix, G + Gᵀ − diag(G), from the gradient G by independent entries.

    For a symmetric G that is 2G − diag(G). Shapes: (n, n) -> (n, n).
    Raises: ShapeError for what is no square matrix.
    Source: The Matrix Cookbook, eq. (138).
    """
    if gradient.ndim != 2 or gradient.shape[0] != gradient.shape[1]:
        raise ShapeError(
            "a structured gradient is that of a square matrix", expected="n × n", found=show_shape(gradient.shape)
        )
    terms = [(1, gradient), (1, transposed(gradient)), (-1, diag(diag(gradient)))]
    return add_terms(terms, gradient.shape)
