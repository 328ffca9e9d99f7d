"""What is around a block of rows in a kernel: stretches of blocks, chunks, and the rows of an outer axis.

Sums over rows are added up in the type of the rows for a stretch of blocks, and then in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

FEW = 16  # blocks of a stretch, where it may as well be short


@dataclass(frozen=True, slots=True)
class Around:
    """An outer axis, for each row of which a kernel goes over rows of its own.

    By argument and by result: is it another one for each outer row? `size` is how many inner rows there are.
    """

    arguments: tuple[bool, ...]
    results: tuple[bool, ...]
    size: str


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum over rows: its number, its extents, and the text of the entry at an index."""

    number: int
    extents: Sequence[str]
    entry: Callable[[Sequence[str]], str]

    def each(self, line: Callable[[str, str], str]) -> list[str]:
        """Write a line for each entry: it is given the index and the entry."""
        at = [f"j{depth}" for depth in range(len(self.extents))]
        pairs = enumerate(zip(at, self.extents, strict=True))
        loops = ["    " * depth + f"for {v} in range({n}):" for depth, (v, n) in pairs]
        return [*loops, "    " * len(at) + line(", ".join(at), self.entry(at))]


@dataclass(frozen=True, slots=True)
class Frame:
    """The lines around those of a block. `sums` are over rows, of which those in `kept` are results by outer row."""

    sums: Sequence[Sum]
    stretch: int  # how many blocks a stretch has
    kept: frozenset[int] = frozenset()
    extent: str = ""  # of the inner rows, if there is an outer axis
    before: Sequence[str] = field(default_factory=list)  # for each outer row

    def scratch(self) -> list[str]:
        """Make what sums are kept in while an outer row lasts."""
        kept = [s for s in self.sums if s.number in self.kept and s.extents]
        return [f"z{s.number} = np.empty(({', '.join(s.extents)},), np.float64)" for s in kept]

    def lines(self, body: Sequence[str]) -> list[str]:
        """Return the lines that run over all chunks."""
        if not self.extent:
            blocks = ["end = min(n, c * chunk + chunk)", *self._blocks("c * chunk", body)]
            return ["for c in range(first, last):", *_inside(blocks)]
        kept = [s for s in self.sums if s.number in self.kept]
        cleared = [f"z{s.number}[...] = zero" if s.extents else f"z{s.number} = float(0)" for s in kept]
        row = [*self.before, *cleared, f"end = {self.extent}", *self._blocks("0", body)]
        for s in kept:
            row += s.each(lambda at, _, s=s: f"{_at(f'W{s.number}', 'e', at)} = T({_at(f'z{s.number}', at)})")  # type: ignore[misc]
        rows = ["for e in range(c * chunk, min(n, c * chunk + chunk)):", *_inside(row)]
        return ["for c in range(first, last):", *_inside(rows)]

    def _blocks(self, first: str, body: Sequence[str]) -> list[str]:
        block = ["hi = min(end, lo + block)", "size = hi - lo", *body]
        stretch = [f"g{s.number}{'[...]' if s.extents else ''} = zero" for s in self.sums]
        stretch += [f"for lo in range(start, min(end, start + {self.stretch} * block), block):", *_inside(block)]
        for s in self.sums:
            stretch += s.each(lambda at, entry, s=s: f"{self._total(s, at)} += {entry}")  # type: ignore[misc]
        return [f"for start in range({first}, end, {self.stretch} * block):", *_inside(stretch)]

    def _total(self, s: Sum, at: str) -> str:
        return _at(f"z{s.number}", at) if s.number in self.kept else _at(f"q{s.number}", "c", at)


def _at(name: str, *indices: str) -> str:
    found = ", ".join(filter(None, indices))
    return f"{name}[{found}]" if found else name


def _inside(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]
