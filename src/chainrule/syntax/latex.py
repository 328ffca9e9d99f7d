"""LaTeX formulas: fractions, sums, norms, functions without brackets, and products of neighbours."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import final

from chainrule.errors import FormulaSyntaxError, Span
from chainrule.syntax.latex_tokens import latex_tokens
from chainrule.syntax.names import (
    ACCENTS,
    BOUND_COMMANDS,
    COMMAND_FUNCTIONS,
    CONNECTIVES,
    FACES,
    FRACTIONS,
    OTHERWISE,
    SWITCHES,
    WORD_FUNCTIONS,
    catalogue_name,
    did_you_mean,
)
from chainrule.syntax.pratt import SIGNS
from chainrule.syntax.precedence import COMPARISONS, PRECEDENCE
from chainrule.syntax.scripts import Region
from chainrule.syntax.spellings import LATEX, Infix
from chainrule.syntax.summation import SumParser
from chainrule.syntax.tokens import Token, never_closed, written
from chainrule.syntax.tree import Binary, Call, Cases, Face, Name, Num, Tree

NEIGHBOURS = Infix("juxt")
ALWAYS_BOUND = frozenset({"sum", "prod"})


@final
class LatexParser(SumParser):
    """Reads a LaTeX formula. `face` is the typeface in force; `bars` are the `|` still open in this region.

    `names` are symbols that are declared: `\\mathbf{Sw}` is one of them, or else a product.
    """

    def __init__(self, text: str, functions: Collection[str], names: Collection[str] = ()) -> None:
        super().__init__(text, latex_tokens(text), functions)
        self.face: Face = ""
        self.bars: list[str] = []
        self.names = names
        for start, stop in self.partners.items():
            sides = (written(text, self.tokens[start]), written(text, self.tokens[stop]))
            if sides[0].startswith(r"\left") != sides[1].startswith(r"\right"):
                raise never_closed(text, self.tokens[start], self.tokens[stop])

    @contextmanager
    def region(self, start: int, stop: int) -> Iterator[None]:
        """Read only `tokens[start:stop]`; bars opened outside are not closed inside."""
        bars, self.bars = self.bars, []
        with super().region(start, stop):
            yield
        self.bars = bars

    # Operators

    def infix(self) -> Infix | None:
        """Return the operator that stands here; neighbours are multiplied."""
        token = self.here
        if token.kind == "operator":
            return LATEX.get(token.text)
        if token.kind in ("end", "close") or (token.kind == "bar" and self.closes_bar()):
            return None
        if token.kind == "number" and self.tokens[self.place - 1].kind == "number":
            span = self.tokens[self.place - 1].span.join(token.span)
            raise self.error("two numbers stand side by side", span, expected="an operator", found=token.text)
        return NEIGHBOURS

    def combined(self, left: Tree, infix: Infix) -> Tree:
        """Join two operands. `/` takes one factor; in `a/b c` the reader cannot know whether `c` is below it."""
        if infix.operator == "/":
            mark = self.operator_mark(left)
            right = self.expression(PRECEDENCE["juxt"].right)
            return Binary("/", left, right, left.span.join(right.span), mark)
        if infix is NEIGHBOURS and self.is_open_slash(left) and self.is_symbol():
            span = left.span.join(self.here.span)
            raise self.error("this can be read in two ways", span, hint="write \\frac{a}{b} c or a/(b c)")
        return super().combined(left, infix)

    def is_open_slash(self, tree: Tree) -> bool:
        """Say whether a tree is `a/b` written with a slash and without brackets around it."""
        if not isinstance(tree, Binary) or tree.operator != "/":
            return False
        return self.text[tree.mark.start] in "/÷" and tree.span.end == tree.right.span.end

    def is_symbol(self) -> bool:
        """Say whether a number or a letter, in any typeface, stands here."""
        token = self.here
        return token.kind in ("name", "number") or (token.kind == "command" and token.text in {*FACES, *ACCENTS})

    # Operands

    def operand(self) -> Tree:
        """Read a sign and what it applies to, or an atom with its scripts."""
        if self.here.is_operator(*SIGNS):
            return self.signed()
        return self.scripted(self.atom())

    def atom(self) -> Tree:
        """Read an operand without its scripts."""
        token = self.here
        readers: Mapping[str, Callable[[], Tree]] = {
            "number": self.digits,
            "name": self.letter,
            "word": self.word,
            "open": self.opened,
            "bar": self.barred,
        }
        if token.kind in readers:
            return readers[token.kind]()
        if token.kind == "command" and token.text in COMMAND_READERS:
            return COMMAND_READERS[token.text](self)
        raise self.missing_operand()

    def argument(self) -> Tree:
        """Read what a command takes: a group, or a single token, of a number its first digit."""
        token = self.here
        if token.kind == "number" and len(token.text) > 1 and token.text[0] != ".":
            middle = token.span.start + 1
            self.tokens[self.place] = Token("number", token.text[1:].lstrip("."), Span(middle, token.span.end))
            return self.constant(token.text[0], Span(token.span.start, middle))
        if token.kind in ("end", "close", "operator"):
            raise self.missing_operand()
        return self.atom()

    def digits(self) -> Tree:
        """Read a number, or the vector of ones in bold."""
        token = self.advance()
        return self.constant(token.text, token.span)

    def constant(self, digits: str, span: Span) -> Tree:
        """Return a number; a `1` or `0` in bold, with an arrow or in blackboard face is a name."""
        if self.face in ("bold", "vec", "blackboard") and digits in ("0", "1"):
            return Name(digits, span, self.face)
        return Num(Fraction(digits), span)

    def letter(self) -> Tree:
        """Read a letter; `\\sigma` before a bracket is the sigmoid."""
        token = self.advance()
        if (
            token.text == "sigma"
            and self.here.kind == "open"
            and self.here.text in "(["
            and "sigmoid" in self.functions
        ):
            return self.applied("sigmoid", token)
        return Name(token.text, token.span, self.face)

    def word(self) -> Tree:
        """Read `\\operatorname{name}`: a function, or a symbol of several letters."""
        token = self.advance()
        if token.text in self.names:
            return Name(token.text, token.span, "roman")
        function = catalogue_name(token.text, WORD_FUNCTIONS, self.functions)
        if function is not None:
            return self.applied(function, token)
        if token.text.isidentifier() and not token.text.startswith("__"):
            if len(token.text) > 1 and self.here.kind == "open" and self.here.text in "([":
                raise self.unknown_function(token)
            return Name(token.text, token.span, "roman")
        raise self.error(
            "these words are not part of a formula",
            token.span,
            expected="a function or a symbol",
            found=token.text[:40],
        )

    def opened(self) -> Tree:
        """Read a bracket of any kind."""
        token = self.here
        region = self.bracket()
        span = self.bracket_span(region)
        match token.text:
            case "cases":
                return self.cases(region, span)
            case "|" | "‖":
                function = "abs" if token.text == "|" else "norm"
                return Call(function, (self.inside(*region),), (), span, token.span)
            case "⟨":
                return self.inner_product(region, span)
        tree = replace(self.switched(*region), span=span)
        if token.text == "[" and isinstance(tree, Binary) and tree.operator in COMPARISONS:
            return Call("indicator", (tree,), (), span, token.span)
        return tree

    def switched(self, start: int, stop: int) -> Tree:
        """Read what a bracket holds; `{\\bf x}` sets all of it in that typeface."""
        if self.tokens[start].text not in SWITCHES:
            return self.inside(start, stop)
        before, self.face = self.face, SWITCHES[self.tokens[start].text]
        tree = self.inside(start + 1, stop)
        self.face = before
        return tree

    def inner_product(self, region: Region, span: Span) -> Tree:
        """Read `\\langle a, b \\rangle`, or `\\langle A, B \\rangle_F`: the sum of the products of the entries."""
        parts = self.parts(*region)
        if len(parts) != 2:
            raise self.error("an inner product has two factors", span, expected="\\langle a, b \\rangle")
        left, right = (self.inside(*part) for part in parts)
        mark = self.tokens[parts[0][1]].span
        matrices = all(isinstance(side, Name) and side.name[:1].isupper() for side in (left, right))
        if not matrices and not self.here.is_operator("_"):
            return Binary("dot", left, right, span, mark)
        if self.here.is_operator("_"):
            self.advance()
            self.script()
        return Call("sum", (Binary("*", left, right, span, mark),), (), span, mark)

    def barred(self) -> Tree:
        """Read `|x|`, `||x||` or `\\|x\\|`; where an operand is due, a bar opens."""
        token = self.here
        opening = self.bar_here()
        self.place += len(opening)
        self.bars.append(opening)
        body = self.expression()
        if self.bar_here() != opening:
            closing = "\\|" if opening == "‖" else opening
            found = written(self.text, self.here)
            raise self.error(f"`{closing}` is never closed", token.span, expected=f"`{closing}`", found=found)
        self.bars.pop()
        self.place += len(opening)
        span = token.span.join(self.tokens[self.place - 1].span)
        return Call("abs" if opening == "|" else "norm", (body,), (), span, token.span)

    def bar_here(self) -> str:
        """Return the bar that stands here: two `|` without a gap are one, but never close a single one."""
        token, after = self.here, self.ahead
        if token.kind != "bar":
            return ""
        double = after.kind == "bar" and after.text == token.text == "|" and after.span.start == token.span.end
        return "||" if double and self.bars[-1:] != ["|"] else token.text

    def closes_bar(self) -> bool:
        """Say whether the bar that stands here closes the one opened last."""
        return bool(self.bars) and self.bar_here() == self.bars[-1]

    # Commands

    def fraction(self) -> Tree:
        """Read `\\frac{a}{b}`."""
        token = self.advance()
        above, below = self.argument(), self.argument()
        return Binary("/", above, below, token.span.join(below.span), token.span)

    def root(self) -> Tree:
        """Read `\\sqrt{x}`, and `\\sqrt[3]{x}` as a power."""
        token = self.advance()
        degree = self.inside(*self.bracket()) if self.here.kind == "open" and self.here.text == "[" else None
        body = self.argument()
        span = token.span.join(body.span)
        if degree is None:
            return Call("sqrt", (body,), (), span, token.span)
        power = Binary("/", Num(Fraction(1), degree.span), degree, degree.span, degree.span)
        return Binary("matpow", body, power, span, token.span)

    def faced(self) -> Tree:
        """Read `\\mathbf{w}`: everything inside is set in that typeface."""
        token = self.advance()
        declared = self.declared(token)
        if declared is not None:
            return declared
        before, self.face = self.face, FACES[token.text]
        tree = self.argument()
        self.face = before
        tree = replace(tree, span=token.span.join(tree.span))
        is_indicator = isinstance(tree, Name) and tree.name in ("1", "I") and tree.face in ("bold", "blackboard")
        return (self.indicator(tree) if is_indicator else None) or tree

    def declared(self, command: Token) -> Name | None:
        """Read `\\mathbf{Sw}` as one name if it is that of a declared symbol."""
        if self.here.kind != "open" or self.here.text != "{":
            return None
        start, stop = self.place + 1, self.partners[self.place]
        name = self.text[self.here.span.end : self.tokens[stop].span.start].strip()
        if stop - start < 2 or name not in self.names:
            return None
        region = self.bracket()
        return Name(name, command.span.join(self.tokens[region[1]].span), FACES[command.text])

    def indicator(self, sign: Tree) -> Tree | None:
        """Read the condition of `\\mathbb{1}[z > 0]` or `\\mathbb{1}_{z > 0}`, if there is one."""
        start = self.place + self.here.is_operator("_")
        region = (start + 1, self.partners.get(start, 0))
        if not self.find(*region, *(sign for sign, infix in LATEX.items() if infix.operator in COMPARISONS)):
            return None
        self.place = region[1] + 1
        return Call("indicator", (self.inside(*region),), (), sign.span.join(self.bracket_span(region)), sign.span)

    def accented(self) -> Tree:
        """Read `\\hat{y}` as the symbol `y_hat`."""
        token = self.advance()
        tree = self.argument()
        if not isinstance(tree, Name):
            raise self.error(
                "an accent belongs to one symbol", tree.span, expected="a letter", hint="name it by a letter"
            )
        return Name(f"{tree.name}_{ACCENTS[token.text]}", token.span.join(tree.span), tree.face)

    def function(self) -> Tree:
        """Read `\\exp`, `\\max` and their like, `\\sum` and `\\prod`."""
        token = self.advance()
        if token.text in BOUND_COMMANDS:
            return self.applied(BOUND_COMMANDS[token.text], token)
        function = COMMAND_FUNCTIONS[token.text]
        if function not in self.functions:
            raise self.unknown_function(token)
        return self.applied(function, token)

    def applied(self, function: str, token: Token) -> Tree:
        """Read the scripts and the arguments of a function, or the index and the body of a sum."""
        scripts = self.scripts()
        is_sign = function in ALWAYS_BOUND and token.text in BOUND_COMMANDS
        if function in BOUND_COMMANDS.values() and (scripts.lower or is_sign):
            return self.over_index(function, token, scripts)
        if scripts.lower or scripts.primes:
            hint = "write \\frac{\\log x}{\\log 2} for a logarithm to the base 2" if function == "log" else ""
            raise self.error("this script has no meaning on a function", scripts.span, expected="a power", hint=hint)
        arguments, end = self.arguments()
        call = Call(function, arguments, (), token.span.join(end), token.span)
        if scripts.upper is None:
            return call
        if self.tokens[scripts.upper[0]].is_operator("-"):
            hint = "write \\arcsin for the inverse function, \\frac{1}{\\sin x} for the reciprocal"
            raise self.error("a function to a negative power has two meanings", scripts.span, hint=hint)
        return self.raised(call, scripts.upper, call.span)

    def arguments(self) -> tuple[tuple[Tree, ...], Span]:
        """Read arguments in brackets of any kind, or without brackets the symbols that follow."""
        if self.here.kind == "open" and self.here.text in ("(", "[", "\\{", "."):
            region = self.bracket()
            parts = self.parts(*region) or [region]
            return tuple(self.inside(*part) for part in parts), self.bracket_span(region)
        symbols = self.is_symbol()
        tree = self.expression(PRECEDENCE["function"].right)
        while symbols and self.is_symbol():
            gap = self.operator_mark(tree)
            right = self.expression(PRECEDENCE["function"].right)
            tree = Binary("juxt", tree, right, tree.span.join(right.span), gap)
        return (tree,), tree.span

    # Case splits

    def cases(self, region: Region, span: Span) -> Cases:
        """Read the rows `value & condition` of a case split."""
        rows = [row for row in self.parts(*region, r"\\") if row[0] < row[1]]
        if not rows:
            raise self.error("the case split is empty", span, expected="value & condition")
        return Cases(tuple(self.case(row) for row in rows), span)

    def case(self, row: Region) -> tuple[Tree, Tree | None]:
        """Read one row; its condition is None for "otherwise"."""
        cells = [self.unpunctuated(cell) for cell in self.parts(*row, "&")]
        cells = [cell for cell in cells if cell[0] < cell[1]]
        if len(cells) != 2:
            place = self.tokens[row[0]].span.join(self.tokens[row[1] - 1].span)
            raise self.error("a case is a value and its condition", place, expected="value & condition")
        value, (start, stop) = self.inside(*cells[0]), cells[1]
        while start < stop and self.plain_word(start) in CONNECTIVES:
            start += 1
        if stop - start == 1 and self.plain_word(start) in OTHERWISE:
            return value, None
        return value, self.inside(start, stop)

    def plain_word(self, place: int) -> str | None:
        """Return the word at a place in lower case and without punctuation, or None."""
        token = self.tokens[place]
        return token.text.lower().strip(" ,.;:") if token.kind == "word" else None

    def unpunctuated(self, region: Region) -> Region:
        """Return the region without the comma or full stop at its end."""
        start, stop = region
        while start < stop and self.tokens[stop - 1].is_operator(",", ".", ";"):
            stop -= 1
        return start, stop

    def unknown_function(self, token: Token) -> FormulaSyntaxError:
        """Return the error for a function that is not known."""
        known = [*self.functions, *WORD_FUNCTIONS]
        hint = did_you_mean(token.text.lstrip("\\"), known)
        message = f"`{token.text[:40]}` is not a known function"
        return self.error(message, token.span, expected="a known function", found=token.text[:40], hint=hint)


COMMAND_READERS: Mapping[str, Callable[[LatexParser], Tree]] = {
    **dict.fromkeys(FRACTIONS, LatexParser.fraction),
    **dict.fromkeys(FACES, LatexParser.faced),
    **dict.fromkeys(ACCENTS, LatexParser.accented),
    **dict.fromkeys({*COMMAND_FUNCTIONS, *BOUND_COMMANDS}, LatexParser.function),
    r"\sqrt": LatexParser.root,
}
