"""Functions with a kink, and the convention for the derivative there.

`max(0, z)` has derivative 0 at z = 0, as Parr and Howard 2018 and Wang state; `kink_value` chooses another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from fractions import Fraction
from typing import Any

from chainrule.errors import DomainError
from chainrule.expression.build import add, multiply, negative, subtract
from chainrule.expression.node import Add, Apply, Expr, is_zero
from chainrule.expression.op import CATALOGUE, Code, Loop, Notation, Op
from chainrule.expression.power import constant, constant_value
from chainrule.expression.shape import Scalar, exact
from chainrule.expression.total import content, scale
from chainrule.ops.logarithm import of_absolute

_kink: ContextVar[Scalar] = ContextVar("kink", default=0)


@contextmanager
def kink_value(value: float | Fraction) -> Iterator[None]:
    """Within this block, the derivative of max(0, z) at z = 0 is `value`: 0 (the default), 1/2 or 1.

    Raises: DomainError for any other value.
    """
    chosen = exact(value)
    if chosen not in (0, 1, Fraction(1, 2)):
        raise DomainError(f"the derivative of max(0, z) at 0 cannot be {value}", expected="0, 1/2 or 1")
    token = _kink.set(chosen)
    try:
        yield
    finally:
        _kink.reset(token)


def current_kink_value() -> Scalar:
    """Return the derivative of max(0, z) at 0 that is in force."""
    return _kink.get()


def gate(z: Expr) -> Expr:
    """Return the slope of max(0, z): [z > 0], with the value in force at 0; [z ≥ 0] is 1 − [−z > 0]."""
    at_zero = current_kink_value()
    if at_zero == 0:
        return step(z)
    return add(multiply(1 - exact(at_zero), step(z)), multiply(at_zero, subtract(1, step(negative(z)))))


def size_of(c: Scalar) -> Scalar:
    """Return |c|."""
    return c if c >= 0 else -c


def split_content(z: Expr) -> tuple[Scalar, Expr]:
    """Write z = c·u with c > 0, so that functions that only ask for the sign see u."""
    if isinstance(z, Add) and z.args:
        c = size_of(z.coefficients[0] if len(z.args) == 1 else content(z))
        if c != 1 and not isinstance(c, float):
            return c, scale(1 / Fraction(c), z)
    return 1, z


OF_NUMBERS: dict[str, Callable[[Scalar], Scalar]] = {
    "relu": lambda c: max(c, 0),
    "step": lambda c: int(c > 0),
    "abs": lambda c: size_of(c),
    "sign": lambda c: (c > 0) - (c < 0),
}


def homogeneous(op: str, degree: int) -> Any:
    """Fold f(c·u) = c^degree f(u) for c > 0, and f of a known number."""
    function = OF_NUMBERS[op]

    def fold(z: Expr) -> Expr | None:
        c = constant_value(z)
        if c is not None:
            return constant(function(c), z.shape)
        c, u = split_content(z)
        return None if c == 1 else scale(c**degree, OWN[op](u))

    return fold


def negated_gate(e: Expr) -> Expr | None:
    """Return g if e is 1 − g for a gate g."""
    rest = subtract(1, e)
    return rest if isinstance(rest, Apply) and rest.op.is_gate else None


def truth(c: Expr) -> Expr:
    """Return [c ≠ 0]: a gate, or one minus a gate, is itself."""
    if (isinstance(c, Apply) and c.op.is_gate) or negated_gate(c) is not None:
        return c
    return add(step(c), step(negative(c)))


def fold_where(c: Expr, a: Expr, b: Expr) -> Expr | None:
    """where([u > 0], u, 0) = max(0, u), and where(a > b, a, b) = max(a, b)."""
    value = constant_value(c)
    if value is not None:
        return a if value else b
    if a is b:
        return a
    swapped = negated_gate(c)
    if swapped is not None:
        return where(swapped, b, a)
    if isinstance(c, Apply) and c.op is step:
        ratio = _ratio(subtract(a, b), c.args[0])
        if ratio is not None:
            return maximum(a, b) if ratio > 0 else minimum(a, b)
    return None


def _ratio(d: Expr, u: Expr) -> Scalar | None:
    """Return k with d = k·u, for two sums; None if there is none."""
    c, v = split_content(d)
    if v is u:
        return c
    return -c if negative(v) is u else None


def fold_maximum(a: Expr, b: Expr) -> Expr | None:
    """max(z, 0) = relu(z); the arguments stand in structural order, since the order does not matter."""
    if a is b:
        return a
    for zero, other in ((a, b), (b, a)):
        if is_zero(zero):
            return relu(other)
    x, y = constant_value(a), constant_value(b)
    if x is not None and y is not None:
        return constant(max(x, y), a.shape)
    return maximum(b, a) if b.order < a.order else None


def fold_minimum(a: Expr, b: Expr) -> Expr | None:
    """min(z, 0) = −relu(−z)."""
    if a is b:
        return a
    for zero, other in ((a, b), (b, a)):
        if is_zero(zero):
            return negative(relu(negative(other)))
    x, y = constant_value(a), constant_value(b)
    if x is not None and y is not None:
        return constant(min(x, y), a.shape)
    return minimum(b, a) if b.order < a.order else None


relu: Op = Op(
    "relu(z)",
    "()->()",
    definition=lambda z: multiply(z, step(z)),
    derivative=lambda z, y: gate(z),
    because="max(0, z) passes z where z > 0 and blocks it elsewhere, so its slope is 1 or 0",
    rule="max",
    notation=Notation(text="max(0, $z)", latex=r"\max(0, $z)"),
    code=Code("$xp.maximum($z, 0)", jax="jax.nn.relu($z)", torch="$xp.relu($z)"),
    loop=Loop("zero if $z <= zero else $z"),
    kinks=lambda z: z,
    fold=homogeneous("relu", 1),
    aliases=("ReLU",),
    rational=True,
    convention="the derivative of max(0, z) at z = 0 is taken to be {kink}",
)

step: Op = Op(
    "step(z)",
    "()->()",
    derivative=lambda z, y: (None,),
    because="a step is flat on both sides, so its slope is 0 (at the jump it has none)",
    rule="step",
    notation=Notation(text="[$z > 0]", latex=r"[$z > 0]"),
    code=Code(
        "($z > 0) * 1.0",
        torch="($z > 0).to($z.dtype)",
        special=lambda known: "($z > 0).astype($z.dtype)",
        number={
            "numpy": "$xp.result_type($z).type($z > 0)",
            "jax": "$xp.asarray($z > 0, $xp.result_type($z))",
        },
    ),
    loop=Loop("one if $z > zero else zero"),
    kinks=lambda z: z,
    fold=homogeneous("step", 0),
    rational=True,
    is_gate=True,
)

absolute = Op(
    "abs(z)",
    "()->()",
    definition=lambda z: multiply(z, sign(z)),
    derivative=lambda z, y: sign(z),
    because="the slope of |z| is the sign of z",
    rule="absolute value",
    notation=Notation(text="|$z|", latex=r"\lvert $z \rvert"),
    code=Code("$xp.abs($z)"),
    loop=Loop("abs($z)"),
    kinks=lambda z: z,
    fold=homogeneous("abs", 1),
    logarithm=of_absolute,
    aliases=("absolute", "fabs"),
    rational=True,
    convention="the derivative of |z| at z = 0 is taken to be 0",
)

sign: Op = Op(
    "sign(z)",
    "()->()",
    definition=lambda z: subtract(step(z), step(negative(z))),
    derivative=lambda z, y: (None,),
    because="the sign is flat on both sides of 0",
    rule="sign",
    notation=Notation(text="sign($z)", latex=r"\operatorname{sign}($z)"),
    code=Code("$xp.sign($z)"),
    loop=Loop("one if $z > zero else -one if $z < zero else $z"),
    kinks=lambda z: z,
    fold=homogeneous("sign", 0),
    aliases=("sgn",),
    rational=True,
)

maximum = Op(
    "maximum(a, b)",
    "(),()->()",
    definition=lambda a, b: add(b, relu(subtract(a, b))),
    derivative=lambda a, b, y: (gate(subtract(a, b)), subtract(1, gate(subtract(a, b)))),
    because="the larger of the two passes, the other has no influence",
    rule="maximum",
    notation=Notation(text="max($a, $b)", latex=r"\max($a, $b)"),
    code=Code("$xp.maximum($a, $b)"),
    loop=Loop("$a if $a > $b or $a != $a else $b"),
    kinks=lambda a, b: a - b,
    fold=fold_maximum,
    aliases=("fmax",),
    rational=True,
    convention="where the two arguments of max are equal, the slope by the first is taken to be {kink}",
)

minimum = Op(
    "minimum(a, b)",
    "(),()->()",
    definition=lambda a, b: subtract(b, relu(subtract(b, a))),
    derivative=lambda a, b, y: (gate(subtract(b, a)), subtract(1, gate(subtract(b, a)))),
    because="the smaller of the two passes, the other has no influence",
    rule="minimum",
    notation=Notation(text="min($a, $b)", latex=r"\min($a, $b)"),
    code=Code("$xp.minimum($a, $b)"),
    loop=Loop("$a if $a < $b or $a != $a else $b"),
    kinks=lambda a, b: a - b,
    fold=fold_minimum,
    aliases=("fmin",),
    rational=True,
    convention="where the two arguments of min are equal, the slope by the first is taken to be {kink}",
)

where = Op(
    "where(c, a, b)",
    "(),(),()->()",
    derivative=lambda c, a, b, y: (None, truth(c), subtract(1, truth(c))),
    because="only the branch that is taken has a slope",
    rule="case split",
    notation=Notation(text="where($c, $a, $b)", latex=r"\operatorname{where}($c, $a, $b)"),
    code=Code(
        "$xp.where($c, $a, $b)",
        torch="$xp.where($c != 0, $a, $b)",
        typed=("a", "b"),
    ),
    loop=Loop("$a if $c != zero else $b"),
    fold=fold_where,
    rational=True,
)

elu = Op(
    "elu(z, a)",
    "(),()->()",
    definition=lambda z, a: where(z > 0, z, a * (CATALOGUE["exp"](z) - 1)),
    derivative=lambda z, a, y: (
        add(gate(z), multiply(subtract(1, gate(z)), add(y, a))),
        CATALOGUE["expm1"](negative(relu(negative(z)))),
    ),
    because="elu passes z where z > 0; below, its slope is a·exp(z), which is its value plus a",
    rule="elu",
    notation=Notation(text="elu($z, $a)", latex=r"\operatorname{elu}($z, $a)"),
    code=Code(
        "$xp.where($z > 0, $z, $a * $xp.expm1($xp.minimum($z, 0)))",
        torch="$xp.where($z > 0, $z, $a * $xp.expm1($xp.clamp($z, max=0)))",
    ),
    loop=Loop("$z if $z > zero else $a * fast_expm1(zero if $z > zero else $z)"),
    kinks=lambda z, a: z,
    convention="the derivative of elu at z = 0 is taken to be a + (1 − a)·{kink}",
)

stop_gradient = Op(
    "stop_gradient(z)",
    "()->()",
    derivative=lambda z, y: (None,),
    because="what stands under stop_gradient is held still: it counts as a constant",
    rule="constant by decree",
    notation=Notation(text="stop($z)", latex=r"\operatorname{stop}($z)"),
    code=Code("$z * 1", jax="jax.lax.stop_gradient($z)", torch="$z.detach()"),
    loop=Loop("$z"),
    aliases=("detach", "stop"),
    rational=True,
    is_held=True,
)

OWN = {"relu": relu, "step": step, "abs": absolute, "sign": sign}
PIECEWISE = (relu, step, absolute, sign, maximum, minimum, where, elu, stop_gradient)
