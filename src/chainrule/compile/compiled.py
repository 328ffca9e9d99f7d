"""Expressions -> a function of arrays: lowered, written as Python, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from chainrule.compile.arguments import missing_argument, unknown_argument
from chainrule.compile.assembly import helpers
from chainrule.compile.backends import Backend, backend_named
from chainrule.compile.demands import check_demands, demands_of
from chainrule.compile.dialects import IN_NUMPY
from chainrule.compile.execute import run_text
from chainrule.compile.factored import StructuredRun
from chainrule.compile.kept import Keeping, divided
from chainrule.compile.lower import lower, ordered_symbols, sizes_of
from chainrule.compile.nonempty import guarded, undefined
from chainrule.compile.program import Program
from chainrule.compile.source import entry_text, function_text, made_names
from chainrule.errors import DomainError
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import show_shape


def compile_expressions(
    *exprs: Expr,
    backend: str = "numpy",
    accept: Iterable[Symbol | str] = (),
    constant: Iterable[str] = (),
    structured: bool = False,
) -> Compiled:
    """Return one function that computes all expressions together, shared parts once.

    It takes one array for each symbol, by name, and returns one array for one expression, a tuple for several. Names in
    `accept` may be passed too and are ignored; a `Symbol` there also shows the sizes that no other symbol shows.
    What depends on the `constant` symbols alone is computed in the first call and kept as long as the same arrays are
    passed for them; `.forget()` drops it, which is needed after changing such an array in place.
    With `structured`, results of two axes or more are `Factored`: linear maps that are not multiplied out.
    Raises: DomainError for no expression, or a backend that does not exist; UnknownSymbol for a constant that is none.

    >>> from chainrule.expression.build import dot, vector
    >>> f = compile_expressions(dot(vector("x", "n"), vector("y", "n")))
    >>> float(f(x=[1, 2], y=[3, 4]))
    11.0
    """
    if not exprs:
        raise DomainError("nothing to compile", expected="one expression or more")
    for e in exprs:
        if not isinstance(e, Expr):
            raise DomainError(f"cannot compile {type(e).__name__}", expected="expressions")
    return Compiled(exprs, backend, tuple(accept), tuple(constant), structured)


class Compiled:
    """A compiled function. `source` is the code that runs, `program` what it was written from."""

    def __init__(
        self,
        exprs: tuple[Expr, ...],
        backend: str = "numpy",
        accept: tuple[Symbol | str, ...] = (),
        constant: tuple[str, ...] = (),
        structured: bool = False,
    ) -> None:
        self.exprs = exprs
        self.backend = backend
        self.accept = accept
        self.constant = constant
        self.structured = structured
        symbols = _arguments(exprs, accept)
        fixed = _constants(symbols, constant, accept)
        self.program = lower(*exprs, arguments=symbols, constant=fixed)
        self._library = backend_named(backend)
        self._kept: Keeping | None = None
        first, rest = divided(self.program, fixed)
        self.source, self._run = self._written(rest if first.outputs else self.program)
        if first.outputs:
            before, keep = self._written(first)
            self.source = f"{before}\n\n{self.source}"
            positions = [k for k, symbol in enumerate(symbols) if symbol in fixed]
            self._run = self._kept = Keeping(keep, self._run, positions, len(symbols), len(first.outputs) > 1)
        if structured:
            _check_structured(self._library, constant)
            self._run = StructuredRun(exprs, self.program, self._guarded)
        self._demands = demands_of(self.program)
        entry = entry_text(self.program, made_names(self.program), self._demands)
        plain = run_text(entry, "enter", ENTRY_SCOPE)
        self._enter: Callable[..., tuple[Any, ...] | None] = plain if self._library.enters_plain else _never
        self.parameters = (*(s.name for s in self.program.arguments), *self.program.given)
        self._allowed = frozenset(self.parameters) | {a.name if isinstance(a, Symbol) else a for a in accept}
        self._count = len(self.parameters)
        self._pick = _picker(self.parameters, self._library.enters_plain)

    def _written(self, program: Program) -> tuple[str, Callable[..., Any]]:
        """Return the code of a program and the function that it is."""
        library = self._library
        text = function_text(library.planned(program), made_names(program), "program", library.dialect)
        run = run_text(text, "program", {**helpers(program, library.dialect), **library.scope()})
        return text, library.prepared(run, program)

    def _guarded(self, program: Program) -> Callable[..., Any]:
        return guarded(self._written(program)[1], program, self._library.failures)

    def forget(self) -> None:
        """Drop what was kept of the constants, as is needed after one of them was changed in place."""
        if self._kept is not None:
            self._kept.forget()

    def __call__(self, /, *positional: Any, **values: Any) -> Any:
        """Return the values of the expressions at these arrays.

        float32 and float64 are kept, integers become float64. Raises: ShapeError for shapes that do not go together,
        DomainError for a missing argument or entries that are no real numbers, UnknownSymbol for an unknown argument.
        """
        try:
            arguments = self._pick(values)
        except KeyError as error:
            self._check_names(positional, values)
            raise missing_argument(self.program, error.args[0]) from None
        if positional or len(values) != self._count:
            self._check_names(positional, values)
        ready = self._enter(*arguments)
        try:
            if ready is None:
                ready = self._library.arguments(self.program, arguments)
                check_demands(self._demands, self.program, ready)
            return self._run(*ready)
        except Exception as error:
            found = undefined(error, self._library.failures, self.program, ready or ())
            if found is None:
                raise
            raise found from error

    def _check_names(self, positional: Sequence[Any], values: Iterable[str]) -> None:
        if positional:
            raise DomainError(
                "arguments are passed by name", expected=", ".join(f"{name}=..." for name in self.parameters)
            )
        for name in values:
            if name not in self._allowed:
                raise unknown_argument(name, sorted(self._allowed))

    def __repr__(self) -> str:
        shapes = ", ".join(f"{s.name}: {show_shape(s.shape)}" for s in self.program.arguments)
        return f"<compiled ({shapes}) -> {', '.join(show_shape(e.shape) for e in self.exprs)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Compiled, (self.exprs, self.backend, self.accept, self.constant, self.structured))


def _arguments(exprs: Sequence[Expr], accept: Sequence[Symbol | str]) -> tuple[Symbol, ...]:
    """Return the symbols that occur, and those accepted ones that show a size nobody else shows."""
    symbols = list(ordered_symbols(*exprs))
    missing = sizes_of(exprs) - {size for symbol in symbols for size in symbol.shape}
    for symbol in accept:
        if isinstance(symbol, Symbol) and missing & set(symbol.shape) and symbol not in symbols:
            symbols.append(symbol)
            missing -= set(symbol.shape)
    return tuple(symbols)


def _constants(symbols: Sequence[Symbol], names: Sequence[str], accept: Sequence[Symbol | str]) -> frozenset[Symbol]:
    """Return the symbols of these names; one that dropped out is no concern."""
    known = {symbol.name: symbol for symbol in symbols}
    allowed = known.keys() | {a.name if isinstance(a, Symbol) else a for a in accept}
    for name in names:
        if name not in allowed:
            raise unknown_argument(name, sorted(allowed))
    return frozenset(known[name] for name in names if name in known)


def _check_structured(library: Backend, constant: Sequence[str]) -> None:
    if library.dialect is not IN_NUMPY or constant:
        raise DomainError(
            "factored results are made of NumPy arrays, and keep what they need by themselves",
            expected='structured=True with backend="numpy" or "numba", and no constant=',
        )


def _never(*arguments: Any) -> None:
    """Every argument has to be converted."""


ENTRY_SCOPE = {
    "ndarray": np.ndarray,
    "float64": np.float64,
    "float32": np.float32,
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
}


def _picker(names: tuple[str, ...], quick: bool) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    if quick and len(names) > 1:  # which torch.compile cannot look into
        return itemgetter(*names)
    if len(names) == 1:
        (name,) = names
        return lambda values: (values[name],)
    return lambda values: tuple(values[name] for name in names)
