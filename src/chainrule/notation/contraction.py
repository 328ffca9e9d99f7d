"""The elimination that finds matrix notation: summed indices go one after another, cheapest first.

A product of factors with at most two indices each is a graph: indices are its nodes, matrices its edges, vectors sit on
nodes. Eliminating a node multiplies what meets there: a vector into the one matrix, or two matrices with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.expression.shape import Size
from chainrule.notation.layout import (
    Bracket,
    Constant,
    Dot,
    Function,
    Hadamard,
    Layout,
    Norm,
    Numeral,
    Power,
    Product,
    Quotient,
    Transpose,
    product,
    transpose,
)
from chainrule.notation.order import hadamard


class NoMatrixForm(Exception):
    """There is no matrix notation for this: more than two free axes, or three matrices on one index."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A matrix between two indices."""

    layout: Layout
    row: int
    column: int

    def seen_from(self, row: int) -> Layout:
        """Return the matrix with `row` as the index of its rows."""
        return self.layout if row == self.row else transpose(self.layout)

    def other(self, index: int) -> int:
        """Return the index at the other end."""
        return self.column if index == self.row else self.row


@dataclass(slots=True)
class Network:
    """The factors that are left. With `literal`, equal factors stay apart, as the expression holds them."""

    output: tuple[int, ...]
    sizes: dict[int, Size]
    literal: bool = False
    scalars: list[Layout] = field(default_factory=list)
    vectors: dict[int, list[Layout]] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def add(self, layout: Layout, sub: tuple[int, ...]) -> None:
        """Enter a factor. Raises: NoMatrixForm if it has more than two axes."""
        if len(sub) > 2:
            raise NoMatrixForm
        if len(sub) == 1:
            self.vectors.setdefault(sub[0], []).append(layout)
        elif sub[0] == sub[1]:
            self.vectors.setdefault(sub[0], []).append(Function("diag", layout, "column"))
        elif layout == Constant("ones", (self.sizes[sub[0]], self.sizes[sub[1]])):
            for i in sub:
                self.vectors.setdefault(i, []).append(self.ones(i))
        else:
            self.edges.append(Edge(layout, *sub))

    def ones(self, index: int) -> Layout:
        """Return 1⃗ along an index."""
        return Constant("ones", (self.sizes[index],))

    def contract(self) -> Layout | None:
        """Eliminate every summed index; the scalars are collected in `scalars`, what else is left is returned."""
        if len(self.output) > 2:
            raise NoMatrixForm
        remaining = {i for e in self.edges for i in (e.row, e.column)} | set(self.vectors)
        remaining -= set(self.output)
        self._merge_parallel(remaining)
        while remaining:
            k = min(remaining, key=self._cost)
            remaining.discard(k)
            self._eliminate(k, remaining)
            self._merge_parallel(remaining)
        if self.literal and len(set(self.scalars)) < len(self.scalars):
            raise NoMatrixForm
        return self._rest()

    def _at(self, index: int) -> list[Edge]:
        return [e for e in self.edges if index in (e.row, e.column)]

    def _cost(self, k: int) -> tuple[int, int, int]:
        edges = self._at(k)
        turned = sum(transposes(e.seen_from(e.other(k))) for e in edges) if len(edges) == 1 else 0
        return len(edges), turned, k

    def _merge_parallel(self, summed: set[int]) -> None:
        """Matrices that share both indices multiply element-wise, or close to a trace."""
        groups: dict[frozenset[int], list[Edge]] = {}
        for e in self.edges:
            groups.setdefault(frozenset((e.row, e.column)), []).append(e)
        for ends, group in groups.items():
            if len(group) == 1:
                continue
            self.edges = [e for e in self.edges if {e.row, e.column} != ends]
            closed = ends <= summed and not any(self._at(i) or i in self.vectors for i in ends)
            if closed and len(group) == 2:
                self.scalars.append(self._closed(*group))
                summed -= ends
            else:
                self.edges.append(self._parallel(group))

    def _parallel(self, group: list[Edge]) -> Edge:
        if self.literal and len({e.seen_from(group[0].row) for e in group}) < len(group):
            raise NoMatrixForm  # written out, the factors would be equal, and merge to a power
        ends = (group[0].row, group[0].column)
        choices = [(hadamard([e.seen_from(i) for e in group]), i, j) for i, j in (ends, ends[::-1])]
        return Edge(*min(choices, key=lambda choice: transposes(choice[0])))

    def _closed(self, a: Edge, b: Edge) -> Layout:
        """Σᵢⱼ AᵢⱼBⱼᵢ is a trace; Σᵢⱼ AᵢⱼBᵢⱼ is the sum of an element-wise product."""
        if a.row == b.row and not isinstance(a.layout, Product) and not isinstance(b.layout, Product):
            return Function("sum", hadamard([a.layout, b.layout]), "scalar")
        if a.row == b.row and a.layout == b.layout and not self.literal:
            return Power(Norm(a.layout), Numeral(2))
        choices = [
            product(x.seen_from(i), y.seen_from(j)) for x, y in ((a, b), (b, a)) for i, j in _ways(a.row, a.column)
        ]
        return Function("tr", min(choices, key=transposes), "scalar")

    def _eliminate(self, k: int, summed: set[int]) -> None:
        edges, vector = self._at(k), self.vectors.pop(k, [])
        self.edges = [e for e in self.edges if e not in edges]
        if not edges:
            self.scalars.append(self._total(vector, k))
        elif len(edges) == 1:
            self._absorb(edges[0], k, vector, summed)
        elif len(edges) == 2:
            self.edges.append(self._joined(edges[0], edges[1], k, vector))
        else:
            raise NoMatrixForm

    def _absorb(self, edge: Edge, k: int, vector: list[Layout], summed: set[int]) -> None:
        """A v, or A 1⃗ for the sums of the rows, or the sum of all entries if nothing else is there."""
        j = edge.other(k)
        if not vector and j in summed and j not in self.vectors and not self._at(j):
            summed.discard(j)
            self.scalars.append(self._total([edge.layout], k))
            return
        column = self._vector(vector) if vector else self.ones(k)
        self.vectors.setdefault(j, []).append(product(edge.seen_from(j), column))

    def _joined(self, a: Edge, b: Edge, k: int, vector: list[Layout]) -> Edge:
        """A B, or A diag(v) B."""
        i, j = a.other(k), b.other(k)
        middle = [Function("diag", self._vector(vector), "matrix")] if vector else []
        there = product(a.seen_from(i), *middle, b.seen_from(k))
        back = product(b.seen_from(j), *middle, a.seen_from(k))
        return Edge(back, j, i) if transposes(back) < transposes(there) else Edge(there, i, j)

    def _vector(self, factors: Sequence[Layout]) -> Layout:
        if self.literal and len(set(factors)) < len(factors):
            raise NoMatrixForm
        kept: list[Layout] = [f for f in factors if not isinstance(f, Constant)] or list(factors[:1])
        times = {f: kept.count(f) for f in kept}
        return hadamard([f if k == 1 else Power(f, Numeral(k)) for f, k in times.items()])

    def _total(self, factors: list[Layout], k: int) -> Layout:
        """The sum of a vector's (or matrix's) entries: a length, a trace, a dot product, xᵀAx, or sum(…)."""
        if len(factors) == 1:
            return self._total_of_one(factors[0])
        chains = [f for f in factors if isinstance(f, Product)]
        others = [f for f in factors if not isinstance(f, Product)]
        if len(factors) == 2 and factors[0] == factors[1] and not self.literal:
            return Power(Norm(factors[0]), Numeral(2))
        if len(chains) == 2 and not others:
            choices = [product(transpose(a), b) for a, b in (chains, chains[::-1])]
            return min(choices, key=transposes)
        if len(chains) == 1:
            return product(transpose(self._vector(others)), chains[0])
        if len(factors) == 2 and not any(isinstance(f, Bracket | Quotient) for f in factors):
            left, right = ordered_pair(factors)
            return Dot(left, right)
        return Function("sum", self._vector(factors), "scalar")

    def _total_of_one(self, factor: Layout) -> Layout:
        match factor:
            case Power(base, Numeral(2)):
                return Power(Norm(base), Numeral(2))
            case Hadamard((left, right)) if left == right:
                return Power(Norm(left), Numeral(2))
            case Function("diag", matrix, "column"):
                return Function("tr", matrix, "scalar")
            case _:
                return Function("sum", factor, "scalar")

    def _rest(self) -> Layout | None:
        """Put together what is left on the free indices."""
        if not self.output:
            return None
        if len(self.output) == 1:
            return self._vector(self.vectors[self.output[0]])
        i, j = self.output
        left, right = self.vectors.get(i, []), self.vectors.get(j, [])
        if not self.edges:
            return product(self._vector(left), transpose(self._vector(right)))
        (edge,) = self.edges
        if isinstance(edge.layout, Constant):
            return Function("diag", self._vector(left + right), "matrix") if left or right else edge.layout
        if left and right and isinstance(edge.layout, Bracket):  # a mask selects from the outer product: [Z > 0] ⊙ δwᵀ
            return hadamard([edge.seen_from(i), product(self._vector(left), transpose(self._vector(right)))])
        parts = [edge.seen_from(i)]
        if left:
            parts.insert(0, Function("diag", self._vector(left), "matrix"))
        if right:
            parts.append(Function("diag", self._vector(right), "matrix"))
        return product(*parts)


def _ways(i: int, j: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (i, j), (j, i)


def ordered_pair(factors: list[Layout]) -> tuple[Layout, Layout]:
    """Return the two sides of a dot product in textbook order."""
    parts = hadamard(factors)
    assert isinstance(parts, Hadamard)
    if len(parts.parts) == 2:
        return parts.parts[0], parts.parts[1]
    return factors[0], factors[1]


def transposes(e: Layout) -> int:
    """Count the transposes written in a product."""
    match e:
        case Transpose(base):
            return 1 + transposes(base)
        case Product(parts) | Hadamard(parts):
            return sum(transposes(part) for part in parts)
        case _:
            return 0
