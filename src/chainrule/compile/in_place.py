"""Lines that write over arrays which nobody reads any more: on large arrays a fresh one costs more than the arithmetic.

For code in which the library records no derivative, such as that of an `autograd.Function`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from chainrule.compile.dialects import Dialect
from chainrule.compile.lifetimes import Lifetimes, Origins
from chainrule.compile.primitives import Primitives
from chainrule.compile.program import Combine, Contract, Divide, Instruction, Map, Program
from chainrule.compile.writing import Names, literal, unwrapped
from chainrule.expression.shape import Scalar

OF_ONE_ARRAY = re.compile(r"\$xp\.(\w+)\(\$\w+\)")


def over(x: Any, function: str, *others: Any, **scale: Any) -> Any:
    """Return x.function(*others), written over x if that has its type, and its batches in torch.func.vmap."""
    same = all(other.dtype == x.dtype for other in others)
    try:
        return getattr(x, f"{function}_" if same else function)(*others, **scale)
    except RuntimeError:  # others have a batch that x lacks
        return getattr(x, function)(*others, **scale)


class InPlace(Primitives):
    """Writes instructions in place where an operand may hold the result, and products into the sums they belong to."""

    def __init__(self, program: Program, names: Names, dialect: Dialect, origins: Origins) -> None:
        super().__init__(program, names, dialect)
        self.lifetimes = Lifetimes(program, self.nested, origins)
        self.variable: dict[int, str] = {}  # by step, the variable that its line writes over
        self.called: dict[str, Callable[..., Any]] = {}  # functions of this file that lines call
        self.factors: dict[int, list[str]] = {}  # by step, what the product is of that is written within a line

    def longest_part(self, step: Instruction) -> int:
        """Thin values have lines of their own, so that the large ones that read them stay within one."""
        return super().longest_part(step) // (1 if len(step.shape) == self.lifetimes.ndim else 2)

    def _line_of(self, k: int, text: str) -> tuple[str, str]:
        self.factors.pop(k, None)
        if k in self.variable:
            name = self.variable[k]
            return f"{name} = {text}" if text.startswith("over(") else text, name
        return super()._line_of(k, text)

    def _statement(self, k: int, step: Instruction, name: str) -> list[str]:
        if k not in self.numbers and step.shape:
            if isinstance(step.action, Contract) and len(step.operands) == 2 and not step.summed:
                self.factors[k] = self._aligned(step)
            text = self._over(k, step) or self._product_added(step)
            if text:
                return [text]
        return super()._statement(k, step, name)

    def _aligned(self, step: Instruction) -> list[str]:
        texts = [self.texts[operand] for operand in step.operands]
        return [self.aligned(t, sub, step.output) for t, sub in zip(texts, step.subscripts, strict=True)]

    # --- in place
    def _over(self, k: int, step: Instruction) -> str:
        """Write the step over one of its operands; "" if it cannot be."""
        action = step.action
        unscaled = action.coefficients if isinstance(action, Combine) else ()
        alike = [self.lifetimes.is_alike(operand, k) for operand in step.operands]
        rank = [(not same, bool(unscaled) and unscaled[p] != 1) for p, same in enumerate(alike)]
        for position in sorted(self.lifetimes.holders(k), key=lambda p: rank[p]):
            text = self._written_over(step, position)
            if text:
                held = step.operands[position]
                variable = self.variable.get(held, self.texts[held])
                is_same = not step.summed and step.subscripts[position] == step.output  # a view has a name of its own
                if is_same and re.fullmatch(r"v\d+", variable):
                    self.variable[k] = variable
                return text
        return ""

    def _written_over(self, step: Instruction, position: int) -> str:
        match step.action:
            case Contract() if len(step.operands) == 2:
                return self._product_over(step, position)
            case Divide(is_length=False) if position == 0:
                x, y = self._aligned(step)
                return self._spell_over("divided", x, unwrapped(y), self._is_alike(step, 0, 1))
            case Combine(coefficients) if not self.less(step):
                return self._sum_over(step, position, coefficients)
            case Map(op) if op.is_elementwise and len(step.operands) == 1:
                call = OF_ONE_ARRAY.fullmatch(self._line(step))
                if call and call[1] in self.dialect.in_place:
                    return self.spell("mapped", x=self._aligned(step)[0], function=call[1])
        return ""

    def _is_alike(self, step: Instruction, position: int, *others: int) -> bool:
        """True if an operand varies with all that the other ones, by position, vary with."""
        return self.lifetimes.is_alike(step.operands[position], *(step.operands[other] for other in others))

    def _spell_over(self, primitive: str, x: str, y: str, alike: bool, c: str = "") -> str:
        """Write a function of two arrays over the first; if they are not alike, the code finds out whether it can."""
        if not alike:
            self.called[over.__name__] = over
            return self.spell(f"{primitive}, batched", x=unwrapped(x), y=y, c=c)
        return self.spell(primitive, x=x, y=y, c=c)

    def _product_over(self, step: Instruction, position: int) -> str:
        """Write a product, or the sum of one; a sum over a matrix product is no such thing."""
        labels = step.subscripts[position]
        other = step.operands[1 - position], step.subscripts[1 - position]
        alike = self._is_alike(step, position, 1 - position)
        if not step.summed:
            x, y = self._aligned(step)[position], self._aligned(step)[1 - position]
            return self._spell_over("multiplied", x, unwrapped(y), alike)
        if set(other[1]) != set(labels) or not step.output:
            return ""
        y = self.transposed(self.texts[other[0]], other[1], labels)
        x = self._spell_over("multiplied", self.texts[step.operands[position]], unwrapped(y), alike)
        kept = tuple(i for i in labels if i in step.output)
        return self.transposed(self.spell("sum", x=x, axes=self.axes_of(labels, step.output)), kept, step.output)

    def _sum_over(self, step: Instruction, position: int, coefficients: Sequence[Scalar]) -> str:
        """Write c x + Σ cₖ tₖ over x, each term in turn."""
        texts = self._aligned(step)
        text, c = texts[position], coefficients[position]
        if c == -1:
            text = self.spell("negated", x=text)
        elif c != 1:
            text = self.spell("multiplied", x=text, y=unwrapped(literal(c)))
        done = [position]
        for k, term in enumerate(texts):
            if k != position:
                alike = any(self._is_alike(step, held, k) for held in done)
                text = self._added(text, step, k, term, coefficients[k], alike)
                done.append(k)
        return text

    def _added(self, text: str, step: Instruction, position: int, term: str, c: Scalar, alike: bool) -> str:
        """Write what adds c t in place: a product goes by its factors, so that it is never an array."""
        factors, scale = self._factors(step, position), unwrapped(literal(c))
        if factors:
            return self._spell_over(f"product added{'' if c == 1 else ', scaled'}", text, factors, alike, scale)
        value = self._constant(step.operands[position])
        if value is not None:
            term = literal(value)
        if c in (1, -1):
            return self._spell_over("added" if c == 1 else "subtracted", text, unwrapped(term), alike)
        return self._spell_over("added, scaled", text, unwrapped(term), alike, scale)

    def _factors(self, step: Instruction, position: int) -> str:
        """Return the factors of a term that is a product of arrays and has no line of its own; "" if it is not one."""
        operand = step.operands[position]
        if operand not in self.factors or step.subscripts[position] != step.output:
            return ""
        product = self.program.instructions[operand]
        if self.numbers.intersection(product.operands):
            return ""
        return ", ".join(unwrapped(factor) for factor in self.factors[operand])

    # --- not in place, and yet one array less
    def _product_added(self, step: Instruction) -> str:
        """Write z + c x y on large arrays as one operation; "" if the step is no such sum."""
        if not isinstance(step.action, Combine) or len(step.operands) != 2 or len(step.shape) < self.lifetimes.ndim:
            return ""
        coefficients, texts = step.action.coefficients, self._aligned(step)
        for product, z in ((0, 1), (1, 0)):
            factors, c = self._factors(step, product), coefficients[product]
            if factors and coefficients[z] == 1 and step.operands[z] not in self.numbers:
                name = f"sum with a product{'' if c == 1 else ', scaled'}"
                return self.spell(name, x=unwrapped(texts[z]), y=factors, c=unwrapped(literal(c)))
        return ""
