"""How long parsing, differentiating and a verified derivation take: `uv run --group bench python benchmarks/derive.py`.

Every figure is the median of many repetitions inside this one run, in milliseconds; the import and the cold command
are medians over fresh processes. Results are dropped between repetitions; what the simplifier has settled about the
parts of the function itself stays known, since the function stays alive; "cold" is the first call in a fresh process.
SymPy and tensorgrad are compared in the same run, see `peers.py` for how to have them.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import peers
from race import made_here, written

import chainrule as cr

CORPUS = Path(__file__).parents[1] / "tests" / "corpus" / "public.json"
# fresh processes read compiled bytecode, as any installed package does
CACHING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

EXPRESSIONS: dict[str, tuple[str, str, dict[str, object]]] = {
    "the article's cost": (r"\frac{1}{N}\sum_{i=1}^N (y_i - \max(0, \mathbf{w} \cdot \mathbf{X}_i + b))^2", "w", {}),
    "the same as NumPy text": ("mean((y - max(0, X @ w + b))**2)", "w", {}),
    "a neuron": ("max(0, w @ x + b)", "w", {"w": "d", "x": "d", "b": ()}),
    "ln(sin(x³)²)": ("log(sin(x**3)**2)", "x", {"x": ()}),
    "least squares": ("norm(A @ x - y)**2", "x", {"A": ("m", "n"), "x": "n", "y": "m"}),
    "logistic loss": ("sum(log(1 + exp(-y * (X @ w))))", "w", {"X": ("N", "d"), "w": "d", "y": "N"}),
    "quadratic form": ("x @ A @ x", "x", {"A": ("n", "n"), "x": "n"}),
    "log-determinant": ("logdet(A) + trace(inv(A) @ S)", "A", {"A": ("n", "n"), "S": ("n", "n")}),
    "softmax regression": (
        "-mean(sum(Y * log(softmax(X @ W)), axis=1))",
        "W",
        {"X": ("N", "d"), "W": ("d", "k"), "Y": ("N", "k")},
    ),
    "two layers": (
        "mean((y - relu(X @ W + b) @ v)**2)",
        "W",
        {"X": ("N", "d"), "W": ("d", "h"), "b": "h", "v": "h", "y": "N"},
    ),
}


def median_ms(run: Callable[[], object], repeat: int) -> float:
    """Return the median time of `run` in milliseconds, after one warm-up."""
    run()
    return statistics.median(peers.once_ms(run) for _ in range(repeat))


def measured(text: str, wrt: str, shapes: dict[str, object], repeat: int) -> dict[str, float]:
    """Return the figures of one expression."""
    e = cr.parse(text, shapes=shapes or None)
    return {
        "parse": median_ms(lambda: cr.parse(text, shapes=shapes or None), repeat),
        "gradient": median_ms(lambda: cr.grad(e, wrt), repeat),
        "derivation": median_ms(lambda: cr.derive(e, wrt), max(5, repeat // 4)),
        "printed": median_ms(lambda: str(cr.derive(e, wrt)), max(5, repeat // 4)),
        "cold grad": cold_ms(text, wrt, shapes, "jacobian"),
        "cold derive": cold_ms(text, wrt, shapes, "derive"),
    }


def corpus_ms() -> dict[str, list[float]]:
    """Return the time of the gradient, and of the verified derivation, of every problem of the public corpus: of the
    first call for that problem, and the median of later ones."""
    figures: dict[str, list[float]] = {}
    for problem in json.loads(CORPUS.read_text()):
        e = cr.parse(problem["expr"], shapes=problem["shapes"])
        differentiate = cr.jacobian if problem["order"] == 1 else cr.hessian
        runs = {
            "gradient": (lambda e=e, f=differentiate, p=problem: f(e, p["wrt"]), 3),
            "derivation": (lambda e=e, p=problem: cr.derive(e, p["wrt"]), 1),
        }
        for name, (run, repeat) in runs.items():
            figures.setdefault(f"{name}, first call", []).append(peers.once_ms(run))
            figures.setdefault(name, []).append(median_ms(run, repeat))
    return figures


def cold_ms(text: str, wrt: str, shapes: dict[str, object], call: str, repeat: int = 5) -> float:
    """Return the median time of the first call inside fresh interpreters: nothing is known yet."""
    code = (
        "import time, chainrule as cr\n"
        f"e = cr.parse({text!r}, shapes={shapes or None!r})\n"
        f"t = time.perf_counter(); cr.{call}(e, {wrt!r}); print(time.perf_counter() - t)"
    )
    return inside_ms(code, repeat)


def process_ms(command: list[str], repeat: int = 7) -> float:
    """Return the median wall time of a fresh process in milliseconds; the first run fills the caches."""
    return median_ms(lambda: subprocess.run(command, check=True, capture_output=True, env=CACHING), repeat)


def import_ms(module: str) -> float:
    """Return the median time of an import inside fresh interpreters."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    inside_ms(code, 1)  # fills the caches
    return inside_ms(code, 7)


def inside_ms(code: str, repeat: int) -> float:
    """Return the median of the seconds that the code prints in fresh interpreters, in milliseconds."""
    command = [sys.executable, "-c", code]
    times = [float(subprocess.run(command, check=True, capture_output=True, env=CACHING).stdout) for _ in range(repeat)]
    return 1e3 * statistics.median(times)


def main(repeat: int = 40) -> None:
    """Measure everything, print the table and save it as JSON beside this file."""
    table = {name: measured(*row, repeat) for name, row in EXPRESSIONS.items()}
    columns = list(next(iter(table.values())))
    print(f"{'median of ' + str(repeat) + ', in ms':26}" + "".join(f"{column:>12}" for column in columns))
    for name, row in table.items():
        print(f"{name:26}" + "".join(f"{row[column]:12.2f}" for column in columns))
    command = shutil.which("chainrule")
    processes = {
        "import numpy": import_ms("numpy"),
        "import chainrule (numpy included)": import_ms("chainrule"),
    }
    if command:
        processes["chainrule derive, cold"] = process_ms(
            [command, "derive", EXPRESSIONS["the article's cost"][0], "--wrt", "w"]
        )
    print()
    for name, value in processes.items():
        print(f"{name:40}{value:10.0f} ms")
    corpus = corpus_ms()
    for name, values in corpus.items():
        ordered = sorted(values)
        middle, late = statistics.median(ordered), ordered[int(0.95 * len(ordered))]
        print(f"corpus of {len(values)}, {name:26}{middle:10.2f} ms median, {late:.1f} ms 95th percentile")
    print()
    peers.main()
    written("derive", {**made_here(), "milliseconds": table, "processes": processes, "corpus": corpus})
    print("\nsaved results/derive.json and results/peers.json")


if __name__ == "__main__":
    main()
