"""Products -> instructions: factors sorted by what is done with them, multiplied in the cheapest order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import prod

from chainrule.compile.contraction import Labels, Tree, contraction_order, leaves, nominal
from chainrule.compile.outer import with_long_rows
from chainrule.compile.program import Combine, Contract, Divide, Length, Map
from chainrule.compile.recorder import Recorder
from chainrule.compile.selections import Eliminated, Operand, Selection, is_positioned, is_selection, places_of
from chainrule.expression.extent import is_derived, terms_of
from chainrule.expression.node import Add, Einsum, Expr, Identity, Ones, Subscripts, Symbol
from chainrule.expression.op import Code, Loop, Op
from chainrule.expression.power import exponent_of, is_length, power_of
from chainrule.expression.product import einsum
from chainrule.expression.shape import Scalar, Shape, Size
from chainrule.expression.total import add_terms

unless_zero = Op(
    "unless_zero(z)",
    "()->()",
    derivative=lambda z, y: (None,),
    because="what is divided by a norm of 0 is taken to be 0",
    rule="norm of zero",
    loop=Loop("T(np.inf) if $z == zero else $z"),
    code=Code("$xp.where($z == 0, $xp.inf, $z)"),
)


@dataclass(frozen=True, slots=True)
class Value:
    """Where an expression's value is: the axes of the instruction are these axes of the expression, in order."""

    number: int
    axes: tuple[int, ...]


def with_all_axes(recorder: Recorder, value: Value, shape: Shape) -> int:
    """Return the value of an expression of this shape with all its axes, expanded where it was thin."""
    every = tuple(range(len(shape)))
    if value.axes == every:
        return value.number
    return recorder.record(Contract(), (value.number,), (value.axes,), every, shape)


@dataclass(frozen=True, slots=True)
class Factors:
    """A product Π arrays / Π divisors. `output` may hold an index twice (a diagonal), or one of no factor (ones)."""

    arrays: tuple[tuple[Expr, Subscripts], ...]
    divisors: tuple[Expr, ...]
    output: Subscripts
    sizes: Mapping[int, Size]

    @property
    def parts(self) -> tuple[Expr, ...]:
        """The expressions whose values are needed."""
        return (*(e for e, _ in self.arrays), *self.divisors)


def split(e: Einsum) -> Factors:
    """Sort the factors: identities tie two indices of the output, ones expand, negative scalar powers divide."""
    pairs = list(zip(e.args, e.subscripts, strict=True))
    tied = {b: a for a, b in (sub for arg, sub in pairs if isinstance(arg, Identity))}

    def first(i: int) -> int:
        while i in tied:
            i = tied[i]
        return i

    arrays: list[tuple[Expr, Subscripts]] = []
    divisors: list[Expr] = []
    for arg, sub in pairs:
        base, k = exponent_of(arg)
        if isinstance(arg, Ones | Identity):
            continue
        if not arg.shape and k < 0:
            divisors.append(power_of(base, -k))
        elif k < 0 and is_length(arg):
            arrays.append((power_of(unless_zero(base), k), tuple(first(i) for i in sub)))
        else:
            arrays.append((arg, tuple(first(i) for i in sub)))
    sizes = {first(i): size for i, size in e.sizes.items()}
    return Factors(_squares_open(arrays, e.summed), tuple(divisors), tuple(first(i) for i in e.output), sizes)


def _squares_open(arrays: list[tuple[Expr, Subscripts]], summed: set[int]) -> tuple[tuple[Expr, Subscripts], ...]:
    """Σ x² is the dot product x·x: no array of squares."""
    shaped = [(e, sub) for e, sub in arrays if sub]
    if len(shaped) == 1 and summed:
        base, k = exponent_of(shaped[0][0])
        if k == 2:
            return (*(pair for pair in arrays if not pair[1]), *[(base, shaped[0][1])] * 2)
    return tuple(arrays)


# --- multiplying out, where a matrix would be formed only to be multiplied away
def as_sum(e: Einsum, constant: Collection[Symbol] = ()) -> Expr:
    """Multiply out a factor Σ cₖ tₖ where that is cheaper: (diag(y) − y yᵀ)v = y ⊙ v − y (y·v).

    With X and y constant, Xᵀ(Xw − y) = (XᵀX)w − Xᵀy is, from the second call on.
    """
    for k, (arg, sub) in enumerate(zip(e.args, e.subscripts, strict=True)):
        if not (isinstance(arg, Add) and len(arg.args) > 1 and set(sub) & e.summed):
            continue
        if not (_is_structured(arg) or _has_constant(arg, constant)):
            continue
        terms = []
        for c, term in zip(arg.coefficients, arg.args, strict=True):
            factors = [*e.args[:k], term, *e.args[k + 1 :]]
            terms.append((c, einsum(factors, list(e.subscripts), e.output)))
        whole = _cost(e, constant) + sum(_cost(t, constant) for t in arg.args)
        parts = sum(_cost(t, constant) for _, t in terms)
        if len(e.args) > 1 and all(_has_selection(t) for t in arg.args) or parts < whole:
            return add_terms(terms, e.shape)
    return e


def _has_constant(e: Add, constant: Collection[Symbol]) -> bool:
    """True if every term is linear in what changes, next to a constant array, or a constant itself."""

    def fits(t: Expr) -> bool:
        beside = isinstance(t, Einsum) and any(_is_constant(f, constant) for f in t.args if f.ndim)
        return beside or _is_constant(t, constant)

    return bool(constant) and all(fits(t) for t in e.args)


def _is_constant(e: Expr, constant: Collection[Symbol]) -> bool:
    return bool(constant) and bool(e.symbols) and all(s in constant for s in e.symbols.values())


def _has_selection(e: Expr) -> bool:
    factors = e.args if isinstance(e, Einsum) else (e,)
    return any(is_selection(arg) and not is_positioned(arg) for arg in factors)


def _is_structured(e: Add) -> bool:
    """True if a term holds an identity or a slice, or all terms are products of smaller factors."""
    if any(_has_selection(t) for t in e.args):
        return True
    if any(
        isinstance(t, Identity) or (isinstance(t, Einsum) and any(isinstance(f, Identity) for f in t.args))
        for t in e.args
    ):
        return True
    return all(isinstance(t, Einsum) and all(f.ndim < e.ndim for f in t.args) for t in e.args)


def _cost(e: Expr, constant: Collection[Symbol] = ()) -> float:
    """Return what it costs to have this array: to compute it if it is a product, and to write it."""
    if _is_constant(e, constant):
        return 0.0
    written = prod(nominal(size) for size in e.shape)
    if isinstance(e, Add):
        return sum(_cost(t, constant) for t in e.args) + written
    if not isinstance(e, Einsum):
        return written
    factors = split(e)
    arrays = [(arg, sub) for arg, sub in factors.arrays if sub]
    sizes = {i: nominal(size) for i, size in factors.sizes.items()}
    fixed = [k for k, (arg, _) in enumerate(arrays) if _is_constant(arg, constant)]
    labels = [sub for _, sub in arrays]
    return written + (contraction_order(labels, factors.output, sizes, fixed=fixed)[0] if labels else 0.0)


# --- multiplying
def length_of(recorder: Recorder, size: Size) -> int:
    """Return the instruction that holds a size: a sum of ones along an axis is its size."""
    if isinstance(size, int):
        return recorder.constant(size)
    terms = terms_of(size) if is_derived(size) else (((size,), 1),)
    numbers = [_factors_of_size(recorder, names) for names, _ in terms]
    if len(numbers) == 1 and terms[0][1] == 1:
        return numbers[0]
    return recorder.record(Combine(tuple(c for _, c in terms)), numbers, [()] * len(numbers))


def _factors_of_size(recorder: Recorder, names: tuple[str, ...]) -> int:
    number = recorder.record(Length(names[0])) if names else recorder.constant(1)
    for name in names[1:]:
        number = recorder.multiply(number, recorder.record(Length(name)), ((), ()), ())
    return number


@dataclass(frozen=True, slots=True)
class Ready:
    """A product whose factors are values: `lost` are summed indices that no value has, each a factor of its size."""

    operands: tuple[Operand, ...]
    divisors: tuple[tuple[int, bool], ...]  # and whether it is a length
    lost: frozenset[int]
    output: Subscripts
    sizes: Mapping[int, Size]


def lower_product(recorder: Recorder, factors: Factors, values: Mapping[Expr, Value], coefficient: Scalar) -> Value:
    """Record coefficient · Π factors. The axes of the result are the axes of the output along which it varies."""
    found = [(values[e].number, tuple(sub[axis] for axis in values[e].axes)) for e, sub in factors.arrays]
    thin = {i for (_, sub), (_, labels) in zip(factors.arrays, found, strict=True) for i in set(sub) - set(labels)}
    picks = {
        k: Selection(e, sub, _positions(recorder, e, values))
        for k, (e, sub) in enumerate(factors.arrays)
        if is_selection(e)
    }
    rest = Eliminated(recorder, [o for k, o in enumerate(found) if k not in picks], factors.output, factors.sizes)
    taken = _taken(rest, {k: s for k, s in picks.items() if not thin & set(s.sub)}, picks)
    rest.operands += [found[k] for k in picks if k not in taken]
    lost = thin - {i for _, labels in rest.operands for i in labels} - set(factors.output)
    divisors = tuple((values[e].number, bool(found) and is_length(e)) for e in factors.divisors)
    ready = Ready(tuple(rest.operands), divisors, frozenset(lost), rest.output, factors.sizes)
    value = _multiplied(recorder, ready, coefficient)
    if not rest.after:
        return value
    number, labels = rest.finished(value.number, tuple(rest.output[axis] for axis in value.axes))
    return Value(number, tuple(axis for axis, i in enumerate(factors.output) if i in labels))


def _positions(recorder: Recorder, e: Expr, values: Mapping[Expr, Value]) -> int:
    """Return the instruction that holds the positions of one-hot rows, checked; -1 for other selections."""
    if not is_positioned(e):
        return -1
    (idx,), size = e.args, length_of(recorder, e.shape[-1])
    every, number = tuple(range(idx.ndim)), with_all_axes(recorder, values[idx], idx.shape)
    return recorder.record(Map(places_of), (number, size), (every, ()), every, idx.shape)


def _taken(rest: Eliminated, waiting: Mapping[int, Selection], picks: Mapping[int, Selection]) -> set[int]:
    """Work in the selections that are waiting, while there are any that can be; return which were."""
    taken: set[int] = set()
    while True:
        before = len(taken)
        for k, selection in waiting.items():
            if k not in taken:
                others = {i for n, s in picks.items() if n not in taken and n != k for i in s.sub}
                taken |= {k} if rest.take(selection, others) else set()
        if len(taken) == before:
            return taken


def _multiplied(recorder: Recorder, ready: Ready, coefficient: Scalar) -> Value:
    product = _Product(recorder, ready, coefficient)
    number, output, covered = product.record(), ready.output, product.covered
    if len(set(output)) < len(output):
        kept = tuple(i for i in output if i in covered or output.count(i) > 1)
        shape = tuple(ready.sizes[i] for i in kept)
        number = recorder.record(Contract(), (number,), (product.output,), kept, shape)
        return Value(number, tuple(axis for axis, i in enumerate(output) if i in kept))
    return Value(number, tuple(axis for axis, i in enumerate(output) if i in covered))


class _Product:
    """One product while it is recorded."""

    def __init__(self, recorder: Recorder, ready: Ready, coefficient: Scalar) -> None:
        self.recorder = recorder
        self.coefficient = coefficient
        self.sizes = ready.sizes
        self.costs = {i: nominal(size) for i, size in ready.sizes.items()}
        self.divisors = ready.divisors
        found = ready.operands
        self.covered = {i for _, labels in found for i in labels}
        self.output = tuple(dict.fromkeys(i for i in ready.output if i in self.covered))
        self.scalars = [number for number, labels in found if not labels]
        self.scalars += [length_of(recorder, self.sizes[i]) for i in ready.lost]
        used = Counter(i for _, labels in found for i in set(labels)) + Counter(self.output)
        traces = [
            (number, (i, j)) for number, (i, j) in (o for o in found if len(o[1]) == 2) if i == j and used[i] == 1
        ]
        self.scalars += [recorder.view(number, labels, ()) for number, labels in traces]
        self.operands = [self._diagonal(*operand) for operand in found if operand[1] and operand not in traces]

    def _diagonal(self, number: int, labels: Subscripts) -> Operand:
        once = tuple(dict.fromkeys(labels))
        return self.recorder.view(number, labels, once), once

    def record(self) -> int:
        """Return the instruction that holds the product."""
        if not self.operands:
            return self._scaled(None, ())[0]
        if sum(self.recorder.is_fixed(number) for number, _ in self.operands) < 2:
            self._reuse()
        self.operands = [self._summed_alone(k) for k in range(len(self.operands))]
        labels = [labels for _, labels in self.operands]
        fixed = [k for k, (number, _) in enumerate(self.operands) if self.recorder.is_fixed(number)]
        _, tree = contraction_order(labels, self.output, self.costs, self._at_hand, fixed)
        return self._multiply_out(with_long_rows(tree, labels, self.output, self.costs))

    def _elsewhere(self, *places: int) -> set[int]:
        """The indices of the output and of the factors other than these."""
        rest = (labels for k, (_, labels) in enumerate(self.operands) if k not in places)
        return set(self.output).union(*rest)

    def _reuse(self) -> None:
        """Replace two factors by their product where an earlier expression has computed it, as X w in Σᵢ (X w)ᵢ vᵢ.

        A product that was not summed at all is of no use where this one is: one dot product is as fast as its sum. The
        smallest is taken; of two, that without two axes of one size: pairs of rows are more than rows with features.
        """
        while found := min(self._products_at_hand(), key=lambda found: self._burden(*found[2]), default=None):
            i, j, operand = found
            self.operands = [o for k, o in enumerate(self.operands) if k not in (i, j)] + [operand]

    def _burden(self, number: int, labels: Subscripts) -> tuple[float, int]:
        return self._entries((number, labels)), len(labels) - len({self.sizes[i] for i in labels})

    def _products_at_hand(self) -> Iterator[tuple[int, int, Operand]]:
        for i, j in combinations(range(len(self.operands)), 2):
            (a, sub_a), (b, sub_b) = self.operands[i], self.operands[j]
            every = set(sub_a) | set(sub_b)
            needed = every & self._elsewhere(i, j)
            free = every - needed
            choices = [needed | set(extra) for n in range(len(free)) for extra in combinations(free, n)]
            for kept in choices or [needed]:
                known = self.recorder.known(a, b, (sub_a, sub_b), kept)
                if known is not None and len(kept) <= max(len(sub_a), len(sub_b)):
                    yield i, j, known

    def _summed_alone(self, k: int) -> Operand:
        """Sum over an index that only this factor has."""
        number, labels = self.operands[k]
        kept = tuple(i for i in labels if i in self._elsewhere(k))
        return self.recorder.view(number, labels, kept), kept

    def _at_hand(self, i: int, j: int, kept: Labels) -> bool:
        (a, sub_a), (b, sub_b) = self.operands[i], self.operands[j]
        return self.recorder.known(a, b, (sub_a, sub_b), set(kept)) is not None

    def _multiply_out(self, tree: Tree) -> int:
        """Multiply along the tree, then by the scalars; before an outer product they meet its smaller factor."""
        if isinstance(tree, int):
            number, labels = self._scaled(*self.operands[tree])
            return self.recorder.view(number, labels, self.output)
        self._scale_a_vector()
        left, right = self._branch(tree[0]), self._branch(tree[1])
        if set(left[1]) ^ set(right[1]) and set(left[1]) | set(right[1]) == set(self.output):
            smaller = min((left, right), key=self._entries)
            left, right = (self._scaled(*o) if o is smaller else o for o in (left, right))
            return self._multiply(left, right, self.output)
        return self._scaled(self._multiply(left, right, self.output), self.output)[0]

    def _scale_a_vector(self) -> None:
        """The known number meets a vector rather than a larger result: c Xᵀ diag(s) X = Xᵀ diag(c s) X."""
        uses = Counter(number for number, _ in self.operands)
        vectors = [o for o in self.operands if len(o[1]) == 1 and uses[o[0]] == 1]
        if self.coefficient == 1 or len(self.output) < 2 or not vectors:
            return
        smallest = min(vectors, key=self._entries)
        number, labels = smallest
        shape = tuple(self.sizes[i] for i in labels)
        scaled = self.recorder.record(Combine((self.coefficient,)), (number,), (labels,), labels, shape)
        self.operands[self.operands.index(smallest)] = scaled, labels
        self.coefficient = 1

    def _entries(self, operand: Operand) -> float:
        return prod(self.costs[i] for i in operand[1])

    def _branch(self, tree: Tree) -> Operand:
        if isinstance(tree, int):
            return self.operands[tree]
        left, right = self._branch(tree[0]), self._branch(tree[1])
        kept = (set(left[1]) | set(right[1])) & self._elsewhere(*leaves(tree))
        output = self._natural_order(left[1], right[1], kept)
        return self._multiply(left, right, output), output

    def _natural_order(self, a: Subscripts, b: Subscripts, kept: set[int]) -> Subscripts:
        """An intermediate array lies as its larger factor does, or as the output will."""
        for sub in (a, b):
            if kept == set(sub):
                return sub
        place = {i: k for k, i in enumerate(self.output)}
        return tuple(sorted(dict.fromkeys(i for i in (*a, *b) if i in kept), key=lambda i: place.get(i, len(place))))

    def _multiply(self, a: Operand, b: Operand, output: Subscripts) -> int:
        return self.recorder.multiply(a[0], b[0], (a[1], b[1]), output)

    def _scaled(self, number: int | None, labels: Subscripts) -> Operand:
        """Multiply by the scalars, which are multiplied with each other first, then divide, then the known number."""
        recorder, scalar, c = self.recorder, None, self.coefficient
        for s in self.scalars:
            scalar = s if scalar is None else recorder.multiply(scalar, s, ((), ()), ())
        if number is None:
            number, c = (recorder.constant(c), 1) if scalar is None else (scalar, c)
        elif scalar is not None:
            number = recorder.multiply(number, scalar, (labels, ()), labels)
        shape = tuple(self.sizes[i] for i in labels)
        for divisor, is_length_ in self.divisors:
            number = recorder.record(Divide(is_length_), (number, divisor), (labels, ()), labels, shape)
        if c != 1:
            number = recorder.record(Combine((c,)), (number,), (labels,), labels, shape)
        return number, labels
