"""Why a line is wrong: classes, repairs, counterexamples, a sample of mutants, and gradients of functions in code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule.evaluate import evaluate
from chainrule.expression.node import Symbol
from chainrule.proofread.claim import Claim
from chainrule.proofread.diagnosis import diagnose
from chainrule.proofread.differences import compared
from chainrule.proofread.judge import judge
from chainrule.proofread.trial import trials
from chainrule.syntax.parse import read
from chainrule.testing import assert_gradient
from mutations import MUTATIONS, mutants
from test_corpus import STATED, with_facts

Shapes = Mapping[str, object]
X_W_Y = {"X": ("N", "d"), "w": "d", "y": "N"}


def claim(
    f: str, wrt: str, stated: str, shapes: Shapes, names: Mapping[str, str] | None = None, kind="derivative"
) -> Claim:
    """The claim ∂f/∂wrt = stated; of a cotangent, kind is its name."""
    known = dict(shapes)
    defined = {}
    for name, text in (names or {}).items():
        defined[name] = cr.parse(text, known)
        known[name] = defined[name].shape
    function = cr.parse(f, {k: v for k, v in known.items() if k in f or k not in defined})
    x = function.symbols[wrt]
    if kind != "derivative":
        truth = cr.vjp(function, x, kind)
        known[kind] = function.shape
    else:
        truth = cr.jacobian(function, x)
    plain = {n: s if isinstance(s, tuple) else (s,) for n, s in known.items()}
    which = "derivative" if kind == "derivative" else "cotangent"
    try:
        e = cr.parse(stated, known)
    except cr.ShapeError as error:
        return Claim(which, function, (x,), None, truth, defined, read(stated), plain, error)
    return Claim(which, function, (x,), e, truth, defined, read(stated), plain)


SQUARE = {"A": ("n", "n"), "x": "n"}
FIXTURES = [
    # (class, function, variable, the wrong line, shapes, names, cotangent)
    ("constant factor", "sum((X @ w - y)**2)", "w", "X.T @ (X @ w - y)", X_W_Y, {}, ""),
    ("sign", "sum((X @ w - y)**2)", "w", "2 * X.T @ (y - X @ w)", X_W_Y, {}, ""),
    ("sign", "sum((X @ w - y)**2)", "w", "2 * X.T @ (X @ w + y)", X_W_Y, {}, ""),
    ("sum, mean or axis", "mean((X @ w - y)**2)", "w", "2 * X.T @ (X @ w - y)", X_W_Y, {}, ""),
    ("shape", "sum((X @ w - y)**2)", "w", "2 * X @ (X @ w - y)", X_W_Y, {}, ""),
    ("lost factor", "sum((X @ w - y)**2)", "w", "2 * (X @ w - y)", X_W_Y, {}, ""),
    ("sum, mean or axis", "sum((X @ w - y)**2)", "w", "2 * (X @ w - y) * X.T", X_W_Y, {}, ""),
    ("lost term", "x @ A @ x", "x", "A @ x", SQUARE, {}, ""),
    ("transpose", "det(A)", "A", "det(A) * inv(A)", SQUARE, {}, ""),
    ("lost factor", "sum((X @ w - y)**2)", "w", "2 * X.T @ ones(N)", X_W_Y, {}, ""),
    ("lost factor", "sum(tanh(X @ w))", "w", "X.T @ ones(N)", X_W_Y, {"z": "X @ w"}, ""),
    ("element-wise or matrix product", "trace(A @ B @ X)", "X", "(A * B).T", {n: ("n", "n") for n in "ABX"}, {}, ""),
    ("wrong symbol", "sum((X @ w - y)**2)", "w", "2 * X.T @ (X @ w - w0)", {**X_W_Y, "w0": "N"}, {}, ""),
    ("wrong function", "sum(sin(X @ w))", "w", "X.T @ sin(X @ w)", X_W_Y, {}, ""),
    # from wrong-lines found in public: WL2, WL4, WL5, WL8, WL10, WL16, WL19, WL20, WL22
    ("Jacobian given as its diagonal", "maximum(0, x)", "x", "where(x > 0, 1, 0)", {"x": "n"}, {}, ""),
    ("lost term", "x + x**2", "x", "2 * x", {"x": ()}, {}, ""),
    ("lost factor", "sum(dy * gamma * x / sqrt(mean(x**2)))", "x", "(dy - x / r * mean(dy * x / r)) / r",
     {"dy": "n", "gamma": "n", "x": "n"}, {"r": "sqrt(mean(x**2))"}, ""),
    ("wrong symbol", "w @ x", "x", "outer(dy, x)", {"w": ("m", "d"), "x": "d"}, {}, "dy"),
    ("wrong intermediate", "W @ tanh(z1)", "z1", "(W.T @ dy) * (1 - tanh(z2)**2)",
     {"W": ("n", "n"), "z1": "n"}, {"z2": "W @ tanh(z1)"}, "dy"),
    ("off-diagonal terms dropped", "softmax(S)", "S", "P * (1 - P) * dP", {"S": ("n", "m")}, {"P": "softmax(S)"}, "dP"),
    ("sum, mean or axis", "X - mean(X, axis=1, keepdims=True)", "X", "dY - mean(dY, axis=0, keepdims=True)",
     {"X": ("N", "d")}, {}, "dY"),
    ("wrong expansion", "sum((a - b)**2)", "a", "a - 2 * b", {"a": "n", "b": "n"}, {}, ""),
    ("spurious factor", "det(A)", "A", "(det(A) * inv(A)).T @ A * det(A)", SQUARE, {}, ""),
]  # fmt: skip


@pytest.mark.parametrize("case", FIXTURES, ids=lambda case: f"{case[0]}: {case[3]}")
def test_class_and_repair(case) -> None:
    kind, f, wrt, stated, shapes, names, cotangent = case
    c = claim(f, wrt, stated, shapes, names, cotangent or "derivative")
    found = diagnose(c)
    assert found is not None and kind in found.kinds, str(found)
    assert found.repair is not None
    for trial in trials(c, seed=5):
        side = trial.value(found.repair)
        assert any(trial.matches(s) for s in (side, side.T)), str(found.repair)


@pytest.mark.parametrize("case", [case for case in FIXTURES if case[0] != "shape"], ids=lambda case: case[3])
def test_counterexample_is_true(case) -> None:
    """Both sides are what the numbers give, and they differ."""
    _, f, wrt, stated, shapes, names, cotangent = case
    c = claim(f, wrt, stated, shapes, names, cotangent or "derivative")
    found = diagnose(c)
    assert found is not None and found.counterexample is not None
    example = found.counterexample
    values = {name: np.array(v) for name, v in example.values.items()}
    assert all(np.all(v == np.round(v)) for v in values.values())
    for side, shown in ((c.stated, example.stated), (c.truth, example.truth)):
        assert side is not None
        got = np.asarray(evaluate(c.expanded(side), values), dtype=float)
        np.testing.assert_allclose(got, np.array(json.loads(json.dumps(shown, default=float)), dtype=float), atol=1e-9)
    assert example.stated != example.truth


def test_counterexample_is_small_and_exact() -> None:
    found = diagnose(claim("x @ A @ x", "x", "2 * A @ x", SQUARE))
    assert found is not None and found.counterexample is not None
    values = [np.array(v) for v in found.counterexample.values.values()]
    assert max(v.size for v in values) <= 4 and max(np.max(np.abs(v)) for v in values) <= 2
    third = diagnose(claim("mean(x)", "x", "ones(n)", {"x": "n"}))
    assert third is not None and third.counterexample is not None
    assert third.counterexample.truth == [Fraction(1, 2)] * 2


def test_lost_factor_is_named() -> None:
    found = diagnose(claim("sum(tanh(X @ w))", "w", "X.T @ ones(N)", X_W_Y, {"z": "X @ w"}))
    assert found is not None
    assert found.message == "a factor is missing: 1 − tanh(z)², the derivative of tanh(z)"
    assert str(found.repair) == "Xᵀ(1 − tanh(z)²)"


def test_a_right_line_has_no_diagnosis() -> None:
    assert diagnose(claim("sum((X @ w - y)**2)", "w", "2 * X.T @ (X @ w - y)", X_W_Y)) is None


# --- mutants of the corpus; all of them: benchmarks/proofread.py
def corpus_claim(p: dict, text: str) -> Claim:
    function = with_facts(cr.parse(p["expr"], p["shapes"]), p["domain"])
    x = function.symbols[p["wrt"]]
    truth = cr.jacobian(function, x) if p["order"] == 1 else cr.hessian(function, x)
    shapes = {name: tuple(shape) for name, shape in p["shapes"].items()}
    try:
        stated = with_facts(cr.parse(text, p["shapes"]), p["domain"])
    except cr.ShapeError as error:
        return Claim("derivative", function, (x,) * p["order"], None, truth, {}, read(text), shapes, error)
    return Claim("derivative", function, (x,) * p["order"], stated, truth, {}, read(text), shapes)


PLAIN = [p for p in STATED if len(p["closed_form"]) < 70 and "einsum" not in p["closed_form"] and p["order"] == 1]


@pytest.mark.parametrize("p", PLAIN[::4], ids=lambda p: p["id"])
def test_unmutated_lines_are_not_wrong(p: dict) -> None:
    assert judge(corpus_claim(p, p["closed_form"])).status != "wrong"


def test_sample_of_mutants() -> None:
    """One place of each mutation in every eighth problem: found out, and mostly rightly explained.

    Found out is a line that is called wrong, or right only under a condition (2A for A + Aᵀ: if A is symmetric)."""
    differ = wrong = right = 0
    for p in PLAIN[::8]:
        for mutation in MUTATIONS:
            mutant = next((m for m in mutants(p["closed_form"], p["shapes"]) if m.mutation == mutation), None)
            if mutant is None:
                continue
            try:
                c = corpus_claim(p, mutant.text)
            except cr.ChainruleError:
                continue
            if c.stated is not None and same(p, c):
                continue
            found = diagnose(c)
            fits = c.stated is not None and c.stated.shape in (c.truth.shape, c.truth.shape[::-1])
            differ += 1
            wrong += c.stated is None or judge(c).status in ("wrong", "correct if")
            right += found is not None and found.kind in (mutant.accepted if fits else mutant.accepted | {"shape"})
    assert differ >= 40
    assert wrong >= 0.99 * differ
    assert right >= 0.8 * differ


def same(p: dict, c: Claim) -> bool:
    """True if the mutant is the derivative all the same, by numbers drawn here."""
    assert c.stated is not None
    rng = np.random.default_rng(3)
    symbols: dict[str, Symbol] = {**c.truth.symbols, **c.stated.symbols}
    values = {}
    for name, s in symbols.items():
        v = rng.uniform(0.4, 1.6, [size if isinstance(size, int) else p["dims"][size] for size in s.shape])
        if "one-hot" in s.facts:
            v = (v == v.max(axis=-1, keepdims=True)) * 1.0
        elif s.facts:  # symmetric, positive definite, probabilities …
            square = v.ndim == 2 and v.shape[0] == v.shape[1]
            v = v @ v.T + np.eye(len(v)) if square else v / v.sum(axis=-1, keepdims=True) if v.ndim else v
        values[name] = v
    sizes = {n: k for n, k in p["dims"].items() if n not in values}
    a, b = (np.asarray(evaluate(e, values, sizes), dtype=float) for e in (c.truth, c.stated))
    return any(s.shape == a.shape and np.allclose(s, a, rtol=1e-6, atol=1e-6) for s in (b, b.T))


# --- functions in code
RNG = np.random.default_rng(0)
DATA = {"X": RNG.normal(size=(5, 3)), "w": RNG.normal(size=3), "y": RNG.normal(size=5)}


def loss(X, w, y):
    return np.mean((np.tanh(X @ w) - y) ** 2)


def right_gradient(X, w, y):
    t = np.tanh(X @ w)
    return 2 / len(y) * X.T @ ((t - y) * (1 - t**2))


def without_slope(X, w, y):
    return 2 / len(y) * X.T @ (np.tanh(X @ w) - y)


def test_right_gradient_passes() -> None:
    assert cr.check_gradient(loss, right_gradient, wrt="w", **DATA).correct
    assert_gradient(loss, right_gradient, **DATA)  # w is the only argument of that shape


def test_lost_factor_in_code_is_named() -> None:
    """The gradient function cannot be followed (`len`), so its values are diagnosed."""
    report = cr.check_gradient(loss, without_slope, wrt="w", **DATA)
    assert report["w"].diagnosis.kind == "lost factor"
    assert "1 − tanh(Xw)²" in report["w"].diagnosis.message


def test_a_traced_gradient_is_shown() -> None:
    report = cr.check_gradient(lambda x: np.sum(x**3), lambda x: 3 * x, x=np.array([1.0, 2.0, 3.0]))
    assert str(report["x"].stated) == "3x" and str(report["x"].truth) == "3x²"
    assert "lost factor" in str(report)


def test_assertion_says_what_is_wrong() -> None:
    with pytest.raises(AssertionError, match=r"(?s)d/dw: wrong.*lost factor.*right: "):
        assert_gradient(loss, without_slope, wrt="w", **DATA)


def test_several_arguments_and_a_loss_that_cannot_be_followed() -> None:
    def f(w, b):
        total = 0.0
        for k in range(len(w)):
            total += max(0.0, float(w[k] * b)) ** 2
        return total

    def g(w, b):
        on = w * b > 0
        return {"w": 2 * w * b**2 * on, "b": np.sum(w**2 * b * on)}

    report = cr.check_gradient(f, g, w=np.array([1.0, -2.0, 0.5]), b=1.5)
    assert [a.outcome for a in report.arguments] == ["correct", "wrong"]
    assert report["b"].hint == "constant factor: it should be multiplied by 2"
    assert report.not_traced
    assert cr.check_gradient(f, lambda w, b: (g(w, b)["w"], 2 * g(w, b)["b"]), w=np.array([1.0, -2.0]), b=1.5).correct


def test_kinks_are_recognised() -> None:
    x = np.array([1.0, 0.0, -2.0])
    kink = cr.check_gradient(lambda x: np.sum(np.abs(x)), np.sign, x=x)
    assert kink.correct and "kink" in str(kink)
    assert not cr.check_gradient(lambda x: np.sum(np.abs(x)), lambda x: 3 * np.sign(x), x=x).correct


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_scale_and_precision_do_not_matter(scale: float) -> None:
    x = RNG.normal(size=6).astype(np.float32)
    assert cr.check_gradient(lambda x: scale * np.sum(np.exp(x)), lambda x: scale * np.exp(x), x=x).correct
    assert not cr.check_gradient(lambda x: scale * np.sum(np.exp(x)), lambda x: 1.01 * scale * np.exp(x), x=x).correct


def test_cancellation_is_no_verdict() -> None:
    """Differences of 10¹² + small numbers say nothing."""
    found = compared(lambda x: float(np.sum(x**2)) + 1e12, np.ones(3), np.ones(3), 2.2e-16)
    assert found.outcome == "cannot tell"


def test_unclear_arguments_are_asked_for() -> None:
    with pytest.raises(cr.DomainError, match="by which arguments"):
        cr.check_gradient(lambda a, b: a @ b, lambda a, b: b, a=np.ones(3), b=np.ones(3))
    with pytest.raises(cr.DomainError, match="not a number"):
        cr.check_gradient(lambda a: a, lambda a: a, a=np.ones(3))


@pytest.mark.parametrize("library", ["jax.numpy", "torch"])
def test_other_libraries_are_followed(library: str) -> None:
    """Their functions refuse symbols; the same code with stand-ins takes them."""
    xp = pytest.importorskip(library)

    def f(X, w, y):
        return xp.mean((xp.tanh(X @ w) - y) ** 2)

    def g(X, w, y):
        return 2 / len(y) * X.T @ (xp.tanh(X @ w) - y)

    data = {name: xp.asarray(value) for name, value in DATA.items()}
    report = cr.check_gradient(f, g, wrt="w", **data)
    assert report["w"].diagnosis is not None and report["w"].diagnosis.kind == "lost factor"
