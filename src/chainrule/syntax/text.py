"""NumPy-style and MATLAB-style text: one parser, two tables of spellings."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from chainrule.errors import FormulaSyntaxError, Span
from chainrule.syntax.names import MODULES, SUBMODULES, TEXT_ALIASES, catalogue_name, did_you_mean
from chainrule.syntax.pratt import SIGNS, Parser
from chainrule.syntax.spellings import PLAIN_SUPERSCRIPT, Infix, Spellings
from chainrule.syntax.tokens import Token, text_tokens, written
from chainrule.syntax.tree import Binary, Call, Index, Name, Num, Sequence, Slice, Tree, Unary

SUPERSCRIPT = re.compile(r"(?P<inverse>-(?=T))?(?P<power>-?[0-9]{1,9})?(?P<transpose>T)?")
NEW_AXIS = frozenset({"None", "newaxis"})
TRANSPOSE_ATTRIBUTES = frozenset({"T", "mT", "H"})
ATTRIBUTE_HINTS = {
    "shape": "write the size by its name, such as N",
    "size": "write the size by its name, such as N",
    "I": "write inv(A)",
}
STATEMENTS = {  # words of Python that stand between operands
    "if": "a case split is where(condition, a, b)",
    "else": "a case split is where(condition, a, b)",
    "for": "a sum over entries is sum(x), or sum(x, axis=1) along an axis",
    "and": "multiply conditions: (a > 0) * (b > 0)",
    "or": "combine conditions: maximum(a > 0, b > 0)",
    "not": "write 1 - condition",
    "in": "a formula has no loops: write sum(x) or mean(x)",
    "lambda": "write what stands after the colon, the formula itself",
    "import": "a formula holds no statements",
    "return": "write what stands after return, the formula itself",
    "def": "write the formula itself, or pass the function to trace",
}


class TextParser(Parser):
    """Reads plain text in the spelling of one table."""

    colons = 2

    def __init__(
        self, text: str, spellings: Spellings, functions: Collection[str], names: Collection[str] = ()
    ) -> None:
        super().__init__(text, text_tokens(text, spellings), functions)
        self.spellings = spellings
        capitals = [n for n, token in enumerate(self.tokens) if token.text == "T"]
        raised = all(n and self.tokens[n - 1].text in ("^", ".") for n in capitals)
        self.transposes = raised and "T" not in names  # x^T is a transpose where T is nothing else

    def operand(self) -> Tree:
        """Read a sign and what it applies to, or a number, name, call or bracket with all that follows it directly."""
        token = self.here
        if token.is_operator(*SIGNS):
            return self.signed()
        if token.kind == "number":
            return self.followed(self.number())
        if token.kind == "name":
            return self.followed(self.named())
        if token.kind == "open" and token.text == "(":
            region = self.bracket()
            return self.followed(replace(self.inside(*region), span=self.bracket_span(region)))
        raise self.no_operand()

    def infix(self) -> Infix | None:
        """Return the operator that stands here; two operands side by side are an error."""
        token = self.here
        if token.kind == "operator":
            return self.spellings.infix.get(token.text)
        if token.kind in ("name", "number", "open"):
            raise self.neighbours()
        return None

    def named(self) -> Tree:
        """Read a symbol, or a call of a known function, with or without the module's name before it."""
        token = self.advance()
        if token.text in MODULES and self.here.is_operator("."):
            token = self.without_module()
        if self.here.kind == "open" and self.here.text == "(":
            return self.call(token, ())
        return Name(token.text, token.span)

    def without_module(self) -> Token:
        """Step over `np.` or `np.linalg.` and return the name after it."""
        while self.here.is_operator("."):
            self.advance()
            if self.here.kind != "name":
                raise self.error("a name is missing after the point", self.here.span, expected="a function's name")
            token = self.advance()
            if token.text not in SUBMODULES:
                return token
        raise self.error("this is a module, not a value", token.span, expected="a function's name", found=token.text)

    def call(self, token: Token, first: tuple[Tree, ...]) -> Call:
        """Read the arguments of a function; a method's object is its first argument."""
        function = catalogue_name(token.text, TEXT_ALIASES, self.functions)
        if function is None:
            raise self.unknown_function(token)
        region = self.bracket()
        arguments, keywords = list(first), list[tuple[str, Tree]]()
        subscripts: Name | None = None
        for part in self.arguments(*region):
            if self.is_keyword(*part):
                keywords.append((self.tokens[part[0]].text, self.argument(part[0] + 2, part[1])))
            elif keywords:
                span = self.tokens[part[0]].span
                raise self.error("a plain argument may not follow a keyword", span, hint="put keywords last")
            elif self.tokens[part[0]].kind == "quoted" and part[1] == part[0] + 1:
                quoted = self.tokens[part[0]]
                subscripts = Name(quoted.text, quoted.span)
            else:
                arguments.append(self.argument(*part))
        keywords += [("subscripts", subscripts)] if subscripts else []
        start = first[0].span if first else token.span
        return Call(function, tuple(arguments), tuple(keywords), start.join(self.bracket_span(region)), token.span)

    def arguments(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the regions of a list; one comma may stand after the last, as in `(1,)`."""
        parts = self.parts(start, stop)
        return parts[:-1] if len(parts) > 1 and parts[-1][0] == parts[-1][1] else parts

    def is_keyword(self, start: int, stop: int) -> bool:
        """Say whether the region reads `name=…`."""
        return stop - start >= 2 and self.tokens[start].kind == "name" and self.tokens[start + 1].is_operator("=")

    def argument(self, start: int, stop: int) -> Tree:
        """Read one argument: a formula, or several values as `(1, 2)` or `[1, 2]`."""
        token = self.tokens[start]
        region = (start + 1, stop - 1)
        whole = token.kind == "open" and self.partners[start] == stop - 1
        if whole and (token.text == "[" or self.find(*region, ",") or region[0] == region[1]):
            items = tuple(self.inside(*part) for part in self.arguments(*region))
            return Sequence(items, self.bracket_span(region))
        return self.inside(start, stop)

    def followed(self, tree: Tree) -> Tree:
        """Read what attaches to an operand directly: `.T`, `.sum()`, `[i, :]`, `²`, `ᵀ`."""
        while True:
            token = self.here
            if token.is_operator("."):
                tree = self.attribute(tree)
            elif token.kind == "open" and token.text == "[":
                region = self.bracket()
                indices = tuple(self.place_or_axis(*part) for part in self.arguments(*region))
                if not indices:
                    raise self.error("an index is missing", self.bracket_span(region), expected="x[i] or X[i, :]")
                tree = Index(tree, indices, tree.span.join(self.bracket_span(region)))
            elif token.kind == "script":
                tree = self.raised(tree)
            elif self.transposes and token.is_operator("^") and self.ahead.text == "T" and is_array(tree):
                self.advance()
                tree = Unary("T", tree, tree.span.join(self.advance().span))
            else:
                return tree

    def place_or_axis(self, start: int, stop: int) -> Tree | Slice:
        """Read one index; `None` and `np.newaxis` make an axis."""
        last = self.tokens[stop - 1]
        if last.text in NEW_AXIS and (stop - start == 1 or self.tokens[start].text in MODULES):
            return Slice(None, None, last.span, is_new=True)
        return self.sliced(start, stop)

    def attribute(self, tree: Tree) -> Tree:
        """Read `.T` or a method call."""
        point = self.advance()
        token = self.here
        if token.kind == "name" and self.ahead.kind == "open" and self.ahead.text == "(":
            return self.call(self.advance(), (tree,))
        if token.kind == "name" and token.text in TRANSPOSE_ATTRIBUTES:
            self.advance()
            return Unary("T", tree, tree.span.join(token.span))
        hint = ATTRIBUTE_HINTS.get(token.text, "call a function of it, as in x.sum()")
        expected = ".T or a known function"
        raise self.error(
            "a formula has no attributes",
            point.span.join(token.span),
            expected=expected,
            found=written(self.text, token),
            hint=hint,
        )

    def raised(self, tree: Tree) -> Tree:
        """Read `²`, `⁻¹`, `ᵀ`, `⁻ᵀ`: powers as mathematicians write them, so `A⁻¹` is the inverse."""
        token = self.advance()
        match = SUPERSCRIPT.fullmatch(token.text.translate(PLAIN_SUPERSCRIPT))
        if match is None:
            raise self.error("this superscript is not a power", token.span, expected="², ⁻¹, ᵀ …", found=token.text)
        span = tree.span.join(token.span)
        power = "-1" if match["inverse"] else match["power"]
        if power:
            size = Num(abs(int(power)), token.span)  # type: ignore[arg-type]
            exponent: Tree = Unary("-", size, token.span) if power[0] == "-" else size
            tree = Binary("matpow", tree, exponent, span, token.span)
        return Unary("T", tree, span) if match["transpose"] else tree

    def unknown_function(self, token: Token) -> FormulaSyntaxError:
        """Return the error for a call of a name that is no function."""
        known = [*self.functions, *(alias for alias, name in TEXT_ALIASES.items() if name in self.functions)]
        hint = did_you_mean(token.text, known) or f"a product is written {token.text}*(…)"
        expected = "a known function"
        return self.error(
            f"`{token.text}` is not a known function", token.span, expected=expected, found=token.text, hint=hint
        )

    def no_operand(self) -> FormulaSyntaxError:
        """Return the error for a missing operand, knowing what people write there."""
        error = self.missing_operand()
        if self.here.text == "[":
            error.hint = "square brackets only index, as in x[i]; group with ( )"
        elif self.here.is_operator("'", "’"):
            error.hint = "a quote is a transpose and stands after its matrix; a formula holds no strings"
        elif self.here.is_operator("="):
            error.hint = "a comparison is written =="
        return error

    def neighbours(self) -> FormulaSyntaxError:
        """Return the error for two operands with nothing between them."""
        before, token = self.tokens[self.place - 1], self.here
        left, right = written(self.text, before), written(self.text, token)
        simple = before.kind in ("number", "name") and token.kind in ("number", "name")
        hint = f"write {left}*{right}" if simple else "write the product as *"
        if catalogue_name(left, TEXT_ALIASES, self.functions) and before.kind == "name":
            hint = f"write {left}({right if simple else '…'})"
        hint = STATEMENTS.get(left) or STATEMENTS.get(right) or hint
        span = Span(before.span.start, token.span.end)
        return self.error("an operator is missing between these", span, expected="an operator", found=right, hint=hint)


def is_array(tree: Tree) -> bool:
    """Say whether `^T` on this is a transpose: of brackets, calls and the letters of vectors and matrices."""
    return not isinstance(tree, Num | Name) or (isinstance(tree, Name) and tree.name[:1] not in "abcdefg")
