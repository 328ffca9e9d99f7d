"""From the tree of a text to an expression: names and shapes are inferred, and every error knows its place.

One walk over the tree gives each part its axes, unifying their sizes, and says how it is built; when all sizes have
names, the parts are built with the constructors of `build.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, get_args

import chainrule.expression.application as rules
import chainrule.expression.assembly as assembly
import chainrule.expression.build as build
import chainrule.expression.functions as functions
import chainrule.expression.indexed as indexed
import chainrule.expression.multiplication as multiplication
from chainrule.errors import ChainruleError, DomainError, FormulaSyntaxError, ShapeError, Span, UnknownSymbol
from chainrule.expression.application import Use, literal
from chainrule.expression.entries import with_entries
from chainrule.expression.indexed import Context, Label, Side, Value, realise
from chainrule.expression.indexing import picked
from chainrule.expression.infer import Customs, Kind, Trial, best_reading
from chainrule.expression.node import Expr, Number
from chainrule.expression.op import CATALOGUE
from chainrule.expression.report import sentence
from chainrule.expression.shape import Shape, as_shape, exact
from chainrule.expression.sizes import Axes, SizeVariable, name_sizes, shape_of, shifted, show_axes, tie
from chainrule.expression.spelling import spell_out
from chainrule.expression.survey import Survey, is_constant_name, names_in, sized_names, survey
from chainrule.syntax.tree import Binary, Bound, Call, Cases, Formula, Index, Name, Num, Sequence, Slice, Tree, Unary

MAX_NESTING = 100  # brackets, indices and calls inside one another


@dataclass(frozen=True, slots=True)
class Elaborated:
    """The expression, what was inferred (a sentence a name), the shape of every symbol declared or met, and whether a
    vector was written as a row or a column ("" where the notation has none)."""

    expression: Expr
    inferred: tuple[str, ...]
    shapes: Mapping[str, Shape]
    side: Side = ""


@dataclass(slots=True)
class Elaboration:
    """One walk over the tree with one reading of the names."""

    formula: Formula
    declared: Mapping[str, Shape]
    found: Survey
    kinds: Mapping[str, Kind]
    context: Context
    symbols: dict[str, Axes] = field(default_factory=dict)
    labels: list[Label] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)  # sizes used as numbers
    depth: int = 0
    blame: frozenset[str] = frozenset()

    def value(self, tree: Tree) -> Value:
        """Return the value of a tree. A chain of operators is followed in a loop, so only real nesting has depth."""
        chain = []
        while isinstance(tree, Binary):
            chain.append(tree)
            tree = tree.left
        result = self._single(tree)
        for node in reversed(chain):
            right = self.value(node.right)
            result = self._placed(node, partial(_operated, self, result, right))
        return result

    def _single(self, tree: Tree) -> Value:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise DomainError(
                f"the formula is nested more than {MAX_NESTING} levels deep",
                text=self.formula.text,
                spans=(tree.span,),
                hint="name an intermediate result and put it in afterwards",
            )
        result = self._placed(tree, lambda t: _KINDS[type(t)](self, t))
        self.depth -= 1
        return result

    def _placed(self, tree: Any, make: Callable[[Any], Value]) -> Value:
        """Make a value and give it its place; an error gets the place and the names to blame."""
        try:
            return replace(make(tree), tree=tree)
        except ChainruleError as error:
            self.blame = self.blame or names_in(tree)
            raise error.at(self.formula.text, tree.span) from None

    # --- leaves
    def number(self, tree: Num) -> Value:
        """A number."""
        value = tree.value if tree.value.denominator == 1 else float(tree.value)  # decimals mean what floats mean
        return Value((), lambda: Number(exact(value)))

    def name(self, tree: Name) -> Value:
        """A symbol, a size, or a constant."""
        if any(label.name == tree.name for label in self.labels) and tree.name not in self.declared:
            raise self._unsupported("an index cannot be used as a number yet", tree)
        if tree.name in self.declared:
            return self.symbol(tree.name, tree.span)
        if is_constant_name(tree) or tree.name == "eye":
            return self._constant_array(tree)
        if tree.name == "pi":
            return Value((), lambda: Number(math.pi))
        if tree.name in self.found.sizes or tree.name in self.context.sizes.named:
            axis = self.context.sizes.of(tree.name, tree.span)
            return Value((), lambda: build.size(axis.size))
        kind = self.kinds[tree.name]
        if kind == "euler":
            return Value((), lambda: CATALOGUE["exp"](1))
        if kind == "size":
            self.counts.append(tree.name)
            return Value((), lambda: build.size(tree.name))
        return self.symbol(tree.name, tree.span)

    def _constant_array(self, tree: Name) -> Value:
        fresh = self.context.sizes.fresh()
        if tree.name in ("I", "eye"):
            return rules.identity(fresh)
        return rules.constant_array(self.context, build.ones if tree.name == "1" else build.zeros, (fresh,))

    def symbol(self, name: str, span: Span, rank: int | None = None) -> Value:
        """Return the symbol of that name with its declared shape, or with free sizes."""
        if name not in self.symbols:
            sizes = self.context.sizes
            if name in self.declared:
                axes = tuple(sizes.of(size, span) for size in self.declared[name])
            else:
                kind = self.kinds.get(name, 2) if rank is None else rank
                axes = tuple(sizes.fresh() for _ in range(kind if isinstance(kind, int) else 2))
            self.symbols[name] = axes
        axes = self.symbols[name]
        if rank is not None and len(axes) != rank:
            raise ShapeError(f"{name} is not a matrix", expected="a matrix", found=show_axes(axes))
        side = "column" if self.context.oriented and len(axes) == 1 else ""
        return Value(axes, lambda: build.symbol(name, shape_of(axes)), side=side)  # type: ignore[arg-type]

    # --- parts
    def unary(self, tree: Unary) -> Value:
        """A sign or a transpose."""
        value = self.value(tree.argument)
        if tree.operator == "T":
            rules.find_residual(self.context, value)
            return multiplication.transpose(self.context, value)
        if tree.operator == "+":
            return value
        return indexed.elementwise(self.context, build.negative, value)

    def call(self, tree: Call) -> Value:
        """A function applied to arguments."""
        function = functions.find(self.context, tree)
        listed = (item for part in tree.arguments[: function.sizes] for item in items_of(part))
        values = tuple(self.value(argument) for argument in listed)
        return function.rule(Use(self.context, tree, values))

    def index(self, tree: Index) -> Value:
        """Entries or rows under a Σ."""
        base = tree.base
        self._check_slices(tree)
        rows = isinstance(base, Name) and base.name not in self.declared and self.kinds.get(base.name) == "rows"
        if isinstance(base, Name) and rows:
            whole = replace(self.symbol(base.name.upper(), base.span, rank=2), tree=base)
        else:
            whole = self.value(base)
        result = picked(self.context, self.labels, whole, tree, self.positions)
        if not self.context.oriented or result.rank != 1:
            return result
        capital = isinstance(base, Name) and base.name[0].isupper()  # Xᵢ is a row to some and a column to others
        return replace(result, side="" if capital and not rows else "column")

    def positions(self, tree: Tree) -> Value | None:
        """Return the array of positions that stands in an index, or None for a place counted in sizes."""
        if isinstance(tree, Index | Call) or any(self._holds_positions(name) for name in names_in(tree)):
            return self.value(tree)
        return None

    def _check_slices(self, tree: Index) -> None:
        """Slices end at sizes. Raises: DomainError for an array."""
        for name in (name for index in tree.indices if isinstance(index, Slice) for name in sized_names(index)):
            if self.declared.get(name.name) and name.name not in self.context.sizes.named:
                raise DomainError(
                    f"{name.name} is an array, and a slice ends at a whole number or a size",
                    text=self.formula.text,
                    spans=(name.span,),
                    expected="x[1:], x[:n - 1]",
                    found=name.name,
                    hint=f"positions stand in an index alone: x[{name.name}]",
                )

    def _holds_positions(self, name: str) -> bool:
        """True for a symbol in an index that is no size: 2*i are positions if i is an array."""
        return (name in self.declared or name in self.found.positions) and name not in self.context.sizes.named

    def bound(self, tree: Bound) -> Value:
        """Σ, Π, max or min over indices."""
        first = 1 if tree.lower is None else literal(tree.lower)
        if first is None or first < 1 or first.denominator != 1:
            error = self._unsupported("an index starts at a whole number from 1 on", tree.lower or tree)
            error.hint = (
                r"entries count from 1: shift the index, \sum_{k=1}^{n} x_k; write a polynomial out, 1 + x + x^2"
            )
            raise error
        if tree.operator not in ("sum", *CATALOGUE):
            raise self._unsupported(f"{tree.operator} over an index is not supported yet", tree)
        extent = None if tree.upper is None else self._upper(tree.upper)
        if extent is not None and first > 1:
            extent = shifted(extent, 1 - int(first))
        labels = [
            Label(index.name, extent or self.context.sizes.fresh(), index.span, int(first)) for index in tree.indices
        ]
        self.labels += labels
        value = self.value(tree.body)
        del self.labels[len(self.labels) - len(labels) :]
        for label in reversed(labels):
            value = replace(indexed.reduced(self.context, value, label, tree.operator), tree=tree)
        return value

    def _upper(self, tree: Tree) -> SizeVariable:
        if isinstance(tree, Name) and tree.name in self.declared:
            raise DomainError(
                f"{tree.name} is a symbol, so an index cannot run to it",
                text=self.formula.text,
                spans=(tree.span,),
                expected="a size",
                hint=f"leave {tree.name} out of shapes=",
            )
        number = literal(tree)
        if not isinstance(tree, Name | Binary) and (number is None or number.denominator != 1 or number < 1):
            raise self._unsupported("an index runs to a size", tree)
        return rules.size_of(self.context, tree)

    def cases(self, tree: Cases) -> Value:
        """Values with their conditions: nested where(condition, value, otherwise)."""
        *branches, (last, condition) = tree.branches
        result = self.value(last)
        if condition is not None and not branches:
            raise self._unsupported("a case split needs at least two branches", tree)
        for value, test in reversed(branches):
            if test is None:
                raise self._unsupported("only the last branch can be “otherwise”", value)
            parts = (self.value(test), self.value(value), result)
            result = indexed.elementwise(self.context, CATALOGUE["where"], *parts)
        return result

    def sequence(self, tree: Sequence) -> Value:
        """Lists are for keywords only."""
        raise self._unsupported("a list of values is not supported yet", tree)

    def _unsupported(self, message: str, tree: Tree | Slice) -> DomainError:
        start, end = tree.span.start, tree.span.end
        return DomainError(message, text=self.formula.text, spans=(tree.span,), found=self.formula.text[start:end])

    # --- operators that need more than their operands' values
    def matrix_power(self, base: Value, exponent: Value, tree: Binary) -> Value:
        """The power of a scalar, or of a NumPy vector; of a matrix its inverse or a repeated product; e^z is exp(z)."""
        if isinstance(base.tree, Name) and self.kinds.get(base.tree.name) == "euler":
            return indexed.elementwise(self.context, CATALOGUE["exp"], exponent)
        if base.rank == 0 or (base.rank == 1 and not self.context.oriented):
            return indexed.elementwise(self.context, build.power, base, exponent)
        number = literal(tree.right)
        if base.rank == 1 or number is None or number.denominator != 1 or abs(number) > assembly.MAX_POWER:
            whole = f"only whole powers up to {assembly.MAX_POWER} of a matrix are known"
            raise DomainError(
                "a vector has no powers" if base.rank == 1 else whole,
                text=self.formula.text,
                spans=(tree.span,),
                expected="a scalar, or a square matrix with a whole number as exponent",
                hint=r"entry by entry: .^ in MATLAB, x \odot x in LaTeX, ** in NumPy text",
            )
        self.context.tie(base, -2, base, -1)
        return assembly.whole_power(self.context, base, int(number))


def items_of(tree: Tree) -> tuple[Tree, ...]:
    """Return the values of a list, or the one value that is written."""
    return tree.items if isinstance(tree, Sequence) else (tree,)


def _operated(walk: Elaboration, a: Value, b: Value, tree: Binary) -> Value:
    return _OPERATORS[tree.operator](walk, a, b, tree)


def _by_entry(function: Callable[..., Expr]) -> Callable[[Elaboration, Value, Value, Binary], Value]:
    return lambda walk, a, b, tree: indexed.elementwise(walk.context, function, a, b)


def _plus(walk: Elaboration, a: Value, b: Value, tree: Binary) -> Value:
    """In LaTeX without bold letters, an h…z beside a vector is a vector: y − Xw."""
    if walk.formula.syntax == "latex" and not walk.found.has_bold and (a.rank == 1) != (b.rank == 1):
        scalar = a if a.rank == 0 else b
        if isinstance(scalar.tree, Name) and "h" <= scalar.tree.name[0] <= "z":
            walk.context.find_odd(2.0, scalar)
    return indexed.elementwise(walk.context, build.add if tree.operator == "+" else build.subtract, a, b)


_OPERATORS: dict[str, Callable[[Elaboration, Value, Value, Binary], Value]] = {
    "+": _plus,
    "-": _plus,
    "*": _by_entry(build.multiply),
    "otimes": lambda walk, a, b, tree: assembly.otimes(walk.context, a, b),
    "/": lambda walk, a, b, tree: indexed.quotient(walk.context, a, b),
    "**": _by_entry(build.power),
    "<": _by_entry(lambda a, b: build.greater(b, a)),
    "<=": _by_entry(lambda a, b: build.greater_equal(b, a)),
    ">": _by_entry(build.greater),
    ">=": _by_entry(build.greater_equal),
    "==": _by_entry(build.equal),
    "!=": _by_entry(lambda a, b: build.subtract(1, build.equal(a, b))),
    "@": lambda walk, a, b, tree: multiplication.matmul(walk.context, a, b),
    "juxt": lambda walk, a, b, tree: multiplication.product(walk.context, a, b),
    "dot": lambda walk, a, b, tree: multiplication.dot(walk.context, a, b),
    "matpow": Elaboration.matrix_power,
}
_KINDS: dict[type, Callable[[Elaboration, Any], Value]] = {
    Num: Elaboration.number,
    Name: Elaboration.name,
    Unary: Elaboration.unary,
    Call: Elaboration.call,
    Index: Elaboration.index,
    Bound: Elaboration.bound,
    Cases: Elaboration.cases,
    Sequence: Elaboration.sequence,
}
assert set(get_args(Tree)) == {*_KINDS, Binary}


# --- the whole
def elaborate(
    formula: Formula, shapes: Mapping[str, object] | None = None, symbols: Mapping[str, str] | None = None
) -> Elaborated:
    """Return the expression that a parsed text means, with what was inferred on the way.

    `shapes` declares shapes (`{"X": ("N", "d"), "b": ()}`) and overrides inference; `symbols` says what a written
    symbol stands for (`{r"\\mathbf{x}_i": "X[i,:]"}`). Without a declaration capitals are matrices, bold lower case
    or h…z vectors, a…g scalars, unless use decides otherwise.
    Raises: FormulaSyntaxError, ShapeError (both places marked), DomainError.
    """
    declared = {name: _declared_shape(name, shape) for name, shape in (shapes or {}).items()}
    formula = with_entries(spell_out(formula, symbols or {}), declared)
    found = survey(formula.tree, positions=formula.syntax == "text")
    customs = Customs(formula.syntax == "latex", found, {name: len(shape) for name, shape in declared.items()})
    used = {size for shape in declared.values() for size in shape}
    undeclared = [name for name in found.names if name not in declared and name not in used]
    preferences = {name: customs.preference(name) for name in undeclared}

    def attempt(kinds: dict[str, Kind]) -> Trial[tuple[Elaboration, Value]]:
        return _attempt(formula, declared, found, kinds)

    kinds, (walk, value) = best_reading(preferences, attempt)
    name_sizes(walk.symbols, walk.context.sizes)
    result = realise(value, formula.text)
    met = {name: shape_of(axes) for name, axes in walk.symbols.items()}
    sentences = (sentence(name, kinds[name], kinds_of[0][0], customs, met) for name, kinds_of in preferences.items())
    return Elaborated(result, tuple(sentences), {**declared, **met}, value.side)


def _declared_shape(name: str, shape: object) -> Shape:
    try:
        return as_shape(shape)
    except (TypeError, ValueError) as error:
        message = f"the shape of {name} cannot be read: {error}"
        raise ShapeError(message, hint='shapes={"X": ("N", "d"), "b": ()}') from None


def _attempt(
    formula: Formula, declared: Mapping[str, Shape], found: Survey, kinds: dict[str, Kind]
) -> Trial[tuple[Elaboration, Value]]:
    oriented, matlab = formula.syntax != "text", formula.syntax == "matlab"
    letters = frozenset(name for name, kind in kinds.items() if kind not in ("size", "euler"))
    context = Context(formula.text, oriented, undeclared=letters, one_based=matlab)
    for size in (size for shape in declared.values() for size in shape):
        context.sizes.of(size)
    walk = Elaboration(formula, declared, found, kinds, context)
    try:
        value = walk.value(formula.tree)
        for name in walk.counts:
            if not tie(name, walk.symbols, context.summed, context.sizes):
                walk.blame = frozenset({name})
                place = (found.names[name].span,)
                raise UnknownSymbol(f"{name} is the size of nothing", text=formula.text, spans=place)
    except (FormulaSyntaxError, ShapeError, DomainError) as error:
        blame = frozenset() if context.is_final else walk.blame & kinds.keys()
        return Trial(None, 0, blame, error, context.wants_matrix)
    return Trial((walk, value), context.oddness, frozenset(context.odd_names))
