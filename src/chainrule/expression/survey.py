"""The free names of a formula, how each is written, and which of them stand where only a size can stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chainrule.errors import Span
from chainrule.syntax.tree import Binary, Bound, Call, Cases, Index, Name, Num, Sequence, Slice, Tree, Unary

# functions whose arguments are sizes, from this one on
SIZED = {  # fmt: skip
    "eye": 0,
    "ones": 0,
    "zeros": 0,
    "identity": 0,
    "selector": 0,
    "one_hot": 0,
    "strided": 0,
    "flip": 0,
    "tri": 0,
    "pair": 0,
    "reshape": 1,
    "onehot": 1,
    "arange": 0,
}
RUNNING = frozenset("ijklmn")  # letters that indices of sums have
POWERS = frozenset({"**", "matpow"})
CONSTANTS = frozenset({"pi", "True", "False", "None", "eye"})

GREEK = frozenset(  # fmt: off
    {
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "varepsilon",
        "eps",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "lam",
        "mu",
        "nu",
        "xi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "varphi",
        "chi",
        "psi",
        "omega",
    }
)  # fmt: on


@dataclass(slots=True)
class Occurrence:
    """How a name is written where it first occurs, and how many indices it carries (0: it stands alone somewhere)."""

    face: str
    span: Span
    indices: int


@dataclass(slots=True)
class Survey:
    """The free names of a formula, and the names that are sizes because of where they stand."""

    names: dict[str, Occurrence] = field(default_factory=dict)
    sizes: dict[str, Span] = field(default_factory=dict)
    exponents: set[str] = field(default_factory=set)
    positions: set[str] = field(default_factory=set)  # names that stand in an index, bound by no sum
    has_bold: bool = False


def children(tree: Tree | Slice) -> Iterator[Tree | Slice]:
    """Yield the parts of a tree."""
    if isinstance(tree, Unary):
        yield tree.argument
    elif isinstance(tree, Binary):
        yield from (tree.left, tree.right)
    elif isinstance(tree, Call):
        yield from tree.arguments
    elif isinstance(tree, Index):
        yield tree.base
    elif isinstance(tree, Bound):
        yield tree.body
    elif isinstance(tree, Cases):
        yield from (part for branch in tree.branches for part in branch if part is not None)
    elif isinstance(tree, Sequence):
        yield from tree.items


def survey(root: Tree, positions: bool = False) -> Survey:
    """Return the names of a tree, in the order of the text; with `positions` a name in an index is one of them."""
    result = Survey()
    stack: list[tuple[Tree | Slice, frozenset[str]]] = [(root, frozenset())]
    while stack:
        tree, bound = stack.pop()
        if isinstance(tree, Name):
            _note(result, tree, 0, bound)
        elif isinstance(tree, Index):
            if isinstance(tree.base, Name):
                whole = len(tree.indices) == 1 and isinstance(tree.indices[0], Slice)  # x[1:] has the axes of x
                own = sum(not (isinstance(index, Slice) and index.is_new) for index in tree.indices)
                _note(result, tree.base, 0 if whole else own, bound)
            else:
                stack.append((tree.base, bound))
            stack.extend((index, bound) for index in tree.indices if isinstance(index, Index | Call))
            _note_places(result, tree, bound, positions)
        elif isinstance(tree, Call) and tree.function in SIZED:
            first = SIZED[tree.function]
            stack.extend((part, bound) for part in tree.arguments[:first])
            for argument in tree.arguments[first:]:
                result.sizes.update({name.name: name.span for name in sized_names(argument)})
        else:
            bound |= _places(result, tree)
            stack.extend((part, bound) for part in reversed(list(children(tree))))
    return result


def sized_names(tree: Tree | Slice | None) -> Iterator[Name]:
    """Yield the names in what says a size: `n`, `(m, n)`, `n - 1`."""
    if isinstance(tree, Name):
        yield tree
    elif isinstance(tree, Slice):
        yield from (*sized_names(tree.start), *sized_names(tree.stop))
    elif isinstance(tree, Sequence | Binary | Unary):
        yield from (name for part in children(tree) for name in sized_names(part))


def _note_places(result: Survey, tree: Index, bound: frozenset[str], positions: bool) -> None:
    """The ends of a slice and places such as `n - 1` are sizes; a name that no sum binds holds positions.

    A letter such as i is taken for an index whose sum is missing.
    """
    for index in tree.indices:
        if isinstance(index, Name) and positions and index.name not in bound and index.name not in RUNNING:
            _note(result, index, 0, bound)
            result.positions.add(index.name)
        for name in () if isinstance(index, Name) else sized_names(index):
            if name.name not in bound:
                result.sizes.setdefault(name.name, name.span)


def _places(result: Survey, tree: Tree | Slice) -> frozenset[str]:
    """Note a name that stands as the end of a Σ or as an exponent; return the indices bound here."""
    if isinstance(tree, Binary) and tree.operator in POWERS and not isinstance(tree.left, Num):
        result.exponents |= {tree.right.name} if isinstance(tree.right, Name) else set()
    if not isinstance(tree, Bound):
        return frozenset()
    for name in sized_names(tree.upper):
        result.sizes.setdefault(name.name, name.span)
    return frozenset(index.name for index in tree.indices)


def _note(result: Survey, name: Name, indices: int, bound: frozenset[str]) -> None:
    if name.name in CONSTANTS or name.name in bound or is_constant_name(name):
        return
    result.has_bold |= name.face in ("bold", "vec")
    seen = result.names.setdefault(name.name, Occurrence(name.face, name.span, indices))
    seen.indices = min(seen.indices, indices)


def is_constant_name(name: Name) -> bool:
    """True for a bold 1, 0 or I: ones, zeros, the identity."""
    return name.name in ("1", "0") or (name.name == "I" and name.face in ("bold", "blackboard"))


def names_in(root: Tree) -> frozenset[str]:
    """Return every name in a tree."""
    return frozenset(survey(root).names)
