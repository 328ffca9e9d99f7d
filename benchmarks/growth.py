"""How the time grows with the rows and with the columns: value and gradients of the article's cost in float64.

    python benchmarks/growth.py [--only WORDS] [--seconds S] [--small] [--list]

The fused kernel, NumPy by hand, and the limit, which is the time to read X once. `docs/performance.py` draws the
figures.
"""

from __future__ import annotations

from collections.abc import Iterator

from fused import LOSSES, TOLERANCE, data, without_frameworks
from race import Peers, Race, main

KIND = "float64"
WORDS = {"N": "rows", "d": "columns"}
ROWS, COLUMNS = 100_000, 100  # of the cases where the other one grows
MORE_ROWS = (10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
MORE_COLUMNS = (10, 20, 50, 100, 200, 500, 1000)


def peers(rows: int, d: int) -> Peers:
    """Return the peers on data of this size."""
    return without_frameworks(LOSSES["cost"], data(LOSSES["cost"], rows, d, KIND))


def races(small: bool = False) -> Iterator[Race]:
    """Yield the sizes, rows first; `grows` says which size is the variable one."""
    sizes = [("N", rows, COLUMNS) for rows in MORE_ROWS] + [("d", ROWS, d) for d in MORE_COLUMNS]
    for grows, rows, d in [("N", 300, 4), ("d", 60, 40)] if small else sizes:
        yield Race(
            f"more {WORDS[grows]}, N = {rows}, d = {d}",
            lambda rows=rows, d=d: peers(rows, d),
            tolerance=TOLERANCE[KIND],
            unchecked=frozenset({"limit"}),
            facts={"grows": grows, "N": rows, "d": d},
        )


if __name__ == "__main__":
    main("growth", races)
