"""Write what the code knows better: `uv run python docs/generate.py` renews docs/rules.md, docs/operations.md, and the
transcript of the tour in README.md (which needs scikit-learn and matplotlib).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from chainrule import api  # noqa: F401 - fills the catalogue and the views
from chainrule.derivative.chains import CHAIN_RULES
from chainrule.derivative.rules import NAMED_RULES
from chainrule.expression.build import symbol
from chainrule.expression.op import CATALOGUE, Op
from chainrule.simplify.simplify import SIMPLIFICATIONS

FOLDER = Path(__file__).parent
README = FOLDER.parent / "README.md"
BEGIN, END = "```console\n$ chainrule\n", "\n```"
CUTS = (("  9. ", " 13. "), ("4. ", "5. "), ("What to type next", ""))  # beginnings of lines: left out, and kept again
NOTE = "*Written by `docs/generate.py` from the tables in the code; change those, not this page.*"


def main() -> None:
    """Write every page."""
    for name, page in pages().items():
        (FOLDER / name).write_text(page, encoding="utf-8")
    before, begin, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(f"{before}{begin}{transcript(tour())}{END}{rest.partition(END)[2]}", encoding="utf-8")


def tour() -> str:
    """Return what the tour prints."""
    command = [sys.executable, "-c", "from chainrule.cli.main import main; main()"]
    with TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder, capture_output=True, check=True).stdout.decode()


def transcript(printed: str) -> str:
    """Return what the tour prints, shortened for the README."""
    lines = printed.splitlines()
    for first, kept in CUTS:
        start = next((k for k, line in enumerate(lines) if line.startswith(first)), len(lines))
        stop = next((k for k in range(start + 1, len(lines)) if kept and lines[k].startswith(kept)), None)
        lines[start:stop] = ["[…]", *([""] if first[0] != " " else [])] if stop else []
    return "\n".join(lines).rstrip()


def pages() -> dict[str, str]:
    """Return the pages by file name."""
    return {"rules.md": rules(), "operations.md": operations()}


def rules() -> str:
    """Return the page of the rules of differentiation and of simplification."""
    named = [(rule.name, f"`{rule.statement}`", rule.because) for rule in NAMED_RULES]
    chains = [(rule.name, f"`{rule.statement}`", rule.because) for rule in CHAIN_RULES]
    simpler = [(rule.name, f"`{rule.this}`", f"`{rule.becomes}`", rule.because) for rule in SIMPLIFICATIONS]
    return page(
        "Rules",
        "The names that stand in brackets in a derivation. Each simplification is checked with numbers, at random "
        "points and at kinks, by `tests/test_rules.py`.",
        ("Derivatives of one step", table(("rule", "statement", "because"), named)),
        ("Chain rules", table(("rule", "statement", "because"), chains)),
        ("Simplifications", table(("rule", "this", "becomes", "because"), simpler)),
    )


def operations() -> str:
    """Return the page of the operations."""
    entries = [op for op in CATALOGUE.entries if not op.extents]
    return page(
        "Operations",
        "Functions with an entry of their own; everything else (`@`, `.T`, `sum`, `mean`, `trace`, `diag`, `norm` …) "
        "is built from products, sums and these. Element-wise functions take arrays of any shape, and their derivative "
        "is that of each entry. Functions of a vector or a square matrix take leading batch axes too. Each derivative "
        "is checked against central differences by `tests/test_ops.py`.",
        ("Element-wise", operation_table(op for op in entries if op.is_elementwise)),
        ("Of a vector or a matrix", operation_table(op for op in entries if not op.is_elementwise)),
        ("At kinks", kinks(entries)),
    )


def operation_table(ops: Iterable[Op]) -> str:
    """Return a table with a row for each operation."""
    rows = []
    for op in ops:
        names = ", ".join(f"`{name}`" for name in (op.spelling, *op.aliases))
        rows.append((names, f"`{applied(op)}`", derivatives(op), op.because))
    return table(("function", "printed", "derivative", "because"), rows)


def applied(op: Op) -> object:
    """Return the operation applied to symbols of its signature."""
    return op(*arguments(op))


def arguments(op: Op) -> list:
    """Return a symbol for each argument."""
    return [symbol(name, core) for name, core in zip(op.parameters, op.core.inputs, strict=True)]


def derivatives(op: Op) -> str:
    """Return the local derivative by each argument; one that is zero everywhere it exists is 0."""
    given = arguments(op)
    found = op.local_jacobians(given, op(*given))
    shown = [f"`{0 if local is None else local}`" for local in found]
    if len(found) == 1:
        return shown[0]
    return ", ".join(f"by {name}: {local}" for name, local in zip(op.parameters, shown, strict=False))


def kinks(ops: Iterable[Op]) -> str:
    """Return the conventions; the first of them is a setting."""
    lines = [f"- {op.convention.format(kink=0)}" for op in ops if op.convention]
    setting = "`chainrule.kink_value(…)` sets another value (0, 1/2 or 1) for `relu`, `max` and `min`."
    return "\n".join([*dict.fromkeys(lines), "", setting])


def page(title: str, words: str, *sections: tuple[str, str]) -> str:
    """Return a page of sections."""
    parts = [f"# {title}", NOTE, words, *(part for heading, body in sections for part in (f"## {heading}", body))]
    return "\n\n".join(parts) + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    main()
