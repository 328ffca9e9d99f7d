"""What a reader says of the symbols: `X : N x d`, `K : n x n symmetric`, `$X \\in \\mathbb{R}^{N \\times d}$`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from chainrule.expression.shape import Shape, as_shape
from chainrule.proofread.handwriting import tidy
from chainrule.proofread.words import is_word

FACTS = ("positive definite", "symmetric", "diagonal", "orthogonal", "positive", "one-hot", "sums to one")
SPELLED = {
    "spd": ("symmetric", "positive definite"), "psd": ("symmetric", "positive definite"), "one hot": ("one-hot",),
    "onehot": ("one-hot",), "pd": ("positive definite",), "sum to one": ("sums to one",), "> 0": ("positive",),
    "probability": ("sums to one",), "probabilities": ("sums to one",),
}  # fmt: skip
NAMES = r"(?P<names>(?:\\?[\w\\{}^()]+(?:\s*,\s*|\s+and\s+))*\\?[\w\\{}^()]+)"
IN_SPACE = re.compile(
    rf"^\s*{NAMES}\s*(?:\\in|∈|\bin\b|:)\s*(?:\\mathbb\s*\{{?R\}}?|\\R\b|ℝ|R)(?![\w'])\s*"
    r"(?:\^\s*(?:\{(?P<braced>[^{}]*(?:\{[^{}]*\}[^{}]*)*)\}|\((?P<round>[^()]*)\)|(?P<bare>[\w×]+))"
    r")?\s*(?P<rest>.*)$"
)
COLON = re.compile(rf"^\s*{NAMES}\s*:\s*(?P<body>[^=]+)$")
KIND = re.compile(
    r"^(?:an?\s+|the\s+)?(?P<kind>scalar|number|real|vector|matrix|column|row)\b\s*(?:vector\b\s*)?(?:of\s+(?:size|length|shape)\s+|of\s+)?"
)
SIZES = re.compile(
    r"^[(\[]?\s*(?P<sizes>(?:[A-Za-z]\w{0,11}|[0-9]{1,6})(?:\s*(?:x|×|\\times|,|\*|by)\s*(?:[A-Za-z]\w{0,11}|[0-9]{1,6}))*)\s*,?\s*[)\]]?"
    r"(?=$|[\s,;(])\s*[,;]?\s*(?P<rest>.*)$"
)
OF_OUTPUT = (
    r"(?:the\s+)?(?:cotangent|adjoint|(?:upstream|incoming|output|backpropagated)\s+(?:gradient|derivative)|gradient)\s+"
    r"(?:of|at|with respect to|w\.?r\.?t\.?|for)\s+(?:the\s+output\s+)?\$?(?P<of>[\w\\{}^]+)\$?\.?$"
)
COTANGENT = re.compile("^" + OF_OUTPUT)
SPOKEN_COTANGENT = re.compile(
    r"^\s*(?:let\s+|where\s+|here\s+)?\$?(?P<names>[^\W\d][\w]*|\\bar\s*\{?\w\}?)\$?\s+(?:is|be|denotes?|stands for)\s+"
    + OF_OUTPUT,
    re.IGNORECASE,
)
SETTING = re.compile(
    r"^\s*(?P<key>layout|syntax)\s*:\s*(?P<value>numerator|denominator|numpy|text|matlab|latex)\b", re.IGNORECASE
)
BETWEEN = re.compile(r"[,;]\s+(?=[^,;:]+\s?(?::|\\in|∈)\s)")
RAISED_SPACE = re.compile("(ℝ|R)([ᵈⁿᴺᵐᵏᴷˣ]+)")
RAISED = str.maketrans({"ᵈ": "d", "ⁿ": "n", "ᴺ": "N", "ᵐ": "m", "ᵏ": "k", "ᴷ": "K", "ˣ": " x "})
FACT_WORD = r"(?:real|square|symmetric|positive[- ]definite|orthogonal|diagonal|one-hot)"
FACT_IN_PROSE = re.compile(
    r"(?:^|[\s(,$])\$?(?P<name>\\?[A-Za-z]\w{0,9}|\\mathbf\{[A-Za-z]\})\$?\s+(?:is|are|is assumed|=)?\s*"
    r"(?:an?\s+)?(?:[nmd×x* ]+)?"
    rf"(?P<facts>{FACT_WORD}(?:[\s,;)]*(?:and\s+)?{FACT_WORD})*)(?![\w-])"
)
SPACE_IN_PROSE = re.compile(r"\s*(?:\\in|∈)\s*(?:\\mathbb\s*\{?R\}?|ℝ|R)\s*(?:\^\s*(?:\{[^{}]*\}|\w+|\([^()]*\)))?\S*")
FACT_BEFORE = re.compile(
    r"(?P<facts>(?:(?:symmetric|positive[- ]definite|orthogonal|diagonal|one-hot|and|,)\s+)+)"
    r"(?:matrix|matrices|vector|labels?)?\s*\$?(?P<name>\\mathbf\{[A-Z]\}|[A-Z]\w?|y)\$?(?=[\s,.;:)$]|$)"
)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one line says: names with a shape and facts; or `of`, what the names are cotangents of."""

    names: tuple[str, ...]
    shape: Shape | None = None
    facts: frozenset[str] = frozenset()
    of: str = ""


def setting(line: str) -> tuple[str, str] | None:
    """Return what `layout: numerator` or `syntax: matlab` sets."""
    match = SETTING.match(line)
    return (match["key"].lower(), match["value"].lower()) if match else None


def declarations(line: str) -> list[Declaration] | None:
    """Return what a line declares, `y : N, X : N x d` among them; None if it does or says anything else."""
    whole = declaration(line)
    if whole is not None:
        return [whole]
    parts = [declaration(part) for part in BETWEEN.split(line)]
    given = [part for part in parts if part is not None]
    return given if given and len(given) == len(parts) else None


def declaration(line: str) -> Declaration | None:
    """Return what a line declares, or None if it is no declaration."""
    line = RAISED_SPACE.sub(
        lambda match: match[1] + "^(" + match[2].translate(RAISED) + ")",
        tidy(line.strip().strip("$").strip().rstrip(".;")),
    )
    if len(line) > 300 or "=" in line.replace(">=", ""):
        return None
    spoken = SPOKEN_COTANGENT.match(line)
    if spoken:
        return Declaration((spoken["names"],), of=spoken["of"])
    match = IN_SPACE.match(line)
    if match and plausible(match["names"]):
        written = match["braced"] or match["round"] or match["bare"]
        facts = facts_in(match["rest"] or "")
        if facts is None:
            return None
        return Declaration(names_of(match["names"]), shape_of(written or ""), facts)
    match = COLON.match(line)
    if match is None or not plausible(match["names"]):
        return None
    return in_words(names_of(match["names"]), match["body"].strip())


def plausible(names: str) -> bool:
    """True if the names may be symbols, and are not a sentence's words."""
    return not any(is_word(name) for name in names_of(names))


def in_words(names: tuple[str, ...], body: str) -> Declaration | None:
    """Read what stands after the colon: `N x d symmetric`, `scalar`, `vector of size d`, `cotangent of O`."""
    cotangent = COTANGENT.match(body)
    if cotangent:
        return Declaration(names, of=cotangent["of"])
    kind = KIND.match(body)
    rest = body[kind.end() :].strip(" ,;") if kind else body
    if kind and kind["kind"] in ("scalar", "number", "real"):
        facts = facts_in(rest)
        return None if facts is None else Declaration(names, (), facts)
    if rest in ("()", "(,)"):
        return Declaration(names, ())
    sizes = SIZES.match(rest)
    if sizes is None:
        return None
    facts = facts_in(sizes["rest"])
    shape = shape_of(sizes["sizes"])
    return None if facts is None or shape is None else Declaration(names, shape, facts)


def names_of(written: str) -> tuple[str, ...]:
    """Split `x, y and z`."""
    return tuple(part for part in re.split(r"\s*,\s*|\s+and\s+", written.strip()) if part)


def shape_of(written: str) -> Shape | None:
    """Read `N x d`, `N \\times d`, `N×d`, `d`, `3`."""
    parts = [part for part in re.split(r"\s*(?:\\times|×|,|\*|\bx\b|\bby\b)\s*", written.strip(" ()")) if part]
    parts = [re.sub(r"[{}\s_]|\\(?:mathrm|text)", "", part) for part in parts]
    if not parts and written.strip(" ()"):
        return None
    try:
        return as_shape(tuple(int(part) if part.isdigit() else part for part in parts))
    except (TypeError, ValueError):
        return None


def facts_in(rest: str) -> frozenset[str] | None:
    """Return the facts that words say; None if they say anything else."""
    rest = rest.strip(" ,;.()").lower().replace("positive-definite", "positive definite")
    facts: set[str] = set()
    for fact in FACTS:
        if fact in rest:
            facts.add(fact)
            rest = rest.replace(fact, " ")
    for spelled, meant in SPELLED.items():
        if re.search(rf"(?<!\w){re.escape(spelled)}(?!\w)", rest):
            facts.update(meant)
            rest = rest.replace(spelled, " ")
    rest = re.sub(
        r"\b(?:and|matrix|vector|labels?|rows?|columns?|column|entries|real|square|invertible|data|with|a|an|the|targets?|weights?|bias|inputs?|scores?|each|row)\b|[,;()]",
        " ",
        rest,
    )
    return None if rest.strip() else frozenset(facts)


def facts_in_prose(line: str) -> list[tuple[str, frozenset[str]]]:
    """Return what a sentence says of matrices: "where A is symmetric", "for symmetric A"."""
    found = []
    line = SPACE_IN_PROSE.sub(" ", line).replace("$", "")
    for match in (*FACT_IN_PROSE.finditer(line), *FACT_BEFORE.finditer(line)):
        facts = frozenset(
            fact for fact in FACTS if fact in match["facts"].lower().replace("positive-definite", "positive definite")
        )
        if facts and not is_word(match["name"]):
            found.append((re.sub(r"\\mathbf\{(\w)\}", r"\1", match["name"]), facts))
    return found if not re.search(r"\bnot\b", line) else []
