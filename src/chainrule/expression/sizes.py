"""Sizes that are not known yet: variables which unify, remember where they came from, and get a name at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count

from chainrule.errors import Span
from chainrule.expression.extent import minus, names_of, plus
from chainrule.expression.shape import Shape, Size

MATRIX_NAMES = ("m", "n", "p", "q", "k", "r", "s", "t")
VECTOR_NAMES = ("n", "m", "p", "q", "k", "r", "s", "t")
DATA = "X"  # the matrix whose rows are the samples and whose columns are the features


@dataclass(eq=False, slots=True)
class SizeVariable:
    """The length of an axis: known (`value`), or another one's plus `shift` (`parent`), or made of others, or free."""

    value: Size | None = None
    span: Span | None = None  # where a known size was said
    parent: SizeVariable | None = None
    shift: int = 0
    parts: tuple[SizeVariable, ...] = ()
    combine: Callable[..., Size] | None = None  # of the parts

    @property
    def anchor(self) -> tuple[SizeVariable, int]:
        """The variable that this one is equal to, up to a number, and that number."""
        node, shift = self, 0
        while node.parent is not None:
            node, shift = node.parent, shift + node.shift
        return node, shift

    @property
    def root(self) -> SizeVariable:
        """The variable that stands for all that are equal up to a number."""
        return self.anchor[0]

    @property
    def size(self) -> Size:
        """The size, known once inference has ended."""
        value = self.known
        if value is None:
            raise RuntimeError("a size was asked for before it was inferred")
        return value

    @property
    def known(self) -> Size | None:
        """The size, or None while it is free."""
        root, shift = self.anchor
        value = root.value
        if value is None and root.combine is not None:
            known = [part.known for part in root.parts]
            value = None if None in known else root.combine(*known)
        return None if value is None else plus(value, shift) if shift else value

    @property
    def is_free(self) -> bool:
        """True while nothing is known, not even what it is made of."""
        return self.root.value is None and self.root.combine is None


Axes = tuple[SizeVariable, ...]


def unify(a: SizeVariable, b: SizeVariable) -> bool:
    """Make two sizes equal; False if they are known to differ."""
    (x, i), (y, j) = a.anchor, b.anchor
    if x is y:
        return i == j
    if x.is_free:
        x.parent, x.shift = y, j - i
    elif y.is_free:
        y.parent, y.shift = x, i - j
    elif a.known is not None and b.known is not None:
        return a.known == b.known
    elif x.combine is not None and x.combine is y.combine and i == j:
        return all(unify(p, q) for p, q in zip(x.parts, y.parts, strict=True))
    return True  # what is not known yet shows when the parts are built


def shifted(a: SizeVariable, by: int) -> SizeVariable:
    """Return the size a + by."""
    return SizeVariable(parent=a, shift=by) if by else a


def combined(combine: Callable[..., Size], *parts: SizeVariable) -> SizeVariable:
    """Return a size made of others, such as m·n."""
    return SizeVariable(parts=parts, combine=combine)


def difference(a: SizeVariable, b: SizeVariable) -> SizeVariable:
    """Return the size a − b."""
    (x, i), (y, j) = a.anchor, b.anchor
    if x is y:
        return SizeVariable(i - j)
    return shifted(a, -b.known) if isinstance(b.known, int) else combined(minus, a, b)


def shape_of(axes: Iterable[SizeVariable]) -> Shape:
    """Return the sizes of axes that are all known."""
    return tuple(axis.size for axis in axes)


def show_axes(axes: Axes) -> str:
    """Write axes for people, `?` where a size is free."""
    return "×".join("?" if axis.known is None else str(axis.known) for axis in axes) or "scalar"


@dataclass(slots=True)
class Sizes:
    """All sizes of one formula."""

    named: dict[Size, SizeVariable] = field(default_factory=dict)
    free: list[SizeVariable] = field(default_factory=list)

    def fresh(self) -> SizeVariable:
        """Return a size of which nothing is known."""
        variable = SizeVariable()
        self.free.append(variable)
        return variable

    def of(self, value: Size, span: Span | None = None) -> SizeVariable:
        """Return the size of that name or number."""
        for name in names_of(value):
            self.named.setdefault(name, SizeVariable(name, span))
        return self.named.setdefault(value, SizeVariable(value, span))


def tie(name: str, symbols: Mapping[str, Axes], summed: Axes, sizes: Sizes) -> bool:
    """Let a size that the formula uses as a number be the rows of X, or what its first sum runs over, or else the rows
    of its first matrix, or the entries of its first vector; False if no such axis is free."""
    if name in sizes.named:
        return True
    largest_first = sorted((axes for axes in symbols.values() if axes), key=len, reverse=True)
    data = symbols.get(DATA, ())
    candidates = (*data[: len(data) - 1], *summed, *(axes[0] for axes in largest_first))
    free = next((axis for axis in candidates if axis.is_free), None)
    return free is not None and unify(free, sizes.of(name))


def name_sizes(symbols: Mapping[str, Axes], sizes: Sizes) -> None:
    """Name every free size as textbooks do: X is N×d, other matrices m×n, a vector has n entries."""
    taken = {str(value) for value in sizes.named} | set(symbols)

    def give(axis: SizeVariable, wishes: Iterable[str]) -> None:
        if axis.is_free:
            spare = (f"n{k}" for k in count(1))
            name = next(wish for wish in chain(wishes, spare) if wish not in taken)
            taken.add(name)
            unify(axis.root, sizes.of(name))

    matrices = sorted((item for item in symbols.items() if len(item[1]) > 1), key=lambda item: item[0] != DATA)
    for name, axes in matrices:
        if axes[0].root is axes[1].root:
            give(axes[0], VECTOR_NAMES)
        for axis, wish in zip(axes, ("N", "d"), strict=False):
            give(axis, (wish, *MATRIX_NAMES) if name == DATA else MATRIX_NAMES)
        for axis in axes[2:]:
            give(axis, MATRIX_NAMES)
    for axis in chain(*symbols.values(), sizes.free):
        give(axis, VECTOR_NAMES)
