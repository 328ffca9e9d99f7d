"""Words and formulas apart: a sentence with an equals sign in it is not a claim."""

from __future__ import annotations

import re


def words(listed: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(listed.split())


WORD = re.compile(r"[^\W\d_]{2,}")
ENGLISH = words(
    """
    the is are was were be been we you they it its this that these those there here our your their his her of to in on
    at by from as an and or not but if then else so thus hence therefore because since where when while with without
    which who whose what how why let us define set put denote note notice recall get gets got have has had obtain
    obtains gives give given yields yield becomes become follows follow find found finds compute computes use uses using
    used apply applies show shows shown see consider suppose assume assumes assuming means mean's equals equal first
    second third next finally now also again both each every all any some only just same other another value values
    gradient gradients derivative derivatives jacobian hessian loss cost function functions rule chain product matrix
    matrices vector vectors scalar scalars row rows column columns term terms step steps line lines answer result
    respect w.r.t wrt into onto over under about can could will would should must may might does did done make
    makes made take takes taken write writes written call called know known want need needs work works error errors
    simple simply easy batch size rate learning training train epochs epoch samples sample data set sets class classes
    layer layers input inputs output outputs weights weight bias biases dimension dimensions shape shapes per for
    than too very more most less least case cases constant constants one two three wrong right example
    proof remark theorem lemma claim hint problem question exercise solution warning todo notation definition
    usage update see correct yes no
    """
)
MATHEMATICAL = words("mean softmax sum product max min trace diag norm otherwise if else for all scalar")
TAIL = re.compile(
    r"(?:[,;.]\s+|\s+)(?=(?:where|which|since|because|by|for|so|as|and|with|using|if|when|hence|thus|then|is|we"
    r"|from|due|again|here|i\.e\.|e\.g\.)\b)|\s*[,;]\s+(?=[A-Za-z]{3,}\s+[A-Za-z]{2,})"
    r"|(?<![-@*/+−·⊙⊗])\s+[(\[](?=[a-z]+(?:[,)\]]|\s[a-z]))(?=[^)\]]*[a-z]{3})"
    r"|\.\s+(?=[A-Z][a-z]*\s)|\s{2,}(?=[(\[]?[A-Za-z]{2,}\s+[a-z]{2,})"
)

FUNCTION_WORDS = words("log det exp sin cos tan tanh trace diag max min sum mean relu softmax sigmoid logdet norm")


def is_word(word: str) -> bool:
    """True for an English word that is no mathematical function."""
    word = word.strip(",.:;")
    return (word.islower() or word.istitle() or len(word) > 3) and word.lower() in ENGLISH


def lead_and_rest(line: str) -> tuple[str, str]:
    """Split the words off the front of a line: ("Then by the chain rule,", "dC/dw = …")."""
    equals = line.find("=")
    left = line if equals < 0 else line[:equals]
    cut = 0
    for match in re.finditer(r"(?<![\\\w])[^\W\d_][\w'’.-]*|[:,]\s", left):
        word = match.group()
        if (
            is_spoken(word, left[match.end() :])
            or is_word(word.rstrip(".,:"))
            or (word[0] in ":," and cut_is_prose(left[: match.start()]))
        ):
            cut = match.end()
    while cut < len(left) and left[cut] in " ,:.\t":
        cut += 1
    if not left[cut:].strip() and equals >= 0:  # the last word is what is defined: loss = …
        cut = left.rstrip().rfind(" ") + 1
    return line[:cut].strip(), line[cut:]


def is_spoken(word: str, after: str) -> bool:
    """True for a word of four letters or more with another word after it, and no operator between."""
    return (
        len(word) > 3 and word.isalpha() and word not in FUNCTION_WORDS and re.match(r"\s+[\w$\\∂∇]", after) is not None
    )


def cut_is_prose(before: str) -> bool:
    """True if what stands before a comma or a colon is words."""
    words = re.findall(r"[^\W\d_]{2,}", before)
    return bool(words) and all(is_word(word) for word in words)


def rest_and_tail(rest: str) -> tuple[str, str]:
    """Split a remark off the end of a formula: ("dC/dw = 2 x", ", since x is fixed")."""
    equals = rest.find("=")
    if equals < 0:
        return rest, ""
    for match in TAIL.finditer(rest, equals):
        inside = rest[: match.start()]
        if inside.count("(") == inside.count(")") and inside.count("{") == inside.count("}"):
            if inside.rstrip().endswith("=") or "otherwise" in rest[match.end() :]:
                continue
            return rest[: match.start()].rstrip(" ,;"), rest[match.start() :].strip()
    return rest.rstrip(" ,;."), ""


def is_sentence(formula: str, known: frozenset[str] | set[str]) -> bool:
    """True if English words stand where a formula would be: two words side by side, or a word of the language."""
    plain = re.sub(r"\\[A-Za-z]+|\{[^{}]*\bif\b[^{}]*\}", " ", formula)
    plain = re.sub(r"[^\W\d]\w*_\w+", lambda match: "_" if match.group() in known else match.group(), plain)
    for word in WORD.findall(plain):
        if word not in known and is_word(word) and word.lower() not in MATHEMATICAL:
            return True
    pairs = re.findall(r"([^\W\d_]{3,})\s+(?=([^\W\d_]{3,}))", plain)
    return any(a not in known and b not in known and a not in FUNCTION_WORDS for a, b in pairs)
