"""A reader's derivation, line by line: what is given is noted, what is claimed is judged."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from chainrule.errors import ChainruleError, DomainError, ShapeError, UnknownSymbol
from chainrule.expression.node import Expr, Symbol
from chainrule.expression.shape import Shape
from chainrule.expression.survey import survey
from chainrule.proofread.claim import Claim
from chainrule.proofread.declarations import Declaration, declarations, setting
from chainrule.proofread.differential import differentials
from chainrule.proofread.judge import Status, Verdict, judge
from chainrule.proofread.notebook import Notebook, style_of
from chainrule.proofread.reading import Row
from chainrule.proofread.readings import best_reading, is_condition
from chainrule.proofread.report import WRONG, Line
from chainrule.proofread.sides import Equation, equation, indexed_name, plain_name, updated_name, without_arguments
from chainrule.proofread.subjects import (
    Subject,
    derivative_in,
    equation_left,
    identity,
    indexed_target,
    is_cotangent,
    meaning,
    names,
    primed,
    updated,
    upstream_of,
    whole,
)
from chainrule.proofread.targets import Target, cotangent, resolved
from chainrule.proofread.trust import trusted
from chainrule.proofread.words import is_sentence, is_word

WORD = re.compile(r"(?<!\\)(?<![^\W\d_])[^\W\d_]+[0-9]*")
MOST_WORDS = 4  # of a left side that may define a name
SUPPOSING = re.compile(r"\b(?:if|unless|suppose|assume|assuming|when|say)\b", re.IGNORECASE)
FINE = ("correct", "correct up to layout", "given")
UNCONFIRMED = "the derivative itself could not be confirmed by differences"
SECONDS = 30.0  # for a whole working; what is left then is not judged


@dataclass(slots=True)
class Proofreader:
    """Goes through the rows of a working once; definitions further down are looked up when they are needed."""

    found: list[Row]
    seconds: float = SECONDS
    book: Notebook = field(default_factory=Notebook)
    layouts: dict[bool, str] = field(default_factory=dict)  # of gradients (True) and of Jacobians so far
    subject: Subject | None = None
    lines: list[Line] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    section: int = 0
    started: float = field(default_factory=time.monotonic)
    checked: dict[tuple[Expr, tuple[Symbol, ...]], bool] = field(default_factory=dict)
    defining: dict[str, list[int]] = field(default_factory=dict)  # rows whose left side has a word
    awaited: dict[str, str] = field(default_factory=dict)  # what is defined further down, and its cotangent
    sections: dict[str, int] = field(default_factory=dict)  # in which section a name was defined

    @property
    def layout(self) -> str:
        """The layout of the derivatives so far, "" if none has shown one."""
        return self.layouts.get(True, self.layouts.get(False, ""))

    def read(self) -> list[Line]:
        """Return a line for every formula."""
        self.book.style = style_of([row.text for row in self.found if row.form == "plain"])
        for row in self.found:  # what a symbol is holds from the start
            for one in declarations(row.text) or () if setting(row.text) is None else ():
                self.declare(row, one, first=True)
        for k, row in enumerate(self.found):
            left = equation_left(row) if "=" in row.text else ""
            for word in WORD.findall(left)[:MOST_WORDS] if not differentials(left) else ():
                self.defining.setdefault(word, []).append(k)
        for k in range(len(self.found)):
            self.visit(k)
        return sorted(self.lines, key=lambda line: (line.number, line.column))

    def visit(self, k: int) -> None:
        """Read one row, unless it has been read already."""
        if k in self.done:
            return
        self.done.add(k)
        row = self.found[k]
        self.section = row.section
        if self.note(row):
            return
        said = equation(row.text)
        known = self.book.known | self.defining.keys()
        if said is None or (row.form == "plain" and any(is_sentence(right, known) for _, right in said.rights)):
            return
        if not said.left and row.lead:
            return
        self.look_ahead(k)
        if time.monotonic() - self.started > self.seconds:
            self.add(row, "formula", Verdict("cannot tell", "the time for this working is used up"))
            return
        if said.left:
            self.book.forget()
            self.settle()
        first = len(self.lines)
        before = self.book.copied()
        self.attempt(row, said)
        if self.is_fine(first) or not self.book.passing:
            return
        self.otherwise(row, said, first, before)

    def settle(self) -> None:
        """From here on `dP` is a name for what it truly is."""
        subject = self.subject
        if subject is not None and subject.kind == "cotangent" and subject.target is not None:
            self.book.define("d" + subject.target.label[1], subject.target.truth, {})
            self.subject = None

    def attempt(self, row: Row, said: Equation) -> None:
        """Read an equation; what cannot be read is reported."""
        try:
            self.equation(row, said)
        except ChainruleError as error:
            if row.sure or differentials(said.left):
                self.refuse(row, error)

    def otherwise(self, row: Row, said: Equation, first: int, before: Notebook) -> None:
        """Try other shapes for the symbols that nothing declares: x may be a number in d(x + x²)/dx = 1 + 2x."""
        best = self.score(first), self.book, self.lines[first:]
        guesses = {n: self.book.shapes[n] for n in self.book.passing if not is_bold(n, row.text)}
        scalars: dict[str, Shape] = {n: () if len(shape) < 2 else shape for n, shape in guesses.items()}
        vectors: dict[str, Shape] = {n: shape or ("n",) for n, shape in guesses.items()}
        for other in (scalars, vectors):
            if other == guesses:
                continue
            self.book = before
            before = self.book.copied()
            self.book.guess(other)
            del self.lines[first:]
            self.attempt(row, said)
            if self.score(first) > best[0]:
                best = self.score(first), self.book, self.lines[first:]
        _, self.book, self.lines[first:] = best

    def score(self, first: int) -> int:
        """Say how good a reading is by the lines it gave: all right, wrong but of one shape, or neither."""
        if self.is_fine(first):
            return 2
        return int(all(line.verdict in FINE or (line.verdict in WRONG and not line.why) for line in self.lines[first:]))

    def is_fine(self, first: int) -> bool:
        """True if all lines added since then are right."""
        added = self.lines[first:]
        return bool(added) and all(line.verdict in FINE for line in added)

    # --- what is given
    def note(self, row: Row) -> bool:
        """Take a declaration or a setting; True if the row was one."""
        chosen = setting(row.text)
        if chosen:
            key, value = chosen
            if key == "layout":
                self.layouts = {True: value, False: value}
            else:
                self.book.style = (
                    "matlab" if value == "matlab" else "numpy" if value in ("numpy", "text") else "unknown"
                )
            return True
        given = declarations(row.text)
        if given is None:
            return False
        for one in given:
            self.declare(row, one)
        self.add(row, "declaration", Verdict("given"))
        return True

    def declare(self, row: Row, one: Declaration, first: bool = False) -> None:
        """Note what a declaration says; with `first`, what an earlier one said stays."""
        for written in one.names:
            name = plain_name(written, row.form)
            if name is None or (first and name in self.book.shapes):
                continue
            if one.of:
                of = plain_name(one.of, row.form) or one.of
                self.cotangents_of(name, of)
            elif one.shape is not None:
                self.book.declare(name, one.shape, one.facts)

    def cotangents_of(self, name: str, of: str) -> None:
        """Note that a name is the cotangent of another, which may be defined further down."""
        if of in self.book.shapes:
            self.book.declare(name, self.book.shapes[of])
            self.book.cotangents[name] = of
        else:
            self.awaited[of] = name

    def look_ahead(self, k: int) -> None:
        """Read definitions elsewhere of names that this row uses and nothing has introduced yet."""
        row = self.found[k]
        own = set(WORD.findall(equation_left(row)))
        for word in dict.fromkeys(WORD.findall(row.text)):
            if word in self.book.shapes or word in own:
                continue
            for j in self.defining.get(word, ()):
                later = self.found[j]
                if j in self.done or later.section != row.section or word in self.book.shapes:
                    continue
                if names(self.book, later, equation_left(later)) == word:
                    kept = self.subject
                    self.visit(j)
                    self.subject = kept

    # --- equations
    def equation(self, row: Row, said: Equation) -> None:
        """Read a row with its sides: a definition, or claims."""
        rights = [right for _, right in said.rights]
        if said.left:
            self.subject = None
            rights = self.begin(row, said)
        elif self.subject is None:
            raise DomainError("there is nothing that this line goes on with", hint="begin with what it is equal to")
        for right in rights:
            self.claim(row, right)

    def begin(self, row: Row, said: Equation) -> list[str]:
        """Find out what a left side is; return the right sides that claim something about it."""
        rights = [right for _, right in said.rights]
        left = said.left.strip("$ ")
        found = [one] if (one := primed(left)) and one.function in self.book.names else differentials(left)
        if len(found) == 1 and whole(left, found[0]):
            self.subject = Subject(left, resolved(self.book, found[0], row.form), kind="derivative")
            return rights
        name = names(self.book, row, left)
        if said.updates or updated_name(left, row.form) in self.book.shapes or self.is_step(row, name, rights):
            return self.update(row, said, updated_name(left, row.form) or name or left)
        if name is not None and is_cotangent(self.book, name):
            target = cotangent(self.book, name[1:])
            if target is not None:
                self.subject = Subject(left, target, kind="cotangent")
                return rights
        if name is not None and not found and self.defines(row, name, said):
            return self.define(row, name, left, rights)
        if not row.sure:  # in a sentence, `N = 1` is no claim
            return []
        self.subject = identity(self.book, row, left, rights[0])
        return rights

    def is_step(self, row: Row, name: str | None, rights: list[str]) -> bool:
        """True for `w = w - eta * g`, which is an assignment: what is on the left is on the right too."""
        if name is None or name not in self.book.shapes or name in self.book.names or len(rights) != 1:
            return False
        return any(name in survey(tree.tree).names for tree in self.book.trees(rights[0], row.form))

    def defines(self, row: Row, name: str, said: Equation) -> bool:
        """True if an equation introduces its left side, rather than claims something about it."""
        unlikely = is_word(name) and name not in self.book.known and not row.sure
        if unlikely or name in self.book.sizes or SUPPOSING.search(row.lead):
            return False
        if name not in self.book.names:
            return True
        return said.defines or row.section != self.sections.get(name, row.section)

    def define(self, row: Row, name: str, left: str, rights: list[str]) -> list[str]:
        """Note a definition; return the further right sides, which claim something about it."""
        if not row.sure and name in self.book.shapes:
            return []
        _, free = indexed_name(without_arguments(left)[0], row.form, self.book.known) or (name, ())
        if name not in self.book.shapes and (of := upstream_of(self.book, row, rights[0])):
            self.cotangents_of(name, of)
            self.add(row, "declaration", Verdict("given"))
            return rights[1:]
        target = derivative_in(self.book, row, rights[0])
        if target is not None and not target.free:
            self.book.define(name, target.truth, {})
            self.subject = Subject(left, target, kind="derivative")
        else:
            value, shapes = meaning(self.book, row, rights[0], free, self.layout, is_cotangent(self.book, name))
            self.book.define(name, value, shapes)
            self.subject = Subject(left, None, self.book.symbol(name))
            if free:
                self.subject.target = indexed_target(self.book.symbol(name), free)
        self.sections[name] = row.section
        if name in self.awaited:
            self.cotangents_of(self.awaited.pop(name), name)
        self.add(row, "definition", Verdict("given"), left=left)
        if is_cotangent(self.book, name):
            self.book.cotangents[name] = name[1:]
        return rights[1:]

    def update(self, row: Row, said: Equation, name: str) -> list[str]:
        """Judge `w ← w − η ∂C/∂w`: it goes against the gradient, and rows and columns have to fit."""
        found = updated(self.book, row, said.left, said.rights[-1][1], name, self.layout)
        if isinstance(found, ChainruleError):
            why = f"{found.message}: the gradient is a row here, and {name} is a column"
            self.add(row, "update", Verdict("wrong", why, finding="shape"))
            return []
        verdict = judge(found) if isinstance(found, Claim) else Verdict("given")
        self.add(row, "update", verdict, found if isinstance(found, Claim) else None)
        return []

    # --- claims
    def claim(self, row: Row, right: str) -> None:
        """Judge one right side against what the subject is."""
        subject = self.subject
        assert subject is not None
        if is_condition(row, right):
            return
        target = subject.target
        truth = target.truth if target is not None else subject.value
        assert truth is not None
        if target is not None and target.kind == "derivative" and not self.is_trusted(target):
            self.add(
                row, subject.kind, Verdict("cannot tell", "the derivative itself could not be confirmed by differences")
            )
            return
        best = best_reading(self.book, self.found, row, right, subject, truth, self.layouts)
        if isinstance(best, ChainruleError):
            self.not_built(row, right, best, subject, truth)
            return
        verdict, claim = best
        if verdict.status == "correct" and subject.kind == "identity" and claim.stated is not None:
            self.book.restate(plain_name(subject.left, row.form), claim.stated)
        if verdict.layout and verdict.status == "correct":
            self.layouts.setdefault(claim.function is not None and not claim.function.ndim, verdict.layout)
        self.add(row, subject.kind, verdict, claim, subject.left, right)

    def not_built(self, row: Row, right: str, error: ChainruleError, subject: Subject, truth: Expr) -> None:
        """Say what an error in a right side means: shapes that cannot fit are wrong, other errors not understood."""
        declared = not (self.book.guessed & set(re.findall(r"\w+", right)))
        if isinstance(error, ShapeError) and declared and subject.target is not None:
            target = subject.target
            wrt = target.wrt if subject.kind != "identity" else ()
            tree = next(self.book.trees(right, row.form), None)
            names, shapes = dict(self.book.names), dict(self.book.shapes)
            claim = Claim(subject.kind, target.function, wrt, None, truth, names, tree, shapes, error)
            self.add(row, subject.kind, Verdict("wrong", error.message, finding="shape"), claim, subject.left, right)
            return
        self.refuse(row, error)

    def is_trusted(self, target: Target) -> bool:
        """True if the true derivative was confirmed by differences."""
        key = (target.function, target.wrt)
        if key not in self.checked:
            truth = target.truth
            if target.entry:
                x = target.wrt[0]
                self.checked[key] = True if target.truth.ndim else trusted(target.function, (x,), truth)
            else:
                self.checked[key] = trusted(target.function, target.wrt, truth)
        return self.checked[key]

    # --- lines
    def add(
        self, row: Row, kind: str, verdict: Verdict, claim: Claim | None = None, left: str = "", right: str = ""
    ) -> None:
        """Add a line to the report."""
        text = row.text if kind in ("declaration", "definition", "formula") or not right else f"{left} = {right}"
        self.lines.append(
            Line(
                row.number,
                " ".join(text.split()),
                kind,
                verdict.status,
                verdict.why,
                verdict.condition,
                verdict.layout,
                row.column,
                verdict.exact,
                finding=verdict.finding,
                left=left,
                claim=claim,
                form=row.form,
            )
        )

    def refuse(self, row: Row, error: ChainruleError) -> None:
        """Report a formula that could not be read; the others are still checked."""
        status: Status = "cannot tell" if isinstance(error, UnknownSymbol | ShapeError) else "not understood"
        self.add(row, "formula", Verdict(status, message(error)))


BOLD = re.compile(r"\\(?:mathbf|boldsymbol|bm|vec)\s*\{?\s*\\?([A-Za-z]+)")


def is_bold(name: str, text: str) -> bool:
    """True if LaTeX sets a name in bold: then it is no scalar."""
    return name in BOLD.findall(text)


def message(error: ChainruleError) -> str:
    """Return an error's sentence with what was expected and what to try, on one line."""
    parts = [error.message]
    if error.expected:
        parts.append(f"expected {error.expected}")
    if error.hint:
        parts.append(error.hint)
    return "; ".join(parts)
