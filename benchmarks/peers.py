"""Symbolic peers on the public corpus: SymPy's `diff`, tensorgrad's `grad` with `full_simplify`, ours in between.

    uv run --group bench python benchmarks/peers.py

tensorgrad needs PyTorch, which the lock file must not have. Give it an environment of its own, and run there:

    python -m venv peers && peers/bin/pip install torch==2.13.0
    peers/bin/pip install --no-deps tensorgrad==0.3.0
    peers/bin/pip install sympy networkx==3.2.1 opt_einsum sparse pdf2image numpy rich click
    PYTHONPATH=src peers/bin/python benchmarks/peers.py

A peer that cannot be imported is left out and named. For every problem that a peer has words for (`translation.py`),
its derivative and ours are evaluated at the corpus's point and compared with the corpus's answer; what is wrong, fails,
or takes longer than `PATIENCE` seconds is counted and not timed. The peers take turns in one process.
"""

from __future__ import annotations

import contextlib
import gc
import json
import signal
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from race import installed, made_here, written
from translation import PEERS, Translator, Untranslatable

import chainrule as cr
from chainrule.evaluate import evaluate

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"
TOLERANCE = 1e-7
PATIENCE = 3  # seconds for one derivative of a peer
ROUNDS = 3


@dataclass
class Score:
    """How a peer did: the milliseconds of what it got right, and ours for the same problems."""

    theirs: dict[str, float] = field(default_factory=dict)
    ours: dict[str, float] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    untranslated: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Raise TimeoutError after `PATIENCE` seconds."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"longer than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def problems() -> list[dict[str, Any]]:
    """Return the public corpus, each problem with its first point and the answer there."""
    answers = dict(np.load(CORPUS / "answers.npz"))
    found = json.loads((CORPUS / "public.json").read_text())
    for p in found:
        head = f"{p['id']}|0|"
        p["values"] = {key.removeprefix(head): a for key, a in answers.items() if key.startswith(head)}
        p["answer"] = p["values"].pop("answer")
    return found


def ours(p: dict[str, Any]) -> Callable[[], cr.Expr]:
    """Return the call that differentiates, its function parsed anew."""
    e = cr.parse(p["expr"], shapes=p["shapes"])
    return lambda: cr.jacobian(e, p["wrt"]) if p["order"] == 1 else cr.hessian(e, p["wrt"])


def error_of(found: np.ndarray, p: dict[str, Any]) -> float:
    """Return the largest error relative to the largest entry of the answer."""
    if np.shape(found) != np.shape(p["answer"]):
        return float("inf")
    return float(np.max(np.abs(found - p["answer"]), initial=0) / max(1.0, np.max(np.abs(p["answer"]), initial=0)))


def our_error(p: dict[str, Any]) -> float:
    sizes = {name: count for name, count in p["dims"].items() if name not in p["values"]}
    return error_of(evaluate(ours(p)(), p["values"], sizes), p)


def once_ms(run: Callable[[], object]) -> float:
    """Return the time of one call in milliseconds."""
    gc.collect(0)
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def fresh(kind: type[Translator], p: dict[str, Any]) -> Any:
    """Return a translator with symbols of its own, nothing remembered of earlier calls."""
    if kind.__name__ == "SymPy":
        import sympy

        sympy.core.cache.clear_cache()
    return kind(p["shapes"], p["dims"])


def judge(kind: type[Translator], p: dict[str, Any], score: Score) -> None:
    """Compare a peer on one problem, then time it and ours in turns."""
    name = p["id"]
    try:
        with patience(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            translator = fresh(kind, p)
            translator.formula(p["expr"])
            found = translator.value(
                translator.derivative(p["expr"], p["wrt"], p["order"]), p["values"], np.shape(p["answer"])
            )
        error = error_of(found, p)
    except Untranslatable as reason:
        score.untranslated[name] = str(reason)
        return
    except Exception as problem:  # a peer's own failure is a finding
        score.failed[name] = f"{type(problem).__name__}: {problem}"[:160]
        return
    if not error <= TOLERANCE:
        score.wrong[name] = f"relative error {error:.1e}"
        return
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        times[0].append(once_ms(ours(p)))
        again = fresh(kind, p)
        times[1].append(once_ms(lambda t=again: t.derivative(p["expr"], p["wrt"], p["order"])))
    score.ours[name], score.theirs[name] = map(statistics.median, times)


def compare() -> dict[str, Score]:
    """Return the score of every peer that is installed."""
    np.seterr(all="ignore")
    present = {peer: kind for peer, (kind, packages) in PEERS.items() if installed(*packages)}
    scores = {peer: Score() for peer in present}
    for p in problems():
        assert our_error(p) <= TOLERANCE, p["id"]
        for peer, kind in present.items():
            judge(kind, p, scores[peer])
    return scores


def show(scores: dict[str, Score]) -> None:
    """Print a line for each peer."""
    print(f"{'on the public corpus':36}{'can':>5}{'right':>7}{'ours ms':>10}{'theirs':>10}{'ratio':>8}")
    for peer, s in scores.items():
        can = len(s.theirs) + len(s.wrong) + len(s.failed)
        if s.theirs:
            ratio = statistics.median(s.theirs[name] / s.ours[name] for name in s.theirs)
            mine, other = statistics.median(s.ours.values()), statistics.median(s.theirs.values())
            print(f"{peer:36}{can:5}{len(s.theirs):7}{mine:10.2f}{other:10.2f}{ratio:7.1f}×")
    missing = [peer for peer, (_, packages) in PEERS.items() if not installed(*packages)]
    if missing:
        print("not installed, left out:", ", ".join(missing))


def main() -> None:
    """Compare, print and save."""
    scores = compare()
    show(scores)
    written("peers", {**made_here(), "peers": {k: asdict(s) for k, s in scores.items()}})


if __name__ == "__main__":
    main()
