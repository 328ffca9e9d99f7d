"""How tightly each operator binds: one table, read by every parser and by every renderer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Side = Literal["left", "right", "none", "prefix", "postfix"]


@dataclass(frozen=True, slots=True)
class Binding:
    """How tightly an operator holds its operands (larger is tighter), and how a row of equals groups."""

    power: int
    side: Side

    @property
    def right(self) -> int:
        """The least power an operator may have to belong to the right operand without brackets."""
        return self.power if self.side in ("right", "prefix") else self.power + 1


# Unary minus binds tighter than products, as in Python and MATLAB: `a / -b * c` is `(a / (-b)) * c`.
# Because products are linear in each factor, `-a b` has the same value read either way.
# The body of a sum reaches over products, but over the next `+` or `-` only if the term behind has its index (LaTeX).
# Neighbours bind tighter than a written sign: `x y ⊙ z` is `(x y) ⊙ z`. MATLAB's `*` means the same
# product but binds as a written sign.
# `A^2'` is `(A^2)'` in MATLAB, so the transpose sign binds as `^` does; NumPy's `**` groups to the right.
PRECEDENCE: Mapping[str, Binding] = {
    "<": Binding(10, "none"),  "<=": Binding(10, "none"),
    ">": Binding(10, "none"),  ">=": Binding(10, "none"),
    "==": Binding(10, "none"), "!=": Binding(10, "none"),
    "+": Binding(20, "left"),  "-": Binding(20, "left"),
    "bound": Binding(25, "prefix"),                     # Σ, Π, max over an index
    "*": Binding(30, "left"),  "/": Binding(30, "left"),
    "otimes": Binding(30, "left"),
    "@": Binding(30, "left"),  "dot": Binding(30, "left"),
    "juxt": Binding(40, "left"),
    "function": Binding(45, "prefix"),                  # \sin x, without brackets
    "negative": Binding(50, "prefix"), "positive": Binding(50, "prefix"),
    "matpow": Binding(60, "left"), "T": Binding(60, "postfix"),
    "**": Binding(61, "right"),
}  # fmt: skip

COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
