"""Mathematics in plain characters, `(2/N) Xᵀ(m ⊙ e)` or `Σᵢ eᵢ xᵢᵀ`, put into a spelling that the parsers read.

What stands side by side is a product, so runs of letters are cut into the names that are known.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection

from chainrule.syntax.names import COMMAND_FUNCTIONS, LETTERS, WORD_FUNCTIONS

GREEK = {
    chr(code): name.lower() if chr(code).islower() else name.capitalize()
    for code in (*range(0x391, 0x3AA), *range(0x3B1, 0x3CA))
    for name in [unicodedata.name(chr(code), "").rpartition(" ")[2]]
    if "\\" + name.lower() in LETTERS
}
GREEK |= {"ϕ": "phi", "ϵ": "epsilon", "λ": "lambda", "Λ": "Lambda", "ς": "sigma"}
HATS = {"\u0302": "_hat", "\u0304": "_bar", "\u0305": "_bar", "\u0303": "_tilde", "\u0307": "_dot", "\u20d7": ""}
BELOW = str.maketrans("₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₗₘₙₚₜₛₓₐₕᵣ₊₋₌", "0123456789ijklmnptsxahr+-=")
ABOVE = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᴺⁿᵈᵐᵏᴷᵀ⁽⁾", "0123456789+-NndmkKT()")
VULGAR = re.compile("[¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
BELOW_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₗₘₙₚₜₛₓₐₕᵣ₊₋₌]+")
ABOVE_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᴺⁿᵈᵐᵏᴷᵀ⁽⁾]+")
LETTER_INDEX = re.compile(r"(?<=\w)([ᵢⱼₖₗₙₘ]+)")
IN_LATEX = {v: k for k, v in {**LETTERS}.items() if len(v) > 1 and not k.startswith(r"\var")}
DRAWN = {
    "1⃗": r"\vec{1}", "0⃗": r"\vec{0}", "𝟏": r"\mathbf{1}", "𝟙": r"\mathbb{1}", "∑": r"\sum", "∏": r"\prod",
    "√": r"\sqrt",    "⟨": r"\langle ", "⟩": r"\rangle ", "⊤": r"\top", "@": " ", "×": " ", "∞": r"\infty",
}  # fmt: skip
FRACTION_FIRST = re.compile(
    r"(?<![\w)\]}^])([0-9]+|[A-Za-z])\s*/\s*([0-9]+|[A-Za-z])(?=\s+[^\W\d]|\s+\\|\s*[(\[‖|](?![^()]*\)\s*/))"
)
TOKEN = re.compile(
    r"(?P<latex>\\[A-Za-z]+|\\.)|(?P<one>[01]⃗)"
    rf"|(?P<sub>{BELOW_RUN.pattern})|(?P<sup>{ABOVE_RUN.pattern})"
    r"|(?P<word>[^\W\d_](?:(?![²³¹ᵀ⁻⁰⁴-⁹ⁿᴺᴷᵈᵐᵏ₀-₉ᵢⱼₖₗₘₙₚₜₛ])\w)*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)|(?P<below>_\s*\{[^{}]*\}|_\s*\w+)"
    r"|(?P<power>(?:\^|\*\*)\s*(?:\{[^{}]*\}|-?\s*[0-9]+|-?⊤|-?T(?!\w)|\w|\([^()]*\)))|(?P<dotT>\.T\b)"
    r"|(?P<branches>\{[^{};]*;[^{}]*\})|(?P<sign>.)",
    re.DOTALL,
)
CONDITION = re.compile(r"\s*,?\s+(?:if|when|for)\s+|\s*,?\s+(?=(?:otherwise|else)\b)")


def tidy(text: str) -> str:
    """Return plain text with Greek letters and accents spelled as names: ŷ is y_hat, δ is delta."""
    parts: list[str] = []
    text = VULGAR.sub(lambda match: "({}/{})".format(*unicodedata.normalize("NFKC", match.group()).split("⁄")), text)
    for c in unicodedata.normalize("NFD", text):
        if c in HATS and parts and parts[-1] not in "01" and parts[-1][-1:].isalpha():
            parts[-1] += HATS[c]
        elif c == "\u0338" and parts:  # ≠ falls apart in NFD
            parts[-1] = unicodedata.normalize("NFC", parts[-1] + c)
        else:
            parts.append(c)
    return "".join(parts)


def to_text(text: str, known: Collection[str]) -> str:
    """Return plain text as NumPy text spells it: Greek by name, `^T` as `.T`, `xᵢ` as `x[i]`."""
    text = "".join(c if c == "Σ" and "Sigma" not in known else GREEK.get(c, c) for c in tidy(text))
    text = re.sub(r"(?<=[\w)\]])\s*(?:\^\s*(?:T|⊤|\{T\}|\{⊤\})(?!\w)|⊤)", ".T", text) if "T" not in known else text
    text = re.sub(r"\^\s*\{([^{}]*)\}", r"^(\1)", text)
    text = text if "I" in known else re.sub(r"(?<![\w.])I(?:_\w)?(?![\w(])", "eye", text)
    text = LETTER_INDEX.sub(lambda match: "[" + ", ".join(match[1].translate(BELOW)) + "]", text)
    text = re.sub(r"\b(\w+?)_([ijkn]{1,2})\b", lambda match: _indexed(match, known), text)
    text = re.sub(r"\b(row|col)_?[sS]um\(", r"\1sum(", text)
    for name, axis in (("rowsum", 1), ("colsum", 0)):
        text = _along(text, name, axis)
    return text


def _indexed(match: re.Match[str], known: Collection[str]) -> str:
    if match.group() in known or (match[1] not in known and match[1].upper() not in known):
        return match.group()
    return f"{match[1]}[{', '.join(match[2])}]"


def _along(text: str, name: str, axis: int) -> str:
    """Spell `rowsum(A)` as a sum along an axis that keeps it."""
    while (start := text.find(name + "(")) >= 0:
        depth, stop = 0, start + len(name)
        for stop in range(start + len(name), len(text)):
            depth += (text[stop] == "(") - (text[stop] == ")")
            if depth == 0:
                break
        inside = text[start + len(name) + 1 : stop]
        text = f"{text[:start]}sum({inside}, axis={axis}, keepdims=True){text[stop + 1 :]}"
    return text


def in_latex(text: str) -> str:
    """Return LaTeX with signs of plain mathematics in it (ᵀ, ², xᵢ, 2/N X) as pure LaTeX."""
    text = BELOW_RUN.sub(lambda match: "_{" + match.group().translate(BELOW) + "}", text)
    text = ABOVE_RUN.sub(lambda match: _above(match.group()), text)
    return FRACTION_FIRST.sub(r"\\frac{\1}{\2} ", text)


def to_latex(text: str, known: Collection[str], functions: Collection[str]) -> str:
    """Return plain mathematics as LaTeX; `known` are the names that a run of letters is cut into."""
    text = re.sub(r"\be\s*(?=\^)", "e ", tidy(text))
    text = FRACTION_FIRST.sub(r"\\frac{\1}{\2} ", text)
    return _written(text, known, functions)


def _written(text: str, known: Collection[str], functions: Collection[str]) -> str:
    parts: list[str] = []
    place = 0
    while place < len(text):
        match = TOKEN.match(text, place)
        assert match is not None  # the last alternative takes any character
        kind, written = match.lastgroup or "sign", match.group()
        place = match.end()
        after = text[place : place + 1]
        parts.append(_part(kind, written, after, text[place:], known, functions))
    return "".join(parts)


def _part(kind: str, written: str, after: str, rest: str, known: Collection[str], functions: Collection[str]) -> str:
    if kind == "word":
        return _word(written, rest, known, functions)
    if kind == "branches":
        return _branches(written, known, functions)
    return _PARTS.get(kind, _sign)(written)


def _word(written: str, rest: str, known: Collection[str], functions: Collection[str]) -> str:
    """Write a run of letters: a name that is known, a function, or names side by side."""
    spelled = "".join(GREEK.get(c, c) for c in written)
    below = re.match(r"_\w+", rest)
    if spelled in known:
        return _name(spelled)
    if re.fullmatch(r"I(?:_\w)?", spelled) and "I" not in known:
        return r"\mathbf{I}"
    if "_" in written:
        head, _, tail = written.partition("_")
        return _word(head, "", known, functions) + _below("_" + tail)
    function = _function(spelled, rest, functions)
    if function:
        return function
    if "Σ" in written and "Sigma" not in known:
        return written.replace("Σ", r"\sum ")
    pieces = []
    while written:
        piece = _longest(written, known) or written[0]
        following = re.match(r"[0-9]+", written[len(piece) :]) if piece not in known else None
        number = following.group() if following else ""
        pieces.append(_name("".join(GREEK.get(c, c) for c in piece)) + (f"_{{{number}}} " if number else ""))
        written = written[len(piece) + len(number) :]
    return " ".join(pieces) if not below else " ".join(pieces).rstrip()


def _longest(written: str, known: Collection[str]) -> str:
    for length in range(len(written), 0, -1):
        if "".join(GREEK.get(c, c) for c in written[:length]) in known:
            return written[:length]
    return ""


def _function(written: str, rest: str, functions: Collection[str]) -> str:
    name = WORD_FUNCTIONS.get(written, written)
    if name not in functions or len(written) < 2:
        return ""
    if not re.match(r"\s*[(\[‖|]|\s*[\w\\]|\s*[²³]", rest):
        return ""
    command = "\\" + written
    return f"{command} " if command in COMMAND_FUNCTIONS else rf"\operatorname{{{written}}}"


def _name(name: str) -> str:
    """Write a symbol: a letter as it is, Greek as its command, longer names upright."""
    if len(name) == 1:
        return name
    return IN_LATEX[name] + " " if name in IN_LATEX else rf"\mathrm{{{name}}}"


def _power(written: str) -> str:
    inside = written.lstrip("^*").strip()
    inside = inside[1:-1] if inside[0] in "({" else inside
    inside = inside.replace(" ", "")
    return "^{" + (inside.replace("⊤", "T").replace("T", r"\top") if inside in ("T", "-T", "⊤", "-⊤") else inside) + "}"


def _above(written: str) -> str:
    inside = written.translate(ABOVE)
    return "^{" + inside.replace("T", r"\top ") + "}"


def _below(written: str) -> str:
    inside = written[1:].strip().strip("{}").translate(BELOW)
    inside = "".join(IN_LATEX.get(GREEK.get(c, c), c) + (" " if c in GREEK else "") for c in inside)
    if inside.isalpha() and len(inside) > 2:
        return rf"_{{\mathrm{{{inside}}}}}"
    return "_{" + inside.replace(":", "{:}") + "}" if ":" not in inside else "_{" + inside + "}"


def _sign(written: str) -> str:
    return DRAWN.get(written, "".join(DRAWN.get(c, c) for c in written))


_PARTS: dict[str, Callable[[str], str]] = {
    "latex": str,
    "one": _sign,
    "number": str,
    "below": _below,
    "sub": lambda written: "_{" + written.translate(BELOW) + "}",
    "sup": _above,
    "power": _power,
    "dotT": lambda written: r"^{\top}",
}


def _branches(written: str, known: Collection[str], functions: Collection[str]) -> str:
    """Write `{0 if z ≤ 0; x if z > 0}` as cases."""
    rows = []
    for branch in written[1:-1].split(";"):
        parts = CONDITION.split(branch.strip(), maxsplit=1)
        parts = parts if len(parts) == 2 else [part.strip() for part in branch.rsplit(",", 1)]
        if len(parts) != 2:
            return written
        value, condition = parts
        said = (
            r"\text{otherwise}"
            if condition.strip(" .") in ("otherwise", "else")
            else _written(condition, known, functions)
        )
        rows.append(f"{_written(value, known, functions)} & {said}")
    return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"
