"""The harness of the timed benchmarks: peers take turns in one process; medians and ratios become a table and JSON.

A topic is a file with `races(small)`, which yields a `Race` for each case, and ends with `main("topic", races)`:

    def races(small: bool = False) -> Iterator[Race]:
        n = 30 if small else 1000
        yield Race(f"quadratic, n = {n}", lambda: quadratic(n))       # the peers are made when their turn comes

    def quadratic(n) -> Peers:                                      # name -> call without arguments, finished when back
        return {"chainrule": lambda: ours(A=A), "by hand": lambda: A + A.T, "JAX jit": lambda: ready(jitted(A))}

Before a case is timed, every peer's result is compared with the reference's (the peer "by hand", or the first one).
A peer that disagrees is named in the table as wrong, with its error, and is not timed; if ours disagrees, that is an
error. `tests/test_benchmarks.py` does the same comparison for `races(small=True)` of every topic.

Each timed sample follows an untimed one of the same peer. Without it a peer pays for the one before: its data has
left the cache, its threads sleep, and those of another's BLAS or OpenMP spin on, for some milliseconds, on a core that
it needs. Measured with 2 cores on a cost of 10 000 × 10, right after another peer, and after an untimed sample of its
own: torch 0.38 and 0.19 ms, JAX 0.18 and 0.12 ms, ours 0.13 and 0.10 ms. In large cases one sample is not enough: what
went before may have left two threads on one core, and Linux takes 100 ms to part them (layer normalisation through
numba: 5.4 ms for so long, then 2.8). So everyone runs untimed for `SETTLE`; who takes longer than `LONG` goes without.
Options of a topic:

    python benchmarks/topic.py [--only WORDS] [--seconds S] [--small] [--list]

`--only` runs the cases whose title holds the words; results/<topic>.json keeps the last run of every case. With the
same options, `python benchmarks/race.py` runs every topic, and `python docs/performance.py` writes the page on them.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

Peers = dict[str, Callable[[], Any]]
OURS = "chainrule"
FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results"
PACKAGES = ("numpy", "scipy", "sympy", "numba", "jax", "jaxlib", "torch", "tensorgrad")
SAMPLE = 1e-3  # seconds: what is faster is repeated until it takes this long
SETTLE = 0.12  # seconds
LONG = 1.0  # seconds: what went before changes nothing that lasts longer
ROUNDS = 5  # at least


@dataclass(frozen=True)
class Race:
    """One case: what it is called, a function that makes the peers, and how nearly they have to agree.

    `unchecked` are peers whose result is not comparable, such as the limit that memory sets; `ours` is whom the others
    are divided by. `facts` (sizes, bytes, operations) are saved with the figures.
    """

    case: str
    make: Callable[[], Peers]
    tolerance: float = 1e-8
    unchecked: frozenset[str] = frozenset()
    ours: str = OURS
    facts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The figures of a race: medians in milliseconds, medians of the ratios to ours, and the errors of who is wrong."""

    case: str
    median_ms: dict[str, float]
    ratio: dict[str, float]
    wrong: dict[str, str]
    rounds: int
    facts: Mapping[str, float | str]


# --- the same numbers
def installed(*names: str) -> bool:
    """Return whether all these packages can be imported."""
    return all(importlib.util.find_spec(name) is not None for name in names)


def arrays_of(result: Any) -> list[np.ndarray]:
    """Return a result, one array or several from any library, as NumPy arrays."""
    parts = result if isinstance(result, tuple | list) else (result,)
    return [np.asarray(part.detach().cpu() if hasattr(part, "detach") else part) for part in parts]


def error_between(found: Any, wanted: Any) -> float:
    """Return the largest difference relative to the largest entry; infinite for other shapes or for what is no number.

    Entries that are NaN in both count as equal.
    """
    worst = 0.0
    pairs = arrays_of(found), arrays_of(wanted)
    if len(pairs[0]) != len(pairs[1]):
        return float("inf")
    for a, b in zip(*pairs, strict=True):
        if a.shape != b.shape:
            return float("inf")
        if a.size:
            a, b = a.astype(np.float64), b.astype(np.float64)
            gap = np.max(np.where(np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b)))
            scale = max(float(np.nanmax(np.abs(b))), 1e-300)
            worst = max(worst, float("inf") if np.isnan(gap) else float(gap) / scale)
    return worst


def disagreements(race: Race, peers: Peers) -> dict[str, str]:
    """Return who does not compute the numbers of the reference, each with its error or its exception."""
    checked = [name for name in peers if name not in race.unchecked]
    reference = "by hand" if "by hand" in checked else checked[0]
    wanted = [np.array(part) for part in arrays_of(peers[reference]())]
    wrong = {}
    for name in checked:
        try:
            error = error_between(peers[name](), wanted)
        except Exception as problem:  # a peer's own failure is a finding, and the others still race
            if name == race.ours:
                raise
            wrong[name] = f"{type(problem).__name__}: {problem}"[:200]
            continue
        if not error <= race.tolerance:
            wrong[name] = f"relative error {error:.1e}"
    return wrong


# --- the time
def timed(run: Callable[[], Any], number: int) -> float:
    """Return the seconds that one of `number` calls takes."""
    start = time.perf_counter()
    for _ in range(number):
        run()
    return (time.perf_counter() - start) / number


def settle(run: Callable[[], Any]) -> None:
    """Call untimed, once at least, until threads and caches are as this peer has them by itself."""
    end = time.perf_counter() + SETTLE
    run()
    while time.perf_counter() < end:
        run()


def raced(race: Race, seconds: float) -> Result:
    """Compare, then time the peers in turns for about this long. Raises: AssertionError if ours is wrong."""
    peers = race.make()
    wrong = disagreements(race, peers)
    assert race.ours not in wrong, f"{race.case}: {wrong[race.ours]}"
    runners = {name: run for name, run in peers.items() if name not in wrong}
    numbers, short = {}, set()
    for name, run in runners.items():
        run()
        once = timed(run, 1)
        numbers[name] = max(1, round(SAMPLE / max(once, 1e-9)))
        short |= {name} if once < LONG else set()
    samples: dict[str, list[float]] = {name: [] for name in runners}
    gc.collect()
    gc.disable()
    end = time.perf_counter() + seconds
    while len(samples[race.ours]) < ROUNDS or time.perf_counter() < end:
        turn = len(samples[race.ours]) % len(runners)
        for name in [*list(runners)[turn:], *list(runners)[:turn]]:
            if name in short:
                settle(runners[name])
            samples[name].append(timed(runners[name], numbers[name]))
    gc.enable()
    ours = samples[race.ours]
    ratios = {
        name: statistics.median(t / o for t, o in zip(times, ours, strict=True)) for name, times in samples.items()
    }
    medians = {name: 1e3 * statistics.median(times) for name, times in samples.items()}
    return Result(race.case, medians, ratios, wrong, len(ours), race.facts)


# --- what is shown and kept
def table(title: str, results: Sequence[Result]) -> Table:
    """Return a table: a row for each case, a column for each peer, milliseconds and how many times ours."""
    names = list(dict.fromkeys(name for r in results for name in (*r.median_ms, *r.wrong)))
    shown = Table(title=title, title_justify="left", caption="median ms (× ours), peers in turns in one process")
    shown.add_column("case")
    for name in names:
        shown.add_column(name, justify="right")
    for r in results:
        shown.add_row(r.case, *(_cell(r, name) for name in names))
    return shown


def _cell(r: Result, name: str) -> str:
    if name in r.wrong:
        return f"wrong: {r.wrong[name][:40]}"
    return f"{r.median_ms[name]:.4g} ({r.ratio[name]:.2f}×)" if name in r.median_ms else ""


def speed_together() -> float:
    """Return how many times as fast as one all cores compute, to a half: 1 where they are threads of one core."""
    x, count, cores = np.full(1 << 15, 0.5, np.float32), 300, os.cpu_count() or 1

    def work(_: object = None) -> None:
        room = np.empty_like(x)
        for _ in range(count):
            np.exp(x, out=room)

    with ThreadPoolExecutor(cores) as pool:
        ratios = []
        for _ in range(5):
            alone = timed(work, 1)
            ratios.append(cores * alone / timed(lambda: list(pool.map(work, range(cores))), 1))
    return round(2 * statistics.median(ratios)) / 2


def machine() -> dict[str, Any]:
    """Return what the figures depend on: the processor, its cores, the versions of what ran."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "speed_together": speed_together(),
        "python": platform.python_version(),
        "packages": found,
    }


def saved(topic: str, results: Iterable[Result]) -> Path:
    """Write the results into results/<topic>.json, beside the cases of earlier runs that were not run now."""
    path = RESULTS / f"{topic}.json"
    kept = json.loads(path.read_text())["cases"] if path.exists() else {}
    now = made_here()
    for r in results:
        ratios = {name: round(value, 3) for name, value in r.ratio.items()}
        medians = {name: round(value, 6) for name, value in r.median_ms.items()}
        figures = {"median_ms": medians, "times_ours": ratios, "wrong": r.wrong, "rounds": r.rounds}
        kept[r.case] = {**now, **figures, "facts": dict(r.facts)}
    return written(topic, {"topic": topic, "cases": kept})


def written(topic: str, figures: Mapping[str, Any]) -> Path:
    """Write figures into results/<topic>.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{topic}.json"
    path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
    return path


def made_here() -> dict[str, Any]:
    """Return when and where figures are made."""
    return {"date": time.strftime("%Y-%m-%d"), "machine": machine()}


def main(topic: str, races: Callable[[bool], Iterator[Race]]) -> None:
    """Run the races of a topic as the command line asks, print the table and save the figures."""
    options = argparse.ArgumentParser(description=f"benchmark: {topic}")
    options.add_argument("--only", default="", help="run the cases whose title holds these words")
    options.add_argument("--seconds", type=float, default=3.0, help="for each case")
    options.add_argument("--small", action="store_true", help="small sizes; nothing is saved")
    options.add_argument("--list", action="store_true", help="print the titles only")
    asked = options.parse_args()
    console = Console(width=180, highlight=False)
    results = []
    for race in races(asked.small):
        if asked.only and not all(word in race.case for word in asked.only.split()):
            continue
        if asked.list:
            console.print(race.case)
            continue
        results.append(raced(race, asked.seconds))
        shown = ", ".join(f"{name} {_cell(results[-1], name)}" for name in (*results[-1].median_ms, *results[-1].wrong))
        console.print(f"{race.case}: {shown}", soft_wrap=True)
        if not asked.small:
            saved(topic, results[-1:])
    if results:
        console.print(table(topic, results))


def topics() -> list[str]:
    """Return the names of the files here that have races."""
    return sorted(file.stem for file in FOLDER.glob("*.py") if "\ndef races(" in file.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for topic in topics():
        subprocess.run([sys.executable, FOLDER / f"{topic}.py", *sys.argv[1:]], check=True)
