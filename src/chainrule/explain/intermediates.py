"""Naming the intermediate variables: z for an affine unit, u for what a function makes of it, v for a difference …

Names are scoped to one derivation. Source of the habit: Parr and Howard 2018, section 4.5 (`z`, `u`, `v`, `u₁ … uₙ`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chainrule.derivative.differentiate import put_back, substitute
from chainrule.errors import DomainError
from chainrule.explain.fold import folded
from chainrule.expression.build import multiply
from chainrule.expression.build import sum as sum_of
from chainrule.expression.node import Add, Apply, Einsum, Expr, Ones, Symbol, depends_on, walk
from chainrule.expression.power import exponent_of
from chainrule.rewrite.statement import Detail


@dataclass(frozen=True, slots=True)
class Intermediate:
    """A named intermediate variable: the symbol, and its definition in terms of earlier names."""

    symbol: Symbol
    definition: Expr


def expanded(e: Expr, variables: Iterable[Intermediate]) -> Expr:
    """Return `e` with the definitions, each in terms of earlier names, in place of the names."""
    return put_back(e, [(i.symbol, i.definition) for i in variables])


@dataclass(frozen=True, slots=True)
class Named:
    """The intermediate variables, innermost first, and the function in terms of them."""

    variables: tuple[Intermediate, ...]
    function: Expr


def intermediates(function: Expr, wrt: Symbol, detail: Detail, chosen: Mapping[str, Expr] | None = None) -> Named:
    """Return the intermediate variables on the way from `wrt` to `function`, innermost first.

    `chosen` names sub-expressions as the reader wants: a name that occurs in `function` as a symbol is defined by it,
    any other names the sub-expression equal to it.
    Raises: DomainError if a chosen name is taken or its expression does not occur.
    """
    chosen = dict(chosen or {})
    given = [Intermediate(Symbol(name, e.shape), e) for name, e in chosen.items() if name in function.symbols]
    wanted = {e: name for name, e in chosen.items() if name not in function.symbols}
    nodes = [n for n in walk(function) if any(depends_on(n, x) for x in (wrt, *(i.symbol for i in given)))]
    for e, name in wanted.items():
        if e not in nodes:
            raise DomainError(f"{name} names {e}, which does not occur on the way from {wrt.name} to the result")
    picked = [
        n for n in nodes if n in wanted or (n is not function and n is not wrt and _worth_naming(n, nodes, detail))
    ]
    taken = set(function.symbols) | set(chosen)
    names = _names(picked, function, wanted, taken)
    known = {i.symbol.name for i in given}
    symbols: dict[Expr, Expr] = {}
    result = list(given)
    for node in [*picked, function]:
        definition = substitute(node, dict(symbols))
        for earlier in result[len(given) :]:
            definition = folded(definition, earlier.symbol, earlier.definition)
        if detail == "full":
            split, definition = _split_dot(definition, wrt, taken | known | set(names.values()))
            result += split
        if node is function:
            break
        symbol = Symbol(names[node], node.shape)
        result.append(Intermediate(symbol, definition))
        symbols[node] = symbol
    return Named(tuple(result), definition)


def _split_dot(definition: Expr, wrt: Symbol, taken: set[str]) -> tuple[list[Intermediate], Expr]:
    """w · x = sum(w ⊗ x): name the element-wise product v and its sum u. Source: Parr and Howard 2018, section 5."""
    dot = next((n for n in walk(definition) if _is_dot(n) and depends_on(n, wrt)), None)
    if dot is None or definition.ndim:
        return [], definition
    v_name, u_name = (letter if letter not in taken else _numbered(letter, 2, taken)[0] for letter in "vu")
    product = multiply(*dot.args)
    v, u = Symbol(v_name, product.shape), Symbol(u_name)
    return [Intermediate(v, product), Intermediate(u, sum_of(v))], substitute(definition, {dot: u})


def _is_dot(n: Expr) -> bool:
    return isinstance(n, Einsum) and not n.output and [a.ndim for a in n.args] == [1, 1]


def _worth_naming(node: Expr, nodes: list[Expr], detail: Detail) -> bool:
    """A function's value and a function's argument are worth a name; a bare power inside a sum or product is not."""
    if detail == "brief":
        return False
    consumers = [n for n in nodes if any(arg is node for arg in n.args)]
    if isinstance(node, Apply):
        plain_power = exponent_of(node)[1] != 1
        return not plain_power or detail == "full" or all(isinstance(c, Apply) for c in consumers)
    if isinstance(node, Einsum):
        return any(isinstance(c, Apply) for c in consumers) and not _only_scaled(node)
    if isinstance(node, Add):
        is_argument = any(isinstance(c, Apply) for c in consumers)
        return is_argument or (len(node.args) > 1 and (node.ndim > 0 or not _is_the_whole(node, nodes)))
    return False


def _is_the_whole(node: Expr, nodes: list[Expr]) -> bool:
    """True if everything after `node` only scales it: (1/N) (a − b) is a difference as it stands."""
    after = nodes[nodes.index(node) + 1 :]
    return all(isinstance(n, Einsum | Add) and sum(arg in nodes for arg in n.args) == 1 for n in after)


def _only_scaled(node: Einsum) -> bool:
    return len([a for a in node.args if not isinstance(a, Ones)]) == 1


def _names(picked: list[Expr], function: Expr, wanted: Mapping[Expr, str], taken: set[str]) -> dict[Expr, str]:
    """Choose a name for each: by its role (z, u, v) while the roles differ, else u₁, u₂, …"""
    rows = [node for node in picked if is_of_rows(node) and node not in wanted]
    letter = "P" if rows and rows[0].ndim > 1 else "p"
    if len(rows) == 1 and letter not in taken:
        wanted = {**wanted, rows[0]: letter}
    roles = [wanted.get(node) or _role(node, picked) for node in picked]
    free = [r for node, r in zip(picked, roles, strict=True) if node not in wanted]
    if len(set(free)) < len(free) or set(free) & taken or not any(s.shape for s in function.symbols.values()):
        numbered = iter(_numbered("u", len(free), taken | set(roles) - set(free)))
        roles = [wanted[node] if node in wanted else next(numbered) for node in picked]
    capital = [r.upper() if n.ndim > 1 and n not in wanted else r for n, r in zip(picked, roles, strict=True)]
    if not set(capital) - set(roles) & taken:
        roles = capital
    return dict(zip(picked, roles, strict=True))


def is_of_rows(e: Expr) -> bool:
    """True for a function of a whole vector that is a vector again, such as a softmax: its entries are weights."""
    if not isinstance(e, Apply) or not e.args:
        return False
    return len(e.op.core.output) == 1 and e.ndim <= 2 and e.shape == e.args[0].shape


def keeps_value(e: Expr) -> bool:
    """True for an element-wise function whose slope is made of its value: σ(1 − σ), 1 − tanh²."""
    if (
        not isinstance(e, Apply)
        or not e.op.is_elementwise
        or e.op.is_gate
        or exponent_of(e)[1] != 1
        or len(e.args) != 1
    ):
        return False
    y = Symbol("value_held", e.shape)
    slope = e.op.local_jacobians(e.args, y)[0]
    return slope is not None and slope is not y and depends_on(slope, y)


def _role(node: Expr, picked: list[Expr]) -> str:
    """z: linear in the variable; v: a sum or difference with a named part; u: the value of a function."""
    if isinstance(node, Apply):
        return "u"
    uses_name = any(part in picked for part in walk(node) if part is not node)
    return "v" if uses_name else "z"


def _numbered(letter: str, count: int, taken: Iterable[str]) -> list[str]:
    taken = set(taken)
    if count == 1 and letter not in taken:
        return [letter]
    result: list[str] = []
    k = 1
    while len(result) < count:
        if f"{letter}{k}" not in taken:
            result.append(f"{letter}{k}")
        k += 1
    return result
