"""Write docs/performance.md from the figures that the benchmarks saved: `uv run python docs/performance.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = Path(__file__).with_suffix(".md")
TITLES = {
    "fused": "Value and gradients, one pass over the data",
    "hessians": "Hessians and Jacobians in closed form",
    "backwards": "Backward passes of layers",
    "overhead": "Calls, compilation, imports",
}
HEAD = """# Performance

Written by `docs/performance.py` from `benchmarks/results/`; each topic is one file of `benchmarks/`, which says
what its peers are. All peers of a row ran in turns in one process and gave the same numbers before they were timed.
A cell is the median in milliseconds, and in brackets the median of the ratios to chainrule: above 1 the peer is
slower. A peer that gave other numbers is marked as wrong and was not timed. The machine is shared, so medians of
different rows compare less well than the ratios within one.
"""


def cell(case: Mapping[str, Any], peer: str) -> str:
    """Return the figure of one peer."""
    if peer in case["wrong"]:
        return "wrong"
    if peer not in case["median_ms"]:
        return ""
    value, times = case["median_ms"][peer], case["times_ours"][peer]
    return f"{value:.3g}" if peer == "chainrule" else f"{value:.3g} ({times:.2g}×)"


def groups(cases: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the cases that have the same peers beside each other: one table each."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for title, case in cases.items():
        found.setdefault((*case["median_ms"], *case["wrong"]), {})[title] = case
    return found


def section(topic: str, cases: Mapping[str, Any]) -> str:
    """Return the tables of a topic, with when and where they were measured."""
    lines = [f"## {TITLES.get(topic, topic)}", ""]
    machines = {json.dumps(case["machine"], sort_keys=True): case["machine"] for case in cases.values()}
    dates = sorted({case["date"] for case in cases.values()})
    for machine in machines.values():
        packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        lines.append(f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}, {packages}.")
    lines += [f"Measured {' and '.join([dates[0], *dates[1:][-1:]])}.", ""]
    for peers, rows in groups(cases).items():
        lines += ["| ms | " + " | ".join(peers) + " |", "| --- |" + " ---: |" * len(peers)]
        lines += [
            f"| {title} | " + " | ".join(cell(case, peer) for peer in peers) + " |" for title, case in rows.items()
        ]
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for topic in TITLES:
        path = RESULTS / f"{topic}.json"
        if path.exists():
            parts.append(section(topic, json.loads(path.read_text())["cases"]))
    return "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
