"""Functions of kernels that are single instructions, or shuffles of vectors, in LLVM's language.

In the kernels' text they have the same names, and do the same in loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.compile.llvm_stream import STREAMS
from chainrule.compile.llvm_tiles import TILES, shuffled, spread, zeros
from chainrule.compile.llvm_values import BYTES, Code, Unwritten, Value, View

SIDE = 8
STAGES = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
)


def _turn(code: Code, lanes: View, rows: View, i: Any, j: Any, width: int) -> None:
    """Write lanes[j + l, i + k] = rows[i + k, j + l] for k < 8, l < width, 2 or 4, both with neighbours in memory."""
    for l, vector in enumerate(_columns(code, rows, i, j, width)):  # noqa: E741
        place = code.entry(lanes, [code.binary("+", j, l), i])
        code.lines.append(f"store {vector.kind} {vector.text}, ptr {place}, align {BYTES[rows.kind]}")


def _columns(code: Code, rows: View, i: Any, j: Any, width: int) -> list[Value]:
    """Return the vectors of rows[i + k, j + l] for k < 8, one for each l < width.

    Rows are loaded into one vector several at a time, then the vectors are shuffled: pairs, and pairs of pairs.
    """
    size, kind = BYTES[rows.kind], rows.kind
    part = f"<{width} x {kind}>"
    places = [code.entry(rows, [code.binary("+", i, k), j]) for k in range(SIDE)]
    loaded = [code.add(part, f"load {part}, ptr {place}, align {size}") for place in places]
    vectors = [_beside(code, kind, loaded[k::width], width) for k in range(width)]
    for distance, low, high in STAGES:
        if distance < width:
            for k in (k for k in range(width) if not k & distance):
                pair = vectors[k], vectors[k + distance]
                vectors[k], vectors[k + distance] = (shuffled(code, kind, pair, mask) for mask in (low, high))
    return vectors


# --- tiles of what lies across
def _tile(code: Code, x: View) -> View:
    """Return room for a tile, which LLVM turns into registers."""
    size = BYTES[x.kind]
    name = code.place(f"[{SIDE * SIDE} x {x.kind}]")
    return View(x.kind, name, (SIDE, SIDE), (SIDE * size, None))


def _across(code: Code, tile: View, x: View, j: Any, i: Any) -> None:
    """Write tile[k, l] = x[j + l, i + k], where entries of a row of x lie beside each other."""
    if x.strides[-1] is not None:
        raise Unwritten("rows in pieces")
    for first in range(0, SIDE, 4):
        vectors = _columns(code, x, j, code.binary("+", i, first), 4)
        for k, vector in enumerate(vectors, first):
            place = code.entry(tile, [k, 0])
            code.lines.append(f"store {vector.kind} {vector.text}, ptr {place}, align {BYTES[x.kind]}")


def _beside(code: Code, kind: str, vectors: Sequence[Value], length: int) -> Value:
    """Return all entries of the vectors, one after the other, as one vector."""
    while len(vectors) > 1:
        length *= 2
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [shuffled(code, kind, pair, range(length)) for pair in pairs]
    return vectors[0]


# --- a matrix times itself
def _scaled(code: Code, to: View, i: Any, k: Any, x: View, row: Any, j: Any, width: int, weight: Any) -> None:
    """Write to[i, k + l] = x[row, j + l] · weight for l < width, both with neighbours in memory."""
    size, kind = BYTES[x.kind], f"<{width} x {x.kind}>"
    found = code.add(kind, f"load {kind}, ptr {code.entry(x, [row, j])}, align {size}")
    factor = spread(code, code.cast(weight, x.kind), width)
    product = code.add(kind, f"fmul {kind} {found.text}, {factor.text}")
    code.lines.append(f"store {kind} {product.text}, ptr {code.entry(to, [i, k])}, align {size}")


def _add_tile(code: Code, sums: View, j: Any, strip: View, panels: View, p: Any, count: int, rows: Any) -> None:
    """Add Σᵢ strip[i, r] · panels[p + q, i, l] to sums[j + r, (p + q) · lanes + l] for q < count and i < rows.

    The sums over i stay in registers. A product and a sum may be one instruction.
    """
    height, lanes = strip.shape[1], panels.shape[2]
    own = [code.binary("+", p, q) for q in range(count)]
    tile = [(r, q) for r in range(height) for q in range(count)]
    vector = f"<{lanes} x {strip.kind}>"

    held = [zeros(code, vector) for _ in tile]

    def add_row(i: Value) -> None:
        places = [code.entry(panels, [q, i, 0]) for q in own]
        vectors = [code.add(vector, f"load {vector}, ptr {place}, align {BYTES[strip.kind]}") for place in places]
        entries = [code.load(strip.kind, code.entry(strip, [i, r])) for r in range(height)]
        factors = [spread(code, entry, lanes) for entry in entries]
        for total, (r, q) in zip(held, tile, strict=True):
            product = code.add(vector, f"fmul contract {vector} {factors[r].text}, {vectors[q].text}")
            before = code.load(vector, total)
            after = code.add(vector, f"fadd contract {vector} {before.text}, {product.text}")
            code.store(after, vector, total)

    code.each(0, rows, 1, add_row)
    for total, (r, q) in zip(held, tile, strict=True):
        place = code.entry(sums, [code.binary("+", j, r), code.binary("*", own[q], lanes)])
        _add_vector(code, place, code.load(vector, total), lanes)


def _add_vector(code: Code, place: str, found: Value, lanes: int) -> None:
    """Add a vector to sums, which are float64."""
    kind = f"<{lanes} x double>"
    if found.kind != kind:
        found = code.add(kind, f"fpext {found.kind} {found.text} to {kind}")
    before = code.add(kind, f"load {kind}, ptr {place}, align 8")
    after = code.add(kind, f"fadd {kind} {before.text}, {found.text}")
    code.lines.append(f"store {kind} {after.text}, ptr {place}, align 8")


VECTOR_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "turn": _turn,
    "tile": _tile,
    "across": _across,
    "scaled": _scaled,
    "add_tile": _add_tile,
    **TILES,
    **STREAMS,
}
