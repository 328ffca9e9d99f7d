"""A rule is a row: a name, a left side and a right side, both ordinary expressions whose symbols are holes."""

from __future__ import annotations

from dataclasses import dataclass, field

from chainrule.expression.node import Apply, Expr, Symbol


@dataclass(frozen=True, slots=True)
class Rule:
    """`this` becomes `becomes`, wherever it stands; the symbols of `this` are holes.

    A hole of rank 0 is element-wise: it fits an expression of any shape. A hole of rank 2 fits a matrix, under leading
    batch axes too. `because` is the sentence a reader sees.
    A `within` rule rewrites one factor in the presence of another: `this` = g·a, `becomes` = g·b, and then every a in a
    sum that g multiplies becomes b.
    """

    name: str
    this: Expr
    becomes: Expr
    because: str = ""
    within: bool = False
    holes: frozenset[Symbol] = field(init=False)
    needs: frozenset[object] = field(init=False)  # kind and operations that must be there for the rule to fit

    def __post_init__(self) -> None:
        object.__setattr__(self, "holes", frozenset(self.this.symbols.values()))
        parts = (self.this, *(() if self.within else self.this.args))
        ops: set[object] = {part.op for part in parts if isinstance(part, Apply)}
        object.__setattr__(self, "needs", frozenset(ops | {type(self.this)}))
        unbound = set(self.becomes.symbols.values()) - self.holes
        if unbound:
            raise ValueError(f"the rule '{self.name}' has holes on its right that its left does not bind: {unbound}")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One use of a rule: what it turned into what."""

    rule: str
    because: str
    before: Expr
    after: Expr
    is_rearrangement: bool = False  # the same terms in another order or grouping: nothing to explain
