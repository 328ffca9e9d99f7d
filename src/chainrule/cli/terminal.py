"""Lines on the terminal: coloured where someone looks, plain where a program reads."""

from __future__ import annotations

import sys
import textwrap

from rich.console import Console
from rich.text import Text

from chainrule.render.page import broken

PIPED, NARROWEST, WIDEST = 80, 40, 100
RULE, HEADING, QUIET, HOLDS, FAILS, COMMAND = "cyan", "bold", "dim", "green", "bold red", "bold cyan"

Part = str | tuple[str, str]  # words, or words in a style


def write_utf8() -> None:
    """Let both streams write every character, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")


class Page:
    """Standard output, line by line, `columns` wide."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, markup=False, emoji=False)
        seen = self.console.width if self.console.is_terminal else PIPED
        self.columns = min(max(seen, NARROWEST), WIDEST)
        self.draws_bars = sys.stderr.isatty()

    def line(self, *parts: Part) -> None:
        """Write one line as it stands."""
        self.console.print(Text.assemble(*parts), soft_wrap=True)

    def heading(self, words: str) -> None:
        """Write a heading with an empty line before it."""
        self.line()
        self.line((words, HEADING))

    def prose(self, words: str, indent: int = 0, style: str = "") -> None:
        """Write words, broken at spaces to fit the page."""
        for line in broken(words, self.columns, indent):
            self.line((line, style))


def indented(code: str, by: int = 4) -> str:
    """Return lines of code moved to the right."""
    return textwrap.indent(code.rstrip(), " " * by)
