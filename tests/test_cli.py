"""The command line as a user meets it: answers, exit codes, and input that is meant to break it."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import chainrule as cr
from chainrule import api
from chainrule.cli import tour as tour_module
from chainrule.cli.main import commands
from chainrule.cli.tour import COST
from chainrule.notation.written import notate_equation
from chainrule.render.page import broken, equation_lines
from chainrule.render.text import width
from chainrule.rewrite.statement import Derivation, Verdict

HEADER = "a,b,t\n"
MARK = "^"
SOURCE = Path(cr.__file__).parent.parent
HAS_LEARN = all(importlib.util.find_spec(name) for name in ("sklearn", "matplotlib"))


def run(*args: str, stdin: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(commands, args, input=stdin, prog_name="chainrule")
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def refused(*args: str, stdin: str | bytes | None = None) -> str:
    """Run a command that must be refused: exit code 2, nothing on standard output, and the message returned."""
    result = run(*args, stdin=stdin)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr


def process(*args: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        command(*args), capture_output=True, text=True, encoding="utf-8", env=environment(), **options
    )


def command(*args: str) -> list[str]:
    return [sys.executable, "-c", "from chainrule.cli.main import main; main()", *args]


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1", **extra}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def houses(folder: Path) -> str:
    """A table that a neuron fits well: price = max(0, 2 area + 30 rooms + 20) with noise."""
    random = np.random.default_rng(1)
    X = random.normal(size=(120, 2)) * [10, 1] + [50, 0]
    price = np.maximum(0, X @ [2, 30] + 20) + random.normal(size=120)
    with open("houses.csv", "w", newline="") as file:
        csv.writer(file).writerows([["area", "rooms", "price"], *np.column_stack([X, price]).tolist()])
    return "houses.csv"


# --- derive
def test_derives_and_says_what_it_inferred() -> None:
    result = run("derive", COST, "--wrt", "w")
    assert result.exit_code == 0
    assert "X : N×d" in result.stdout and "b : scalar" in result.stdout
    assert "∂C/∂w" in result.stdout and "verified: " in result.stdout


def test_a_single_symbol_needs_no_wrt() -> None:
    assert "∂f/∂x = 2x" in run("derive", "x**2", "--shape", "x:").stdout


def test_several_symbols_need_one() -> None:
    message = refused("derive", "a*x + b")
    assert "--wrt a" in message and "--wrt b" in message


def test_a_formula_may_begin_with_a_minus() -> None:
    assert run("derive", "-x**2", "--wrt", "x").exit_code == 0
    assert run("derive", "--wrt", "x", "-x**2").exit_code == 0


def test_reads_standard_input() -> None:
    assert run("derive", "-", "--wrt", "w", stdin=COST + "\n").exit_code == 0
    assert "not UTF-8" in refused("derive", "-", stdin=b"\xff\xfe\x00x")
    assert "empty" in refused("derive", "-", stdin="")


@pytest.mark.parametrize("wrt", ["w", "b"])
def test_json_says_everything(wrt: str) -> None:
    d = json.loads(run("derive", COST, "--wrt", wrt, "--format", "json").stdout)
    assert d["verified"] is True and d["wrt"] == wrt and d["function"]["name"] == "C"
    assert d["result"]["text"] == str(cr.grad(cr.parse(COST), wrt))
    assert d["shapes"] == {"X": ["N", "d"], "w": ["d"], "y": ["N"], "b": []}
    assert any("row" in sentence for sentence in d["inferred"])
    for step in d["steps"]:
        assert step.keys() == {"part", "rule", "equation", "latex", "because", "note", "verdict"}
        assert step["verdict"].keys() == {"holds", "error", "points", "method"}


def test_several_variables_give_an_array() -> None:
    both = json.loads(run("derive", COST, "--wrt", "w", "--wrt", "b", "--format", "json", "--code", "numpy").stdout)
    assert [d["wrt"] for d in both] == ["w", "b"]
    assert "def value_and_gradient(" in both[0]["code"]


def test_code_runs_and_agrees() -> None:
    scope: dict = {}
    exec(run("derive", "mean((y - max(0, X @ w + b))**2)", "--wrt", "w", "--code", "numpy").stdout, scope)
    random = np.random.default_rng(0)
    values = {"X": random.normal(size=(5, 3)), "w": random.normal(size=3), "y": random.normal(size=5), "b": 0.5}
    value, gradient = scope["value_and_gradient"](**values)
    C = cr.parse("mean((y - max(0, X @ w + b))**2)")
    np.testing.assert_allclose(value, C.eval(**values))
    np.testing.assert_allclose(gradient, cr.grad(C, "w").eval(**values))


@pytest.mark.parametrize("form", ["text", "latex", "html"])
def test_forms(form: str) -> None:
    output = run("derive", "dot(w, x)", "--wrt", "w", "--format", form).stdout
    assert {"text": "verified", "latex": r"\begin{align*}", "html": "<!doctype html>"}[form] in output


@pytest.mark.parametrize("detail", ["brief", "normal", "full"])
@pytest.mark.parametrize("narrative", ["forward", "backward"])
@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_every_choice_is_verified(detail: str, narrative: str, layout: str) -> None:
    options = ("--detail", detail, "--narrative", narrative, "--layout", layout)
    result = run("derive", COST, "--wrt", "w", *options)
    assert result.exit_code == 0 and "verified: " in result.stdout


def test_names_are_the_users() -> None:
    names = ("--name", "u1=x**2", "--name", "u2=sin(u1)")
    result = run("derive", "exp(sin(x**2))", "--shape", "x:", *names)
    assert result.exit_code == 0 and "u₁ ≔ x²" in result.stdout and "u₂ ≔ sin(u₁)" in result.stdout


def test_newton_in_place_of_the_derivative() -> None:
    result = run("derive", "mean(log(1 + exp(X @ w)) - y * (X @ w))", "--wrt", "w", "--newton")
    assert result.exit_code == 0
    assert "w₊ = (XᵀSX)⁻¹ Xᵀ S z̃" in result.output
    assert "has no --cotangent" in refused("derive", "x**2", "--newton", "--cotangent", "u")


def test_matlab_text() -> None:
    assert run("derive", "x' * A * x", "--syntax", "matlab", "--wrt", "x").exit_code == 0


@pytest.mark.parametrize(
    ("formula", "title"),
    [("L = w @ w", "∂L/∂w"), (r"\mathcal{L}(w) = \mathbf{w} \cdot \mathbf{w}", "∂C/∂w"), ("w = w @ w", "∂C/∂w")],
)
def test_left_side_names_the_function(formula: str, title: str) -> None:
    result = run("derive", formula, "--wrt", "w")
    assert result.exit_code == 0 and title in result.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("(x + 1",), "never closed"),
        (("x + 1)",), "closes nothing"),
        (("sigmid(x)",), "did you mean sigmoid"),
        (("__import__('os')",), "underscores"),
        (("eval(x)",), "not a known function"),
        (("X @ w", "--shape", "X:N,d", "--shape", "w:N", "--wrt", "w"), "--shape"),
    ],
)
def test_the_place_is_marked(args: tuple[str, ...], words: str) -> None:
    message = refused("derive", *args)
    assert words in message and MARK in message and args[0] in message


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("x**2", "--wrt", "q"), "does not occur"),
        (("",), "empty"),
        (("   ",), "empty"),
        (("x+" * 50_000 + "x",), "too long"),
        (("(" * 10_000 + "x" + ")" * 10_000,), "too long"),
        (("(" * 9_000 + "x" + ")" * 9_000,), "nested"),
        (("sin(" * 3_000 + "x" + ")" * 3_000,), "nested"),
        (("3",), "no symbol"),
        (("x", "--shape", "x"), "NAME:SIZES"),
        (("x", "--shape", "x:-1"), "positive numbers"),
        (("x", "--shape", "x:n", "--shape", "x:m"), "twice"),
        (("x", "--name", "u"), "NAME=EXPR"),
        (("x", "--layout", "sideways"), "numerator"),
        (("x\udcff",), "no meaning"),
    ],
)
def test_refused_with_a_message(args: tuple[str, ...], words: str) -> None:
    message = refused("derive", *args)
    assert words in message and len(message) < 2_000


def test_a_symbol_may_be_called_eval() -> None:
    assert "2 eval" in run("derive", "eval**2", "--shape", "eval:").stdout


def test_a_formula_cannot_drive_the_terminal() -> None:
    assert "\x1b" not in refused("derive", "\x1b[31mred")


def test_a_failed_check_is_loud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "derive", wrongly(api.derive))
    for options in ((), ("--format", "json"), ("--format", "latex")):
        result = run("derive", "x**2", *options)
        assert result.exit_code == 1 and "NOT VERIFIED: step 1" in result.stderr
    result = run("derive", "x**2", "--code", "numpy")
    assert result.exit_code == 1 and result.stdout == ""


def wrongly(derive):
    """Derive, and judge the first step wrong."""

    def derived(*args, **options) -> Derivation:
        d = derive(*args, **options)
        first = d.steps[0].judged(Verdict(False, float("inf"), 3, "both sides"))
        return replace(d, steps=(first, *d.steps[1:]))

    return derived


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_pages_are_as_wide_as_asked(columns: int) -> None:
    for step in cr.derive(COST, "b").steps:
        lines = equation_lines(" 16. ", notate_equation(step.equation, "numerator"), columns)
        assert all(width(line) <= columns for line in lines) or columns < 80
    words = broken("one two three " * 20, columns, 4, 6)
    assert all(len(line) <= columns for line in words) and "one two three" in " ".join(words)


# --- train and predict
def test_trains_saves_and_predicts(houses: str) -> None:
    result = run("train", houses, "--target", "price")
    assert result.exit_code == 0 and "R²" in result.stdout and "mean of the target" in result.stdout
    assert json.loads(Path("houses.params.json").read_text())["target"] == "price"
    predicted = run("predict", "houses.params.json", houses)
    rows = predicted.stdout.splitlines()
    assert rows[0] == "predicted_price" and len(rows) == 121
    assert "R² 0.99" in predicted.stderr
    assert run("predict", "houses.params.json", houses, "--out", "p.csv").exit_code == 0
    assert Path("p.csv").read_text() == predicted.stdout


def test_predicts_without_the_target_column(houses: str) -> None:
    run("train", houses, "--target", "price", "--out", "p.json")
    Path("new.csv").write_text("rooms,colour,area\n1,red,40\n")
    result = run("predict", "p.json", "new.csv")
    assert result.stderr == "" and 90 < float(result.stdout.splitlines()[1]) < 190


def test_resumes_where_it_was(houses: str) -> None:
    first = run("train", houses, "--target", "price", "--steps", "3", "--out", "p.json")
    assert "step limit of 3" in first.stdout
    loss = float(
        run("train", houses, "--target", "price", "--resume", "p.json", "--steps", "0")
        .stdout.split("falls: ")[1]
        .split()[0][:-1]
    )
    assert f"{loss:.6g}" in first.stdout
    assert "another model" in refused("train", houses, "--target", "price", "--ignore", "area", "--resume", "p.json")


def test_divergence_is_explained_and_keeps_the_best(houses: str) -> None:
    result = run("train", houses, "--target", "price", "--learning-rate", "500", "--activation", "identity")
    assert result.exit_code == 1 and "too large" in result.stdout and "Try η" in result.stdout
    assert np.isfinite(json.loads(Path("houses.params.json").read_text())["bias"])


def test_says_that_targets_are_out_of_reach(folder: Path) -> None:
    Path("n.csv").write_text("a,t\n" + "".join(f"{k},{k - 50}\n" for k in range(100)))
    assert "--activation identity" in " ".join(run("train", "n.csv", "--target", "t").stdout.split())


@pytest.mark.skipif(not HAS_LEARN, reason="the plot needs matplotlib")
def test_draws_a_plot(houses: str) -> None:
    run("train", houses, "--target", "price", "--plot", "fit.png")
    assert Path("fit.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER + "1,2,3\n4,,6\n7,8,9\n", 'row 2 (line 3), column "b": the value is missing'),
        (HEADER + "1,red,3\n4,5,6\n", "text in a number column"),
        (HEADER + "1,inf,3\n4,5,6\n", "not finite"),
        (HEADER + "1,2,3\n", "at least 2 rows"),
        (HEADER, "no rows"),
        ("", "is empty"),
        ("a,b,c\n1,2,3\n4,5,6\n", 'no column "t"'),
        ("t\n1\n2\n", "no column beside the target"),
        (HEADER + "1,2\n4,5,6\n", "2 values"),
        (bytes(range(256)) * 5, "not UTF-8"),
    ],
    ids=["missing", "text", "infinite", "one row", "no rows", "empty", "no target", "no feature", "ragged", "binary"],
)
def test_bad_tables_are_refused(folder: Path, content: str | bytes, words: str) -> None:
    Path("bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in refused("train", "bad.csv", "--target", "t")
    assert not list(folder.glob("*.json"))


def test_what_is_no_file_is_refused(folder: Path, houses: str) -> None:
    assert "is a directory" in refused("train", ".", "--target", "t")
    assert "did you mean houses.csv" in refused("train", "house.csv", "--target", "t")
    assert "no folder" in refused("train", houses, "--target", "price", "--out", "nowhere/p.json")
    assert "it is a folder" in refused("train", houses, "--target", "price", "--out", ".")
    assert "not a file of trained parameters" in refused("predict", houses, houses)
    assert "cannot be ignored" in refused("train", houses, "--target", "price", "--ignore", "price")
    assert "between 0 and 1" in refused("train", houses, "--target", "price", "--held-out", "2")
    assert "must be positive" in run("train", houses, "--target", "price", "--learning-rate", "nan").stderr


def test_ctrl_c_keeps_the_best(houses: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(step: int, loss: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.cli.training.nullcontext", lambda: nullcontext(interrupt))
    result = run("train", houses, "--target", "price")
    assert result.exit_code == 130 and "Interrupted after 5 steps" in result.stdout
    assert Path("houses.params.json").exists()


# --- the tour, and what holds for every command
@pytest.mark.skipif(not HAS_LEARN, reason="the whole tour needs scikit-learn and matplotlib")
def test_tour(folder: Path) -> None:
    result = run()
    assert result.exit_code == 0
    for words in (COST, "∂C/∂w", "∂C/∂b", "diabetes", "linear regression (scikit-learn)", "chainrule derive"):
        assert words in result.stdout
    assert Path("chainrule-tour.png").read_bytes().startswith(b"\x89PNG")
    assert all(width(line) <= 80 for line in result.stdout.splitlines())
    assert result.stderr == "" and "\x1b" not in result.stdout


def test_tour_with_the_hard_dependencies_alone(folder: Path) -> None:
    code = "import sys; sys.modules['sklearn'] = sys.modules['matplotlib'] = None; " + command()[-1]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment())
    output = result.stdout.decode()
    assert result.returncode == 0 and result.stderr == b"" and b"\x1b" not in result.stdout
    assert "made up here" in output and "∂C/∂w" in output and "R²" in output
    assert "no plot: matplotlib is not installed" in output and "pip install" in output
    assert all(width(line) <= 80 for line in output.splitlines())
    assert not list(folder.iterdir())


def test_tour_without_a_place_for_the_plot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tour_module, "PLOT", Path("nowhere") / "plot.png")
    result = run()
    assert result.exit_code == 0 and "no plot: " in result.stdout


def test_tour_fails_if_a_step_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "derive", wrongly(api.derive))
    result = run()
    assert result.exit_code == 1 and "NOT VERIFIED" in result.stdout and "R²" not in result.stdout


def test_version_and_help() -> None:
    assert run("--version").stdout == f"chainrule {cr.__version__}\n"
    assert "derive" in run("--help").stdout
    for name in ("derive", "train", "predict"):
        assert "Examples:" in run(name, "--help").stdout


@pytest.mark.parametrize(
    ("word", "words"),
    [("derrive", "Did you mean 'derive'?"), ("x**2", "chainrule derive FORMULA"), ("zzz", "The commands")],
)
def test_unknown_commands(word: str, words: str) -> None:
    assert words in refused(word)


def test_a_closed_pipe_is_quiet() -> None:
    for args in (("derive", COST, "--wrt", "w"), ("derive", COST, "--wrt", "w", "--format", "json")):
        running = subprocess.Popen(command(*args), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        error = running.stderr.read()
        running.wait(timeout=60)
        assert b"Traceback" not in error and b"Exception" not in error


def test_no_colours_in_a_pipe_and_no_locale_needed() -> None:
    result = subprocess.run(
        command("derive", "dot(w, x)", "--wrt", "w"), capture_output=True, env=environment(PYTHONUTF8="0", LC_ALL="C")
    )
    assert result.returncode == 0 and "∂C/∂w".encode() in result.stdout and b"\x1b" not in result.stdout


def test_a_bug_is_reported_as_one() -> None:
    code = "from chainrule.cli import main, derive; derive.api.understand = None; main.main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "derive", "x"], capture_output=True, text=True, env=environment(), encoding="utf-8"
    )
    assert result.returncode == 70 and "Traceback" in result.stderr and "please report" in result.stderr.lower()


def test_derive_loads_nothing_it_does_not_need() -> None:
    code = (
        "import sys; from chainrule.cli.main import commands\n"
        "commands(['derive', 'x**2'], standalone_mode=False)\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), encoding="utf-8"
    )
    loaded = set(result.stderr.split())
    assert "chainrule.cli.derive" in loaded
    assert not {"sklearn", "matplotlib", "rich.progress", "chainrule.learn", "pyarrow"} & loaded
