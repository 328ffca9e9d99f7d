"""The competitors of every benchmark compute the same numbers, at small sizes, with the libraries there are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import race

FOLDER = Path(__file__).parents[1] / "benchmarks"
TOPICS = sorted(file.stem for file in FOLDER.glob("*.py") if "def races(" in file.read_text() and file.stem != "race")


def small_races() -> Iterator[tuple[str, race.Race]]:
    for topic in TOPICS:
        for r in importlib.import_module(topic).races(True):
            yield f"{topic}: {r.case}", r


CASES = dict(small_races())


@pytest.mark.parametrize("r", CASES.values(), ids=CASES.keys())
def test_competitors_agree(r: race.Race) -> None:
    peers = r.make()
    assert r.ours in peers
    if len(peers.keys() - r.unchecked) == 1:
        pytest.skip("the libraries to compare with are not installed here")
    assert race.disagreements(r, peers) == {}


# --- the harness itself
def test_a_wrong_peer_is_named_and_not_timed() -> None:
    a = np.arange(4.0)
    r = race.Race("sum", lambda: {"chainrule": lambda: a.sum(), "by hand": lambda: sum(a), "zeros": lambda: 0.0})
    result = race.raced(r, 0.0)
    assert set(result.median_ms) == {"chainrule", "by hand"} and "zeros" in result.wrong
    assert result.ratio["chainrule"] == 1.0


def test_ours_must_be_right() -> None:
    with pytest.raises(AssertionError, match="relative error"):
        race.raced(race.Race("one", lambda: {"chainrule": lambda: 2.0, "by hand": lambda: 1.0}), 0.0)


@pytest.mark.parametrize("found", [np.ones(3), np.array([1.0, np.nan]), (np.ones(2), np.ones(2)), np.ones((2, 1))])
def test_other_shapes_and_nan_are_errors(found: object) -> None:
    assert race.error_between(found, np.ones(2)) == float("inf")
    assert race.error_between(np.array([1.0, np.nan]), np.array([1.0, np.nan])) == 0


def test_figures_of_other_cases_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(race, "RESULTS", tmp_path)
    for case in ("a", "b"):
        path = race.saved("topic", [race.Result(case, {"chainrule": 1.0}, {"chainrule": 1.0}, {}, 5, {})])
    assert '"a"' in path.read_text() and '"b"' in path.read_text()
