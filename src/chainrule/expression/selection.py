"""Parts of arrays, and arrays put together: each is a product with an array of constants, so it needs no rule.

`x[1:]` is S x with Sᵢⱼ = [j = i + 1]; its transpose puts a vector into a longer one; `tril(A)` is A ⊙ M; a matrix
becomes a vector by the tensor [k = i·n + j]. Compiled code makes real slices and reshapes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from chainrule.errors import DomainError, ShapeError
from chainrule.expression.extent import Size, minus, per_step, plus, terms_of, times
from chainrule.expression.gather import gathered
from chainrule.expression.node import Expr, Ones
from chainrule.expression.op import CATALOGUE, Code, Notation, Op
from chainrule.expression.product import einsum, number_size, size_number
from chainrule.expression.shape import Shape, show_shape
from chainrule.expression.total import add_terms


def selected_rows(start: int, k: int, n: int, dtype: Any, xp: Any) -> Any:
    """The rows start … start + k − 1 of the identity matrix of size n."""
    if not 0 <= start <= start + k <= n:
        raise IndexError(f"entries {start} to {start + k - 1} of {n} do not exist")
    return xp.eye(k, n, start, dtype=dtype)


def rows_on_device(start: int, k: int, n: int, dtype: Any, device: Any, xp: Any) -> Any:
    """The rows start … start + k − 1 of the identity matrix of size n."""
    if not 0 <= start <= start + k <= n:
        raise IndexError(f"entries {start} to {start + k - 1} of {n} do not exist")
    return xp.eye(n, dtype=dtype, device=device)[start : start + k]


def strided_rows(start: int, step: int, k: int, n: int, dtype: Any, xp: Any) -> Any:
    """Every step-th row of the identity matrix of size n, k of them from `start` on."""
    return xp.eye(n, dtype=dtype)[start + step * xp.arange(k)]


def strided_on_device(start: int, step: int, k: int, n: int, dtype: Any, device: Any, xp: Any) -> Any:
    """Every step-th row of the identity matrix of size n, k of them from `start` on."""
    return xp.eye(n, dtype=dtype, device=device)[start + step * xp.arange(k, device=device)]


def _apart(a: Expr, b: Expr) -> bool:
    """True if the entries that one selection takes are known to lie behind those of the other."""
    (p, m), (q, n) = ((number_size(e.args[0]), e.shape[0] if e.ndim == 2 else 1) for e in (a, b))
    return any(all(c >= 0 for _, c in terms_of(gap)) for gap in (minus(q, plus(p, m)), minus(p, plus(q, n))))


selector = Op(
    "selector(start)",
    "()->(k,n)",
    derivative=lambda start, y: (None,),
    because="which entries are taken does not depend on anything",
    rule="slice",
    notation=Notation(text="I[$start:]", latex=r"\mathbf{I}_{[$start:]}"),
    code=Code(
        "selected_rows($start, $k, $n, dtype, $xp)",
        entry="$1 == $0 + $start",
        torch="rows_on_device($start, $k, $n, dtype, device, $xp)",
        helper=(selected_rows, rows_on_device),
    ),
    rational=True,
    hot=((1,),),
    apart=_apart,
)

one_hot = Op(
    "one_hot(start)",
    "()->(n)",
    derivative=lambda start, y: (None,),
    because="which entry is taken does not depend on anything",
    rule="entry",
    notation=Notation(text="e[$start]", latex=r"\mathbf{e}_{[$start]}"),
    code=Code(
        "selected_rows($start, 1, $n, dtype, $xp)[0]",
        entry="$0 == $start",
        torch="rows_on_device($start, 1, $n, dtype, device, $xp)[0]",
        helper=(selected_rows, rows_on_device),
    ),
    rational=True,
    hot=((0,),),
    apart=_apart,
)

strided = Op(
    "strided(start, step)",
    "(),()->(k,n)",
    derivative=lambda start, step, y: (None, None),
    because="which entries are taken does not depend on anything",
    rule="slice",
    notation=Notation(text="I[$start::$step]", latex=r"\mathbf{I}_{[$start::$step]}"),
    code=Code(
        "strided_rows($start, $step, $k, $n, dtype, $xp)",
        entry="$1 == $0 * $step + $start",
        torch="strided_on_device($start, $step, $k, $n, dtype, device, $xp)",
        helper=(strided_rows, strided_on_device),
    ),
    rational=True,
    hot=((1,),),
)

flip = Op(
    "flip()",
    "->(m,n)",
    derivative=lambda y: (),
    because="the order of the entries does not depend on anything",
    rule="slice",
    notation=Notation(text="I[::-1]", latex=r"\mathbf{I}_{[::-1]}"),
    code=Code(
        "$xp.eye($m, $n, dtype=dtype)[:, ::-1]",
        entry="$0 + $1 == $n - 1",
        torch="$xp.eye($m, $n, dtype=dtype, device=device).flip(1)",
    ),
    rational=True,
    hot=((0,), (1,)),
)

tri = Op(
    "tri(start)",
    "()->(m,n)",
    derivative=lambda start, y: (None,),
    because="a mask of zeros and ones does not depend on anything",
    rule="triangle",
    notation=Notation(text="tri($start)", latex=r"\operatorname{tri}_{$start}"),
    code=Code(
        "$xp.tri($m, $n, $start, dtype)",
        entry="$1 <= $0 + $start",
        torch="$xp.ones(($m, $n), dtype=dtype, device=device).tril($start)",
    ),
    rational=True,
)

pair = Op(
    "pair()",
    "->(k,m,n)",
    derivative=lambda y: (),
    because="which entry goes where does not depend on anything",
    rule="reshape",
    code=Code(
        "$xp.eye($k, dtype=dtype).reshape($k, $m, $n)",
        entry="$0 == $1 * $n + $2",
        torch="$xp.eye($k, dtype=dtype, device=device).reshape($k, $m, $n)",
    ),
    rational=True,
    hot=((0,), (1, 2)),
)

CATALOGUE.add([selector, one_hot, strided, flip, tri, pair])


# --- parts
def along(e: Expr, axis: int, constant: Expr, which: int) -> Expr:
    """Return `e` times `constant`, summed over an axis of `e` and axis `which` of it; its other axes take the place."""
    base = e.ndim
    new = tuple(range(base, base + constant.ndim - 1))
    sub = (*new[:which], axis, *new[which:])
    return einsum([e, constant], [tuple(range(base)), sub], (*range(axis), *new, *range(axis + 1, base)))


def take(e: Expr, axis: int, start: Size, length: Size) -> Expr:
    """Return the entries start … start + length − 1 along an axis."""
    size = e.shape[axis]
    end = minus(size, plus(start, length))
    if any(isinstance(n, int) and n < 0 for n in (start, length, end)):
        raise ShapeError(
            "a slice reaches beyond its axis",
            expected=f"entries within 0:{size}",
            found=f"{start}:{plus(start, length)}",
        )
    if (start, length) == (0, size):
        return e
    return along(e, axis, selector.of_shape((length, size), size_number(start)), 1)


def take_steps(e: Expr, axis: int, start: Size, length: Size, step: int) -> Expr:
    """Return `length` entries along an axis, from `start` on in steps, which go back where `step` is negative."""
    size = e.shape[axis]
    last = plus(start, times(step, minus(length, 1)))
    low, high = (start, last) if step > 0 else (last, start)
    if any(isinstance(gap, int) and gap < 0 for gap in (low, minus(minus(size, 1), high), length)):
        raise ShapeError(
            "a slice reaches beyond its axis", expected=f"entries within 0:{size}", found=f"{start} to {last}"
        )
    if length == 1:
        return take(e, axis, start, 1)
    if (step, length) == (-1, size):
        return along(e, axis, flip.of_shape((size, size)), 1)
    return along(e, axis, strided.of_shape((length, size), size_number(start), step), 1)


def steps_in(size: Size, step: int) -> Size:
    """Return how many of `size` entries a slice takes in steps. Raises: DomainError if names leave that open."""
    taken = per_step(size, abs(step))
    if taken is None:
        raise DomainError(
            f"how many entries a step of {step} takes is open while {size} is",
            expected=f"a whole number, or a size that {abs(step)} divides",
            found=str(size),
            hint=f'say the size in shapes=, such as {{"x": {4 * abs(step)}}} or {{"x": "{abs(step)}*n"}}',
        )
    return taken


def entry(e: Expr, axis: int, place: Size) -> Expr:
    """Return what stands at one place of an axis, counted from 0."""
    size = e.shape[axis]
    after = minus(size, plus(place, 1))
    if any(isinstance(n, int) and n < 0 for n in (place, after)):
        raise ShapeError("an index reaches beyond its axis", expected=f"0 to {minus(size, 1)}", found=str(place))
    return along(e, axis, one_hot.of_shape((size,), size_number(place)), 0)


def place_in(size: Size, index: int) -> Size:
    """Return a Python index as a place: −1 is the last."""
    return index if index >= 0 else plus(size, index)


def part(e: Expr, index: Any) -> Expr:
    """Return `e[index]`: whole numbers, slices `a:b`, None, `…` and symbols that hold positions, as in NumPy.

    >>> from chainrule.expression.build import vector
    >>> x = vector("x", "n")
    >>> (x[1:] - x[:-1]).shape
    ('n-1',)
    """
    items = list(index) if isinstance(index, tuple) else [index]
    if any(item is Ellipsis for item in items):
        k = next(k for k, item in enumerate(items) if item is Ellipsis)
        items[k : k + 1] = [slice(None)] * (e.ndim - len(items) + 1)
    if len([item for item in items if item is not None]) > e.ndim:
        raise ShapeError("more indices than axes", expected=f"at most {e.ndim}", found=str(len(items)))
    axis, positions = 0, dict[int, Expr | None]()
    for item in items:
        if isinstance(item, slice):
            e = _sliced(e, axis, item)
            axis += 1
        elif item is None:
            old = tuple(range(e.ndim))
            e = einsum([e, Ones((1,))], [old, (e.ndim,)], (*old[:axis], e.ndim, *old[axis:]))
            axis += 1
        elif isinstance(item, Expr):
            positions[axis] = item
            axis += 1
        elif isinstance(item, int):
            e = entry(e, axis, place_in(e.shape[axis], item))
        else:
            raise DomainError(
                f"an expression has no part [{item!r}]",
                expected="a whole number, a slice, or a symbol that holds positions",
                hint="where(mask, x, 0) keeps the entries of a mask",
            )
    return gathered(e, positions) if positions else e


def _sliced(e: Expr, axis: int, item: slice) -> Expr:
    size, step = e.shape[axis], 1 if item.step is None else item.step
    if not isinstance(step, int) or step == 0:
        raise DomainError("a slice goes in whole steps", expected="x[a:b:step]", found=f"a step of {step}")
    first, beyond = (0, size) if step > 0 else (minus(size, 1), -1)
    start = first if item.start is None else place_in(size, item.start)
    stop = beyond if item.stop is None else place_in(size, item.stop)
    length = minus(stop, start) if step > 0 else minus(start, stop)
    if step == 1:
        return take(e, axis, start, length)
    return take_steps(e, axis, start, steps_in(length, step), step)


# --- arrays put together
def concatenate(parts: Sequence[Expr], axis: int = 0) -> Expr:
    """Return the parts one behind the other along an axis."""
    axis %= max(parts[0].ndim, 1)
    first = parts[0]
    if not all(p.ndim == first.ndim > 0 and _without(p.shape, axis) == _without(first.shape, axis) for p in parts):
        raise ShapeError(
            "these do not fit together",
            expected=f"equal sizes on all axes but axis {axis}",
            found=", ".join(show_shape(p.shape) for p in parts),
        )
    sizes = [p.shape[axis] for p in parts]
    whole = plus(*sizes)
    starts = [0, *accumulate(sizes[:-1], plus)]
    placed = [embed(p, axis, start, whole) for p, start in zip(parts, starts, strict=True)]
    return add_terms([(1, p) for p in placed], placed[0].shape)


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def embed(e: Expr, axis: int, start: Size, size: Size) -> Expr:
    """Return `e` within zeros: its entries from `start` on along an axis of that size."""
    if (start, size) == (0, e.shape[axis]):
        return e
    return along(e, axis, selector.of_shape((e.shape[axis], size), size_number(start)), 0)


def stack(parts: Sequence[Expr], axis: int = 0) -> Expr:
    """Return the parts, all of one shape, along a new axis."""
    if any(p.shape != parts[0].shape for p in parts):
        found = ", ".join(show_shape(p.shape) for p in parts)
        raise ShapeError("these do not stack", expected="equal shapes", found=found)
    axis %= parts[0].ndim + 1
    old = tuple(range(parts[0].ndim))
    output = (*old[:axis], len(old), *old[axis:])
    hot = [one_hot.of_shape((len(parts),), size_number(k)) for k in range(len(parts))]
    placed = [einsum([p, e], [old, (len(old),)], output) for p, e in zip(parts, hot, strict=True)]
    return add_terms([(1, p) for p in placed], placed[0].shape)


# --- two axes as one
def merged(e: Expr, axis: int) -> Expr:
    """Return `e` with an axis and the next one as a single one, row by row."""
    m, n = e.shape[axis : axis + 2]
    if 1 in (m, n):  # an axis of one entry is summed away
        lost = axis if m == 1 else axis + 1
        return einsum([e], [tuple(range(e.ndim))], tuple(k for k in range(e.ndim) if k != lost))
    base = e.ndim
    tensor = pair.of_shape((times(m, n), m, n))
    output = (*range(axis), base, *range(axis + 2, base))
    return einsum([e, tensor], [tuple(range(base)), (base, axis, axis + 1)], output)


def split(e: Expr, axis: int, rows: Size, columns: Size) -> Expr:
    """Return `e` with one axis as two: the inverse of `merged`."""
    return along(e, axis, pair.of_shape((e.shape[axis], rows, columns)), 0)


def ravel(e: Expr) -> Expr:
    """Return all entries as a vector, row by row as in NumPy."""
    while e.ndim > 1:
        e = merged(e, e.ndim - 2)
    return e if e.ndim else einsum([e, Ones((1,))], [(), (0,)], (0,))


def vec(e: Expr) -> Expr:
    """Return the columns of a matrix below one another, vec(A) as in the textbooks."""
    return ravel(einsum([e], [tuple(range(e.ndim))], tuple(reversed(range(e.ndim)))))


def kron(a: Expr, b: Expr) -> Expr:
    """Return the Kronecker product: every entry of `a` times the whole of `b`."""
    if a.ndim != b.ndim or a.ndim > 2:
        found = f"{show_shape(a.shape)} and {show_shape(b.shape)}"
        raise ShapeError("a Kronecker product is of two matrices, or two vectors", found=found)
    n = a.ndim
    output = tuple(k for pairs in zip(range(n), range(n, 2 * n), strict=True) for k in pairs)
    e = einsum([a, b], [tuple(range(n)), tuple(range(n, 2 * n))], output)
    for axis in range(n):
        e = merged(e, axis)
    return e


# --- triangles
def tril(e: Expr, diagonal: int = 0) -> Expr:
    """Return the lower triangle, zeros above the diagonal (the one `diagonal` places above the main one)."""
    return _masked(e, tri.of_shape(e.shape[-2:], diagonal), False)


def triu(e: Expr, diagonal: int = 0) -> Expr:
    """Return the upper triangle, zeros below the diagonal."""
    return _masked(e, tri.of_shape(e.shape[:-3:-1], -diagonal), True)


def _masked(e: Expr, mask: Expr, turned: bool) -> Expr:
    k = e.ndim
    if k < 2:
        raise ShapeError("a triangle is a part of a matrix", expected="a matrix", found=show_shape(e.shape))
    return einsum([e, mask], [tuple(range(k)), (k - 1, k - 2) if turned else (k - 2, k - 1)], tuple(range(k)))


def cumsum(e: Expr, axis: int = -1) -> Expr:
    """Return the running sums along an axis: a product with a lower triangle of ones."""
    axis %= e.ndim
    size = e.shape[axis]
    return along(e, axis, tri.of_shape((size, size), 0), 1)
