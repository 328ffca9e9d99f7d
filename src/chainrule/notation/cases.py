"""Case splits: a gate [z > 0] in a product is {0 if z ≤ 0; the rest if z > 0}, and stays where its index lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chainrule.expression.node import Apply, Expr
from chainrule.expression.shape import Shape
from chainrule.notation.layout import Cases, Constant, Layout, Numeral, Relation, Sign
from chainrule.notation.matrix import Writer

OPPOSITE: Mapping[Sign, Sign] = {">": "≤", "<": "≥"}


def is_open_gate(e: Expr) -> bool:
    """True for a gate that is a single number here: it can split cases."""
    return isinstance(e, Apply) and e.op.is_gate and not e.shape


def conditions(gates: Sequence[Expr], names: Mapping[str, Layout]) -> tuple[Relation, ...]:
    """Return what the gates ask."""
    writer = Writer(names)
    return tuple(writer.condition(gate.args[0]) for gate in gates)


def case_split(value: Layout, shape: Shape, given: tuple[Relation, ...]) -> Layout:
    """Return {0 if the condition fails; value if it holds}; of several conditions, all must hold."""
    zero: Layout = Constant("zeros", shape) if shape else Numeral(0)
    if len(given) == 1:
        fails = replace(given[0], sign=OPPOSITE[given[0].sign])
        return Cases(((zero, (fails,)), (value, given)))
    return Cases(((value, given), (zero, ())))
