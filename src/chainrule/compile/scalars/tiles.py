"""Σᵢ wᵢ xᵢ ⊗ xᵢ of narrow rows, in tiles of the result that stay in registers.

A block of rows is copied twice, so that what a tile reads lies in one stretch of memory: into panels, as wide as a
vector, and, times the weights, into strips. A tile is one strip against a few panels: for every row a few vectors are
loaded and multiplied by each entry of the strip. Tiles that hold a part of the lower half alone are computed. LLVM does
not find this in loops, so the tiles are written in its own language. Kernels hold this text; it is not imported, since
numba is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from chainrule.compile.scalars.turned import SIDE, turn_square

VECTOR = 64  # bytes of a vector, and the type of its entries: gram.py says which
ENTRY = types.float64

# --- functions
STRIP = VECTOR // 8  # entries of a row in a strip
PANELS = 3  # of a tile: with these, its sums and what they are made of fit into the registers
LINE = 64  # bytes to which memory is aligned
FUSED = ("contract",)  # a product and a sum may be one instruction
SUMS = types.Array(types.float64, 3, "C")
GIVEN = types.Array(ENTRY, 2, "A", readonly=True), types.Array(ENTRY, 1, "C", readonly=True)  # however they lie


def data_of(context: Any, builder: Any, signature: Any, values: Any, k: Any) -> Any:
    """Return the address of the entries of an argument."""
    return context.make_array(signature.args[k])(context, builder, values[k]).data


def vector_at(builder: Any, data: Any, at: Any, vector: Any) -> Any:
    """Return the address of a vector, its place counted in entries."""
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


def everywhere(builder: Any, number: Any, vector: Any) -> Any:
    """Return the vector whose entries all are the number."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None))


@intrinsic
def scale_strip(typing: Any, to: Any, at: Any, rows: Any, where: Any, weight: Any) -> Any:
    """Write to[at + l] = rows[where + l] · weight for l < STRIP, places counted in entries."""
    signature = types.void(to, types.intp, rows, types.intp, rows.dtype)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, source = (data_of(context, builder, signature, values, k) for k in (0, 2))
        entry = context.get_value_type(signature.args[0].dtype)
        size, vector = context.get_abi_sizeof(entry), ir.VectorType(entry, STRIP)
        found = builder.load(vector_at(builder, source, values[3], vector), align=size)
        found = builder.fmul(found, everywhere(builder, values[4], vector))
        builder.store(found, vector_at(builder, target, values[1], vector), align=size)
        return context.get_dummy_value()

    return signature, code


def looped(builder: Any, count: Any, starts: Any, step: Any) -> Any:
    """Write a loop of `count` ≥ 1 turns: step(turn, values) returns the new values. Return the last ones."""
    before, inside, after = builder.block, builder.append_basic_block("turn"), builder.append_basic_block("done")
    builder.branch(inside)
    builder.position_at_end(inside)
    turn = builder.phi(count.type)
    held = [builder.phi(start.type) for start in starts]
    found = step(turn, held)
    following = builder.add(turn, ir.Constant(count.type, 1))
    starts, lasts = [ir.Constant(count.type, 0), *starts], [following, *found]
    for value, start, last in zip([turn, *held], starts, lasts, strict=True):
        value.add_incoming(start, before)
        value.add_incoming(last, inside)
    builder.cbranch(builder.icmp_signed("<", following, count), inside, after)
    builder.position_at_end(after)
    return found


def tile(panels: Any) -> Any:
    """Return the function that adds one tile of so many panels to the sums."""

    @intrinsic
    def add_tile(typing: Any, sums: Any, to: Any, row: Any, strips: Any, at: Any, x: Any, where: Any, panel: Any,
                 count: Any) -> Any:  # fmt: skip
        """Add Σᵢ strips[at + i·STRIP + r] · x[where + i·lanes + l] to sums[to + r·row + l], i < count, for all panels.

        Places are counted in entries; a panel lies `panel` entries behind the one before it.
        """
        place = types.intp
        signature = types.void(sums, place, place, strips, place, x, place, place, place)

        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            totals, left, right = (data_of(context, builder, signature, values, k) for k in (0, 3, 5))
            _, to, row, _, at, _, where, panel, count = values
            total, entry = (context.get_value_type(signature.args[k].dtype) for k in (0, 3))
            size = context.get_abi_sizeof(entry)
            lanes = VECTOR // size
            vector = ir.VectorType(entry, lanes)

            def number(k: Any) -> Any:
                return ir.Constant(to.type, k)

            firsts = [builder.gep(right, [builder.add(where, builder.mul(panel, number(p)))]) for p in range(panels)]
            strip = builder.gep(left, [at])

            def one_row(i: Any, held: Any) -> Any:
                ahead = builder.mul(i, number(lanes))
                vectors = [builder.load(vector_at(builder, first, ahead, vector), align=size) for first in firsts]
                entries = builder.gep(strip, [builder.mul(i, number(STRIP))])
                found = []
                for r in range(STRIP):
                    factor = everywhere(builder, builder.load(builder.gep(entries, [number(r)])), vector)
                    for p in range(panels):
                        product = builder.fmul(factor, vectors[p], flags=FUSED)
                        found.append(builder.fadd(held[r * panels + p], product, flags=FUSED))
                return found

            found = looped(builder, count, [ir.Constant(vector, None)] * (STRIP * panels), one_row)
            for k in range(STRIP * panels):
                start = builder.add(builder.mul(row, number(k // panels)), number(k % panels * lanes))
                add_vector(builder, totals, builder.add(to, start), found[k], ir.VectorType(total, lanes))
            return context.get_dummy_value()

        return signature, code

    return add_tile


def add_vector(builder: Any, totals: Any, at: Any, found: Any, vector: Any) -> Any:
    """Add a vector to the sums, in their type."""
    address = vector_at(builder, totals, at, vector)
    found = found if found.type == vector else builder.fpext(found, vector)
    builder.store(builder.fadd(builder.load(address, align=8), found), address, align=8)


add_one, add_two, add_three = tile(1), tile(2), tile(PANELS)


@njit(error_model="numpy")
def aligned(count: Any, like: Any) -> Any:
    """Return memory for `count` entries, zeros at first."""
    size = like.itemsize
    room = np.zeros(count + LINE // size, like.dtype)
    skipped = (-room.ctypes.data) % LINE // size
    return room[skipped : skipped + count]


@njit(error_model="numpy")
def into_panels(panels: Any, panel: Any, x: Any, lo: Any, hi: Any) -> None:
    """Copy the rows from lo to hi: the entries of all rows in columns p·lanes to (p + 1)·lanes are panel p.

    Where the last columns do not fill a panel, the rest of it is anything: it becomes results that nobody reads.
    """
    n, d = x.shape
    size = x.itemsize
    lanes = VECTOR // size
    count = (d + lanes - 1) // lanes
    row, column = x.strides[0] // size, x.strides[1] // size
    known = x.strides[0] % size == 0 and x.strides[1] % size == 0
    done = lo
    if known and column == 1 and row >= d:
        # whole vectors, which end in the rows that follow, but not behind the last one
        done = max(lo, min(hi, ((n - 1) * row + d - count * lanes) // row + 1))
        copy_rows(panels, panel, x, lo, done)
    elif known and row == 1:
        done = lo + (hi - lo) // SIDE * SIDE
        turn_columns(panels, panel, x, lo, done)
    for i in range(done, hi):
        for k in range(d):
            panels[k // lanes * panel + (i - lo) * lanes + k % lanes] = x[i, k]


@njit(error_model="numpy")
def copy_rows(panels: Any, panel: Any, x: Any, lo: Any, hi: Any) -> None:
    """Copy rows whose entries lie beside each other, a few rows at a time, so that each panel is written in runs."""
    row, lanes = x.strides[0] // x.itemsize, VECTOR // x.itemsize
    one = x.dtype.type(1)
    for first in range(lo, hi, SIDE):
        for p in range((x.shape[1] + lanes - 1) // lanes):
            for i in range(first, min(hi, first + SIDE)):
                for k in range(0, lanes, STRIP):
                    scale_strip(panels, p * panel + (i - lo) * lanes + k, x, i * row + p * lanes + k, one)  # type: ignore[call-arg]


@njit(error_model="numpy")
def turn_columns(panels: Any, panel: Any, x: Any, lo: Any, hi: Any) -> None:
    """Copy rows whose columns lie in one stretch each; the number of rows is a multiple of SIDE."""
    column, lanes, d = x.strides[1] // x.itemsize, VECTOR // x.itemsize, x.shape[1]
    turned = d // SIDE * SIDE if lanes >= SIDE else 0
    for i in range(lo, hi, SIDE):
        for k in range(0, turned, SIDE):
            to = k // lanes * panel + (i - lo) * lanes + k % lanes
            turn_square(panels, to, lanes, x, k * column + i, column)  # type: ignore[call-arg]
    for k in range(turned, d):
        for i in range(lo, hi):
            panels[k // lanes * panel + (i - lo) * lanes + k % lanes] = x[i, k]


@njit(error_model="numpy")
def into_strips(strips: Any, strip: Any, panels: Any, panel: Any, weights: Any) -> None:
    """Copy the rows in panels, times their weights, to strips, each `strip` entries behind the one before it."""
    lanes = VECTOR // panels.itemsize
    for s in range(len(strips) // strip):
        start = s * STRIP // lanes * panel + s * STRIP % lanes
        for i in range(len(weights)):
            scale_strip(strips, s * strip + i * STRIP, panels, start + i * lanes, weights[i])  # type: ignore[call-arg]


@njit(error_model="numpy")
def add_block(sums: Any, strips: Any, strip: Any, panels: Any, panel: Any, rows: Any) -> None:
    """Add what a block of rows gives to the sums, which are at least as many as there are strips and panels."""
    lanes = VECTOR // panels.itemsize
    count, row = len(panels) // panel, sums.shape[1]
    for p in range(0, count, PANELS):
        for s in range(p * lanes // STRIP, len(strips) // strip):
            # panels up to the one that the last row of the tile ends in
            taken = min(PANELS, count - p, (s * STRIP + STRIP - 1) // lanes + 1 - p)
            to, at, where = s * STRIP * row + p * lanes, s * strip, p * panel
            if taken == PANELS:
                add_three(sums, to, row, strips, at, panels, where, panel, rows)
            elif taken == 2:
                add_two(sums, to, row, strips, at, panels, where, panel, rows)
            else:
                add_one(sums, to, row, strips, at, panels, where, panel, rows)


@njit(types.void(*[types.intp] * 4, *GIVEN, SUMS), nogil=True, cache=True, error_model="numpy")
def kernel(first: Any, last: Any, chunk: Any, block: Any, x: Any, weights: Any, sums: Any) -> None:
    """Add Σᵢ wᵢ xᵢ ⊗ xᵢ over each chunk's rows to its sums. Shapes: x (n, d), weights (n), sums (chunks, ≥ d, ≥ d)."""
    n, d = x.shape
    lanes = VECTOR // x.itemsize
    panel, strip = block * lanes, block * STRIP
    panels = aligned((d + lanes - 1) // lanes * panel, x)
    strips = aligned((d + STRIP - 1) // STRIP * strip, x)
    for c in range(first, last):
        end = min(n, (c + 1) * chunk)
        for lo in range(c * chunk, end, block):
            hi = min(end, lo + block)
            into_panels(panels, panel, x, lo, hi)
            into_strips(strips, strip, panels, panel, weights[lo:hi])
            add_block(sums[c], strips, strip, panels, panel, hi - lo)


@njit(types.void(SUMS, types.Array(ENTRY, 2, "C")), cache=True, error_model="numpy")
def finished(sums: Any, result: Any) -> None:
    """Write the sums of all chunks, added in their order, and the upper half, which is the lower one."""
    d = len(result)
    for j in range(d):
        for c in range(1, len(sums)):
            for k in range(j + 1):
                sums[0, j, k] += sums[c, j, k]
        for k in range(j + 1):
            result[j, k] = result[k, j] = sums[0, j, k]
