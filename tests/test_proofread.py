"""Proofreading: how a text is read, which verdicts lines get, and what happens to text that is no working."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

import chainrule as cr
from chainrule.cli.main import commands
from chainrule.proofread.compare import grounds
from chainrule.proofread.declarations import declaration, facts_in_prose
from chainrule.proofread.differential import differentials
from chainrule.proofread.handwriting import to_latex
from chainrule.proofread.sides import equation
from chainrule.syntax.names import FUNCTIONS

LINEAR = "X : N x d; w : d; y : N; b : scalar\n"
NEURON = LINEAR + "z = X @ w + b\nu = max(0, z)\nC = mean((y - u)**2)\n"


def verdicts(text: str) -> list[str]:
    return [line.verdict for line in cr.check(text).claims]


# --- notations of one and the same claim
@pytest.mark.parametrize(
    "left",
    [
        "dC/dw", "∂C/∂w", r"\frac{\partial C}{\partial \mathbf{w}}", r"\frac{dC}{dw}", r"\nabla_w C", "∇_w C",
        r"\nabla_{\mathbf{w}} C", r"\dfrac{\mathrm{d} C}{\mathrm{d} w}", r"\partial C / \partial w", r"\pdv{C}{w}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "right",
    [
        r"\frac{2}{N} X^\top ([z > 0] \odot (u - y))", "(2/N) Xᵀ([z > 0] ⊙ (u − y))",
        r"\frac{2}{N} \sum_{i=1}^N [z_i > 0] (z_i - y_i) X_i", "2/N X^T ([z > 0] ⊙ (z - y))",
    ],
)  # fmt: skip
def test_notations(left: str, right: str) -> None:
    assert verdicts(f"{NEURON}\n${left} = {right}$" if "\\" in left + right else f"{NEURON}\n{left} = {right}") == [
        "correct"
    ]


@pytest.mark.parametrize(
    "left", ["d²C/dw²", "∂²C/∂w∂wᵀ", r"\nabla_w^2 C", r"\frac{\partial^2 C}{\partial w \partial w^\top}"]
)
def test_second_derivatives(left: str) -> None:
    right = r"\frac{2}{N} X^\top \operatorname{diag}([z > 0]) X" if "\\" in left else "(2/N) Xᵀ diag([z > 0]) X"
    assert verdicts(f"{NEURON}\n{left} = {right}") == ["correct"]


def test_matlab_text() -> None:
    assert verdicts("X : N x d, w : d, y : N\nr = X*w - y\nf = sum(r.^2)\ndf/dw = 2*X'*r") == ["correct"]


def test_chains_have_a_verdict_for_each_side() -> None:
    report = cr.check(
        f"{NEURON}dC/db = dC/du du/dz dz/db\n  = 2/N * sum((z > 0) * (y - u))\n  = -2/N * sum((z > 0) * (y - u))\n"
    )
    assert [line.verdict for line in report.claims] == ["correct", "wrong", "correct"]
    assert report.first_wrong is not None and report.first_wrong.number == 6
    assert report.diagnosis is not None and report.diagnosis.kind == "sign"


def test_definitions_may_come_later() -> None:
    assert verdicts(LINEAR + "L = sum(e**2)\ndL/dw = 2 * X.T @ e\nwhere e = X @ w + b - y") == ["correct"]


def test_prose_is_no_claim() -> None:
    text = (
        "The loss = mean squared error, which is nice.\nWith batch size = 32 we are done.\nIf N = 1 it is simple.\n"
        + LINEAR
    )
    assert not cr.check(text).claims


def test_a_condition_for_a_minimum_is_no_claim() -> None:
    assert not cr.check(LINEAR + "f = sum((X @ w - y)**2)\nSetting df/dw = 0 gives the solution.").claims


# --- layouts
def test_layouts() -> None:
    text = "layout: numerator\nX : N x d, w : d, y : N\n$f = \\|X w - y\\|^2$\n"
    row, column = r"$\nabla_w f = 2 (X w - y)^\top X$", r"$\nabla_w f = 2 X^\top (X w - y)$"
    assert verdicts(text + row) == ["correct"]
    assert verdicts(text + column) == ["correct up to layout"]
    line = cr.check(text + column).claims[0]
    assert line.layout == "denominator" and "column" in line.why


def test_transposed_jacobian() -> None:
    text = "A : m x n, x : n\nlayout: numerator\nf = A @ x\n"
    assert verdicts(text + "df/dx = A") == ["correct"]
    assert verdicts(text + "df/dx = A.T") == ["correct up to layout"]
    assert verdicts("x : n\nf = exp(x)\ndf/dx = exp(x)") == ["wrong"]


# --- conditions
@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("A : n x n, x : n\nf = x @ A @ x\ndf/dx = 2 * A @ x", "A is symmetric"),
        ("s : n, y : n\nL = -sum(y * log(softmax(s)))\ndL/ds = softmax(s) - y", "y sums to one"),
        (NEURON + "dC/dw = 2/N * X.T @ (z - y)", "all samples are active"),
    ],
)
def test_conditions(text: str, condition: str) -> None:
    line = cr.check(text).first_wrong
    assert line is not None and line.verdict == "correct if" and line.condition == condition


@pytest.mark.parametrize(
    "said", ["A is symmetric.", "Let $A$ be given, where A is symmetric and real.", "for symmetric A"]
)
def test_facts_in_prose(said: str) -> None:
    assert verdicts(f"A : n x n, x : n\n{said}\nf = x @ A @ x\ndf/dx = 2 * A @ x") == ["correct"]


def test_kink_value_is_a_remark() -> None:
    line = cr.check("z : scalar\nf = max(0, z)\ndf/dz = [z >= 0]").claims[0]
    assert line.verdict == "correct" and line.finding == "kink value"


# --- never a false "wrong"
@pytest.mark.parametrize(
    "text",
    [
        "x : n\nf = 1e-12 * sum(x**3)\ndf/dx = 3e-12 * x**2",
        "x : n\nf = 1e12 * sum(x**3)\ndf/dx = 3e12 * x**2",
        "x : n\nf = log(sum(exp(x)))\ndf/dx = exp(x) / sum(exp(x))",
        "A : n x n\nf = log(det(A))\ndf/dA = inv(A).T",
        "x : n\nf = sum(sqrt(x))\ndf/dx = 1 / (2 * sqrt(x))",
        "a, b : n\nf = norm(a - b)\ndf/da = (a - b) / norm(a - b)",
        "K : n x n symmetric positive definite, y : n\nf = y @ inv(K) @ y\ndf/dK = -outer(inv(K) @ y, inv(K) @ y)",
        "x : n\nf = sum(x**2) * 1e-20 + 1e20\ndf/dx = 2e-20 * x",
        "x : scalar\nf = sin(x)**2 + cos(x)**2\ndf/dx = 0",
    ],
)
def test_right_lines_are_never_wrong(text: str) -> None:
    assert verdicts(text) == ["correct"]


def test_a_difference_that_rounding_could_hide_is_not_decided() -> None:
    assert verdicts("x : n\nf = sum(exp(x))\ndf/dx = exp(x) + 1e-8 * exp(2*x)") == ["cannot tell"]


def test_exact_fractions_see_what_floats_cannot() -> None:
    line = cr.check("x : n, y : n\nf = sum(x**3)\ndf/dx = 3 * x**2 + y / 1000000000000").claims[0]
    assert line.verdict == "wrong"
    x = cr.vector("x", "n")
    assert grounds([x**3]).agree(x**3, x * x * x).exact


# --- what cannot be read
def test_other_lines_are_still_checked() -> None:
    text = "x : n\nf = x @ x\ndf/dx = 2 * q\ndf/dx = 2 * * x\ndg/dx = x\ndf/dx = 2*x\n"
    report = cr.check(text)
    assert [line.verdict for line in report.lines[2:]] == ["cannot tell", "not understood", "cannot tell", "correct"]
    assert report.exit_code == 2
    assert "q is not known" in report.lines[2].why


def test_shapes_that_cannot_fit_are_wrong() -> None:
    report = cr.check("X : N x d, D : N x h, W : d x h\nL = sum((X @ W) * D)\ndL/dW = D @ X.T")
    assert report.first_wrong is not None and report.first_wrong.finding == "shape"


@pytest.mark.parametrize("text", ["", "\n\n", "Only words here.", "\0\1\2", "$$ x = ", "x" * 300_000])
def test_no_working(text: str) -> None:
    with pytest.raises(cr.DomainError):
        cr.check(text)


@pytest.mark.parametrize(
    "text",
    ["\ufeffx : n\r\nf = x @ x\r\ndf/dx = 2*x", "x\t:\tn\nf\t=\tx @ x\ndf/dx\t=\t2*x", "x : n\rf = x @ x\rdf/dx = 2*x"],
)
def test_line_ends_tabs_and_marks(text: str) -> None:
    assert verdicts(text) == ["correct"]


def test_time_is_bounded() -> None:
    report = cr.check("x : n\nf = x @ x\n" + "df/dx = 2 * x\n" * 200, seconds=0.0)
    assert {line.verdict for line in report.lines} <= {"given", "cannot tell"}


# --- the command
def test_exit_codes_and_formats(tmp_path: object) -> None:
    run = CliRunner()
    right, wrong = "x : n\nf = x @ x\ndf/dx = 2*x\n", "x : n\nf = x @ x\ndf/dx = x\n"
    assert run.invoke(commands, ["check", "-"], input=right).exit_code == 0
    assert run.invoke(commands, ["check", "-"], input=wrong).exit_code == 1
    assert run.invoke(commands, ["check", "-"], input="nothing").exit_code == 2
    data = json.loads(run.invoke(commands, ["check", "-", "--format", "json"], input=wrong).output)
    assert data["schema"] == 1 and data["first_wrong"] == 3
    assert data["lines"][2]["diagnosis"]["kind"] == "constant factor" and data["lines"][2]["correct"] == "df/dx = 2 * x"
    page = run.invoke(commands, ["check", "-", "--format", "html"], input=wrong + "<script>alert(1)</script>").output
    assert page.startswith("<!doctype html>") and "<script>" not in page
    assert "line 3" in run.invoke(commands, ["check", "-", "--format", "text"], input=wrong).output


def test_report_displays() -> None:
    report = cr.check("x : n\nf = x @ x\ndf/dx = x\n")
    assert "It should say" in str(report) and "It should say" in report._repr_html_()
    assert json.loads(report.to_json())["exit_code"] == 1


# --- parts
def test_parts_of_the_reader() -> None:
    one = differentials("d(x + x²)/dx")[0]
    assert (one.function, one.wrt) == ("(x + x²)", ("x",))
    assert [d.function for d in differentials("dC/du du/dz dz/dw")] == ["C", "u", "z"]
    said = equation(r"a = \begin{cases} 0 & z \le 0 \\ 1 & z = 1 \end{cases} = b")
    assert said is not None and len(said.rights) == 2
    assert declaration("K : n x n symmetric positive definite").facts == {"symmetric", "positive definite"}  # type: ignore[union-attr]
    assert declaration("Note: see below") is None
    assert facts_in_prose("the matrix is not symmetric, A is not symmetric") == []
    assert to_latex("Xᵀ(m ⊙ e)", {"X", "m", "e"}, FUNCTIONS) == r"X^{\top }(m ⊙ e)"
