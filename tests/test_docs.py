"""The documents say what the program does: references are generated, the transcript is compared, examples are run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from chainrule.cli.main import commands

ROOT = Path(__file__).parent.parent
GENERATE = ROOT / "docs" / "generate.py"
NUMBER = re.compile(r"−?-?\d+(\.\d+)?(e[-+]?\d+)?")
HAS_LEARN = all(importlib.util.find_spec(name) for name in ("sklearn", "matplotlib"))


def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", GENERATE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


@pytest.mark.parametrize("name", ["rules.md", "operations.md"])
def test_reference_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert written == pages()[name], "run: python docs/generate.py"


def test_references_show_notation_and_not_python() -> None:
    for text in pages().values():
        assert " at 0x" not in text and "Expr" not in text and "None" not in text


@pytest.mark.skipif(not HAS_LEARN, reason="the transcript is of the whole tour")
def test_transcript_in_the_readme_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of it is printed by the tour, in this order, but for numbers that depend on the machine."""
    monkeypatch.chdir(tmp_path)
    printed = iter(shaped(CliRunner().invoke(commands, [], prog_name="chainrule").stdout))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    transcript = readme.partition("```console\n$ chainrule\n")[2].partition("```")[0]
    assert transcript
    for line in shaped(transcript):
        assert line == "[…]" or line in printed, f"the tour does not print: {line}"


def shaped(text: str) -> list[str]:
    """Return the lines that are not empty, with every number replaced."""
    return [" ".join(NUMBER.sub("#", line).split()) for line in text.splitlines() if line.strip()]
