"""Code to take away: readable, commented with shapes, standing alone without this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from chainrule.compile.assembly import LIBRARIES, assembled, formulas, helpers
from chainrule.compile.bound import Sampler, bound_in_jax, bound_in_torch
from chainrule.compile.dialects import IN_JAX, IN_NUMPY, IN_TORCH, Dialect
from chainrule.compile.differentiable import has_derivative
from chainrule.compile.in_c import code_in_c
from chainrule.compile.in_numba import code_in_numba
from chainrule.compile.lower import lower
from chainrule.compile.program import Program
from chainrule.compile.recipes import shared
from chainrule.compile.source import function_text, is_safe_name, readable_names
from chainrule.errors import DomainError
from chainrule.expression.node import Expr


def source_text(
    exprs: Expr | Sequence[Expr], backend: str = "numpy", name: str | None = None, sampler: Sampler | None = None
) -> str:
    """Return readable code that computes the expressions and stands alone, without chainrule.

    One expression gives a function that returns one array, several a tuple. Parameters have the symbols' names where
    these are safe. In JAX and torch, one expression gets its derivative by all symbols but positions bound to it;
    `sampler` finds the point at which torch code tests that.
    Raises: DomainError for a backend that does not exist, or a name that is no safe identifier.

    >>> from chainrule.expression.build import dot, vector
    >>> x = vector("x", "n")
    >>> print(source_text(dot(x, x), name="square"))
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    # ‖x‖²
    def square(x):
        # x: n
        v0 = x @ x  # number
        return v0
    <BLANKLINE>
    """
    language = LANGUAGES.get(backend)
    if language is None:
        raise DomainError(f"there is no code for {backend!r}", expected=" or ".join(LANGUAGES))
    if name is not None and not is_safe_name(name):
        raise DomainError(f"a function cannot be called {name!r}", expected="an identifier that is not taken")
    if language.binds is not None and isinstance(exprs, Expr) and has_derivative(exprs):
        return language.binds(exprs, name or "function", sampler)
    return language.writes((exprs,) if isinstance(exprs, Expr) else tuple(exprs), name or "gradient")


def _same(program: Program) -> Program:
    return program


def _array_code(
    exprs: tuple[Expr, ...], name: str, dialect: Dialect, planned: Callable[[Program], Program] = _same
) -> str:
    program = planned(lower(*exprs))
    called = helpers(program, dialect)
    names = readable_names(program, {name, *called, *LIBRARIES})
    text = function_text(program, names, name, dialect, free_early=False)
    return assembled([formulas(exprs) + text], called)


@dataclass(frozen=True, slots=True)
class Language:
    """How code is written in a language: a plain function of expressions, and one with its derivative bound to it."""

    writes: Callable[[tuple[Expr, ...], str], str]
    binds: Callable[[Expr, str, Sampler | None], str] | None = None


LANGUAGES: Mapping[str, Language] = {
    "numpy": Language(partial(_array_code, dialect=IN_NUMPY, planned=shared)),
    "numba": Language(code_in_numba),
    "jax": Language(partial(_array_code, dialect=IN_JAX), bound_in_jax),
    "torch": Language(partial(_array_code, dialect=IN_TORCH), bound_in_torch),
    "c": Language(code_in_c),
}
