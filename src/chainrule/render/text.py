"""Notation as Unicode text, as one would write it in a mail: `(2/N) Xᵀ([z > 0] ⊙ (z − y))`."""

from __future__ import annotations

import re
from unicodedata import combining

import chainrule.notation.layout as n
from chainrule.expression.node import Expr
from chainrule.notation.layout import Layout
from chainrule.notation.matrix import notate
from chainrule.notation.parts import WHOLE_AXIS, is_part
from chainrule.notation.vectorised import vec_form
from chainrule.notation.written import notate_equation
from chainrule.render.names import ACCENTS, GREEK, spelling, subscript, superscript
from chainrule.render.writer import (
    ATOM,
    ELEMENTWISE,
    POWER,
    PRODUCT,
    SUM,
    Writer,
    ends_open,
    extends,
    flattened,
    is_coefficient,
    shortened,
    times_pi,
)
from chainrule.rewrite.statement import Derivation

ARROW = "\u20d7"
_SHORT = re.compile(r"[^\W\d_]|1")
_WORD = re.compile(r"[A-Za-zα-ωΑ-Ω]{2}|Σ")


def text(e: Expr) -> str:
    """Write an expression in Unicode.

    >>> from chainrule.expression.build import matrix, vector
    >>> print(text(matrix("A", "m", "n") @ vector("x", "n")))
    Ax
    """
    return layout_to_text(notate(e))


def layout_to_text(e: Layout) -> str:
    """Write notation in Unicode."""
    return _TEXT.write(e)


def vec_text(e: Expr, outputs: int) -> str:
    """Write a Jacobian in vec form; its first `outputs` axes are those of the function. Raises: DomainError.

    >>> from chainrule.derivative.differentiate import jacobian
    >>> from chainrule.expression.build import matrix
    >>> A, X, B = matrix("A", "m", "n"), matrix("X", "n", "p"), matrix("B", "p", "q")
    >>> print(vec_text(jacobian(A @ X @ B, "X"), 2))
    Bᵀ ⊗ A
    """
    return layout_to_text(vec_form(e, outputs))


def is_short(piece: str) -> bool:
    """True for one letter with its marks: A, xᵀ, ŵ₁, yᵢ."""
    core = [c for c in piece if not combining(c) and c not in "ᵀ⁻¹" and not ("₀" <= c <= "ₜ" or c in "ᵢⱼᵣᵤᵥ²³⁴")]
    return len(core) == 1 and _SHORT.fullmatch(core[0]) is not None


def juxtaposed(pieces: list[str], numbers: list[bool]) -> str:
    """Set factors side by side: letters close together if they are few, words and brackets apart."""
    letters = [p for p, number in zip(pieces, numbers, strict=True) if not number]
    tight = len(letters) <= 3 and all(is_short(p) for p in letters)
    result = pieces[0]
    for k in range(1, len(pieces)):
        result += _space(pieces[k - 1], pieces[k], numbers[k - 1], tight) + pieces[k]
    return result


def _space(left: str, right: str, number: bool, tight: bool) -> str:
    if right[0].isdigit() and not right.startswith("1" + ARROW):
        return "·"
    if number and "/" not in left:
        return " " if _WORD.match(right) and left not in "01" else "·" if left in "01" or right[0].isdigit() else ""
    if "/" in left and number:
        return " "
    return "" if tight or (right.startswith("(") and (is_short(left) or left.endswith(")"))) else " "


class TextWriter(Writer):
    """Unicode text."""

    def _name(self, e: n.Name) -> str:
        parts = spelling(e.name)
        word = GREEK.get(parts.word, parts.word)
        if parts.accent:
            word = word[0] + ACCENTS[parts.accent] + word[1:]
        return parts.before + word + (subscript(parts.below) if parts.below else "")

    def _numeral(self, e: n.Numeral) -> str:
        m = times_pi(e.value)
        return f"{m}π".removeprefix("1") if m else shortened(e.value)

    def _extent(self, e: n.Extent) -> str:
        return self._name(n.Name(e.size))

    def _constant(self, e: n.Constant) -> str:
        if e.which == "identity":
            return "I"
        if e.which == "ones":
            return "1" + ARROW if len(e.shape) == 1 else "1" + ARROW + "1" + ARROW + "ᵀ"
        return "0" + ARROW if len(e.shape) == 1 else "0"

    def _product(self, e: n.Product) -> str:
        parts = flattened(e)
        last = len(parts) - 1
        pieces = [self._factor(part, k == last and ends_open(parts)) for k, part in enumerate(parts)]
        return juxtaposed(pieces, [is_coefficient(part) for part in parts])

    def _factor(self, e: Layout, is_open: bool) -> str:
        return self.write(e) if is_open else self.at(e, POWER)

    def _hadamard(self, e: n.Hadamard) -> str:
        return " ⊙ ".join(self.at(part, PRODUCT) for part in e.parts)

    def _quotient(self, e: n.Quotient) -> str:
        above = self.write(e.numerator) if isinstance(e.numerator, n.Hadamard) else self.at(e.numerator, PRODUCT)
        return f"{above} ⊘ {self.at(e.denominator, POWER)}"

    def _dot(self, e: n.Dot) -> str:
        return f"{self.at(e.left, POWER)}·{self.at(e.right, POWER)}"

    def _fraction(self, e: n.Fraction) -> str:
        return self.decimal(e) or f"{self.at(e.numerator, PRODUCT)}/{self.at(e.denominator, POWER)}"

    def _sum(self, e: n.Sum) -> str:
        result = ""
        for sign, part in zip(e.signs, e.parts, strict=True):
            mark = ("−" if sign < 0 else "") if not result else (" − " if sign < 0 else " + ")
            result += mark + self.at(part, ELEMENTWISE)
        return result

    def _power(self, e: n.Power) -> str:
        exponent = self.write(e.exponent)
        mark = "∘" if e.base.kind in ("matrix", "array") else ""
        return self.at(e.base, ATOM) + mark + superscript(exponent)

    def _root(self, e: n.Root) -> str:
        return f"√({self.write(e.base)})"

    def _norm(self, e: n.Norm) -> str:
        return f"‖{self.write(e.base)}‖"

    def _transpose(self, e: n.Transpose) -> str:
        base = self.write(e.base)
        if isinstance(e.base, n.Applied) and base.endswith("⁻¹"):
            return base[:-1] + "ᵀ"
        return self.at(e.base, ATOM) + "ᵀ"

    def _sub(self, e: n.Sub) -> str:
        if is_part(e.indices) or WHOLE_AXIS in e.indices:
            return f"{self.at(e.base, ATOM)}[{', '.join(i.removeprefix('@') for i in e.indices)}]"
        return self.at(e.base, ATOM) + subscript("".join(e.indices))

    def _table(self, e: n.Table) -> str:
        return f"[{self.write(e.entry)}]{subscript(''.join(e.indices))}"

    def _function(self, e: n.Function) -> str:
        return f"{e.word}({self.write(e.argument)})"

    def _applied(self, e: n.Applied) -> str:
        template = e.op.notation.text or f"{e.op.name}({', '.join('$' + p for p in e.op.places)})"
        return self.filled(template, e.op.places, e.arguments)

    def _big_sum(self, e: n.BigSum) -> str:
        letters = "".join(letter for letter, _ in e.indices)
        below = subscript(letters)
        if e.condition:
            below = f"_{{{letters}: {self.conditions(e.condition)}}}"
        return f"Σ{below} {self.write(e.body) if extends(e.body) else self.at(e.body, PRODUCT)}"

    def conditions(self, conditions: tuple[Layout, ...]) -> str:
        """Return conditions that hold together."""
        return " and ".join(self.write(c) for c in conditions)

    def _cases(self, e: n.Cases) -> str:
        branches = [
            f"{self.write(value)} if {self.conditions(given)}" if given else f"{self.write(value)} otherwise"
            for value, given in e.branches
        ]
        return "{" + "; ".join(branches) + "}"

    def _relation(self, e: n.Relation) -> str:
        return f"{self.at(e.left, SUM)} {e.sign} {self.at(e.right, SUM)}"

    def _bracket(self, e: n.Bracket) -> str:
        return f"[{self.write(e.condition)}]"

    def _differential(self, e: n.Differential) -> str:
        mark = "d" if e.total else "∂"
        of = self.at(e.of, POWER)
        space = " " if isinstance(e.of, n.Applied | n.Function) else ""
        return f"{mark}{space}{of}/{mark}{self.at(e.wrt, POWER)}"

    def _contraction(self, e: n.Contraction) -> str:
        return " : ".join(self.at(part, PRODUCT) for part in e.parts)

    def _kronecker(self, e: n.Kronecker) -> str:
        return " ⊗ ".join(self.at(part, PRODUCT) for part in e.parts)

    def _einstein(self, e: n.Einstein) -> str:
        return f'einsum("{e.subscripts}", {", ".join(self.write(a) for a in e.arguments)})'

    def _chain(self, e: n.Chain) -> str:
        result = self.write(e.sides[0])
        for sign, side in zip(e.signs, e.sides[1:], strict=True):
            result += f" {sign} {self.write(side)}"
        return result + (f"   {e.condition}" if e.condition else "")

    def level(self, e: Layout) -> int:
        """A fraction bar on the line binds like a quotient, and so does ∂u/∂w."""
        if isinstance(e, n.Differential):
            return PRODUCT - 1
        return super().level(e)


_TEXT = TextWriter()


def title_of(d: Derivation) -> str:
    """Return what is derived: `∂C/∂w`, one for each variable; `dQ` with a cotangent; `w₊` for a Newton step."""
    return ", ".join(layout_to_text(derived(d, x.name)) for x in d.variables)


def derived(d: Derivation, name: str) -> Layout:
    """Return the notation of what is derived by the variable of that name."""
    if d.goal is not None:
        return n.Name(d.goal.name)
    if d.cotangent is not None:
        return n.Name(f"d{name}")
    return n.Differential(n.Name(d.function_name), n.Name(name))


def step_equations(d: Derivation) -> str:
    """Return the equation of each step on a line of its own."""
    return "\n".join(layout_to_text(notate_equation(step.equation, d.layout)) for step in d.steps)


def width(line: str) -> int:
    """Return how many columns a line takes: marks above letters take none."""
    return sum(not combining(c) for c in line)
