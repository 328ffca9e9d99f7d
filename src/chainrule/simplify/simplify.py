"""Which rules, in which order. Another amount of simplification is another tuple, never a flag."""

from __future__ import annotations

from collections.abc import Callable, MutableSet, Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

from chainrule.derivative.differentiate import rebuilt, substitute
from chainrule.expression.budget import bounded
from chainrule.expression.node import Apply, Expr, walk
from chainrule.ops.linear import inv
from chainrule.rewrite.engine import rewrite_node
from chainrule.rewrite.rule import Rewrite, Rule
from chainrule.simplify.cancellation import without_cancelling
from chainrule.simplify.elementwise import ELEMENTWISE_RULES
from chainrule.simplify.expansion import expanded
from chainrule.simplify.fractions import by_cases, cleared, merged, on_common_denominator, reduced
from chainrule.simplify.inverses import cancelled, split
from chainrule.simplify.knowledge import FACT_RULES
from chainrule.simplify.length import length
from chainrule.simplify.orientation import oriented
from chainrule.simplify.products import PRODUCT_RULES
from chainrule.simplify.recognise import RECOGNISED
from chainrule.simplify.sums import factored

SIMPLIFICATIONS: tuple[Rule, ...] = (*ELEMENTWISE_RULES, *PRODUCT_RULES, *FACT_RULES, *RECOGNISED)
Record = Callable[[Rewrite], None]
PASSES = 6  # a pass can open the way for another; more than a few never do

COMPUTED: tuple[tuple[str, str, Callable[[Expr], Expr]], ...] = (
    ("the same matrix, turned round", "a symmetric matrix is its own transpose, and (AB)ᵀ = BᵀAᵀ", oriented),
    ("inverse times itself", "A⁻¹A = I, also where A is a product", cancelled),
    ("a product over itself", "u · u⁻² = u⁻¹, also where u is a product", reduced),
    ("a number over itself", "1/(n (1/n) ‖x‖²) = 1/‖x‖²", merged),
    ("no fraction in a denominator", "1/(s(u/s + 1)) = 1/(u + s)", cleared),
    ("common denominator", "over one denominator the numerators merge", on_common_denominator),
    ("cases", "v + [g > 0] ⊙ u is u + v where g > 0, and v elsewhere", by_cases),
    ("common factor", "what several terms share is taken out of the sum", factored),
)
_FINAL: WeakSet[Expr] = WeakSet()  # what the usual rules leave as it is, known once for all
EXPANSION = ("multiply out", "multiplied out, terms merge or cancel")
CANCELLATION = (
    "terms that cancel",
    "at random points modulo a prime they have the value zero, or that of another term",
)
SPLITTING = ("inverse of a product", "(AB)⁻¹ = B⁻¹A⁻¹ for square matrices")


@bounded
def simplify(e: Expr, rules: Sequence[Rule] = SIMPLIFICATIONS, record: Record | None = None) -> Expr:
    """Return the form a book would print: the rules applied to every part, shared factors taken out of sums.

    The value is the same wherever both sides are defined. `record` is told every rewrite, in order.
    """
    run = _Simplification(rules, record)
    e = _split_if_shorter(run.settled(e), rules, record)
    after = run.without_cancelling(e)
    return e if after is e else run.settled(after)


@dataclass(slots=True)
class _Simplification:
    """One run: its rules, who is told, and the nodes that are known to be in their final form."""

    rules: Sequence[Rule]
    record: Record | None
    final: MutableSet[Expr] = field(default_factory=set)
    compact: set[Expr] = field(default_factory=set)  # what multiplying out does not shorten

    def __post_init__(self) -> None:
        if self.rules is SIMPLIFICATIONS:
            self.final = _FINAL

    def settled(self, e: Expr) -> Expr:
        """Rewrite every part, parts before wholes, until nothing changes."""
        for _ in range(PASSES):
            after = self.one_pass(e)
            if after is e:
                return e
            e = after
        return e

    def one_pass(self, e: Expr) -> Expr:
        done: dict[Expr, Expr] = {}
        for node in walk(e, known=self.final):
            before = rebuilt(node, [done.get(arg, arg) for arg in node.args])
            after = before if before in self.final else self.at_root(before)
            if after is before and all(arg in self.final for arg in after.args):
                self.final.add(after)
            done[node] = after
        return done.get(e, e)

    def at_root(self, e: Expr) -> Expr:
        """Apply everything at the root."""
        e = self.tidied(e, self.record)
        after = e if e in self.compact else expanded(e, lambda t: self.tidied(t, None))
        if after is e:
            self.compact.add(e)
            return e
        return self.noted(*EXPANSION, e, after)

    def tidied(self, e: Expr, record: Record | None) -> Expr:
        """Apply the rows and the computed rules, but do not multiply out."""
        e = rewrite_node(e, self.rules, record)
        for name, because, function in COMPUTED:
            after = function(e)
            if after is not e:
                if record is not None:
                    record(Rewrite(name, because, e, after))
                e = after
        return e

    def without_cancelling(self, e: Expr) -> Expr:
        """Drop the terms that random values show to be zero or multiples of others."""
        done: dict[Expr, Expr] = {}
        for node in walk(e):
            before = rebuilt(node, [done[arg] for arg in node.args])
            after = without_cancelling(before)
            done[node] = before if after is before else self.noted(*CANCELLATION, before, after)
        return done[e]

    def noted(self, name: str, because: str, before: Expr, after: Expr) -> Expr:
        """Tell of a rewrite."""
        if self.record is not None:
            self.record(Rewrite(name, because, before, after))
        return after


def _split_if_shorter(e: Expr, rules: Sequence[Rule], record: Record | None) -> Expr:
    """Split the inverses of products if the whole gets shorter: A X (XᵀAX)⁻¹ = X⁻ᵀ for square X."""
    parts: dict[Expr, Expr] = {node: split(node) for node in walk(e) if isinstance(node, Apply) and node.op is inv}
    parts = {node: after for node, after in parts.items() if after is not node}
    if not parts:
        return e
    after = _Simplification(rules, None).settled(substitute(e, parts))
    if length(after) >= length(e):
        return e
    if record is not None:
        record(Rewrite(*SPLITTING, e, after))
    return after
