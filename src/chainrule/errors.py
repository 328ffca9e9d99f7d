"""What can go wrong, said so that the reader can act: where, expected, found, and what to try.

Three kinds: the text is not a formula (`FormulaSyntaxError`), the shapes cannot agree
(`ShapeError`), the mathematics is not defined there (`DomainError`).
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 72  # characters of a user's line shown around a mark


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range `start:end` of characters in the user's text."""

    start: int
    end: int

    def join(self, other: Span) -> Span:
        """Return the smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.end, other.end))


class ChainruleError(Exception):
    """Base of every error a user can cause; `str(error)` is the whole message with the place marked."""

    kind = "error"

    def __init__(
        self,
        message: str,
        *,
        text: str = "",
        spans: tuple[Span, ...] = (),
        expected: str = "",
        found: str = "",
        hint: str = "",
    ) -> None:
        self.message = message
        self.text = text
        self.spans = tuple(spans)
        self.expected = expected
        self.found = found
        self.hint = hint
        super().__init__(message)

    def at(self, text: str, *spans: Span) -> ChainruleError:
        """Return this error with the place filled in, unless it already has one."""
        if not self.spans:
            self.text, self.spans = text, tuple(spans)
        return self

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.message}"]
        if self.text and self.spans:
            lines += marked(self.text, self.spans)
        for label in ("expected", "found", "hint"):
            value = getattr(self, label)
            if value:
                lines.append(f"  {label}: {value}")
        return "\n".join(lines)


class FormulaSyntaxError(ChainruleError):
    """The text is not a formula in the notation it was read as."""

    kind = "syntax error"


class ShapeError(ChainruleError):
    """Two places of a formula disagree about a size or a rank."""

    kind = "shape error"


class DomainError(ChainruleError):
    """The formula is well formed, but what was asked of it is not defined or not possible."""

    kind = "domain error"


class UnknownSymbol(DomainError):
    """A name was asked for that does not occur."""


def marked(text: str, spans: tuple[Span, ...]) -> list[str]:
    """Return the line of `text` that holds the first span, and below it carets under every span on that line."""
    first = min(spans, key=lambda s: s.start)
    start = text.rfind("\n", 0, first.start) + 1
    end = text.find("\n", first.start)
    end = len(text) if end < 0 else end
    left = max(start, first.start - WINDOW // 2)
    right = min(end, max(left + WINDOW, min(first.end, left + 2 * WINDOW)))
    line = text[left:right].replace("\t", " ")
    marks = [" "] * (len(line) + 1)
    for span in spans:
        stop = max(span.end, span.start + 1)
        for place in range(max(span.start, left), min(stop, right + 1)):
            marks[place - left] = "^"
    before, after = ("…" if left > start else ""), ("…" if right < end else "")
    return [f"    {before}{line}{after}", "    " + " " * len(before) + "".join(marks).rstrip()]
