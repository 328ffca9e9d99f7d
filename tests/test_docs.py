"""The documents say what the program does: references are generated, the transcript is compared, examples are run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from chainrule.cli.main import commands

ROOT = Path(__file__).parent.parent
GENERATE = ROOT / "docs" / "generate.py"
NUMBER = re.compile(r"−?-?\d+(\.\d+)?(e[-+]?\d+)?")
HAS_LEARN = all(importlib.util.find_spec(name) for name in ("sklearn", "matplotlib"))


def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", GENERATE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["rules.md", "operations.md"])
def test_reference_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == generate().pages()[name], "run: python docs/generate.py"


def test_references_show_notation_and_not_python() -> None:
    for text in generate().pages().values():
        assert " at 0x" not in text and "Expr" not in text and "None" not in text


@pytest.mark.skipif(not HAS_LEARN, reason="the transcript is of the whole tour")
def test_transcript_in_the_readme_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the tour prints, but for numbers that depend on the machine."""
    monkeypatch.chdir(tmp_path)
    module = generate()
    printed = CliRunner().invoke(commands, [], prog_name="chainrule").stdout
    written = module.README.read_text(encoding="utf-8").partition(module.BEGIN)[2].partition(module.END)[0]
    assert shaped(written) == shaped(module.transcript(printed)), "run: python docs/generate.py"


def shaped(text: str) -> list[str]:
    """Return the lines that are not empty, with every number replaced; an error of zero is written "exact"."""
    lines = [line.replace("✓ exact", "✓ 0") for line in text.splitlines() if line.strip()]
    return [" ".join(NUMBER.sub("#", line).split()) for line in lines]
