"""LaTeX to be read back: as it is printed, but numbers in full, and by name what its print does not tell apart."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from functools import cache

import chainrule.notation.layout as n
from chainrule.errors import ChainruleError, DomainError
from chainrule.expression.elaborate import elaborate
from chainrule.expression.functions import function_names
from chainrule.expression.node import Symbol
from chainrule.expression.op import Op
from chainrule.expression.shape import Size
from chainrule.notation.matrix import literal_notation
from chainrule.render.latex import LatexWriter, dressed, escaped, layout_to_latex
from chainrule.syntax.parse import read

CONSTANTS = {"ones": "ones", "zeros": "zeros", "identity": "eye"}


class LatexInputWriter(LatexWriter):
    """LaTeX that reads back. The formula around a constant decides its size, or with `sized` it says `ones(n)`."""

    def __init__(self, shown: Collection[Size], sized: bool) -> None:
        super().__init__()
        self.shown = shown
        self.sized = sized

    def _constant(self, e: n.Constant) -> str:
        if not self.sized:
            return super()._constant(e)
        sizes = ", ".join(dressed(size, "scalar") if isinstance(size, str) else str(size) for size in e.shape)
        return rf"\operatorname{{{CONSTANTS[e.which]}}}({sizes.split(', ')[0] if e.which == 'identity' else sizes})"

    def _extent(self, e: n.Extent) -> str:
        """A size that no symbol shows is known to be one by what it counts."""
        name = super()._extent(e)
        shown = not self.sized or e.size in self.shown
        return name if shown else rf"\operatorname{{sum}}(\operatorname{{ones}}({name}))"

    def _numeral(self, e: n.Numeral) -> str:
        return f"{Decimal(repr(e.value)):f}" if isinstance(e.value, float) else str(e.value)

    def decimal(self, e: n.Fraction) -> str:
        """Quotients stay as they are."""
        return ""

    def _applied(self, e: n.Applied) -> str:
        if e.op.core.inputs == (("n",),) and not e.op.core.output and e.arguments[0].kind == "matrix":
            raise DomainError(f"LaTeX has no {e.op.name} along the rows of a matrix", hint="write it in NumPy text")
        if reads_as_printed(e.op):
            return super()._applied(e)
        return rf"\operatorname{{{escaped(e.op.name)}}}({', '.join(self.write(a) for a in e.arguments)})"

    def _einstein(self, e: n.Einstein) -> str:
        raise DomainError("this product has no matrix notation", hint="write it in NumPy text, which has einsum")


@cache
def reads_as_printed(op: Op) -> bool:
    """True if the operation's notation, on matrices where it takes any shape, is read as that operation."""
    rank = 2 if op.is_elementwise else 0
    symbols = [Symbol(name, ("n",) * (rank or len(core))) for name, core in zip("ABCD", op.core.inputs, strict=False)]
    try:
        e = op(*symbols)
        shown = read(layout_to_latex(literal_notation(e)), "latex", functions=function_names())
        return elaborate(shown, {s.name: s.shape for s in symbols}).expression is e
    except ChainruleError:
        return False
