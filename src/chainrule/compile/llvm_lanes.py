"""Functions of kernels that are single instructions, or shuffles of vectors, in LLVM's language.

In the kernels' text they have the same names, and do the same in loops or, what only saves time, nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chainrule.compile.llvm_tiles import TILES, ask, shuffled
from chainrule.compile.llvm_values import BYTES, Code, Value, View

SIDE = 8
STAGES = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
)


def _turn(code: Code, lanes: View, rows: View, i: Any, j: Any, width: int) -> None:
    """Write lanes[j + l, i + k] = rows[i + k, j + l] for k < 8, l < width, 2 or 4, both with neighbours in memory.

    Rows are loaded into one vector several at a time, then the vectors are shuffled: pairs, and pairs of pairs.
    """
    size, kind = BYTES[rows.kind], rows.kind
    part, lane = f"<{width} x {kind}>", f"<{SIDE} x {kind}>"
    places = [code.entry(rows, [code.binary("+", i, k), j]) for k in range(SIDE)]
    loaded = [code.add(part, f"load {part}, ptr {place}, align {size}") for place in places]
    vectors = [_beside(code, kind, loaded[k::width], width) for k in range(width)]
    for distance, low, high in STAGES:
        if distance < width:
            for k in (k for k in range(width) if not k & distance):
                pair = vectors[k], vectors[k + distance]
                vectors[k], vectors[k + distance] = (shuffled(code, kind, pair, mask) for mask in (low, high))
    for k, vector in enumerate(vectors):
        place = code.entry(lanes, [code.binary("+", j, k), i])
        code.lines.append(f"store {lane} {vector.text}, ptr {place}, align {size}")


def _beside(code: Code, kind: str, vectors: Sequence[Value], length: int) -> Value:
    """Return all entries of the vectors, one after the other, as one vector."""
    while len(vectors) > 1:
        length *= 2
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        vectors = [shuffled(code, kind, pair, range(length)) for pair in pairs]
    return vectors[0]


def _ask(code: Code, rows: View, at: Any) -> None:
    """Ask for the entry at this place, counted in entries, to be brought into the second cache."""
    ask(code, code.moved(rows.data, rows.kind, at))


VECTOR_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"turn": _turn, "ask": _ask, **TILES}
