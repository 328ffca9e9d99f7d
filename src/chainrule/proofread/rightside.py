"""What a right side says: expressions, products of derivatives as the chain rule writes them, or a mixture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from chainrule.derivative.differentiate import substitute
from chainrule.errors import ChainruleError, DomainError, ShapeError, UnknownSymbol
from chainrule.expression.build import contract
from chainrule.expression.elaborate import elaborate
from chainrule.expression.extent import names_of
from chainrule.expression.indexed import Side
from chainrule.expression.node import Expr, Symbol, is_zero, walk, zeros
from chainrule.expression.shape import Shape
from chainrule.expression.total import add_terms
from chainrule.proofread.differential import Differential, differentials, replaced
from chainrule.proofread.notebook import Meaning, Notebook, Reading
from chainrule.proofread.reading import Form
from chainrule.proofread.slopes import with_slopes
from chainrule.proofread.targets import Target, product, resolved, turned
from chainrule.syntax.tree import Binary, Formula, Name

PLACEHOLDER = "Derivative"
FITTING = "shape_of_the_left_side"
LINK = re.compile(r"\s*(?:\\cdot|\\times|\\circ|\\left|\\right|\\[,;:! ]|[()·*@⊙×\s]|(?<=\s)\.(?=\s))*\s*")
VARIANTS = ("numerator", "denominator", "diagonal")


@dataclass(frozen=True, slots=True)
class Stated:
    """One reading of a right side: the expression in the reader's names, how a vector is turned, and a remark.

    `loose` says that rows and columns had to be ignored for the products to make sense. `branches` are the values of a
    case split whose condition has an index that no sum binds; then `expression` is the last that is not zero.
    """

    expression: Expr
    side: Side = ""
    formula: Formula | None = None
    shapes: Mapping[str, Shape] | None = None
    variant: str = ""
    loose: bool = False
    branches: tuple[Expr, ...] = ()


def stated(
    book: Notebook, text: str, form: Form, target: Target | None, layout: str, strict: bool = False
) -> Iterator[Stated | ChainruleError]:
    """Yield what a right side may mean, the likeliest first, and the errors of readings that fail."""
    text = with_cotangents(book, text, form)
    text, slopes = with_slopes(book, text, form)
    found, parts = parts_of(book, text, form)
    free = target.free if target else ()
    if found and target is not None and not free and not slopes:
        value = chain(text, found, parts, target, book)
        if value is not None:
            yield Stated(value, variant="chain")
            return
    yield from mixed(book, text, form, found, parts, target, layout, strict, slopes)


def parts_of(book: Notebook, text: str, form: Form) -> tuple[list[Differential], list[Target]]:
    """Return the derivatives in a text that can be resolved; a `d…/d…` of unknown names is no derivative."""
    found: list[Differential] = []
    parts: list[Target] = []
    for one in differentials(text):
        try:
            parts.append(resolved(book, one, form))
            found.append(one)
        except ChainruleError:
            if one.sign != "d":
                raise
    return found, parts


# --- products of derivatives only
def chain(
    text: str, found: Sequence[Differential], parts: Sequence[Target], target: Target, book: Notebook
) -> Expr | None:
    """Return the value of a sum of products of derivatives, or None if the text holds anything else."""
    if any(part.free for part in parts):
        return None
    terms: list[tuple[Fraction, list[Target]]] = [(Fraction(1), [])]
    place = 0
    for one, part in zip(found, parts, strict=True):
        between = text[place : one.start]
        sign = re.fullmatch(rf"{LINK.pattern}(?P<sign>[+\-−]?){LINK.pattern}", between)
        if sign is None:
            return None
        if sign["sign"]:
            terms += [(Fraction(1), [])] if terms[-1][1] else []
            terms[-1] = (terms[-1][0] * (1 if sign["sign"] == "+" else -1), terms[-1][1])
        terms[-1][1].append(part)
        place = one.stop
    if LINK.fullmatch(text[place:]) is None:
        return None
    return summed([(c, held(factors, target, len(terms) > 1)) for c, factors in terms], target)


def held(factors: list[Target], target: Target, several: bool) -> list[Target]:
    """In a total derivative, ∂f/∂x beside ∂f/∂u ∂u/∂x holds u still."""
    if several and len(factors) == 1 and factors[0].label == target.label and factors[0].direct is not None:
        return [replace(factors[0], truth=factors[0].direct)]
    return factors


def summed(terms: Sequence[tuple[Fraction, list[Target]]], target: Target) -> Expr | None:
    """Return the sum of products, or None if some product does not join up or has another shape."""
    values = [(c, product(factors)) for c, factors in terms]
    if any(value is None for _, value in values):
        return None
    known = [(c, value) for c, value in values if value is not None]
    shape = known[0][1].shape
    if any(value.shape != shape for _, value in known):
        return None
    return add_terms([(c if c.denominator != 1 else int(c), value) for c, value in known], shape)


# --- derivatives among other things
def mixed(
    book: Notebook, text: str, form: Form, found: Sequence[Differential], parts: Sequence[Target],
    target: Target | None, layout: str, strict: bool, slopes: Mapping[str, Expr],
) -> Iterator[Stated | ChainruleError]:  # fmt: skip
    """Yield the readings of a text in which derivatives stand among other things."""
    order = [v for v in (layout, *VARIANTS) if v] if found else [""]
    if strict and layout:
        order = [layout]
    for variant in dict.fromkeys(order):
        spelled, values = spelled_out(book, text, form, found, parts, variant)
        yield from in_all_readings(book, spelled, form, {**values, **slopes}, target, variant, strict)


def in_all_readings(
    book: Notebook, text: str, form: Form, values: Mapping[str, Expr], target: Target | None, variant: str, strict: bool
) -> Iterator[Stated | ChainruleError]:
    """Yield what a text means in each notation; where rows and columns do not fit, also without them."""
    free = target.free if target else ()
    weights = weights_of(target)
    extra = {name: value.shape for name, value in values.items()}
    for reading, written in list(book.readings(text, form)):
        try:
            yield settled(book.meaning(written, reading, free, extra, weights, True), book, target, values, variant)
        except ChainruleError as error:
            yield error
            if isinstance(error, UnknownSymbol) and reading == "latex":
                yield from outside(book, written, target, variant)
            if isinstance(error, ShapeError) and reading == "latex" and not strict:
                yield from without_sides(book, written, reading, target, values, variant)
            if book.style == "numpy" and reading == "text" and isinstance(error, ShapeError | DomainError):
                return


CASES = re.compile(
    r"^\s*(?:\\left\.?\\?\{?)?\s*\\begin\{[dr]?cases\*?\}(.*)\\end\{[dr]?cases\*?\}\s*(?:\\right\.)?\s*$", re.DOTALL
)
UNBOUND = re.compile(r"_\s*(?:\{\s*[ijklmn]\s*\}|[ijklmn](?![A-Za-z]))")


def outside(book: Notebook, text: str, target: Target | None, variant: str) -> Iterator[Stated]:
    """Yield a case split whose condition speaks of sample i although no sum over i is around it."""
    match = CASES.match(text)
    if match is None or target is None:
        return
    rows = [row.split("&") for row in re.split(r"\\\\", match[1]) if row.strip()]
    if any(len(row) != 2 for row in rows) or not any(UNBOUND.search(row[1]) for row in rows):
        return
    branches: list[Expr] = []
    for value, _ in rows:
        for one in in_all_readings(book, value, "latex", {}, target, variant, False):
            if isinstance(one, Stated):
                branches.append(zeros(target.truth.shape) if is_zero(one.expression) else one.expression)
                break
    if len(branches) == len(rows):
        active = next((e for e in reversed(branches) if not is_zero(e)), branches[-1])
        yield Stated(active, branches=tuple(branches), variant=variant)


def without_sides(
    book: Notebook, text: str, reading: Reading, target: Target | None, values: Mapping[str, Expr], variant: str
) -> Iterator[Stated | ChainruleError]:
    """Yield the reading in which vectors are neither rows nor columns."""
    extra = {name: value.shape for name, value in values.items()}
    free = target.free if target else ()
    try:
        meaning = book.meaning(text, reading, free, extra, weights_of(target), True, sided=False)
        yield replace(settled(meaning, book, target, values, variant), loose=True)
    except ChainruleError as error:
        yield error


def weights_of(target: Target | None) -> Shape | None:
    """Return the sizes of a target's free indices."""
    if target is None or not target.free:
        return None
    if target.entry:
        return target.truth.shape[: len(target.free)]
    rows, columns = target.truth.shape[: target.lead], target.truth.shape[target.outputs :]
    return (*rows, *columns[: len(target.free) - target.lead])


def settled(
    meaning: Meaning, book: Notebook, target: Target | None, values: Mapping[str, Expr], variant: str
) -> Stated:
    """Return a reading with sizes taken from the left side where it leaves them open, and derivatives put in."""
    e = meaning.expression
    if target is not None and not target.free and has_open_sizes(e, book, target):
        better = fitted(meaning, target)
        e = e if better is None else better
    put_in: dict[Expr, Expr] = {Symbol(name, value.shape): value for name, value in values.items()}
    e = substitute(e, put_in) if put_in else e
    e = book.dressed(e)
    if target is not None and target.free and not target.entry:
        e = in_order(e, target)
    return Stated(e, meaning.side, meaning.formula, meaning.shapes, variant)


def in_order(e: Expr, target: Target) -> Expr:
    """Move the axes of the free indices (the function's, then the variables') to where they stand in the truth."""
    count, lead = len(target.free), target.lead
    rest = target.outputs - lead
    if e.ndim != target.truth.ndim or rest == 0 or count == lead:
        return e
    letters = "abcdefghijklmnop"[: e.ndim]
    rows, columns, others = letters[:lead], letters[lead:count], letters[count:]
    return contract(f"{letters}->{rows}{others[:rest]}{columns}{others[rest:]}", e)


def has_open_sizes(e: Expr, book: Notebook, target: Target) -> bool:
    """True if some axis has a size that only this line mentions."""
    known = {*book.sizes, *(n for size in target.truth.shape for n in names_of(size))}
    return any(n not in known for node in walk(e) if not node.args for size in node.shape for n in names_of(size))


def fitted(meaning: Meaning, target: Target) -> Expr | None:
    """Elaborate a right side beside a symbol of the left side's shape, so that I and 1⃗ take its sizes."""
    tree = meaning.formula.tree
    for shape in dict.fromkeys((target.truth.shape, turned(target.truth, target.outputs).shape)):
        if len(shape) != meaning.expression.ndim:
            continue
        other = Name(FITTING, tree.span)
        formula = replace(meaning.formula, tree=Binary("-", tree, other, tree.span, tree.span), syntax="text")
        try:
            e = elaborate(formula, {**meaning.shapes, FITTING: shape} if not open_names(meaning) else {FITTING: shape})
        except ChainruleError:
            continue
        return substitute(e.expression, {Symbol(FITTING, shape): zeros(shape)})
    return None


def open_names(meaning: Meaning) -> bool:
    """True if a right side has no symbols of its own."""
    return not meaning.expression.symbols


def spelled_out(
    book: Notebook, text: str, form: Form, found: Sequence[Differential], parts: Sequence[Target], variant: str
) -> tuple[str, dict[str, Expr]]:
    """Put symbols in place of derivatives, turned as the layout has them."""
    values: dict[str, Expr] = {}
    spellings: list[str] = []
    for k, part in enumerate(parts, 1):
        name = f"{PLACEHOLDER}{k}"
        value = laid_out(part, variant)
        row = value.ndim == 1 and is_row(part, variant) and not part.free
        values[name] = value
        spellings.append(written(name, part.free, row, form, found[k - 1].turned))
    return replaced(text, list(found), iter(spellings))[0], values


def laid_out(part: Target, variant: str) -> Expr:
    """Return a derivative's value in one layout; "diagonal" gives that of an element-wise function as a vector."""
    if (
        variant == "diagonal"
        and part.truth.ndim == 2
        and part.truth.shape[0] == part.truth.shape[1]
        and part.outputs == 1
    ):
        return contract("ii->i", part.truth)
    if variant == "denominator" and part.outputs and not part.entry and not part.free:
        return turned(part.truth, part.outputs)
    return part.truth


def is_row(part: Target, variant: str) -> bool:
    """True if a derivative that is a vector stands as a row in this layout."""
    if variant == "diagonal":
        return False
    return (part.outputs == 0) == (variant == "numerator")


def written(name: str, free: Sequence[str], row: bool, form: Form, flipped: bool) -> str:
    """Write a placeholder's symbol in the syntax of the text."""
    if form == "plain":
        return name + (f"[{', '.join(free)}]" if free else "") + (".T" if row != flipped else "")
    below = f"_{{{','.join(free)}}}" if free else ""
    return rf"\mathrm{{{name}}}{below}" + (r"^{\top}" if row != flipped else "") + " "


def with_cotangents(book: Notebook, text: str, form: Form) -> str:
    """Put `dX` of LaTeX together where it is one name: `dO` is not d times O."""
    if form != "latex":
        return text
    names = [n for n in book.known if n[0] == "d" and len(n) > 1 and (n in book.cotangents or n[1:] in book.known)]
    for name in names:
        letter = (
            rf"(?:{re.escape(name[1:])}|\\(?:mathbf|boldsymbol|bm)\{{{re.escape(name[1:])}\}}|\\{re.escape(name[1:])})"
        )
        text = re.sub(rf"(?<![A-Za-z\\])(?:d|\\mathrm\{{d\}})\s*{letter}(?![A-Za-z0-9_])", rf"\\mathrm{{{name}}}", text)
    return text
