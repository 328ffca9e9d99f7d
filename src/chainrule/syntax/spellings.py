"""How each syntax spells its operators: tables, so that one parser reads several syntaxes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chainrule.syntax.precedence import PRECEDENCE, Binding
from chainrule.syntax.tree import BinaryOperator


@dataclass(frozen=True, slots=True)
class Infix:
    """What an operator means, and the row of the precedence table by which it binds."""

    operator: BinaryOperator | Literal["T"]
    row: str = ""

    @property
    def binding(self) -> Binding:
        """The operator's row of the precedence table: its own, unless this syntax says otherwise."""
        return PRECEDENCE[self.row or self.operator]


@dataclass(frozen=True, slots=True)
class Spellings:
    """One plain-text syntax: its operators, and how its numbers look."""

    infix: Mapping[str, Infix]
    number: str

    def pattern(self) -> re.Pattern[str]:
        """Return the pattern of one token: longest operators first, and names that stop before a superscript."""
        signs = sorted({*self.infix, *SEPARATORS, *BRACKETS, *BRACKETS.values()}, key=len, reverse=True)
        return re.compile(
            rf"(?P<space>\s+)|(?P<quoted>{QUOTED})|(?P<number>{self.number})|(?P<script>[{SUPERSCRIPTS}]+)"
            rf"|(?P<name>(?:(?![{SUPERSCRIPTS}])\w)+)|(?P<operator>{'|'.join(map(re.escape, signs))})"
        )


QUOTED = r"(?<=einsum\()(?:\"[^\"\n]*\"|'[^'\n]*')"  # the only string of the language
SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ"
PLAIN_SUPERSCRIPT = str.maketrans(SUPERSCRIPTS, "0123456789-T")
SEPARATORS = (",", ":", ".", "=")
BRACKETS = {"(": ")", "[": "]"}

EVERYWHERE: Mapping[str, Infix] = {
    "+": Infix("+"), "-": Infix("-"), "−": Infix("-"), "–": Infix("-"), "/": Infix("/"), "÷": Infix("/"),
    "·": Infix("dot"), "⋅": Infix("dot"), "⊙": Infix("*"), "∘": Infix("*"), "○": Infix("*"), "⊗": Infix("otimes"),
    "⊘": Infix("/"), "×": Infix("juxt", "*"),
    "<": Infix("<"), "<=": Infix("<="), "≤": Infix("<="), ">": Infix(">"), ">=": Infix(">="), "≥": Infix(">="),
    "==": Infix("=="), "!=": Infix("!="), "≠": Infix("!="),
}  # fmt: skip
TRANSPOSE_SIGNS: Mapping[str, Infix] = {"'": Infix("T"), "’": Infix("T"), ".'": Infix("T")}

TEXT = Spellings(
    infix={**EVERYWHERE, **TRANSPOSE_SIGNS, "*": Infix("*"), "@": Infix("@"), "**": Infix("**"), "^": Infix("**")},
    number=r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?",
)

# `2.*x` is `2 .* x`: the point belongs to the operator.
MATLAB_INFIX: Mapping[str, Infix] = {
    **EVERYWHERE, **TRANSPOSE_SIGNS, "~=": Infix("!="), "*": Infix("juxt", "*"), "^": Infix("matpow"),
    ".*": Infix("*"), "./": Infix("/"), ".^": Infix("**", "matpow"),
}  # fmt: skip
MATLAB = Spellings(MATLAB_INFIX, number=r"(?:[0-9]+(?:\.[0-9]+|\.(?![*/^']))?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

# In LaTeX a prime is a superscript, not an operator.
LATEX: Mapping[str, Infix] = {
    **EVERYWHERE, "=": Infix("=="), "*": Infix("juxt", "*"),
    r"\cdot": Infix("dot"), r"\times": Infix("juxt", "*"), r"\div": Infix("/"), r"\oslash": Infix("/"),
    r"\odot": Infix("*"), r"\circ": Infix("*"), r"\otimes": Infix("otimes"), r"\ast": Infix("*"),
    r"\bigcirc": Infix("*"),
    r"\le": Infix("<="), r"\leq": Infix("<="), r"\leqslant": Infix("<="), r"\lt": Infix("<"),
    r"\ge": Infix(">="), r"\geq": Infix(">="), r"\geqslant": Infix(">="), r"\gt": Infix(">"),
    r"\ne": Infix("!="), r"\neq": Infix("!="),
}  # fmt: skip
