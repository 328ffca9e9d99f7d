"""Which rules, in which order. Another amount of simplification is another tuple, never a flag."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chainrule.derivative.differentiate import rebuilt
from chainrule.expression.node import Expr, walk
from chainrule.rewrite.engine import rewrite_node
from chainrule.rewrite.rule import Rewrite, Rule
from chainrule.simplify.elementwise import ELEMENTWISE_RULES
from chainrule.simplify.products import PRODUCT_RULES
from chainrule.simplify.sums import factored

SIMPLIFICATIONS: tuple[Rule, ...] = (*ELEMENTWISE_RULES, *PRODUCT_RULES)
Record = Callable[[Rewrite], None]
PASSES = 4  # a pass can open the way for another; more than a few never do


def simplify(e: Expr, rules: Sequence[Rule] = SIMPLIFICATIONS, record: Record | None = None) -> Expr:
    """Return the form a book would print: the rules applied to every part, shared factors taken out of sums.

    The value is the same wherever both sides are defined. `record` is told every rewrite, in order.
    """
    for _ in range(PASSES):
        after = _one_pass(e, rules, record)
        if after is e:
            return e
        e = after
    return e


def _one_pass(e: Expr, rules: Sequence[Rule], record: Record | None) -> Expr:
    done: dict[Expr, Expr] = {}
    for node in walk(e):
        new = rewrite_node(rebuilt(node, [done[arg] for arg in node.args]), rules, record)
        short = factored(new)
        if short is not new and record is not None:
            record(Rewrite("common factor", "what all terms share is taken out of the sum", new, short, is_rearrangement=True))
        done[node] = short
    return done[e]
