"""Derivatives as people write them: dC/dw, ∂C/∂w, \\frac{∂C}{∂w}, ∇_w C, d²C/dw², ∂²C/∂w∂wᵀ, d/dx (…)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from chainrule.proofread.words import words

NABLA = re.compile(r"\\nabla|∇|\bgrad_(?=\{|[^\W_]\w?(?!\w))")  # grad_w f; grad_output is a name
FRACTION = re.compile(r"\\[dtc]?frac\b\s*")
PHYSICS = re.compile(r"\\(p?dv|odv|fdv)\b\s*")
D_LATEX = (
    r"(?:\\partial(?![A-Za-z])|∂|\\mathrm\s*\{d\}|\\text\s*\{d\}|\{\\rm d\}|\\operatorname\{d\}"
    r"|\\dd?(?![A-Za-z])|d(?!\w*\\))"
)
D_PLAIN = re.compile(
    r"∂|(?<![\w\\])d(?!(?:et|iag|ot|im|ata|elta|iff)\b)(?=[^\W_]|\s*[(\[‖|∑Σ²³]|\s+[^\W\d]|\^|\*\*)"
    r"|(?<![\w\\])d(?=\s*/\s*d)|\\partial(?![A-Za-z])"
)
D_START = re.compile(D_LATEX)
ORDER = re.compile(r"\s*(?:\^\s*\{?\s*([23])\s*\}?|([²³])|\*\*\s*([23]))")
BARE_ORDER = re.compile(r"[23](?=\s*[^\W\d_]|\s*[(\\])")  # d2L/dw2
RUN_TOGETHER = re.compile(r"(?P<one>[^\W\d_]\w*?)d(?P<other>[^\W\d_]\w*)")  # dwdw, dw1dw2
NAME = re.compile(
    r"(?:\\(?:mathbf|boldsymbol|bm|vec|mathrm|hat|tilde|bar|mathcal|text|operatorname|mathbb)\s*"
    r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|\s[A-Za-z]|\\[A-Za-z]+)|\\[A-Za-z]+(?![A-Za-z])|[^\W\d_∂ᵀ](?:(?![²³¹ᵀ⁻])[^\W_])*|[01]⃗)"
    r"[\u20d7\u0302]?[₀-₉ᵢⱼₖₗₘₙₚₜ₊]*"
    r"(?:\s*_\s*(?:\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z0-9]+))?(?:\s*\^\s*\{?\s*[(\[][A-Za-z0-9]+[)\]]\s*\}?)?(?:\[[^\]]*\])?"
)
POWER = re.compile(r"[²³ᵀ⁻¹]+|\^\s*\{[^{}]*\}|\^\s*-?[0-9A-Za-z]|\.T\b|'")
TURNED = re.compile(r"ᵀ|\^\s*\{?\s*(?:\\top|T|\\intercal|⊤)\s*\}?|\.T\b|'")
SPOKEN = words("log ln det tr trace exp sin cos tan tanh logdet sum mean Tr operatorname{tr}")
PAIRS = {"(": ")", "[": "]", "{": "}", "‖": "‖", "|": "|"}
UNICODE_ORDER = {"²": 2, "³": 3}


@dataclass(frozen=True, slots=True)
class Differential:
    """One derivative in a text: of what, by what, how it is written, and where (start, stop).

    `sign` is "d", "∂" or "∇"; `turned` says that a variable is transposed, as in ∂C/∂wᵀ.
    """

    function: str
    wrt: tuple[str, ...]
    sign: str
    start: int
    stop: int
    turned: bool = False


def differentials(text: str) -> list[Differential]:
    """Return the derivatives in a text, from left to right, not those inside another one."""
    found: list[Differential] = []
    place = 0
    while place < len(text):
        one = first_at(text, place)
        if one is None:
            place += 1
            continue
        found.append(one)
        place = max(one.stop, place + 1)
    return found


def first_at(text: str, place: int) -> Differential | None:
    """Return the derivative that starts at this place, if there is one."""
    if text[place] not in "\\∂∇dg":
        return None
    for read in (fraction, nabla, physics, slashed):
        one = read(text, place)
        if one is not None:
            return one
    return None


# --- \frac{∂C}{∂w}
def fraction(text: str, place: int) -> Differential | None:
    """Read `\\frac{\\partial C}{\\partial w}`, or the operator `\\frac{d}{dx}` with what follows it."""
    match = FRACTION.match(text, place)
    if match is None:
        return None
    above, middle = braced(text, match.end())
    below, stop = braced(text, middle)
    return from_parts(text, place, above, below, stop)


def from_parts(text: str, place: int, above: str, below: str, stop: int) -> Differential | None:
    """Return the derivative whose numerator and denominator are given."""
    top = D_START.match(above.strip())
    if top is None or D_START.match(below.strip()) is None:
        return None
    variables, turned = denominator(below.strip())
    order, function = ordered(above.strip()[top.end() :])
    if not variables or not 1 <= order == len(variables):
        return None
    if not function:
        function, stop = operand_after(text, stop)
    if not function:
        return None
    return Differential(function, variables, sign_of(top.group()), place, stop, turned)


def sign_of(written: str) -> str:
    """Return "∂" or "d"."""
    return "∂" if written in ("∂", r"\partial") else "d"


def ordered(above: str) -> tuple[int, str]:
    """Split the order off a numerator: `^2 C` is (2, "C")."""
    match = ORDER.match(above)
    if match is None:
        return 1, above.strip()
    return int(match[1] or match[3] or UNICODE_ORDER[match[2]]), above[match.end() :].strip()


def denominator(below: str) -> tuple[tuple[str, ...], bool]:
    """Return the variables of `∂w ∂b`, `∂w^2` (twice) or `∂w ∂w^T`, and whether the first is transposed."""
    variables: list[str] = []
    place, turned = 0, False
    while place < len(below):
        sign = re.compile(r"\s*" + D_LATEX + r"\s*").match(below, place)
        if sign is None:
            return ((), False) if below[place:].strip() else (tuple(variables), turned)
        bracket = below[sign.end() : sign.end() + 1] == "("
        start = sign.end() + bracket
        name = NAME.match(below, start)
        if name is None:
            return (), False
        place = name.end() + bracket
        written = name.group()
        times = ORDER.match(below, place)
        turn = None if times else TURNED.match(below, place)
        variables += [written] * (int(times[1] or times[3] or UNICODE_ORDER[times[2]]) if times else 1)
        turned = turned or (turn is not None and len(variables) == 1)
        place = times.end() if times else turn.end() if turn else place
    return tuple(variables), turned and len(variables) == 1


def operand_after(text: str, place: int) -> tuple[str, int]:
    """Return what a derivative's operator applies to: a bracket, or all up to the next + or − outside brackets."""
    place += len(text[place:]) - len(text[place:].lstrip())
    stop, depth = place, 0
    bracketed = re.compile(r"\\(?:left|[bB]igg?l?)\s*(?=[(\[])|(?=[(\[])").match(text, place)
    if text.startswith((r"\|", r"\lVert", "‖"), place):
        return operand(text, place)
    while stop < len(text):
        c = text[stop]
        depth += (c in "([{") - (c in ")]}")
        if depth < 0 or (depth == 0 and c in "+-−=," and stop > place):
            break
        stop += 1
        if bracketed and depth == 0 and c in ")]" and not POWER.match(text, stop):
            break
    return text[place:stop].strip(), stop


def braced(text: str, place: int) -> tuple[str, int]:
    """Return the argument of a command at this place, without its braces, and where it ends."""
    place += len(text[place:]) - len(text[place:].lstrip())
    if text[place : place + 1] != "{":
        return text[place : place + 1], place + 1
    stop = closing(text, place)
    return text[place + 1 : stop], stop + 1


def closing(text: str, place: int) -> int:
    """Return the place of the bracket that closes the one here; the end of the text if none does."""
    opening, depth = text[place], 0
    for k in range(place, len(text)):
        if text[k] == opening and (opening not in "‖|" or k == place):
            depth += 1
        elif text[k] == PAIRS[opening]:
            depth -= 1
            if depth == 0:
                return k
    return len(text)


# --- ∇_w C
def nabla(text: str, place: int) -> Differential | None:
    """Read `\\nabla_{w} C`, `∇_w^2 C`, `∇C`, `grad_w C`; without a variable it is the only one the function has."""
    match = NABLA.match(text, place)
    if match is None:
        return None
    at = match.end() - (match.group() == "grad_")
    order = 1
    variables: tuple[str, ...] = ()
    for _ in range(2):
        power = ORDER.match(text, at)
        if power:
            order, at = int(power[1] or power[3] or UNICODE_ORDER[power[2]]), power.end()
        below = re.compile(r"\s*_\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}|\\[A-Za-z]+|[^\W_][0-9]*)").match(text, at)
        if below:
            inside = below[1].strip("{} ") if not below[1].startswith("{\\") else below[1][1:-1].strip()
            variables, at = tuple(part.strip() for part in inside.split(",")), below.end()
    function, stop = operand(text, at)
    if not function:
        return None
    return Differential(
        function, variables if len(variables) == 2 else variables * order or ("",) * order, "∇", place, stop
    )


def physics(text: str, place: int) -> Differential | None:
    """Read `\\pdv{C}{w}` and `\\dv{y}{x}` of the package physics."""
    match = PHYSICS.match(text, place)
    if match is None:
        return None
    above, middle = braced(text, match.end())
    below, stop = braced(text, middle)
    sign = "∂" if match[1] == "pdv" else "d"
    return Differential(above.strip(), (below.strip(),), sign, place, stop)


# --- dC/dw
def slashed(text: str, place: int) -> Differential | None:
    """Read `dC/dw`, `∂²C/∂w∂wᵀ`, `d(x + x²)/dx`, `d/dx (x + x²)`."""
    match = D_PLAIN.match(text, place)
    if match is None:
        return None
    order, at = order_here(text, match.end())
    slash = re.compile(r"\s*/\s*").match(text, at)
    function, stop = ("", at) if slash else operand(text, at)
    slash = re.compile(r"\s*/\s*").match(text, stop)
    if slash is None:
        return None
    variables, turned, stop = below_slash(text, slash.end(), order)
    variables = apart(variables, order)
    if len(variables) != order or not variables:
        return None
    if not function:
        function, stop = operand_after(text, stop)
    return Differential(function, variables, sign_of(match.group()), place, stop, turned) if function else None


def order_here(text: str, place: int) -> tuple[int, int]:
    """Return the order that stands after a d (`^2`, `²`, or a bare 2 as in d2L), and where it ends; 1 if none does."""
    power = ORDER.match(text, place)
    if power:
        return int(power[1] or power[3] or UNICODE_ORDER[power[2]]), power.end()
    bare = BARE_ORDER.match(text, place)
    return (int(bare.group()), bare.end()) if bare else (1, place)


def apart(variables: tuple[str, ...], order: int) -> tuple[str, ...]:
    """Return the variables of `dw2` and `dwdw` where two are due: w twice."""
    if len(variables) != 1 or order == 1:
        return variables
    written = variables[0]
    both = RUN_TOGETHER.fullmatch(written)
    if both:
        return both["one"], both["other"]
    return (written[:-1].rstrip("_^"),) * order if written[1:].endswith(str(order)) else variables


def below_slash(text: str, place: int, order: int = 1) -> tuple[tuple[str, ...], bool, int]:
    """Read `dw`, `∂w∂wᵀ`, `(∂w ∂b)` after a slash: the variables, whether the first is transposed, and the end."""
    bracket = text[place : place + 1] == "("
    if bracket:
        stop = closing(text, place)
        variables, turned = denominator(text[place + 1 : stop])
        return variables, turned, stop + 1
    sign = re.compile(r"\s*(?:∂|d|\\partial(?![A-Za-z]))\s*")
    variables_found: list[str] = []
    turned = False
    while (match := sign.match(text, place)) is not None and (name := NAME.match(text, match.end())) is not None:
        place = name.end()
        times = ORDER.match(text, place)
        turn = None if times else TURNED.match(text, place)
        variables_found += [name.group()] * (int(times[1] or times[3] or UNICODE_ORDER[times[2]]) if times else 1)
        turned = turned or (turn is not None and len(variables_found) == 1 and not sign.match(text, turn.end()))
        more = turn.end() if turn and (len(variables_found) > 1 or turned or sign.match(text, turn.end())) else place
        place = times.end() if times else more
        if len(variables_found) < order and sign.match(text, place):
            continue
        if not re.compile(r"\s*(?:∂|\\partial)").match(text, place) and not re.compile(r"d[^\W\d_]").match(text, place):
            break
        if re.compile(r"\s+(?:∂|\\partial|d)[^/=+]*/").match(text, place):  # the next factor of a chain
            break
    return tuple(variables_found), turned, place


def operand(text: str, place: int) -> tuple[str, int]:
    """Return one operand: a name with its arguments, a bracket or a norm, each with its power."""
    place += len(text[place:]) - len(text[place:].lstrip())
    if place >= len(text):
        return "", place
    left = re.compile(r"\\left\s*").match(text, place)
    start = left.end() if left else place
    c = text[start : start + 1]
    if c in PAIRS or text.startswith((r"\|", r"\lVert"), start):
        stop = norm_end(text, start) if c not in PAIRS else closing(text, start) + 1
        return powered(text, place, stop)
    name = NAME.match(text, place)
    if name is None:
        return "", place
    stop = name.end()
    at = re.compile(r"\s*(?:\\left\s*)?[(]").match(text, stop)
    if not at and name.group().strip("\\") in SPOKEN:
        inner, stop = operand(text, stop)
        return (text[place:stop].strip(), stop) if inner else ("", place)
    if at:
        stop = closing(text, at.end() - 1) + 1
    return powered(text, place, stop)


def norm_end(text: str, place: int) -> int:
    """Return where `\\| … \\|` or `\\lVert … \\rVert` ends."""
    end = r"\rVert" if text.startswith(r"\lVert", place) else r"\|"
    stop = text.find(end, place + 2)
    return len(text) if stop < 0 else stop + len(end)


def powered(text: str, place: int, stop: int) -> tuple[str, int]:
    """Return an operand with the powers that follow it."""
    while (power := POWER.match(text, stop)) is not None and power.end() > stop:
        stop = power.end()
    return text[place:stop].strip(), stop


def replaced(text: str, found: list[Differential], names: Iterator[str]) -> tuple[str, dict[str, Differential]]:
    """Put a name in place of every derivative; return the text and what the names stand for."""
    parts, place, known = [], 0, dict[str, Differential]()
    for one, name in zip(found, names, strict=False):
        parts += [text[place : one.start], name]
        known[name] = one
        place = one.stop
    return "".join([*parts, text[place:]]), known
