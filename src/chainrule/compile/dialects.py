"""How each array library spells the primitives that programs are written in: one table a library.

`$xp` is the module, `$x` and `$y` are operands; every other place is a size, a shape, axes or a name. A spelling of two
lines is an array that is made and then filled, under the name `$name`. A library that spells a primitive as NumPy does
has no entry of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from types import MappingProxyType
from typing import Any

Spellings = Mapping[str, str]

NUMPY: Spellings = {
    # axes
    "reversed": "$x.T",
    "transposed": "$xp.transpose($x, ($axes))",
    "reshaped": "$x.reshape($shape)",
    "expanded": "$xp.broadcast_to($x, $shape)",
    "entry": "$x[$before$first]",
    "part": "$x[$before$first:$end]",
    "padded": "$xp.zeros($shape, dtype)\n$name[$before$first:$end] = $x",
    "stepped": "$x[$before$first:$end:$pace]",
    "turned": "$x[$before::-1]",
    "spread": "$xp.zeros($shape, dtype)\n$name[$before$first:$end:$pace] = $x",
    "taken": "$x[$before$index]",
    "taken along": "$xp.take_along_axis($x, $index, -1)[..., 0]",
    "put": "$xp.zeros($shape, dtype)\n$xp.add.at($name, (${slices}$index,), $x)",
    # made from numbers
    "filled": "$xp.full($shape, $x, dtype)",
    "identity": "$xp.eye($n, dtype=dtype)",
    "diagonal matrix": "$xp.diag($x)",
    "on the diagonal": '$xp.zeros($shape, dtype)\n$xp.einsum("$spec", $name)[...] = $x',
    # read and summed
    "diagonal": "$xp.diagonal($x)",
    "trace": "$xp.trace($x)",
    "total": "$x.sum()",
    "sum": "$x.sum(axis=$axes)",
    # products
    "matrix product": "$x @ $y",
    "inner product": "$xp.vdot($x, $y)",
    "inner products": "$xp.vecdot($x, $y)",
    "tensor product": "$xp.tensordot($x, $y, $axes)",
    "einsum": '$xp.einsum("$spec", $x)',
    # numbers: arithmetic on sizes, in which 1/0 is inf
    "float": "np.float64($x)",
    "number": "float($x)",
    "over a size": "$x / ($y or $xp.inf)",
    "over a norm": "$x / ($y or $xp.inf)",
    "operand": "$x",
    # what a function begins and ends with
    "types": "dtype = $xp.result_type($arguments, 0.0)",
    "no types": "dtype = $xp.result_type(0.0)",
    "typed": "dtype.type($x)",
    "copied": "$xp.array($x)",
}

# arrays that cannot be written to, which need no copies
JAX: Spellings = {
    "entry": "jax.lax.index_in_dim($x, $first, $axis, keepdims=False)",
    "part": "jax.lax.slice_in_dim($x, $first, $end, axis=$axis)",
    "padded": "$xp.pad($x, ($margins))",
    "spread": "$xp.zeros($shape, dtype).at[$before$first:$end:$pace].set($x)",
    "put": "$xp.zeros($shape, dtype).at[$before$index].add($x)",
    "on the diagonal": "$xp.where($mask, $x, 0)",
    "over a norm": "$x / $xp.where($y == 0, $xp.inf, $y)",
    "typed": "$xp.asarray($x, dtype)",
    "copied": "$x",
}

# what makes arrays is told the device; functions of two arrays take no numbers
TORCH: Spellings = {
    "transposed": "$x.permute($axes)",
    "padded": "$xp.nn.functional.pad($x, ($inner_margins))",
    "taken along": "$xp.take_along_dim($x, $index, -1)[..., 0]",
    "turned": "$x.flip($axis)",
    "spread": "$xp.zeros($shape, dtype=dtype, device=device)"
    ".index_add($axis, $xp.arange($first, $end, $pace, device=device), $x)",
    "put": "$xp.zeros($shape, dtype=dtype, device=device).index_add($axis, $index.flatten(), $x.reshape($lined))",
    "filled": "$xp.full($shape, $x, dtype=dtype, device=device)",
    "identity": "$xp.eye($n, dtype=dtype, device=device)",
    "on the diagonal": "$xp.where($mask, $x, 0)",
    "over a norm": "$x / $xp.where($y == 0, $xp.inf, $y)",
    "inner product": "$xp.dot($x.flatten(), $y.flatten())",
    "inner products": "$xp.linalg.vecdot($x, $y)",
    "product, summed": "($x * $y).sum(axis=$axes)",
    "operand": "$xp.as_tensor($x, dtype=dtype, device=device)",
    "types": "dtype, device = $like.dtype, $like.device",
    "no types": "dtype, device = $xp.get_default_dtype(), $xp.get_default_device()",
    "typed": "$xp.as_tensor($x, dtype=dtype, device=device)",
    "copied": "$x.clone()",
}

# torch where it records no derivative: values are written over those that nobody reads any more; by a function of two
# arrays with `over`, unless all that is computed varies in the same batches
OVER: Mapping[str, tuple[str, str]] = {
    "multiplied": ("mul", "$y"),
    "divided": ("div", "$y"),
    "added": ("add", "$y"),
    "added, scaled": ("add", "$y, alpha=$c"),
    "subtracted": ("sub", "$y"),
    "product added": ("addcmul", "$y"),
    "product added, scaled": ("addcmul", "$y, value=$c"),
}
TORCH_IN_PLACE: Spellings = {
    **TORCH,
    **{name: f"$x.{function}_({given})" for name, (function, given) in OVER.items()},
    **{f"{name}, batched": f'over($x, "{function}", {given})' for name, (function, given) in OVER.items()},
    "negated": "$x.neg_()",
    "mapped": "$x.${function}_()",
    "sum with a product": "$xp.addcmul($x, $y)",
    "sum with a product, scaled": "$xp.addcmul($x, $y, value=$c)",
}
MAPPED = frozenset({
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "erf", "exp", "expm1", "log",
    "log1p", "relu", "sigmoid", "sin", "sinh", "sqrt", "tan", "tanh",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """Array code of one library: the module that is called, what the code calls it, and how primitives are spelled.

    `code` is the field of an operation's `Code` that holds its line. `frees`: whether dropping an array that is no
    longer needed gives its memory to the next one. `in_place` are the functions of one array that may write over it.
    `positions` is said of an argument that holds positions.
    """

    code: str
    module: str
    alias: str
    spellings: Spellings
    frees: bool = True
    in_place: frozenset[str] = frozenset()
    positions: str = ""

    def spell(self, primitive: str, **places: str) -> str:
        """Write a primitive: one line, or two."""
        return Template(self.spellings[primitive]).substitute(places, xp=self.alias)

    def knows(self, primitive: str) -> bool:
        """True if the library does not spell the primitive as NumPy does."""
        return self.spellings[primitive] != NUMPY[primitive]

    def has(self, primitive: str) -> bool:
        """True if the library spells a primitive that NumPy lacks."""
        return primitive in self.spellings


def _dialect(code: str, module: str, alias: str, own: Spellings, **rest: Any) -> Dialect:
    return Dialect(code, module, alias, MappingProxyType({**NUMPY, **own}), **rest)


IN_NUMPY = _dialect("numpy", "numpy", "np", {})
# a check would have to know the numbers, which jit and vmap do not; JAX moves positions onto the axis or leaves them
# out, and torch raises for some and counts others from the end
UNCHECKED = ", positions from 0: integers, which are not checked"
IN_JAX = _dialect("jax", "jax.numpy", "jnp", JAX, frees=False, positions=UNCHECKED)
IN_TORCH = _dialect("torch", "torch", "torch", TORCH, positions=UNCHECKED)
IN_TORCH_UNRECORDED = _dialect("torch", "torch", "torch", TORCH_IN_PLACE, in_place=MAPPED, positions=UNCHECKED)
