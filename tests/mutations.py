"""Wrong lines made from right ones, for the proofreader: Python's own parser takes a closed form apart, one place is
changed, and the text is read back like any reader's line. A line whose sizes do not fit together may be called "shape"
whatever was changed; the caller adds that.

Nothing here knows the proofreader. Which classes may be named for which change is fixed in `MUTATIONS`, with the reason
where it is more than one. Whether a changed line differs at all is decided by numbers that came with the problem.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Shapes = dict[str, list[str]]
Site = Iterator[tuple[ast.AST, frozenset[str]]]  # what stands at a place instead, and the classes that fit

ORDER = "element-wise or matrix product"
AXIS = "sum, mean or axis"
TWINS = {"sin": "cos", "cos": "sin", "tanh": "sigmoid", "sigmoid": "tanh", "exp": "log", "log": "exp",
         "relu": "sigmoid", "inv": None, "sqrt": None}  # fmt: skip
PRODUCTS = (ast.Mult, ast.MatMult)


@dataclass(frozen=True)
class Mutant:
    """A changed closed form: which mutation, its text, and the classes that count as right."""

    mutation: str
    text: str
    accepted: frozenset[str]


def mutants(closed_form: str, shapes: Shapes, most: int = 6) -> Iterator[Mutant]:
    """Yield the changed lines: each mutation at the places where it applies, `most` of them spread over a long line."""
    tree = ast.parse(closed_form, mode="eval")
    count = sum(1 for _ in ast.walk(tree))
    seen = {ast.unparse(tree)}
    for name, (mutate, accepted) in MUTATIONS.items():
        found: list[Mutant] = []
        for place in range(count):
            node = list(ast.walk(tree))[place]
            for new, more in mutate(node, shapes):
                changed = ast.unparse(_replaced(tree, place, new))
                if changed not in seen:
                    seen.add(changed)
                    found.append(Mutant(name, changed, frozenset(accepted) | more))
        step = max(1, -(-len(found) // most))
        yield from found[::step]


def _replaced(tree: ast.Expression, place: int, new: ast.AST) -> ast.AST:
    """A copy of the tree with another node at one place."""
    copied = copy.deepcopy(tree)
    old = list(ast.walk(copied))[place]

    class Swap(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> Any:
            return new if node is old else self.generic_visit(node)

    return ast.fix_missing_locations(Swap().visit(copied))


def plain(*nodes: ast.AST) -> Site:
    """The nodes, with no classes beside those of the mutation."""
    for node in nodes:
        yield node, frozenset()


# --- the mutations: each yields what may stand at a place instead
def drop_transpose(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield from plain(node.value)


def add_transpose(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.Name) and len(shapes.get(node.id, ())) == 2:
        yield from plain(ast.Attribute(node, "T", ast.Load()))


def flip_sign(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from plain(ast.BinOp(node.left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        yield from plain(node.operand)


def drop_factor(node: ast.AST, shapes: Shapes) -> Site:
    """What is lost is a constant if it was a number or a size, else a factor."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (*PRODUCTS, ast.Div)):
        yield node.left, classes_of_factor(node.right, shapes)
        if not isinstance(node.op, ast.Div):
            yield node.right, classes_of_factor(node.left, shapes)


def classes_of_factor(node: ast.AST, shapes: Shapes) -> frozenset[str]:
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    if not names:
        return frozenset({"constant factor"})
    sizes = {size for shape in shapes.values() for size in shape}
    return frozenset({AXIS, "constant factor"}) if names <= sizes else frozenset({"lost factor"})


def spurious_factor(node: ast.AST, shapes: Shapes) -> Site:
    """A symbol of the line comes twice."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, PRODUCTS) and isinstance(node.right, ast.Name):
        yield from plain(ast.BinOp(node, ast.Mult(), node.right))


def swap_products(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.BinOp) and isinstance(node.op, PRODUCTS):
        other = ast.MatMult() if isinstance(node.op, ast.Mult) else ast.Mult()
        yield from plain(ast.BinOp(node.left, other, node.right))


def drop_term(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield node.left, what_is_left(node.left)
        if isinstance(node.op, ast.Add):
            yield node.right, what_is_left(node.right)


def what_is_left(node: ast.AST) -> frozenset[str]:
    """Of 1 − t² only the 1 is left: then a factor is lost, not a term."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} - {"eye"}
    return frozenset({"lost factor"} if not names else ())


def sum_for_mean(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("sum", "mean"):
        other = "mean" if node.func.id == "sum" else "sum"
        yield from plain(ast.Call(ast.Name(other, ast.Load()), node.args, node.keywords))
    sizes = {size for shape in shapes.values() for size in shape}
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and ast.unparse(node.right) in sizes:
        yield from plain(node.left)


def wrong_symbol(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.Name) and node.id in shapes:
        others = [name for name, shape in shapes.items() if name != node.id and shape == shapes[node.id]]
        yield from plain(*(ast.Name(name, ast.Load()) for name in others[:2]))


def wrong_constant(node: ast.AST, shapes: Shapes) -> Site:
    """A number that multiplies."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult) and isinstance(node.left, ast.Constant):
        for value in (2 * node.left.value, node.left.value + 1):
            yield from plain(ast.BinOp(ast.Constant(value), node.op, node.right))


def wrong_exponent(node: ast.AST, shapes: Shapes) -> Site:
    """u² for u³ lacks a factor u; another exponent is another function."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and isinstance(node.right, ast.Constant):
        k = node.right.value
        yield ast.BinOp(node.left, ast.Pow(), ast.Constant(k + 1)), frozenset({"spurious factor"})
        if k > 1:
            yield ast.BinOp(node.left, ast.Pow(), ast.Constant(k - 1)), frozenset({"lost factor"})


def wrong_intermediate(node: ast.AST, shapes: Shapes) -> Site:
    """An operation reads another value: f(u) for f(v), where u is a symbol."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TWINS and node.args:
        inside = [n.id for n in ast.walk(node.args[0]) if isinstance(n, ast.Name) and n.id in shapes]
        if not isinstance(node.args[0], ast.Name):
            for name in list(dict.fromkeys(inside))[:2]:
                yield from plain(ast.Call(node.func, [ast.Name(name, ast.Load())], node.keywords))


def wrong_function(node: ast.AST, shapes: Shapes) -> Site:
    """Another operation, or none; 1 for an operation is a lost factor."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TWINS:
        twin = TWINS[node.func.id]
        yield from plain(node.args[0] if twin is None else ast.Call(ast.Name(twin, ast.Load()), node.args, []))


def wrong_axis(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.Call):
        for k, keyword in enumerate(node.keywords):
            if keyword.arg == "axis" and isinstance(keyword.value, ast.Constant):
                other = ast.keyword("axis", ast.Constant(1 - keyword.value.value))
                yield from plain(ast.Call(node.func, node.args, [*node.keywords[:k], other, *node.keywords[k + 1 :]]))


def drop_diag(node: ast.AST, shapes: Shapes) -> Site:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "diag":
        yield from plain(node.args[0])


Mutate = Callable[[ast.AST, Shapes], Site]
MUTATIONS: dict[str, tuple[Mutate, set[str]]] = {
    # A + Aᵀ becomes 2A: then the transposed term is lost
    "drop a transpose": (drop_transpose, {"transpose", "lost term"}),
    "add a transpose": (add_transpose, {"transpose", "lost term"}),
    # (a − b) for −(a + b) and the like are signs; 2A for A + B − B … is not made
    "flip a sign": (flip_sign, {"sign"}),
    "drop a factor": (drop_factor, set()),  # by what is dropped, see `classes_of_factor`
    "spurious factor": (spurious_factor, {"spurious factor"}),
    "swap ⊙ and ·": (swap_products, {ORDER}),
    # −(p pᵀ) beside diag(p) is what stands off the diagonal; of a sum that is a factor's all, a term is lost
    "drop a term": (drop_term, {"lost term", "off-diagonal terms dropped"}),
    "sum for mean": (sum_for_mean, {AXIS, "constant factor"}),
    "wrong symbol": (wrong_symbol, {"wrong symbol"}),
    "wrong constant": (wrong_constant, {"constant factor"}),
    "wrong exponent": (wrong_exponent, {"wrong function"}),
    "wrong intermediate": (wrong_intermediate, {"wrong intermediate", "wrong symbol"}),
    "wrong function": (wrong_function, {"wrong function", "wrong intermediate"}),
    "wrong axis": (wrong_axis, {AXIS}),
    # A diag(v) is A * v, entry by entry along the rows
    "drop diag": (drop_diag, {"Jacobian given as its diagonal", ORDER}),
}
