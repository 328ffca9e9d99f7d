"""Expressions -> program. A value that is expanded by ones stays thin: it has only the axes along which it varies."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

from chainrule.compile.outer import with_common_factors
from chainrule.compile.products import Factors, Value, as_sum, lower_product, split, with_all_axes
from chainrule.compile.program import Combine, Contract, Length, Load, Map, Program
from chainrule.compile.recorder import Recorder
from chainrule.expression.extent import is_derived, names_of
from chainrule.expression.node import Add, Apply, Dimension, Einsum, Expr, Identity, Symbol, walk
from chainrule.expression.power import constant_value
from chainrule.expression.shape import Scalar, exact
from chainrule.expression.total import content, scale
from chainrule.simplify.stable import stable


def lower(*exprs: Expr, arguments: Sequence[Symbol] | None = None, constant: Collection[Symbol] = ()) -> Program:
    """Return one program that computes all expressions together, each shared part once.

    `arguments` may hold more symbols than occur, for their sizes. Products of the `constant` ones are
    computed once, and cost nothing.
    """
    return lower_as_written(*(with_common_factors(stable(e)) for e in exprs), arguments=arguments, constant=constant)


def lower_as_written(
    *exprs: Expr, arguments: Sequence[Symbol] | None = None, constant: Collection[Symbol] = ()
) -> Program:
    """Return the program of the expressions just as they are, which may recognise no function in their parts."""
    symbols = ordered_symbols(*exprs) if arguments is None else tuple(arguments)
    lowering = _Lowering(symbols, exprs, constant)
    for e in _innermost_first(exprs, lowering):
        lowering.lower(e)
    outputs = [lowering.full(lowering.values[e], e) for e in exprs]
    shown = {size for symbol in symbols for size in symbol.shape if not is_derived(size)}
    given = sorted(size for size in sizes_of(exprs) if size not in shown)
    return lowering.recorder.program(symbols, given, outputs)


def ordered_symbols(*exprs: Expr) -> tuple[Symbol, ...]:
    """Return the symbols of all expressions, matrices before vectors before scalars, then by name."""
    found = {symbol for e in exprs for symbol in e.symbols.values()}
    return tuple(sorted(found, key=lambda s: (-s.ndim, s.name)))


def sizes_of(exprs: Sequence[Expr]) -> set[str]:
    """Return the names of the sizes that occur anywhere."""
    nodes = walk(*exprs)
    named = {name for e in nodes for size in e.shape for name in names_of(size)}
    return named | {e.size for e in nodes if isinstance(e, Dimension)}


def _innermost_first(exprs: Sequence[Expr], lowering: _Lowering) -> list[Expr]:
    """Order by height, then by number of parts: a small product is at hand when a larger one could contain it."""
    height: dict[Expr, int] = {}
    stack = [(e, False) for e in exprs]
    while stack:
        e, ready = stack.pop()
        if ready:
            height[e] = 1 + max((height[part] for part in lowering.parts(e)), default=0)
        elif e not in height:
            stack.append((e, True))
            stack.extend((part, False) for part in lowering.parts(e) if part not in height)
    return sorted(height, key=lambda e: (height[e], len(e.args)))


def shared_terms(e: Add, sums: Mapping[Expr, Sequence[Add]]) -> list[tuple[Scalar, Expr]]:
    """Write Σ cₖ tₖ with its largest part that is a multiple of one of the sums (keyed by first term) as one term."""
    terms = dict(zip(e.args, e.coefficients, strict=True))
    candidates = [s for t in e.args for s in sums.get(t, ()) if s is not e]
    for s in sorted(candidates, key=lambda s: len(s.args), reverse=True):
        # of two sums that are multiples of each other, the one without content is computed
        if len(s.args) == len(e.args) and content(s) != 1:
            continue
        ratio = _ratio(terms, s)
        if ratio is not None:
            return [*((c, t) for t, c in terms.items() if t not in s.args), (ratio, s)]
    return [(c, t) for t, c in terms.items()]


def _ratio(terms: Mapping[Expr, Scalar], s: Add) -> Scalar | None:
    """Return c if c·s is a part of the sum of the terms."""
    if any(isinstance(c, float) for c in (*s.coefficients, *terms.values())):
        return None
    ratios = {Fraction(terms.get(t, 0)) / Fraction(c) for t, c in zip(s.args, s.coefficients, strict=True)}
    ratio = ratios.pop()
    return exact(ratio) if not ratios and ratio != 0 else None


class _Lowering:
    """The values of the expressions lowered so far, and the instructions that compute them."""

    def __init__(self, symbols: tuple[Symbol, ...], exprs: Sequence[Expr], constant: Collection[Symbol] = ()) -> None:
        self.constant = constant
        self.recorder = Recorder([k for k, symbol in enumerate(symbols) if symbol in constant])
        self.values: dict[Expr, Value] = {}
        self.position = {symbol: k for k, symbol in enumerate(symbols)}
        self.sums: dict[Expr, list[Add]] = {}
        for e in walk(*exprs):
            if isinstance(e, Add) and len(e.args) > 1:
                self.sums.setdefault(e.args[0], []).append(e)
        self._parts: dict[Expr, tuple[Expr, ...]] = {}
        self._terms: dict[Expr, list[tuple[Scalar, Expr]]] = {}
        self._factors: dict[Expr, Factors] = {}
        self._sums: dict[Expr, Expr] = {}

    # --- what is needed first
    def parts(self, e: Expr) -> tuple[Expr, ...]:
        """Return the expressions whose values this one is computed from."""
        found = self._parts.get(e)
        if found is None:
            found = self._parts[e] = self._find_parts(e)
        return found

    def _find_parts(self, e: Expr) -> tuple[Expr, ...]:
        if constant_value(e) is not None:
            return ()
        if isinstance(e, Einsum):
            total = self.sum_of(e)
            return self.factors(e).parts if total is e else (total,)
        if isinstance(e, Add):
            terms = self.terms(e)
            if len(terms) == 1 and self.is_scaled_product(terms[0][1]):
                return self.parts(terms[0][1])
            whole = self.scaled_sum_of(e)
            if whole is not None:
                return (whole,)
            return tuple(t for _, t in terms if constant_value(t) is None)
        return tuple(arg for arg in e.args if constant_value(arg) is None)

    def factors(self, e: Einsum) -> Factors:
        """Return the factors of a product, sorted by what is done with them."""
        found = self._factors.get(e)
        if found is None:
            found = self._factors[e] = split(e)
        return found

    def sum_of(self, e: Einsum) -> Expr:
        """Return the product multiplied out over a sum where that is cheaper, else the product."""
        found = self._sums.get(e)
        if found is None:
            found = self._sums[e] = with_common_factors(as_sum(e, self.constant))
        return found

    def terms(self, e: Add) -> list[tuple[Scalar, Expr]]:
        """Return the terms of a sum, a multiple of another sum of the program being one: y − u − v = y − (u + v)."""
        found = self._terms.get(e)
        if found is None:
            found = self._terms[e] = shared_terms(e, self.sums)
        return found

    def is_scaled_product(self, base: Expr) -> bool:
        """True if a coefficient can go into the product itself, because nobody else asks for the product."""
        return isinstance(base, Einsum) and base not in self.values and self.sum_of(base) is base

    def scaled_sum_of(self, e: Add) -> Expr | None:
        """Return a multiple of one product that is multiplied out, as its sum with the coefficient in the terms."""
        (c, base), *others = self.terms(e)
        if others or not isinstance(base, Einsum) or self.sum_of(base) is base:
            return None
        return scale(c, self.sum_of(base))

    # --- lowering, one node at a time; its parts are done
    def lower(self, e: Expr) -> None:
        """Record the instructions of `e`."""
        c = constant_value(e)
        self.values[e] = Value(self.recorder.constant(c), ()) if c is not None else self._value(e)

    def _value(self, e: Expr) -> Value:
        every = tuple(range(e.ndim))
        if isinstance(e, Symbol):
            return Value(self.recorder.record(Load(self.position[e]), output=every, shape=e.shape), every)
        if isinstance(e, Dimension):
            return Value(self.recorder.record(Length(e.size)), ())
        if isinstance(e, Identity):
            one = self.recorder.constant(1)
            return Value(self.recorder.record(Contract(), (one,), ((),), (0, 0), e.shape), every)
        if isinstance(e, Einsum):
            total = self.sum_of(e)
            return self._product(e, 1) if total is e else self.values[total]
        return self._sum(e) if isinstance(e, Add) else self._application(e)

    def _product(self, e: Einsum, coefficient: Scalar) -> Value:
        return lower_product(self.recorder, self.factors(e), self.values, coefficient)

    def _sum(self, e: Add) -> Value:
        terms = self.terms(e)
        c, base = terms[0]
        if len(terms) == 1 and isinstance(base, Einsum) and self.is_scaled_product(base):
            return self._product(base, c)
        whole = self.scaled_sum_of(e)
        if whole is not None:
            return self.values[whole]
        return self._entry_by_entry(Combine(tuple(c for c, _ in terms)), [self.operand(t) for _, t in terms], e)

    def _entry_by_entry(self, action: Combine | Map, values: Sequence[Value], e: Expr) -> Value:
        axes = tuple(sorted({axis for value in values for axis in value.axes}))
        shape = tuple(e.shape[axis] for axis in axes)
        numbers, subs = [v.number for v in values], [v.axes for v in values]
        return Value(*self.recorder.entrywise(action, numbers, subs, axes, shape))

    def operand(self, e: Expr) -> Value:
        """Return where the value of an argument is; a known number is an instruction without axes."""
        c = constant_value(e)
        return self.values[e] if c is None else Value(self.recorder.constant(c), ())

    def _application(self, e: Expr) -> Value:
        assert isinstance(e, Apply)
        if e.op.is_elementwise:
            return self._entry_by_entry(Map(e.op), [self.operand(arg) for arg in e.args], e)
        if e.op.extents:
            numbers = [self.full(self.operand(arg), arg) for arg in e.args]
            every = tuple(range(e.ndim))
            subs = [every[: arg.ndim] for arg in e.args]
            return Value(self.recorder.record(Map(e.op), numbers, subs, every, e.shape), every)
        batch = e.ndim - len(e.op.core.output)
        names = {name: batch + k for k, name in enumerate(dict.fromkeys(n for c in e.op.core.inputs for n in c))}
        lead = tuple(range(batch))
        subs = [lead + tuple(names[n] for n in core) for core in e.op.core.inputs]
        output = lead + tuple(names[n] for n in e.op.core.output)
        numbers = [self.full(self.operand(arg), arg) for arg in e.args]
        return Value(self.recorder.record(Map(e.op), numbers, subs, output, e.shape), tuple(range(e.ndim)))

    def full(self, value: Value, e: Expr) -> int:
        """Return the value with all its axes, expanded where it was thin."""
        return with_all_axes(self.recorder, value, e.shape)
