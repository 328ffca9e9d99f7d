"""Pratt's parser: an operand, then operators as long as they bind tightly enough.

Source: Pratt, *Top Down Operator Precedence*, POPL 1973.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fractions import Fraction

from chainrule.errors import FormulaSyntaxError, Span
from chainrule.syntax.precedence import COMPARISONS, PRECEDENCE
from chainrule.syntax.spellings import Infix
from chainrule.syntax.tokens import MAX_NESTING, Token, matched, too_deep, written
from chainrule.syntax.tree import Binary, Num, Slice, Tree, Unary

SIGNS = {"-": "negative", "−": "negative", "–": "negative", "+": "positive"}


class Parser(ABC):
    """What every syntax shares: a place in the tokens, regions between brackets, and precedence.

    Invariant: `tokens[place]` is the next token, and `tokens` ends with an `end` token. A region is a half-open range
    of places; while one is read, the token after it is an `end`, so nothing can read past it.
    """

    colons = 1  # how many may stand in a slice

    def __init__(self, text: str, tokens: list[Token], functions: Collection[str]) -> None:
        self.text = text
        self.tokens = tokens
        self.functions = functions
        self.partners = matched(text, tokens)
        self.place = 0
        self.depth = 0

    @abstractmethod
    def operand(self) -> Tree:
        """Read what stands between operators, with everything attached to it."""

    @abstractmethod
    def infix(self) -> Infix | None:
        """Return the operator that stands here, or None; juxtaposition is one in LaTeX and an error in text."""

    @property
    def here(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    @property
    def ahead(self) -> Token:
        """The token after the next one, or the end."""
        return self.tokens[min(self.place + 1, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Return the next token and step over it."""
        token = self.here
        self.place += token.kind != "end"
        return token

    def expression(self, least: int = 0) -> Tree:
        """Read an operand and all operators after it that bind with at least this power."""
        if self.depth >= MAX_NESTING:
            raise too_deep(self.text, self.here.span)
        self.depth += 1
        left = self.operand()
        while (infix := self.infix()) is not None and infix.binding.power >= least:
            left = self.combined(left, infix)
        self.depth -= 1
        return left

    def combined(self, left: Tree, infix: Infix) -> Tree:
        """Read the operator and its right operand, and join them to the left one."""
        mark = self.operator_mark(left)
        if infix.operator == "T":
            return Unary("T", left, left.span.join(mark))
        right = self.expression(infix.binding.right)
        if infix.operator in COMPARISONS and isinstance(left, Binary) and left.operator in COMPARISONS:
            raise self.error("comparisons cannot be chained", left.mark, mark, hint="multiply the two conditions")
        return Binary(infix.operator, left, right, left.span.join(right.span), mark)

    def operator_mark(self, left: Tree) -> Span:
        """Step over the operator and return its place: for neighbours, the gap between them."""
        if self.here.kind == "operator":
            return self.advance().span
        return Span(left.span.end, max(left.span.end, self.here.span.start))

    def signed(self) -> Tree:
        """Read `-x` or `+x`."""
        sign = self.advance()
        row = SIGNS[sign.text]
        argument = self.expression(PRECEDENCE[row].right)
        return Unary("-" if row == "negative" else "+", argument, sign.span.join(argument.span))

    def number(self) -> Num:
        """Read a number, exactly."""
        token = self.advance()
        return Num(Fraction(token.text), token.span)

    @contextmanager
    def region(self, start: int, stop: int) -> Iterator[None]:
        """Read only `tokens[start:stop]`, all of it; afterwards the place is where it was before."""
        kept, before = self.tokens[stop], self.place
        self.tokens[stop] = Token("end", kept.text, kept.span)
        self.place = start
        yield
        self.tokens[stop] = kept
        if self.place != stop:
            raise self.unexpected()
        self.place = before

    def inside(self, start: int, stop: int) -> Tree:
        """Return the formula that fills the region."""
        with self.region(start, stop):
            return self.expression()

    def bracket(self) -> tuple[int, int]:
        """Step over a whole bracket and return the region inside it."""
        start, stop = self.place + 1, self.partners[self.place]
        self.place = stop + 1
        return start, stop

    def bracket_span(self, region: tuple[int, int]) -> Span:
        """Return the place of a region with the brackets around it."""
        return self.tokens[region[0] - 1].span.join(self.tokens[region[1]].span)

    def find(self, start: int, stop: int, *signs: str) -> list[int]:
        """Return the places of these operators in a region, not looking inside brackets."""
        places, place = [], start
        while place < stop:
            if self.tokens[place].is_operator(*signs):
                places.append(place)
            place = self.partners.get(place, place) + 1
        return places

    def parts(self, start: int, stop: int, separator: str = ",") -> list[tuple[int, int]]:
        """Return the regions between separators; an empty region has no parts."""
        if start >= stop:
            return []
        cuts = self.find(start, stop, separator)
        return list(zip([start, *(cut + 1 for cut in cuts)], [*cuts, stop], strict=True))

    def sliced(self, start: int, stop: int) -> Tree | Slice:
        """Read one index: an expression, `:` or `a:b`, and where `colons` are two `a:b:step`."""
        cuts = self.find(start, stop, ":")
        if not cuts:
            return self.inside(start, stop)
        if len(cuts) > self.colons:
            spans = tuple(self.tokens[cut].span for cut in cuts)
            steps = "NumPy text has steps, x[a:b:2]" if self.colons == 1 else ""
            raise self.error("a slice has a start and a stop", *spans, expected="a:b", found="a step", hint=steps)
        ends = [self.inside(*end) if end[0] < end[1] else None for end in self.parts(start, stop, ":")]
        whole = self.tokens[start].span.join(self.tokens[stop - 1].span)
        return Slice(ends[0], ends[1], whole, ends[2] if len(ends) > 2 else None)

    def error(
        self, message: str, *spans: Span, expected: str = "", found: str = "", hint: str = ""
    ) -> FormulaSyntaxError:
        """Return an error about the text being read."""
        return FormulaSyntaxError(message, text=self.text, spans=spans, expected=expected, found=found, hint=hint)

    def missing_operand(self) -> FormulaSyntaxError:
        """Return the error for a place where a number, a name or a bracket should stand."""
        token, before = self.here, self.tokens[max(self.place - 1, 0)]
        spans = (before.span, token.span) if self.place and before.kind == "operator" else (token.span,)
        expected = "a number, a name, a function or a bracket"
        return self.error("something is missing here", *spans, expected=expected, found=written(self.text, token))

    def unexpected(self) -> FormulaSyntaxError:
        """Return the error for a token that cannot follow what was read."""
        found = written(self.text, self.here)
        expected = "an operator or the end"
        return self.error(f"`{found}` does not fit here", self.here.span, expected=expected, found=found)
