"""Notation as LaTeX: bold lower case for vectors, bold capitals for matrices, italics for scalars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import chainrule.notation.layout as n
from chainrule.expression.node import Expr
from chainrule.notation.abridge import ELLIPSIS
from chainrule.notation.layout import Kind, Layout
from chainrule.notation.matrix import notate
from chainrule.notation.parts import WHOLE_AXIS, counted_from_one, is_part
from chainrule.notation.vectorised import vec_form
from chainrule.notation.written import notate_equation
from chainrule.render.names import spelling
from chainrule.render.outline import outline, quality, where
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

SIGNS = {">": ">", "<": "<", "≤": r"\le", "≥": r"\ge", "=": "=", "←": r"\leftarrow", "≔": ":="}
TALL = re.compile(r"\\frac|\\sum|\\begin|\\left|\\sqrt")
WORDS = {
    "sum": r"\operatorname{sum}",
    "tr": r"\operatorname{tr}",
    "diag": r"\operatorname{diag}",
    "vec": r"\operatorname{vec}",
}
_SPECIAL = {c: "\\" + c for c in "#$%&_{}"} | {"\\": r"\textbackslash{}", "^": r"\^{}", "~": r"\~{}"}


def latex(e: Expr) -> str:
    r"""Write an expression in LaTeX.

    >>> from chainrule.expression.build import matrix, vector
    >>> print(latex(matrix("A", "m", "n") @ vector("x", "n")))
    \mathbf{A} \mathbf{x}
    """
    return layout_to_latex(notate(e))


def layout_to_latex(e: Layout) -> str:
    """Write notation in LaTeX."""
    return _LATEX.write(e)


def vec_latex(e: Expr, outputs: int) -> str:
    """Write a Jacobian in vec form; its first `outputs` axes are those of the function. Raises: DomainError."""
    return layout_to_latex(vec_form(e, outputs))


def powers_of_ten(number: str) -> str:
    """Return a number with its power of ten written out."""
    digits, _, exponent = number.partition("e")
    return rf"{digits} \cdot 10^{{{int(exponent)}}}" if exponent else digits


def escaped(text: str) -> str:
    """Return words as LaTeX text."""
    return "".join(_SPECIAL.get(c, c) for c in text)


def dressed(name: str, kind: Kind) -> str:
    """Return a name in the face of its kind, with its accent and what stands below."""
    if name == ELLIPSIS:
        return r"\dots"
    parts = spelling(name)
    if parts.is_greek:
        word = "\\" + parts.word
        word = word if kind == "scalar" else rf"\boldsymbol{{{word}}}"
    elif len(parts.word) == 1:
        word = parts.word if kind == "scalar" else rf"\mathbf{{{parts.word}}}"
    else:
        face = "mathrm" if kind == "scalar" else "mathbf"
        word = rf"\{face}{{{escaped(parts.word)}}}"
    if parts.accent:
        word = rf"\{parts.accent}{{{word}}}"
    below = parts.below if len(parts.below) == 1 or parts.below.isdigit() else rf"\mathrm{{{escaped(parts.below)}}}"
    word = rf"\mathrm{{{parts.before}}}{word}" if parts.before else word
    return f"{word}_{{{below}}}" if parts.below else word


class LatexWriter(Writer):
    """LaTeX mathematics."""

    def parenthesized(self, text: str) -> str:
        """Return the text in parentheses that grow where it is tall."""
        return rf"\left({text}\right)" if TALL.search(text) else f"({text})"

    def level(self, e: Layout) -> int:
        """A fraction bar holds its parts together."""
        return POWER if isinstance(e, n.Fraction | n.Differential) else super().level(e)

    def _name(self, e: n.Name) -> str:
        return dressed(e.name, e.kind)

    def _numeral(self, e: n.Numeral) -> str:
        m = times_pi(e.value)
        return rf"{m}\pi".removeprefix("1") if m else powers_of_ten(shortened(e.value))

    def _extent(self, e: n.Extent) -> str:
        return dressed(e.size, "scalar")

    def _constant(self, e: n.Constant) -> str:
        if e.which == "identity":
            return r"\mathbf{I}"
        digit = "1" if e.which == "ones" else "0"
        if len(e.shape) == 1:
            return rf"\vec{{{digit}}}"
        return r"\vec{1} \vec{1}^\top" if e.which == "ones" else r"\mathbf{0}"

    def _product(self, e: n.Product) -> str:
        parts = flattened(e)
        last = len(parts) - 1
        pieces = [self._factor(part, k == last and ends_open(parts)) for k, part in enumerate(parts)]
        result = pieces[0]
        for k in range(1, len(pieces)):
            spelled = is_coefficient(parts[k - 1]) and pieces[k - 1] in ("0", "1")
            result += (r" \cdot " if spelled or pieces[k][0].isdigit() else " ") + pieces[k]
        return result

    def _factor(self, e: Layout, is_open: bool) -> str:
        return self.write(e) if is_open else self.at(e, POWER)

    def _hadamard(self, e: n.Hadamard) -> str:
        return r" \odot ".join(self.at(part, PRODUCT) for part in e.parts)

    def _quotient(self, e: n.Quotient) -> str:
        above = self.write(e.numerator) if isinstance(e.numerator, n.Hadamard) else self.at(e.numerator, PRODUCT)
        return rf"{above} \oslash {self.at(e.denominator, POWER)}"

    def _dot(self, e: n.Dot) -> str:
        return rf"{self.at(e.left, POWER)} \cdot {self.at(e.right, POWER)}"

    def _fraction(self, e: n.Fraction) -> str:
        whole = rf"\frac{{{self.write(e.numerator)}}}{{{self.write(e.denominator)}}}"
        return powers_of_ten(self.decimal(e)) or whole

    def _sum(self, e: n.Sum) -> str:
        result = ""
        for sign, part in zip(e.signs, e.parts, strict=True):
            mark = ("-" if sign < 0 else "") if not result else (" - " if sign < 0 else " + ")
            result += mark + self.at(part, ELEMENTWISE)
        return result

    def _power(self, e: n.Power) -> str:
        mark = r"\odot " if e.base.kind != "scalar" else ""
        return f"{self.base(e.base)}^{{{mark}{self.write(e.exponent)}}}"

    def base(self, e: Layout) -> str:
        """Return what carries a script."""
        return self.parenthesized(self.write(e)) if isinstance(e, n.Fraction) else self.at(e, ATOM)

    def _root(self, e: n.Root) -> str:
        return rf"\sqrt{{{self.write(e.base)}}}"

    def _norm(self, e: n.Norm) -> str:
        return rf"\lVert {self.write(e.base)} \rVert"

    def _transpose(self, e: n.Transpose) -> str:
        base = self.write(e.base)
        if isinstance(e.base, n.Applied) and base.endswith("^{-1}"):
            return base.removesuffix("^{-1}") + r"^{-\top}"
        if isinstance(e.base, n.Sub):
            return base + r"^\top"
        return self.base(e.base) + r"^\top"

    def _sub(self, e: n.Sub) -> str:
        if is_part(e.indices):
            e = replace(e, indices=(",".join(map(counted_from_one, e.indices)),))
        spelled = [i.replace(WHOLE_AXIS, r"\cdot ") for i in e.indices]
        indices = _side_by_side(e.indices, spelled)
        base = self.at(e.base, ATOM)
        if "_{" in base and isinstance(e.base, n.Name):
            return f"{base.removesuffix('}')},{indices}}}"
        if ends_in_subscript(base):  # TeX refuses a second one
            base = f"{{{base}}}"
        return f"{base}_{{{indices}}}"

    def _table(self, e: n.Table) -> str:
        text = self.write(e.entry)
        brackets = (r"\left[", r"\right]") if TALL.search(text) else ("[", "]")
        return f"{brackets[0]}{text}{brackets[1]}_{{{_side_by_side(e.indices, e.indices)}}}"

    def _function(self, e: n.Function) -> str:
        return WORDS[e.word] + self.parenthesized(self.write(e.argument))

    def _applied(self, e: n.Applied) -> str:
        name = rf"\operatorname{{{escaped(e.op.name)}}}"
        template = e.op.notation.latex or f"{name}({', '.join('$' + p for p in e.op.places)})"
        return self.filled(template, e.op.places, e.arguments)

    def _big_sum(self, e: n.BigSum) -> str:
        body = self.write(e.body) if extends(e.body) else self.at(e.body, PRODUCT)
        if e.condition:
            letters = ",".join(letter for letter, _ in e.indices)
            return rf"\sum_{{{letters}:\, {self.conditions(e.condition)}}} {body}"
        signs = [rf"\sum_{{{letter}=1}}^{{{self._size(size)}}}" for letter, size in e.indices]
        return f"{' '.join(signs)} {body}"

    def _size(self, size: int | str) -> str:
        return str(size) if isinstance(size, int) else dressed(size, "scalar")

    def conditions(self, conditions: tuple[Layout, ...]) -> str:
        """Return conditions that hold together."""
        return r" \text{ and } ".join(self.write(c) for c in conditions)

    def _cases(self, e: n.Cases) -> str:
        rows = [
            rf"{self.write(value)} & " + (rf"\text{{if }} {self.conditions(given)}" if given else r"\text{otherwise}")
            for value, given in e.branches
        ]
        return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"

    def _relation(self, e: n.Relation) -> str:
        return f"{self.at(e.left, SUM)} {SIGNS[e.sign]} {self.at(e.right, SUM)}"

    def _bracket(self, e: n.Bracket) -> str:
        return f"[{self.write(e.condition)}]"

    def _differential(self, e: n.Differential) -> str:
        mark = r"\mathrm{d}" if e.total else r"\partial"
        return rf"\frac{{{mark} {self.at(e.of, POWER)}}}{{{mark} {self.at(e.wrt, POWER)}}}"

    def _contraction(self, e: n.Contraction) -> str:
        return " : ".join(self.at(part, PRODUCT) for part in e.parts)

    def _kronecker(self, e: n.Kronecker) -> str:
        return r" \otimes ".join(self.at(part, PRODUCT) for part in e.parts)

    def _einstein(self, e: n.Einstein) -> str:
        arguments = ", ".join(self.write(a) for a in e.arguments)
        return rf"\operatorname{{einsum}}_{{\text{{{e.subscripts}}}}}({arguments})"

    def _chain(self, e: n.Chain) -> str:
        sides = [self.write(side) for side in e.sides]
        links = "".join(f" {SIGNS[sign]} {side}" for sign, side in zip(e.signs, sides[1:], strict=True))
        return sides[0] + links + (rf" \quad \text{{{escaped(e.condition)}}}" if e.condition else "")

    def aligned(self, e: n.Chain) -> list[str]:
        """Return the lines of an equation for `align*`, one equals sign a line."""
        sides = [self.write(side) for side in e.sides]
        lines = [f"{SIGNS[sign]} {side}" for sign, side in zip(e.signs, sides[1:], strict=True)]
        return [f"{sides[0]} &{lines[0]}", *(f"&{line}" for line in lines[1:])]


_LATEX = LatexWriter()


def derivation_latex(d: Derivation) -> str:
    """Write a derivation in LaTeX: an `align*` block for each part, every equation tagged with its rule."""
    blocks = []
    for part in outline(d):
        lines: list[str] = []
        for _, step in part.steps:
            chain = notate_equation(step.equation, d.layout)
            assert isinstance(chain, n.Chain)
            rows = _LATEX.aligned(chain)
            condition = rf" \quad \text{{{escaped(chain.condition)}}}" if chain.condition else ""
            rows[-1] += rf"{condition} && \text{{{escaped(step.rule)}}}"
            lines += rows
        for equation in where(d, part):
            chain = notate_equation(equation, d.layout)
            assert isinstance(chain, n.Chain)
            lines += [r"\text{where } " + row if k == 0 else row for k, row in enumerate(_LATEX.aligned(chain))]
        body = " \\\\\n".join(lines)
        blocks.append(f"\\paragraph{{{escaped(part.title)}}}\n\\begin{{align*}}\n{body}\n\\end{{align*}}")
    closing = "\n".join(rf"\noindent {escaped(line)}\par" for line in (*assumed(d), quality(d)))
    return "\n\n".join([*blocks, closing])


def assumed(d: Derivation) -> list[str]:
    """Return the assumptions as sentences."""
    return [f"Assumed: {sentence}." for sentence in d.assumptions]


def _side_by_side(indices: Sequence[str], spelled: Sequence[str]) -> str:
    return ("" if all(len(i) == 1 for i in indices) else ",").join(spelled).rstrip()


def ends_in_subscript(text: str) -> bool:
    r"""True if the last group is a subscript, as in `\mathbf{e}_{2}`.

    >>> ends_in_subscript(r"\mathbf{e}_{2}"), ends_in_subscript(r"\mathbf{W}")
    (True, False)
    """
    if not text.endswith("}"):
        return False
    depth, start = 1, len(text) - 1
    while depth and start:
        start -= 1
        depth += {"}": 1, "{": -1}.get(text[start], 0)
    return text[:start].endswith("_")
