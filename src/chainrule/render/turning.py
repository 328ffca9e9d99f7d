"""(A − B)ᵀC is (Cᵀ(A − B))ᵀ: where a reader would multiply a transpose into a sum, the whole product is turned instead.

Read back, the transpose of a sum is the sum of the transposes, another factor. Left as they are: products of which
either way some sum is turned, such as (A − B)ᵀ(A + B).
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, cast

from chainrule.expression.op import Op
from chainrule.notation.layout import Hadamard, Layout, Product, Sum, Transpose, transpose
from chainrule.render.writer import flattened


def without_turned_sums(e: Layout) -> Layout:
    """Return notation of the same value in which no factor is the transpose of a sum, where there is one."""
    return cast(Layout, _walked(e))


def _walked(part: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(_walked(item) for item in part)
    if not is_dataclass(part) or isinstance(part, Op | type):
        return part
    e = replace(part, **{f.name: _walked(getattr(part, f.name)) for f in fields(part)})
    return _turned_product(e) if isinstance(e, Product) else _turned_entries(e) if isinstance(e, Hadamard) else e


def _turned_product(e: Product) -> Layout:
    parts = flattened(e)
    scalars = [p for p in parts if p.kind == "scalar"]
    arrays = [p for p in parts if p.kind != "scalar"]
    back = _turned(arrays)
    if back is None:
        return Product((*scalars, *_in_runs(arrays)))
    if e.kind == "scalar":
        return Product((*scalars, *reversed(back)))
    if len(back) == 1:
        return Transpose(Product((*scalars, *back))) if scalars else e
    whole = Transpose(Product(tuple(reversed(back))))
    return Product((*scalars, whole)) if scalars else whole


def _in_runs(arrays: list[Layout]) -> list[Layout]:
    """M (A − B)ᵀ y is M (yᵀ(A − B))ᵀ: turn a sum together with a neighbour that is none."""
    result: list[Layout] = []
    for e in arrays:
        before = result[-1] if result else None
        if before is not None and {_is_turned_sum(before), _is_turned_sum(e)} == {True, False}:
            plain = e if _is_turned_sum(before) else before
            if not isinstance(plain, Sum):
                result[-1] = Transpose(Product((transpose(e), transpose(before))))
                continue
        result.append(e)
    return result


def _turned_entries(e: Hadamard) -> Layout:
    back = _turned(list(e.parts))
    return e if back is None else Transpose(Hadamard(tuple(back)))


def _turned(arrays: list[Layout]) -> list[Layout] | None:
    back = [transpose(e) for e in arrays]
    return back if any(map(_is_turned_sum, arrays)) and not any(map(_is_turned_sum, back)) else None


def _is_turned_sum(e: Layout) -> bool:
    return isinstance(e, Transpose) and isinstance(e.base, Sum) and e.base.kind == "matrix"
