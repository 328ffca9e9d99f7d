"""Naming what practitioners name: Z and A of a layer, S and P of a softmax, E of an error, σ and x̂ of a normalisation.

The role of a part decides its letter: a capital for a matrix, lower case for a vector or a number. Nothing here looks
at an operation's name, only at what it reads and what reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from chainrule.errors import DomainError
from chainrule.explain.fold import folded
from chainrule.explain.intermediates import Intermediate, Named, keeps_value
from chainrule.expression.node import Add, Apply, Einsum, Expr, Symbol, walk
from chainrule.expression.power import constant_value, exponent_of, power_of
from chainrule.expression.product import einsum, factors_of
from chainrule.expression.shape import Scalar
from chainrule.expression.total import add_terms, linear_terms
from chainrule.rewrite.facts import is_symmetric

PRE_ACTIVATION, ACTIVATION, SCORES, PROBABILITIES, RESIDUAL, KERNEL, MATRIX = "Z", "A", "S", "P", "E", "K", "M"
DEVIATION = "R"  # what a quadratic form holds twice


@dataclass(frozen=True, slots=True)
class Role:
    """A part worth a name, and the letter its role has."""

    part: Expr
    letter: str  # a capital; "σ"-like words are names as they stand


def layers(function: Expr, chosen: Mapping[str, Expr] | None = None) -> Named:
    """Return the intermediate variables of a function of arrays, innermost first, and the function in terms of them.

    Raises: DomainError if a chosen name's expression does not occur.
    """
    chosen = dict(chosen or {})
    given = [Intermediate(Symbol(name, e.shape), e) for name, e in chosen.items() if name in function.symbols]
    wanted = {e: name for name, e in chosen.items() if name not in function.symbols}
    roles = [r for r in _roles(function, wanted) if r.part is not function or r.letter.endswith("_hat")]
    missing = set(wanted) - {r.part for r in roles}
    for e in missing:
        if folded(function, Symbol("_", e.shape), e) is function:
            raise DomainError(f"{wanted[e]} names {e}, which does not occur on the way to the result")
        roles.insert(0, Role(e, wanted[e]))
    names = _letters(roles, wanted, set(function.symbols) | set(chosen))
    variables = list(given)
    for role in roles:
        definition = role.part
        for earlier in variables[len(given) :]:
            definition = folded(definition, earlier.symbol, earlier.definition)
        variables.append(Intermediate(Symbol(names[role.part], role.part.shape, _facts(role.part)), definition))
    for i in variables[len(given) :]:
        function = folded(function, i.symbol, i.definition)
    return Named(tuple(variables), function)


def _facts(part: Expr) -> frozenset[str]:
    return frozenset({"symmetric"}) if is_symmetric(part) else frozenset()


# --- what is worth a name
def _roles(function: Expr, wanted: Mapping[Expr, str]) -> list[Role]:
    nodes = walk(function)
    readers: dict[Expr, list[Expr]] = {}
    for node in nodes:
        for arg in node.args:
            readers.setdefault(arg, []).append(node)
    found: dict[Expr, Role] = {}
    for node in nodes:
        for role in _roles_of(node, readers.get(node, []), function):
            letter = wanted.get(role.part, role.letter)
            found.setdefault(role.part, Role(role.part, letter))
        if node in wanted:
            found.setdefault(node, Role(node, wanted[node]))
    return list(found.values())


def _roles_of(node: Expr, readers: Sequence[Expr], function: Expr) -> list[Role]:
    if isinstance(node, Einsum):
        normal = _normalised(node)
        if normal:
            return normal
    if not node.shape:
        return []
    if isinstance(node, Add | Einsum):
        return _roles_of_sum(node, readers, function)
    if isinstance(node, Apply) and (_is_layer(node, readers, function) or _is_gate_value(node)):
        return [Role(node, ACTIVATION if node.op.is_elementwise else PROBABILITIES)]
    return []


def _roles_of_sum(node: Expr, readers: Sequence[Expr], function: Expr) -> list[Role]:
    """What a function, a square or a quadratic form is of, and a layer that several parts read."""
    functions = [r for r in readers if isinstance(r, Apply) and exponent_of(r)[1] == 1]
    if _is_residual(node, readers):
        return _residual(node)
    if isinstance(node, Add) and any(isinstance(r, Einsum) and r.args.count(node) > 1 for r in readers):
        return [Role(node, DEVIATION)]
    if not functions:
        return [Role(node, PRE_ACTIVATION)] if len(set(readers)) > 1 and _has_product(node) else []
    plain = _is_scaled(node) or any(constant_value(t) is not None for _, t in linear_terms(node))
    return [] if plain else [Role(node, _letter_before(node, functions[0], function))]


def _letter_before(node: Expr, reader: Apply, function: Expr) -> str:
    """Z before an activation, S where the softmax of it weights other rows (attention), K or M inside an inverse."""
    if any(len(core) > 1 for core in reader.op.core.inputs):
        return KERNEL if any(isinstance(part, Apply) for part in walk(node)) else MATRIX
    weights = any(reader in n.args and n.summed and _is_product(n) for n in walk(function) if isinstance(n, Einsum))
    return SCORES if weights and not reader.op.is_elementwise else PRE_ACTIVATION


def _has_product(node: Expr) -> bool:
    """True for a sum with a product in it that two arrays share a summed index of."""
    terms = [t for t in node.args if isinstance(t, Einsum)] if isinstance(node, Add) else []
    return any(sum(i in sub for sub in t.subscripts) > 1 for t in terms for i in t.summed)


def _is_product(n: Einsum) -> bool:
    """True for a matrix product: two arrays of two axes share a summed index."""
    return any(sum(i in s and len(s) > 1 for s in n.subscripts) > 1 and n.output for i in n.summed)


def _is_layer(node: Apply, readers: Sequence[Expr], function: Expr) -> bool:
    """True for an activation that a product reads on, and for a function of whole rows."""
    if exponent_of(node)[1] != 1 or node.op.is_gate or any(len(core) > 1 for core in node.op.core.inputs):
        return False
    if not node.op.is_elementwise:
        return bool(node.args) and node.shape == node.args[0].shape
    final = {function, *function.args} if not function.shape else set()
    return any(isinstance(r, Einsum) and r.summed and r not in final for r in readers)


def _is_gate_value(node: Apply) -> bool:
    """True for a sigmoid or tanh of something composed: its slope is made of its value."""
    return keeps_value(node) and not isinstance(node.args[0], Symbol) and not _is_scaled(node.args[0])


def _is_scaled(node: Expr) -> bool:
    """True for a symbol times numbers: too little for a name."""
    terms = linear_terms(node)
    return len(terms) == 1 and sum(bool(f.shape) for f, _ in factors_of(terms[0][1])) == 1


def _is_residual(node: Expr, readers: Sequence[Expr]) -> bool:
    """True for a squared difference from a plain symbol: what is predicted against what is given."""
    return any(exponent_of(r) == (node, 2) for r in readers) and _given(node) is not None


def _given(node: Expr) -> tuple[Scalar, Symbol] | None:
    """Return the one plain symbol that stands against all other terms, and does not occur in them."""
    terms = linear_terms(node)
    for c, t in terms:
        others = [(d, e) for d, e in terms if e is not t]
        if isinstance(t, Symbol) and others and all((d > 0) != (c > 0) and t.name not in e.symbols for d, e in others):
            return c, t
    return None


def _residual(node: Expr) -> list[Role]:
    """E = Z − Y: the prediction, if it is worth a name, and the error, in which what is given is subtracted."""
    given = _given(node)
    assert given is not None
    sign = 1 if given[0] < 0 else -1
    terms = [(sign * c, t) for c, t in linear_terms(node)]
    prediction = add_terms([(c, t) for c, t in terms if t is not given[1]], node.shape)
    bare = isinstance(prediction, Symbol | Apply) or _is_scaled(prediction)
    error = Role(add_terms(terms, node.shape), RESIDUAL)
    return [error] if bare else [Role(prediction, PRE_ACTIVATION), error]


def _normalised(node: Einsum) -> list[Role]:
    """x̃ ⊘ σ: something centred (or not) divided by the root of a mean of squares. Names x̃, σ and x̂."""
    for divisor, sub in factors_of(node):
        base, k = exponent_of(divisor)
        if k != Fraction(-1, 2) or constant_value(base) is not None:
            continue
        for part, axes in factors_of(node):
            if part is not divisor and set(sub) < set(axes) and _mean_square_of(base, part):
                ratio = einsum([part, divisor], [axes, sub], axes)
                stem = next(iter(part.symbols.values())).name if len(part.symbols) == 1 else "x"
                centred = [] if isinstance(part, Symbol) else [Role(part, f"{stem}_tilde")]
                spread = Role(power_of(base, Fraction(1, 2)), "sigma" if centred else "r")
                return [*centred, spread, Role(ratio, f"{stem}_hat")]
    return []


def _mean_square_of(base: Expr, part: Expr) -> bool:
    """True if the squares of the part are summed in the base."""
    square = power_of(part, 2)
    return any(isinstance(n, Einsum) and square in n.args for n in walk(base))


# --- letters
def _letters(roles: Sequence[Role], wanted: Mapping[Expr, str], taken: set[str]) -> dict[Expr, str]:
    """Number the layers: Z₁, A₁, Z₂, A₂ …, the activation as the pre-activation that it is made of."""
    names = {r.part: wanted[r.part] for r in roles if r.part in wanted}
    free = [r for r in roles if r.part not in wanted]
    counts = {letter: sum(r.letter == letter for r in free) for letter in {r.letter for r in free}}
    numbered = counts.get(PRE_ACTIVATION, 0) > 1 or counts.get(ACTIVATION, 0) > 1
    seen: dict[str, int] = {}
    for role in free:
        seen[role.letter] = seen.get(role.letter, 0) + 1
        case = role.letter if len(role.part.shape) > 1 or len(role.letter) > 1 else role.letter.lower()
        many = counts[role.letter] > 1 or (numbered and role.letter in (PRE_ACTIVATION, ACTIVATION))
        number = seen[role.letter]
        if many and role.letter == ACTIVATION:
            number = seen.get(PRE_ACTIVATION, number)
        name = f"{case}{number}" if many else case
        names[role.part] = _unused(name, case, taken | set(names.values()))
    return names


def _unused(name: str, letter: str, taken: set[str]) -> str:
    k = 1
    while name in taken:
        name = f"{letter}{k}"
        k += 1
    return name
