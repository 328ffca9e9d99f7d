"""The sample axis: along which axis a formula is read one sample at a time."""

from __future__ import annotations

from chainrule.expression.node import Apply, Einsum, Expr, walk
from chainrule.expression.shape import Size


def has_gate(e: Expr) -> bool:
    """True if a case split takes part in the expression."""
    return any(isinstance(n, Apply) and n.op.is_gate for n in walk(e))


def sample_axis(function: Expr) -> Size | None:
    """Return the size over which the function is read sample by sample: the axis of its vector-valued functions that a
    product sums over (the N of Σᵢ), or None.
    """
    for node in reversed(walk(function)):
        if not isinstance(node, Einsum):
            continue
        for arg, sub in zip(node.args, node.subscripts, strict=True):
            if isinstance(arg, Apply) and len(sub) == 1 and sub[0] in node.summed:
                return arg.shape[0]
    return None


def sampled(e: Expr, outputs: int, size: Size | None) -> bool:
    """True if the expression can be written sample by sample along `size`: its gates are scalars, or vectors of it."""
    gates = [n for n in walk(e) if isinstance(n, Apply) and n.op.is_gate]
    wanted = () if size is None else (size,)
    return outputs <= 1 and all(g.shape == wanted for g in gates)
