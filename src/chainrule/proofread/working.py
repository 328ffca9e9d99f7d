"""A reader's derivation, line by line: what is given is noted, what is claimed is judged."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace

from chainrule.errors import ChainruleError, DomainError, ShapeError, UnknownSymbol
from chainrule.expression.node import Expr, Symbol
from chainrule.proofread.claim import Claim
from chainrule.proofread.declarations import Declaration, declarations, setting
from chainrule.proofread.differential import differentials
from chainrule.proofread.judge import Status, Verdict, judge
from chainrule.proofread.notebook import Notebook, style_of
from chainrule.proofread.reading import Row
from chainrule.proofread.report import Line
from chainrule.proofread.rightside import Stated, stated
from chainrule.proofread.sides import (
    Equation,
    equation,
    indexed_name,
    plain_name,
    updated_name,
    without_arguments,
)
from chainrule.proofread.subjects import (
    Subject,
    derivative_in,
    equation_left,
    identity,
    indexed_target,
    is_cotangent,
    meaning,
    names,
    whole,
)
from chainrule.proofread.targets import Target, cotangent, resolved
from chainrule.proofread.trust import trusted
from chainrule.proofread.words import is_sentence, is_word

UNCONFIRMED = "the derivative itself could not be confirmed by differences"
SECONDS = 30.0  # for a whole working; what is left then is not judged
STATIONARY = re.compile(
    r"\b(?:set|sets|setting|zero|vanish\w*|stationar\w*|optim\w*|minim\w*|maxim\w*|solve|solving)\b", re.I
)
INTRODUCING = re.compile(r"\b(?:let|where|with|define|set|put|denote|and|write|call|take|for|suppose)\b", re.I)


@dataclass(slots=True)
class Proofreader:
    """Goes through the rows of a working once; definitions further down are looked up when they are needed."""

    found: list[Row]
    seconds: float = SECONDS
    book: Notebook = field(default_factory=Notebook)
    layout: str = ""  # the layout of the derivatives so far
    subject: Subject | None = None
    lines: list[Line] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    section: int = 0
    started: float = field(default_factory=time.monotonic)
    checked: dict[tuple[Expr, tuple[Symbol, ...]], bool] = field(default_factory=dict)
    sections: dict[str, int] = field(default_factory=dict)  # in which section a name was defined

    def read(self) -> list[Line]:
        """Return a line for every formula."""
        self.book.style = style_of([row.text for row in self.found if row.form == "plain"])
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
        if said is None or (row.form == "plain" and is_sentence(row.text, self.book.known)):
            return
        self.look_ahead(k)
        if time.monotonic() - self.started > self.seconds:
            self.add(row, "formula", Verdict("cannot tell", "the time for this working is used up"))
            return
        try:
            self.equation(row, said)
        except ChainruleError as error:
            if row.sure or differentials(said.left):
                self.refuse(row, error)

    # --- what is given
    def note(self, row: Row) -> bool:
        """Take a declaration or a setting; True if the row was one."""
        chosen = setting(row.text)
        if chosen:
            key, value = chosen
            if key == "layout":
                self.layout = value
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

    def declare(self, row: Row, one: Declaration) -> None:
        """Note what a declaration says."""
        for written in one.names:
            name = plain_name(written, row.form)
            if name is None:
                continue
            if one.of:
                of = plain_name(one.of, row.form) or one.of
                self.cotangents_of(name, of)
            elif one.shape is not None:
                self.book.declare(name, one.shape, one.facts)

    def cotangents_of(self, name: str, of: str) -> None:
        """Note that a name is the cotangent of another, which may be defined further down."""
        if of not in self.book.shapes:
            self.define_later(of)
        if of in self.book.shapes:
            self.book.declare(name, self.book.shapes[of])
            self.book.cotangents[name] = of

    def define_later(self, name: str) -> None:
        """Read the definition of a name that stands further down."""
        for k, row in enumerate(self.found):
            if (
                k not in self.done
                and (said := equation(row.text)) is not None
                and names(self.book, row, said.left) == name
            ):
                self.visit(k)
                return

    def look_ahead(self, k: int) -> None:
        """Read definitions further down of names that this row uses and nothing has introduced yet."""
        row = self.found[k]
        words = set(re.findall(r"[^\W\d_]\w*", row.text))
        for j in range(k + 1, len(self.found)):
            later = self.found[j]
            if j in self.done or later.section != row.section or "=" not in later.text:
                continue
            said = equation(later.text)
            name = names(self.book, later, said.left) if said else None
            if (
                name
                and name not in self.book.shapes
                and name in words
                and name != names(self.book, row, equation_left(row))
            ):
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
        found = differentials(left)
        if len(found) == 1 and whole(left, found[0]):
            self.subject = Subject(left, resolved(self.book, found[0], row.form), kind="derivative")
            return rights
        name = names(self.book, row, left)
        if said.updates or updated_name(left, row.form) in self.book.shapes:
            return self.update(row, said, updated_name(left, row.form) or name or left)
        if name is not None and is_cotangent(self.book, name):
            target = cotangent(self.book, name[1:])
            if target is not None:
                self.subject = Subject(left, target, kind="cotangent")
                return rights
        if name is not None and not found and self.defines(row, name, said):
            return self.define(row, name, left, rights)
        self.subject = identity(self.book, row, left, rights[0])
        return rights

    def defines(self, row: Row, name: str, said: Equation) -> bool:
        """True if an equation introduces its left side, rather than claims something about it."""
        if is_word(name) and name not in self.book.known:
            return False
        if name not in self.book.names:
            return True
        return said.defines or row.section != self.sections.get(name, row.section)

    def define(self, row: Row, name: str, left: str, rights: list[str]) -> list[str]:
        """Note a definition; return the further right sides, which claim something about it."""
        if not row.sure and name in self.book.shapes:
            return []
        _, free = indexed_name(without_arguments(left)[0], row.form, self.book.known) or (name, ())
        target = derivative_in(self.book, row, rights[0])
        if target is not None and not target.free:
            self.book.define(name, target.truth, {})
            self.subject = Subject(left, target, kind="derivative")
        else:
            value, shapes = meaning(self.book, row, rights[0], free, self.layout)
            self.book.define(name, value, shapes)
            self.subject = Subject(left, None, self.book.symbol(name))
            if free:
                self.subject.target = indexed_target(self.book.symbol(name), free)
        self.sections[name] = row.section
        self.add(row, "definition", Verdict("given"), left=left)
        if is_cotangent(self.book, name):
            self.book.cotangents[name] = name[1:]
        return rights[1:]

    def update(self, row: Row, said: Equation, name: str) -> list[str]:
        """Judge `w ← w − η ∂C/∂w`: rows and columns have to fit."""
        raise DomainError("updates are not read yet")

    # --- claims
    def claim(self, row: Row, right: str) -> None:
        """Judge one right side against what the subject is."""
        subject = self.subject
        assert subject is not None
        if self.is_condition(row, right):
            return
        target = subject.target
        truth = target.truth if target is not None else subject.value
        assert truth is not None
        if target is not None and target.kind == "derivative" and not self.is_trusted(target):
            self.add(
                row, subject.kind, Verdict("cannot tell", "the derivative itself could not be confirmed by differences")
            )
            return
        best = self.best(row, right, subject, target, truth)
        if isinstance(best, ChainruleError):
            self.not_built(row, right, best, subject, truth)
            return
        verdict, claim = best
        if verdict.layout and not self.layout and verdict.status == "correct":
            self.layout = verdict.layout
        self.add(row, subject.kind, verdict, claim, subject.left, right)

    def best(
        self, row: Row, right: str, subject: Subject, target: Target | None, truth: Expr
    ) -> tuple[Verdict, Claim] | ChainruleError:
        """Return the best verdict that a plausible reading of the right side gets, or the first error."""
        first: ChainruleError | None = None
        found: tuple[Verdict, Claim] | None = None
        for one in stated(self.book, right, row.form, target, self.layout):
            if isinstance(one, ChainruleError):
                first = first or one
                continue
            claim = self.made(subject, target, truth, one)
            outputs = 0 if target is None or target.entry or target.kind != "derivative" else target.outputs
            verdict = judge(claim, one.side, outputs, self.layout, one.loose)
            if verdict.rank > 1 and target is not None and target.direct is not None:
                other = judge(replace(claim, truth=target.direct), one.side, outputs, self.layout, one.loose)
                if other.status == "correct" and self.has_total(target):
                    verdict = replace(other, why="as the partial derivative that holds other names still")
            if found is None or verdict.rank < found[0].rank:
                found = verdict, claim
            if verdict.rank == 0:
                break
        return found or first or DomainError("this cannot be read")

    def has_total(self, target: Target) -> bool:
        """True if the working also writes the total derivative of the same function with a d."""
        return any(
            one.sign == "d" and one.function.strip() == target.label[0]
            for row in self.found
            for one in differentials(row.text)
        )

    def made(self, subject: Subject, target: Target | None, truth: Expr, one: Stated) -> Claim:
        """Return the claim of one reading."""
        function = target.function if target is not None and subject.kind != "identity" else None
        wrt = target.wrt if target is not None and subject.kind != "identity" else ()
        return Claim(
            subject.kind,
            function,
            wrt,
            one.expression,
            truth,
            dict(self.book.names),
            one.formula,
            dict(self.book.shapes),
        )

    def not_built(self, row: Row, right: str, error: ChainruleError, subject: Subject, truth: Expr) -> None:
        """Say what an error in a right side means: shapes that cannot fit are wrong, other errors not understood."""
        declared = not (self.book.guessed & set(re.findall(r"\w+", right)))
        if isinstance(error, ShapeError) and declared and subject.target is not None:
            target = subject.target
            wrt = target.wrt if subject.kind != "identity" else ()
            claim = Claim(
                subject.kind,
                target.function,
                wrt,
                None,
                truth,
                dict(self.book.names),
                None,
                dict(self.book.shapes),
                error,
            )
            self.add(row, subject.kind, Verdict("wrong", error.message, finding="shape"), claim, subject.left, right)
            return
        self.refuse(row, error)

    def is_condition(self, row: Row, right: str) -> bool:
        """True for `∂C/∂w = 0` as a condition for a minimum, which claims nothing."""
        zero = right.strip("$ .,{}") in ("0", r"\mathbf{0", "𝟎", "0⃗", r"\vec{0")
        return zero and (bool(STATIONARY.search(row.lead + " " + row.tail)) or r"{=}" in row.text)

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
            )
        )

    def refuse(self, row: Row, error: ChainruleError) -> None:
        """Report a formula that could not be read; the others are still checked."""
        status: Status = "cannot tell" if isinstance(error, UnknownSymbol | ShapeError) else "not understood"
        self.add(row, "formula", Verdict(status, message(error)))


def message(error: ChainruleError) -> str:
    """Return an error's sentence with what was expected and what to try, on one line."""
    parts = [error.message]
    if error.expected:
        parts.append(f"expected {error.expected}")
    if error.hint:
        parts.append(error.hint)
    return "; ".join(parts)
