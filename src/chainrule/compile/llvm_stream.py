"""Rows written to memory past the caches, in LLVM's language.

A processor gathers what is written so in lines of its own; it begins a new one where two rows are written in turns, or
where what is read stands between. So rows are finished in a cache first, and copied line by line.
"""

from __future__ import annotations

from chainrule.compile.llvm_tiles import LINE
from chainrule.compile.llvm_values import BYTES, Code, Unwritten, Value, View

VECTOR = 32  # bytes that are written at a time


def _streamed(code: Code, target: View, source: View) -> None:
    """Write target[i, j] = source[i, j], where entries of a row lie beside each other in both.

    The entries of a row before its first whole line, and after its last one, are written plainly.
    """
    if target.strides[1] is not None or source.strides[1] is not None:
        raise Unwritten("rows in pieces")

    def row(i: Value) -> None:
        _row(code, code.entry(target, [i, 0]), code.entry(source, [i, 0]), source)

    code.each(0, source.shape[0], 1, row)
    code.lines.append("fence seq_cst")  # whoever reads the lines later finds them


def _row(code: Code, target: str, source: str, rows: View) -> None:
    kind, size, width = rows.kind, BYTES[rows.kind], rows.shape[1]
    vector, past = f"<{VECTOR // size} x {kind}>", code.hint("!{i32 1}")
    address = code.add("i64", f"ptrtoint ptr {target} to i64")
    missing = code.add("i64", f"and i64 {code.add('i64', f'sub i64 0, {address.text}').text}, {LINE - 1}")
    before = code.binary("//", missing, size)
    start = code.chosen(code.compared("<", before, width), before, width)
    whole = code.binary("//", code.binary("-", width, start), LINE // size)
    stop = code.binary("+", start, code.binary("*", whole, LINE // size))

    def one(j: Value) -> None:
        code.store(code.load(kind, code.moved(source, kind, j)), kind, code.moved(target, kind, j))

    def line(j: Value) -> None:
        places = [code.binary("+", j, k) for k in range(0, LINE // size, VECTOR // size)]
        parts = [code.add(vector, f"load {vector}, ptr {code.moved(source, kind, k)}, align {size}") for k in places]
        for k, part in zip(places, parts, strict=True):
            to = code.moved(target, kind, k)
            code.lines.append(f"store {vector} {part.text}, ptr {to}, align {VECTOR}, !nontemporal {past}")

    code.each(0, start, 1, one)
    code.each(start, stop, LINE // size, line)
    code.each(stop, width, 1, one)


STREAMS = {"streamed": _streamed}
