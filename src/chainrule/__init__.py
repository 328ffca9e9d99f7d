"""chainrule: matrix calculus that shows its work.

>>> import chainrule as cr
>>> C = cr.parse("mean((y - max(0, X @ w + b))**2)")
>>> cr.grad(C, "w").shape
('d',)
"""

from typing import Any

from chainrule import api
from chainrule.api import (
    Compiled,
    Derivation,
    Expr,
    Symbol,
    compile,
    contract,
    derive,
    describe,
    diag,
    dot,
    eye,
    formula,
    grad,
    hessian,
    jacobian,
    jvp,
    kink_value,
    matmul,
    matrix,
    mean,
    multiply,
    newton,
    ones,
    outer,
    parse,
    power,
    scalar,
    simplify,
    source,
    sum,
    symbol,
    trace,
    transpose,
    vec_form,
    vector,
    vjp,
    zeros,
)
from chainrule.errors import ChainruleError, DomainError, FormulaSyntaxError, ShapeError, UnknownSymbol
from chainrule.expression.build import NUMPY
from chainrule.proofread.check import check
from chainrule.proofread.gradients import check_gradient
from chainrule.proofread.report import Report

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Every operation of the catalogue is a function of this module: `cr.relu`, `cr.tanh`, `cr.logdet` …"""
    found = api.OPERATIONS.get(name) or NUMPY.get(name)
    if found is None:
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *api.OPERATIONS})


__all__ = [
    "ChainruleError", "Compiled", "Derivation", "DomainError", "Expr", "FormulaSyntaxError", "Report", "ShapeError",
    "Symbol", "UnknownSymbol", "check", "check_gradient", "compile", "contract", "derive", "describe", "diag", "dot",
    "eye", "formula", "grad", "hessian", "jacobian", "jvp", "kink_value", "matmul", "matrix", "mean", "multiply",
    "newton", "ones", "outer", "parse", "power", "scalar", "simplify", "source", "sum", "symbol", "trace",
    "transpose", "vec_form", "vector", "vjp", "zeros",
]  # fmt: skip
