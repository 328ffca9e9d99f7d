"""Functions of kernels that have no loop: instructions on vectors. Their names are those of numba's intrinsics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chainrule.compile.llvm_values import BYTES, Code, View

SIDE = 8


def _turn_square(
    code: Code, known: Mapping[str, Any], lanes: View, to: Any, lane: Any, rows: View, at: Any, row: Any
) -> None:
    """Write lanes[to + j·lane + i] = rows[at + i·row + j] for i, j < 8, places counted in entries."""
    vector, size = f"<{SIDE} x {rows.kind}>", BYTES[rows.kind]

    def place(data: str, start: Any, step: Any, k: int) -> str:
        return code.moved(data, rows.kind, code.binary("+", start, code.binary("*", step, k)))

    places = [place(rows.data, at, row, k) for k in range(SIDE)]
    vectors = [code.add(vector, f"load {vector}, ptr {p}, align {size}").text for p in places]
    for stage in known["STAGES"]:
        vectors = _shuffled(code, vector, vectors, *stage)
    for k, text in enumerate(vectors):
        code.lines.append(f"store {vector} {text}, ptr {place(lanes.data, to, lane, k)}, align {size}")


def _shuffled(code: Code, kind: str, vectors: list[str], distance: int, low: Any, high: Any) -> list[str]:
    """Return the vectors after one stage: each is joined with the one at this distance."""
    found = list(vectors)
    masks = [", ".join(f"i32 {i}" for i in mask) for mask in (low, high)]
    for k in range(SIDE):
        if not k & distance:
            pair = f"{kind} {vectors[k]}, {kind} {vectors[k + distance]}"
            texts = [f"shufflevector {pair}, <{SIDE} x i32> <{mask}>" for mask in masks]
            found[k], found[k + distance] = (code.add(kind, text).text for text in texts)
    return found


VECTOR_FUNCTIONS: Mapping[str, Callable[..., Any]] = {"turn_square": _turn_square}
