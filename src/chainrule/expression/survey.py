"""The free names of a formula, how each is written, and which of them stand where only a size can stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from chainrule.errors import Span
from chainrule.syntax.tree import Binary, Bound, Call, Cases, Index, Name, Num, Sequence, Slice, Tree, Unary

SIZED = frozenset({"eye", "ones", "zeros", "identity"})  # functions whose arguments are sizes
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
        yield from (tree.base, *tree.indices)
    elif isinstance(tree, Bound):
        yield tree.body
    elif isinstance(tree, Cases):
        yield from (part for branch in tree.branches for part in branch if part is not None)
    elif isinstance(tree, Sequence):
        yield from tree.items


def survey(root: Tree) -> Survey:
    """Return the names of a tree, in the order of the text."""
    result = Survey()
    stack: list[tuple[Tree | Slice, frozenset[str]]] = [(root, frozenset())]
    while stack:
        tree, bound = stack.pop()
        if isinstance(tree, Name):
            _note(result, tree, 0, bound)
        elif isinstance(tree, Index) and isinstance(tree.base, Name):
            _note(result, tree.base, len(tree.indices), bound)
        elif isinstance(tree, Call) and tree.function in SIZED:
            listed = [p for part in tree.arguments for p in (part.items if isinstance(part, Sequence) else (part,))]
            result.sizes.update({p.name: p.span for p in listed if isinstance(p, Name)})
        else:
            bound |= _places(result, tree)
            stack.extend((part, bound) for part in reversed(list(children(tree))))
    return result


def _places(result: Survey, tree: Tree | Slice) -> frozenset[str]:
    """Note a name that stands as the end of a Σ or as an exponent; return the indices bound here."""
    if isinstance(tree, Binary) and tree.operator in POWERS and not isinstance(tree.left, Num):
        result.exponents |= {tree.right.name} if isinstance(tree.right, Name) else set()
    if not isinstance(tree, Bound):
        return frozenset()
    if isinstance(tree.upper, Name):
        result.sizes.setdefault(tree.upper.name, tree.upper.span)
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
