"""Rows into lanes: a block of rows copied so that the same entries of all rows lie beside each other.

Eight rows and eight columns at a time are turned in the processor's registers, which LLVM does not find in a loop: the
vectors are shuffled in three stages, of pairs, of pairs of pairs, and of halves. Kernels hold this text; it is not
imported, since numba is.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# --- functions
SIDE = 8
STAGES = (
    (1, (0, 8, 2, 10, 4, 12, 6, 14), (1, 9, 3, 11, 5, 13, 7, 15)),
    (2, (0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    (4, (0, 1, 2, 3, 8, 9, 10, 11), (4, 5, 6, 7, 12, 13, 14, 15)),
)


def shuffled(builder: Any, vectors: Any, distance: Any, low: Any, high: Any) -> Any:
    """Return the vectors after one stage: each is joined with the one at this distance."""
    whole = ir.IntType(32)
    masks = [ir.Constant(ir.VectorType(whole, SIDE), [ir.Constant(whole, i) for i in mask]) for mask in (low, high)]
    found = list(vectors)
    for k in range(SIDE):
        if not k & distance:
            pair = vectors[k], vectors[k + distance]
            found[k], found[k + distance] = (builder.shuffle_vector(*pair, mask) for mask in masks)
    return found


@intrinsic
def turn_square(typing: Any, lanes: Any, to: Any, lane: Any, rows: Any, at: Any, row: Any) -> Any:
    """Write lanes[to + j·lane + i] = rows[at + i·row + j] for i, j < 8, places counted in entries."""
    signature = types.void(lanes, types.intp, types.intp, rows, types.intp, types.intp)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        target, source = (context.make_array(kinds[k])(context, builder, values[k]).data for k in (0, 3))
        entry = context.get_value_type(kinds[0].dtype)
        size, vector = context.get_abi_sizeof(entry), ir.VectorType(entry, SIDE).as_pointer()

        def place(data: Any, start: Any, step: Any, k: Any) -> Any:
            offset = builder.add(start, builder.mul(step, ir.Constant(step.type, k)))
            return builder.bitcast(builder.gep(data, [offset]), vector)

        vectors = [builder.load(place(source, values[4], values[5], k), align=size) for k in range(SIDE)]
        for stage in STAGES:
            vectors = shuffled(builder, vectors, *stage)
        for k in range(SIDE):
            builder.store(vectors[k], place(target, values[1], values[2], k), align=size)
        return context.get_dummy_value()

    return signature, code


@njit(error_model="numpy")
def turned(lanes: Any, rows: Any) -> None:
    """Write lanes[j, i] = rows[i, j]. Shapes: rows (n, d), lanes (d, m) with m ≥ n, its rows beside each other."""
    n, d = rows.shape
    done = 0
    if d >= SIDE and rows.strides[1] == rows.itemsize and rows.strides[0] % rows.itemsize == 0:
        done = n // SIDE * SIDE
        lane, row = lanes.strides[0] // lanes.itemsize, rows.strides[0] // rows.itemsize
        for i in range(0, done, SIDE):
            for j in range(0, d - SIDE + 1, SIDE):
                turn_square(lanes, j * lane + i, lane, rows, i * row + j, row)  # type: ignore[call-arg]
            if d % SIDE:  # the last columns once more, with those that are left
                turn_square(lanes, (d - SIDE) * lane + i, lane, rows, i * row + d - SIDE, row)  # type: ignore[call-arg]
    for j in range(d):
        for i in range(done, n):
            lanes[j, i] = rows[i, j]
