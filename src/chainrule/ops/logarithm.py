"""What the logarithm of an expression is, where that is an operation of its own.

log(det A) is the log-determinant, and the logarithm of a written-out softmax that of the softmax: neither may go by way
of the number inside, which overflows where its logarithm does not. And x ln y is 0 at x = 0, the limit of x ln x.
"""

from __future__ import annotations

from chainrule.expression.build import divide, multiply, sum, transpose
from chainrule.expression.node import Apply, Einsum, Expr
from chainrule.expression.op import CATALOGUE, Code, Loop, Notation, Op


def logarithm_of(z: Expr) -> Expr | None:
    """Return log z if the operation of `z` says what its logarithm is, or if `z` is a softmax written out."""
    if isinstance(z, Apply) and z.op.logarithm:
        return z.op.logarithm(*z.args)
    if isinstance(z, Einsum):
        found = written_softmax(z)
        return None if found is None else CATALOGUE["log"](found)
    return None


def of_absolute(z: Expr) -> Expr | None:
    """Return log |z|: an operation's logarithm is that of its absolute value."""
    return z.op.logarithm(*z.args) if isinstance(z, Apply) and z.op.logarithm else None


def written_softmax(z: Einsum) -> Expr | None:
    """Return softmax(u) along an axis if `z` is exp(u)/Σ exp(u), else None."""
    if len(z.args) != 2:
        return None
    for arg, sub in zip(z.args, z.subscripts, strict=True):
        if not (isinstance(arg, Apply) and arg.op is CATALOGUE["exp"] and sorted(sub) == sorted(z.output)):
            continue
        order = [sub.index(i) for i in z.output]
        e, u = transpose(arg, order), transpose(arg.args[0], order)
        for axis in range(z.ndim):
            if divide(e, sum(e, axis, keepdims=True)) is z:
                return _softmax_along(u, axis)
    return None


def _softmax_along(u: Expr, axis: int) -> Expr:
    others = [k for k in range(u.ndim) if k != axis]
    back = [*range(axis), u.ndim - 1, *range(axis, u.ndim - 1)]
    return transpose(CATALOGUE["softmax"](transpose(u, [*others, axis])), back)


xlogy = Op(
    "xlogy(x, y)",
    "(),()->()",
    definition=lambda x, y: multiply(x, CATALOGUE["log"](y)),
    derivative=lambda x, y, z: (CATALOGUE["log"](y), divide(x, y)),
    because="x ln(y) moves with x by ln(y) and with y by x/y",
    rule="logarithm",
    notation=Notation(text="$x ln($y)", latex=r"$x \ln($y)", binding="product"),
    loop=Loop("zero if $x == zero else $x * fast_log($y)"),
    code=Code("$xp.where($x == 0, 0, $x * $xp.log($xp.where($x == 0, 1, $y)))"),
    domain=lambda x, y: y,
)

LOGARITHM = (xlogy,)
