"""Index notation for what has no matrix notation: `Σⱼ AᵢⱼBᵢⱼₖ`, the entry at (i, k) of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from string import ascii_lowercase

from chainrule.expression.node import (
    Add,
    Apply,
    Dimension,
    Einsum,
    Expr,
    Identity,
    Number,
    Ones,
    Symbol,
    is_zero,
)
from chainrule.expression.power import constant_value, exponent_of
from chainrule.expression.power import power as power_op
from chainrule.expression.shape import Scalar
from chainrule.expression.total import linear_terms, scale
from chainrule.notation.contraction import NoMatrixForm
from chainrule.notation.layout import (
    ONE_LAYOUT,
    Applied,
    BigSum,
    Bracket,
    Einstein,
    Extent,
    Fraction,
    Layout,
    Name,
    Numeral,
    Power,
    Relation,
    Root,
    Sub,
    Sum,
    Table,
    kind_of_rank,
)
from chainrule.notation.order import SignedLayout, magnitude, ordered_terms, scaled
from chainrule.notation.parts import WHOLE_AXIS, size_arguments

Whole = Callable[[Expr], Layout]
LETTERS = "ijklmnpqrstuvabcdefgho"


def free_letters(used: Iterable[str]) -> Iterator[str]:
    """Yield index letters that are not used yet, then numbered ones."""
    taken = set(used)
    yield from (c for c in LETTERS if c not in taken)
    yield from (f"i{n}" for n in range(1, 1000))


def entry_notation(e: Expr, names: Mapping[str, Layout], whole: Whole, at: Iterable[str] = ()) -> Layout:
    """Return the entry of `e` at one index per axis, lettered `at`, or as `axis_letters` says.

    `whole` writes in matrix notation what a function reads whole; it may raise NoMatrixForm.
    """
    return _Entries(names, set(e.symbols), whole).write(e, tuple(at) or tuple(axis_letters(e)))


def axis_letters(e: Expr) -> list[str]:
    """Letters by first use if that leaves the axes in alphabetical order (Σⱼ AᵢⱼBⱼₖₗ), else by axis."""
    letters = free_letters(e.symbols)
    if isinstance(e, Einsum):
        pool = [next(letters) for _ in range(len(e.sizes))]
        names = [pool[i] for i in e.output]
        if names == sorted(names, key=pool.index):
            return names
        return pool[: len(names)]
    return [next(letters) for _ in e.shape]


class _Entries:
    """Writes entries of expressions; every index is a letter."""

    def __init__(self, names: Mapping[str, Layout], used: set[str], whole: Whole) -> None:
        self.names = names
        self.used = used
        self.whole = whole

    def write(self, e: Expr, at: tuple[str, ...]) -> Layout:
        sign, layout = self.signed(1, e, at)
        return layout if sign > 0 else Sum((-1,), (layout,))

    def signed(self, coefficient: Scalar, e: Expr, at: tuple[str, ...]) -> SignedLayout:
        if isinstance(e, Number):
            value = coefficient * e.value
            return (-1 if value < 0 else 1), scaled(magnitude(value), [], [], None)
        if is_zero(e):
            return 1, Numeral(0)
        if isinstance(e, Add):
            if len(e.args) == 1:
                return self.signed(coefficient * e.coefficients[0], e.args[0], at)
            terms = linear_terms(scale(coefficient, e))
            return 1, ordered_terms([self.signed(c, t, at) for c, t in terms])
        sign = -1 if coefficient < 0 else 1
        if isinstance(e, Einsum):
            return sign, self.product(magnitude(coefficient), e, at)
        above, below = self.fraction(e, at)
        return sign, scaled(magnitude(coefficient), above, below, None)

    def fraction(self, e: Expr, at: tuple[str, ...]) -> tuple[list[Layout], list[Layout]]:
        """Return what a factor puts above and below a fraction bar."""
        base, k = exponent_of(e)
        if k < 0:
            return [], [self.power(base, -k, at)]
        layout = self.factor(e, at)
        return ([] if layout == ONE_LAYOUT else [layout]), []

    def product(self, coefficient: Scalar, e: Einsum, at: tuple[str, ...]) -> Layout:
        """Return a product, the summed indices under Σ; factors without a summed index stand before it."""
        letters = dict(zip(e.output, at, strict=True))
        fresh = free_letters(self.used | set(at))
        by_use = [i for sub in e.subscripts for i in sub]
        for i in dict.fromkeys(by_use):
            if i not in letters:
                letters[i] = next(fresh)
        summed = [i for i in dict.fromkeys(by_use) if i not in e.output]
        inner = _Entries(self.names, self.used | set(letters.values()), self.whole)
        outside: tuple[list[Layout], list[Layout]] = ([], [])
        inside: tuple[list[Layout], list[Layout]] = ([], [])
        for f, sub in zip(e.args, e.subscripts, strict=True):
            place = inside if set(sub) & set(summed) else outside
            for side, part in zip(place, inner.fraction(f, tuple(letters[i] for i in sub)), strict=True):
                side += part
        if summed:
            indices = tuple((letters[i], e.sizes[i]) for i in summed)
            outside[0].append(BigSum(indices, scaled(1, *inside, None)))
        return scaled(coefficient, *outside, None)

    def factor(self, e: Expr, at: tuple[str, ...]) -> Layout:
        """Return the entry of one factor."""
        if isinstance(e, Symbol):
            base = self.names.get(e.name, Name(e.name, "scalar" if at else kind_of_rank(e.ndim)))
            return Sub(base, at) if at else base
        if isinstance(e, Dimension):
            return Extent(e.size)
        if isinstance(e, Ones):
            return ONE_LAYOUT
        if isinstance(e, Identity):
            return Sub(Name("delta"), at)
        if isinstance(e, Apply):
            return self.applied(e, at)
        return self.write(e, at)

    def applied(self, e: Apply, at: tuple[str, ...]) -> Layout:
        """Return an entry of a function's value: element-wise functions act on entries, others on the whole."""
        if e.op is power_op:
            base, k = exponent_of(e)
            if base is e:
                return Power(self.argument(e.args[0], at), self.argument(e.args[1], at))
            return Fraction(ONE_LAYOUT, self.power(base, -k, at)) if k < 0 else self.power(base, k, at)
        if at and _sums_inside(e):
            try:
                return Sub(self.whole(e), at)  # σ(Xw + b)ᵢ, which is shorter than a Σ inside
            except NoMatrixForm:
                pass
        if e.op.is_gate:
            return Bracket(Relation(self.argument(e.args[0], at), ">", Numeral(0)))
        if e.op.is_elementwise:
            return Applied(e.op, tuple(self.argument(a, at) for a in e.args), "scalar")
        return self.batched(e, at)

    def batched(self, e: Apply, at: tuple[str, ...]) -> Layout:
        """softmax(XW)ᵢⱼ, or without matrix notation softmax(Xᵢ)ⱼ: leading axes are indices of the arguments.

        What is read whole along two axes is a symbol, or given by its entries: inv([Σₗ AᵢₗₘBᵢₗₙ]ₘₙ).
        """
        try:
            return Sub(self.whole(e), at) if at else self.whole(e)
        except NoMatrixForm:
            pass
        lead = e.ndim - len(e.op.core.output)
        inner = _Entries(self.names, self.used | set(at), self.whole)
        if e.op.extents:
            return Sub(Applied(e.op, size_arguments(e, lambda a: inner.write(a, at[:lead])), "array"), at[lead:])
        arguments = []
        for a, core in zip(e.args, e.op.core.inputs, strict=True):
            batch = at[: a.ndim - len(core)]
            if isinstance(a, Symbol):
                layout = self.factor(a, ())
                arguments.append(Sub(layout, batch, kind_of_rank(len(core))) if batch else layout)
            elif len(core) > 1:
                arguments.append(self.table(a, at, batch))
            else:
                arguments.append(inner.write(a, self.dots(batch, len(core))))
        whole = Applied(e.op, tuple(arguments), kind_of_rank(e.ndim - lead))
        return Sub(whole, at[lead:]) if at[lead:] else whole

    def table(self, a: Expr, at: tuple[str, ...], batch: tuple[str, ...]) -> Layout:
        """Return what is read whole along several axes by its entries, since a dot does not say which axis it is."""
        letters = free_letters(self.used | set(at))
        axes = tuple(next(letters) for _ in range(a.ndim - len(batch)))
        inner = _Entries(self.names, self.used | set(at) | set(axes), self.whole)
        entry, kind = inner.write(a, (*batch, *axes)), kind_of_rank(len(axes))
        if isinstance(entry, Sub) and isinstance(entry.base, Name):
            rest = entry.indices[: -len(axes)]
            if entry.indices == (*rest, *axes) and not set(rest) & set(axes):  # [Aᵢₘₙ]ₘₙ is Aᵢ
                base = replace(entry.base, kind=kind)
                return Sub(base, rest, kind) if rest else base
        return Table(entry, axes, kind)

    def dots(self, batch: tuple[str, ...], count: int) -> tuple[str, ...]:
        """Return the indices of an argument, a dot for each axis that the operation reads whole."""
        return batch + (WHOLE_AXIS,) * count

    def argument(self, a: Expr, at: tuple[str, ...]) -> Layout:
        """Return an argument's entry; one that is the same number everywhere is that number."""
        value = constant_value(a)
        return self.write(a, at) if value is None else self.write(Number(value), ())

    def power(self, base: Expr, k: Scalar, at: tuple[str, ...]) -> Layout:
        """Return the k-th power of an entry, k > 0."""
        written = self.write(base, at)
        if k == 1:
            return written
        if 2 * k == 1:
            return Root(written)
        return Power(written, scaled(k, [], [], None))


def _sums_inside(e: Apply) -> bool:
    """True if an entry of an argument is a sum over an index."""
    terms = [t for a in e.args for _, t in linear_terms(a)]
    return e.op.is_elementwise and any(isinstance(t, Einsum) and t.summed for t in terms)


def einsum_subscripts(subscripts: list[tuple[int, ...]], output: tuple[int, ...]) -> str:
    """Return `"ij,jk->ik"` for integer subscripts."""
    letters = LETTERS + "".join(c for c in ascii_lowercase + ascii_lowercase.upper() if c not in LETTERS)
    left = ",".join("".join(letters[i] for i in sub) for sub in subscripts)
    return f"{left}->{''.join(letters[i] for i in output)}"


def einsum_call(subscripts: str, arguments: list[Layout], rank: int) -> Layout:
    """Return the call that NumPy has for a sum of products."""
    return Einstein(subscripts, tuple(arguments), kind_of_rank(rank))
