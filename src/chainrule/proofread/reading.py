"""A working as rows: which parts of a text are formulas, in which syntax, and on which lines; the rest is prose."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from chainrule.proofread.declarations import SPOKEN_COTANGENT, declarations, setting
from chainrule.proofread.words import lead_and_rest, rest_and_tail, words

Form = Literal["plain", "latex"]

BLOCKS = (  # fmt: off
    ("$$", "$$"),
    (r"\[", r"\]"),
    ("```", "```"),
    *(
        (rf"\begin{{{name}{star}}}", rf"\end{{{name}{star}}}")
        for name in ("align", "equation", "gather", "eqnarray", "multline", "flalign", "displaymath", "math", "aligned")
        for star in ("", "*")
    ),
)  # fmt: on
CLOSING = dict(BLOCKS)
OPENING = re.compile("|".join(re.escape(opening) for opening, _ in BLOCKS))
INLINE = re.compile(r"(?<![\\$])\$(?!\$)((?:[^$\n\\]|\\.)+)\$|\\\((.+?)\\\)")
WRAPPING = re.compile(r"\\(?:begin|end)\{(?:aligned|split|alignedat|gathered|align|equation)\*?\}(?:\{[^{}]*\})?")
DRAWN = re.compile(
    r"\\(?:label|tag)\*?\{[^{}]*\}|\\(?:nonumber|notag|displaystyle|allowdisplaybreaks)\b|(?<!\\)%[^\n]*"
)
APART = re.compile(
    r"\\(?:begin|end)\{[^{}]*\}|\\\\(?:\s*\[[^\]]*\])?|[{}]|\\[{}]|\\q?quad\b|\\implies\b|\\Rightarrow\b|⇒|⟹"
)
MARKER = re.compile(r"^\s*(?:[-*+•]\s+|>\s*|\(?\d{1,3}[.)]\s+|\([a-z]\)\s+)+")
OPERATOR_FIRST = re.compile(r"^\s*(?:[+\-−*@·⊙/]|\\cdot|\\odot|\\times)\s*\S")
OPERATOR_LAST = re.compile(r"(?:[+\-−*@·⊙/=(\[,]|\\)\s*$")
FENCED_MATH = re.compile(r"(?:math|latex|tex)\b")
COMMENT = re.compile(r"\s(?:#|//|--|←\s(?=[a-z]{2}))\s?.*$|\s%\s.*$")


@dataclass(frozen=True, slots=True)
class Row:
    """One formula of a text: the line it starts on (from 1), how it is written, and the words around it.

    `column` is where it starts in that line. `sure` says that nothing but a formula stands there; in a sentence only
    what cannot be misread is taken for one. `section` counts the headings above it.
    """

    number: int
    text: str
    form: Form
    lead: str = ""
    tail: str = ""
    sure: bool = True
    column: int = 0
    section: int = 0


class Lines:
    """The places of a text's lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return the line (from 1) and the column of an offset."""
        number = bisect_right(self.starts, offset)
        return number, offset - self.starts[number - 1]


def rows(text: str) -> list[Row]:
    """Return the formulas of a text in their order."""
    lines = Lines(text)
    found: list[Row] = []
    section = 0
    for kind, start, stop in blocks(text):
        if kind == "text":
            for row in plain_rows(lines, start, stop):
                section += row.text == "#"
                found += [] if row.text == "#" else [placed(row, section)]
        else:
            found += [placed(row, section) for row in block_rows(lines, kind, start, stop)]
    return found


def placed(row: Row, section: int) -> Row:
    """Return a row with its section."""
    return Row(row.number, row.text, row.form, row.lead, row.tail, row.sure, row.column, section)


def blocks(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield the displayed formulas and what lies between them: (kind, start, stop), kind "text" or the opening."""
    place, start, missing = 0, 0, set[str]()
    while (opening := OPENING.search(text, place)) is not None:
        kind = opening.group()
        closing = CLOSING[kind]
        stop = -1 if closing in missing else text.find(closing, opening.end())
        if stop < 0:  # never closed: not looked for again, so that a long text stays quick
            missing.add(closing)
            place = opening.end()
            continue
        yield "text", start, opening.start()
        yield kind, opening.end(), stop
        place = start = stop + len(closing)
    yield "text", start, len(text)


# --- displayed formulas
def block_rows(lines: Lines, kind: str, start: int, stop: int) -> Iterator[Row]:
    """Yield the rows of one displayed formula, or the lines of one fenced block."""
    if kind == "```" and not FENCED_MATH.match(lines.text, start):
        end = lines.text.find("\n", start, stop)
        yield from plain_rows(lines, stop if end < 0 else end + 1, stop)
        return
    if kind == "```":
        start = FENCED_MATH.match(lines.text, start).end()  # type: ignore[union-attr]
    yield from joined(latex_rows(lines, start, stop))


def latex_rows(lines: Lines, start: int, stop: int) -> Iterator[Row]:
    """Yield the parts of a LaTeX display, cut at `\\\\`, at wide spaces between equations and at implications."""
    for begin, end in cuts(lines.text, start, stop):
        raw = lines.text[begin:end]
        text = WRAPPING.sub(" ", DRAWN.sub(" ", raw)).replace("&=", " = ").strip()
        text, lead, tail = without_words(text)
        text = text.strip(" \n\t,;.")
        if text.strip("& "):
            number, column = lines.place(begin + len(raw) - len(raw.lstrip(" \n\t&")))
            yield Row(number, text, "latex", lead, tail, True, column)


def cuts(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield the ranges between the cuts of a LaTeX display that are not inside braces, cases or matrices."""
    depth, begin = 0, start
    for match in APART.finditer(text, start, stop):
        sign = match.group()
        if sign.startswith(r"\begin") or sign == "{":
            depth += not WRAPPING.fullmatch(sign)
        elif sign.startswith(r"\end") or sign == "}":
            depth -= not WRAPPING.fullmatch(sign)
        elif depth <= 0 and sign not in (r"\{", r"\}"):
            wide = sign in (r"\quad", r"\qquad")
            after = text[match.end() : stop]
            if not wide or (has_equals(text[begin : match.start()]) and (has_equals(after) or IS_IN.match(after))):
                yield begin, match.start()
                begin = match.end()
    yield begin, stop


def has_equals(text: str) -> bool:
    """True if a text has an equals sign before its row ends."""
    return "=" in text.partition(r"\\")[0]


IS_IN = re.compile(r"\s*[^\s=]+\s*\\in\s*\\mathbb")
WORDS = re.compile(r"\\(?:text|mbox|textrm|textit|intertext)\s*\{([^{}$]*)\}")
EXPLAINS = words("where with and by so since because if for then hence thus let using as is we have")


def without_words(text: str) -> tuple[str, str, str]:
    """Take `\\text{…}` off both ends of a formula: what is said there is not part of it."""
    lead = tail = ""
    first = WORDS.match(text)
    if first and is_prose(first[1], text[first.end() :]):
        lead, text = first[1].strip(), text[first.end() :].strip()
    depth = 0
    for match in re.finditer(r"\\begin|\\end|" + WORDS.pattern, text):
        depth += {r"\begin": 1, r"\end": -1}.get(match.group(), 0)
        if depth == 0 and match[1] is not None and match.start() > 0 and is_prose(match[1], text[match.end() :]):
            return text[: match.start()].rstrip(), lead, text[match.start() :]
    return text, lead, tail


def is_prose(written: str, after: str) -> bool:
    """True if words in a formula are a remark, and not a function's name."""
    said = written.split()
    return len(said) > 1 or (bool(said) and (said[0].strip(",.:").lower() in EXPLAINS or said[0][0] in "(["))


def joined(parts: Iterator[Row]) -> Iterator[Row]:
    """Join what was broken over two rows: `a + b \\\\ + c`, and `\\frac{…}{…} \\\\ = …`."""
    before: Row | None = None
    for row in parts:
        if before is not None and "=" not in row.text and OPERATOR_FIRST.match(row.text.lstrip("& ")):
            text = before.text + " " + row.text.lstrip("& ")
            before = Row(before.number, text, before.form, before.lead, row.tail, before.sure, before.column)
            continue
        if before is not None:
            yield before
        before = row
    if before is not None:
        yield before


# --- lines of text
def plain_rows(lines: Lines, start: int, stop: int) -> Iterator[Row]:
    """Yield the formulas in lines of text; a heading is the row "#"."""
    pending: Row | None = None
    for number, column, line in physical_lines(lines, start, stop):
        for row in line_rows(number, column, line):
            if pending is not None and row.form == "plain" and continues(pending, row):
                pending = extended(pending, row)
                continue
            if pending is not None:
                yield pending
            pending = row
        if not line.strip() and pending is not None:
            yield pending
            pending = None
    if pending is not None:
        yield pending


def physical_lines(lines: Lines, start: int, stop: int) -> Iterator[tuple[int, int, str]]:
    """Yield the lines of a range: number, column of the first character, text."""
    place = start
    while place < stop:
        end = lines.text.find("\n", place, stop)
        end = stop if end < 0 else end
        number, column = lines.place(place)
        yield number, column, lines.text[place:end].rstrip("\r")
        place = end + 1


def continues(before: Row, row: Row) -> bool:
    """True if a row goes on with the formula of the row before."""
    if not before.sure or before.text == "#" or before.form != "plain":
        return False
    return bool(OPERATOR_LAST.search(before.text)) or bool("=" not in row.text and OPERATOR_FIRST.match(row.text))


def extended(before: Row, row: Row) -> Row:
    """Return a row with the next line joined to it."""
    return Row(before.number, f"{before.text} {row.text}", "plain", before.lead, row.tail, True, before.column)


def line_rows(number: int, column: int, line: str) -> Iterator[Row]:
    """Yield what one line says: a formula by itself, formulas inside a sentence, or a heading."""
    stripped = line.strip()
    if re.match(r"#{1,6}\s|={3,}$|-{3,}$|\\(?:sub)*section", stripped):
        yield Row(number, "#", "plain")
        return
    inline = list(INLINE.finditer(line))
    if inline and SPOKEN_COTANGENT.match(stripped):
        yield Row(number, stripped.replace("$", ""), "plain", column=column)
        return
    if inline:
        alone = INLINE.sub("", MARKER.sub("", stripped)).strip(" .,;:") == "" and len(inline) == 1
        for match in inline:
            text = (match[1] or match[2]).strip(" ,.;")
            yield Row(number, text, "latex", line[: match.start()].strip(), "", alone, column + match.start())
        return
    if declared(stripped):
        yield Row(number, MARKER.sub("", stripped), "plain", column=column + len(line) - len(line.lstrip()))
        return
    marker = MARKER.match(line)
    body = line[marker.end() :] if marker and ("=" in line or ":" in line) else line
    offset = column + len(line) - len(body)
    if "\\" in body and re.search(r"\\[A-Za-z]", body):
        yield from latex_line(number, offset, body)
        return
    yield from text_line(number, offset, body)


def declared(line: str) -> bool:
    """True if all that a line does is declare symbols, or set the layout or the syntax."""
    line = MARKER.sub("", line)
    return setting(line) is not None or declarations(line) is not None


def latex_line(number: int, column: int, line: str) -> Iterator[Row]:
    """Yield the formulas of a line of bare LaTeX."""
    lead, rest = lead_and_rest(line)
    inner = Lines(rest)
    for row in joined(latex_rows(inner, 0, len(rest))):
        yield Row(number, row.text, "latex", lead or row.lead, row.tail, not lead, column + len(lead) + row.column)


def text_line(number: int, column: int, line: str) -> Iterator[Row]:
    """Yield the formulas of a line of plain text."""
    body = COMMENT.sub("", line).rstrip()
    for offset, part in statements(body):
        lead, rest = lead_and_rest(part)
        formula, tail = rest_and_tail(rest)
        if formula.strip():
            start = column + offset + len(part) - len(part.lstrip() if not lead else rest)
            yield Row(number, formula.strip(), "plain", lead, tail, not lead and not tail, start)
        after = re.match(r"[,;.]?\s*(?:where|with|and|so|hence|thus)\s+(.*=.*)$", tail)
        if after:
            yield from text_line(number, column, after[1])


def statements(line: str) -> Iterator[tuple[int, str]]:
    """Yield the parts of a line between semicolons, between commas that stand between equations, and implications."""
    depth, begin = 0, 0
    for k, c in enumerate(line):
        depth += (c in "([{") - (c in ")]}")
        cut = depth <= 0 and (
            (c in ";⇒⟹")
            or (c == "," and "=" in line[begin:k] and re.match(r",\s+[^,=]*[^=<>!:,]=[^=]", line[k:]) is not None)
        )
        if cut:
            yield begin, line[begin:k]
            begin = k + 1
    yield begin, line[begin:]
