"""Which way a derivation is told: from the inside out, from the result back, or backwards with named adjoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.errors import ShapeError
from chainrule.explain.adjoints import backpropagate
from chainrule.explain.chosen import check_names
from chainrule.explain.intermediates import intermediates
from chainrule.explain.jacobians import multiply_jacobians
from chainrule.expression.node import Expr, Symbol, depends_on
from chainrule.expression.shape import show_shape
from chainrule.rewrite.statement import Derivation, Detail, Narrative

READABLE = 2  # axes that a Jacobian may have to be printed as a matrix


def explain(
    function: Expr,
    wrt: Symbol | Sequence[Symbol],
    narrative: Narrative = "auto",
    detail: Detail = "normal",
    names: Mapping[str, Expr] | None = None,
    function_name: str = "C",
    cotangent: Symbol | None = None,
) -> Derivation:
    """Return the derivation of ∂function/∂wrt, steps not yet judged (`verify` does that).

    Shapes: function (m), wrt (n) -> result (m, n); a scalar function's result has the shape of wrt. With a cotangent of
    the function's shape the result is the vector–Jacobian product, of the shape of wrt.
    Raises: DomainError for names that do not fit or clash; ShapeError for several variables of what is no scalar.
    """
    check_names(function, names or {}, function_name, cotangent)
    variables = [wrt] if isinstance(wrt, Symbol) else list(wrt)
    if cotangent is not None:
        return backpropagate(function, variables, names, function_name, cotangent)
    if len(variables) > 1 and function.shape:
        raise ShapeError(
            "several variables share one backward pass, which starts from a scalar",
            found=f"a function of shape {show_shape(function.shape)}",
            hint='name a cotangent, cotangent="dO", or derive by one variable at a time',
        )
    if len(variables) > 1 or _goes_back(function, variables[0], narrative, detail, names):
        return backpropagate(function, variables, names, function_name)
    way: Narrative = "backward" if narrative == "backward" else "forward"
    return multiply_jacobians(function, variables[0], way, detail, names, function_name)


def _goes_back(
    function: Expr, wrt: Symbol, narrative: Narrative, detail: Detail, names: Mapping[str, Expr] | None
) -> bool:
    """True if the adjoints are to be named: on the way to a scalar some Jacobian has three axes or more."""
    if function.shape or narrative == "forward" or not depends_on(function, wrt):
        return False
    named = intermediates(function, wrt, detail, names)
    ranks = {wrt: wrt.ndim, **{i.symbol: i.symbol.ndim for i in named.variables}}
    for i in named.variables:
        read = [ranks[s] for s in i.definition.symbols.values() if s in ranks]
        if read and i.symbol.ndim + max(*read, wrt.ndim) > READABLE:
            return True
    return False
