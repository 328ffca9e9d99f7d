"""What is known of an operation, in one record; and the catalogue of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from string import Template
from typing import TYPE_CHECKING, Any, cast

import numpy

if TYPE_CHECKING:
    from chainrule.expression.node import Expr


@dataclass(frozen=True, slots=True)
class Notation:
    """How an application is written, with `$z` for the argument named z. Empty: the name with its arguments."""

    text: str = ""
    latex: str = ""
    binding: str = "call"  # which level of the precedence table the whole has: "call", "power", "product" …


@dataclass(frozen=True, slots=True)
class Code:
    """How an application is computed, with `$z` for an argument and `$xp` for the array module; one line a language.

    A language without a line of its own is written as NumPy is. `helper` is a function that a line calls, where one
    line is not enough, or several; a line gives it the module as `xp`. `special` is given the arguments that are known
    numbers, by name, and returns a faster line for them, or "". `less` are the lines for z − f(z), by language, and
    `number` those for what has no axes, be it a Python number. `typed` are the arguments that give the result its type
    where the others do not: if all of them are numbers, they have to be told theirs.

    Where a language has loops, entries are computed by `Loop`. An array of zeros and ones has `entry` instead: what is
    true of the indices `$0`, `$1` … (`$last` the last) where it is 1. For a function of whole arrays `numba` is its
    line and `c` the name of a function in `compile/c_functions.py`.
    """

    numpy: str
    numba: str = ""
    c: str = ""
    entry: str = ""
    jax: str = ""
    torch: str = ""
    helper: Callable[..., Any] | tuple[Callable[..., Any], ...] = ()
    special: Callable[[Mapping[str, Any]], str] | None = None
    less: Mapping[str, str] = field(default_factory=dict)
    number: Mapping[str, str] = field(default_factory=dict)
    typed: tuple[str, ...] = ()

    @property
    def helpers(self) -> tuple[Callable[..., Any], ...]:
        """The functions that lines call."""
        return self.helper if isinstance(self.helper, tuple) else (self.helper,)

    def line(self, language: str, known: Mapping[str, Any], is_number: bool = False) -> str:
        """Return the line for a language, given the arguments that are known numbers, and if all are numbers."""
        if is_number and language in self.number:
            return self.number[language]
        own = getattr(self, language) if language != "numpy" else ""
        return own or (self.special(known) if self.special else "") or self.numpy


@dataclass(frozen=True, slots=True)
class Gather:
    """How one number is made of many, in a loop: where it starts, and how `$acc` takes up `$z`.

    If LLVM vectorises that only in another form, `start`, `update` and `finish` go by way of that form. `of_none` says
    whether there is a number that is made of none, as 1 is the product of no factors.
    """

    first: str
    pair: str
    start: str = ""
    update: str = ""
    finish: str = "$acc"
    of_none: bool = True


@dataclass(frozen=True, slots=True)
class Loop:
    """How an application is computed on numbers, in a compiled loop: `zero` and `one` have their type.

    A line may call the functions of `compile.scalars`. `special` is given the arguments that are known numbers, by
    name, and returns a faster line for them, or "". An operation on a whole axis has `gather` if it goes through the
    entries once, or `recipe`: the same function of operations that have one of these, stable in floating point.
    """

    line: str = ""
    special: Callable[[Mapping[str, Any]], str] | None = None
    gather: Gather | None = None
    recipe: Callable[..., Expr] | None = None

    def written(self, known: Mapping[str, Any]) -> str:
        """Return the line for these known arguments; "" if there is none."""
        return (self.special(known) if self.special else "") or self.line


@dataclass(frozen=True, slots=True)
class Signature:
    """A gufunc signature: names of the core axes of each argument and of the result. Leading axes are batch axes."""

    inputs: tuple[tuple[str, ...], ...]
    output: tuple[str, ...]

    @property
    def is_elementwise(self) -> bool:
        """True if the operation works entry by entry."""
        return not self.output and not any(self.inputs)


def read_signature(text: str) -> Signature:
    """Read `"(n),(n)->()"`."""
    left, right = text.split("->")
    groups = [group.strip("()") for group in left.replace("),(", ")|(").split("|") if group]
    axes = [tuple(axis for axis in group.split(",") if axis) for group in groups]
    return Signature(tuple(axes), tuple(axis for axis in right.strip("()").split(",") if axis))


LocalJacobian = Callable[..., Any]  # (*arguments, y) -> one Expr per argument


@dataclass(frozen=True, eq=False, slots=True)
class Op:
    """One operation: everything known about it, in one place.

    `spelling` is `"relu(z)"`. `derivative(*arguments, y)` gives one local Jacobian per argument, an expression of
    shape batch + output core + that argument's core (element-wise: its diagonal, the shape of `z`); None where it is
    zero. An operation of one argument may return the expression itself. `definition` says the same function in our own
    language; None marks an axiom. `domain(*values)` gives numbers that must be positive for the value to exist, and
    `kinks(*values)` numbers whose zeros are the points where the derivative is a convention. `fold` may return a
    simpler equal expression at construction, or None. `logarithm(*arguments)` is log |y| where that is an
    operation of its own, as for a determinant. `pullback(*arguments, y, adjoint)` is what the local Jacobians make of
    the adjoint of `y` (which may have more leading axes), where that is shorter than they are.

    An axis of the output that no argument has, as in `"()->(k,n)"`, has a size that is said when the array is made with
    `of_shape`; its arguments are whole numbers, or positions (leading axes are batch axes as ever). `code` may use the
    axes' names, and `dtype`; `fold` is told the shape first.
    """

    spelling: str
    signature: str
    derivative: LocalJacobian
    because: str
    rule: str
    code: Code
    loop: Loop = Loop()
    definition: Callable[..., Expr] | None = None
    notation: Notation = Notation()
    domain: Callable[..., Any] | None = None
    kinks: Callable[..., Any] | None = None
    fold: Callable[..., Expr | None] | None = None
    logarithm: Callable[..., Expr | None] | None = None
    pullback: Callable[..., tuple[Expr, ...]] | None = None
    aliases: tuple[str, ...] = ()
    rational: bool = False  # exact on rationals
    convention: str = ""  # the sentence that states what is assumed at the kinks
    hot: tuple[tuple[int, ...], ...] = ()  # groups of axes along which one entry is 1, each time another, the rest 0
    apart: Callable[[Expr, Expr], bool] | None = None  # True if the ones of two hot arrays are never at one place
    is_positional: bool = False  # its first argument holds positions, whole numbers, which may be equal
    is_gate: bool = False  # takes the values 0 and 1 only, and its slope is zero
    is_held: bool = False  # the derivative leaves it out by decree, though its value moves
    name: str = field(init=False)
    parameters: tuple[str, ...] = field(init=False)
    core: Signature = field(init=False)

    def __post_init__(self) -> None:
        name, _, rest = self.spelling.partition("(")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "parameters", tuple(p.strip() for p in rest.rstrip(")").split(",") if p.strip(" )")))
        object.__setattr__(self, "core", read_signature(self.signature))

    def __call__(self, *arguments: Any, axis: int | None = None) -> Expr:
        """Apply the operation; leading axes broadcast as in NumPy. One along the last axis goes along another `axis`.

        Raises: ShapeError, DomainError where there is no axis to choose.
        """
        return caller(self, arguments, None) if axis is None else along(self, arguments, axis)

    def of_shape(self, shape: tuple[int | str, ...], *arguments: Any) -> Expr:
        """Return the array of constants of that shape."""
        return caller(self, arguments, shape)

    def __repr__(self) -> str:
        return self.spelling

    def __reduce__(self) -> tuple[Any, ...]:
        return (operation, (self.name,))

    @property
    def is_elementwise(self) -> bool:
        """True if the operation works entry by entry."""
        return self.core.is_elementwise

    @property
    def extents(self) -> tuple[str, ...]:
        """The axes of the output that no argument has: empty but for arrays of constants."""
        return tuple(axis for axis in self.core.output if not any(axis in group for group in self.core.inputs))

    @property
    def places(self) -> tuple[str, ...]:
        """What an application is written with: its arguments, then its sizes if it is an array of constants."""
        return (*self.parameters, *self.extents)

    def local_jacobians(self, arguments: Sequence[Expr], y: Expr) -> tuple[Expr | None, ...]:
        """Return the local Jacobian by each argument, None where it is zero."""
        result = self.derivative(*arguments, y)
        return result if isinstance(result, tuple) else (result,)


@cache
def numpy_code(op: Op) -> Callable[..., Any]:
    """Return the NumPy code of an operation as a function of its arguments, and of its sizes if it is constant."""
    names = {p: f"a{k}" for k, p in enumerate(op.places)}
    line = Template(op.code.numpy).substitute(names, xp="xp")
    scope: dict[str, Any] = {"xp": numpy, "dtype": numpy.float64}
    scope |= {helper.__name__: helper for helper in op.code.helpers}
    # the template is a line of our own catalogue and holds only the identifiers made above
    return cast("Callable[..., Any]", eval(f"lambda {', '.join(names.values())}: {line}", scope))


class Catalogue(dict[str, Op]):
    """All operations by name and alias."""

    def add(self, ops: Sequence[Op]) -> None:
        """Enter operations; a name that is already taken is a mistake of ours."""
        for op in ops:
            for name in (op.name, *op.aliases):
                if name in self:
                    raise ValueError(f"two operations are called {name}")
                self[name] = op

    @property
    def entries(self) -> list[Op]:
        """Every operation once, in the order of the table."""
        return list(dict.fromkeys(self.values()))


CATALOGUE = Catalogue()


def operation(name: str) -> Op:
    """Return the operation of that name or alias."""
    return CATALOGUE[name]


def _not_ready(op: Op, arguments: Sequence[Any], how: Any) -> Expr:
    raise RuntimeError("build.py is not imported")


# set by apply.py and rearranging.py: op.py must not know how things are built
caller: Callable[[Op, Sequence[Any], tuple[int | str, ...] | None], Expr] = _not_ready
along: Callable[[Op, Sequence[Any], int], Expr] = _not_ready
