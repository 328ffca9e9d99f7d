"""LaTeX to tokens: what is only drawn (spacing, sizes, environments) is dropped, letters get their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from chainrule.errors import FormulaSyntaxError, Span
from chainrule.syntax.names import ACCENTS, COMMANDS, FACES, FRACTIONS, LETTERS, SPACES, did_you_mean
from chainrule.syntax.spellings import LATEX, SUPERSCRIPTS
from chainrule.syntax.tokens import Token, checked_number, stray

PATTERN = re.compile(
    r"(?P<space>\s+|%[^\n]*|\\(?:hspace|vspace|label|tag)\*?\s*\{[^{}]*\})"
    r"|(?P<environment>\\(?:begin|end)\s*\{[^{}]*\})"
    r"|(?P<word>\\(?:operatorname\*?|mathrm|mathsf|mathtt|text|textrm|textit|textsf|mbox)\s*\{(?:[^{}\\$]|\\_)*\})"
    r"|(?P<sized>\\(?:left|right|[bB]igg?[lrm]?)(?![A-Za-z])\s*(?:\\[A-Za-z]+|\\.|[^\\\s]))"
    r"|(?P<command>\\[A-Za-z]+|\\.)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    rf"|(?P<name>(?![{SUPERSCRIPTS}])[^\W\d_])"
    r"|(?P<sign>\$\$|[<>!=]=|[^\w\s]|_)"
)

# Every bracket by the name of its opening one.
OPENING: Mapping[str, str] = {
    "(": "(", "[": "[", r"\{": r"\{", r"\lbrace": r"\{", r"\lbrack": "[", r"\lvert": "|", r"\lVert": "‖",
    r"\langle": "⟨", "⟨": "⟨", "{": "{",
}  # fmt: skip
ENDING: Mapping[str, str] = {
    ")": "(", "]": "[", r"\}": r"\{", r"\rbrace": r"\{", r"\rbrack": "[", r"\rvert": "|", r"\rVert": "‖",
    r"\rangle": "⟨", "⟩": "⟨", "}": "{",
}  # fmt: skip
BARS: Mapping[str, str] = {"|": "|", r"\vert": "|", r"\|": "‖", r"\Vert": "‖", "‖": "‖"}
DELIMITERS: Mapping[str, str] = {**OPENING, **ENDING, **BARS, ".": "."}

WRAPPERS = frozenset({"equation", "align", "aligned", "split", "gather", "gathered", "multline", "math", "displaymath"})
DISPLAY: Mapping[str, str] = {"$": "$", "$$": "$$", r"\[": r"\]", r"\(": r"\)"}
PUNCTUATION = (".", ",", ";", r"\\")
SIGNS = frozenset({*LATEX, "^", "_", "'", ",", ":", ".", ";", "&", "$", "$$", r"\\", r"\[", r"\]", r"\(", r"\)"})
HINTS: Mapping[str, str] = {
    r"\partial": "write the function, not its derivative", r"\nabla": "write the function, not its derivative",
    r"\int": "integrals are not supported", r"\pm": "write the two formulas separately",
    r"\dots": "write a sum with its bounds", r"\ldots": "write a sum with its bounds",
    r"\cdots": "write a sum with its bounds", r"\middle": r"use \left and \right only",
    r"\arg": "the place of a maximum has no derivative", r"\mid": "write |x| or \\lvert x \\rvert",
}  # fmt: skip


def latex_tokens(text: str) -> list[Token]:
    """Return the tokens of a LaTeX formula, ending with an `end` token."""
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        match = PATTERN.match(text, place)
        if match is None or match.lastgroup is None:
            raise stray(text, Span(place, place + 1))
        token = latex_token(text, match.lastgroup, Span(*match.span()))
        place = match.end()
        if token is not None:
            tokens.append(token)
    return [*unwrapped(text, without_empty_groups(tokens)), Token("end", "", Span(len(text), len(text)))]


def latex_token(text: str, group: str, span: Span) -> Token | None:
    """Return one token, or None for what is only drawn."""
    written = text[span.start : span.end]
    match group:
        case "space":
            return None
        case "environment":
            return environment(text, written, span)
        case "word":
            inside = written[written.index("{") + 1 : -1].replace(r"\_", "_")
            return Token("word", " ".join(inside.split()), span)
        case "sized":
            return sized(text, written, span)
        case "number":
            return Token("number", checked_number(text, written, span), span)
        case "name" if written.isalpha():
            return Token("name", written, span)
        case _:
            return sign(text, written, span)


def sign(text: str, written: str, span: Span) -> Token | None:
    """Return the token of a command or of a single character."""
    if written in SPACES:
        return None
    if written in LETTERS:
        return Token("name", LETTERS[written], span)
    if written in OPENING:
        return Token("open", OPENING[written], span)
    if written in ENDING:
        return Token("close", ENDING[written], span)
    if written in BARS:
        return Token("bar", BARS[written], span)
    if written in SIGNS:
        return Token("operator", written, span)
    if written in COMMANDS:
        return Token("command", written, span)
    raise unknown_command(text, written, span) if written[0] == "\\" else stray(text, span)


def sized(text: str, written: str, span: Span) -> Token:
    """Return the bracket after `\\left`, `\\right` or `\\big`; `\\left|` says which side a bar is."""
    match = re.match(r"\\([A-Za-z]+)\s*(.*)", written, re.DOTALL)
    size, delimiter = match.groups() if match else ("", "")
    if delimiter not in DELIMITERS or delimiter in "{}":
        expected = "( [ \\{ | \\| or ."
        raise FormulaSyntaxError(
            f"`\\{size}` needs a bracket after it", text=text, spans=(span,), expected=expected, found=delimiter
        )
    bracket = DELIMITERS[delimiter]
    if size in ("left", "bigl", "Bigl", "biggl", "Biggl"):
        return Token("open", bracket, span)
    if size in ("right", "bigr", "Bigr", "biggr", "Biggr"):
        return Token("close", bracket, span)
    if delimiter in BARS:
        return Token("bar", bracket, span)
    return Token("open" if delimiter in OPENING else "close", bracket, span)


def environment(text: str, written: str, span: Span) -> Token | None:
    """Return the bracket that `cases` is; environments that only place a formula are dropped."""
    name = written[written.index("{") + 1 : -1].strip()
    if name in ("cases", "dcases", "cases*", "dcases*", "rcases"):
        return Token("open" if written.startswith(r"\begin") else "close", "cases", span)
    if name.rstrip("*") in WRAPPERS:
        return None
    raise FormulaSyntaxError(
        f"the environment `{name[:40]}` is not supported",
        text=text,
        spans=(span,),
        expected="cases, equation or align",
        found=name[:40],
        hint=did_you_mean(name, {"cases", *WRAPPERS}) or "give a matrix a name instead of writing its entries",
    )


def unknown_command(text: str, written: str, span: Span) -> FormulaSyntaxError:
    """Return the error for a command that is not known."""
    hint = HINTS.get(written) or did_you_mean(written, {*COMMANDS, *LATEX, *OPENING, *ENDING, r"\left", r"\right"})
    return FormulaSyntaxError(
        f"`{written[:40]}` is not a known command",
        text=text,
        spans=(span,),
        expected="a known LaTeX command",
        found=written[:40],
        hint=hint or "a function is written \\operatorname{name}(…)",
    )


def without_empty_groups(tokens: list[Token]) -> list[Token]:
    """Drop `{}` where it only spaces; after `^`, `_`, a command or another group it is a missing argument."""
    kept: list[Token] = []
    for token in tokens:
        empty = token.kind == "close" and token.text == "{" and kept and kept[-1].kind == "open"
        if empty and kept[-1].text == "{" and (len(kept) < 2 or not takes_argument(kept[-2])):
            kept.pop()
        else:
            kept.append(token)
    return kept


def takes_argument(token: Token) -> bool:
    """Say whether a group right after this token is its argument."""
    takes = token.kind == "command" and token.text in {*FRACTIONS, *FACES, *ACCENTS, r"\sqrt"}
    return takes or token.is_operator("^", "_") or (token.kind == "close" and token.text == "{")


def unwrapped(text: str, tokens: list[Token]) -> list[Token]:
    """Drop `$ … $`, `\\[ … \\]`, a full stop at the end, and the `&` that aligns equations."""
    while tokens and tokens[-1].is_operator(*PUNCTUATION):
        tokens = tokens[:-1]
    if tokens and tokens[0].is_operator(*DISPLAY):
        closing = DISPLAY[tokens[0].text]
        if len(tokens) == 1 or not tokens[-1].is_operator(closing):
            message = f"`{tokens[0].text}` is never closed"
            raise FormulaSyntaxError(message, text=text, spans=(tokens[0].span,), expected=f"`{closing}` at the end")
        return unwrapped(text, tokens[1:-1])
    inside = 0
    kept = []
    for token in tokens:
        inside += (token.text == "cases") * ((token.kind == "open") - (token.kind == "close"))
        if inside > 0 or not token.is_operator("&"):
            kept.append(token)
    return kept
