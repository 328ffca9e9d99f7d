"""What a working has said so far: shapes, facts, definitions; and what a formula means in the light of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from chainrule.derivative.differentiate import jacobian, put_back, substitute
from chainrule.errors import ChainruleError, DomainError, FormulaSyntaxError, Span, UnknownSymbol
from chainrule.expression.build import transpose
from chainrule.expression.elaborate import elaborate
from chainrule.expression.functions import function_names
from chainrule.expression.indexed import Side
from chainrule.expression.node import Expr, Symbol, depends_on
from chainrule.expression.shape import Shape
from chainrule.expression.survey import survey
from chainrule.expression.total import scale
from chainrule.proofread.handwriting import in_latex, to_latex, to_text
from chainrule.proofread.reading import Form
from chainrule.syntax.parse import read
from chainrule.syntax.tree import Binary, Bound, Formula, Index, Name

Style = Literal["numpy", "matlab", "unknown"]
Reading = Literal["text", "matlab", "latex"]
IDENTITY = re.compile(r"(?<![A-Za-z\\{])(?:I|\\mathbf\{I\}|\\mathrm\{I\})(?:_\s*(?:\{\s*\w\s*\}|\w))?(?![A-Za-z_}])")
WEIGHTS = "weights_of_the_free_indices"
MATLAB_MARKS = re.compile(r"(?<![0-9.])\.[*/^]|\.'")
NUMPY_MARKS = re.compile(r"(?<=[\w\s)\]])@(?=[\s\w(])|\.T\b|\*\*|\bnp\.|\bkeepdims\b|\baxis\s*=")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a text means: the expression, how a vector is turned, how it was read, and the shapes it needed."""

    expression: Expr
    side: Side
    formula: Formula
    shapes: Mapping[str, Shape]


def style_of(texts: Sequence[str]) -> Style:
    """Return in which plain notation the formulas of a file are written."""
    numpy = sum(bool(NUMPY_MARKS.search(text)) for text in texts)
    matlab = sum(bool(MATLAB_MARKS.search(text)) for text in texts)
    if numpy or matlab:
        return "numpy" if numpy >= matlab else "matlab"
    return "unknown"


@dataclass(slots=True)
class Notebook:
    """What has been said so far. `names` has the definitions in order, each in terms of the names before it."""

    style: Style = "unknown"
    shapes: dict[str, Shape] = field(default_factory=dict)
    facts: dict[str, frozenset[str]] = field(default_factory=dict)
    names: dict[str, Expr] = field(default_factory=dict)
    cotangents: dict[str, str] = field(default_factory=dict)
    ascends: bool = False  # steps go uphill: something is maximised
    guessed: set[str] = field(default_factory=set)  # shapes that were inferred and not declared
    passing: set[str] = field(default_factory=set)  # guesses that only the current chain of equals signs needs

    @property
    def known(self) -> set[str]:
        """Every name that stands for something."""
        return {*self.shapes, *self.names, *self.sizes}

    @property
    def sizes(self) -> set[str]:
        """The named sizes of all shapes."""
        return {size for shape in self.shapes.values() for size in shape if isinstance(size, str)}

    def symbol(self, name: str) -> Symbol:
        """Return the symbol of a known name."""
        return Symbol(name, self.shapes[name], self.facts.get(name, frozenset()))

    def copied(self) -> Notebook:
        """Return a copy, which may go another way."""
        return replace(
            self,
            shapes=dict(self.shapes),
            facts=dict(self.facts),
            names=dict(self.names),
            cotangents=dict(self.cotangents),
            guessed=set(self.guessed),
            passing=set(self.passing),
        )

    # --- what is said
    def declare(self, name: str, shape: Shape, facts: frozenset[str] = frozenset()) -> None:
        """Note a symbol's shape and facts."""
        if self.shapes.get(name) != shape:
            self.drop(name)
        self.shapes[name] = shape
        self.facts[name] = self.facts.get(name, frozenset()) | facts
        self.guessed.discard(name)

    def define(self, name: str, meaning: Expr, shapes: Mapping[str, Shape]) -> None:
        """Note a definition; what depended on an older meaning of the name keeps it."""
        self.drop(name)
        self.learn(shapes)
        self.shapes[name] = meaning.shape
        self.facts.pop(name, None)
        self.names[name] = self.dressed(meaning)

    def drop(self, name: str) -> None:
        """Forget a definition; what depends on it keeps its meaning."""
        if name in self.names:
            old: dict[Expr, Expr] = {self.symbol(name): self.names[name]}
            self.names = {n: e if n == name else substitute(e, old) for n, e in self.names.items()}
            del self.names[name]

    def restate(self, name: str | None, meaning: Expr) -> None:
        """Take another definition of equal value, which may use names introduced since: f = x + u for f = x + x²."""
        if name not in self.names or meaning.shape != self.names[name].shape:
            return
        symbol = self.symbol(name)
        if not depends_on(meaning, symbol) and not any(depends_on(e, symbol) for e in self.names.values()):
            del self.names[name]
            self.names[name] = meaning

    def learn(self, shapes: Mapping[str, Shape], passing: bool = False) -> None:
        """Note the shapes that a formula showed; those of a claim only pass by."""
        for name, shape in shapes.items():
            if name not in self.shapes and name != WEIGHTS:
                self.shapes[name] = shape
                self.guessed.add(name)
                if passing:
                    self.passing.add(name)

    def forget(self) -> None:
        """Forget what was guessed for the last chain of equals signs alone."""
        for name in self.passing:
            self.shapes.pop(name, None)
            self.guessed.discard(name)
        self.passing.clear()

    def guess(self, shapes: Mapping[str, Shape]) -> None:
        """Guess shapes for the chain of equals signs that comes next."""
        self.forget()
        self.learn(shapes, passing=True)

    # --- what things are
    def expanded(self, e: Expr, keep: Sequence[str] = ()) -> Expr:
        """Return `e` with the names put back, but for those to keep."""
        return put_back(e, [(self.symbol(n), d) for n, d in self.names.items() if n not in keep])

    def down_to(self, e: Expr, variables: Sequence[str]) -> Expr:
        """Return `e` as a function of the variables, which may be names of parts of it."""
        result = self.expanded(e, variables)
        for name in variables:
            if name in self.names and not depends_on(result, self.symbol(name)):
                whole = self.expanded(self.names[name])
                opposite = scale(-1, whole)
                swap: dict[Expr, Expr] = {whole: self.symbol(name), opposite: scale(-1, self.symbol(name))}
                result = substitute(result, swap) if whole.args else result
        return result

    def dressed(self, e: Expr) -> Expr:
        """Return `e` with the facts of its symbols."""
        plain: dict[Expr, Expr] = {
            s: self.symbol(n) for n, s in e.symbols.items() if self.facts.get(n) and self.shapes.get(n) == s.shape
        }
        return substitute(e, plain) if plain else e

    # --- what texts mean
    def readings(self, text: str, form: Form) -> Iterator[tuple[Reading, str]]:
        """Yield the ways to read a text, the likeliest first."""
        known = self.known
        if form == "latex":
            text = in_latex(text)
            yield "latex", text if "I" in known else IDENTITY.sub(r"\\mathbf{I}", text)
            return
        plain = to_text(text, known)
        if self.style == "matlab":
            yield "matlab", plain
        else:
            yield "text", plain
        yield "latex", to_latex(text, known, function_names())
        if self.style == "unknown":
            yield "matlab", plain

    def trees(self, text: str, form: Form) -> Iterator[Formula]:
        """Yield the syntax trees of a text in each notation that can read it."""
        for reading, written in self.readings(text, form):
            with suppress(ChainruleError):
                yield parsed(written, reading, ())

    def meanings(
        self, text: str, form: Form, free: Sequence[str] = (), extra: Mapping[str, Shape] | None = None,
        weights: Shape | None = None, closed: bool = True,
    ) -> Iterator[Meaning | ChainruleError]:  # fmt: skip
        """Yield what a text may mean, the likeliest first, and the error of each reading that fails.

        `free` are indices that the left side has; their axes come first. `extra` are further symbols. `closed` refuses
        names that nothing has introduced.
        """
        strict = self.style != "unknown"
        for reading, written in self.readings(text, form):
            try:
                yield self.meaning(written, reading, free, extra or {}, weights, closed)
            except ChainruleError as error:
                yield error
                if strict and reading == "text" and not isinstance(error, FormulaSyntaxError):
                    return

    def meaning(
        self, text: str, reading: Reading, free: Sequence[str], extra: Mapping[str, Shape], weights: Shape | None,
        closed: bool, sided: bool = True,
    ) -> Meaning:  # fmt: skip
        """Return what a text means in one reading. Raises: ChainruleError."""
        formula = parsed(text, reading, free)
        shapes = {**self.shapes, **extra}
        if closed:
            self.refuse_unknown(formula, {*shapes, *free})
        if not sided:
            formula = replace(formula, syntax="text")
        if not free:
            found = elaborate(formula, shapes)
            return Meaning(self.dressed(found.expression), found.side, formula, found.shapes)
        if weights is not None:
            shapes[WEIGHTS] = weights
        found = elaborate(with_weights(formula, free), shapes)
        total = found.expression
        by = total.symbols.get(WEIGHTS)
        if by is None:
            raise DomainError("the right side does not depend on the index", text=text, spans=(Span(0, len(text)),))
        values = jacobian(total, by)
        lead = total.ndim
        order = (*range(lead, values.ndim), *range(lead))
        met = {n: s for n, s in found.shapes.items() if n != WEIGHTS}
        return Meaning(self.dressed(transpose(values, order) if lead else values), "", formula, met)

    def refuse_unknown(self, formula: Formula, known: set[str]) -> None:
        """Raise UnknownSymbol for a name that nothing has introduced."""
        found = survey(formula.tree)
        for name, occurrence in found.names.items():
            rows = occurrence.indices and name.upper() in known
            if name not in known and not rows and name not in self.sizes and name not in CONSTANT_NAMES:
                raise UnknownSymbol(
                    f"{name} is not known",
                    text=formula.text,
                    spans=(occurrence.span,),
                    expected="a name that was declared or defined",
                    hint=f"declare it, {name} : N x d, or define it, {name} = …",
                )


CONSTANT_NAMES = frozenset({"e", "pi"})


def parsed(text: str, reading: Reading, free: Sequence[str]) -> Formula:
    """Return the tree of a text in which some indices are free."""
    if free and reading == "latex":  # inside a sum the parser knows them for indices
        signs = "".join(rf"\sum_{{{index}}}" for index in free)
        formula = read(rf"{signs} \left( {text} \right)", "latex", functions=function_names())
        tree = formula.tree
        for _ in free:
            assert isinstance(tree, Bound)
            tree = tree.body
        return replace(formula, tree=tree)
    return read(text, reading, functions=function_names())


def with_weights(formula: Formula, free: Sequence[str]) -> Formula:
    """Return Σᵢ qᵢ (…): its derivative by q has the free index as an axis."""
    span = formula.tree.span
    indices = tuple(Name(index, span) for index in free)
    weight = Index(Name(WEIGHTS, span), indices, span, one_based=formula.syntax != "text")
    operator: Literal["*", "juxt"] = "*" if formula.syntax == "text" else "juxt"
    body = Binary(operator, weight, formula.tree, span, span)
    return replace(formula, tree=Bound("sum", indices, None, None, body, span))
