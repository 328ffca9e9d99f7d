"""A claim: one line of a reader's derivation, ready to be compared with the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from chainrule.derivative.differentiate import put_back
from chainrule.errors import ChainruleError
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import Shape
from chainrule.syntax.tree import Formula

Kind = Literal["derivative", "identity", "cotangent", "differential", "update"]


@dataclass(frozen=True)
class Claim:
    """A line that says a derivative (or anything else) equals something.

    `function` is what is differentiated, the reader's names put back as far as the variable allows; None for an
    identity. `wrt` is by what: two symbols for second derivatives. `truth` is what the line should say: for a scalar
    function the gradient, of the shape of the variable; else the Jacobian, function.shape + wrt.shape (numerator
    layout); of a cotangent the vector–Jacobian product, of the shape of the variable.
    `stated` is the right side, the reader's names still symbols in it; None if it could not be built because shapes
    disagree, and then `error` says which, and `written` has its syntax tree.
    `names` are the reader's definitions, in the order of the file, each in terms of the names before it; a name that
    `wrt` differentiates by is among them too.
    """

    kind: Kind
    function: Expr | None
    wrt: tuple[Symbol, ...]
    stated: Expr | None
    truth: Expr
    names: Mapping[str, Expr]
    written: Formula | None = None
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    error: ChainruleError | None = None

    def expanded(self, e: Expr) -> Expr:
        """Return `e` with all of the reader's names replaced by what they stand for."""
        return put_back(e, [(Symbol(name, d.shape), d) for name, d in self.names.items()])
