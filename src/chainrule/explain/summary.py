"""What every derivation ends with: the step of gradient descent for a cost, and the conventions it assumed."""

from __future__ import annotations

from collections.abc import Collection

from chainrule.explain.intermediates import Intermediate
from chainrule.expression.node import Add, Apply, Dimension, Expr, Symbol, depends_on, walk
from chainrule.expression.power import exponent_of
from chainrule.expression.total import scale
from chainrule.ops.piecewise import current_kink_value
from chainrule.rewrite.statement import Equation, Partial, Step, Transposed, WrittenProduct, WrittenSum


def update(named: Expr, root: Intermediate, wrt: Symbol, taken: Collection[str], remark: str = "") -> list[Step]:
    """w ← w − η (∂C/∂w)ᵀ, for a cost: a scalar that averages over samples; η₀ where η is taken."""
    if root.symbol.shape or not _is_cost(root.definition):
        return []
    eta = Symbol("eta" if "eta" not in {*named.symbols, *taken} else "eta0")
    change = eta * named
    falls = isinstance(change, Add) and len(change.args) == 1 and change.coefficients[0] < 0
    after = WrittenSum((1, 1), (wrt, scale(-1, change))) if falls else WrittenSum((1, -1), (wrt, change))
    because = f"go a small step η against the gradient{remark}"
    slope = Partial(root.symbol, wrt)
    move = WrittenProduct((eta, Transposed(slope) if wrt.ndim == 1 else slope), (0,))
    equation = Equation(wrt, (WrittenSum((1, -1), (wrt, move)), after), arrow=True)
    return [Step("gradient descent", equation, because, None, "update")]


def _is_cost(e: Expr) -> bool:
    """True for a mean: a product with 1/N."""
    return any(
        isinstance(exponent_of(n)[0], Dimension) and exponent_of(n)[1] == -1 for n in walk(e) if isinstance(n, Apply)
    )


def assumptions(function: Expr, wrt: Symbol) -> tuple[str, ...]:
    """State the conventions at kinks that the derivative used."""
    sentences = [
        n.op.convention.format(kink=current_kink_value())
        for n in walk(function)
        if isinstance(n, Apply) and n.op.convention and depends_on(n, wrt)
    ]
    return tuple(dict.fromkeys(sentences))
