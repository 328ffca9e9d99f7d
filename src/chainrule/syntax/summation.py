"""Sums, products and extremes over a written index in LaTeX: which index, over what, and how far the body reaches."""

from __future__ import annotations

from chainrule.syntax.names import BOUND_COMMANDS
from chainrule.syntax.pratt import SIGNS
from chainrule.syntax.precedence import COMPARISONS, PRECEDENCE
from chainrule.syntax.scripts import Region, ScriptParser, Scripts
from chainrule.syntax.spellings import LATEX
from chainrule.syntax.tokens import Token, written
from chainrule.syntax.tree import Bound, Name, Tree

ENDS = (*SIGNS, *COMPARISONS, ",", "&", r"\\", "=", ";")


class SumParser(ScriptParser):
    """Reads what follows `\\sum`, `\\prod`, `\\max_i` and `\\min_i`."""

    def over_index(self, operator: str, token: Token, scripts: Scripts) -> Bound:
        """Read a sum, product or maximum over an index; its body reaches up to the next `+` or `-` behind which the
        index does not occur."""
        sign = written(self.text, token)
        if scripts.lower is None:
            expected = f"{sign}_i or {sign}_{{i=1}}^N"
            raise self.error(f"`{sign}` needs an index", token.span, expected=expected, found="no subscript")
        names, lower = self.index_names(scripts.lower, sign)
        upper = self.inside(*scripts.upper) if scripts.upper else None
        before, self.bound = self.bound, (*self.bound, *(name.name for name in names))
        body = self.expression(PRECEDENCE["bound"].right)
        while self.here.is_operator(*SIGNS) and self.goes_on({name.name for name in names}):
            body = self.combined(body, LATEX[self.here.text])
        self.bound = before
        return Bound(operator, names, lower, upper, body, token.span.join(body.span))

    def goes_on(self, names: set[str]) -> bool:
        """Say whether the term after the sign has an index of the sum: Σᵢ yᵢ log pᵢ + (1 − yᵢ) log(1 − pᵢ)."""
        start, stop = self.place + 1, self.place + 1
        while self.tokens[stop].kind not in ("end", "close", "bar") and not self.tokens[stop].is_operator(*ENDS):
            if self.tokens[stop].text in BOUND_COMMANDS:
                return False  # a sum of its own
            stop = self.partners.get(stop, stop) + 1
        below = [place + 1 for place in range(start, stop) if self.tokens[place].is_operator("_")]
        found = {token.text for place in below for token in self.tokens[place : self.partners.get(place, place) + 1]}
        return bool(found & names)

    def index_names(self, region: Region, sign: str) -> tuple[tuple[Name, ...], Tree | None]:
        """Read `i`, `i,j`, `ij` or `i=1` below a sum."""
        start, stop = region
        equals = self.find(start, stop, "=")
        end = equals[0] if equals else stop
        tokens = [token for token in self.tokens[start:end] if not token.is_operator(",")]
        wrong = next((token for token in tokens if token.kind != "name"), None if tokens else self.tokens[end])
        if wrong is not None:
            expected = f"an index, as in {sign}_i or {sign}_{{i=1}}^N"
            found = written(self.text, wrong)
            raise self.error("this is not an index", wrong.span, expected=expected, found=found)
        names = tuple(Name(token.text, token.span) for token in tokens)
        return names, self.inside(end + 1, stop) if equals else None
