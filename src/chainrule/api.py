"""The public functions, each a few lines that send an expression through the rooms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any, Literal

from chainrule import ops
from chainrule.compile.compiled import Compiled, compile_expressions
from chainrule.derivative import differentiate
from chainrule.errors import DomainError, ShapeError
from chainrule.evaluate import as_array, bind_sizes, evaluate
from chainrule.explain.narrative import explain
from chainrule.explain.newton import newton_step
from chainrule.expression.build import (
    as_expr,
    contract,
    diag,
    dot,
    eye,
    matmul,
    matrix,
    mean,
    multiply,
    ones,
    outer,
    power,
    scalar,
    sum,
    symbol,
    transpose,
    vector,
    zeros,
)
from chainrule.expression.build import trace as matrix_trace
from chainrule.expression.elaborate import Elaborated, elaborate
from chainrule.expression.functions import function_names
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.op import CATALOGUE, Op
from chainrule.expression.origin import derived, origins
from chainrule.expression.shape import show_shape
from chainrule.expression.tracing import trace as trace_function
from chainrule.render.html import derivation_html
from chainrule.render.input import source_text
from chainrule.render.latex import derivation_latex, latex, vec_latex
from chainrule.render.page import derivation_text
from chainrule.render.text import step_equations, text, vec_text
from chainrule.rewrite.statement import Derivation, Detail, Layout, Narrative
from chainrule.simplify.simplify import simplify
from chainrule.simplify.stable import stable
from chainrule.simplify.structure import symmetric_gradient
from chainrule.syntax.parse import read
from chainrule.verify.check import judged
from chainrule.verify.sample import generic_points

Syntax = Literal["auto", "text", "matlab", "latex"]
Formula = Expr | str

Derivation.views = {
    "text": derivation_text,
    "lines": step_equations,
    "latex": derivation_latex,
    "html": derivation_html,
}


# --- from text and functions to expressions
def understand(
    formula: str,
    shapes: Mapping[str, object] | None = None,
    syntax: Syntax = "auto",
    symbols: Mapping[str, str] | None = None,
) -> tuple[Elaborated, str | None]:
    """Return what a text means, with a sentence for each thing inferred, and the name on its left side if it has one.

    Raises: as `parse`.
    """
    tree = read(formula, syntax, functions=function_names(), names=[*(shapes or ())])
    left = tree.left.partition("(")[0].strip() if tree.left else None
    return elaborate(tree, shapes, symbols), left


def parse(
    formula: str,
    shapes: Mapping[str, object] | None = None,
    *,
    syntax: Syntax = "auto",
    symbols: Mapping[str, str] | None = None,
    report: Callable[[str], object] | None = None,
) -> Expr:
    """Return the expression that a formula means: LaTeX, NumPy-style text, or MATLAB text with `syntax="matlab"`.

    Shapes are inferred; `shapes={"X": ("N", "d"), "b": ()}` declares what inference cannot know or should not decide.
    `symbols` says what a written LaTeX symbol stands for. `report` is called with a sentence for each thing inferred.
    The text is parsed, never evaluated.
    Raises: FormulaSyntaxError, ShapeError, DomainError, each with the place marked.

    >>> parse("mean((y - max(0, X @ w + b))**2)").shape
    ()
    """
    understood, _ = understand(formula, shapes, syntax, symbols)
    for sentence in understood.inferred if report else ():
        report(sentence)  # type: ignore[misc]
    return understood.expression


def trace(function: Any, **shapes: object) -> Expr:
    """Return the expression that a plain NumPy function computes, by calling it once with symbols.

    `shapes` gives the shape of each argument: `trace(loss, X=("N", "d"), w="d", b=(), y="N")`. Of an
    expression instead of a function, return the trace of that matrix.
    Raises: DomainError for a NumPy function without meaning here; ShapeError.
    """
    if isinstance(function, Expr):
        return matrix_trace(function)
    return trace_function(function, **shapes)


def _expression(formula: Formula) -> Expr:
    return parse(formula) if isinstance(formula, str) else as_expr(formula)


# --- derivatives
def _value(e: Expr, values: Mapping[str, Any]) -> Any:
    """Return the value of `e`; sizes that only a symbol that dropped out shows are read off that symbol's array."""
    dropped = [s for s in origins(e) if s.name in values]
    known = {name: as_array(name, value) for name, value in values.items()}
    return evaluate(stable(e), values, bind_sizes(list(dropped), known, None))


Expr.views = SimpleNamespace(text=text, latex=latex, value=_value)


def jacobian(y: Formula, wrt: Expr | str) -> Expr:
    """Return the partial derivatives of every entry of `y`, one row per output (numerator layout).

    Shapes: y (m), wrt (n) -> (m, n); in general y.shape + wrt.shape, any rank.
    Raises: UnknownSymbol if the name `wrt` does not occur in `y`.
    Source: Parr and Howard 2018, section 4.1.

    >>> w, x = vector("w", "n"), vector("x", "n")
    >>> jacobian(w * x, "w").shape
    ('n', 'n')
    """
    e = _expression(y)
    return derived(simplify(differentiate.jacobian(e, wrt)), e)


def grad(y: Formula, wrt: Expr | str, *, structured: bool = False) -> Expr:
    """Return the gradient of a scalar function, an expression of the variable's shape.

    The entries of `wrt` are independent, symmetric matrices included; with `structured` the gradient is that of a
    symmetric matrix, whose mirrored entries move together: G + Gᵀ − diag(G).
    Shapes: y (), wrt (any) -> wrt.shape.
    Raises: ShapeError if `y` is not a scalar, or if `structured` is asked of what is no square matrix; UnknownSymbol.
    Source: Parr and Howard 2018, section 3; The Matrix Cookbook, section 2.8.

    >>> x = vector("x", "n")
    >>> grad(dot(x, x), "x") is 2 * x
    True
    """
    e = _expression(y)
    gradient = simplify(differentiate.grad(e, wrt))
    return derived(simplify(symmetric_gradient(gradient)) if structured else gradient, e)


def hessian(y: Formula, wrt: Expr | str, other: Expr | str | None = None) -> Expr:
    """Return the second derivatives: by `wrt` twice, or by `wrt` and then by `other`.

    Shapes: y (…), wrt (a), other (b) -> y.shape + a + b.
    Raises: UnknownSymbol.
    """
    e = _expression(y)
    x, second = (differentiate.variable(e, v) for v in (wrt, wrt if other is None else other))
    first = differentiate.jacobian(e, x)
    if not (isinstance(second, Symbol) and second.facts):  # Sᵀ = S is a fact of the value, not of the way it may move
        first = simplify(first)
    return derived(simplify(differentiate.jacobian(first, second)), e)


def vjp(y: Formula, wrt: Expr | str, cotangent: Expr | str) -> Expr:
    """Return the vector–Jacobian product as a closed formula; a name as cotangent becomes a symbol of the shape of `y`.

    Shapes: y (m), cotangent (m), wrt (n) -> (n), any ranks.
    Raises: ShapeError, UnknownSymbol; DomainError if the name is taken.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, section 3.2.

    >>> print(vjp(parse("P @ V", {"P": ("n", "n"), "V": ("n", "d")}), "V", cotangent="dO"))
    Pᵀ dO
    """
    e = _expression(y)
    return derived(simplify(differentiate.vjp(e, wrt, direction(cotangent, e, e))), e)


def jvp(y: Formula, wrt: Expr | str, tangent: Expr | str) -> Expr:
    """Return the Jacobian–vector product as a closed formula; a name as tangent becomes a symbol of the shape of `wrt`.

    Shapes: y (m), wrt (n), tangent (n) -> (m), any ranks.
    Raises: ShapeError, UnknownSymbol; DomainError if the name is taken.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, section 3.1.

    >>> print(jvp("A @ x", "x", tangent="dx"))
    A dx
    """
    e = _expression(y)
    x = differentiate.variable(e, wrt)
    return derived(simplify(differentiate.jvp(e, x, direction(tangent, x, e))), e)


def direction(name: Expr | str, like: Expr, function: Expr) -> Expr:
    """Return a tangent or cotangent: a name becomes a symbol with the shape of `like`.

    Raises: DomainError if the function already has a symbol of that name.
    """
    if isinstance(name, Expr):
        return name
    if name in function.symbols:
        raise DomainError(
            f"{name} already occurs in the formula", hint="give the tangent or cotangent a name of its own"
        )
    return symbol(name, like.shape)


def derive(
    function: Formula,
    wrt: Symbol | Expr | str | Sequence[Symbol | Expr | str],
    *,
    layout: Layout | None = None,
    narrative: Narrative = "auto",
    detail: Detail = "normal",
    names: Mapping[str, Formula] | None = None,
    function_name: str | None = None,
    shapes: Mapping[str, object] | None = None,
    cotangent: Expr | str | None = None,
) -> Derivation:
    """Return the derivation of ∂function/∂wrt, every step with its rule and its verdict.

    `narrative` goes from the inside out ("forward", the articles' way) or from the result back ("backward",
    backpropagation's); "auto" goes forward unless arrays of three or more axes would come up on the way. `layout` is
    how rows and columns are printed: "numerator" unless a backward pass names the adjoints, which have the shape of
    their variables ("denominator"). `detail` is "brief", "normal" or "full" (which splits w·x into sum(w ⊗ x));
    `names={"P": expression}` names intermediate variables.
    Several variables, `derive(C, ("W1", "b1"))`, share one backward pass; `.results` has the derivative by each.
    `cotangent="dO"` derives the vector–Jacobian product of a function of any shape with that symbol.
    Raises: UnknownSymbol; DomainError if no point is found at which the function is defined.
    Source: Parr and Howard 2018; Wang, Calculating Gradient Descent Manually.
    """
    left = None
    if isinstance(function, str):
        understood, left = understand(function, shapes)
        function = understood.expression
    known = {name: s.shape for name, s in function.symbols.items()}
    variables = [_variable(function, x, names or {}) for x in ([wrt] if isinstance(wrt, Expr | str) else wrt)]
    chosen = {n: parse(e, known) if isinstance(e, str) else e for n, e in (names or {}).items()}
    seed = None if cotangent is None else _symbol_of(direction(cotangent, function, function), "a cotangent")
    taken = {*function.symbols, *chosen, *([] if seed is None else [seed.name])}
    title = function_name or left or default_name(function, taken, "" if seed is None else seed.name)
    derivation = explain(function, variables, narrative, detail, chosen, title, seed)
    natural: Layout = "denominator" if derivation.way == "adjoints" else "numerator"
    return judged(derivation).in_layout(layout or natural)


def newton(
    function: Formula,
    wrt: Expr | str,
    *,
    function_name: str | None = None,
    shapes: Mapping[str, object] | None = None,
) -> Derivation:
    """Return the derivation of Newton's step w₊ = w − H⁻¹g for a scalar function, every step with its verdict.

    Where the function reads the variable through a product Xw, each entry of it for itself (logistic, Poisson and
    linear regression), the step is rewritten as weighted least squares: (XᵀSX)⁻¹ XᵀS z̃.
    Shapes: function (), wrt () or (d) -> result as wrt.
    Raises: ShapeError; UnknownSymbol; DomainError if no point is found at which the step is defined.
    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2009, equations 4.26 and 4.27.

    >>> d = newton("mean(log(1 + exp(X @ w)) - y * (X @ w))", "w")
    >>> print(d.lines[-1])
    w₊ = (XᵀSX)⁻¹ Xᵀ S z̃
    """
    left = None
    if isinstance(function, str):
        understood, left = understand(function, shapes)
        function = understood.expression
    variable = _symbol_of(differentiate.variable(function, wrt), "a Newton step")
    return judged(newton_step(function, variable, function_name or left or default_name(function, function.symbols)))


def _variable(function: Expr, wrt: Expr | str, names: Mapping[str, Formula]) -> Symbol:
    """Return the symbol to derive by; a name may be one that only a named expression has."""
    if isinstance(wrt, str):
        inside = [e.symbols[wrt] for e in names.values() if isinstance(e, Expr) and wrt in e.symbols]
        wrt = inside[0] if inside else wrt
    return _symbol_of(differentiate.variable(function, wrt), "a derivation")


def _symbol_of(e: Expr, role: str) -> Symbol:
    if not isinstance(e, Symbol):
        raise ShapeError(f"{role} is by a symbol", found=str(e), hint="give the expression a name with names={…}")
    return e


def default_name(function: Expr, taken: Iterable[str], cotangent: str = "") -> str:
    """Return a name for the function: C for a scalar of several symbols (a cost), f, g, … otherwise; O beside dO."""
    taken = set(taken)
    if cotangent[:1] == "d" and cotangent[1:].isidentifier() and cotangent[1:] not in taken:
        return cotangent[1:]
    letters = "CLJE" if not function.shape and any(s.shape for s in function.symbols.values()) else "fgFG"
    return next((name for name in letters if name not in taken), "output")


# --- writing
def vec_form(f: Formula, wrt: Expr | str, syntax: Literal["text", "latex"] = "text") -> str:
    """Write ∂vec(f)/∂vec(wrt) with Kronecker products, vec stacking columns: Bᵀ ⊗ A for f = A X B.

    Raises: DomainError if the Jacobian has no such form; UnknownSymbol.
    Source: Magnus and Neudecker, Matrix Differential Calculus, chapter 9.

    >>> print(vec_form("A @ X @ B", "X"))
    Bᵀ ⊗ A
    """
    e = _expression(f)
    return (vec_text if syntax == "text" else vec_latex)(jacobian(e, wrt), e.ndim)


def formula(e: Expr, syntax: Literal["text", "latex", "matlab"] = "text") -> str:
    """Write an expression as `parse` reads it back: `parse(formula(e, s), shapes, syntax=s) is e`.

    Raises: DomainError for what the syntax cannot say, such as an array of three axes in MATLAB text.

    >>> x = vector("x", "n")
    >>> formula(exp(x) * x)
    'x * exp(x)'
    """
    return source_text(e, syntax)


# --- programs
def compile(
    *exprs: Expr,
    backend: str = "numpy",
    accept: Iterable[Symbol | str] = (),
    constant: Iterable[str] = (),
    structured: bool = False,
) -> Compiled:
    """Return one function that computes all expressions together, shared parts once.

    It takes one array for each symbol, by name, and gives one array for one expression, a tuple for several; float32
    stays float32. Symbols that dropped out of a derivative, and those in `accept`, may be passed too. What depends on
    `constant` symbols alone, such as XᵀX, is kept while the same array objects are passed, or until `.forget()`.
    With `structured`, derivatives of two axes or more stay factored: `F @ v`, `v @ F`, `F.T`, `np.asarray(F)`.
    Raises: DomainError for an unknown backend; when called, ShapeError naming the argument and what it disagrees with.

    >>> x = vector("x", "n")
    >>> f = compile(dot(x, x), grad(dot(x, x), "x"))
    >>> [float(part) if part.ndim == 0 else part.tolist() for part in f(x=[1.0, 2.0])]
    [5.0, [2.0, 4.0]]
    """
    dropped = {s for e in exprs if isinstance(e, Expr) for s in origins(e)}
    accepted = (*sorted(dropped, key=lambda s: s.name), *accept)
    return compile_expressions(*exprs, backend=backend, accept=accepted, constant=constant, structured=structured)


def source(expr: Expr | tuple[Expr, ...], backend: str = "numpy", name: str | None = None) -> str:
    """Return code that stands alone; JAX and torch code of one expression, not a tuple, has its derivative bound to it.

    Raises: DomainError for an unknown backend, an unsafe name, or an operation that the language lacks.
    """
    takeaway = import_module("chainrule.compile.takeaway")  # the languages, not needed for anything else
    text: str = takeaway.source_text(expr, backend, name, sampler=lambda roots: next(generic_points(roots, 1)))
    return text


def describe(e: Expr) -> str:
    """Return the shapes of an expression's symbols in one line: `X : N×d, w : d, b : scalar`."""
    return ", ".join(f"{name} : {show_shape(s.shape)}" for name, s in e.symbols.items())


kink_value = ops.kink_value
OPERATIONS: dict[str, Op] = dict(CATALOGUE)

relu, exp = CATALOGUE["relu"], CATALOGUE["exp"]

__all__ = [
    "Compiled", "Derivation", "Expr", "Symbol", "compile", "contract", "default_name", "derive", "describe",
    "diag", "dot", "eye", "formula", "grad", "hessian", "jacobian", "jvp", "kink_value", "matmul", "matrix", "mean",
    "multiply", "newton", "ones", "outer", "parse", "power", "scalar", "simplify", "source",
    "sum", "symbol", "trace", "transpose", "understand", "vector", "vec_form", "vjp", "zeros",
]  # fmt: skip
