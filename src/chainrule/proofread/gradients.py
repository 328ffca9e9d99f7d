"""A loss function and a hand-written gradient function: is the gradient right, and if not, what is wrong with it?

Whether it is right, differences of the loss say. Why it is wrong, the loss says as an expression, if it can be traced:
then the gradient is diagnosed like a line of a hand derivation, its own expression if it can be traced too, else its
values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.derivative.differentiate import grad
from chainrule.errors import DomainError
from chainrule.expression.build import symbol
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.tracing import trace
from chainrule.proofread.arrays import as_numpy, called, in_double, is_float, like, precision
from chainrule.proofread.claim import Claim
from chainrule.proofread.diagnosis import Diagnosis, diagnose, diagnose_values
from chainrule.proofread.differences import Array, Comparison, compared
from chainrule.proofread.stand_ins import in_numpy
from chainrule.simplify.simplify import simplify

SIZE_NAMES = "Nndmkpqrst"


@dataclass(frozen=True, slots=True)
class ArgumentReport:
    """The verdict on the gradient by one argument.

    `outcome` is "correct", "wrong" or "cannot tell"; `comparison` what differences found; `truth` the gradient as a
    formula and `stated` the one that was given, where the functions could be traced.
    """

    name: str
    comparison: Comparison
    truth: Expr | None = None
    stated: Expr | None = None
    diagnosis: Diagnosis | None = None
    hint: str = ""

    @property
    def outcome(self) -> str:
        """The verdict."""
        return self.comparison.outcome

    def __str__(self) -> str:
        c = self.comparison
        if c.outcome == "correct":
            return f"d/d{self.name}: correct (relative error {c.error:.0e}{', ' + c.why if c.why else ''})"
        lines = [f"d/d{self.name}: {c.outcome}" + (f" ({c.why})" if c.why else "")]
        if c.outcome == "wrong" and c.measured is not None or c.place:
            lines.append(f"  at {list(c.place)}: given {c.given:.6g}, differences say {c.expected:.6g}")
        if self.diagnosis is not None:
            lines += [f"  {line}" for line in str(self.diagnosis).splitlines()]
        elif self.hint:
            lines.append(f"  {self.hint}")
        if self.stated is not None:
            lines.append(f"  given: {self.stated}")
        if self.truth is not None and c.outcome == "wrong":
            lines.append(f"  right: {self.truth}")
        if self.diagnosis is not None and self.diagnosis.counterexample is not None and self.stated is not None:
            lines.append(f"  {self.diagnosis.counterexample}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class GradientReport:
    """The verdicts on a gradient function, one for each argument."""

    arguments: tuple[ArgumentReport, ...]
    not_traced: str = ""  # why the loss could not be followed as an expression

    @property
    def correct(self) -> bool:
        """True if the gradient by every argument is correct."""
        return all(a.outcome == "correct" for a in self.arguments)

    @property
    def first_wrong(self) -> ArgumentReport | None:
        """The first argument whose gradient is wrong."""
        return next((a for a in self.arguments if a.outcome == "wrong"), None)

    def __getitem__(self, name: str) -> ArgumentReport:
        return next(a for a in self.arguments if a.name == name)

    def __str__(self) -> str:
        lines = [str(a) for a in self.arguments]
        if self.not_traced and not self.correct:
            lines.append(f"(the loss was not followed as an expression: {self.not_traced})")
        return "\n".join(lines)


@dataclass(slots=True)
class _Pair:
    """The two functions with the user's values."""

    f: Callable[..., Any]
    g: Callable[..., Any]
    values: Mapping[str, Any]
    wrt: tuple[str, ...] = ()

    def gradients(self, result: Any) -> dict[str, Any]:
        """Give what the gradient function returned the names of the arguments."""
        if isinstance(result, Mapping):
            return {str(name): part for name, part in result.items() if not self.wrt or name in self.wrt}
        parts = list(result) if isinstance(result, tuple | list) and len(self.wrt) != 1 else [result]
        if isinstance(result, tuple | list) and len(self.wrt) == 1:
            parts = list(result) if isinstance(result, tuple) else parts
        if len(parts) != len(self.wrt):
            raise DomainError(
                f"the gradient function returned {len(parts)} arrays for {len(self.wrt)} arguments",
                expected=", ".join(self.wrt),
                hint="say by which arguments, in order: wrt=(…), or return a dict",
            )
        return dict(zip(self.wrt, parts, strict=True))

    def loss(self, name: str) -> Callable[[Array], float]:
        """The loss as a function of one argument, NumPy in and out."""

        def of(x: Array) -> float:
            value = as_numpy(called(self.f, {**self.values, name: like(self.values[name], x)}))
            if value.size != 1:
                raise DomainError("the loss is not a number", found=f"an array of shape {value.shape}")
            return float(value.reshape(()))

        return of


def check_gradient(
    f: Callable[..., Any],
    g: Callable[..., Any],
    *,
    wrt: str | Sequence[str] | None = None,
    seed: int = 0,
    **values: Any,
) -> GradientReport:
    """Compare a loss function with a hand-written gradient function at the given values, one verdict an argument.

    `f` returns a number; `g` one array, a tuple in the order of `wrt`, or a dict by name. Both take the values by
    name; arrays may be NumPy's, JAX's or PyTorch's. Without `wrt`, a dict says itself, and otherwise it is every
    argument that is a floating-point array, if that many are returned, or the one of the same shape.
    Raises: DomainError if it is not clear by which arguments the gradient is, or if the loss is not a number.

    >>> import numpy as np
    >>> def loss(X, w, y):
    ...     return np.mean((X @ w - y) ** 2)
    >>> report = check_gradient(loss, lambda X, w, y: X.T @ (X @ w - y) / len(y), wrt="w",
    ...     X=np.array([[1.0, 2.0], [0.0, 1.0], [3.0, 1.0]]), w=np.array([1.0, 2.0]), y=np.array([1.0, 0.0, 2.0]))
    >>> report["w"].outcome, report["w"].diagnosis.kind
    ('wrong', 'constant factor')
    """
    values, result = _evaluated(f, g, values)
    pair = _Pair(f, g, values, _names(wrt, result, values))
    given = pair.gradients(result)
    loss, why = _traced(f, values)
    eps = max([precision(part) for part in given.values()] + [precision(called(f, values))])
    reports = []
    for name, part in given.items():
        if name not in values:
            raise DomainError(f"there is no argument {name}", expected=", ".join(values), found=name)
        x, gradient = as_numpy(values[name]), as_numpy(part)
        found = compared(pair.loss(name), x, gradient, eps, seed)
        reports.append(_explained(pair, name, found, loss, gradient, eps))
    return GradientReport(tuple(reports), why)


def _evaluated(f: Callable[..., Any], g: Callable[..., Any], values: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the values in float64 and the gradient there; the values as they are where a function insists on them."""
    double = in_double(values)
    try:
        called(f, double)
        return double, called(g, double)
    except Exception:  # such as PyTorch's, if a weight inside the function is of another dtype
        return values, called(g, values)


def _names(wrt: str | Sequence[str] | None, result: Any, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the arguments that the gradient is by. Raises: DomainError if that is not clear."""
    if isinstance(wrt, str):
        return (wrt,)
    if wrt is not None or isinstance(result, Mapping):
        return tuple(wrt or ())
    floats = [name for name, value in values.items() if is_float(value)]
    count = len(result) if isinstance(result, tuple) else 1
    if count == len(floats):
        return tuple(floats)
    if count == 1:
        part = result[0] if isinstance(result, tuple) else result
        same = [name for name in floats if as_numpy(values[name]).shape == as_numpy(part).shape]
        if len(same) == 1:
            return tuple(same)
    raise DomainError(
        "it is not clear by which arguments the gradient is",
        expected=f"{count} of {', '.join(floats)}",
        hint='say so: wrt="w", or wrt=("w", "b")',
    )


# --- why it is wrong
def _shapes(values: Mapping[str, Any]) -> dict[str, tuple[int | str, ...]]:
    """Return a shape for each argument: axes of the same length get the same name, those of length 1 keep it."""
    names: dict[int, str] = {}
    free = iter(n for n in SIZE_NAMES if n not in values)
    shapes: dict[str, tuple[int | str, ...]] = {}
    for name, value in values.items():
        counts = as_numpy(value).shape
        for count in counts:
            if count > 1 and count not in names:
                names[count] = next(free, f"n{count}")
        shapes[name] = tuple(names.get(count, count) for count in counts)
    return shapes


def _traced(f: Callable[..., Any], values: Mapping[str, Any]) -> tuple[Expr | None, str]:
    """Return the loss as an expression of its arguments, or why it cannot be one."""
    try:
        shapes = _shapes(values)
        e = trace(lambda **symbols: called(in_numpy(f), symbols), **shapes)
    except Exception as error:  # the user's own code may fail in any way when it is given symbols
        return None, str(error).partition("\n")[0]
    return (e, "") if not e.shape and e.symbols else (None, "it is no number that depends on its arguments")


def _explained(
    pair: _Pair, name: str, found: Comparison, loss: Expr | None, gradient: Array, eps: float
) -> ArgumentReport:
    if found.outcome != "wrong":
        return ArgumentReport(name, found)
    if loss is None or name not in loss.symbols:
        return ArgumentReport(name, found, hint=_pattern(pair, gradient, found.measured))
    x = loss.symbols[name]
    truth = simplify(grad(loss, x))
    stated = _stated(pair, name)
    if stated is not None:
        claim = Claim("derivative", loss, (x,), stated, truth, {})
        return ArgumentReport(name, found, truth, stated, diagnose(claim))
    claim = Claim("derivative", loss, (x,), None, truth, {})
    black_box = Symbol(f"grad_{name}", truth.shape)
    diagnosis = diagnose_values(claim, black_box, lambda point: _called_at(pair, name, point), 1e3 * eps)
    return ArgumentReport(name, found, truth, None, diagnosis, _pattern(pair, gradient, found.measured))


def _stated(pair: _Pair, name: str) -> Expr | None:
    """Return the given gradient as an expression, if the function can be traced."""
    try:
        symbols = {n: symbol(n, shape) for n, shape in _shapes(pair.values).items()}
        part = pair.gradients(called(in_numpy(pair.g), symbols))[name]
    except Exception:  # as above
        return None
    return part if isinstance(part, Expr) else None


def _called_at(pair: _Pair, name: str, point: Mapping[str, Array]) -> Array:
    """Return what the gradient function says at another point."""
    values = {n: like(pair.values[n], np.asarray(point[n])) if n in point else v for n, v in pair.values.items()}
    return as_numpy(pair.gradients(called(pair.g, values))[name])


def _pattern(pair: _Pair, given: Array, measured: Array | None) -> str:
    """Say what the numbers alone show: a sign, a constant factor, a transpose, entries that are missing."""
    if measured is None or given.shape != measured.shape:
        return ""
    return next(_patterns(given, measured, {n for v in pair.values.values() for n in as_numpy(v).shape}), "")


def _patterns(given: Array, measured: Array, lengths: set[int]) -> Iterator[str]:
    scale = float(np.max(np.abs(measured), initial=0.0)) or 1.0
    square = float(np.sum(given * given))
    factor = float(np.sum(given * measured)) / square if square else 0.0
    if np.max(np.abs(factor * given - measured), initial=0.0) <= 1e-4 * scale:
        close = Fraction(factor).limit_denominator(64)
        shown = str(close) if abs(float(close) - factor) < 1e-4 * abs(factor) else f"{factor:.6g}"
        counts = {Fraction(1, n): n for n in lengths if n > 1} | {Fraction(n): n for n in lengths if n > 1}
        mean = (
            f" (a mean for a sum or the other way round? an axis has {counts[close]} entries)"
            if close in counts
            else ""
        )
        yield "sign: the sign is wrong" if close == -1 else f"constant factor: it should be multiplied by {shown}{mean}"
    if given.ndim == 2 and given.shape[0] == given.shape[1] and np.allclose(given.T, measured, atol=1e-4 * scale):
        yield "transpose: it should be transposed"
    wrong = np.abs(given - measured) > 1e-4 * scale
    if 0 < np.sum(wrong) <= given.size / 2 and given.size > 3:
        yield f"{int(np.sum(wrong))} of {given.size} entries are wrong"
