"""A table of numbers from a CSV file, or an error that names the row and the column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DomainError, Span

DELIMITERS = (",", ";", "\t")
MISSING = {"", "na", "n/a", "nan", "null", "none", "nil", "?", "-", "."}
SHOWN = 40  # characters of a user's value repeated in a message


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Named columns of finite numbers: `values` has shape (rows, len(names))."""

    names: tuple[str, ...]
    values: NDArray[np.float64]
    source: str

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one column, shape (rows); raises DomainError if there is none of that name."""
        return self.values[:, position(name, self.names, self.source)]


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the file: its cells, the line it ends on, and its text (empty where quotes hide the cells)."""

    cells: list[str]
    number: int
    text: str
    delimiter: str

    def span(self, column: int) -> Span:
        """Return where a cell stands in `text`; records with quotes or line breaks carry no text to mark."""
        start = sum(len(cell) + len(self.delimiter) for cell in self.cells[:column])
        return Span(start, start + len(self.cells[column]))


def read_csv(
    path: str | Path, *, columns: Sequence[str] | None = None, ignore: Sequence[str] = (), at_least: int = 2
) -> Table:
    """Read a CSV file with a header row into a table of finite numbers.

    The separator (comma, semicolon or tab) is read off the header; empty lines are skipped. `columns` picks
    columns by name (default: all), `ignore` leaves columns out, `at_least` is the fewest rows accepted.

    Raises: DomainError, naming row and column, for a missing value, text, NaN or an infinity, a row of the wrong
    width, a repeated or unnamed or absent column, too few rows, an empty file, a file that is not there or not UTF-8.
    """
    source = Path(path).name
    lines = records(read_text(Path(path)), source)
    header = next(lines, None)
    if header is None:
        raise DomainError(f"{source} is empty", expected="a header row with column names, then rows of numbers")
    names = checked_header(header, source)
    chosen = chosen_columns(names, columns, ignore, source)
    rows = [checked_row(line, row, names, chosen, source) for row, line in enumerate(lines, start=1)]
    if len(rows) < at_least:
        raise DomainError(
            f"{source} has {counted(len(rows), 'row')} of data below its header",
            expected=f"at least {counted(at_least, 'row')}" + (": some to train on, some held out" * (at_least > 1)),
            found=counted(len(rows), "row"),
        )
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(chosen))
    return Table(tuple(names[c] for c in chosen), values, source)


def read_text(path: Path) -> str:
    """Return a file's text without a byte order mark; raises DomainError if it cannot be read as UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        near = get_close_matches(path.name, neighbours(path), 1)
        reason = (error.strerror or str(error)).lower()
        raise DomainError(
            f"cannot read {path}: {reason}",
            expected="a CSV file",
            hint=f"did you mean {path.with_name(near[0])}?" if near else "",
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DomainError(
            f"{path.name} is not UTF-8 text: line {line} has a byte that cannot be read",
            expected="UTF-8 text",
            found=f"byte 0x{data[error.start]:02x} at offset {error.start}",
            hint="save it as UTF-8 (a spreadsheet offers 'CSV UTF-8'); a spreadsheet file itself is not a CSV",
        ) from None


def neighbours(path: Path) -> list[str]:
    """Return the names beside a path, for a suggestion; empty when its folder cannot be listed."""
    try:
        return [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []


def records(text: str, source: str) -> Iterator[Line]:
    """Yield the records of a CSV text that are not blank; raises DomainError if the text is not CSV at all."""
    raw = list(io.StringIO(text, newline=None))
    header = next((line for line in raw if line.strip()), "")
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(raw, delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells) or len(cells) > 1:
                line = raw[reader.line_num - 1].rstrip("\n")
                yield Line(cells, reader.line_num, line if delimiter.join(cells) == line else "", delimiter)
    except csv.Error as error:
        raise DomainError(
            f"{source}, line {reader.line_num}: not CSV ({error})", expected="values and commas"
        ) from None


def checked_header(header: Line, source: str) -> list[str]:
    """Return the column names, stripped; raises DomainError if they cannot name the columns."""
    names = [cell.strip() for cell in header.cells]
    if all(is_number(name) for name in names):
        raise DomainError(
            f"{source} has no header: its first row is numbers",
            expected="column names in the first row",
            found=names[0],
        )
    for column, name in enumerate(names):
        if not name:
            raise marked(header, column, f"{source}: column {column + 1} has no name", expected="a name in the header")
        if name in names[:column]:
            first = names.index(name) + 1
            message = f'{source}: columns {first} and {column + 1} are both called "{name}"'
            raise marked(header, column, message, expected="each name once")
    return names


def chosen_columns(names: list[str], columns: Sequence[str] | None, ignore: Sequence[str], source: str) -> list[int]:
    """Return the positions of the columns to read, in the order asked for."""
    left_out = {position(name, names, source) for name in ignore}
    wanted = range(len(names)) if columns is None else [position(name, names, source) for name in columns]
    return [place for place in wanted if place not in left_out]


def checked_row(line: Line, row: int, names: list[str], chosen: list[int], source: str) -> list[float]:
    """Return the chosen numbers of one row; raises DomainError naming row and column of the first that is none."""
    if len(line.cells) != len(names):
        raise DomainError(
            f"{source}, row {row} (line {line.number}) has {counted(len(line.cells), 'value')}, "
            f"but the header names {counted(len(names), 'column')}",
            expected=counted(len(names), "value"),
            found=counted(len(line.cells), "value"),
            hint="a value that itself contains the separator must stand in double quotes",
        )
    values = []
    for column in chosen:
        cell = line.cells[column].strip()
        if not is_number(cell) or not math.isfinite(value := float(cell)):
            place = f'{source}, row {row} (line {line.number}), column "{names[column]}"'
            raise refused(line, column, cell, place)
        values.append(value)
    return values


def refused(line: Line, column: int, cell: str, place: str) -> DomainError:
    """Return the error for a cell that is not a finite number: missing, infinite, or text."""
    if cell.lower() in MISSING:
        found = f'"{cell}"' if cell else "nothing"
        hint = "fill the value in, or remove the row or the column"
        return marked(line, column, f"{place}: the value is missing", expected="a number", found=found, hint=hint)
    shown = cell if len(cell) <= SHOWN else cell[:SHOWN] + "…"
    if is_number(cell):
        message, found = f"{place}: the value is not finite", f'"{shown}"'
        return marked(line, column, message, expected="a finite number", found=found, hint="correct or remove the row")
    if is_number(cell.replace(",", ".")):
        hint = "write the decimal point as a point"
    elif is_number(cell.replace(",", "").replace("_", "").replace(" ", "")):
        hint = "write the number without separators between thousands"
    else:
        hint = "leave the column out, or write its values as numbers"
    return marked(line, column, f"{place}: text in a number column", expected="a number", found=f'"{shown}"', hint=hint)


def marked(line: Line, column: int, message: str, *, expected: str, found: str = "", hint: str = "") -> DomainError:
    """Return an error that shows the line and carets under one cell, where the text allows it."""
    spans = (line.span(column),) if line.text else ()
    return DomainError(message, text=line.text, spans=spans, expected=expected, found=found, hint=hint)


def position(name: str, names: Sequence[str], source: str) -> int:
    """Return where a column stands; raises DomainError with the nearest name if it is missing."""
    if name in names:
        return list(names).index(name)
    near = get_close_matches(name, names, 1, cutoff=0.5)
    near = near or [other for other in names if other.lower() == name.lower()]
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    raise DomainError(
        f'{source} has no column "{name}"',
        expected=f"one of {shown}",
        found=f'"{name}"',
        hint=f'did you mean "{near[0]}"?' if near else "",
    )


def is_number(cell: str) -> bool:
    """Say whether a cell is written as a decimal number, an infinity or NaN (Python's `1_000` is text here)."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 row`, `2 rows`, `no rows`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
