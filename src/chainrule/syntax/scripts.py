"""What stands below and above a symbol in LaTeX: indices, parts of the name, powers and transposes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from dataclasses import replace as with_fields
from fractions import Fraction

from chainrule.errors import Span
from chainrule.syntax.names import ACCENTS, FACES, FRACTIONS, NORMS, SIGN_NAMES, SWITCHES, TRANSPOSES
from chainrule.syntax.pratt import Parser
from chainrule.syntax.tokens import Token, written
from chainrule.syntax.tree import Binary, Call, Index, Name, Num, Tree, Unary

Region = tuple[int, int]
ARRAYS = {"1": "ones", "0": "zeros", "I": "eye"}  # in bold


@dataclass(frozen=True, slots=True)
class Scripts:
    """The regions below and above, the primes, and the place of them all."""

    lower: Region | None
    upper: Region | None
    primes: int
    span: Span


class ScriptParser(Parser):
    """Reads `_`, `^` and primes. `bound` holds the index names of the sums around the place being read."""

    bound: tuple[str, ...] = ()
    names: Collection[str] = ()

    def scripts(self) -> Scripts:
        """Step over all scripts that stand here."""
        found: dict[str, Region] = {}
        primes, start = 0, self.here.span
        while self.here.is_operator("_", "^", "'"):
            token = self.advance()
            if token.text == "'":
                primes += 1
            elif token.text in found:
                raise self.error(
                    f"two `{token.text}` on one symbol", token.span, hint="group with { }: {x^a}^b, or x^{a b}"
                )
            else:
                found[token.text] = self.script()
        span = start.join(self.tokens[self.place - 1].span) if found or primes else Span(start.start, start.start)
        return Scripts(found.get("_"), found.get("^"), primes, span)

    def script(self) -> Region:
        """Step over one script, a group or a single token, and return its region."""
        token, start = self.here, self.place
        if token.kind == "open" and token.text == "{":
            return self.bracket()
        if token.kind == "number" and len(token.text) > 1:
            sign = written(self.text, self.tokens[start - 1])
            raise self.error(
                "LaTeX takes only the first digit", token.span, found=token.text, hint=f"write {sign}{{{token.text}}}"
            )
        if token.kind in ("end", "open", "close", "bar"):
            raise self.missing_operand()
        self.advance()
        for _ in range(arguments_of(token)):
            if self.here.kind == "open":
                self.bracket()
            else:
                self.advance()
        return start, self.place

    def scripted(self, tree: Tree) -> Tree:
        """Attach all scripts that stand here to the operand before them."""
        scripts = self.scripts()
        span = tree.span.join(scripts.span)
        lower, upper = scripts.lower, scripts.upper
        if lower and isinstance(tree, Call) and tree.function == "norm":
            tree, lower = self.norm_of_kind(tree, lower), None
        layer = self.layer(upper)
        for region in sorted((r for r in (layer, lower) if r), key=self.is_index):
            tree = self.subscripted(tree, region, span)
        for _ in range(scripts.primes):
            tree = Unary("T", tree, span)
        return self.raised(tree, upper, span) if upper and not layer else tree

    def layer(self, upper: Region | None) -> Region | None:
        """Return the region of `1` in `W^{(1)}`: a bracketed letter or number above is an index, not a power."""
        if upper is None or upper[1] - upper[0] != 3:
            return None
        first, middle, last = self.tokens[upper[0] : upper[1]]
        bracketed = first.kind == "open" and first.text == "(" and last.kind == "close"
        return (upper[0] + 1, upper[1] - 1) if bracketed and middle.kind in ("name", "number") else None

    def is_index(self, region: Region) -> bool:
        """Say whether a subscript picks entries: it has a bound letter or a `:`, or is a list of numbers."""
        tokens = self.tokens[region[0] : region[1]]
        parts = self.parts(*region)
        numbers = len(parts) > 1 and all(token.kind == "number" or token.is_operator(",") for token in tokens)
        return numbers or any(t.is_operator(":") or (t.kind == "name" and t.text in self.bound) for t in tokens)

    def subscripted(self, tree: Tree, region: Region, span: Span) -> Tree:
        """Attach one subscript: an index, or a part of the name."""
        if region[0] == region[1]:
            raise self.error("the subscript is empty", span, expected="an index or a part of the name")
        if isinstance(tree, Name) and not self.is_index(region):
            if (array := ARRAYS.get(tree.name)) and tree.face in ("bold", "vec", "blackboard"):
                return self.sized_array(array, tree, region, span)
            return Name(joined_name(tree.name, self.subscript_words(region)), span, tree.face)
        if isinstance(tree, Num):
            raise self.error("a number has no index", span, expected="a symbol before the subscript")
        indices = tuple(self.sliced(*part) for part in self.index_parts(region))
        if isinstance(tree, Index):
            return Index(tree.base, (*tree.indices, *indices), span, one_based=True)
        return Index(tree, indices, span, one_based=True)

    def sized_array(self, function: str, tree: Name, region: Region, span: Span) -> Tree:
        """Return `\\mathbf{1}_n`, `\\mathbf{0}_{m \\times n}` or `\\mathbf{I}_n`: a constant with its sizes below."""
        declared = joined_name(tree.name, self.subscript_words(region)) if tree.name == "I" else ""
        if declared and declared in self.names:
            return Name(declared, span, tree.face)
        sizes = [part for outer in self.parts(*region) for part in self.parts(*outer, r"\times")]
        return Call(function, tuple(self.inside(*part) for part in sizes), (), span, tree.span)

    def index_parts(self, region: Region) -> list[Region]:
        """Return the regions of the single indices: `i,j`, or `ij` where every letter is one."""
        parts = self.parts(*region)
        tokens = self.tokens[region[0] : region[1]]
        letters = tokens[0].kind == "name" and all(t.kind == "name" or short_number(t) for t in tokens)
        if len(parts) == 1 and letters:
            return [(place, place + 1) for place in range(*region)]
        return parts

    def subscript_words(self, region: Region) -> list[str]:
        """Return what a subscript adds to a name, as words."""
        words = []
        for token in self.tokens[region[0] : region[1]]:
            if token.text in SIGN_NAMES:
                words.append(SIGN_NAMES[token.text])
            elif token.kind in ("name", "number", "word"):
                words.append("".join(c for c in token.text.replace(".", "_") if c.isalnum() or c == "_"))
            elif token.kind == "operator" and token.text not in (",", "_"):
                raise self.error(
                    "this subscript is neither an index nor a name",
                    token.span,
                    expected="letters and digits, or the index of a sum",
                    found=written(self.text, token),
                )
        return words

    def norm_of_kind(self, tree: Call, region: Region) -> Call:
        """Return the norm that the subscript of `‖x‖₁` asks for."""
        kind = "".join(token.text for token in self.tokens[region[0] : region[1]] if token.text not in FACES)
        kind = kind.replace("{", "")
        if kind not in NORMS:
            span = self.tokens[region[0]].span
            hint = "write it with max, sum or abs"
            raise self.error("this norm is not known", span, expected="1, 2 or F", found=kind[:40], hint=hint)
        return with_fields(tree, function=NORMS[kind])

    def raised(self, tree: Tree, region: Region, span: Span) -> Tree:
        """Attach what stands above: a transpose, a star, an inverse, a power."""
        places = [place for place in range(*region) if self.is_plain(self.tokens[place])]
        signs = [self.tokens[place].text for place in places]
        mark = self.tokens[region[0] - 1].span
        if signs in ([transpose] for transpose in TRANSPOSES):
            return Unary("T", tree, span)
        if len(signs) == 2 and signs[0] in "-−" and signs[1] in TRANSPOSES:
            minus = self.tokens[places[0]].span
            inverse = Unary("-", Num(Fraction(1), minus), minus)
            return Unary("T", Binary("matpow", tree, inverse, span, mark), span)
        if (signs == ["+"] and is_matrix(tree)) or signs in ([r"\dagger"], [r"\dag"]):
            return Call("pinv", (tree,), (), span, tree.span)
        if len(signs) == 1 and signs[0] in SIGN_NAMES:
            return self.starred(tree, signs[0], span)
        if signs and signs[0] in (r"\odot", r"\circ"):
            return Binary("**", tree, self.inside(places[0] + 1, region[1]), span, mark)
        exponent = self.inside(*region)
        is_norm = isinstance(tree, Call) and tree.function in NORMS.values()
        return Binary("**" if is_norm else "matpow", tree, exponent, span, mark)

    def starred(self, tree: Tree, sign: str, span: Span) -> Tree:
        """Return `w^*` as the symbol `w_star`."""
        if isinstance(tree, Name):
            return Name(f"{tree.name}_{SIGN_NAMES[sign]}", span, tree.face)
        raise self.error(f"`^{sign}` belongs to a symbol", span, expected="a power or a transpose", found=sign)

    def is_plain(self, token: Token) -> bool:
        """Say whether a token is more than a typeface or a group's brace."""
        return (
            token.text not in FACES
            and token.text not in SWITCHES
            and not (token.kind in ("open", "close") and token.text == "{")
        )


def is_matrix(tree: Tree) -> bool:
    """Say whether `^+` on this is the pseudoinverse: capitals and their products; `x^+` and `(1 - z)^+` are not."""
    if isinstance(tree, Unary):
        return tree.operator == "T" and is_matrix(tree.argument)
    if isinstance(tree, Binary):
        return tree.operator == "juxt" and is_matrix(tree.left) and is_matrix(tree.right)
    return isinstance(tree, Name) and tree.name[:1].isupper()


def arguments_of(token: Token) -> int:
    """Return how many arguments a command takes."""
    if token.kind != "command":
        return 0
    return 2 if token.text in FRACTIONS else int(token.text in FACES or token.text in ACCENTS or token.text == r"\sqrt")


def short_number(token: Token) -> bool:
    """Say whether a token is a single digit."""
    return token.kind == "number" and len(token.text) == 1


def joined_name(name: str, words: list[str]) -> str:
    """Return `W1` for a number below, `I_n` and `C_xy` for letters."""
    text = "".join(words) if all(len(word) == 1 for word in words) else "_".join(words)
    return name + text if text.isdigit() else f"{name}_{text}"
