"""The points at which repairs are tried: values of every part of a line, and what the root becomes if one part changes.

Many candidates for one part are pushed up to the root together, as an array with one more axis in front.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.errors import ChainruleError, DomainError
from chainrule.evaluate import Place
from chainrule.expression.node import Add, Apply, Einsum, Expr, Symbol
from chainrule.expression.op import numpy_code
from chainrule.expression.power import constant_value
from chainrule.expression.shape import concrete
from chainrule.proofread.claim import Claim
from chainrule.proofread.compare import GATED, has_gates
from chainrule.verify.sample import draw, is_generic, sizes_for

Array = np.ndarray[Any, Any]
Step = tuple[Expr, int]  # a part and which of its arguments is meant
Path = tuple[Step, ...]  # from the part upwards: the nearest whole first

ATTEMPTS = 120
SAME = 1e-8  # relative to the largest entry of the truth
MOST_OCCURRENCES = 250
BATCH = 51  # the index of the candidates; np.einsum has 52


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place where a part stands in the line."""

    node: Expr
    path: Path

    @property
    def parent(self) -> Expr | None:
        """The part it stands in, None for the whole line."""
        return self.path[0][0] if self.path else None

    @property
    def is_linear(self) -> bool:
        """True if the line is linear in this part: only sums and products lie on the way."""
        return all(isinstance(whole, Add | Einsum) for whole, _ in self.path)


def occurrences(root: Expr) -> list[Occurrence]:
    """Return every place of every part, wholes before parts, at most a few hundred."""
    result = [Occurrence(root, ())]
    for here in result:
        for k, arg in enumerate(here.node.args):
            if isinstance(here.node, Apply) and constant_value(arg) is not None:
                continue  # the exponent of a power belongs to the power
            if len(result) < MOST_OCCURRENCES:
                result.append(Occurrence(arg, ((here.node, k), *here.path)))
    return result


@dataclass(slots=True)
class Trial:
    """One point: the value of the truth there, of every part of the line, and of every candidate."""

    place: Place
    target: Array
    same: float = SAME
    surroundings: dict[Step, tuple[Array, tuple[int, ...]]] = field(default_factory=dict)

    def value(self, e: Expr) -> Array:
        """Return the value of an expression in the reader's names."""
        return np.asarray(self.place.value(e), dtype=float)

    def has(self, e: Expr) -> bool:
        """True if an expression can be worked out here."""
        try:
            self.value(e)
        except ChainruleError:
            return False
        return True

    @property
    def sizes(self) -> dict[str, int]:
        """The named sizes; a scalar that happens to be a whole number is none."""
        return {name: count for name, count in self.place.sizes.items() if name not in self.place.arrays}

    @property
    def scale(self) -> float:
        """The largest entry of the truth."""
        return float(np.max(np.abs(self.target), initial=0.0)) or 1.0

    def matches(self, value: Array) -> bool:
        """True if a value is that of the truth."""
        return value.shape == self.target.shape and bool(self.matching(value[None])[0])

    def matching(self, batch: Array) -> Array:
        """Return which of several values are that of the truth."""
        if batch.shape[1:] != self.target.shape:
            return np.zeros(len(batch), dtype=bool)
        gap = np.abs(batch - self.target).reshape(len(batch), -1)
        with np.errstate(all="ignore"):
            return np.asarray(np.max(gap, axis=1, initial=0.0) <= self.same * self.scale)

    def pushed(self, path: Path, batch: Array) -> Array | None:
        """Return the values of the whole line for a batch of values of one part; None where that cannot be done."""
        for whole, k in path:
            with np.errstate(all="ignore"):
                step = self._step(whole, k, batch)
            if step is None:
                return None
            batch = step
        return batch

    def _step(self, whole: Expr, k: int, batch: Array) -> Array | None:
        if isinstance(whole, Add):
            pairs = zip(whole.coefficients, whole.args, strict=True)
            others = [float(c) * self.value(arg) for n, (c, arg) in enumerate(pairs) if n != k]
            return np.asarray(float(whole.coefficients[k]) * batch + sum(others, np.zeros(())))
        if isinstance(whole, Einsum):
            around, letters = self._surrounding(whole, k)
            sub = whole.subscripts[k]
            return np.asarray(np.einsum(around, letters, batch, [BATCH, *sub], [BATCH, *whole.output]))
        if isinstance(whole, Apply) and not whole.op.extents:
            args = [batch if n == k else self.value(arg)[None] for n, arg in enumerate(whole.args)]
            try:
                result = np.asarray(numpy_code(whole.op)(*args), dtype=float)
            except (np.linalg.LinAlgError, ValueError, IndexError):
                return None
            expected = (len(batch), *self.value(whole).shape)
            return result if result.shape == expected else None
        return None

    def _surrounding(self, whole: Einsum, k: int) -> tuple[Array, tuple[int, ...]]:
        """Return the product of the other factors, over the indices that this factor or the result has."""
        if (whole, k) not in self.surroundings:
            others = [n for n in range(len(whole.args)) if n != k]
            wanted = dict.fromkeys([*whole.subscripts[k], *whole.output])
            has = {i for n in others for i in whole.subscripts[n]}
            letters = tuple(i for i in wanted if i in has)
            operands = [item for n in others for item in (self.value(whole.args[n]), list(whole.subscripts[n]))]
            product = np.einsum(*operands, list(letters), optimize="greedy") if operands else np.ones(())
            self.surroundings[whole, k] = (np.asarray(product), letters)
        return self.surroundings[whole, k]


def trials(claim: Claim, count: int = 5, seed: int = 0) -> list[Trial]:
    """Return points at which the line and the truth are defined and smooth, of different sizes.

    Raises: DomainError if there is none.
    """
    definitions = {name: claim.expanded(Symbol(name, d.shape)) for name, d in claim.names.items()}
    roots = [claim.expanded(claim.truth), *definitions.values()]
    if claim.function is not None:
        roots.append(claim.expanded(claim.function))
    lines = [] if claim.stated is None else [claim.expanded(claim.stated)]
    count = GATED * count if any(map(has_gates, roots)) else count
    found: list[Trial] = []
    for values, sizes in (*_points([*roots, *lines], count, seed), *_points(roots, count, seed)):
        place = Place(values, sizes)
        for name, definition in definitions.items():
            place.define(name, place.value(definition))
        trial = Trial(place, np.asarray(place.value(claim.truth), dtype=float))
        if claim.stated is None or trial.has(claim.stated):
            found.append(trial)
        if len(found) == count:
            return found
    if not found:
        raise DomainError("found no point at which the line is defined and smooth")
    return found


def _points(roots: Sequence[Expr], count: int, seed: int) -> Iterator[tuple[Mapping[str, Array], Mapping[str, int]]]:
    """Yield points whose sizes change from one to the next: a 3 that is the number of rows gives itself away."""
    symbols: dict[str, Symbol] = {}
    for root in roots:
        symbols.update(root.symbols)
    rng = np.random.default_rng(seed + 101)
    turn = 0
    for attempt in range(ATTEMPTS):
        sizes = _shuffled(sizes_for(roots, turn), rng, turn)
        try:
            point = {name: draw(s, concrete(s.shape, sizes), rng, attempt) for name, s in symbols.items()}
            good = is_generic(list(roots), point, sizes)
        except ChainruleError:
            good = False
        turn += 1 if good or attempt % 8 == 7 else 0
        if good:
            yield point, sizes
            count -= 1
        if not count:
            return


def _shuffled(sizes: dict[str, int], rng: np.random.Generator, turn: int) -> dict[str, int]:
    """Return the sizes in another order, after the usual ones: X inv(XᵀX) wants a tall X, and others a wide one."""
    if turn < 2:
        return sizes
    return dict(zip(sizes, (int(n) for n in rng.permutation(list(sizes.values()))), strict=True))
