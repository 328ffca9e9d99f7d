"""Tiles of products of matrices, whose sums stay in the processor's registers, in LLVM's language."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import import_module
from itertools import product
from typing import Any

from chainrule.compile.llvm_values import BYTES, Code, Value, View

FREE = "reassoc contract"  # sums are reordered, a product is fused with a sum; NaN, Inf and -0 keep their meaning
PREFETCH = "llvm.prefetch.p0"
TO_SECOND_CACHE = "i32 0, i32 2, i32 1"  # to read; the second level; data
LINE = 64  # bytes that come from memory together
ROWS = 4  # of a tile of dots
TOGETHER = 8  # rows that are multiplied while as many are added up


@cache
def registers() -> tuple[int, int]:
    """How long a vector is in bytes, and how many of them lie side by side in a tile of five rows."""
    features = import_module("llvmlite.binding").get_host_cpu_features()
    return (64, 4) if features.get("avx512f") else (32, 2)


class _Vectors:
    """Vectors of one type: how they are read, written, multiplied and added up."""

    def __init__(self, code: Code, kind: str) -> None:
        self.code = code
        self.entry = kind
        self.length = registers()[0] // BYTES[kind]
        self.kind = f"<{self.length} x {kind}>"
        self.align = BYTES[kind]

    def read(self, place: str, mask: Value | None) -> Value:
        """Return a vector; what the mask leaves out is 0 and not touched."""
        if mask is None:
            return self.code.add(self.kind, f"load {self.kind}, ptr {place}, align {self.align}")
        name = f"llvm.masked.load.{self._short()}.p0"
        self.code.called[name] = f"{self.kind} @{name}(ptr, i32 immarg, {mask.kind}, {self.kind})"
        operands = f"ptr {place}, i32 {self.align}, {mask.kind} {mask.text}, {self.kind} zeroinitializer"
        return self.code.add(self.kind, f"call {self.kind} @{name}({operands})")

    def write(self, vector: Value, place: str, mask: Value | None) -> None:
        """Write a vector, but for what the mask leaves out."""
        if mask is None:
            self.code.lines.append(f"store {vector.kind} {vector.text}, ptr {place}, align {self.align}")
            return
        name = f"llvm.masked.store.{self._short()}.p0"
        self.code.called[name] = f"void @{name}({self.kind}, ptr, i32 immarg, {mask.kind})"
        operands = f"{self.kind} {vector.text}, ptr {place}, i32 {self.align}, {mask.kind} {mask.text}"
        self.code.lines.append(f"call void @{name}({operands})")

    def _short(self) -> str:
        return f"v{self.length}f{8 * self.align}"

    def first(self, count: Any) -> Value:
        """Return the mask of the first so many entries."""
        whole = f"<{self.length} x i64>"
        places = ", ".join(f"i64 {k}" for k in range(self.length))
        most = spread(self.code, self.code.cast(count, "i64"), self.length)
        return self.code.add(f"<{self.length} x i1>", f"icmp slt {whole} <{places}>, {most.text}")

    def spread(self, place: str) -> Value:
        """Return the vector whose entries are all the number that stands there."""
        return spread(self.code, self.code.load(self.entry, place), self.length)

    def add_product(self, total: str, x: Value, y: Value) -> None:
        """Add the product of two vectors to a variable."""
        term = self.code.add(self.kind, f"fmul {FREE} {self.kind} {x.text}, {y.text}")
        old = self.code.load(self.kind, total)
        new = self.code.add(self.kind, f"fadd {FREE} {self.kind} {old.text}, {term.text}")
        self.code.store(new, self.kind, total)

    def each(self, width: Any, step: Callable[[Value, Value | None], None]) -> None:
        """Write a loop over so many entries by vectors: each has its first entry, and a mask if it is the rest."""
        code, length = self.code, self.length
        whole = code.binary("*", code.binary("//", width, length), length)
        code.each(0, whole, length, lambda j: step(j, None))
        code.each(whole, width, length, lambda j: step(j, self.first(code.binary("-", width, j))))

    def sums(self, vectors: Sequence[Value]) -> Value:
        """Return the sums of the entries of four vectors, as one vector of four."""
        length = self.length
        pairs = [self._folded(pair, 1, length) for pair in (vectors[:2], vectors[2:])]
        found = self._folded(pairs, 2, length)
        while length > ROWS:
            length //= 2
            halves = [shuffled(self.code, self.entry, (found, found), range(k, k + length)) for k in (0, length)]
            found = self._added(halves)
        return found

    def _folded(self, pair: Sequence[Value], size: int, length: int) -> Value:
        """Add neighbours, each `size` entries long, and put the sums of both vectors next to each other."""
        masks: list[list[int]] = [[], []]
        for start in range(0, length, 2 * size):
            for k, mask in enumerate(masks):
                first = start + k * size
                mask += [*range(first, first + size), *range(length + first, length + first + size)]
        return self._added([shuffled(self.code, self.entry, pair, mask) for mask in masks])

    def _added(self, pair: Sequence[Value]) -> Value:
        x, y = pair
        return self.code.add(x.kind, f"fadd {FREE} {x.kind} {x.text}, {y.text}")


def spread(code: Code, number: Value, length: int) -> Value:
    """Return the vector whose entries all are the number."""
    kind = f"<{length} x {number.kind}>"
    one = code.add(kind, f"insertelement {kind} poison, {number.kind} {number.text}, i32 0")
    return code.add(kind, f"shufflevector {kind} {one.text}, {kind} poison, <{length} x i32> zeroinitializer")


def shuffled(code: Code, kind: str, pair: Sequence[Value], mask: Sequence[int]) -> Value:
    """Return the entries of two vectors that the mask names."""
    operands = ", ".join(f"{v.kind} {v.text}" for v in pair)
    places = ", ".join(f"i32 {k}" for k in mask)
    return code.add(f"<{len(mask)} x {kind}>", f"shufflevector {operands}, <{len(mask)} x i32> <{places}>")


def dots(code: Code, lanes: View, left: View, rows: View, at: Any, k: Any, steps: int) -> None:
    """Write lanes[k + a, at + b] = Σ_j left[k + a, j]·rows[at + b, j] for a < steps and b < 4.

    Entries of a row lie beside each other in `left` and `rows`.
    """
    vectors, width = _Vectors(code, rows.kind), left.shape[1]
    tops = [code.entry(left, [code.binary("+", k, a), 0]) for a in range(steps)]
    starts = [code.entry(rows, [code.binary("+", at, b), 0]) for b in range(ROWS)]
    totals = [[zeros(code, vectors.kind) for _ in starts] for _ in tops]

    def step(j: Value, mask: Value | None) -> None:
        xs = [vectors.read(code.moved(start, rows.kind, j), mask) for start in starts]
        for top, mine in zip(tops, totals, strict=True):
            factor = vectors.read(code.moved(top, rows.kind, j), mask)
            for x, total in zip(xs, mine, strict=True):
                vectors.add_product(total, factor, x)

    vectors.each(width, step)
    for a, mine in enumerate(totals):
        found = vectors.sums([code.load(vectors.kind, total) for total in mine])
        _write_row(code, lanes, code.binary("+", k, a), at, found)


def _write_row(code: Code, lanes: View, k: Any, at: Any, found: Value) -> None:
    """Write lanes[k, at + b] for b < 4, beside each other or not."""
    if lanes.strides[1] is None:
        code.lines.append(
            f"store {found.kind} {found.text}, ptr {code.entry(lanes, [k, at])}, align {BYTES[lanes.kind]}"
        )
        return
    for b in range(ROWS):
        one = code.add(lanes.kind, f"extractelement {found.kind} {found.text}, i32 {b}")
        code.store(one, lanes.kind, code.entry(lanes, [k, code.binary("+", at, b)]))


def outer(
    code: Code, total: View, lanes: View, rows: View, ahead: View, following: Any, k: Any, j: Any, *rest: Any
) -> None:
    """Write total[k + a, j + b] += Σ_i lanes[k + a, i]·rows[i, j + b] for a < steps, b < width and i < size.

    `rest` is width, steps, size. Entries of a row lie beside each other in `total` and `rows`. Meanwhile columns j + b
    of ahead[following + i] are asked for, which need not exist.
    """
    width, steps, size = rest

    def strip(first: Value, masks: Sequence[Value | None]) -> None:
        length = len(masks) * registers()[0]
        at = code.binary("+", j, first)
        ask = partial(_ask_ahead, code, ahead, following, at, length)
        _outer(code, (total, lanes, rows), (k, at), masks, (steps, size), ask)

    _by_strips(code, rows.kind, width, strip)


def block(code: Code, out: View, left: View, right: View, i: Any, j: Any, *rest: Any) -> None:
    """Write out[i + a, j + b] += Σ_k left[i + a, k]·right[k, j + b] for a < steps, b < width and k < depth.

    `rest` is width, steps, depth. Entries of a row lie beside each other in `out` and `right`.
    """
    width, steps, depth = rest

    def strip(first: Value, masks: Sequence[Value | None]) -> None:
        _outer(code, (out, left, right), (i, code.binary("+", j, first)), masks, (steps, depth))

    _by_strips(code, right.kind, width, strip)


def _by_strips(code: Code, kind: str, width: Any, write: Callable[[Any, Sequence[Value | None]], None]) -> None:
    """Take as many vectors of columns at a time as there are registers for; unknown widths by one, the last in part."""
    length, most = _Vectors(code, kind).length, registers()[1]
    if isinstance(width, int):
        for first in range(0, width, most * length):
            write(first, [None] * min(most, (width - first) // length))
        return
    code.each(
        0, width, length, lambda first: write(first, [_Vectors(code, kind).first(code.binary("-", width, first))])
    )


def _outer(
    code: Code,
    views: Sequence[View],
    at: tuple[Any, Any],
    masks: Sequence[Value | None],
    extents: tuple[int, Any],
    ask: Callable[[Value], None] | None = None,
) -> None:
    """The same for as many vectors of columns as there are masks: their sums are held while all rows go by."""
    (total, lanes, rows), (k, j), (steps, size) = views, at, extents
    vectors, numbers = _Vectors(code, rows.kind), [code.binary("+", k, a) for a in range(steps)]
    columns = [(b * vectors.length, mask) for b, mask in enumerate(masks)]
    tops = [code.entry(total, [number, j]) for number in numbers]
    sums = [(code.moved(top, rows.kind, b), mask, code.place(vectors.kind)) for top in tops for b, mask in columns]
    for place, mask, held in sums:
        code.store(vectors.read(place, mask), vectors.kind, held)
    start, pace = code.entry(rows, [0, j]), rows.stride(0)

    def step(i: Value) -> None:
        row = code.moved(start, "i8", code.binary("*", i, pace))
        if ask is not None:
            ask(i)
        xs = [vectors.read(code.moved(row, rows.kind, b), mask) for b, mask in columns]
        spread = [vectors.spread(code.entry(lanes, [number, i])) for number in numbers]
        for (factor, x), (_, _, held) in zip(product(spread, xs), sums, strict=True):
            vectors.add_product(held, factor, x)

    code.each(0, size, 1, step)
    for place, mask, held in sums:
        vectors.write(code.load(vectors.kind, held), place, mask)


def rows_in_step(code: Code, *arguments: Any) -> None:
    """Multiply eight rows by a vector, and add up the eight that lie `back` rows before them.

    The arguments are total, weights, products, left, rows, at, back, i, and for r < 8
    products[i + r] = Σ_j left[j]·rows[at + r, j] and total[j] += Σ_r weights[i + r]·rows[at + r - back, j].
    Entries lie beside each other in vectors and in a row. The next eight rows are asked for, which need not exist.
    """
    *views, at, back, i = arguments
    count = TOGETHER if registers()[0] >= LINE else ROWS  # as many sums and weights as there are registers for
    for r in range(0, TOGETHER, count):
        _rows_in_step(code, views, (code.binary("+", at, r), back, code.binary("+", i, r)), count)


def _rows_in_step(code: Code, views: Sequence[View], place: tuple[Any, Any, Any], count: int) -> None:
    """The same for so many rows."""
    (total, weights, products, left, rows), (at, back, i) = views, place
    vectors, width = _Vectors(code, rows.kind), left.shape[0]
    numbers = [code.binary("+", at, r) for r in range(count)]
    now = [code.entry(rows, [number, 0]) for number in numbers]
    earlier = [code.entry(rows, [code.binary("-", number, back), 0]) for number in numbers]
    later = [code.binary("+", number, TOGETHER) for number in numbers]
    factors = [vectors.spread(code.entry(weights, [code.binary("+", i, r)])) for r in range(count)]
    sums, held = [zeros(code, vectors.kind) for _ in now], code.place(vectors.kind)

    def step(j: Value, mask: Value | None) -> None:
        other, place = vectors.read(code.moved(left.data, rows.kind, j), mask), code.moved(total.data, rows.kind, j)
        code.store(vectors.read(place, mask), vectors.kind, held)
        for row, before, following, mine, factor in zip(now, earlier, later, sums, factors, strict=True):
            _ask_for(code, rows, (following, j), registers()[0])
            vectors.add_product(mine, other, vectors.read(code.moved(row, rows.kind, j), mask))
            vectors.add_product(held, factor, vectors.read(code.moved(before, rows.kind, j), mask))
        vectors.write(code.load(vectors.kind, held), place, mask)

    vectors.each(width, step)
    for r in range(0, count, ROWS):
        found = vectors.sums([code.load(vectors.kind, mine) for mine in sums[r : r + ROWS]])
        vectors.write(found, code.entry(products, [code.binary("+", i, r)]), None)


def _ask_ahead(code: Code, ahead: View, following: Any, j: Any, length: int, i: Value) -> None:
    _ask_for(code, ahead, (code.binary("+", following, i), j), length)


def _ask_for(code: Code, view: View, at: tuple[Any, Any], size: int) -> None:
    """Ask for so many bytes, from this entry on, to be brought into the second cache; the array may end before them."""
    code.called[PREFETCH] = f"void @{PREFETCH}(ptr, i32, i32, i32)"
    paces = (code.binary("*", index, view.stride(axis)) for axis, index in enumerate(at))
    distance = code.binary("+", *paces)
    for line in range(0, size, LINE):
        offset = code.binary("+", distance, line)
        place = code.add("ptr", f"getelementptr i8, ptr {view.data}, i64 {offset.text}")
        code.lines.append(f"call void @{PREFETCH}(ptr {place.text}, {TO_SECOND_CACHE})")


def zeros(code: Code, kind: str) -> str:
    """Return memory for a vector of sums, which are 0."""
    place = code.place(kind)
    code.lines.append(f"store {kind} zeroinitializer, ptr {place}")
    return place


TILES: dict[str, Callable[..., None]] = {"dots": dots, "outer": outer, "block": block, "rows_in_step": rows_in_step}
