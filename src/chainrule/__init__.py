"""chainrule: matrix calculus that shows its work.

>>> import chainrule as cr
>>> C = cr.parse("mean((y - max(0, X @ w + b))**2)")
>>> cr.grad(C, "w").shape
('d',)
"""

from importlib import import_module
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

__version__ = "0.1.0"


PROOFREADING = {
    "check": "chainrule.proofread.check",
    "check_gradient": "chainrule.proofread.gradients",
    "Report": "chainrule.proofread.report",
}


def __getattr__(name: str) -> Any:
    """Every operation of the catalogue is a function of this module: `cr.relu`, `cr.tanh`, `cr.logdet` …"""
    if name in PROOFREADING:  # a large room, imported when it is asked for
        return getattr(import_module(PROOFREADING[name]), name)
    found = api.OPERATIONS.get(name) or NUMPY.get(name)
    if found is None:
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *PROOFREADING, *api.OPERATIONS, *NUMPY})


__all__ = [
    "ChainruleError", "Compiled", "Derivation", "DomainError", "Expr", "FormulaSyntaxError", "Report", "ShapeError",
    "Symbol", "UnknownSymbol", "check", "check_gradient", "compile", "contract", "derive", "describe", "diag", "dot",
    "eye", "formula", "grad", "hessian", "jacobian", "jvp", "kink_value", "matmul", "matrix", "mean", "multiply",
    "newton", "ones", "outer", "parse", "power", "scalar", "simplify", "source", "sum", "symbol", "trace",
    "transpose", "vec_form", "vector", "vjp", "zeros",
]  # fmt: skip
