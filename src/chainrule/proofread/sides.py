"""The sides of an equation, and what a left side is: a derivative, a name, an update, or just an expression."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

from chainrule.errors import ChainruleError
from chainrule.proofread.handwriting import BELOW, GREEK, tidy
from chainrule.proofread.reading import Form
from chainrule.syntax.parse import read
from chainrule.syntax.tree import Name

RELATION = re.compile(
    r"==|<=|>=|!=|\\stackrel\{[^{}]*\}\{=\}|\\overset\{[^{}]*\}\{=\}|:=|≔|≜|\\coloneqq|\\triangleq|\\equiv|≡|←|\\leftarrow|\\gets|≈"
    r"|\\approx|\\propto|∝|=|\\begin\b|\\end\b|[()\[\]{}]|\\[{}]|\\(?:left|right|[bB]igg?[lr]?)\s*(?:\\[{}]|\S)"
)
DEFINING = frozenset([":=", "≔", "≜", r"\coloneqq", r"\triangleq"])
ARROWS = frozenset(["←", r"\leftarrow", r"\gets"])
VAGUE = frozenset(["≈", r"\approx", r"\propto", "∝"])
EQUAL = frozenset(["=", r"\equiv", "≡"])
INDEXED = re.compile(
    r"^(?P<base>.+?)\s*(?:_\s*\{\s*(?P<braced>[ijklmn](?:\s*,?\s*[ijklmn])*)\s*\}|_(?P<bare>[ijklmn]{1,2})|\[(?P<square>[ijklmn]"
    r"(?:\s*,\s*(?:[ijklmn]|:))*)\]|(?P<small>[ᵢⱼₖₗₘₙ]+))$"
)
ARGUMENTS = re.compile(r"^(?P<name>[^\s()]+(?:\{[^{}]*\})?)\s*(?:\\left)?\((?P<inside>[^()]*(?:\([^()]*\)[^()]*)*)\)$")
NEXT = re.compile(
    r"^(?P<name>.+?)\s*(?:_\s*\{?\s*\(?(?:\\(?:mathrm|text)\{)?(?:t\s*\+\s*1|k\s*\+\s*1|n\s*\+\s*1|new|next)\}?\)?\s*\}?"
    r"|\^\s*\{?\s*\(?(?:t\s*\+\s*1|k\s*\+\s*1|new|\+)\)?\s*\}?|[₊⁺]|ₜ₊₁|_plus|\^\+|\^\{?\\text\{new\}\}?)$"
)
NOW = re.compile(r"(?<=[\w}])(?:_\s*\{\s*t\s*\}|_t\b|ₜ|\^\s*\{?\(t\)\}?|_\s*\{\s*\\text\{old\}\}|_old\b)")


@dataclass(frozen=True, slots=True)
class Equation:
    """The sides of a row, with the sign before each right side; `left` is empty if the row goes on with a chain."""

    left: str
    rights: tuple[tuple[str, str], ...]

    @property
    def defines(self) -> bool:
        """True if the first sign is one of definition."""
        return bool(self.rights) and self.rights[0][0] in DEFINING

    @property
    def updates(self) -> bool:
        """True if the first sign is an assignment's arrow."""
        return bool(self.rights) and self.rights[0][0] in ARROWS


def equation(text: str) -> Equation | None:
    """Split a row at the signs outside brackets; None if there is none, or only a vague one."""
    depth, place = 0, 0
    parts: list[str] = []
    signs: list[str] = []
    for match in RELATION.finditer(text):
        sign = match.group()
        depth += opens(sign)
        if depth <= 0 and (sign in EQUAL or sign in DEFINING or sign in ARROWS or sign.endswith("{=}")):
            parts.append(text[place : match.start()])
            signs.append("=" if sign in EQUAL else sign)
            place = match.end()
        elif depth <= 0 and sign in VAGUE:
            return None if not signs else finished(parts, signs, text[place : match.start()])
    return finished(parts, signs, text[place:]) if signs else None


def opens(sign: str) -> int:
    """Return 1 for an opening bracket, −1 for a closing one, 0 for anything else."""
    if sign.startswith((r"\left", r"\big", r"\Big")) and not sign.startswith(r"\leftarrow"):
        return 1 if not sign.endswith(tuple(")]}")) else -1
    if sign.startswith(r"\right"):
        return -1
    return (sign in ("(", "[", "{", r"\{", r"\begin")) - (sign in (")", "]", "}", r"\}", r"\end"))


def finished(parts: list[str], signs: list[str], last: str) -> Equation | None:
    """Return the equation of these parts, cleaned."""
    sides = [
        part.replace("&", " ").strip(" \t\n,;") if "begin" not in part else part.strip() for part in (*parts, last)
    ]
    rights = tuple((sign, side) for sign, side in zip(signs, sides[1:], strict=True) if side)
    return Equation(sides[0], rights) if rights else None


def plain_name(text: str, form: Form) -> str | None:
    """Return the name that a text is, in any notation: `\\mathbf{w}` is w, `W₁` is W1; None if it is no single name."""
    text = text.strip().strip("$")
    if form == "plain" and "\\" not in text:
        spelled = "".join(GREEK.get(c, c) for c in tidy(text.translate(BELOW) if text[-1:] in "₀₁₂₃₄₅₆₇₈₉" else text))
        spelled = unicodedata.normalize("NFKC", re.sub(r"_\{(\w+)\}", r"_\1", spelled))
        spelled = re.sub(r"^([^\W\d_]+)_([0-9]+)$", r"\1\2", spelled)
        return spelled if spelled.isidentifier() and not spelled.startswith("__") else None
    try:
        tree = read(text, "latex").tree
    except ChainruleError:
        return None
    return tree.name if isinstance(tree, Name) else None


def indexed_name(text: str, form: Form, known: Collection[str]) -> tuple[str, tuple[str, ...]] | None:
    """Return a name and the indices it carries: `z_i` is (z, (i)), `W_{ij}` is (W, (i, j)); a name alone has none.

    `x_i` is row i of X where X is known and x is not. None if the text is no name.
    """
    text = text.strip()
    whole = plain_name(text, form)
    if whole is not None and (whole in known or not INDEXED.match(text)):
        return whole, ()
    match = INDEXED.match(text)
    if match is None:
        return None
    base = plain_name(match["base"], form)
    if base is None:
        return None
    letters = (match["braced"] or match["bare"] or match["square"] or match["small"]).translate(BELOW)
    indices = tuple(re.sub(r"[^ijklmn]", "", letters))
    if base not in known and base.upper() in known:
        base = base.upper()
    return base, indices


def without_arguments(text: str) -> tuple[str, str | None]:
    """Split `C(w, b)` into the name and its arguments, None where there are none."""
    match = ARGUMENTS.match(text.strip())
    return (match["name"], match["inside"]) if match else (text.strip(), None)


def updated_name(text: str, form: Form) -> str | None:
    """Return w if the text is `w_{t+1}`, `w_new` or `w⁺`."""
    match = NEXT.match(text.strip())
    return plain_name(match["name"], form) if match else None
