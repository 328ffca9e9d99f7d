"""The functions of the language: how many arguments each takes, how shapes go, and which constructor builds it.

Every operation of the catalogue is a function here too, by its signature. A row of the table is
`name: Function(rule, least, most, keywords)`; a rule takes the use and returns a value.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fractions import Fraction

import chainrule.expression.application as rules
import chainrule.expression.assembly as assembly
import chainrule.expression.build as build
import chainrule.expression.compositions as compositions
import chainrule.expression.gathering as gathering
import chainrule.expression.multiplication as multiplication
import chainrule.expression.selection as selection
from chainrule.errors import FormulaSyntaxError
from chainrule.expression.indexed import Context
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE, Op
from chainrule.syntax.tree import Call


@dataclass(frozen=True, slots=True)
class Function:
    """A function's rule, how many arguments it takes, and which keywords; those from `sizes` on are sizes."""

    rule: rules.Rule
    least: int
    most: int
    keywords: tuple[str, ...] = ()
    sizes: int | None = None


def _first(e: Expr) -> Expr:
    return e


_SUMS = ("axis", "keepdims")
_AXIS = ("axis",)
_ARRAY = ("dtype",)
# fmt: off
FUNCTIONS: dict[str, Function] = {
    "sum":       Function(rules.reduction(build.sum), 1, 2, _SUMS),
    "mean":      Function(rules.reduction(build.mean), 1, 2, _SUMS),
    "max":       Function(rules.extreme("maximum", "max"), 1, 9, _SUMS),
    "min":       Function(rules.extreme("minimum", "min"), 1, 9, _SUMS),
    "matrix_power": Function(assembly.matrix_power, 2, 2, sizes=1),
    "dot":       Function(rules.dotted, 2, 2),
    "inner":     Function(rules.dotted, 2, 2),
    "vdot":      Function(rules.dotted, 2, 2),
    "matmul":    Function(lambda use: multiplication.matmul(use.context, *use.values), 2, 2),
    "outer":     Function(rules.contracted("...i,...j->...ij"), 2, 2),
    "trace":     Function(rules.contracted("...ii->..."), 1, 1),
    "tr":        Function(rules.contracted("...ii->..."), 1, 1),
    "diag":      Function(rules.diagonal, 1, 1),
    "transpose": Function(rules.transposed, 1, 1),
    "var":       Function(rules.reduction(build.var), 1, 2, _SUMS),
    "std":       Function(rules.reduction(build.std), 1, 2, _SUMS),
    "norm":      Function(assembly.norm("2"), 1, 2, ("ord", "axis", "keepdims")),
    "norm1":     Function(assembly.norm("1"), 1, 1, _SUMS),
    "norm2":     Function(assembly.norm("2"), 1, 1, _SUMS),
    "norminf":   Function(assembly.norm("inf"), 1, 1, _SUMS),
    "leaky_relu": Function(assembly.leaky_relu, 1, 2, ("slope",)),
    "elu":       Function(assembly.elu, 1, 2, ("alpha",)),
    "gelu":      Function(rules.pointwise(compositions.gelu), 1, 1),
    "gelu_tanh": Function(rules.pointwise(compositions.gelu_tanh), 1, 1),
    "silu":      Function(rules.pointwise(compositions.silu), 1, 1),
    "log_sigmoid": Function(rules.pointwise(compositions.log_sigmoid), 1, 1),
    "exp2":      Function(rules.pointwise(compositions.exp2), 1, 1),
    "log2":      Function(rules.pointwise(compositions.log2), 1, 1),
    "log10":     Function(rules.pointwise(compositions.log10), 1, 1),
    "hypot":     Function(rules.pointwise(compositions.hypot), 2, 2),
    "logaddexp": Function(rules.pointwise(compositions.logaddexp), 2, 2),
    "clip":      Function(rules.pointwise(build.clip), 3, 3),
    "log_softmax": Function(rules.of_last_axis(compositions.log_softmax), 1, 1, _AXIS),
    "layernorm": Function(assembly.normalisation(compositions.layernorm), 1, 3, (*_AXIS, "eps")),
    "rmsnorm":   Function(assembly.normalisation(compositions.rmsnorm), 1, 3, (*_AXIS, "eps")),
    "batchnorm": Function(assembly.batch_normalisation, 1, 3, ("eps",)),
    "cross_entropy": Function(assembly.cross_entropy, 2, 2),
    "solve":     Function(assembly.solve, 2, 2),
    "einsum":    Function(assembly.einsum, 1, 40, ("subscripts",)),
    "vec":       Function(assembly.vec, 1, 1),
    "ravel":     Function(assembly.ravel, 1, 1),
    "flatten":   Function(assembly.ravel, 1, 1),
    "reshape":   Function(assembly.reshaped, 2, 3, sizes=1),
    "kron":      Function(assembly.kron, 2, 2),
    "onehot":    Function(gathering.hot_rows, 2, 2, sizes=1),
    "take":      Function(gathering.taken_rows, 2, 3, _AXIS),
    "take_along_axis": Function(gathering.taken_along, 2, 3, _AXIS),
    "arange":    Function(gathering.running_places, 1, 1, sizes=0),
    "cumsum":    Function(assembly.cumulative, 1, 1, _AXIS),
    "tril":      Function(assembly.triangle(selection.tril), 1, 2, ("k",)),
    "triu":      Function(assembly.triangle(selection.triu), 1, 2, ("k",)),
    "concatenate": Function(assembly.joined(0), 1, 9, _AXIS),
    "hstack":    Function(assembly.joined(1), 1, 9),
    "vstack":    Function(assembly.joined(0, stacks=True), 1, 9),
    "stack":     Function(assembly.stacked, 1, 9, _AXIS),
    "abs":       Function(rules.absolute, 1, 1),
    "sqrt":      Function(rules.pointwise(lambda e: build.power(e, Fraction(1, 2))), 1, 1),
    "square":    Function(rules.pointwise(lambda e: build.power(e, 2)), 1, 1),
    "power":     Function(rules.pointwise(build.power), 2, 2),
    "add":       Function(rules.pointwise(build.add), 2, 2),
    "subtract":  Function(rules.pointwise(build.subtract), 2, 2),
    "multiply":  Function(rules.pointwise(build.multiply), 2, 2),
    "divide":    Function(rules.pointwise(build.divide), 2, 2),
    "negative":  Function(rules.pointwise(build.negative), 1, 1),
    "reciprocal": Function(rules.pointwise(lambda e: build.divide(1, e)), 1, 1),
    "indicator": Function(rules.pointwise(_first), 1, 1),
    "ones":      Function(rules.filled(build.ones, 1), 0, 9, _ARRAY, sizes=0),
    "zeros":     Function(rules.filled(build.zeros, 1), 0, 9, _ARRAY, sizes=0),
    "eye":       Function(rules.eye, 0, 2, _ARRAY, sizes=0),
    "identity":  Function(rules.eye, 0, 1, _ARRAY, sizes=0),
    "vector":    Function(rules.repeated(1), 1, 1),
    "matrix":    Function(rules.repeated(2), 1, 1),
}
# fmt: on


def function_names() -> frozenset[str]:
    """Every name that can be called: the language's own and the catalogue's."""
    return frozenset(FUNCTIONS) | frozenset(CATALOGUE)


def find(context: Context, call: Call) -> Function:
    """Return the function that is called, its arguments counted and its keywords checked.

    Raises: FormulaSyntaxError naming the nearest function, or saying how many arguments or which keywords it takes.
    """
    name = call.function
    function = FUNCTIONS.get(name) or (_of_op(CATALOGUE[name]) if name in CATALOGUE else None)
    if function is None:
        raise _unknown_function(context, call)
    count = len(call.arguments)
    if not function.least <= count <= function.most:
        few = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
        raise FormulaSyntaxError(
            f"{name} takes {few} argument{'' if few == '1' else 's'}",
            text=context.text,
            spans=(call.span,),
            expected=CATALOGUE[name].spelling if name in CATALOGUE else few,
            found=str(count),
        )
    for key, tree in call.keywords:
        if key not in function.keywords:
            allowed = ", ".join(function.keywords) or "no keyword"
            spans = (call.mark, tree.span)
            raise FormulaSyntaxError(
                f"{name} does not take {key}=", text=context.text, spans=spans, expected=allowed, found=f"{key}="
            )
    return function


def _of_op(op: Op) -> Function:
    count = len(op.parameters)
    if op.extents:
        return Function(assembly.constants(op), len(op.places), len(op.places), sizes=0)
    if op.signature == "(n)->()":
        return Function(rules.by_signature(op), 1, 2, _SUMS)
    if op.signature == "(n)->(n)":
        return Function(rules.by_signature(op), 1, 1, _AXIS)
    return Function(rules.by_signature(op), count, count)


def _unknown_function(context: Context, call: Call) -> FormulaSyntaxError:
    names = sorted(function_names())
    near = difflib.get_close_matches(call.function, names, n=1, cutoff=0.6)
    return FormulaSyntaxError(
        f"there is no function {call.function}",
        text=context.text,
        spans=(call.mark,),
        expected="a function such as relu, exp, sum, norm",
        found=call.function,
        hint=f"did you mean {near[0]}?" if near else "write * for a product",
    )
