"""What is different between two expressions of one shape: the innermost place where they part, and how it is called."""

from __future__ import annotations

from collections import Counter

from chainrule.expression.node import Add, Apply, Dimension, Einsum, Expr, Identity, Number, Ones, Symbol
from chainrule.expression.power import exponent_of
from chainrule.expression.product import factors_of
from chainrule.expression.shape import Scalar
from chainrule.proofread.edit import Difference, Kind


def difference(wrong: Expr, right: Expr, names: frozenset[str]) -> Difference:
    """Return how one expression differs from another, as near to the leaves as they still have the same form."""
    inner = _inner(wrong, right)
    if inner is not None:
        return difference(*inner, names)
    if isinstance(wrong, Symbol) and isinstance(right, Symbol):
        kind: Kind = "wrong intermediate" if {wrong.name, right.name} & names else "wrong symbol"
        return Difference(kind, 2.0, f"{wrong} in place of {right}")
    found = _of_sums(wrong, right) or _of_products(wrong, right) or _of_operations(wrong, right)
    return found or Difference("wrong intermediate", 2.6, f"{wrong} in place of {right}")


def _inner(wrong: Expr, right: Expr) -> tuple[Expr, Expr] | None:
    """Return the one part that differs, if the two are the same operation on otherwise the same parts."""
    if type(wrong) is not type(right) or len(wrong.args) != len(right.args):
        return None
    if isinstance(wrong, Apply) and isinstance(right, Apply) and wrong.op is right.op:
        return _only_change(wrong.args, right.args)
    if isinstance(wrong, Add) and isinstance(right, Add) and wrong.coefficients == right.coefficients:
        return _only_change(*_unshared(wrong, right))
    if isinstance(wrong, Einsum) and isinstance(right, Einsum):
        return _only_change(*_unshared(wrong, right))
    return None


def _unshared(wrong: Expr, right: Expr) -> tuple[tuple[Expr, ...], tuple[Expr, ...]]:
    mine, wanted = Counter(wrong.args), Counter(right.args)
    return tuple((mine - wanted).elements()), tuple((wanted - mine).elements())


def _only_change(wrong: tuple[Expr, ...], right: tuple[Expr, ...]) -> tuple[Expr, Expr] | None:
    pairs = [(a, b) for a, b in zip(wrong, right, strict=True) if a is not b] if len(wrong) == len(right) else []
    return pairs[0] if len(pairs) == 1 else None


def _of_sums(wrong: Expr, right: Expr) -> Difference | None:
    """Terms with another number, terms too many, terms too few."""
    if not (isinstance(wrong, Add) and len(wrong.args) > 1) and not (isinstance(right, Add) and len(right.args) > 1):
        return None
    mine, wanted = _terms(wrong), _terms(right)
    more, less = mine.keys() - wanted.keys(), wanted.keys() - mine.keys()
    other = [t for t in mine.keys() & wanted.keys() if mine[t] != wanted[t]]
    if other and not more and not less:
        if all(mine[t] == -wanted[t] for t in other):
            return Difference("sign", 1.2, f"the sign of {' and '.join(map(str, other))} is wrong")
        return Difference("constant factor", 1.6, f"the number before {other[0]} should be {wanted[other[0]]}")
    if other or (more and less):
        return None
    if less:
        return Difference("lost term", 2.4, f"the term {' and '.join(map(str, less))} is missing")
    return Difference("spurious term", 2.2, f"{' and '.join(map(str, more))} should not be a term there")


def _terms(e: Expr) -> dict[Expr, Scalar]:
    return dict(zip(e.args, e.coefficients, strict=True)) if isinstance(e, Add) else {e: 1}


def _of_products(wrong: Expr, right: Expr) -> Difference | None:
    """The same factors multiplied in another way, factors too many, factors too few."""
    wrong, right = _core(wrong), _core(right)
    mine, wanted = factor_count(wrong), factor_count(right)
    more, less = list((mine - wanted).elements()), list((wanted - mine).elements())
    if (more and less) or not (mine or wanted):
        return None
    if less:
        return Difference("lost factor", 2.1, f"a factor is missing: {' and '.join(map(str, less))}")
    if more:
        return Difference("spurious factor", 2.1, f"{' and '.join(map(str, more))} should not be a factor there")
    if not isinstance(wrong, Einsum) and not isinstance(right, Einsum):
        return None
    return _of_subscripts(wrong, right)


def _of_subscripts(wrong: Expr, right: Expr) -> Difference:
    """Of the same factors: with other sizes before them a mean is a sum; with as many summed indices one is transposed,
    with more or fewer a product is of the other kind."""
    sizes = [Counter(f for f, _ in factors_of(e) if isinstance(exponent_of(f)[0], Dimension)) for e in (wrong, right)]
    if sizes[0] != sizes[1]:
        return Difference("sum, mean or axis", 1.7, f"{wrong} should be {right}")
    summed = [len(e.summed) if isinstance(e, Einsum) else 0 for e in (wrong, right)]
    if summed[0] == summed[1]:
        return Difference("transpose", 1.9, f"{wrong} should be {right}")
    return Difference("element-wise or matrix product", 2.0, f"{wrong} should be {right}")


def _core(e: Expr) -> Expr:
    """The expression without the number before it."""
    return e.args[0] if isinstance(e, Add) and len(e.args) == 1 else e


def factor_count(e: Expr) -> Counter[Expr]:
    """Return the factors of a product, a whole power as so many of its base; ones, identities and sizes left out."""
    result: Counter[Expr] = Counter()
    for f, _ in factors_of(e):
        base, k = exponent_of(f)
        if not isinstance(base, Ones | Identity | Dimension | Number):
            whole = isinstance(k, int) and k > 0
            result[base if whole else f] += k if isinstance(k, int) and whole else 1
    return result


def _of_operations(wrong: Expr, right: Expr) -> Difference | None:
    """Another operation on the same value, or none where there should be one."""
    if isinstance(wrong, Apply) and right in wrong.args:
        return Difference("wrong function", 2.2, f"{wrong} in place of {right}")
    if isinstance(right, Apply) and wrong in right.args:
        return Difference("wrong function", 2.2, f"{wrong} in place of {right}")
    if isinstance(wrong, Apply) and isinstance(right, Apply) and wrong.args == right.args:
        return Difference("wrong function", 2.2, f"{wrong} in place of {right}")
    return None
