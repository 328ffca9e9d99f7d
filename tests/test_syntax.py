"""From spelling to tree: the three syntaxes, their trees, and text that is not a formula."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import FormulaSyntaxError
from chainrule.syntax.outline import outline
from chainrule.syntax.parse import read
from chainrule.syntax.precedence import PRECEDENCE
from chainrule.syntax.tree import Binary, Call, Index

ARTICLE = r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{X}_i + b))^2"
ARTICLE_TREE = "(juxt (/ 1 N) (bound-sum i 1 N (matpow (- (index y i) (max 0 (+ (dot w:bold (index X:bold i)) b))) 2)))"


def tree(text: str, syntax: str = "auto") -> str:
    return outline(read(text, syntax).tree)  # type: ignore[arg-type]


# --- the article's cost, as people write it


@pytest.mark.parametrize(
    "spelling",
    [
        ARTICLE,
        f"${ARTICLE}$",
        f"$${ARTICLE}.$$",
        rf"\[ {ARTICLE} \]",
        rf"\begin{{equation}} {ARTICLE} \end{{equation}}",
        rf"\begin{{align*}} C &= {ARTICLE} \end{{align*}}",
        ARTICLE.replace("(y_i", r"\left(y_i").replace("b))^2", r"b)\right)^2"),
        ARTICLE.replace("(0,", r"\left(0,").replace("b))", r"b\right))"),
        ARTICLE.replace("(0,", r"\{0,").replace("b))", r"b\})"),
        ARTICLE.replace("(0,", r"\bigl(0,\,").replace("b))", r"b\bigr))"),
        ARTICLE.replace(r"\frac{1}{N}", r"\frac1N\;").replace("^2", "^{2}"),
        ARTICLE.replace(r"\frac{1}{N}", r"\tfrac 1 N").replace(r"\mathbf{w}", r"\mathbf w"),
        ARTICLE.replace(r"\mathbf{", r"\boldsymbol{").replace(r"\sum_{i=1}^N", r"\sum\limits^N_{i=1}"),
        rf"C(\mathbf{{y}}, \mathbf{{w}}, b) = {ARTICLE}",
    ],
)
def test_the_article_s_cost(spelling: str) -> None:
    assert tree(spelling) == ARTICLE_TREE


def test_left_side_is_kept_as_written() -> None:
    assert read(rf"C(\mathbf{{y}}, w) = {ARTICLE}").left == r"C(\mathbf{y}, w)"
    assert read("C(y, w) = y @ w").left == "C(y, w)"
    assert read("C = y == w").left == "C"
    assert read("y <= w").left is None


def test_the_same_cost_in_plain_text() -> None:
    assert tree("mean((y - max(0, X @ w + b))**2)") == "(mean (** (- y (max 0 (+ (@ X w) b))) 2))"
    assert tree("sum((y - relu(X*w + b*vector(1))).^2)/N", "matlab") == (
        "(/ (sum (** (- y (relu (+ (juxt X w) (juxt b (vector 1))))) 2)) N)"
    )


def test_auto_reads_latex_where_latex_stands() -> None:
    assert [read(text).syntax for text in (ARTICLE, "$x$", "x_{1}", "x^{2}", "x_1", "x^2")] == ["latex"] * 4 + [
        "text"
    ] * 2


# --- trees


TEXT = [
    ("1 - 2 - 3", "(- (- 1 2) 3)"),
    ("a - b @ c / 2", "(- a (/ (@ b c) 2))"),
    ("a / -b * c", "(* (/ a (- b)) c)"),
    ("-x**2", "(- (** x 2))"),
    ("2**-x**2", "(** 2 (- (** x 2)))"),
    ("2^3^4", "(** 2 (** 3 4))"),
    ("0.5 + 1e-3 + .25", "(+ (+ 1/2 1/1000) 1/4)"),
    ("A.T @ x", "(@ (T A) x)"),
    ("A ** B.T", "(** A (T B))"),
    ("A' @ (A @ x)'", "(@ (T A) (T (@ A x)))"),
    ("Aᵀ @ A⁻¹ @ A⁻ᵀ + x²", "(+ (@ (@ (T A) (matpow A (- 1))) (T (matpow A (- 1)))) (matpow x 2))"),
    ("w · x ⊙ y − z", "(- (* (dot w x) y) z)"),
    ("x.sum() + X.mean(axis=0)", "(+ (sum x) (mean X axis=0))"),
    ("sum(X, axis=(0, 1), keepdims=True)", "(sum X axis=(sequence 0 1) keepdims=True)"),
    ("np.exp(x) + jnp.linalg.inv(A) * np.pi", "(+ (exp x) (* (inv A) pi))"),
    ("tr(A) + ln(b) + norm2(x)", "(+ (+ (trace A) (log b)) (norm x))"),
    ("x[::-1] + X[None, 1::2]", "(+ (index x ::(- 1)) (index X None 1::2))"),
    ("X[i, :] @ X[:, 1:3] + x[:-1] + x[i]", "(+ (+ (@ (index X i :) (index X : 1:3)) (index x :(- 1))) (index x i))"),
    ("where(z > 0, z, 0)", "(where (> z 0) z 0)"),
    ("x >= 0", "(>= x 0)"),
    ("eval + α₁ + W_2", "(+ (+ eval α1) W_2)"),
    ("ones((m, n))", "(ones (sequence m n))"),
    ("((x))", "x"),
]

MATLAB = [
    ("X'*X", "(juxt (T X) X)"),
    ("a./b*c", "(juxt (/ a b) c)"),
    ("2.*x.^2 + 2.^x", "(+ (* 2 (** x 2)) (** 2 x))"),
    ("A^2'", "(T (matpow A 2))"),
    ("x^2^3", "(matpow (matpow x 2) 3)"),
    ("B*-inv(A)*c", "(juxt (juxt B (- (inv A))) c)"),
    ("norm2(x)^2 + norm1(x) + tr(eye+A.')", "(+ (+ (matpow (norm x) 2) (norm1 x)) (trace (+ eye (T A))))"),
]

LATEX = [
    (r"x^\top A x", "(juxt (juxt (T x) A) x)"),
    (r"x^T x + y^{\mathsf T} + z^{\intercal} + u'", "(+ (+ (+ (juxt (T x) x) (T y)) (T z)) (T u))"),
    (r"A^{-1} B^{-\top} C^{-T}", "(juxt (juxt (matpow A (- 1)) (T (matpow B (- 1)))) (T (matpow C (- 1))))"),
    ("-x^2", "(- (matpow x 2))"),
    (r"a \odot b c + d \circ e", "(+ (* a (juxt b c)) (* d e))"),
    (r"2 \times 3 \cdot x", "(dot (juxt 2 3) x)"),
    (r"\frac12 x + \frac{a}b", "(+ (juxt (/ 1 2) x) (/ a b))"),
    (r"\frac{a}{b}c/d", "(/ (juxt (/ a b) c) d)"),
    (r"1/2 \|x\|^2", "(juxt (/ 1 2) (** (norm x) 2))"),
    (r"\sqrt{x} + \sqrt[3]{x}", "(+ (sqrt x) (matpow x (/ 1 3)))"),
    ("eval", "(juxt (juxt (juxt e v) a) l)"),
    # sums reach over products, to the next + or -
    (r"\sum_i a_i b \cdot c_i - d", "(- (bound-sum i _ _ (dot (juxt (index a i) b) (index c i))) d)"),
    (r"-\sum_{i}^N \frac{x_i}{2} + 1", "(+ (- (bound-sum i _ N (/ (index x i) 2))) 1)"),
    (r"\sum_{i,j} A_{ij} x_i x_j", "(bound-sum i,j _ _ (juxt (juxt (index A i j) (index x i)) (index x j)))"),
    (r"\sum_{i,j=1}^n A_{i,j}", "(bound-sum i,j 1 n (index A i j))"),
    (r"\sum_{i=1}^{n-1} x_{i+1}", "(bound-sum i 1 (- n 1) (index x (+ i 1)))"),
    (r"\prod_k p_k + \max_i x_i", "(+ (bound-prod k _ _ (index p k)) (bound-max i _ _ (index x i)))"),
    # subscripts: an index where a sum binds it, else a part of the name
    (r"\mathbf{X}_{i,:} + x_{:}", "(+ (index X:bold i :) (index x :))"),
    (r"\mathbf{W}_1 x_{0} + \mathbf{I}_n + C_{xy}", "(+ (+ (juxt W1:bold x0) (eye n)) C_xy)"),
    (r"w^* + \mathbf{k}_+ + x_{\text{old}}", "(+ (+ w_star k_plus:bold) x_old)"),
    (r"W^{(1)} + \sum_j x^{(j)}", "(+ W1 (bound-sum j _ _ (index x j)))"),
    (r"X_{1,2}", "(index X 1 2)"),
    (r"\sum_i x_i + x_i", "(bound-sum i _ _ (+ (index x i) (index x i)))"),
    # faces, accents, Greek
    (r"\hat{y} + \bar{\mathbf{x}} + \vec{w}", "(+ (+ y_hat x_bar:bold) w:vec)"),
    (r"\mathbf 1 + \mathbf{0} + \mathbb{1} + \vec{1} + 1", "(+ (+ (+ (+ 1:bold 0:bold) 1:blackboard) 1:vec) 1)"),
    (r"\boldsymbol{\beta} \varepsilon \lambda", "(juxt (juxt beta:bold epsilon) lambda)"),
    (r"\sigma(x) + \sigma\left(x\right) + \sigma x + \sigma^2(x)", None),
    # functions with and without brackets
    (r"\log\det X + \log \det(X)", "(+ (log (det X)) (log (det X)))"),
    (r"\exp(-x) y", "(juxt (exp (- x)) y)"),
    (r"\sin^2 x \cos 2\pi t", "(juxt (matpow (sin x) 2) (cos (juxt (juxt 2 pi) t)))"),
    (r"\sin(x)^2 + \tanh W x", "(+ (matpow (sin x) 2) (tanh (juxt W x)))"),
    (r"\operatorname{tr}\left[A B\right] + \operatorname{tr} A", "(+ (trace (juxt A B)) (trace A))"),
    (r"\mathrm{ReLU}(z) + \mathrm{softmax}(z)", "(+ (relu z) (softmax z))"),
    (r"p \log \frac{p}{q}", "(juxt p (log (/ p q)))"),
    # norms and bars
    (r"\lVert x \rVert_2^2 + \|x\|_1 + \left\| X \right\|_F^2", "(+ (+ (** (norm x) 2) (norm1 x)) (** (norm X) 2))"),
    (r"\|x\| \|y\| + |a|b|c| + ||x|| + \ln|K|", None),
    (r"\langle a, b \rangle", "(dot a b)"),
    (r"\langle A, B \rangle", "(sum (* A B))"),
    (r"\langle A, B \rangle_F", "(sum (* A B))"),
    (r"\sum_i x_i + b", "(+ (bound-sum i _ _ (index x i)) b)"),
    (r"\sum_i x_i - \sum_i y_i", "(- (bound-sum i _ _ (index x i)) (bound-sum i _ _ (index y i)))"),
    (r"{\bf w}^{\rm T} {\bf x}", "(juxt (T w:bold) x:bold)"),
    # case splits and indicators
    (r"\begin{cases} 0, & z \le 0 \\ z & \text{otherwise} \end{cases}", "(cases [0 (<= z 0)] [z _])"),
    (r"2\begin{cases} a & \text{if } c > 1 \\ b & c \leq 1. \\ \end{cases}", None),
    (r"\mathbb{1}[z > 0] + \mathbb{1}_{z>0} + [z > 0] x", None),
    (r"\mathbf{1}^\top x + \mathbf{1}\{y = k\}", "(+ (juxt (T 1:bold) x) (indicator (== y k)))"),
]  # fmt: skip

LONGER = {
    r"2\begin{cases} a & \text{if } c > 1 \\ b & c \leq 1. \\ \end{cases}": (
        "(juxt 2 (cases [a (> c 1)] [b (<= c 1)]))"
    ),
    r"\sigma(x) + \sigma\left(x\right) + \sigma x + \sigma^2(x)": (
        "(+ (+ (+ (sigmoid x) (sigmoid x)) (juxt sigma x)) (juxt (matpow sigma 2) x))"
    ),
    r"\|x\| \|y\| + |a|b|c| + ||x|| + \ln|K|": (
        "(+ (+ (+ (juxt (norm x) (norm y)) (juxt (juxt (abs a) b) (abs c))) (norm x)) (log (abs K)))"
    ),
    r"\mathbb{1}[z > 0] + \mathbb{1}_{z>0} + [z > 0] x": (
        "(+ (+ (indicator (> z 0)) (indicator (> z 0))) (juxt (indicator (> z 0)) x))"
    ),
}


@pytest.mark.parametrize(("text", "expected"), TEXT)
def test_text(text: str, expected: str) -> None:
    assert tree(text, "text") == expected


@pytest.mark.parametrize(("text", "expected"), MATLAB)
def test_matlab(text: str, expected: str) -> None:
    assert tree(text, "matlab") == expected


@pytest.mark.parametrize(("text", "expected"), LATEX)
def test_latex(text: str, expected: str | None) -> None:
    assert tree(text, "latex") == (expected or LONGER[text])


def test_places_are_those_of_the_text() -> None:
    formula = read("C = relu(z) + X[i]")
    root = formula.tree
    assert isinstance(root, Binary) and isinstance(root.left, Call) and isinstance(root.right, Index)
    places = [formula.text[s.start : s.end] for s in (root.mark, root.left.span, root.left.mark, root.right.span)]
    assert places == ["+", "relu(z)", "relu", "X[i]"]
    assert not root.right.one_based


def test_indices_of_latex_count_from_one() -> None:
    index = read(r"X_{1,:}").tree
    assert isinstance(index, Index) and index.one_based


def test_the_known_functions_are_the_caller_s() -> None:
    assert outline(read("gelu(x)", functions={"gelu"}).tree) == "(gelu x)"
    with pytest.raises(FormulaSyntaxError, match="did you mean gelu"):
        read("gelo(x)", functions={"gelu"})
    with pytest.raises(FormulaSyntaxError, match="not a known function"):
        read(r"\exp(x)", functions={"gelu"})


def test_every_operator_has_one_row_of_precedence() -> None:
    order = ["==", "+", "bound", "*", "juxt", "function", "negative", "matpow", "**"]
    powers = [PRECEDENCE[row].power for row in order]
    assert powers == sorted(set(powers))


# --- text that is not a formula


#   text, characters marked first, words in the message
WRONG = [
    ("", "", "empty"),
    (" \n", " \n", "empty"),
    ("$$", "$$", "never closed"),
    ("x +", "+", "missing"),
    ("x + * y", "+", "missing"),
    ("2x", "2x", "write 2*x"),
    ("x y", "x y", "write x*y"),
    ("(a)(b)", ")(", "write the product as"),
    ("((a + b)", "(", "expected: `)`"),
    ("a + b)", ")", "closes nothing"),
    ("(a]", "(", "expected: `)`"),
    ("sofmax(x)", "sofmax", "did you mean softmax"),
    ("a(b + c)", "a", "a*("),
    ("__import__('os')", "__import__", "two underscores"),
    ("x.__class__", "__class__", "two underscores"),
    ("x.shape[0]", ".shape", "size by its name"),
    ("x.foo", ".foo", "no attributes"),
    ("'abc'", "'", "a quote is a transpose"),
    ('"abc"', '"', "no strings"),
    ("a; b", ";", "one formula at a time"),
    ("x ∂ y", "∂", "partial differential"),
    ("½", "½", "no meaning"),
    ("x\x00", "\x00", "control character"),
    ("a < b < c", "<", "chained"),
    ("f(x) = y = z", "=", "one left side"),
    ("= x", "=", "left side is missing"),
    ("sum(axis=0, x)", "x", "keyword"),
    ("x[::2:]", ":", "a step"),
    ("x[]", "[]", "index is missing"),
    ("(a, b)", ",", "does not fit"),
    ("[1, 2]", "[", "square brackets only index"),
    ("1e999", "1e999", "too large"),
    ("1" * 5000, "1" * 5000, "too long"),
    ("x²³⁻", "²³⁻", "not a power"),
    ("np.linalg", "linalg", "module"),
    (r"\frac{a", "{", "expected: `}`"),
    (r"\frac{a}", "", "missing"),
    (r"\left( a + b", r"\left(", r"\right)"),
    (r"\left( a + b)", r"\left(", r"\right)"),
    (r"(a + b \right)", "(", "never closed"),
    (r"\left q", r"\left q", "needs a bracket"),
    (r"\fraq{a}{b}", r"\fraq", r"did you mean \frac"),
    (r"\operatorname{softmux}(x)", r"\operatorname{softmux}", "did you mean softmax"),
    (r"\begin{pmatrix} a \end{pmatrix}", r"\begin{pmatrix}", "not supported"),
    (r"\begin{cases} a \\ b \end{cases}", "a", "value and its condition"),
    (r"\begin{cases} a & b", r"\begin{cases}", r"\end{cases}"),
    (r"\sum x_i", r"\sum", "needs an index"),
    (r"\sum_{i \in S} x_i", r"\in", "not an index"),
    (r"\partial x", r"\partial", "not its derivative"),
    (r"x^10", "10", "write ^{10}"),
    (r"x^a^b", "^", "two"),
    (r"1/2 \sigma^2", r"1/2 \sigma", "two ways"),
    (r"\sin^{-1} x", "^{-1}", "arcsin"),
    (r"\|x\|_3", "3", "1, 2 or F"),
    (r"|x + 1", "|", "never closed"),
    (r"\mathbf", "", "missing"),
    (r"x_{}", "x_{}", "subscript is empty"),
    (r"\hat{x + y}", "{x + y}", "one symbol"),
    (r"{{{", "{", "never closed"),
]


@pytest.mark.parametrize(("text", "marked", "words"), WRONG)
def test_an_error_says_where_and_what(text: str, marked: str, words: str) -> None:
    with pytest.raises(FormulaSyntaxError) as caught:
        read(text, "latex" if re.search(r"[\\|{]|\^", text) else "auto")
    error = caught.value
    first = error.spans[0]
    assert text[first.start : first.end] == marked
    assert words in str(error)


@pytest.mark.parametrize(
    "opening", ["(", "exp(", "x[", "-", "2**", r"\frac{", r"\sqrt", "x^{", "|", r"\left(", "1+2*("]
)
@pytest.mark.parametrize("syntax", ["text", "matlab", "latex"])
def test_depth_is_bounded(opening: str, syntax: str) -> None:
    closing = {"(": ")", "[": "]", "{": "}"}.get(opening[-1], "")
    for text in (opening * 2000 + "x" + closing * 2000, opening * 2000):
        with pytest.raises(FormulaSyntaxError):
            read(text[:20_000], syntax)  # type: ignore[arg-type]


@pytest.mark.parametrize("chain", ["x" + "+x" * 5000, "x" + "'" * 5000, "x" + ".T" * 5000, r"\alpha" * 3000])
def test_length_of_a_chain_is_bounded(chain: str) -> None:
    with pytest.raises(FormulaSyntaxError, match="operations in one chain"):
        read(chain)


def test_length_is_bounded() -> None:
    with pytest.raises(FormulaSyntaxError, match="20000 characters"):
        read("x" * 100_000)


def test_nesting_that_people_write_is_read() -> None:
    assert tree("(" * 90 + "x" + ")" * 90) == "x"
    assert tree("relu(W @ " * 30 + "x" + ")" * 30).count("relu") == 30
    assert tree(" + ".join(["x"] * 150)).count("+") == 149


PIECES = re.findall(r"\\[A-Za-z]+|\w+|\S|\s", " ".join(text for text, *_ in [*TEXT, *MATLAB, *LATEX, *WRONG[4:30]]))
PIECES += ["\\", "{", "}", "|", "\ud800", "\x00", "٣", "ⅷ", "$", "&", r"\\", r"\left", r"\right", r"\begin{cases}"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25), st.sampled_from(["text", "matlab", "latex"])
)
def test_any_text_is_read_or_refused_with_its_place(pieces: list[str], syntax: str) -> None:
    refused_with_place("".join(pieces), syntax)


@pytest.mark.parametrize("seed", range(20))
def test_broken_formulas_are_read_or_refused_with_their_place(seed: int) -> None:
    draw = random.Random(seed)
    for text, *_ in [*TEXT, *MATLAB, *LATEX, (ARTICLE,)]:
        pieces = re.findall(r"\\[A-Za-z]+|\w+|\S|\s", text)[: draw.randrange(1, 60)]
        pieces[draw.randrange(len(pieces))] = draw.choice(PIECES)
        refused_with_place("".join(pieces), draw.choice(["text", "matlab", "latex"]))


def refused_with_place(text: str, syntax: str) -> None:
    try:
        span = read(text, syntax).tree.span  # type: ignore[arg-type]
        assert 0 <= span.start <= span.end <= len(text)
    except FormulaSyntaxError as error:
        assert str(error).startswith("syntax error: ")
        assert error.text == text
        assert error.spans and all(0 <= span.start <= span.end <= len(text) for span in error.spans)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("x if x > 0 else 0", r"where\(condition, a, b\)"),
        ("lambda x: x", "the formula itself"),
        ("sum(x for x in y)", r"sum\(x\)"),
        ("a and b", r"\(a > 0\) \* \(b > 0\)"),
        ("A \\ b", r"solve\(A, b\)"),
    ],
)
def test_words_of_python_are_explained(text: str, hint: str) -> None:
    with pytest.raises(FormulaSyntaxError, match=hint):
        read(text, "text")
