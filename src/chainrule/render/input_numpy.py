"""NumPy's spelling of notation, to be read back: one-dimensional vectors, `@` and `*`."""

from __future__ import annotations

from collections.abc import Collection

import chainrule.notation.layout as n
from chainrule.expression.shape import Shape, Size
from chainrule.notation.layout import Layout
from chainrule.render.writer import Writer, flattened
from chainrule.syntax.precedence import PRECEDENCE

SUM, PRODUCT, POWER, ATOM = PRECEDENCE["+"].power, PRECEDENCE["*"].power, PRECEDENCE["**"].power, 1000
LEVELS: dict[type[object], int] = {
    n.Sum: SUM, n.Product: PRODUCT, n.Hadamard: PRODUCT, n.Quotient: PRODUCT, n.Fraction: PRODUCT, n.Dot: PRODUCT,
    n.Power: POWER, n.Root: POWER,
}  # fmt: skip
WORDS = {"sum": "sum", "mean": "mean", "tr": "trace", "diag": "diag"}
ARRAYS = {"ones": "ones", "zeros": "zeros"}


class InputWriter(Writer):
    """NumPy-style text. Rows and columns are both vectors here, so transposes of vectors vanish."""

    def __init__(self, shown: Collection[Size]) -> None:
        super().__init__()
        self.shown = shown

    def level(self, e: Layout) -> int:
        """The parser's own table says what needs parentheses."""
        if isinstance(e, n.Transpose):
            return ATOM if e.base.kind == "matrix" else self.level(e.base)
        return LEVELS.get(type(e), ATOM)

    def row_of(self, parts: list[Layout], sign: str) -> str:
        """Join operands of one level: the first may bind as loosely, the others must bind tighter."""
        first, *rest = parts
        return sign.join([self.at(first, PRODUCT), *(self.at(part, PRODUCT + 1) for part in rest)])

    def _name(self, e: n.Name) -> str:
        return e.name

    def _numeral(self, e: n.Numeral) -> str:
        return str(e.value)

    def _extent(self, e: n.Extent) -> str:
        """A size that no symbol shows is known to be one by what it counts."""
        return e.size if e.size in self.shown else f"sum(ones({e.size}))"

    def _constant(self, e: n.Constant) -> str:
        return f"eye({e.shape[0]})" if e.which == "identity" else f"{ARRAYS[e.which]}({self.sizes(e.shape)})"

    def sizes(self, shape: Shape) -> str:
        """Return the sizes as arguments."""
        return ", ".join(str(size) for size in shape)

    def _product(self, e: n.Product) -> str:
        parts = flattened(e)
        scalars = [p for p in parts if p.kind == "scalar"]
        arrays = [p for p in parts if p.kind != "scalar"]
        if not arrays:
            return self.row_of(scalars, " * ")
        for k in range(1, len(arrays)):
            if arrays[k - 1].kind == "column" and arrays[k].kind == "row":
                left, right = (self.row_of(side, " @ ") for side in (arrays[:k], arrays[k:]))
                chain = f"outer({left}, {right})"
                return self.row_of(scalars, " * ") + f" * {chain}" if scalars else chain
        chain = " @ ".join(self.at(p, PRODUCT + 1) for p in arrays)
        return f"{self.row_of(scalars, ' * ')} * {chain}" if scalars else self.row_of(arrays, " @ ")

    def _hadamard(self, e: n.Hadamard) -> str:
        return self.row_of(list(e.parts), " * ")

    def _quotient(self, e: n.Quotient) -> str:
        return self.row_of([e.numerator, e.denominator], " / ")

    def _dot(self, e: n.Dot) -> str:
        return self.row_of([e.left, e.right], " @ ")

    def _fraction(self, e: n.Fraction) -> str:
        return self.row_of([e.numerator, e.denominator], "/")

    def _sum(self, e: n.Sum) -> str:
        result = ""
        for sign, part in zip(e.signs, e.parts, strict=True):
            mark = ("-" if sign < 0 else "") if not result else (" - " if sign < 0 else " + ")
            result += mark + self.at(part, SUM + 1)
        return result

    def _power(self, e: n.Power) -> str:
        if isinstance(e.base, n.Norm):
            return f"sum({self.at(e.base.base, ATOM)}**2)" + self._half(e.exponent)
        return f"{self.at(e.base, ATOM)}**{self.at(e.exponent, ATOM)}"

    def _half(self, exponent: Layout) -> str:
        return "" if exponent == n.Numeral(2) else f"**({self.at(exponent, ATOM)}/2)"

    def _root(self, e: n.Root) -> str:
        return f"{self.at(e.base, ATOM)}**(1/2)"

    def _norm(self, e: n.Norm) -> str:
        return f"norm({self.write(e.base)})"

    def _transpose(self, e: n.Transpose) -> str:
        return f"{self.at(e.base, ATOM)}.T" if e.base.kind == "matrix" else self.write(e.base)

    def _sub(self, e: n.Sub) -> str:
        return f"{self.at(e.base, ATOM)}[{', '.join(i.removeprefix('@') for i in e.indices)}]"

    def _function(self, e: n.Function) -> str:
        return f"{WORDS[e.word]}({self.write(e.argument)})"

    def _applied(self, e: n.Applied) -> str:
        sizes = len(e.op.extents)
        written = [a.size if isinstance(a, n.Extent) and sizes else self.write(a) for a in e.arguments]
        if e.op.signature == "(n)->()" and e.arguments[0].kind in ("matrix", "array"):
            written.append("axis=-1")
        return f"{e.op.name}({', '.join(written)})"

    def _bracket(self, e: n.Bracket) -> str:
        return f"({self.write(e.condition)})"

    def _relation(self, e: n.Relation) -> str:
        return f"{self.at(e.left, SUM)} {e.sign} {self.at(e.right, SUM)}"

    def _einstein(self, e: n.Einstein) -> str:
        return f'einsum("{e.subscripts}", {", ".join(self.write(a) for a in e.arguments)})'

    def _unspoken(self, e: Layout) -> str:
        raise ValueError(f"{type(e).__name__} is notation for reading, not for input")

    _big_sum = _cases = _differential = _contraction = _kronecker = _chain = _table = _unspoken
