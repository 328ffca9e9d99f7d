"""Random expressions of moderate size, with declared shapes: the material of the property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from chainrule.expression.build import diag, dot, matrix, mean, outer, scalar, sum, trace, transpose, vector
from chainrule.expression.node import Expr
from chainrule.expression.op import CATALOGUE

SHAPES = {"a": (), "c": (), "x": ("n",), "z": ("n",), "y": ("m",), "A": ("m", "n"), "B": ("n", "n")}
SIZES = {"n": 3, "m": 4}
a, c = scalar("a"), scalar("c")
x, z, y = vector("x", "n"), vector("z", "n"), vector("y", "m")
A, B = matrix("A", "m", "n"), matrix("B", "n", "n")
LEAVES = {(): [a, c], ("n",): [x, z], ("m",): [y], ("m", "n"): [A], ("n", "n"): [B]}
SMOOTH = [CATALOGUE[name] for name in ("sin", "cos", "tanh", "sigmoid", "softplus", "arctan")]
KINKED = [CATALOGUE[name] for name in ("relu", "abs")]


def scalars(draw: st.DrawFn, depth: int) -> Expr:
    """A scalar made from parts of other shapes."""
    part = lambda shape: draw(expressions(shape, depth - 1))  # noqa: E731
    choice = draw(st.integers(0, 5))
    if choice == 0:
        return dot(part(("n",)), part(("n",)))
    if choice == 1:
        return sum(part(draw(st.sampled_from([("n",), ("m", "n")]))))
    if choice == 2:
        return mean(part(("m",)))
    if choice == 3:
        return trace(part(("n", "n")))
    if choice == 4:
        return part(("n",)) @ part(("n", "n")) @ part(("n",))
    return CATALOGUE["logsumexp"](part(("n",)))


def vectors(draw: st.DrawFn, depth: int, size: str) -> Expr:
    """A vector made from parts of other shapes."""
    part = lambda shape: draw(expressions(shape, depth - 1))  # noqa: E731
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return part(("m", "n")) @ part(("n",)) if size == "m" else part(("m",)) @ part(("m", "n"))
    if choice == 1:
        return sum(part(("m", "n")), axis=1 if size == "m" else 0)
    if choice == 2 and size == "n":
        return diag(part(("n", "n")))
    return part((size,)) * part(())


def matrices(draw: st.DrawFn, depth: int, shape: tuple[str, str]) -> Expr:
    """A matrix made from parts of other shapes."""
    part = lambda wanted: draw(expressions(wanted, depth - 1))  # noqa: E731
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return outer(part((shape[0],)), part((shape[1],)))
    if choice == 1 and shape == ("n", "n"):
        return draw(st.sampled_from([lambda: diag(part(("n",))), lambda: transpose(part(shape))]))()
    if choice == 2:
        return part(shape) @ part(("n", "n"))
    return part(shape) + part(("n",))


@st.composite
def expressions(draw: st.DrawFn, shape: tuple[str, ...] = (), depth: int = 3, kinks: bool = True) -> Expr:
    """An expression of a shape, up to `depth` operations deep."""
    if depth <= 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(LEAVES[shape]))
    same = lambda: draw(expressions(shape, depth - 1))  # noqa: E731
    choice = draw(st.integers(0, 6))
    if choice == 0:
        return same() + same()
    if choice == 1:
        return same() - draw(st.sampled_from([2, 3, 1])) * same()
    if choice == 2:
        return same() * same()
    if choice == 3:
        return draw(st.sampled_from(SMOOTH + (KINKED if kinks else [])))(same())
    if choice == 4:
        return same() ** draw(st.sampled_from([2, 3])) / draw(st.sampled_from([1, 2, 5]))
    if not shape:
        return scalars(draw, depth)
    return vectors(draw, depth, shape[0]) if len(shape) == 1 else matrices(draw, depth, shape)
