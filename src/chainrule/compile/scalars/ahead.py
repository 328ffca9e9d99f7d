"""Rows asked for ahead: memory brings the next block while sums over this one are computed.

A processor guesses what is read next from what was read last, which fails where several short rows are read side by
side. Kernels hold this text; it is not imported, since numba is.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

# --- functions
LINE = 64  # bytes that come from memory together


@intrinsic
def ask(typing: Any, rows: Any, at: Any) -> Any:
    """Ask for the entry at this place, counted in entries, to be brought into the second cache."""
    signature = types.void(rows, types.intp)

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        place = builder.bitcast(builder.gep(data, [values[1]]), ir.IntType(8).as_pointer())
        whole = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, whole, whole, whole])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [place.type], kind)
        builder.call(prefetch, [place, *(ir.Constant(whole, k) for k in (0, 2, 1))])  # to read, second level, data
        return context.get_dummy_value()

    return signature, code


@njit(error_model="numpy")
def asked(rows: Any, first: Any, last: Any, part: Any, parts: Any) -> None:
    """Ask for one of so many parts of these rows, if they lie beside each other. Shape: rows (n, d)."""
    n, d = rows.shape
    if rows.strides[0] == d * rows.itemsize and rows.strides[1] == rows.itemsize:
        size = (min(n, last) - first) * d
        share, step = size // parts + 1, LINE // rows.itemsize
        for at in range(part * share, min(size, part * share + share), step):
            ask(rows, first * d + at)  # type: ignore[call-arg]
