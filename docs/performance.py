"""Write docs/performance.md and docs/growth.svg from the figures that the benchmarks saved.

uv run python docs/performance.py
"""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = Path(__file__).with_suffix(".md")
PICTURE = Path(__file__).with_name("growth.svg")
WIDTH = 120
Cases = Mapping[str, Mapping[str, Any]]


class Topic(NamedTuple):
    """A heading and what to know before reading its tables."""

    title: str
    words: str


TOPICS = {
    "fused": Topic(
        "Value and gradients, one pass over the data",
        "The limit is the time in which all cores read X once. Data that comes from memory cannot be used faster, "
        "and what reads it twice takes twice as long. Small cases stay in the cache: there arithmetic and the call "
        "count, and with ten classes arithmetic counts everywhere.",
    ),
    "growth": Topic("Growth with the data", ""),
    "hessians": Topic(
        "Hessians and Jacobians in closed form",
        "Ours are compiled from the derived formula; by hand is that formula in NumPy; the frameworks differentiate "
        "automatically. Times a direction, ours stays factored, and by hand the dense result is multiplied.",
    ),
    "backwards": Topic(
        "Backward passes of layers",
        "Forward and backward together. `chainrule` is the torch code that `cr.source` writes; `torch native` calls "
        "the kernels that PyTorch has for the layer.",
    ),
    "overhead": Topic(
        "Calls, compilation, imports",
        "By hand is the printed program called directly. Cold processes find no compiled kernels on the disk.",
    ),
}
HEAD = """# Performance

Written by `docs/performance.py` from `benchmarks/results/`; each topic is one file of `benchmarks/`, which says
what its peers are. All peers of a row ran in turns in one process and gave the same numbers before they were timed.
A cell is the median in milliseconds, and in brackets the median of the ratios to chainrule: above 1 the peer is
slower. A peer that gave other numbers is marked as wrong and was not timed. The machine is shared, so medians of
different rows compare less well than the ratios within one.
"""

# --- at a glance: which cases make a row, and which column is ours; of each kind of case the largest counts
GLANCE = (
    ("fused", "float64", "value and gradients, float64", "chainrule"),
    ("fused", "float32", "value and gradients, float32", "chainrule"),
    ("hessians", "Hessian,", "Hessians", "chainrule"),
    ("hessians", "Jacobian,", "Jacobians", "chainrule"),
    ("hessians", "times direction", "times a direction, kept factored", "chainrule"),
    ("backwards", "", "layers and their backward passes, torch code", "chainrule"),
    ("backwards", "", "layers and their backward passes, numba", "chainrule, numba"),
    ("overhead", "one call", "one call, small data", "chainrule"),
    ("overhead", "first result", "first result, fresh process", "chainrule"),
)
FRAMEWORKS = ("JAX", "torch", "tensorgrad")
GLANCE_WORDS = (
    "The time of others over chainrule's, above 1 where ours is faster: the lowest and the highest among the largest "
    "cases of each kind. The best framework is the fastest of those with the right numbers in each case; the one with "
    "the lowest figure is named."
)


def kind_of(title: str) -> str:
    """Return a case's title without its numbers."""
    return re.sub(r"\d+", "", title)


def size_of(title: str) -> int:
    """Return the product of the numbers in a case's title, the bits of its type among them."""
    return math.prod(int(number) for number in re.findall(r"\d+", title))


def ordered(cases: Cases) -> Cases:
    """Return the cases kind by kind, from small to large."""
    kinds = list(dict.fromkeys(map(kind_of, cases)))
    return {title: cases[title] for title in sorted(cases, key=lambda t: (kinds.index(kind_of(t)), size_of(t)))}


def largest(cases: Cases) -> Cases:
    """Return the largest case of every kind."""
    return {title: cases[title] for title in {kind_of(title): title for title in ordered(cases)}.values()}


def short(figure: float) -> str:
    """Return a ratio in two figures."""
    return f"{figure:.2g}" if figure < 100 else f"{figure:.0f}"


def span(ratios: Sequence[tuple[float, str]]) -> str:
    """Return the smallest and the largest ratio, the smallest with its name."""
    if not ratios:
        return ""
    (low, name), (high, _) = min(ratios), max(ratios)
    numbers = f"{short(low)}×" if len(ratios) == 1 else f"{short(low)}–{short(high)}×"
    return f"{numbers} ({name})" if name else numbers


def best_framework(ratios: Mapping[str, float]) -> Iterable[tuple[float, str]]:
    """Return the smallest ratio of a framework, where there is one."""
    return sorted((times, peer) for peer, times in ratios.items() if peer.startswith(FRAMEWORKS))[:1]


def ratios_to(ours: str, case: Mapping[str, Any]) -> dict[str, float]:
    """Return everybody's time over that of one of ours."""
    own = case["times_ours"].get(ours)
    return {peer: times / own for peer, times in case["times_ours"].items()} if own else {}


def glance(results: Mapping[str, Cases]) -> str:
    """Return the table of the largest cases."""
    lines = ["| largest cases | limit | by hand | best framework |", "| --- | ---: | ---: | ---: |"]
    for topic, words, label, ours in GLANCE:
        chosen = {title: case for title, case in results.get(topic, {}).items() if words in title}
        if not chosen:
            continue
        times = [ratios_to(ours, case) for case in largest(chosen).values()]
        frameworks = [best for ratios in times for best in best_framework(ratios)]
        cells = [span([(t[peer], "") for t in times if peer in t]) for peer in ("limit", "by hand")]
        lines.append(f"| {label} | {cells[0]} | {cells[1]} | {span(frameworks)} |")
    return "\n".join(["## At a glance", "", *textwrap.wrap(GLANCE_WORDS, WIDTH), "", *lines, ""])


# --- the tables
def cell(case: Mapping[str, Any], peer: str) -> str:
    """Return the figure of one peer."""
    if peer in case["wrong"]:
        return "wrong"
    if peer not in case["median_ms"]:
        return ""
    value, times = case["median_ms"][peer], case["times_ours"][peer]
    return f"{value:.3g}" if peer == "chainrule" else f"{value:.3g} ({short(times)}×)"


def groups(cases: Cases) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the cases that have the same peers beside each other: one table each."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for title, case in ordered(cases).items():
        found.setdefault((*case["median_ms"], *case["wrong"]), {})[title] = case
    return found


def tables(cases: Cases) -> list[str]:
    """Return the lines of a table for each group."""
    lines = []
    for peers, rows in groups(cases).items():
        lines += ["| ms | " + " | ".join(peers) + " |", "| --- |" + " ---: |" * len(peers)]
        lines += [
            f"| {title} | " + " | ".join(cell(case, peer) for peer in peers) + " |" for title, case in rows.items()
        ]
        lines.append("")
    return lines


def section(topic: str, cases: Cases) -> str:
    """Return what a topic's cases show, with when and where they were measured."""
    title, words = TOPICS[topic]
    lines = [f"## {title}", "", *textwrap.wrap(words, WIDTH), *([""] if words else [])]
    found = [dict(case["machine"]) for case in cases.values()]
    speeds = sorted({machine.pop("speed_together") for machine in found if "speed_together" in machine})
    span = "–".join(f"{speed:g}" for speed in dict.fromkeys((*speeds[:1], *speeds[-1:])))
    together = f", together {span}× as fast as one" if speeds else ""
    machines = {json.dumps(machine, sort_keys=True): machine for machine in found}
    dates = sorted({case["date"] for case in cases.values()})
    for machine in machines.values():
        packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
        cores = f"{machine['cores']} cores of {machine['processor']}{together}"
        said = f"{cores}, Python {machine['python']}, {packages}."
        lines += textwrap.wrap(said, WIDTH)
    lines += [f"Measured {' and '.join([dates[0], *dates[1:][-1:]])}.", ""]
    return "\n".join(lines + (growth(cases) if topic == "growth" else tables(cases)))


# --- the picture of growth
PANELS = {"N": ("more rows", "d"), "d": ("more columns", "N")}  # by what grows: a title, and what stays
LINES = {"by hand": ("#d95f02", "NumPy by hand"), "chainrule": ("#1b6ca8", "chainrule"), "limit": ("#555555", "limit")}
Curves = dict[str, dict[str, list[tuple[int, float]]]]  # of what grows and of a peer: the sizes and the milliseconds


def curves(cases: Cases) -> Curves:
    """Return what the picture shows."""
    found: Curves = {grows: {peer: [] for peer in LINES} for grows in PANELS}
    for case in cases.values():
        facts = case["facts"]
        for peer in LINES:
            found[facts["grows"]][peer].append((facts[facts["grows"]], case["median_ms"][peer]))
    return {grows: {peer: sorted(points) for peer, points in of.items()} for grows, of in found.items()}


def growth(cases: Cases) -> list[str]:
    """Return the lines that show the picture and say what it shows."""
    per_entry = {
        peer: [1e6 * case["median_ms"][peer] / (case["facts"]["N"] * case["facts"]["d"]) for case in cases.values()]
        for peer in LINES
    }
    said = ", ".join(f"{LINES[peer][1]} {min(ns):.2g} to {max(ns):.2g}" for peer, ns in per_entry.items())
    words = (
        "The cost of a neuron with its gradients in float64. Both axes are logarithmic; the dotted line is growth in "
        f"proportion. Nanoseconds for each entry of X: {said}."
    )
    return [f"![Milliseconds against rows and against columns]({PICTURE.name})", "", *textwrap.wrap(words, WIDTH), ""]


def plain(tick: float, _: int = 0) -> str:
    """Return the words of a tick."""
    return f"{tick:,.0f}".replace(",", "\N{NO-BREAK SPACE}") if tick >= 1 else f"{tick:g}"


def panel(axes: Axes, cases: Cases, grows: str) -> None:
    """Draw the peers' times against the size that grows, and a line of slope 1 through the last point of ours."""
    of = curves(cases)[grows]
    for peer, points in of.items():
        colour, label = LINES[peer]
        sizes, times = zip(*points, strict=True)
        axes.loglog(sizes, times, "o-", color=colour, label=label, linewidth=2.4 if peer == "chainrule" else 1.4)
    last, time = of["chainrule"][-1]
    ends = (of["chainrule"][0][0], last)
    axes.loglog(ends, [time * size / last for size in ends], ":", color="#1b6ca8", label="in proportion", zorder=0)
    words, other = PANELS[grows]
    (size,) = {case["facts"][other] for case in cases.values() if case["facts"]["grows"] == grows}
    axes.set(xlabel=grows, title=f"{words}, {other} = {plain(size)}")
    axes.xaxis.set_major_formatter(plain)
    axes.grid(True, which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def drawn(cases: Cases) -> Figure:
    """Return the picture, a panel for rows and one for columns."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, grows in zip(panels, PANELS, strict=True):
        panel(axes, cases, grows)
    panels[0].set_ylabel("milliseconds")
    panels[0].yaxis.set_major_formatter(plain)
    panels[0].legend(frameon=False)
    return figure


def draw(cases: Cases, path: Path) -> None:
    """Draw into a file that holds its data as its description and, from the same data, is always the same."""
    with matplotlib.rc_context({"svg.hashsalt": PICTURE.stem}):
        drawn(cases).savefig(path, metadata={"Date": None, "Description": json.dumps(curves(cases))})


# --- the page
def saved() -> dict[str, Cases]:
    """Return the cases of every topic that was measured."""
    files = {topic: RESULTS / f"{topic}.json" for topic in TOPICS}
    return {topic: json.loads(file.read_text())["cases"] for topic, file in files.items() if file.exists()}


def page(results: Mapping[str, Cases]) -> str:
    """Return the whole page."""
    parts = [HEAD, glance(results), *(section(topic, cases) for topic, cases in results.items())]
    return "\n".join(parts).rstrip() + "\n"


def main() -> None:
    """Write the page and the picture."""
    results = saved()
    PAGE.write_text(page(results), encoding="utf-8")
    if "growth" in results:
        draw(results["growth"], PICTURE)


if __name__ == "__main__":
    main()
