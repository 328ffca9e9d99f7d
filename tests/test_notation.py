"""What is printed: exact strings, and the proof that printed notation means the expression it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import chainrule.api as cr
import chainrule.expression.build as b
import chainrule.notation.layout as n
from chainrule.errors import DomainError
from chainrule.evaluate import evaluate
from chainrule.expression.extent import extent_of
from chainrule.expression.node import ONE, Expr, Symbol
from chainrule.expression.op import CATALOGUE, numpy_code
from chainrule.expression.power import power_of
from chainrule.notation.layout import Layout, Orientation
from chainrule.notation.matrix import notate
from chainrule.notation.samples import notate_samples
from chainrule.notation.vectorised import vec_form
from chainrule.notation.written import notate_equation, notate_written
from chainrule.render.input import source_text
from chainrule.render.latex import latex, layout_to_latex
from chainrule.render.names import spelling
from chainrule.render.page import WIDTH, derivation_text
from chainrule.render.text import layout_to_text, text, vec_text, width
from chainrule.rewrite.statement import (
    Equation,
    Indexed,
    Partial,
    Transposed,
    Written,
    WrittenProduct,
    WrittenSum,
)

relu, step, inv, softmax, exp, log, sin, cos, sigmoid, maximum, logdet = (
    CATALOGUE[name]
    for name in ("relu", "step", "inv", "softmax", "exp", "log", "sin", "cos", "sigmoid", "maximum", "logdet")
)
X, w, bias, y = b.matrix("X", "N", "d"), b.vector("w", "d"), b.scalar("b"), b.vector("y", "N")
z, s, v, N = b.vector("z", "N"), b.vector("s", "N"), b.vector("v", "N"), b.size("N")
A, B, D = b.matrix("A", "n", "n"), b.matrix("B", "n", "n"), b.matrix("D", "n", "m")
x, a, c = b.vector("x", "n"), b.vector("a", "n"), b.vector("c", "n")
t, u = b.scalar("t"), b.scalar("u")
T, F = b.symbol("T", ("n", "m", "k")), b.symbol("F", ("n", "m", "k", "l"))
xd, C = b.vector("x", "d"), b.scalar("C")
cost = b.mean((y - relu(X @ w + bias)) ** 2)
affine = X @ w + bias
gradient = 2 * X.T @ (step(affine) * (affine - y)) / N


TEXTS = [
    (cost, "(1/N) ‖y − max(0, Xw + 1⃗b)‖²"),
    (affine - y, "Xw + 1⃗b − y"),
    (2 * X.T @ (step(z) * (z - y)) / N, "(2/N) Xᵀ([z > 0] ⊙ (z − y))"),
    (2 * b.sum(step(z) * (z - y)) / N, "(2/N) sum([z > 0] ⊙ (z − y))"),
    (2 * A.T @ (A @ x - c), "2Aᵀ(Ax − c)"),
    (X.T @ b.diag(s * (1 - s)) @ X, "Xᵀ diag(s ⊙ (1 − s)) X"),
    (-(inv(A).T @ b.outer(a, c) @ inv(A).T), "−A⁻ᵀ a cᵀ A⁻ᵀ"),
    (b.diag(a) - b.outer(a, a), "diag(a) − aaᵀ"),
    (x @ A @ x, "xᵀAx"),
    (b.trace(A @ B), "tr(AB)"),
    (b.trace(A @ B @ A.T), "tr(BAᵀA)"),
    (w @ xd + bias, "w·x + b"),
    (b.sum(x), "sum(x)"),
    (b.sum(A), "sum(A)"),
    (b.sum(A * B), "sum(A ⊙ B)"),
    (b.trace(A), "tr(A)"),
    (b.diag(A), "diag(A)"),
    (b.contract("ij,ji->i", A, B), "(A ⊙ Bᵀ) 1⃗"),
    (b.contract("ij,i,j->ij", A, x, a), "diag(x) A diag(a)"),
    (b.mean(X, axis=0), "(1/N) Xᵀ1⃗"),
    (X - b.mean(X, axis=0), "X − (1/N) 1⃗1⃗ᵀX"),
    (b.outer(x, a) @ c, "(a·c) x"),
    ((x @ a) * (x @ c), "(a·x)(c·x)"),
    ((x @ A @ x) * x, "(xᵀAx) x"),
    (b.sum(x**2), "‖x‖²"),
    (b.sum(x**2) ** 0.5, "‖x‖"),
    (x / b.sum(x**2) ** 0.5, "x/‖x‖"),
    (b.sum((A @ x) ** 2), "‖Ax‖²"),
    (A @ A, "AA"),
    (A**2, "A ⊙ A"),
    (A**3, "A∘³"),
    (A.T + A, "A + Aᵀ"),
    (inv(A) @ x, "A⁻¹x"),
    (inv(A @ B), "(AB)⁻¹"),
    (logdet(A), "log|det(A)|"),
    (softmax(X @ b.matrix("W", "d", "k")), "softmax(XW)"),
    # element by element
    (x / a, "x ⊘ a"),
    (-x / a**2, "−x ⊘ a²"),
    (b.diag(1 / x), "diag(1 ⊘ x)"),
    (x**0.5, "√(x)"),
    (x**1.5, "x^(3/2)"),
    (maximum(x, 3), "max(x, 3)"),
    (step(affine), "[Xw + 1⃗b > 0]"),
    (step(x - 1), "[x > 1]"),
    (step(1 - x), "[1 > x]"),
    (step(-t), "[t < 0]"),
    (step(x - a), "[x > a]"),
    # sums and scalars
    (x + bias, "x + 1⃗b"),
    (2 * bias * b.ones("n"), "2·1⃗b"),
    (t**2 + 3 * t, "t² + 3t"),
    (t**2 - 3 * t, "t² − 3t"),
    (1 + 2 * t, "2t + 1"),
    (1 - t, "1 − t"),
    (t - 1, "t − 1"),
    (2 * t * cos(t**2), "2t cos(t²)"),
    (6 * t**2 * cos(t**3) / sin(t**3), "6t² cos(t³)/sin(t³)"),
    (2 / t, "2/t"),
    (t / 2, "t/2"),
    (1 / (1 + exp(-t)), "1/(1 + exp(−t))"),
    (sigmoid(t) * (1 - sigmoid(t)), "σ(t)(1 − σ(t))"),
    (-2 * X.T @ (y - z), "2Xᵀ(z − y)"),
    ((t - u) ** 2, "(t − u)²"),
    (-x, "−x"),
    (t ** b.scalar("k"), "t^k"),
    (b.zeros("n"), "0⃗"),
    (b.ones("n"), "1⃗"),
    (b.ones("n", "m"), "1⃗1⃗ᵀ"),
    (b.eye("n"), "I"),
    # names
    (b.vector("x_hat", "n") + b.vector("sigma", "n"), "σ + x̂"),
    (b.matrix("W1", "h", "d") @ w, "W₁w"),
    (b.scalar("eta") * b.vector("delta1", "n"), "ηδ₁"),
    (b.scalar("u1") + b.scalar("w_t"), "u₁ + wₜ"),
    # no matrix notation
    (b.contract("ij,ijk->ik", D, T), "Σⱼ DᵢⱼTᵢⱼₖ"),
    (b.contract("i,j,k->ijk", x, a, c), "aⱼcₖxᵢ"),
    (b.contract("ia,ib,ic->abc", A, B, A), "Σₗ AₗᵢAₗₖBₗⱼ"),
    (2 * T + exp(T), "2Tᵢⱼₖ + exp(Tᵢⱼₖ)"),
    (b.contract("ijkl,l->ijk", F, b.vector("q", "l")) - T, "Σₗ Fᵢⱼₖₗqₗ − Tᵢⱼₖ"),
    (softmax(T), "softmax(Tᵢⱼ)ₖ"),
    (F / 2, "Fᵢⱼₖₗ/2"),
]


@pytest.mark.parametrize("e, expected", TEXTS, ids=[expected for _, expected in TEXTS])
def test_text(e: Expr, expected: str) -> None:
    assert text(e) == expected


ORIENTED: list[tuple[Expr, Orientation, str]] = [
    (xd, "row", "xᵀ"),
    (b.ones("d"), "row", "1⃗ᵀ"),
    (b.zeros("d"), "row", "0⃗ᵀ"),
    (2 * X.T @ (step(z) * (z - y)) / N, "row", "(2/N) ([z > 0] ⊙ (z − y))ᵀ X"),
    (2 * X.T @ (step(z) * (z - y)) / N, "column", "(2/N) Xᵀ([z > 0] ⊙ (z − y))"),
    (b.diag(w) @ X.T @ b.diag(z), "transposed", "diag(z) X diag(w)"),
    (t * b.ones("n"), "row", "t1⃗ᵀ"),
    (2 * A.T @ c + 3 * x, "row", "2cᵀA + 3xᵀ"),
    (x * a, "row", "(a ⊙ x)ᵀ"),
    (t, "row", "t"),
]


@pytest.mark.parametrize("e, orientation, expected", ORIENTED, ids=[e[2] for e in ORIENTED])
def test_orientation(e: Expr, orientation: Orientation, expected: str) -> None:
    assert layout_to_text(notate(e, orientation)) == expected


GATED = -2 * X.T @ (step(affine) * (y - relu(affine))) / N
neuron = w @ xd + bias
SAMPLES: list[tuple[Indexed, int | None, str]] = [
    (Indexed(cost, "N"), None, "(1/N) Σᵢ (yᵢ − max(0, w·xᵢ + b))²"),
    (Indexed(affine, "N"), None, "w·xᵢ + b"),
    (Indexed(gradient, "N"), 0, "(2/N) Σᵢ [w·xᵢ + b > 0] (w·xᵢ + b − yᵢ) xᵢᵀ"),
    (
        Indexed(gradient, "N", cases=True),
        0,
        "(2/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; (w·xᵢ + b − yᵢ) xᵢᵀ if w·xᵢ + b > 0}",
    ),
    (
        Indexed(gradient, "N", cases=True, inside=True),
        0,
        "(1/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; −2(yᵢ − w·xᵢ − b) xᵢᵀ if w·xᵢ + b > 0}",
    ),
    (
        Indexed(GATED, "N", cases=True, inside=True),
        0,
        "(1/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; −2(yᵢ − max(0, w·xᵢ + b)) xᵢᵀ if w·xᵢ + b > 0}",
    ),
    (Indexed(gradient, "N", samples=True), 0, "(2/N) Σ_{i: w·xᵢ + b > 0} (w·xᵢ + b − yᵢ) xᵢᵀ"),
    (Indexed(step(z), "N", cases=True), None, "{0 if zᵢ ≤ 0; 1 if zᵢ > 0}"),
    (Indexed(b.diag(step(z)) @ X, "N", cases=True), 1, "{0⃗ᵀ if zᵢ ≤ 0; xᵢᵀ if zᵢ > 0}"),
    (Indexed(b.diag(step(z)) @ X, "N", cases=True), 0, "{0⃗ᵀ if zᵢ ≤ 0; xᵢᵀ if zᵢ > 0}"),
    (Indexed(step(neuron) * xd, None, cases=True), 0, "{0⃗ᵀ if w·x + b ≤ 0; xᵀ if w·x + b > 0}"),
    (Indexed(step(t) * step(u) * xd, None, cases=True), 0, "{xᵀ if t > 0 and u > 0; 0⃗ᵀ otherwise}"),
    (Indexed(2 * b.sum(step(z) * z) / N, "N", cases=True), 0, "(2/N) Σᵢ {0 if zᵢ ≤ 0; zᵢ if zᵢ > 0}"),
    (Indexed(b.mean((z - b.mean(z)) ** 2), "N"), None, "(1/N) Σᵢ (zᵢ − (1/N) Σⱼ zⱼ)²"),
    (Indexed(b.sum(z) * b.sum(y), "N"), None, "(Σᵢ yᵢ) Σᵢ zᵢ"),
    (Indexed(X.T @ X @ w, "N"), 0, "Σᵢ (w·xᵢ) xᵢᵀ"),
    (Indexed(b.outer(z, y) @ y, "N"), None, "zᵢ Σⱼ yⱼ²"),
    (Indexed(softmax(z) @ y, "N"), None, "Σᵢ yᵢ softmax(z)ᵢ"),
]


@pytest.mark.parametrize("w, outputs, expected", SAMPLES, ids=[e[2] for e in SAMPLES])
def test_samples(w: Indexed, outputs: int | None, expected: str) -> None:
    assert layout_to_text(notate_written(w, outputs, "numerator")) == expected


dC_dv, dv_dw = Partial(C, v), Partial(v, w)
chain = WrittenProduct((dC_dv, dv_dw), (1,))
WRITTEN: list[tuple[Written, int | None, str, str]] = [
    (chain, 0, "(∂C/∂v)(∂v/∂w)", "(∂v/∂w)(∂C/∂v)"),
    (WrittenProduct((b.ones("d"), b.diag(xd)), (1,)), 0, "1⃗ᵀ diag(x)", "diag(x) 1⃗"),
    (WrittenSum((1, 1), (xd, b.zeros("d"))), 0, "xᵀ + 0⃗ᵀ", "x + 0⃗"),
    (WrittenSum((1, -1), (Partial(y, w), Partial(z, w))), 1, "∂y/∂w − ∂z/∂w", "∂y/∂w − ∂z/∂w"),
    (gradient, 0, layout_to_text(notate(gradient, "row")), text(gradient)),
    (b.diag(step(z)) @ X, 1, "diag([z > 0]) X", "Xᵀ diag([z > 0])"),
    (b.ones("n"), 1, "1⃗", "1⃗ᵀ"),
    (WrittenSum((1, 1), (ONE, WrittenProduct((ONE, 2 * t), (0,)))), 0, "1 + 1·2t", "1 + 2t·1"),
    (WrittenProduct((cos(u), 2 * t), (0,)), 0, "cos(u)·2t", "2t cos(u)"),
    (Transposed(Partial(C, w)), None, "(∂C/∂w)ᵀ", "∂C/∂w"),
    (WrittenProduct((b.scalar("eta"), Transposed(Partial(C, w))), (0,)), None, "η(∂C/∂w)ᵀ", "η ∂C/∂w"),
    (Partial(v, w, index="N"), 0, "∂vᵢ/∂w", "∂vᵢ/∂w"),
    (Partial(v, z, direct=True, entry=True), None, "∂vᵢ/∂zᵢ", "∂vᵢ/∂zᵢ"),
    (Partial(w @ xd, w), 0, "∂(w·x)/∂w", "∂(w·x)/∂w"),
    (Partial(relu(t), t), 0, "∂ max(0, t)/∂t", "∂ max(0, t)/∂t"),
]


@pytest.mark.parametrize("w, outputs, numerator, denominator", WRITTEN, ids=[e[2] for e in WRITTEN])
def test_written_forms(w: Written, outputs: int | None, numerator: str, denominator: str) -> None:
    assert layout_to_text(notate_written(w, outputs, "numerator")) == numerator
    assert layout_to_text(notate_written(w, outputs, "denominator")) == denominator


def test_total_and_direct_derivative_in_one_equation() -> None:
    path = WrittenProduct((Partial(v, z, direct=True), Partial(z, w)), (1,))
    equation = Equation(dv_dw, (WrittenSum((1, 1), (Partial(v, w, direct=True), path)),), 1)
    assert layout_to_text(notate_equation(equation, "numerator")) == "dv/dw = ∂v/∂w + (∂v/∂z)(∂z/∂w)"


LATEX = [
    (cost, r"\frac{1}{N} \lVert \mathbf{y} - \max(0, \mathbf{X} \mathbf{w} + \vec{1} b) \rVert^{2}"),
    (w @ xd + bias, r"\mathbf{w} \cdot \mathbf{x} + b"),
    (inv(A).T, r"\mathbf{A}^{-\top}"),
    (A.T @ x, r"\mathbf{A}^\top \mathbf{x}"),
    (b.vector("x_hat", "n"), r"\hat{\mathbf{x}}"),
    (b.scalar("sigma2"), r"\sigma_{2}"),
    (b.matrix("W1", "n", "m"), r"\mathbf{W}_{1}"),
    (b.contract("ij,ijk->ik", D, T), r"\sum_{j=1}^{m} D_{ij} T_{ijk}"),
]


@pytest.mark.parametrize("e, expected", LATEX, ids=[expected for _, expected in LATEX])
def test_latex(e: Expr, expected: str) -> None:
    assert latex(e) == expected


def test_latex_cases() -> None:
    layout = notate_samples(Indexed(step(z), "N", cases=True))
    expected = r"\begin{cases} 0 & \text{if } z_{i} \le 0 \\ 1 & \text{if } z_{i} > 0 \end{cases}"
    assert layout_to_latex(layout) == expected


@pytest.mark.parametrize("name", ["x", "W1", "y_pred", "delta_1", "_x", "x_hat_1", "loss", "é", "a1b"])
def test_names_come_apart(name: str) -> None:
    parts = spelling(name)
    assert parts.word and parts.word[0] == name[0]


# --- printed notation means what it shows: an interpreter of notation, for tests only
SIZES = {"n": 2, "m": 3, "k": 4, "N": 5, "d": 6, "l": 2, "h": 3}
Scope = dict[str, int]


def as_matrix(array: Any) -> np.ndarray:
    array = np.asarray(array, float)
    return array.reshape(1, 1) if array.ndim == 0 else array.reshape(-1, 1) if array.ndim == 1 else array


class Meaning:
    """The value of notation: every value is a matrix, a vector is a column."""

    def __init__(self, values: dict[str, np.ndarray]) -> None:
        self.values = values

    def of(self, e: Layout, scope: Scope | None = None) -> np.ndarray:
        rule: Callable[[Any, Scope], np.ndarray] = getattr(self, type(e).__name__)
        return rule(e, scope or {"zero": 0})

    def all(self, parts: tuple[Layout, ...], scope: Scope) -> list[np.ndarray]:
        return [self.of(part, scope) for part in parts]

    def Name(self, e: n.Name, _: Scope) -> np.ndarray:
        return as_matrix(self.values[e.name])

    def Numeral(self, e: n.Numeral, _: Scope) -> np.ndarray:
        return as_matrix(float(e.value))

    def Extent(self, e: n.Extent, _: Scope) -> np.ndarray:
        return as_matrix(SIZES[e.size])

    def Constant(self, e: n.Constant, _: Scope) -> np.ndarray:
        shape = [extent_of(size, SIZES) for size in e.shape]
        return np.eye(shape[0]) if e.which == "identity" else as_matrix(np.full(shape, float(e.which == "ones")))

    def Product(self, e: n.Product, scope: Scope) -> np.ndarray:
        def times(p: np.ndarray, q: np.ndarray) -> np.ndarray:
            return p * q if p.size == 1 or q.size == 1 else p @ q

        return reduce(times, self.all(e.parts, scope))

    def Hadamard(self, e: n.Hadamard, scope: Scope) -> np.ndarray:
        parts = self.all(e.parts, scope)
        assert len({part.shape for part in parts}) == 1
        return reduce(np.multiply, parts)

    def Quotient(self, e: n.Quotient, scope: Scope) -> np.ndarray:
        above, below = self.of(e.numerator, scope), self.of(e.denominator, scope)
        assert above.shape == below.shape or above.size == 1
        return above / below

    def Fraction(self, e: n.Fraction, scope: Scope) -> np.ndarray:
        below = self.of(e.denominator, scope)
        assert below.size == 1
        return self.of(e.numerator, scope) / below

    def Dot(self, e: n.Dot, scope: Scope) -> np.ndarray:
        left, right = self.of(e.left, scope), self.of(e.right, scope)
        assert left.shape == right.shape and left.shape[1] == 1
        return left.T @ right

    def Sum(self, e: n.Sum, scope: Scope) -> np.ndarray:
        parts = self.all(e.parts, scope)
        assert len({part.shape for part in parts if part.size > 1}) <= 1
        return reduce(np.add, [sign * part for sign, part in zip(e.signs, parts, strict=True)])

    def Power(self, e: n.Power, scope: Scope) -> np.ndarray:
        return self.of(e.base, scope) ** self.of(e.exponent, scope)

    def Root(self, e: n.Root, scope: Scope) -> np.ndarray:
        return np.sqrt(self.of(e.base, scope))

    def Norm(self, e: n.Norm, scope: Scope) -> np.ndarray:
        return as_matrix(np.linalg.norm(self.of(e.base, scope)))

    def Transpose(self, e: n.Transpose, scope: Scope) -> np.ndarray:
        return self.of(e.base, scope).T

    def Sub(self, e: n.Sub, scope: Scope) -> np.ndarray:
        if not isinstance(e.base, n.Name):
            whole = self.of(e.base, scope)
            return as_matrix(whole[tuple(scope[i] for i in (*e.indices, "zero")[:2])])
        array = self.values.get(e.base.name, self.values.get(e.base.name.upper()))
        assert array is not None
        return as_matrix(array[tuple(scope[i] for i in e.indices)])

    def Function(self, e: n.Function, scope: Scope) -> np.ndarray:
        value = self.of(e.argument, scope)
        if e.word == "vec":
            return value.reshape(-1, 1, order="F")
        if e.word == "diag":
            return np.diag(value[:, 0]) if e.kind == "matrix" else np.diag(value)[:, None]
        return as_matrix(value.sum() if e.word == "sum" else np.trace(value))

    def Applied(self, e: n.Applied, scope: Scope) -> np.ndarray:
        parts = self.all(e.arguments, scope)
        if e.op.signature == "(n)->(n)" and parts[0].shape[1] == 1:
            return as_matrix(numpy_code(e.op)(parts[0][:, 0]))
        return as_matrix(numpy_code(e.op)(*parts))

    def BigSum(self, e: n.BigSum, scope: Scope) -> np.ndarray:
        if not e.indices:
            return self.of(e.body, scope)
        (letter, size), *rest = e.indices
        inner = n.BigSum(tuple(rest), e.body)
        assert isinstance(size, str)
        return reduce(np.add, [self.of(inner, {**scope, letter: k}) for k in range(SIZES[size])])

    def Cases(self, e: n.Cases, scope: Scope) -> np.ndarray:
        for value, conditions in e.branches:
            if all(bool(self.of(condition, scope).all()) for condition in conditions):
                return self.of(value, scope)
        raise AssertionError("no branch applies")

    def Kronecker(self, e: n.Kronecker, scope: Scope) -> np.ndarray:
        return reduce(np.kron, self.all(e.parts, scope))

    def Relation(self, e: n.Relation, scope: Scope) -> np.ndarray:
        left, right = self.of(e.left, scope), self.of(e.right, scope)
        compare = {">": np.greater, "<": np.less, "≤": np.less_equal, "≥": np.greater_equal}[e.sign]
        return compare(left, right).astype(float)

    def Bracket(self, e: n.Bracket, scope: Scope) -> np.ndarray:
        return self.of(e.condition, scope)


def values_for(e: Expr, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    signs = [1] if re.search(r"√|\^\(", text(e)) else [-1, 1]
    return {
        name: random.uniform(0.5, 1.5, [SIZES[str(size)] for size in symbol.shape]) * random.choice(signs)
        if symbol.shape
        else np.asarray(random.uniform(0.5, 1.5))
        for name, symbol in e.symbols.items()
    }


def expected_value(e: Expr, values: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(evaluate(e, values, SIZES))


def check_meaning(e: Expr, seed: int = 0) -> None:
    """Matrix notation has the expression's value, as column, row, transposed; index notation, entry by entry."""
    values = values_for(e, seed)
    want = expected_value(e, values)
    layout = notate(e)
    if e.ndim > 2 or "index" in kinds_in(layout):
        letters = axis_letters(layout, e)
        for place in np.ndindex(want.shape):
            got = Meaning(values).of(layout, {**dict(zip(letters, place, strict=True)), "zero": 0})
            np.testing.assert_allclose(got, as_matrix(want[place]), rtol=1e-7)
        return
    np.testing.assert_allclose(Meaning(values).of(layout), as_matrix(want), rtol=1e-7)
    np.testing.assert_allclose(Meaning(values).of(notate(e, "transposed")), as_matrix(want).T, rtol=1e-7)
    turned = as_matrix(want).T if e.ndim == 1 else as_matrix(want)
    np.testing.assert_allclose(Meaning(values).of(notate(e, "row")), turned, rtol=1e-7)


def kinds_in(layout: Layout) -> set[str]:
    return {"index"} if "Sub(" in repr(layout) else set()


def axis_letters(layout: Layout, e: Expr) -> list[str]:
    """The letters that no Σ binds, in alphabetical order of the pool: one per axis."""
    used: set[str] = set()
    bound: set[str] = set()

    def visit(part: Any) -> None:
        if isinstance(part, n.Sub):
            used.update(part.indices)
        if isinstance(part, n.BigSum):
            bound.update(letter for letter, _ in part.indices)
        if isinstance(part, tuple):
            for item in part:
                visit(item)
        elif hasattr(part, "__dataclass_fields__") and not callable(part):
            for name in part.__dataclass_fields__:
                visit(getattr(part, name))

    visit(layout)
    letters = sorted(used - bound, key="ijklmnpqr".index)
    letters = letters if len(letters) == e.ndim else list("ijklmnpqr"[: e.ndim])  # constant along the other axes
    assert len(letters) == e.ndim
    return letters


MEANT = [(e, name) for e, name in TEXTS if e.shape != ("n", "m", "k") or "softmax" not in name]


@pytest.mark.parametrize("e", [e for e, _ in MEANT], ids=[name for _, name in MEANT])
def test_printed_examples_mean_what_they_show(e: Expr) -> None:
    if not all("hat" in name or name for name in e.symbols):
        return
    SIZES_OK = all(str(size) in SIZES for symbol in e.symbols.values() for size in symbol.shape)
    assert SIZES_OK
    if isinstance(e, Symbol) or not e.symbols:
        return
    check_meaning(e)


@pytest.mark.parametrize("w", [w for w, _, _ in SAMPLES if "softmax" not in text(w.e)])
def test_samples_mean_what_they_show(w: Indexed) -> None:
    if w.samples:
        return
    values = values_for(w.e, 1)
    want = expected_value(w.e, values)
    layout = notate_samples(w)
    if w.size not in w.e.shape:
        np.testing.assert_allclose(Meaning(values).of(layout), as_matrix(want), rtol=1e-7)
        return
    for i in range(SIZES["N"]):
        np.testing.assert_allclose(Meaning(values).of(layout, {"i": i}), as_matrix(want[i]), rtol=1e-7)


LEAVES = {
    letters: [Symbol(name, tuple(letters)) for name in names]
    for letters, names in {
        "": ("p", "q"),
        "n": ("x", "a"),
        "m": ("e", "f"),
        "k": ("g",),
        "nm": ("D", "E"),
        "mk": ("G",),
        "kn": ("H",),
        "nn": ("A", "B"),
        "mm": ("M",),
    }.items()
}


@some.composite
def products(draw: Any, output: str | None = None) -> Expr:
    """A random sum of products over indices of three sizes."""
    indices = draw(some.lists(some.sampled_from("nnmmk"), min_size=1, max_size=4))
    factors, subs = [], []
    for _ in range(draw(some.integers(1, 4))):
        name = draw(some.sampled_from(sorted(LEAVES)))
        places = [[k for k, size in enumerate(indices) if size == letter] for letter in name]
        if not all(places):
            continue
        factor = draw(some.sampled_from(LEAVES[name]))
        wrap = draw(some.sampled_from([None, None, None, exp, relu, step, lambda f: 1 - f, lambda f: power_of(f, -1)]))
        factors.append(wrap(factor) if wrap else factor)
        subs.append(tuple(draw(some.sampled_from(options)) for options in places))
    covered = sorted({i for sub in subs for i in sub})
    free = draw(some.lists(some.sampled_from(covered), unique=True, max_size=3)) if covered else []
    coefficient = draw(some.sampled_from([1, -1, 2, -0.5]))
    return coefficient * b.einsum(factors, subs, tuple(free)) if factors else b.as_expr(coefficient)


@some.composite
def expressions(draw: Any) -> Expr:
    """A product, or a combination of products in sums, functions and further products."""
    e = draw(products())
    for _ in range(draw(some.integers(0, 2))):
        other = draw(products())
        if other.shape == e.shape:
            e = draw(some.sampled_from([e + other, e - other, e * other]))
        elif not other.shape:
            e = e * other
        wrap = draw(some.sampled_from([None, None, sin, lambda f: f * f, lambda f: f + 1, lambda f: b.sum(f)]))
        e = wrap(e) if wrap else e
    return e


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_notation_means_the_expression(e: Expr) -> None:
    assert layout_to_text(notate(e)) and layout_to_latex(notate(e))
    if e.symbols and not isinstance(e, Symbol):
        check_meaning(e)


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_source_text_reads_back(e: Expr) -> None:
    source = source_text(e)
    shapes = {name: symbol.shape for name, symbol in e.symbols.items()}
    if "einsum" not in source:
        back = cr.parse(source, shapes, syntax="text")
        if ").T" in source:  # (A − B)ᵀ(A + B): the parser's transpose turns the terms of the sum
            values = values_for(e)
            np.testing.assert_allclose(expected_value(back, values), expected_value(e, values), rtol=1e-7)
        else:
            assert back is e
        return
    functions = {name: numpy_code(op) for name, op in CATALOGUE.items()}
    functions |= {f: getattr(np, f) for f in ("einsum", "outer", "trace", "diag", "eye", "sum", "sqrt")}
    functions["ones"] = lambda *shape: np.ones(shape)
    space = {**functions, **values_for(e), **SIZES, "norm": np.linalg.norm}
    if ">" not in source.replace("->", "") and "<" not in source:  # NumPy's truth values do not subtract
        np.testing.assert_allclose(eval(source, space), expected_value(e, values_for(e)), rtol=1e-7)


def test_large_expressions_are_abridged() -> None:
    deep: Expr = t
    for _ in range(290):
        deep = sin(deep)
    assert text(deep).endswith("…" + ")" * 40) and r"\dots" in latex(deep)
    wide: Expr = x
    for _ in range(60):
        wide = sin(wide) * wide + wide * A @ x
    assert "…" in text(wide) and len(text(wide)) < 20_000
    assert "…" in layout_to_text(notate_samples(Indexed(wide, "n")))
    assert "…" not in text(cost)


# --- whole derivations
@pytest.fixture(scope="module")
def derivation() -> Any:
    return cr.derive(cost, "w")


def test_derivation_text(derivation: Any) -> None:
    printed = derivation_text(derivation)
    assert all(width(line) <= WIDTH for line in printed.splitlines())
    for heading in ("Names", "Derivatives, from the inside out", "Substitute back", "Closed form", "Update"):
        assert f"\n{heading}\n" in printed
    assert "[vector chain rule]  ✓" in printed
    assert "(2/N) Σᵢ {0⃗ᵀ if w·xᵢ + b ≤ 0; (w·xᵢ + b − yᵢ) xᵢᵀ if w·xᵢ + b > 0}" in printed
    assert printed.endswith(f"verified: {len(derivation.steps)} of {len(derivation.steps)} steps")


def test_derivation_layouts(derivation: Any) -> None:
    turned = derivation_text(derivation.in_layout("denominator"))
    assert "(∂v/∂w)(∂C/∂v)" in turned and "(∂C/∂v)(∂v/∂w)" not in turned


def test_derivation_latex(derivation: Any) -> None:
    printed = derivation.to_latex()
    assert printed.count(r"\begin{align*}") == printed.count(r"\end{align*}") > 3
    assert r"\frac{\partial C}{\partial \mathbf{w}}" in printed


def test_derivation_html_is_escaped(derivation: Any) -> None:
    printed = derivation.to_html()
    assert "<script" not in printed and "[z &gt; 0]" in printed
    assert printed.count("<li>") == printed.count("</li>")


# --- vec form
VEC = [
    ("D @ X @ G", {"D": "nm", "X": "mk", "G": "kl"}, "Gᵀ ⊗ D"),
    ("X", {"X": "mn"}, "I"),
    ("X.T", {"X": "mn"}, "Kₘₙ"),
    ("inv(X)", {"X": "nn"}, "−(X⁻ᵀ ⊗ X⁻¹)"),
    ("X @ X", {"X": "nn"}, "(I ⊗ X) + (Xᵀ ⊗ I)"),
    ("X @ X.T", {"X": "mn"}, "(X ⊗ I) + (I ⊗ X) Kₘₙ"),
    ("D @ X.T @ G", {"D": "nm", "X": "km", "G": "kl"}, "(Gᵀ ⊗ D) Kₖₘ"),
    ("exp(X)", {"X": "mn"}, "diag(vec(exp(X)))"),
    ("B * (D @ exp(X))", {"B": "nk", "D": "nm", "X": "mk"}, "diag(vec(B))(I ⊗ D) diag(vec(exp(X)))"),
    ("trace(X) * X", {"X": "nn"}, "vec(X) vec(I)ᵀ + tr(X) I"),
    ("logdet(X) * D", {"X": "nn", "D": "nm"}, "vec(D) vec(X⁻ᵀ)ᵀ"),
    ("sum(X * X)", {"X": "mn"}, "2 vec(X)ᵀ"),
    ("X @ a", {"X": "mn", "a": "n"}, "aᵀ ⊗ I"),
    ("outer(X, a)", {"X": "n", "a": "m"}, "a ⊗ I"),
    ("outer(a, X)", {"X": "n", "a": "m"}, "I ⊗ a"),
    ("D @ X", {"D": "nm", "X": "m"}, "D"),
    ("diag(X)", {"X": "n"}, "diag(vec(I))(1⃗ ⊗ I)"),
    ("diag(X)", {"X": "nn"}, "(1⃗ᵀ ⊗ I) diag(vec(I))"),
    ("sum(X, axis=0)", {"X": "mn"}, "I ⊗ 1⃗ᵀ"),
    ("t*X + 3*X.T", {"X": "nn", "t": ""}, "3Kₙₙ + tI"),
    ("D @ X @ inv(X.T @ X)", {"X": "mn", "D": "km"}, None),
    ("softmax(X @ D)", {"X": "mn", "D": "nk"}, None),
    ("X / norm(X)", {"X": "mn"}, None),
]


def commutation(m: int, k: int) -> np.ndarray:
    """K with K vec(X) = vec(Xᵀ) for X of m × k: its columns are the vecs of the transposed unit matrices."""
    return np.eye(m * k).reshape(m * k, m, k, order="F").transpose(0, 2, 1).reshape(m * k, m * k, order="F").T


@pytest.mark.parametrize("formula, shapes, expected", VEC, ids=[f"{f} {s['X']}" for f, s, _ in VEC])
def test_vec_form(formula: str, shapes: dict[str, str], expected: str | None) -> None:
    e = cr.parse(formula, {name: tuple(shape) for name, shape in shapes.items()}, syntax="text")
    jacobian = cr.jacobian(e, "X")
    if expected is not None:
        assert vec_text(jacobian, e.ndim) == expected
    values = values_for(e)
    if "inv" in formula or "log" in formula:
        values["X"] = values["X"] + 3 * np.eye(*values["X"].shape)
    swaps = {f"K_{p}{q}": commutation(SIZES[p], SIZES[q]) for p in "nmk" for q in "nmk"}
    known = expected_value(jacobian, values)
    rows, columns = known.shape[: e.ndim], known.shape[e.ndim :]
    stacked = known.transpose(*reversed(range(e.ndim)), *reversed(range(e.ndim, known.ndim)))
    want = stacked.reshape(int(np.prod(rows)), int(np.prod(columns)))
    got = Meaning({**values, **swaps}).of(vec_form(jacobian, e.ndim))
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-12)


NO_VEC = [('einsum("ijk,jk->ik", T, X)', {"X": "mk", "T": "nmk"}), ("T * X", {"X": "n", "T": "kmn"})]


@pytest.mark.parametrize("formula, shapes", NO_VEC)
def test_no_vec_form(formula: str, shapes: dict[str, str]) -> None:
    e = cr.parse(formula, {name: tuple(shape) for name, shape in shapes.items()}, syntax="text")
    with pytest.raises(DomainError, match="no form with ⊗"):
        vec_text(cr.jacobian(e, "X"), e.ndim)


# --- text that reads back
SPELLED = [
    (A.T @ (A @ x - c), "A'*(A*x - c)"),
    (X @ w + bias, "X*w + b*vector(1)"),
    (b.sum((y - relu(affine)) ** 2) / N, "1/N*norm2(y - relu(X*w + b*vector(1)))^2"),
    (b.trace(A @ inv(B)), "tr(A*inv(B))"),
    (1 + exp(x), "vector(1) + exp(x)"),
    (x * a / c, "a.*x./c"),
    (x**3 @ a, "a'*x.^3"),
    (b.outer(x, a) + 1, "x*a' + matrix(1)"),
    (A + b.eye("n"), "A + eye"),
    (b.diag(x) @ A * B, "diag(x)*(A.*B)"),
    (b.sum(A), "sum(A)"),
    (b.sum(A, axis=1), "A*vector(1)"),
    (b.outer(x, b.ones("m")), "x*ones(m)'"),
    (b.norm(x) ** 3, "norm2(x)^3"),
    (step(x - 1), "(x > 1)"),
]


@pytest.mark.parametrize("e, expected", SPELLED, ids=[expected for _, expected in SPELLED])
def test_matlab_text(e: Expr, expected: str) -> None:
    assert source_text(e, "matlab") == expected
    assert cr.parse(expected, {name: s.shape for name, s in e.symbols.items()}, syntax="matlab") is e


@pytest.mark.parametrize("e", [T, b.contract("ij,ik,il,jk,jl,kl->", A, B, A, B, A, B), CATALOGUE["logsumexp"](A)])
def test_matlab_text_says_what_it_lacks(e: Expr) -> None:
    with pytest.raises(DomainError, match="MATLAB text has"):
        source_text(e, "matlab")


@pytest.mark.parametrize("syntax", ["matlab", "latex"])
def test_text_with_columns_reads_back(syntax: Any) -> None:
    @settings(max_examples=300, deadline=None)
    @given(expressions())
    def reads_back(e: Expr) -> None:
        try:
            source = source_text(e, syntax)
        except DomainError:
            return
        back = cr.parse(source, {name: symbol.shape for name, symbol in e.symbols.items()}, syntax=syntax)
        if ")'" in source or r")^\top" in source:  # (A − B)ᵀ(A + B): the parser's transpose turns the terms of the sum
            values = values_for(e)
            np.testing.assert_allclose(expected_value(back, values), expected_value(e, values), rtol=1e-7)
        else:
            assert back is e

    reads_back()


@pytest.mark.parametrize("op", CATALOGUE.entries, ids=lambda op: op.name)
@pytest.mark.parametrize("syntax", ["text", "matlab", "latex"])
def test_operations_read_back(op: Any, syntax: Any) -> None:
    if op.extents:
        return
    e = op(*(Symbol(name, tuple(core) or ("n",)) for name, core in zip("ABD", op.core.inputs, strict=False)))
    if e.ndim > 2 and syntax != "text":
        return
    shapes = {name: symbol.shape for name, symbol in e.symbols.items()}
    assert cr.parse(source_text(e, syntax), shapes, syntax=syntax) is e


def test_floats_are_short_to_read_and_exact_to_copy() -> None:
    e = 0.12345678901234567 * x + 1e-40 * a
    assert text(e) == "1e-40a + 0.123457x"
    assert latex(e) == r"1 \cdot 10^{-40} \mathbf{a} + 0.123457 \mathbf{x}"
    for syntax in ("text", "matlab", "latex"):
        assert cr.parse(source_text(e, syntax), {"x": "n", "a": "n"}, syntax=syntax) is e


def test_a_derivative_of_many_axes_is_written_entry_by_entry() -> None:
    derivation = cr.derive(cr.parse("A @ X @ B", {"A": ("n", "n"), "X": ("n", "m"), "B": ("m", "k")}), "X")
    assert "(∂f/∂X)ᵢⱼₖₗ = AᵢₖBₗⱼ" in str(derivation)
    assert r"\left(\frac{\partial \mathbf{f}}{\partial \mathbf{X}}\right)_{ijkl}" in derivation.to_latex()


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("pi*x", "πx"),
        ("sin(2*pi*x)", "sin(2πx)"),
        ("exp(-x**2/2)/sqrt(2*pi)", "exp(−x²/2)/√(2π)"),
        ("-pi*x", "−πx"),
    ],
)
def test_multiples_of_pi_are_written_with_it(text: str, printed: str) -> None:
    assert str(cr.parse(text, shapes={"x": ()})) == printed


ENTRIES = {  # what has no matrix notation: what is printed, in text and in LaTeX
    "take(W, ravel(T), axis=0)": (
        "Σₖ Wₖⱼ onehot(Σₗₘ Tₗₘ pair(p*q, p, q)ᵢₗₘ)ₖ",
        r"\sum_{k=1}^{m} W_{kj} \operatorname{onehot}(\sum_{l=1}^{p} \sum_{m=1}^{q} T_{lm} "
        r"\operatorname{pair}(\mathrm{p*q}, p, q)_{ilm})_{k}",
    ),
    "onehot(ravel(T), K)": (
        "onehot(Σₖₗ Tₖₗ pair(p*q, p, q)ᵢₖₗ)ⱼ",
        r"\operatorname{onehot}(\sum_{k=1}^{p} \sum_{l=1}^{q} T_{kl} "
        r"\operatorname{pair}(\mathrm{p*q}, p, q)_{ikl})_{j}",
    ),
    "W[T]": ("Σₗ Wₗₖ onehot(Tᵢⱼ)ₗ", r"\sum_{l=1}^{m} W_{lk} \operatorname{onehot}(T_{ij})_{l}"),
    "z[U]": ("Σᵢ zᵢ onehot(Uⱼₖₗ)ᵢ", r"\sum_{i=1}^{n} z_{i} \operatorname{onehot}(U_{jkl})_{i}"),
    "z[vec(T)]": (
        "Σᵢ zᵢ onehot(Σₖₗ Tₖₗ pair(p*q, q, p)ⱼₗₖ)ᵢ",
        r"\sum_{i=1}^{n} z_{i} \operatorname{onehot}(\sum_{k=1}^{p} \sum_{l=1}^{q} T_{kl} "
        r"\operatorname{pair}(\mathrm{p*q}, q, p)_{jlk})_{i}",
    ),
    "z[sum(U, axis=0)]": (
        "Σᵢ zᵢ onehot(Σₗ Uₗⱼₖ)ᵢ",
        r"\sum_{i=1}^{n} z_{i} \operatorname{onehot}(\sum_{l=1}^{a} U_{ljk})_{i}",
    ),
    "z[tril(T)]": (
        "Σᵢ zᵢ onehot(Tⱼₖ tri(0)ⱼₖ)ᵢ",
        r"\sum_{i=1}^{n} z_{i} \operatorname{onehot}(T_{jk} {\operatorname{tri}_{0}}_{jk})_{i}",
    ),
    "softmax(W[ravel(T)])": (
        "softmax(Σₖ W[k, ·] onehot(Σₗₘ Tₗₘ pair(p*q, p, q)ᵢₗₘ)ₖ)ⱼ",
        r"\operatorname{softmax}(\sum_{k=1}^{m} W_{k\cdot} \operatorname{onehot}(\sum_{l=1}^{p} \sum_{m=1}^{q} T_{lm} "
        r"\operatorname{pair}(\mathrm{p*q}, p, q)_{ilm})_{k})_{j}",
    ),
}


@pytest.mark.parametrize("formula", ENTRIES)
def test_positions_without_matrix_notation_are_written_entry_by_entry(formula: str) -> None:
    known = {"W": ("m", "n"), "T": ("p", "q"), "U": ("a", "b", "c"), "z": "n"}
    e = cr.parse(formula, shapes={name: shape for name, shape in known.items() if re.search(rf"\b{name}\b", formula)})
    printed, typeset = ENTRIES[formula]
    assert str(e) == printed
    assert e.to_latex() == typeset
    assert f"# {printed}" in cr.source(e)
    assert cr.parse(source_text(e), shapes={name: s.shape for name, s in e.symbols.items()}) is e


@pytest.mark.parametrize("formula", ["sum(take(W, ravel(T), axis=0)**2)", "sum(softmax(W[ravel(T)])**2)"])
def test_derivations_through_positions_without_matrix_notation(formula: str) -> None:
    derivation = cr.derive(cr.parse(formula, shapes={"W": ("m", "n"), "T": ("p", "q")}), "W")
    assert derivation.verified
    assert "onehot" in str(derivation.result)
    assert r"\operatorname{onehot}" in derivation.to_latex()
    assert "onehot" in derivation.to_html()


STACK, ROWS_OF = b.symbol("B", ("b", "n", "n")), b.symbol("c", ("b", "n"))
READ_WHOLE = [  # what a function reads along two axes, which dots would not tell apart
    (CATALOGUE["inv"](STACK), "(Bᵢ⁻¹)ⱼₖ", r"(\mathbf{B}_{i}^{-1})_{jk}"),
    (
        CATALOGUE["inv"](b.contract("ij,b->bij", b.matrix("A", "n", "n"), b.ones("b"))),
        "(A⁻¹)ⱼₖ",
        r"(\mathbf{A}^{-1})_{jk}",
    ),
    (CATALOGUE["inv"](b.contract("bij->bji", STACK)), "([Bᵢₘₗ]ₗₘ⁻¹)ⱼₖ", r"([B_{iml}]_{lm}^{-1})_{jk}"),
    (
        CATALOGUE["inv"](b.contract("bij,bjk->bik", STACK, STACK)),
        "([Σₙ BᵢₙₘBᵢₗₙ]ₗₘ⁻¹)ⱼₖ",
        r"\left(\left[\sum_{n=1}^{n} B_{inm} B_{iln}\right]_{lm}^{-1}\right)_{jk}",
    ),
    (
        CATALOGUE["logdet"](b.contract("bij,bj->ij", STACK, ROWS_OF)),
        "log|det([Σₖ Bₖᵢⱼcₖⱼ]ᵢⱼ)|",
        r"\log\lvert\det(\left[\sum_{k=1}^{b} B_{kij} c_{kj}\right]_{ij})\rvert",
    ),
    (
        CATALOGUE["softmax"](b.contract("bij,bjk->bik", STACK, STACK)),
        "softmax(Σₗ B[i, l, ·] Bᵢⱼₗ)ₖ",
        r"\operatorname{softmax}(\sum_{l=1}^{n} B_{il\cdot} B_{ijl})_{k}",
    ),
]


@pytest.mark.parametrize(("e", "printed", "typeset"), READ_WHOLE)
def test_rows_and_columns_of_what_is_read_whole_are_told_apart(e: Expr, printed: str, typeset: str) -> None:
    assert str(e) == printed
    assert e.to_latex() == typeset
    assert cr.parse(source_text(e), shapes={name: s.shape for name, s in e.symbols.items()}) is e


def test_a_product_is_not_printed_as_its_transpose() -> None:
    inverse = CATALOGUE["inv"]
    texts = {str(inverse(b.contract(f"bij->{axes}", STACK))) for axes in ("bij", "bji")}
    texts |= {str(inverse(b.contract(f"bij,bkj->{axes}", STACK, b.ones("b", "n", "n")))) for axes in ("bik", "bki")}
    assert len(texts) == 4
