"""Sample by sample: along the axes of one size an index, in all others matrix notation. Σᵢ (yᵢ − w·xᵢ)².

Row i of a symbol becomes a symbol of its own (`xᵢ`), and a sum over i becomes a symbol that stands for the written sum;
what is left is an ordinary expression, written as any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.expression.node import ONE, Add, Apply, Einsum, Expr, Identity, Ones, Symbol
from chainrule.expression.product import Factor, einsum, factors_of
from chainrule.expression.shape import Scalar, Size
from chainrule.expression.total import add_terms, linear_terms, scale
from chainrule.notation.abridge import abridged
from chainrule.notation.cases import case_split, conditions, is_open_gate
from chainrule.notation.index import free_letters
from chainrule.notation.layout import BigSum, Constant, Layout, Name, Sub, Sum
from chainrule.notation.matrix import AsStored, Writer, notate_with
from chainrule.notation.order import magnitude
from chainrule.rewrite.statement import Indexed

Letters = tuple[str | None, ...]  # one per axis; None is an axis that stays whole


def notate_samples(w: Indexed) -> Layout:
    """Return the notation of an expression along its samples: an index on each free axis, Σ over each summed one.

    What is left of the axes is laid out in columns.
    """
    e = abridged(w.e)
    samples = Samples(w, set(e.symbols))
    letters = free_letters(e.symbols)
    at = tuple(next(letters) if size == w.size else None for size in e.shape)
    return notate_with(samples.row(e, at, True), samples.names)


def sample_of(e: Expr, size: Size | None) -> Layout:
    """Return row i of an expression along the axes of a size."""
    return notate_samples(Indexed(e, size))


class Samples:
    """Takes rows of expressions. `names` holds the notation that the symbols it makes stand for."""

    def __init__(self, how: Indexed, used: set[str]) -> None:
        self.how = how
        self.used = used
        self.names: dict[str, Layout] = {}

    def row(self, e: Expr, at: Letters, top: bool = False) -> Expr:
        """Return `e` with letters in place of some axes. Gates split cases at the `top` only."""
        if isinstance(e, Add):
            shape = _left(e.shape, at)
            return add_terms([(1, self.term(c, t, at, top)) for c, t in linear_terms(e)], shape)
        return self.term(1, e, at, top)

    def term(self, coefficient: Scalar, e: Expr, at: Letters, top: bool) -> Expr:
        """Return the row of one term: sums over the size become Σ, the other factors stay outside."""
        output = e.output if isinstance(e, Einsum) else tuple(range(e.ndim))
        factors = factors_of(e)
        known = dict(zip(output, at, strict=True))
        sizes = {i: s for f, sub in factors for i, s in zip(sub, f.shape, strict=True)}
        outside: list[Factor] = []
        for group in _connected(factors, set(output)):
            summed = [i for i in _indices(group) if i not in known and sizes[i] == self.how.size]
            if not summed:
                outside += [self.sliced(f, sub, known) for f, sub in group]
                continue
            split = (1, coefficient) if self.how.inside else (coefficient, 1)
            coefficient, factor = self.summed(split, group, summed, sizes, known, top)
            outside.append(factor)
        free = tuple(i for i in output if known[i] is None)
        return self.whole(coefficient, outside, free, top)

    def sliced(self, f: Expr, sub: tuple[int, ...], known: dict[int, str | None]) -> Factor:
        """Return a factor at the letters of its indices, and the indices that are left."""
        at = tuple(known.get(i) for i in sub)
        return self.leaf(f, at), tuple(i for i, letter in zip(sub, at, strict=True) if letter is None)

    def summed(
        self,
        split: tuple[Scalar, Scalar],
        group: list[Factor],
        summed: list[int],
        sizes: dict[int, Size],
        known: dict[int, str | None],
        top: bool,
    ) -> tuple[Scalar, Factor]:
        """Return Σᵢ of a group of factors as a symbol, and the coefficient that stays before it.

        `split` is the coefficient before the Σ and the one behind it.
        """
        taken = {letter for letter in known.values() if letter}
        letters = free_letters(self.used | taken)
        scope = {**known, **{i: next(letters) for i in summed}}
        used, self.used = self.used, self.used | {str(scope[i]) for i in summed}
        factors = [self.sliced(f, sub, scope) for f, sub in group]
        self.used = used
        gates = [f for f, _ in factors if top and is_open_gate(f) and (self.how.cases or self.how.samples)]
        kept = [(f, sub) for f, sub in factors if f not in gates]
        free = tuple(i for i in _indices(group) if i in known and known[i] is None)
        sign, layout, shape = self.body(split, kept, free)
        given = conditions(gates, self.names)
        if given and self.how.cases:
            layout = case_split(layout, shape, given)
        restriction = given if self.how.samples else ()
        indices = tuple((str(scope[i]), sizes[i]) for i in summed)
        return sign, (self.stand_in(BigSum(indices, layout, restriction), shape), free)

    def body(
        self, split: tuple[Scalar, Scalar], factors: list[Factor], free: tuple[int, ...]
    ) -> tuple[Scalar, Layout, tuple[Size, ...]]:
        """Return the coefficient before the Σ, the notation behind it, and the shape."""
        outer, inner = split
        whole = einsum([f for f, _ in factors] or [ONE], [sub for _, sub in factors] or [()], free)
        if self.how.inside:  # the factors as they are: a canonical product would settle their signs
            sign, layout = AsStored(self.names).product(inner, factors, free)
            return outer, layout if sign > 0 else Sum((-1,), (layout,)), whole.shape
        single = isinstance(whole, Add) and len(whole.args) == 1
        c, body = linear_terms(whole)[0] if single else (1, whole)
        coefficient = outer * c
        writer = Writer(self.names)
        sign, layout = writer.signed(-1 if coefficient < 0 else 1, body)
        return magnitude(coefficient) * sign, layout, whole.shape

    def whole(self, coefficient: Scalar, factors: list[Factor], free: tuple[int, ...], top: bool) -> Expr:
        """Put the outer factors together; a gate that no sum holds splits the whole term."""
        gates = [f for f, _ in factors if top and self.how.cases and is_open_gate(f)]
        kept = [(f, sub) for f, sub in factors if f not in gates]
        e = einsum([f for f, _ in kept] or [ONE], [sub for _, sub in kept] or [()], free)
        if not gates:
            return scale(coefficient, e)
        layout = notate_with(scale(coefficient, e), self.names)
        return self.stand_in(case_split(layout, e.shape, conditions(gates, self.names)), e.shape)

    def stand_in(self, layout: Layout, shape: tuple[Size, ...]) -> Expr:
        """Return a symbol that stands for a piece of notation, the same one for the same piece."""
        name = next((name for name, known in self.names.items() if known == layout), f"Σ{len(self.names)}")
        self.names[name] = layout
        return Symbol(name, shape)

    # single factors
    def leaf(self, e: Expr, at: Letters) -> Expr:
        """Return a factor at the given letters."""
        if isinstance(e, Symbol):
            return self.symbol(e, at)
        if isinstance(e, Ones):
            left = _left(e.shape, at)
            return Ones(left) if left else ONE
        if isinstance(e, Identity):
            return self.identity(e, at)
        if isinstance(e, Apply):
            return self.applied(e, at)
        return self.row(e, at) if isinstance(e, Add | Einsum) else e

    def symbol(self, e: Symbol, at: Letters) -> Expr:
        """Return row i of a symbol: of X the vector xᵢ."""
        letters = [letter for letter in at if letter]
        if not letters:
            return e
        left = _left(e.shape, at)
        name = e.name
        small = name[0].lower() + name[1:]
        if len(left) == 1 and not name[1:2].isalpha() and small not in self.used:
            name = small
        return Symbol(f"{name}[{','.join(letters)}]", left)

    def identity(self, e: Identity, at: Letters) -> Expr:
        """Return δᵢⱼ, or column i of I."""
        letters = tuple(letter for letter in at if letter)
        if not letters:
            return e
        if len(letters) == 2:
            return ONE if letters[0] == letters[1] else self.stand_in(Sub(Name("delta"), letters), ())
        return self.stand_in(Sub(Constant("identity", e.shape), letters, "column"), e.shape[:1])

    def applied(self, e: Apply, at: Letters) -> Expr:
        """Return an operation on the rows of its arguments; an axis that it reads whole is taken afterwards."""
        lead = e.ndim - len(e.op.core.output)
        inner = []
        for a, core in zip(e.args, e.op.core.inputs, strict=True):
            inner.append(self.row(a, at[: a.ndim - len(core)] + (None,) * len(core)))
        whole = e.op(*inner)
        letters = tuple(letter for letter in at[lead:] if letter)
        if not letters:
            return whole
        shape = _left(e.shape[lead:], at[lead:])
        return self.stand_in(Sub(notate_with(whole, self.names), letters, "column" if shape else "scalar"), shape)


def _left(shape: Sequence[Size], at: Letters) -> tuple[Size, ...]:
    return tuple(size for size, letter in zip(shape, at, strict=True) if letter is None)


def _indices(factors: list[Factor]) -> list[int]:
    return list(dict.fromkeys(i for _, sub in factors for i in sub))


def _connected(factors: list[Factor], output: set[int]) -> list[list[Factor]]:
    """Group factors that share a summed index."""
    groups: list[tuple[set[int], list[Factor]]] = []
    for f, sub in factors:
        mine, members = set(sub) - output, [(f, sub)]
        apart = []
        for indices, others in groups:
            if indices & mine:
                mine, members = mine | indices, others + members
            else:
                apart.append((indices, others))
        groups = [*apart, (mine, members)]
    return [members for _, members in groups]
