"""Rows into lanes: a block of rows copied so that the same entries of all rows lie beside each other.

Eight rows and four columns at a time are turned in the processor's registers, which LLVM does not find in a loop: two
rows are loaded into one vector, then the vectors are shuffled in two stages, of pairs and of pairs of pairs. The last
columns are taken two at a time, four rows to a vector, and one stage is left. Kernels hold this text; it is not
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
)


def masked(builder: Any, pair: Any, mask: Any) -> Any:
    """Return the entries of two vectors that the mask names."""
    whole = ir.IntType(32)
    return builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(whole, len(mask)), [whole(i) for i in mask]))


def shuffled(builder: Any, vectors: Any, distance: Any, low: Any, high: Any) -> Any:
    """Return the vectors after one stage: each is joined with the one at this distance."""
    found = list(vectors)
    for k in range(len(vectors)):
        if not k & distance:
            pair = vectors[k], vectors[k + distance]
            found[k], found[k + distance] = masked(builder, pair, low), masked(builder, pair, high)
    return found


def beside(builder: Any, vectors: Any) -> Any:
    """Return all entries of the vectors, one after the other, as one vector."""
    while len(vectors) > 1:
        every = range(2 * vectors[0].type.count)
        vectors = [masked(builder, pair, every) for pair in zip(vectors[::2], vectors[1::2])]  # noqa: B905
    return vectors[0]


@intrinsic(prefer_literal=True)
def turn(typing: Any, lanes: Any, to: Any, lane: Any, rows: Any, at: Any, row: Any, width: Any) -> Any:
    """Write lanes[to + j·lane + i] = rows[at + i·row + j] for i < 8, j < width (2 or 4), places counted in entries."""
    signature = types.void(lanes, types.intp, types.intp, rows, types.intp, types.intp, width)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kinds = signature.args
        target, source = (context.make_array(kinds[k])(context, builder, values[k]).data for k in (0, 3))
        entry, count = context.get_value_type(kinds[0].dtype), width.literal_value
        size = context.get_abi_sizeof(entry)

        def place(data: Any, start: Any, step: Any, k: Any, length: Any) -> Any:
            offset = builder.add(start, builder.mul(step, step.type(k)))
            return builder.bitcast(builder.gep(data, [offset]), ir.VectorType(entry, length).as_pointer())

        vectors = [builder.load(place(source, values[4], values[5], k, count), align=size) for k in range(SIDE)]
        vectors = [beside(builder, vectors[k::count]) for k in range(count)]
        for stage in STAGES:
            if stage[0] < count:
                vectors = shuffled(builder, vectors, *stage)
        for k in range(count):
            builder.store(vectors[k], place(target, values[1], values[2], k, SIDE), align=size)
        return context.get_dummy_value()

    return signature, code


@njit(error_model="numpy")
def turned(lanes: Any, rows: Any) -> None:
    """Write lanes[j, i] = rows[i, j]. Shapes: rows (n, d), lanes (d, m) with m ≥ n, its rows beside each other."""
    n, d = rows.shape
    done = 0
    if d >= 2 and rows.strides[1] == rows.itemsize and rows.strides[0] % rows.itemsize == 0:
        done = n // SIDE * SIDE
        lane, row, j = lanes.strides[0] // lanes.itemsize, rows.strides[0] // rows.itemsize, d // 4 * 4
        for i in range(0, done, SIDE):
            for j4 in range(0, j, 4):
                turn(lanes, j4 * lane + i, lane, rows, i * row + j4, row, 4)  # type: ignore[call-arg]
            if d & 3 == 3:
                turn(lanes, j * lane + i, lane, rows, i * row + j, row, 2)  # type: ignore[call-arg]
            if d & 3:  # the last two columns, the first of them once more if one is left
                turn(lanes, (d - 2) * lane + i, lane, rows, i * row + d - 2, row, 2)  # type: ignore[call-arg]
    for j in range(d):
        for i in range(done, n):
            lanes[j, i] = rows[i, j]
