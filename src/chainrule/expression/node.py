"""The eight kinds of node. Every node is immutable and interned: equal means identical.

These classes only hold and intern. What makes a product or a sum canonical is in
`product.py` and `total.py`; user-facing constructors are in `build.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, cast
from weakref import WeakValueDictionary

from chainrule.errors import DomainError, ShapeError
from chainrule.expression.budget import spend
from chainrule.expression.operators import Operators
from chainrule.expression.shape import Scalar, Shape, Size, show_shape

try:  # `hashlib` loads OpenSSL first, which takes longer than everything else in this module
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

if TYPE_CHECKING:
    from chainrule.expression.op import Op

MAX_DEPTH = 300  # every pass may recurse this deep without meeting Python's own limit

Subscripts = tuple[int, ...]
Order = tuple[int, str, bytes]

_pool: WeakValueDictionary[tuple[object, ...], Expr] = WeakValueDictionary()
_lock = threading.Lock()


class Expr(Operators):
    """An expression: a function of its symbols, with a shape. Made by constructors and operators, never changed.

    `shape` is a tuple of sizes; `args` are the parts; `symbols` maps the names that occur to their `Symbol`s;
    `order` sorts expressions by structure, the same in every process.
    """

    __slots__ = ("__weakref__", "_symbols", "args", "depth", "order", "shape")

    kind: ClassVar[str] = "expression"
    rank: ClassVar[int] = 0  # place of the kind in the structural order
    views: ClassVar[Any]  # the ways to look at an expression (text, LaTeX, numbers), which rooms below provide

    shape: Shape
    args: tuple[Expr, ...]
    order: Order
    depth: int
    _symbols: Mapping[str, Symbol] | None

    @property
    def symbols(self) -> Mapping[str, Symbol]:
        """The symbols that occur, by name."""
        return self._symbols if self._symbols is not None else {cast(Symbol, self).name: cast(Symbol, self)}

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    # what it looks like and what it is worth
    def __str__(self) -> str:
        return cast("str", self.views.text(self))

    def __repr__(self) -> str:
        return f"<{self.kind} {show_shape(self.shape)}: {self}>"

    def to_latex(self) -> str:
        """Write the expression in LaTeX."""
        return cast(str, self.views.latex(self))

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.to_latex()}$"

    def eval(self, **values: Any) -> Any:
        """Return the value at `values`, one array for each symbol (a symbol that dropped out may still be passed)."""
        return self.views.value(self, values)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_remake, (type(self).__name__, self._fields()))

    def _fields(self) -> tuple[Any, ...]:
        raise NotImplementedError


def _remake(kind: str, fields: tuple[Any, ...]) -> Expr:
    return _KINDS[kind](*fields)


def _intern(key: tuple[object, ...], make: Callable[[], Expr]) -> Expr:
    """Return the one node with this key, made under the lock if it does not exist yet."""
    node = _pool.get(key)
    if node is not None:
        return node
    with _lock:
        node = _pool.get(key)
        if node is None:
            spend()
            node = make()
            _pool[key] = node
        return node


def _fill(node: Expr, shape: Shape, args: tuple[Expr, ...], label: str, extra: str = "") -> Expr:
    """Set what every kind has. The digest makes `order` the same in every process and independent of creation order."""
    node.shape = shape
    node.args = args
    node.depth = 1 + max((arg.depth for arg in args), default=0)
    if node.depth > MAX_DEPTH:
        raise DomainError(
            f"the expression is nested more than {MAX_DEPTH} operations deep",
            hint="name an intermediate result and differentiate in parts",
        )
    digest = blake2b(f"{label}|{extra}|{shape}".encode(), digest_size=8)
    for arg in args:
        digest.update(bytes([arg.rank]))
        digest.update(arg.order[2])
    node.order = (node.rank, label, digest.digest())
    node._symbols = _merged_symbols(args)
    return node


def _merged_symbols(args: tuple[Expr, ...]) -> Mapping[str, Symbol]:
    merged: Mapping[str, Symbol] = {}
    for arg in args:
        mine = arg.symbols
        if mine is merged or not mine:
            continue
        if not merged:
            merged = mine
            continue
        for name in mine.keys() & merged.keys():
            if mine[name] is not merged[name]:
                a, b = show_shape(merged[name].shape), show_shape(mine[name].shape)
                raise ShapeError(f"the symbol {name} stands for two things", found=f"{name} : {a} and {name} : {b}")
        if not mine.keys() <= merged.keys():
            merged = {**merged, **mine}
    return merged


class Symbol(Expr):
    """A variable: a name, a shape and facts about it (`symmetric`, `diagonal`, `positive` …)."""

    __slots__ = ("facts", "name")
    kind, rank = "symbol", 2
    name: str
    facts: frozenset[str]

    def __new__(cls, name: str, shape: Shape = (), facts: frozenset[str] = frozenset()) -> Symbol:
        def make() -> Expr:
            node = object.__new__(cls)
            node.name, node.facts = name, facts
            _fill(node, shape, (), name, " ".join(sorted(facts)))
            node._symbols = None
            return node

        return cast(Symbol, _intern((cls, name, shape, facts), make))

    def _fields(self) -> tuple[Any, ...]:
        return (self.name, self.shape, self.facts)


class Number(Expr):
    """A scalar constant: an integer, an exact fraction, or a float."""

    __slots__ = ("value",)
    kind, rank = "number", 0
    value: Scalar

    def __new__(cls, value: Scalar) -> Number:
        def make() -> Expr:
            node = object.__new__(cls)
            node.value = value
            return _fill(node, (), (), str(value))

        return cast(Number, _intern((cls, value), make))

    def _fields(self) -> tuple[Any, ...]:
        return (self.value,)


class Dimension(Expr):
    """A size used as a scalar: the `N` of `1/N`. (The design's kind `Size`.)"""

    __slots__ = ("size",)
    kind, rank = "size", 1
    size: str

    def __new__(cls, size: str) -> Dimension:
        def make() -> Expr:
            node = object.__new__(cls)
            node.size = size
            return _fill(node, (), (), size)

        return cast(Dimension, _intern((cls, size), make))

    def _fields(self) -> tuple[Any, ...]:
        return (self.size,)


class Ones(Expr):
    """All ones. Scalar expansion is a product with it: `1⃗ b`."""

    __slots__ = ()
    kind, rank = "ones", 3

    def __new__(cls, shape: Shape) -> Ones:
        return cast(Ones, _intern((cls, shape), lambda: _fill(object.__new__(cls), shape, (), "1")))

    def _fields(self) -> tuple[Any, ...]:
        return (self.shape,)


class Identity(Expr):
    """The identity matrix of one size."""

    __slots__ = ()
    kind, rank = "identity", 4

    def __new__(cls, size: Size) -> Identity:
        return cast(Identity, _intern((cls, size), lambda: _fill(object.__new__(cls), (size, size), (), "I")))

    def _fields(self) -> tuple[Any, ...]:
        return (self.shape[0],)


class Einsum(Expr):
    """A product of factors summed over the indices that `output` lacks. `product.einsum` makes it canonical."""

    __slots__ = ("output", "subscripts")
    kind, rank = "product", 6
    subscripts: tuple[Subscripts, ...]
    output: Subscripts

    def __new__(cls, args: tuple[Expr, ...], subscripts: tuple[Subscripts, ...], output: Subscripts) -> Einsum:
        def make() -> Expr:
            node = object.__new__(cls)
            node.subscripts, node.output = subscripts, output
            return _fill(node, shape, args, args[0].order[1], f"{subscripts}{output}")

        sizes = {i: s for arg, sub in zip(args, subscripts, strict=True) for i, s in zip(sub, arg.shape, strict=True)}
        shape = tuple(sizes[i] for i in output)
        return cast(Einsum, _intern((cls, args, subscripts, output), make))

    @property
    def sizes(self) -> dict[int, Size]:
        """The size of each index."""
        pairs = zip(self.args, self.subscripts, strict=True)
        return {i: size for arg, sub in pairs for i, size in zip(sub, arg.shape, strict=True)}

    @property
    def summed(self) -> set[int]:
        """The indices that are summed over."""
        return {i for sub in self.subscripts for i in sub} - set(self.output)

    def _fields(self) -> tuple[Any, ...]:
        return (self.args, self.subscripts, self.output)


class Add(Expr):
    """A linear combination of terms of one shape. Use `total.add_terms`, which collects like terms."""

    __slots__ = ("coefficients",)
    kind, rank = "sum", 7
    coefficients: tuple[Scalar, ...]

    def __new__(cls, coefficients: tuple[Scalar, ...], terms: tuple[Expr, ...], shape: Shape) -> Add:
        def make() -> Expr:
            node = object.__new__(cls)
            node.coefficients = coefficients
            label = terms[0].order[1] if terms else "0"
            return _fill(node, shape, terms, label, str(coefficients))

        return cast(Add, _intern((cls, coefficients, terms, shape), make))

    def _fields(self) -> tuple[Any, ...]:
        return (self.coefficients, self.args, self.shape)


class Apply(Expr):
    """An operation applied to arguments. Use `op(...)`, which broadcasts and folds constants."""

    __slots__ = ("op",)
    kind, rank = "function", 5
    op: Op

    def __new__(cls, op: Op, args: tuple[Expr, ...], shape: Shape) -> Apply:
        def make() -> Expr:
            node = object.__new__(cls)
            node.op = op
            return _fill(node, shape, args, op.name)

        return cast(Apply, _intern((cls, op, args, shape), make))

    def _fields(self) -> tuple[Any, ...]:
        return (self.op, self.args, self.shape)


_KINDS: dict[str, Callable[..., Expr]] = {
    kind.__name__: kind for kind in (Symbol, Number, Dimension, Ones, Identity, Einsum, Add, Apply)
}

ZERO = Number(0)
ONE = Number(1)


def zeros(shape: Shape) -> Expr:
    """Return the zero of a shape: the empty sum."""
    return Add((), (), shape) if shape else ZERO


def is_zero(e: Expr) -> bool:
    """True for the empty sum and the number 0."""
    return e is ZERO or (isinstance(e, Add) and not e.args)


def depends_on(e: Expr, x: Expr) -> bool:
    """True if `x` occurs in `e`."""
    if isinstance(x, Symbol):
        return e.symbols.get(x.name) is x
    return any(node is x for node in walk(e))


def walk(*roots: Expr, known: Container[Expr] = ()) -> list[Expr]:
    """Return every distinct node below the roots, parts before wholes; what is in `known` is left out whole."""
    seen: set[Expr] = set()
    result: list[Expr] = []
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(roots) if root not in known]
    while stack:
        node, done = stack.pop()
        if done:
            result.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args) if arg not in seen and arg not in known)
    return result
