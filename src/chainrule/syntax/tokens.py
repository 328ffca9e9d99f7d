"""Text to tokens, each with its place; brackets are matched here, once, so that parsers never meet a stray one."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chainrule.errors import FormulaSyntaxError, Span
from chainrule.syntax.spellings import Spellings

MAX_LENGTH = 20_000  # characters of a formula
MAX_NESTING = 100  # brackets inside brackets, and operands inside operands
MAX_NUMBER = 60  # characters of a number
MAX_NAME = 100  # characters of a name

Kind = Literal["number", "name", "operator", "open", "close", "bar", "script", "command", "word", "quoted", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """The smallest meaningful piece: an opening and its closing bracket carry the same `text`."""

    kind: Kind
    text: str
    span: Span

    def is_operator(self, *texts: str) -> bool:
        """Say whether this is one of the given operators or separators."""
        return self.kind == "operator" and self.text in texts


STRAY_HINTS: Mapping[str, str] = {
    "\\": 'A\\b is written solve(A, b); LaTeX is read with syntax="latex"',
    "|": "write abs(x), norm(x) or det(A)", "‖": "write norm(x)",
    "{": "group with ( )", "}": "group with ( )", ";": "one formula at a time", "√": "write sqrt(x)",
    "∑": "write sum(x)", '"': "a formula holds no strings", "`": "a formula holds no strings",
    "∇": "write the function, not its derivative", "∂": "write the function, not its derivative",
    "@": "in MATLAB text the matrix product is *",
}  # fmt: skip


def text_tokens(text: str, spellings: Spellings) -> list[Token]:
    """Return the tokens of plain text, ending with an `end` token."""
    tokens, place, pattern = [], 0, spellings.pattern()
    while place < len(text):
        match = pattern.match(text, place)
        if match is None or match.lastgroup is None:
            raise stray(text, Span(place, place + 1))
        span = Span(*match.span())
        place = span.end
        if match.lastgroup != "space":
            tokens.append(plain_token(text, match.lastgroup, span))
    return [*tokens, Token("end", "", Span(len(text), len(text)))]


def plain_token(text: str, group: str, span: Span) -> Token:
    """Return one token of plain text, checked."""
    written = text[span.start : span.end]
    if group == "name":
        return Token("name", checked_name(text, written, span), span)
    if group == "number":
        return Token("number", checked_number(text, written, span), span)
    if group == "script":
        return Token("script", written, span)
    if group == "quoted":
        return Token("quoted", written[1:-1], span)
    if written in "([":
        return Token("open", written, span)
    if written in ")]":
        return Token("close", "(" if written == ")" else "[", span)
    return Token("operator", written, span)


def checked_name(text: str, written: str, span: Span) -> str:
    """Return the name in its compatibility form (`x₁` is `x1`); refuse what could not be a symbol."""
    name = unicodedata.normalize("NFKC", written)
    if not name.isidentifier():
        raise stray(text, span)
    if name.startswith("__"):
        raise FormulaSyntaxError(
            "a name may not start with two underscores", text=text, spans=(span,), expected="a name", found=name[:40]
        )
    if len(name) > MAX_NAME:
        raise FormulaSyntaxError(
            f"a name has at most {MAX_NAME} characters", text=text, spans=(span,), found=f"{len(name)} characters"
        )
    return name


def checked_number(text: str, written: str, span: Span) -> str:
    """Return the number as written; refuse one whose exact value would be too large to hold."""
    exponent = written.lower().partition("e")[2] or "0"
    if len(written) > MAX_NUMBER or abs(int(exponent)) > 308:
        raise FormulaSyntaxError(
            "this number is too long or too large",
            text=text,
            spans=(span,),
            expected=f"at most {MAX_NUMBER} digits and an exponent between -308 and 308",
            found=written[:20] + ("…" if len(written) > 20 else ""),
        )
    return written


def stray(text: str, span: Span) -> FormulaSyntaxError:
    """Return the error for characters that no formula contains."""
    written = text[span.start : span.end]
    name = unicodedata.name(written[0], "a control character").lower()
    return FormulaSyntaxError(
        "this character has no meaning here",
        text=text,
        spans=(span,),
        expected="a number, a name, an operator or a bracket",
        found=f"{written!r} ({name})",
        hint=STRAY_HINTS.get(written[0], ""),
    )


CLOSING: Mapping[str, str] = {
    "(": ")", "[": "]", "{": "}", r"\{": r"\}", "|": r"\rvert", "‖": r"\rVert", "⟨": r"\rangle", ".": r"\right.",
    "cases": r"\end{cases}",
}  # fmt: skip


def matched(text: str, tokens: Sequence[Token]) -> dict[int, int]:
    """Return, for the index of every opening bracket, the index of the one that closes it."""
    partners: dict[int, int] = {}
    waiting: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind == "open":
            waiting.append(place)
            if len(waiting) > MAX_NESTING:
                raise too_deep(text, token.span)
        elif token.kind == "close":
            if not waiting:
                raise never_opened(text, token)
            opening = tokens[waiting[-1]]
            if "." not in (opening.text, token.text) and opening.text != token.text:
                raise never_closed(text, opening, token)
            partners[waiting.pop()] = place
    if waiting:
        raise never_closed(text, tokens[waiting[-1]], tokens[-1])
    return partners


def too_deep(text: str, *spans: Span) -> FormulaSyntaxError:
    """Return the error for a formula nested deeper than anyone writes by hand."""
    return FormulaSyntaxError(
        f"the formula is nested more than {MAX_NESTING} deep",
        text=text,
        spans=spans,
        hint="give parts of it names and put them together afterwards",
    )


def never_opened(text: str, token: Token) -> FormulaSyntaxError:
    """Return the error for a closing bracket without an opening one."""
    found = written(text, token)
    return FormulaSyntaxError(
        f"`{found}` closes nothing",
        text=text,
        spans=(token.span,),
        expected="an opening bracket before it",
        found=found,
    )


def never_closed(text: str, opening: Token, found: Token) -> FormulaSyntaxError:
    """Return the error for an opening bracket that meets the end, or another bracket's closing."""
    spans = (opening.span,) if found.kind == "end" else (opening.span, found.span)
    closing = CLOSING[opening.text]
    if written(text, opening).startswith(r"\left"):
        closing = r"\right" + closing.replace(r"\right.", ".")
    return FormulaSyntaxError(
        f"`{written(text, opening)}` is never closed",
        text=text,
        spans=spans,
        expected=f"`{closing}`",
        found=written(text, found),
    )


def written(text: str, token: Token) -> str:
    """Return a token as the user wrote it."""
    return text[token.span.start : token.span.end][:40] or "the end of the formula"
