"""The competitors of every benchmark compute the same numbers, at small sizes, with the libraries there are."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import race

from conftest import NAMED

TOPICS = race.topics()
LIBRARIES = {"jax": ("JAX",), "torch": ("torch", "tensorgrad")}  # how the peers of an environment in .ci/run begin


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


@pytest.mark.parametrize("topic", ["fused", "hessians"])
def test_a_named_library_competes(topic: str) -> None:
    """Where CI installs a library, its peers are there to be compared."""
    peers = next(r for name, r in CASES.items() if name.startswith(topic)).make()
    for beginning in LIBRARIES[NAMED] if NAMED else ["chainrule", "by hand"]:
        assert any(name.startswith(beginning) for name in peers), f"no peer {beginning}"


# --- the harness itself
def test_a_wrong_peer_is_named_and_not_timed() -> None:
    a = np.arange(4.0)
    r = race.Race("sum", lambda: {"chainrule": lambda: a.sum(), "by hand": lambda: sum(a), "zeros": lambda: 0.0})
    result = race.raced(r, 0.0)
    assert set(result.median_ms) == {"chainrule", "by hand"} and "zeros" in result.wrong
    assert result.ratio["chainrule"] == 1.0


def test_a_timed_sample_follows_an_untimed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Except for what takes so long that nothing before it matters."""
    monkeypatch.setattr(race, "SAMPLE", 0.0)  # one call each
    monkeypatch.setattr(race, "SETTLE", 0.0)  # and one before it
    calls: dict[float, list[str]] = {0.0: [], float("inf"): []}
    for long, made in calls.items():
        monkeypatch.setattr(race, "LONG", long)
        peers = {name: lambda name=name, made=made: made.append(name) or 1.0 for name in ("chainrule", "by hand")}
        rounds = race.raced(race.Race("one", lambda peers=peers: peers), 0.0).rounds
    without, with_untimed = calls.values()
    assert len(with_untimed) - len(without) == 2 * rounds
    raced = with_untimed[-4 * rounds :]
    assert raced[::2] == raced[1::2]


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
