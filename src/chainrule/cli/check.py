"""`chainrule check`: the first wrong line of a hand derivation, and why."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from chainrule.cli.terminal import FAILS, HEADING, HOLDS, QUIET, Page
from chainrule.errors import DomainError
from chainrule.proofread.check import check as proofread
from chainrule.proofread.page import report_page
from chainrule.proofread.written import report_parts

EPILOG = """\b
Examples:
  chainrule check homework.md
  chainrule check paper.tex --format html > report.html
  pbpaste | chainrule check -
"""
STYLES = {"": "", "heading": HEADING, "quiet": QUIET, "good": HOLDS, "bad": FAILS, "open": "yellow"}
MOST = 4_000_000  # bytes that are read at all


@click.command(epilog=EPILOG)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), help="Plain text, JSON, or a web page.")
@click.pass_context
def check(ctx: click.Context, file: Path, form: str | None) -> None:
    """Check a hand derivation line by line and find its first wrong line.

    FILE is plain text, Markdown or LaTeX with declarations (X : N x d), definitions (z = X @ w) and claims (dC/dw = …);
    `-` reads standard input. Exit code 0: all correct; 1: a wrong line; 2: something was not understood.
    """
    report = proofread(content(file))
    if form == "json":
        click.echo(report.to_json())
    elif form == "html":
        click.echo(report_page(report, "standard input" if str(file) == "-" else file.name))
    elif form == "text":
        click.echo(str(report))
    else:
        page = Page()
        for parts in report_parts(report):
            page.line(*((words, STYLES[tone]) for words, tone in parts))
    ctx.exit(report.exit_code)


def content(file: Path) -> str:
    """Return the text of a file, or of standard input. Raises: DomainError if it cannot be read."""
    try:
        raw = sys.stdin.buffer.read(MOST + 1) if str(file) == "-" else first_bytes(file)
    except OSError as error:
        raise DomainError(f"cannot read {file}: {(error.strerror or str(error)).lower()}") from None
    if len(raw) > MOST:
        raise DomainError(
            "the file is too large for a working", found=f"more than {MOST:,} bytes", hint="check it in parts"
        )
    try:
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise DomainError(f"{file} is not text", expected="UTF-8", hint="give a text, Markdown or LaTeX file") from None


def first_bytes(file: Path) -> bytes:
    """Read as much of a file as a working may have."""
    with file.open("rb") as stream:
        return stream.read(MOST + 1)
