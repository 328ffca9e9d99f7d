"""The house rules that ruff, mypy and import-linter cannot see."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainrule.expression.op import Op
from chainrule.ops import CATALOGUE

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "chainrule"
FILES = sorted(PACKAGE.rglob("*.py"))
IDS = [str(path.relative_to(PACKAGE)) for path in FILES]

FILE_LINES = 400
FUNCTION_LINES = 45
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc", "tools"}
RUNS_TEXT = {"eval", "exec", "__import__"}
GENERATES_CODE = ("compile/", "expression/op.py")  # run lines of our own catalogue, with identifiers made by us
OPTIONAL = {"sklearn", "matplotlib", "numba", "jax", "torch", "click", "rich", "pandas", "scipy", "pyarrow"}
README_COMMANDS = ("uv run chainrule", "uv run pytest")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def code_lines(function: Function) -> int:
    """Return the lines of a function without its docstring: words are not what makes a function long."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or function.lineno) - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_file_is_short(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES, f"{path.name} has {lines} lines; which idea wants its own file?"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_functions_fit_half_a_screen(path: Path) -> None:
    long = {f.name: code_lines(f) for f in functions(path) if code_lines(f) > FUNCTION_LINES}
    assert not long, f"longer than {FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_name_says_what_is_inside(path: Path) -> None:
    assert path.stem not in VAGUE_NAMES and path.parent.name not in VAGUE_NAMES


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_text_is_never_run(path: Path) -> None:
    """What a user wrote is parsed; only text we generated ourselves may run, and only where that is the purpose."""
    if path.relative_to(PACKAGE).as_posix().startswith(GENERATES_CODE):
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    found = [(c.func.id, c.lineno) for c in calls if isinstance(c.func, ast.Name) and c.func.id in RUNS_TEXT]
    assert not found


@pytest.mark.parametrize("module", ["chainrule", "chainrule.learn"])
def test_import_is_light(module: str) -> None:
    """The import loads NumPy and nothing else that is large or optional."""
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "chainrule" in loaded
    assert not OPTIONAL & set(loaded)


def test_ci_runs_what_the_readme_promises() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    steps = re.findall(r"^step (.*?)\s*(?:#.*)?$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    for command in README_COMMANDS:
        assert command in readme
        assert command in steps


def test_lock_names_only_the_public_index() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert hosts == {"pypi.org", "files.pythonhosted.org"}


def test_torch_is_never_installed_by_us() -> None:
    assert not re.search(r'^name = "(torch|nvidia-.*)"$', (ROOT / "uv.lock").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("op", CATALOGUE.entries, ids=lambda op: op.name)
def test_every_operation_has_its_words(op: Op) -> None:
    assert op.because and op.rule
