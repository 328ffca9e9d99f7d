"""MATLAB's spelling of notation, as matrixcalculus.org writes it: columns and rows, `*` for products, `.*` by entry."""

from __future__ import annotations

from collections.abc import Collection

import chainrule.notation.layout as n
from chainrule.errors import DomainError
from chainrule.expression.shape import Size
from chainrule.notation.layout import Layout
from chainrule.render.input_numpy import LEVELS, POWER, PRODUCT, InputWriter
from chainrule.render.writer import flattened

WORDS = {"sum": "sum", "tr": "tr", "diag": "diag"}
SIZED = {"ones": "ones", "zeros": "zeros"}
REPEATED = {"column": "vector", "row": "vector", "matrix": "matrix"}


class MatlabWriter(InputWriter):
    """MATLAB text. Constants are `vector(1)` and `eye`, whose sizes the context decides, or with `sized` `ones(n)`."""

    atom = POWER + 10

    def __init__(self, shown: Collection[Size], sized: bool) -> None:
        super().__init__(shown)
        self.sized = sized

    def level(self, e: Layout) -> int:
        """A quote binds as a power does."""
        if isinstance(e, n.Transpose):
            return POWER
        return self.atom if isinstance(e, n.Root) else LEVELS.get(type(e), self.atom)

    def _constant(self, e: n.Constant) -> str:
        if self.sized or e.which == "zeros":
            return f"eye({e.shape[0]})" if e.which == "identity" else f"{SIZED[e.which]}({self.sizes(e.shape)})"
        return "eye" if e.which == "identity" else f"{REPEATED[e.kind]}(1)"

    def _product(self, e: n.Product) -> str:
        parts = flattened(e)
        scalars = [p for p in parts if p.kind == "scalar"]
        return self.row_of([*scalars, *(p for p in parts if p.kind != "scalar")], "*")

    def _hadamard(self, e: n.Hadamard) -> str:
        return self.row_of(list(e.parts), ".*")

    def _quotient(self, e: n.Quotient) -> str:
        return self.row_of([e.numerator, e.denominator], "./")

    def _dot(self, e: n.Dot) -> str:
        return f"{self.at(e.left, self.atom)}'*{self.at(e.right, PRODUCT + 1)}"

    def _sum(self, e: n.Sum) -> str:
        """A number beside arrays is written as an array: `vector(1) + exp(x)`."""
        parts = tuple(self._repeated(p, e.kind) if isinstance(p, n.Numeral) else p for p in e.parts)
        return super()._sum(n.Sum(e.signs, parts))

    def _repeated(self, number: n.Numeral, kind: n.Kind) -> Layout:
        if kind not in REPEATED:
            return number
        whole = n.Name(f"{REPEATED[kind]}({self.write(number)})", "column" if kind == "row" else kind)
        return n.transpose(whole) if kind == "row" else whole

    def _power(self, e: n.Power) -> str:
        sign = "^" if e.kind == "scalar" else ".^"
        return f"{self.at(e.base, self.atom)}{sign}{self.at(e.exponent, self.atom)}"

    def _root(self, e: n.Root) -> str:
        return f"sqrt({self.write(e.base)})"

    def _norm(self, e: n.Norm) -> str:
        return f"norm2({self.write(e.base)})"

    def _transpose(self, e: n.Transpose) -> str:
        return f"{self.at(e.base, self.atom)}'"

    def _function(self, e: n.Function) -> str:
        return f"{WORDS[e.word]}({self.write(e.argument)})"

    def _applied(self, e: n.Applied) -> str:
        if e.op.core.inputs == (("n",),) and not e.op.core.output and e.arguments[0].kind == "matrix":
            raise DomainError(
                f"MATLAB text has no {e.op.name} along the rows of a matrix", hint="write it in NumPy text"
            )
        return super()._applied(e)

    def _sub(self, e: n.Sub) -> str:
        raise DomainError("MATLAB text has no indices here", hint="write it in NumPy text")

    def _einstein(self, e: n.Einstein) -> str:
        raise DomainError(
            "MATLAB text has only products of vectors and matrices",
            expected="at most two axes, and at most two matrices on one index",
            found=f'einsum("{e.subscripts}", …)',
            hint='write it in NumPy text, source_text(e, syntax="text")',
        )
