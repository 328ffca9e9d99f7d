"""Loops whose entries are computed one by one, where an array lies across, as in A + Aᵀ: they go by tiles.

Neighbours in such a loop are far apart in memory for the array that lies across, and no processor reads those as a
vector. So the two innermost loops take square tiles; what lies across is turned in registers, tile by tile, and read
from there. The last tile of an axis begins earlier where the axis ends within it: entries that are computed twice are
the same. Axes shorter than a tile have plain loops.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from chainrule.compile.in_numba import NumbaCode
from chainrule.compile.loop_code import VARIABLES
from chainrule.compile.loop_language import At, Scope
from chainrule.compile.loops import Loop, Nest
from chainrule.compile.program import Load, Program
from chainrule.compile.writing import Names
from chainrule.expression.shape import Size

SIDE = 8  # of a tile, whose rows are vectors: ABREAST in scalars/across.py
CALLED = re.compile(r"([\w.]+)\(|\*\*")
IN_VECTORS = {"abs", "float", "max", "min", "np.sqrt", "np.floor"}  # the calls that vectors are computed with, too


class TiledCode(NumbaCode):
    """One program as lines of Python, with tiles. `tiled` are the loops that take them, each by its identity."""

    def __init__(self, program: Program, names: Names) -> None:
        super().__init__(program, names)
        self.tiled: set[int] = set()
        self.in_vectors: set[int] = set()  # the instructions that tiles compute
        self._tile: _Tile | None = None  # while its lines are written

    def is_tiled(self, item: Loop | Nest) -> bool:
        """True for the outer one of two loops that take tiles."""
        return isinstance(item, Loop) and id(item) in self.tiled

    @property
    def in_tiles(self) -> set[int]:
        """The values that tiles read or write: vectors of them need memory of their own, as LLVM sees it."""
        nests = [nest for item in self._loops(self.loops.body) if self.is_tiled(item) for nest in item.nests]
        read = {k for nest in nests for k, _ in self.loops.reads(nest.step)}
        return read | {nest.step for nest in nests}

    def _loops(self, body: Sequence[Loop | Nest]) -> list[Loop]:
        found = []
        for item in body:
            if isinstance(item, Loop):
                found += [item, *self._loops(item.body)]
        return found

    def _item(self, scope: Scope, item: Loop | Nest, at: dict[int, str], depth: int) -> None:
        tile = self._tile_of(item, depth)
        lines = self._body(tile) if tile else []
        if not tile or not lines:
            super()._item(scope, item, at, depth)
            return
        self.tiled.add(id(item))
        axes = list(dict.fromkeys((tile.rows, tile.columns)))
        scope.add(f"if {' and '.join(f'{n} >= {SIDE}' for n in axes)}:")
        for line in tile.lines(lines):
            scope.add(f"    {line}")
        scope.add(f"if {' or '.join(f'{n} < {SIDE}' for n in axes)}:")
        super()._item(Scope(scope.depth + 1, scope.lines), item, at, depth)

    def _tile_of(self, item: Loop | Nest, depth: int) -> _Tile | None:
        """Return the tile of two loops, one in the other, that compute entries one by one; None for all else."""
        if not isinstance(item, Loop) or len(item.body) != 1:
            return None
        (inner,) = item.body
        if not isinstance(inner, Loop) or not all(isinstance(part, Nest) for part in inner.body):
            return None
        steps = [nest.step for nest in inner.nests]
        if any(self.loops.is_reduced(k) or self.loops.is_whole(k) or self.steps[k].is_check for k in steps):
            return None
        extents = item.extent, inner.extent
        return _Tile(inner, extents, self.size(extents[0]), self.size(extents[1]), depth)

    def _body(self, tile: _Tile) -> list[str]:
        """Return the lines for one entry of a tile; none if nothing lies across, or no vector is computed so."""
        scope = Scope(0, [])
        before, self._tile = self.fresh, tile
        for nest in tile.inner.nests:
            self._compute(scope, nest)
        self._tile, self.fresh = None, before
        called = {found[1] for line in scope.lines for found in CALLED.finditer(line)}
        if not tile.turned or not called <= IN_VECTORS:
            return []
        self.in_vectors |= tile.computed
        return scope.lines

    def _formula(self, scope: Scope, k: int, variables: Mapping[int, str]) -> str:
        if self._tile is not None:
            self._tile.computed.add(k)
        return super()._formula(scope, k, variables)

    def read(self, scope: Scope, k: int, at: At) -> str:
        """Write the entry of a value: of what lies across, the entry of a tile that was turned."""
        tile, step = self._tile, self.steps[k]
        is_array = isinstance(step.action, Load) or (k in self.values and not self._is_variable(k))
        if tile is None or not is_array or not tile.lies_across(at, step.shape):
            return super().read(scope, k, at)
        name = self.names.arguments[step.action.position] if isinstance(step.action, Load) else self.values[k]
        return tile.read(self.indexed(name, at[:-2], step.shape) if len(at) > 2 else name)


class _Tile:
    """The text of one tile: `turned` are the arrays that lie across, by number, `computed` the instructions."""

    def __init__(self, inner: Loop, extents: tuple[Size, Size], rows: str, columns: str, depth: int) -> None:
        self.inner = inner
        self.extents = extents
        self.rows, self.columns = rows, columns
        self.variables = VARIABLES[depth], VARIABLES[depth + 1]
        self.turned: dict[str, int] = {}
        self.computed: set[int] = set()

    def lies_across(self, at: At, shape: Sequence[Size]) -> bool:
        """True for an entry of all of an array whose last axes are the loops' axes, the outer one last."""
        row, column = self.variables
        is_across = at[-2:] == (column, row) and tuple(shape[-2:]) == self.extents[::-1]
        return is_across and all(re.search(rf"\b({row}|{column})\b", text) is None for text in at[:-2])

    def read(self, array: str) -> str:
        """Write the entry of an array that lies across."""
        row, column = self.variables
        return f"x{self.turned.setdefault(array, len(self.turned))}[in_{row}, in_{column}]"

    def lines(self, body: Sequence[str]) -> list[str]:
        """Write the loops around the lines for one entry."""
        i, j = self.variables
        made = [f"x{n} = tile({array})" for array, n in self.turned.items()]
        turned = [f"across(x{n}, {array}, of_{j}, of_{i})" for array, n in self.turned.items()]
        return [
            *made,
            f"for from_{i} in range(0, {self.rows}, {SIDE}):",
            f"    of_{i} = min(from_{i}, {self.rows} - {SIDE})",
            f"    for from_{j} in range(0, {self.columns}, {SIDE}):",
            f"        of_{j} = min(from_{j}, {self.columns} - {SIDE})",
            *(f"        {line}" for line in turned),
            f"        for in_{i} in range({SIDE}):",
            f"            {i} = of_{i} + in_{i}",
            f"            for in_{j} in range(ABREAST):",
            f"                {j} = of_{j} + in_{j}",
            *(f"                {line}" for line in body),
        ]
