"""Compiled programs agree with the obvious interpreter, compute shared parts once, and refuse what does not fit."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
import chainrule.ops  # noqa: F401 - fills the catalogue
from chainrule.compile.compiled import compile_expressions
from chainrule.compile.lower import lower
from chainrule.compile.program import Contract, Program
from chainrule.compile.source import function_text, made_names
from chainrule.compile.takeaway import source_text
from chainrule.compile.writing import literal
from chainrule.derivative.differentiate import grad, hessian, jacobian, jvp
from chainrule.errors import DomainError, ShapeError, UnknownSymbol
from chainrule.evaluate import evaluate_all
from chainrule.expression.build import (
    as_expr,
    contract,
    diag,
    dot,
    eye,
    matrix,
    mean,
    ones,
    outer,
    scalar,
    size,
    symbol,
    trace,
    transpose,
    vector,
    zeros,
)
from chainrule.expression.build import sum as total
from chainrule.expression.node import Expr, Ones, Symbol
from chainrule.expression.op import CATALOGUE
from chainrule.expression.product import einsum

SIZES = {"N": 7, "d": 4, "n": 5, "k": 3, "a": 2, "c": 2}

X, Y = matrix("X", "N", "d"), matrix("Y", "N", "d")
A, B, W = matrix("A", "n", "n"), matrix("B", "n", "n"), matrix("W", "k", "d")
w, u, v, x, y = vector("w", "d"), vector("u", "n"), vector("v", "n"), vector("x", "n"), vector("y", "N")
b, s = scalar("b"), scalar("s", "positive")
T, M, K = symbol("T", ("a", "n", "n")), symbol("M", ("c", "N", "d")), symbol("K", ("c", "d", "k"))
Q, Z, q = matrix("Q", "c", "k"), matrix("Z", 3, 2), vector("q", 2)
relu, exp, softmax, inv = (CATALOGUE[name] for name in ("relu", "exp", "softmax", "inv"))
logdet, tanh, where, maximum = (CATALOGUE[name] for name in ("logdet", "tanh", "where", "maximum"))

residual = y - relu(X @ w + b)
cost = mean(residual**2)
logistic = mean(CATALOGUE["softplus"](-(y * (X @ w + b))))
cross_entropy = mean(CATALOGUE["logsumexp"](X @ W.T))
attention = softmax(X @ Y.T * size("d") ** -0.5) @ Y

JOINT = {
    "the article's cost": (cost, grad(cost, "w"), grad(cost, "b"), hessian(cost, "w")),
    "logistic loss": (logistic, grad(logistic, "w"), hessian(logistic, "w")),
    "cross-entropy": (cross_entropy, grad(cross_entropy, W)),
    "attention": (attention, grad(total(attention * X), X), jacobian(softmax(u), u), jacobian(softmax(A @ u), A)),
    "matrix products": (A @ B, A.T @ B, A @ B.T, A.T @ B.T, (A @ B).T, A @ B @ u, u @ A @ B, B @ A.T @ B),
    "vectors": (A @ v, v @ A, dot(u, v), u @ A @ v, outer(u, v), outer(u, v) @ x, u * v * x, u / v),
    "traces": (trace(A), trace(A @ B), trace(A.T @ B), trace(A @ B @ A), trace(eye("n")), trace(outer(u, v))),
    "diagonals": (diag(u), diag(A), diag(u) @ A, A @ diag(u), diag(u) + A, eye("n") + outer(u, v), diag(diag(A))),
    "quadratic": (u @ A @ u, grad(u @ A @ u, u), hessian(u @ A @ u, u), jacobian(A @ u, A)),
    "broadcasting": (X + w, X - mean(X, axis=0), X - mean(X, axis=1, keepdims=True), X * w + b, X / w, exp(X + w) * b),
    "more broadcasting": (total(X + w, axis=1), maximum(X, w), where(X - w > 0, X, b), mean(X, axis=0, keepdims=True)),
    "sums": (total(X), total(X, axis=0), total(X, axis=1), mean(X), total(X * Y), total(X * Y, axis=0)),
    "squares": (total(X * Y, axis=1), total(X**2), total(X**2, axis=1), total(X**3), total(u**2), total(X**-2)),
    "constants": (3 * ones("n"), eye("n"), zeros("n", "n"), as_expr(2.5), size("n"), 1 / size("n"), u * 0 + 1),
    "powers": (s**-2, s**0.5, s**1.7, b / s, size("n") ** -0.5 * u, 1 / (1 + u**2), (u**2 + 1) ** -0.5, u**4),
    "signs": (u - v, v - u, 2 * u - 2 * v, (u - v) ** 2, -u, u / 3, 2 - u, relu(u - v) * (v - u)),
    "rank 3": (T @ A, contract("aij,aij->a", T, T), contract("aii->a", T), contract("aij,i,j->a", T, u, v)),
    "rank 3 too": (transpose(T), total(T, axis=(0, 2)), softmax(T), inv(T), logdet(T), contract("aij,bij->ab", T, T)),
    "batches": (M @ K, contract("cnd,cdk->ckn", M, K), contract("cnd,kd->cnk", M, W), jacobian(total(M @ K), K)),
    "three on one index": (contract("cnd,cdk,ck->cn", M, K, Q), contract("ij,ij,j->i", A, B, u), A * B @ u),
    "matrix functions": (inv(A), grad(logdet(A), A), inv(A) @ u, jacobian(inv(A), A), (A.T @ A + 0.5 * eye("n")) @ u),
    "rank 4": (jacobian(A @ B, A), jacobian(A.T, A), jacobian(A * B, A), jacobian(exp(A), A)),
    "rank 4 too": (jacobian(X - mean(X, axis=0), X), hessian(total(tanh(A @ u)), A)),
    "numbers as sizes": (Z @ q, total(Z, axis=0), Z * q, diag(q) @ Z.T, mean(Z), eye(2)),
    "the arguments themselves": (u, u, A, A.T, A.T, ones("n"), diag(A), b),
}


def value(name: Symbol, kind: type = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, *name.name.encode()])
    numbers = rng.normal(size=tuple(SIZES[n] if isinstance(n, str) else n for n in name.shape))
    numbers = np.abs(numbers) if "positive" in name.facts else numbers
    return np.asarray(numbers, dtype=kind)


def values(*exprs: Expr, kind: type = np.float64, seed: int = 0) -> dict[str, np.ndarray]:
    return {name: value(node, kind, seed) for e in exprs for name, node in e.symbols.items()}


def check(*exprs: Expr, kind: type = np.float64) -> tuple[np.ndarray, ...]:
    """Compare with the interpreter; return what was computed."""
    f = compile_expressions(*exprs)
    arrays = values(*exprs, kind=kind)
    found = f(**arrays, **{name: SIZES[name] for name in f.program.given})
    found = found if isinstance(found, tuple) else (found,)
    for got, wanted, e in zip(found, evaluate_all(list(exprs), arrays, SIZES), exprs, strict=True):
        assert np.shape(got) == tuple(SIZES[n] if isinstance(n, str) else n for n in e.shape)
        error = {"rtol": 1e-10, "atol": 1e-10} if kind is np.float64 else {"rtol": 2e-3, "atol": 1e-3}
        np.testing.assert_allclose(got, wanted, **error)
    return found


# --- the same numbers
@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("exprs", JOINT.values(), ids=JOINT.keys())
def test_agrees_with_the_interpreter(exprs: tuple[Expr, ...], kind: type) -> None:
    found = check(*exprs, kind=kind)
    if any(e.symbols for e in exprs):
        assert {array.dtype for array in found} == {np.dtype(kind)}


@pytest.mark.parametrize("exprs", JOINT.values(), ids=JOINT.keys())
def test_each_alone(exprs: tuple[Expr, ...]) -> None:
    for e in exprs:
        check(e)


@st.composite
def products(draw: st.DrawFn) -> Expr:
    """Return any product: up to 8 factors of up to 3 axes on 4 indices, an index may occur anywhere, any output."""
    names = ["N", "d", "n", "k"]
    count = draw(st.integers(1, 8))
    subs = [tuple(draw(st.lists(st.integers(0, 3), max_size=3))) for _ in range(count)]
    labels = ["f" + "".join(map(str, sub)) + str(draw(st.integers(0, 1))) for sub in subs]
    factors: list[Expr] = [symbol(label, tuple(names[i] for i in sub)) for label, sub in zip(labels, subs, strict=True)]
    output = tuple(draw(st.permutations(range(4))))[: draw(st.integers(0, 4))]
    covering = [(Ones((names[i],)), (i,)) for i in output]
    return einsum([*factors, *(e for e, _ in covering)], [*subs, *(sub for _, sub in covering)], output)


@settings(max_examples=300, deadline=None)
@given(st.lists(products(), min_size=1, max_size=3))
def test_any_product(exprs: list[Expr]) -> None:
    check(*exprs)


def test_results_belong_to_the_caller() -> None:
    f = compile_expressions(u, u, A, A.T, A.T, ones("n") * b, ones("n") * b, diag(A))
    arrays = values(u, A, b)
    results = f(**arrays)
    for k, result in enumerate(results):
        assert result.flags.writeable
        others = [*arrays.values(), *results[:k]]
        assert not any(np.shares_memory(result, other) for other in others)


# --- what is computed
def matrix_products(program: Program) -> list[str]:
    """Return the products that touch a matrix."""
    steps = program.instructions
    return [i for i in program.products if any(len(steps[k].shape) == 2 for k in i.operands)]  # type: ignore[misc]


def largest(program: Program) -> int:
    """Return the number of entries of the largest array that the program makes."""
    shapes = [i.shape for i in program.instructions if i.operands]
    return max(int(np.prod([SIZES[n] if isinstance(n, str) else n for n in shape])) for shape in shapes)


def test_shared_parts_once() -> None:
    program = lower(cost, grad(cost, "w"), grad(cost, "b"))
    assert len(matrix_products(program)) == 2  # X @ w and X.T @ (…)
    source = compile_expressions(cost, grad(cost, "w"), grad(cost, "b")).source
    assert source.count("a0 @ ") == source.count("a0.T @ ") == 1
    assert source[source.index("def program") :].count("np.maximum") == 1


def test_products_are_found_inside_products() -> None:
    z = X @ w
    program = lower(total(relu(z)), mean(z), total(z * y), grad(total(z**2), "w"))
    assert len(matrix_products(program)) == 2


def test_transposed_product_is_a_view() -> None:
    program = lower(A @ B, (A @ B).T, u @ (A @ B))
    assert len([i for i in program.instructions if i.summed and len(i.shape) == 2]) == 1


def test_sums_that_differ_in_content_and_sign_are_computed_once() -> None:
    program = lower(u - v, v - u, 2 * u - 2 * v)
    assert len([i for i in program.instructions if len(i.operands) == 2]) == 1


def test_part_of_a_sum_is_taken_whole() -> None:
    z = X @ w + b
    source = compile_expressions(relu(z), y - z).source
    assert "= a2 - v0  #" in source
    check(relu(z), y - z, 3 * z + 2 * y, x - u + v, u - v)


@pytest.mark.parametrize(
    "e",
    [
        diag(y) @ X,
        X.T @ diag(y) @ X,
        outer(y, X @ w) @ y,
        jacobian(CATALOGUE["tanh"](X @ w), w),
        (diag(y) - outer(y, y)) @ (X @ w),
        (X @ X.T + eye("N")) @ y,
        trace(X @ X.T),
        trace(outer(y, y)),
        X.T @ diag(y) @ X @ w,
        X @ X.T @ y,
        total(X @ X.T),
        trace(X.T @ diag(y) @ X),
        trace(X @ X.T @ diag(y)),
        contract("nn->n", X @ X.T),
        y @ X @ Y.T @ y,
        grad(total((X @ w) ** 2), w) @ w,
        jvp(grad(logistic, w), w, vector("dw", "d")),
        jacobian(softmax(X @ w), w) @ w,
    ],
)
def test_never_forms_a_square_of_samples(e: Expr) -> None:
    assert largest(lower(e)) < SIZES["N"] ** 2
    check(e)


@pytest.mark.parametrize(
    "e",
    [
        u @ A @ v,
        u @ A @ B @ u,
        A @ B @ A @ u,
        trace(outer(u, v) @ A),
        outer(u, v) @ A @ x,
        (diag(u) - outer(u, u)) @ A @ v,
        A @ diag(u) @ B @ v,
        trace(A @ diag(u) @ B @ diag(v)),
        jvp(tanh(A @ B @ u), u, v),
        jacobian(softmax(A @ u), u) @ v,
        jvp(grad(total(tanh(A @ u)), u), u, v),
        grad(u @ A @ B @ u, u),
    ],
)
def test_no_matrix_meets_a_matrix(e: Expr) -> None:
    """The cheapest order of each of these costs n², not n³."""
    program = lower(e)
    ranks = [sorted(len(program.instructions[k].shape) for k in i.operands) for i in program.products]
    assert all(rank != [2, 2] or len(i.shape) < 2 for rank, i in zip(ranks, program.products, strict=True))
    check(e)


@pytest.mark.parametrize(
    ("e", "line"),
    [
        (X @ w, "a0 @ a1"),
        (X.T @ y, "a0.T @ a1"),
        (X.T @ Y, "a0.T @ a1"),
        (dot(u, v), "a0 @ a1"),
        (total(u**2), "a0 @ a0"),
        (total(X**2), "np.vdot(a0, a0)"),
        (total(X * Y, axis=1), "np.vecdot(a0, a1)"),
        (trace(A), "np.trace(a0)"),
        (X * w, "a0 * a1"),
        (X * transpose(contract("i,j->ij", w * 0 + 1, y)), "a0 * a1[:, None]"),
        (total(X, axis=0), "a0.sum(axis=0)"),
        (diag(u), "np.diag(a0)"),
        (u**-1, "1 / a0"),
        (CATALOGUE["relu"](u) ** 0.5, "np.sqrt(np.maximum(a0, 0))"),
        (contract("aij,ij->a", T, A), "np.tensordot(a0, a1, ((1, 2), (0, 1)))"),
    ],
)
def test_primitive(e: Expr, line: str) -> None:
    program = lower(e)
    assert f"= {line}  #" in function_text(program, made_names(program), "program")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2, "2"), (-2, "(-2)"), (Fraction(1, 2), "0.5"), (Fraction(-1, 4), "(-0.25)"), (Fraction(1, 3), "(1 / 3)"),
        (0.1, "0.1"), (-0.1, "(-0.1)"), (float("inf"), 'float("inf")'), (10**400, 'float("inf")'), (10**20, "1e+20"),
    ],
)  # fmt: skip
def test_literal(number: int | float | Fraction, text: str) -> None:
    assert literal(number) == text


# --- numbers as NumPy has them
def test_empty_data_gives_nan_and_no_crash() -> None:
    f = compile_expressions(cost, grad(cost, "w"), grad(mean(y), y), total(y))
    with np.errstate(all="ignore"):
        mean_of_nothing, gradient, weights, sum_of_nothing = f(X=np.empty((0, 3)), w=np.ones(3), b=0.0, y=np.empty(0))
    assert np.isnan(mean_of_nothing) and np.isnan(gradient).all() and weights.shape == (0,) and sum_of_nothing == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_bad_numbers_pass_through(bad: float) -> None:
    arrays = values(cost)
    arrays["y"][2] = bad
    f = compile_expressions(cost, diag(y))
    mean_value, diagonal = f(**arrays)
    assert not np.isfinite(mean_value)
    np.testing.assert_array_equal(diagonal, np.diag(arrays["y"]))


def test_number_arguments_take_the_type_of_the_arrays() -> None:
    f = compile_expressions(exp(u * b))
    assert f(u=np.ones(3, np.float32), b=0.5).dtype == np.float32
    assert f(u=np.ones(3, np.float32), b=np.float32(0.5)).dtype == np.float32
    assert f(u=np.ones(3), b=1).dtype == np.float64
    assert f(u=[1, 2, 3], b=np.array(0.5)).dtype == np.float64
    assert f(u=np.arange(3), b=True).dtype == np.float64
    with np.errstate(divide="ignore"):
        assert compile_expressions(1 / b)(b=0.0) == np.inf


@pytest.mark.parametrize("count", [3, 300_000])
def test_a_choice_of_numbers_has_the_type_of_the_arrays(count: int) -> None:
    y, a, n = cr.vector("y", "N"), cr.scalar("a"), cr.sum(cr.ones("N"))
    values = {"y": np.ones(count, np.float32), "a": 0.5}
    cases = [(y > 0.1, 0.5, 0.25), (y > 0, 1 / n, 0), (y > 0, n, 2), (a > 0, a, 2)]
    for e in (cr.where(*case) * y if case[0].shape == () else cr.where(*case) for case in cases):
        f = cr.compile(e, accept=["a"])
        found = f(**values)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, e.eval(**values), rtol=1e-6)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: a[::-1][::-1], lambda a: np.repeat(a, 2, 0)[::2]])
def test_any_memory_layout(layout: object) -> None:
    arrays = values(cost)
    f = compile_expressions(cost, grad(cost, "w"))
    expected = f(**arrays)
    arrays["X"] = layout(arrays["X"])  # type: ignore[operator]
    arrays["X"].setflags(write=False)
    np.testing.assert_allclose(f(**arrays)[1], expected[1])


# --- arguments
f_cost = compile_expressions(cost, accept=["eta"])
GOOD = {"X": np.ones((5, 4)), "w": np.ones(4), "b": 0.0, "y": np.ones(5)}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"w": np.ones(3)}, ShapeError, "w has 3 entries, X has 4 columns (d)"),
        ({"y": np.ones(1)}, ShapeError, "y has 1 entry, X has 5 rows (N)"),
        ({"w": np.ones((4, 1))}, ShapeError, "w.ravel()"),
        ({"X": np.ones(4)}, ShapeError, "X.reshape(-1, 1)"),
        ({"b": [1.0, 2.0]}, ShapeError, "b has 1 axis (a vector), but it needs no axes (a number)"),
        ({"w": [[1], [1, 2]]}, ShapeError, "w is not an array"),
        ({"w": np.array([Fraction(1, 3)] * 4)}, DomainError, ".eval("),
        ({"w": np.ones(4, complex)}, DomainError, "complex128"),
        ({"w": np.array(list("abcd"))}, DomainError, "w holds"),
        ({"b": "1"}, DomainError, "b holds"),
        ({"b": None}, DomainError, "b holds"),
        ({"w": w}, DomainError, "w is an expression"),
        ({"w": np.ma.masked_array(np.ones(4))}, DomainError, "masked"),
        ({"z": 1.0}, UnknownSymbol, "there is no argument z"),
        ({"ww": 1.0}, UnknownSymbol, "did you mean w?"),
    ],
)
def test_bad_arguments(change: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        f_cost(**{**GOOD, **change})
    assert words in str(caught.value)


def test_missing_and_extra_arguments() -> None:
    with pytest.raises(DomainError, match="the argument y is missing"):
        f_cost(**{name: array for name, array in GOOD.items() if name != "y"})
    with pytest.raises(DomainError, match="by name"):
        f_cost(*GOOD.values())
    assert f_cost(**GOOD, eta=0.1) == f_cost(**GOOD)


def test_same_symbol_with_two_sizes() -> None:
    with pytest.raises(ShapeError, match=r"A has 4 columns, A has 3 rows \(n\)"):
        compile_expressions(trace(A))(A=np.ones((3, 4)))
    with pytest.raises(ShapeError, match="q has 3 entries, and 2 are expected"):
        compile_expressions(total(q))(q=np.ones(3))


def test_sizes_that_no_argument_shows() -> None:
    slope = jacobian(u, u)  # the identity: u itself has dropped out
    assert compile_expressions(slope)(n=3).shape == (3, 3)
    assert compile_expressions(slope, accept=[u])(u=np.ones(4, np.float32)).dtype == np.float32
    with pytest.raises(DomainError, match="no argument shows the size n"):
        compile_expressions(slope)()
    with pytest.raises(DomainError, match="an integer"):
        compile_expressions(slope)(n=2.5)


def test_what_cannot_be_compiled() -> None:
    with pytest.raises(DomainError, match="nothing to compile"):
        compile_expressions()
    with pytest.raises(DomainError, match="cannot compile ndarray"):
        compile_expressions(np.ones(3))  # type: ignore[arg-type]
    with pytest.raises(DomainError, match="numpy"):
        compile_expressions(cost, backend="fortran")


def test_pickle() -> None:
    f = pickle.loads(pickle.dumps(f_cost))
    assert f(**GOOD, eta=1) == f_cost(**GOOD)
    assert f.source == f_cost.source


def test_traceback_shows_the_line() -> None:
    f = compile_expressions(inv(A))
    try:
        f(A=np.zeros((2, 2)))
    except DomainError:
        assert "v0 = np.linalg.inv(a0)" in traceback.format_exc()


def test_deep_and_wide() -> None:
    deep, deep_size, wide = b, size("n"), ones("n") * b
    for _ in range(280):
        deep, deep_size = CATALOGUE["sin"](deep), CATALOGUE["sin"](deep_size)
    for k in range(60):
        wide = wide * CATALOGUE["sin"](vector(f"p{k}", "n"))
    assert np.isfinite(compile_expressions(deep, deep_size)(b=0.5, n=3)).all()
    assert compile_expressions(total(wide))(b=1.0, **{f"p{k}": np.ones(2) for k in range(60)}) > 0


# --- code to take away
def run_alone(text: str, call: str, tmp_path: Path) -> str:
    """Run the text in a clean interpreter that cannot import chainrule."""
    guard = "import sys\nsys.modules['chainrule'] = None\n"
    file = tmp_path / "alone.py"
    future = "from __future__ import annotations\n" if "__future__" in text else ""
    file.write_text(f"{future}{guard}{text.removeprefix(future)}\nprint({call})\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_source_stands_alone(tmp_path: Path) -> None:
    text = source_text([cost, grad(cost, "w")], name="cost_and_gradient")
    assert "def cost_and_gradient(X, w, y, b):" in text
    assert "# X: N × d" in text
    assert "chainrule" not in text
    call = "float(cost_and_gradient(np.ones((5, 4)), np.ones(4), np.zeros(5), 1.0)[0])"
    assert run_alone(text, call, tmp_path) == "25.0"


def test_source_brings_its_functions(tmp_path: Path) -> None:
    text = source_text([logistic, cross_entropy])
    call = "[float(c) for c in gradient(X=np.ones((5, 4)), W=np.zeros((2, 4)), w=np.zeros(4), y=np.ones(5), b=0.0)]"
    found = [float(number) for number in run_alone(text, call, tmp_path).strip("[]").split(",")]
    np.testing.assert_allclose(found, [np.log(2), np.log(2)])


HOSTILE = [
    "eval", "np", "lambda", "v0", "a0", "n_n", "dtype", "program", "enter", "gradient", "self", "values", "None",
    "match", "σ", "ﬁ", "print", "__class__", "stable_softmax", "annotations", "x\nimport os", "x#", "'''", "a; b",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(name: str, tmp_path: Path) -> None:
    e = softmax(Symbol(name, ("n",))) + vector("x", "n")
    f = compile_expressions(e)
    harmless = [softmax(vector(plain, "n")) + vector("x", "n") for plain in ("m", "z")]
    assert f.source in [compile_expressions(other).source for other in harmless]
    np.testing.assert_allclose(f(**{name: np.ones(4), "x": np.ones(4)}), 1.25 * np.ones(4))
    text = source_text(e)
    compile(text, "text", "exec")
    space: dict[str, object] = {}
    exec(text.replace("from __future__ import annotations\n", ""), space)
    np.testing.assert_allclose(space["gradient"](np.ones(4), np.ones(4)), 1.25 * np.ones(4))  # type: ignore[operator]


@pytest.mark.parametrize("name", ["N\nimport os", "lambda", "n0", "σ", "a" * 100])
def test_hostile_sizes(name: str) -> None:
    e = mean(Symbol("x", (name,)))
    assert compile_expressions(e)(x=np.arange(3.0)) == 1
    assert all(line.startswith("#") for line in source_text(e).splitlines() if "import os" in line)
    compile(source_text(e), "text", "exec")


@pytest.mark.parametrize("name", ["lambda", "a b", "print", "", "f(): pass\nimport os", "np"])
def test_hostile_function_name(name: str) -> None:
    with pytest.raises(DomainError):
        source_text(cost, name=name)


def test_contract_is_the_only_product() -> None:
    """A later pass reads rows off the subscripts: every step that is no leaf says over which indices it runs."""
    for step in lower(cost, grad(cost, "w"), jacobian(softmax(A @ u), A)).instructions:
        assert len(step.subscripts) == len(step.operands)
        assert len(step.output) == len(step.shape)
        assert not step.summed or isinstance(step.action, Contract)
