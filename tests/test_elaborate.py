"""From text to expression: many spellings of a function are one object; shapes are inferred; errors have a place."""

import json
from math import erf
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.ops
from chainrule.errors import ChainruleError, DomainError, FormulaSyntaxError, ShapeError
from chainrule.evaluate import evaluate
from chainrule.expression import build
from chainrule.expression.elaborate import Elaborated, elaborate
from chainrule.expression.functions import FUNCTIONS, function_names
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE
from chainrule.expression.tracing import trace
from chainrule.syntax.parse import read

PUBLIC = [
    path
    for path in (Path(__file__).parent / "corpus/public.json", Path(__file__).parents[2] / "shared/corpus/public.json")
    if path.exists()
]
PROBLEMS = json.loads(PUBLIC[0].read_text()) if PUBLIC else []


def understood(text: str, syntax: str = "auto", shapes=None, symbols=None) -> Elaborated:
    assert chainrule.ops.CATALOGUE is CATALOGUE
    return elaborate(read(text, syntax=syntax), shapes, symbols)


def meaning(text: str, syntax: str = "auto", shapes=None, symbols=None) -> Expr:
    return understood(text, syntax, shapes, symbols).expression


def op(name: str, *arguments: object) -> Expr:
    return CATALOGUE[name](*arguments)


X, Y, A, B = (build.matrix(n, *s) for n, s in (("X", "Nd"), ("Y", "Nm"), ("A", "mn"), ("B", "np")))
w, y, b = build.vector("w", "d"), build.vector("y", "N"), build.scalar("b")
COST = build.mean((y - op("relu", X @ w + b)) ** 2)
SHAPES = {"X": ("N", "d"), "w": ("d",), "b": (), "y": ("N",)}


# --- one function, many spellings
@pytest.mark.parametrize(
    "text",
    [
        "mean((y - max(0, X @ w + b))**2)",
        "mean((y - maximum(X @ w + b, 0))**2)",
        "mean((y - relu(X @ w + b))^2)",
        "sum((y - max(0, X @ w + b))**2)/N",
        "sum((y - max(X @ w + b, 0))^2)/N",
        "mean((y - relu(w @ X.T + b))**2)",
        "mean((y - relu(w @ X' + b))**2)",
        "mean(square(y - where(X @ w + b > 0, X @ w + b, 0)))",
        "norm(y - relu(dot(X, w) + b))**2 / N",
        "(y - relu(X @ w + b)) @ (y - relu(X @ w + b)) / N",
        "C(y, w, X, b) = mean((y - max(0, X @ w + b))**2)",
        "np.mean((y - np.maximum(0, X @ w + b))**2)",
    ],
)
def test_text_gives_the_cost(text):
    assert meaning(text, "text") is COST


@pytest.mark.parametrize(
    "text",
    [
        "sum((y - relu(X*w + b*vector(1))).^2)/N",
        "sum((y - max(0, X*w + b)).^2)/N",
        "norm2(y - relu(X*w + vector(b)))^2/N",
        "(y - relu(X*w + b))'*(y - relu(X*w + b))/N",
    ],
)
def test_matlab_gives_the_cost(text):
    assert meaning(text, "matlab") is COST


@pytest.mark.parametrize(
    "text",
    [
        r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{X}_i + b))^2",
        r"\frac{1}{N}\sum_{i=1}^N \left(y_i - \max\left(0, \mathbf{w} \cdot \mathbf{X}_i + b\right)\right)^2",
        r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \vec{w} \cdot \vec{x}_i + b))^2",
        r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, w^\top \mathbf{x}_i + b))^2",
        r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, w^T x_i + b))^2",
        r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, w \cdot X_i + b))^2",
        r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \sum_{j=1}^d X_{ij} w_j + b))^2",
        r"\lVert \mathbf{y} - \max(0, \mathbf{X}\mathbf{w} + b) \rVert^2 / N",
        r"\frac{\lVert y - \max(0, X w + b) \rVert_2^2}{N}",
        r"$$C(y, w, X, b) = \frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{x}_i + b))^2$$",
        r"\frac{1}{N} \mathbf{1}^\top \left((\mathbf{y} - \max(0, \mathbf{X}\mathbf{w} + b)) \odot "
        r"(\mathbf{y} - \max(0, \mathbf{X}\mathbf{w} + b))\right)",
    ],
)
def test_latex_gives_the_cost(text):
    found = understood(text, "latex")
    assert found.expression is COST
    assert {name: found.shapes[name] for name in SHAPES} == SHAPES


@pytest.mark.parametrize("declared", [{}, {"X": ("N", "d")}, {"w": "d"}, {"y": "N", "b": ()}, SHAPES])
@pytest.mark.parametrize(
    "text",
    ["sum((y - max(0, X @ w + b))**2)/N", r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, w^\top \mathbf{x}_i + b))^2"],
)
def test_declarations_agree_with_inference(text, declared):
    assert meaning(text, shapes=declared) is COST


def test_tracing_gives_the_cost():
    def loss(X, w, b, y):
        return np.mean((y - np.maximum(0, X @ w + b)) ** 2)

    assert trace(loss, X=("N", "d"), w="d", b=(), y="N") is COST


# --- what the letters mean
@pytest.mark.parametrize(
    ("text", "syntax", "shapes"),
    [
        ("sin(x**2)", "text", {"x": ("n",)}),
        ("w @ x + b", "text", {"w": ("n",), "x": ("n",), "b": ()}),
        ("A @ b", "text", {"A": ("m", "n"), "b": ("n",)}),
        ("A @ B", "text", {"A": ("m", "n"), "B": ("n", "p")}),
        ("x @ A @ x", "text", {"A": ("n", "n"), "x": ("n",)}),
        ("trace(a)", "text", {"a": ("n", "n")}),
        ("norm(A @ x - b)**2", "text", {"A": ("m", "n"), "x": ("n",), "b": ("m",)}),
        ("sum(a)", "text", {"a": ("n",)}),
        ("log(x) * beta", "text", {"x": ("n",), "beta": ()}),
        ("X.T @ X @ w", "text", {"X": ("N", "d"), "w": ("d",)}),
        ("x**n", "text", {"x": ("m",), "n": ()}),
        ("sum((A @ x)**2)/N", "text", {"A": ("N", "m"), "x": ("m",)}),
        ("sum(x**2)/N + norm(A)", "text", {"x": ("N",), "A": ("m", "n")}),
        ("inv(X) @ y", "text", {"X": ("n", "n"), "y": ("n",)}),
        ("sin(x^2)", "matlab", {"x": ()}),
        (r"\sin(x^2)", "latex", {"x": ()}),
        (r"3x^2y", "latex", {"x": (), "y": ()}),
        (r"w^\top x", "latex", {"w": ("n",), "x": ("n",)}),
        (r"w \cdot x + b", "latex", {"w": ("n",), "x": ("n",), "b": ()}),
        (r"x^\top A x", "latex", {"x": ("n",), "A": ("n", "n")}),
        (r"\lVert x \rVert", "latex", {"x": ("n",)}),
        (r"A x", "latex", {"A": ("m", "n"), "x": ("n",)}),
        (r"\mathbf{x} z", "latex", {"x": ("n",), "z": ()}),
        (r"\mathbf{x} + z", "latex", {"x": ("n",), "z": ()}),
        (r"\sum_{i=1}^n w_i x_i", "latex", {"w": ("n",), "x": ("n",)}),
        (r"\sum_{i=1}^N (y_i - w x_i - b)^2", "latex", {"y": ("N",), "w": (), "x": ("N",), "b": ()}),
        (r"(x-\mu)^\top \Sigma^{-1} (x-\mu)", "latex", {"x": ("n",), "mu": ("n",), "Sigma": ("n", "n")}),
        (r"\frac{1}{N}\sum_{i=1}^N \log(1 + e^{-y_i w^\top x_i})", "latex", {"X": ("N", "d"), "w": ("d",)}),
    ],
)
def test_inferred_shapes(text, syntax, shapes):
    found = understood(text, syntax).shapes
    assert {name: found[name] for name in shapes} == shapes


def test_inference_says_what_it_decided():
    assert understood("sum((y - max(0, X @ w + b))**2)/N").inferred == (
        "y : N (h…z are vectors)",
        "X : N×d (a capital letter is a matrix)",
        "w : d (h…z are vectors)",
        "b : scalar (a…g are scalars)",
        "N : a size, the number of rows of X",
    )
    assert "xᵢ : row i of X, which is N×d" in understood(r"\sum_{i=1}^N \mathbf{w}^\top \mathbf{x}_i").inferred
    assert understood("A @ b").inferred[1] == "b : n (used as a vector)"
    assert understood("A @ b", shapes={"A": "m,n", "b": "n"}).inferred == ()


def test_declared_names_are_not_reread():
    assert meaning("K @ (R - (1/d) * N)", shapes={"K": "m,m", "R": "m,n", "d": (), "N": "m,n"}).shape == ("m", "n")
    assert meaning("x / N", shapes={"x": "N"}) is build.vector("x", "N") / build.size("N")
    assert meaning("X @ w", shapes={"X": (5, 3), "unused": "k"}).shape == (5,)


# --- indices and sums
@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\sum_i A_{ii}", "trace(A)"),
        (r"\sum_i \sum_j A_{ij} B_{ji}", "trace(A @ B)"),
        (r"\sum_{i,j} A_{ij}^2", "norm(A)**2"),
        (r"\sum_{i=1}^m \mathbf{a}_i", "sum(A, axis=0)"),
        (r"\sum_{i} \mathbf{x}_i \mathbf{x}_i^\top", "X.T @ X"),
        (r"\sum_{i=1}^N 1", "N"),
        (r"\sum_{i=1}^N (v_i - u)^2", "sum((v - u)**2)"),
        (r"\sum_{i=1}^m \sum_{j=1}^n (u_i + v_j + A_{ij})^2", "sum((outer(u, ones(n)) + outer(ones(m), v) + A)**2)"),
        (r"-\sum_k y_k \log\frac{e^{z_k}}{\sum_j e^{z_j}}", "-y @ log(exp(z) / sum(exp(z)))"),
    ],
)
def test_sums_become_array_notation(latex, text):
    shapes = {"A": "m,n", "B": "n,m", "X": "N,d", "x": None, "u": "m", "v": "n", "y": "n", "z": "n"}
    if "A_{ii}" in latex:
        shapes["A"] = "n,n"
    if "v_i - u" in latex:
        shapes |= {"u": (), "v": "N"}
    declared = {name: shape for name, shape in shapes.items() if shape is not None}
    assert meaning(latex, "latex", declared) is meaning(text, "text", declared)


def test_symbols_say_what_is_written():
    symbols = {r"\mathbf{w}_k": "W[:,k]", r"\mathbf{x}_n": "X[n,:]", r"y_{nk}": "Y[n,k]", r"\beta": "scale"}
    text = r"\beta \sum_{n=1}^N \sum_{k=1}^K y_{nk} \mathbf{w}_k^\top \mathbf{x}_n"
    shapes = {"W": ("D", "K"), "X": ("N", "D"), "Y": ("N", "K"), "scale": ()}
    found = understood(text, "latex", shapes, symbols)
    assert found.expression is meaning("scale * sum(Y * (X @ W))", "text", shapes)


# --- orientation
@pytest.mark.parametrize(
    ("oriented", "syntax", "text"),
    [
        (r"\mathbf{x}\mathbf{y}^\top", "latex", "outer(x, y)"),
        (r"\mathbf{x}^\top\mathbf{x}", "latex", "x @ x"),
        (r"\mathbf{x}\mathbf{x}^\top\mathbf{x}", "latex", "x * (x @ x)"),
        (r"\mathbf{x}^\top A", "latex", "A.T @ x"),
        ("x*y'", "matlab", "outer(x, y)"),
        ("x'*A*x", "matlab", "x @ A @ x"),
        ("A^2", "matlab", "A @ A"),
        ("A^-1", "matlab", "inv(A)"),
        (r"A^{-\top}", "latex", "inv(A).T"),
        (r"\lvert A \rvert", "latex", "det(A)"),
        (r"\lvert \mathbf{x} \rvert", "latex", "abs(x)"),
        (r"(A + \mathbf{I})\mathbf{x}", "latex", "(A + eye(n)) @ x"),
    ],
)
def test_orientation(oriented, syntax, text):
    shapes = {"x": "n", "y": "n", "A": "n,n"}
    assert meaning(oriented, syntax, shapes) is meaning(text, "text", shapes)


# --- errors, with their places
@pytest.mark.parametrize(
    ("text", "kind", "marks", "says"),
    [
        ("foo(x)", FormulaSyntaxError, ["foo"], "foo"),
        ("relu(x, y)", FormulaSyntaxError, ["relu(x, y)"], "takes 1 argument"),
        ("sum(x, foo=1)", FormulaSyntaxError, ["sum", "1"], "does not take foo="),
        ("sum(X, axis=3)", ShapeError, ["3"], "no axis 3"),
        ("X[i, :]", DomainError, ["i"], "not bound"),
        ("x @ (y @ z)", ShapeError, ["(y @ z)"], "a scalar"),
        ("x / 0", DomainError, ["0"], "division by zero"),
        (r"\mathbf{x}\mathbf{y}", ShapeError, [r"\mathbf{x}", r"\mathbf{y}"], r"\mathbf{x}^\top \mathbf{y}"),
        (r"\mathbf{x}\mathbf{y}", ShapeError, [r"\mathbf{x}", r"\mathbf{y}"], r"\odot"),
        (r"\mathbf{x}^2", DomainError, [r"\mathbf{x}^2"], "no powers"),
        (r"\mathbf{x} + \mathbf{y}^\top", ShapeError, [r"\mathbf{x}", r"\mathbf{y}^\top"], "row"),
        (r"\mathbf{X} + \mathbf{x}", ShapeError, [r"\mathbf{X}", r"\mathbf{x}"], "matrix"),
        (r"\sum_{i=0}^N x_i", DomainError, ["0"], "starts at a whole number"),
        (r"\sum_{i=1}^N i x_i", DomainError, ["i"], "number"),
    ],
)
def test_errors_have_a_place(text, kind, marks, says):
    with pytest.raises(kind) as caught:
        meaning(text)
    error = caught.value
    assert {error.text[span.start : span.end] for span in error.spans} == set(marks)
    assert says in str(error)


def test_contradictions_mark_both_places():
    with pytest.raises(ShapeError, match="X has d columns, w has N entries") as caught:
        meaning("X @ w", shapes={"X": ("N", "d"), "w": "N"})
    error = caught.value
    assert [(span.start, span.end) for span in error.spans] == [(0, 1), (4, 5)]
    assert error.text == "X @ w"
    assert error.expected
    assert error.found
    assert error.hint
    with pytest.raises(ShapeError, match="i runs to N, y has M entries|another size"):
        meaning(r"\sum_{i=1}^N y_i", shapes={"y": "M"})
    with pytest.raises(ShapeError, match="y has M entries, X @ w has N entries"):
        meaning("y - X @ w", shapes={"X": ("N", "d"), "y": "M"})


def test_unknown_functions_are_told_apart_from_near_ones():
    with pytest.raises(FormulaSyntaxError, match="softmax"):
        meaning("softmx(x)")
    tree = read("foo(x)", functions={"foo"})
    with pytest.raises(FormulaSyntaxError, match="no function foo"):
        elaborate(tree)
    with pytest.raises(FormulaSyntaxError, match="did you mean softmax"):
        elaborate(read("softmx(x)", functions={"softmx"}))


def test_deep_formulas_are_refused_and_wide_ones_are_not():
    assert meaning("+".join(["x"] * 150)) is 150 * build.vector("x", "n")
    with pytest.raises(ChainruleError):
        meaning("exp(" * 120 + "x" + ")" * 120)
    with pytest.raises(ChainruleError):
        meaning("-" * 5000 + "x")


def test_shapes_must_be_shapes():
    with pytest.raises(ShapeError, match="shape of X"):
        meaning("X", shapes={"X": "a/b"})
    with pytest.raises(ShapeError, match="shape of X"):
        meaning("X", shapes={"X": 2.5})


# --- the functions of the language
@pytest.mark.parametrize("entry", CATALOGUE.entries, ids=lambda entry: entry.name)
def test_every_operation_can_be_called(entry):
    letters = {0: "x", 1: "x", 2: "A"}
    if entry.extents:
        sizes = ["n" for _ in entry.extents]
        made = elaborate(read(f"{entry.name}({', '.join(['1'] * len(entry.parameters) + sizes)}) * x"), {"x": "n"})
        assert made.expression.shape[-1:] == ("n",)
        return
    arguments = ", ".join(letters[len(core)] for core in entry.core.inputs)
    shapes = {"x": "n", "A": "n,n"}
    found = elaborate(read(f"{entry.name}({arguments})", functions=function_names()), shapes).expression
    if entry.name not in FUNCTIONS:
        assert found is entry(*(build.symbol(s, shapes[s]) for s in arguments.split(", ")))


def test_reductions_along_an_axis():
    x = build.symbol("X", ("N", "d"))
    assert meaning("sum(X, axis=0)") is build.sum(x, 0)
    assert meaning("X - mean(X, axis=1, keepdims=True)") is x - build.mean(x, 1, True)
    assert meaning("sum(X, axis=(0, 1))") is build.sum(x)
    assert meaning("sum(X, 1)", "matlab") is build.sum(x, 0)
    assert meaning("softmax(X, axis=0)") is op("softmax", x.T).T
    assert meaning("logsumexp(X, axis=0)") is op("logsumexp", x.T)
    assert meaning("logsumexp(X)") is op("logsumexp", op("logsumexp", x))


def test_constants_take_their_size_from_the_context():
    assert meaning("ones(n) @ x") is meaning("sum(x)")
    assert meaning("eye(n) @ x") is build.vector("x", "n")
    assert meaning("x + vector(1)", "matlab") is build.vector("x", "n") + 1
    assert meaning("inv(eye + x*x')*x", "matlab").shape == ("n",)
    assert meaning(r"\mathbf{1}^\top \mathbf{x}") is meaning("sum(x)")
    assert float(evaluate(meaning("2*pi"), {})) == 2 * np.pi


# --- the corpus
def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


REFERENCE = {
    **{name: getattr(np, name) for name in ("sum", "mean", "maximum", "minimum", "exp", "log", "sqrt", "abs")},
    **{
        name: getattr(np, name)
        for name in ("sin", "cos", "tan", "tanh", "trace", "diag", "outer", "eye", "where", "pi", "sign")
    },
    **{"inv": np.linalg.inv, "det": np.linalg.det, "norm": np.linalg.norm, "erf": np.vectorize(erf), "max": np.max},
    "ones": lambda *sizes: np.ones(sizes),
    "norm1": lambda x: np.abs(x).sum(),
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "softplus": lambda z: np.log1p(np.exp(z)),
    "softmax": softmax,
    "logsumexp": lambda z, axis=None: np.log(np.sum(np.exp(z), axis=axis)),
}


def values_of(problem):
    rng = np.random.default_rng(7)
    sizes = problem["dims"]
    result = {}
    for name, shape in problem["shapes"].items():
        extent = tuple(sizes[s] if isinstance(s, str) else s for s in shape)
        value = rng.uniform(0.2, 0.9, extent)
        result[name] = value + 2 * np.eye(extent[0]) if len(extent) == 2 and extent[0] == extent[1] else value
    return result


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem["id"])
def test_corpus_text_has_numpys_value(problem):
    e = meaning(problem["expr"], "text", problem["shapes"])
    values = values_of(problem)
    with np.errstate(all="ignore"):
        wanted = eval(problem["expr"], {**REFERENCE, **problem["dims"], **values})
        got = evaluate(e, values)
    assert np.shape(got) == np.shape(wanted)
    np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("problem", [p for p in PROBLEMS if p["matlab"]], ids=lambda problem: problem["id"])
def test_corpus_matlab_is_the_same_expression(problem):
    shapes = problem["shapes"]
    assert meaning(problem["matlab"], "matlab", shapes) is meaning(problem["expr"], "text", shapes)


@pytest.mark.parametrize(
    "problem", [p for p in PROBLEMS if p["latex"] and p["latex_plain"]], ids=lambda problem: problem["id"]
)
def test_corpus_latex_has_the_same_value(problem):
    shapes = problem["shapes"]
    text = meaning(problem["expr"], "text", shapes)
    latex = meaning(problem["latex"], "latex", shapes, problem["latex_symbols"])
    values = values_of(problem)
    if latex is not text:  # \log\det, a softmax spelled out, a sum of sums: equal, not identical
        np.testing.assert_allclose(evaluate(latex, values), evaluate(text, values), rtol=1e-8, atol=1e-10)


def test_most_latex_of_the_corpus_is_the_same_expression():
    plain = [p for p in PROBLEMS if p["latex"] and p["latex_plain"] and "slicing" not in p["features"]]
    same = sum(
        meaning(p["latex"], "latex", p["shapes"], p["latex_symbols"]) is meaning(p["expr"], "text", p["shapes"])
        for p in plain
    )
    assert same >= 0.9 * len(plain)


# --- tracing
def test_trace_asks_for_every_shape():
    with pytest.raises(ShapeError, match="argument w whose shape was not given"):
        trace(lambda X, w: X @ w, X=("N", "d"))
    with pytest.raises(ShapeError, match="no argument q"):
        trace(lambda x: x, x="n", q="n")
    with pytest.raises(ShapeError, match="shape of x cannot be read"):
        trace(lambda x: x, x=2.5)
    assert trace(lambda x, scale=2: scale * x, x="n") is 2 * build.vector("x", "n")


def test_trace_names_what_it_cannot_follow():
    with pytest.raises(DomainError, match="median"):
        trace(lambda x: np.median(x), x="n")
    with pytest.raises(DomainError, match="tuple, not an expression"):
        trace(lambda x: (x, x), x="n")
    with pytest.raises(DomainError, match="returned nothing"):
        trace(lambda x: None, x="n")
    with pytest.raises(DomainError, match="neither true nor false"):
        trace(lambda x: x if x > 0 else -x, x="n")
    with pytest.raises(DomainError, match="cannot be followed"):
        trace(lambda x: x.reshape(3), x="n")


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\mathbf{1}_n^\top \mathbf{x}", "ones(n) @ x"),
        (r"\lVert\mathbf{X} - \mathbf{1}_{m \times n}\rVert_F^2", "norm(X - ones(m, n))**2"),
        (r"\lVert\mathbf{X}^\top\mathbf{X} - \mathbf{I}_d\rVert_F^2", "norm(X.T @ X - eye(d))**2"),
        (r"\lVert\mathbf{X} - \mathbf{1}_N\mathbf{b}^\top\rVert_F^2", "norm(X - outer(ones(N), b))**2"),
    ],
)
def test_constants_with_their_sizes_below(latex: str, text: str) -> None:
    known = {"X": ("N", "d")} if "d)" in text or "b)" in text else {}
    assert cr.parse(latex, shapes=known) is cr.parse(text, shapes=known)


def test_a_declared_symbol_keeps_its_subscript() -> None:
    e = cr.parse(r"\mathbf{x}^\top\mathbf{I}_n\mathbf{x}", shapes={"I_n": ("n", "n")})
    assert "I_n" in e.symbols
