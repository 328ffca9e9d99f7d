"""How operands are written in a library's code: sizes, shapes, and arrays with their axes where a line needs them."""

from __future__ import annotations

from chainrule.compile.dialects import Dialect
from chainrule.compile.writing import Names
from chainrule.expression.node import Subscripts
from chainrule.expression.shape import Shape, Size


class Operands:
    """Writes operands by the names of one program, in one library's dialect."""

    def __init__(self, names: Names, dialect: Dialect) -> None:
        self.names = names
        self.dialect = dialect
        self.spell = dialect.spell

    def extent(self, shape: Shape) -> str:
        """Write a shape as a tuple."""
        sizes = [self.size(n) for n in shape]
        return f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"

    def size(self, size: Size) -> str:
        """Write a size."""
        return self.names.size(size)

    def transposed(self, text: str, labels: Subscripts, output: Subscripts) -> str:
        """Write the operand with its axes in another order."""
        if labels == output:
            return text
        if labels == output[::-1] and len(labels) == 2:
            return text.removesuffix(".T") if text.endswith(".T") else self.spell("reversed", x=text)
        return self.spell("transposed", x=text, axes=", ".join(str(labels.index(i)) for i in output))

    def aligned(self, text: str, labels: Subscripts, output: Subscripts) -> str:
        """Write the operand so that NumPy broadcasts it along the axes of the output that it lacks."""
        text = self.transposed(text, labels, tuple(i for i in output if i in labels))
        present = [i in labels for i in output]
        if True not in present or all(present[present.index(True) :]):
            return text
        index = [":" if here else "None" for here in present[present.index(True) :]]
        return f"{text}[{', '.join(index)}]"

    @staticmethod
    def axes_of(labels: Subscripts, output: Subscripts) -> str:
        """Write the axes that are summed over: a number, or several in parentheses."""
        axes = [str(axis) for axis, i in enumerate(labels) if i not in output]
        return axes[0] if len(axes) == 1 else f"({', '.join(axes)})"

    def with_axes(self, text: str, labels: Subscripts, output: Subscripts) -> str:
        """Write the operand with all axes of the output, those that it lacks of one entry."""
        text = self.transposed(text, labels, tuple(i for i in output if i in labels))
        places = ", ".join(":" if i in labels else "None" for i in output)
        return f"{text}[{places}]" if "None" in places else text
