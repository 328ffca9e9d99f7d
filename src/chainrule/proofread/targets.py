"""What a derivative in a working stands for: the function, the variable, and the true value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chainrule.derivative.differentiate import jacobian, vjp
from chainrule.errors import ChainruleError, DomainError, UnknownSymbol
from chainrule.expression.build import contract, transpose
from chainrule.expression.node import Expr, Symbol, depends_on, is_zero, zeros
from chainrule.expression.total import add_terms
from chainrule.proofread.differential import Differential
from chainrule.proofread.notebook import Meaning, Notebook
from chainrule.proofread.reading import Form
from chainrule.proofread.sides import indexed_name, plain_name, without_arguments
from chainrule.simplify.simplify import simplify


@dataclass(frozen=True, slots=True)
class Target:
    """A derivative: of which function (in terms of the names down to the variable) by which variables.

    `free` are the indices that the left side carries, `lead` of them those of the function; with `entry` function and
    variable carry the same one, as in ∂uᵢ/∂zᵢ. `truth` is the value, function.shape + variables' shapes, or with
    `entry` its diagonal. `direct` is the partial derivative that holds other names still, where that is another one.
    """

    function: Expr
    wrt: tuple[Symbol, ...]
    truth: Expr
    free: tuple[str, ...] = ()
    lead: int = 0
    entry: bool = False
    sign: str = "d"
    direct: Expr | None = None
    label: tuple[str, ...] = ()  # how function and variables are called
    kind: str = "derivative"

    @property
    def outputs(self) -> int:
        """How many axes belong to the function."""
        return self.function.ndim


def resolved(book: Notebook, one: Differential, form: Form, held: Sequence[str] = ()) -> Target:
    """Return what a derivative stands for. Raises: ChainruleError for names that are not known."""
    name, function, rows = function_of(book, one, form)
    variables: list[str] = []
    columns: tuple[str, ...] = ()
    for written in one.wrt:
        found = indexed_name(written, form, book.known) if written else (only_variable(book, function, one, form), ())
        if found is None or found[0] not in book.shapes:
            raise UnknownSymbol(f"{written} is not known", expected="a variable that was declared or occurs above")
        variables.append(found[0])
        columns += found[1]
    e = book.down_to(function, variables)
    wrt = tuple(book.symbol(v) for v in variables)
    refuse_hidden(book, e, wrt)
    truth = derivative(e, wrt)
    entry = bool(rows) and rows == columns
    if entry:
        truth = contract("ii->i", truth) if truth.ndim == 2 else truth
    direct = directly(book, name, wrt, e) if one.sign == "∂" and len(wrt) == 1 else None
    free = rows if entry else (*rows, *columns)
    return Target(e, wrt, truth, free, len(rows), entry, one.sign, direct, (name, *variables))


def refuse_hidden(book: Notebook, e: Expr, wrt: Sequence[Symbol]) -> None:
    """Raise UnknownSymbol if a function depends on a named part only in a form that is not recognised."""
    for x in wrt:
        if x.name in book.names and not depends_on(e, x):
            below = book.expanded(book.names[x.name]).symbols.keys() & book.expanded(e).symbols.keys()
            if below:
                hint = f"define the function in terms of {x.name}"
                raise UnknownSymbol(f"the function is not written in terms of {x.name}", hint=hint)


def derivative(e: Expr, wrt: Sequence[Symbol]) -> Expr:
    """Return the derivative by one variable after the other, simplified."""
    for x in wrt:
        e = tidied(jacobian(e, x))
    return e


def tidied(e: Expr) -> Expr:
    """Return an expression simplified, or as it is where that fails: its value is all that a verdict needs."""
    try:
        return simplify(e)
    except ChainruleError:
        return e


def function_of(book: Notebook, one: Differential, form: Form) -> tuple[str, Expr, tuple[str, ...]]:
    """Return the name of what is differentiated ("" for an expression), its expression, and its indices."""
    text, _ = without_arguments(one.function)
    for candidate in dict.fromkeys((one.function, text)):
        found = indexed_name(candidate, form, book.known)
        if found is not None and found[0] in book.shapes:
            return found[0], book.symbol(found[0]), found[1]
    return "", expression_of(book, one.function, form, tuple(w for w in one.wrt if w)).expression, ()


def expression_of(book: Notebook, text: str, form: Form, variables: Sequence[str] = ()) -> Meaning:
    """Return what a written function means; names it introduces are noted. Raises: the error of its first reading."""
    first: ChainruleError | None = None
    named = plain_name(text, form)
    for meaning in book.meanings(
        text, form, closed=named is not None and named not in {plain_name(v, form) for v in variables}
    ):
        if isinstance(meaning, ChainruleError):
            first = first or meaning
            continue
        book.learn(meaning.shapes, passing=True)
        return replace(meaning, expression=book.dressed(meaning.expression))
    raise first or DomainError("this cannot be read")


def only_variable(book: Notebook, function: Expr, one: Differential, form: Form) -> str:
    """Return the variable of ∇f: its argument in f(x), or the only vector or matrix it depends on."""
    _, arguments = without_arguments(one.function)
    if arguments is not None and (name := plain_name(arguments, form)) is not None and name in book.shapes:
        return name
    symbols = book.expanded(function).symbols
    arrays = [name for name, s in symbols.items() if s.shape]
    candidates = arrays if len(arrays) == 1 else list(symbols)
    if len(candidates) != 1:
        raise DomainError("by which variable?", expected="∇_w C", hint="write the variable below the ∇")
    return candidates[0]


def directly(book: Notebook, name: str, wrt: tuple[Symbol, ...], total: Expr) -> Expr | None:
    """Return the partial derivative with other names held still, if there are such names and it is another one."""
    if name not in book.names:
        return None
    definition = book.names[name]
    x = wrt[0]
    if not depends_on(definition, x) or definition is total:
        return None
    value = tidied(jacobian(definition, x))
    return None if is_zero(value) else value


def cotangent(book: Notebook, of: str) -> Target | None:
    """Return what `dX` is: the declared cotangents pulled back to X, or the gradient of the last scalar defined."""
    x = book.symbol(of)
    pieces: list[Expr] = []
    function: Expr | None = None
    for name, output in book.cotangents.items():
        if output == of:
            return None
        e = book.down_to(book.symbol(output), [of])
        if depends_on(e, x):
            function = e
            pieces.append(vjp(e, x, book.symbol(name)))
    if function is not None:
        truth = tidied(add_terms([(1, piece) for piece in pieces], x.shape))
        return Target(function, (x,), truth, label=("", of), kind="cotangent")
    return None if book.cotangents else from_loss(book, of)


def from_loss(book: Notebook, of: str) -> Target | None:
    """Return the gradient of the last scalar that was defined and depends on the name."""
    x = book.symbol(of)
    for name in reversed(book.names):
        if book.names[name].shape or name == of or (name[0] == "d" and name[1:] in book.shapes):
            continue
        e = book.down_to(book.symbol(name), [of])
        if depends_on(e, x):
            return Target(e, (x,), derivative(e, (x,)), label=(name, of), kind="cotangent")
    return None


def product(factors: Sequence[Target]) -> Expr | None:
    """Return the product of Jacobians that a chain rule writes, in either order; None if they do not join up."""
    for order in (list(factors), list(reversed(factors))):
        if all(a.label[1] == b.label[0] for a, b in zip(order, order[1:], strict=False)):
            value = order[0].truth
            for a, b in zip(order, order[1:], strict=False):
                value = joined(value, b.truth, a.wrt[0].ndim)
            return value
    return None


def joined(a: Expr, b: Expr, shared: int) -> Expr:
    """Contract the last `shared` axes of `a` with the first of `b`."""
    letters = "abcdefghijklmnopqrstuvw"
    left = letters[: a.ndim]
    middle = left[a.ndim - shared :]
    right = middle + letters[a.ndim : a.ndim + b.ndim - shared]
    return contract(f"{left},{right}->{left[: a.ndim - shared]}{right[shared:]}", a, b)


def turned(e: Expr, outputs: int) -> Expr:
    """Return a Jacobian in denominator layout: the variable's axes first."""
    return transpose(e, (*range(outputs, e.ndim), *range(outputs))) if 0 < outputs < e.ndim else e


def nothing(target: Target) -> Expr:
    """Return the zero of a derivative's shape."""
    return zeros(target.truth.shape)
