"""Whole printed derivations, to be read in review: `tests/derivations/*.txt` hold what is printed, errors left out.

`python tests/test_transcripts.py --write` writes them anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from showcases import SHOWCASES

FOLDER = Path(__file__).parent / "derivations"


def transcript(name: str) -> str:
    """Return the derivation as it is printed, the sizes of the errors left out: they differ between machines."""
    d = SHOWCASES[name]()
    assert d.verified, name
    return re.sub(r"✓ (exact|[\d.e+-]+)$", "✓", str(d), flags=re.MULTILINE) + "\n"


def path_of(name: str) -> Path:
    return FOLDER / f"{name.replace(' ', '-')}.txt"


@pytest.mark.parametrize("name", SHOWCASES)
def test_transcript(name: str) -> None:
    assert transcript(name) == path_of(name).read_text(encoding="utf-8")


def test_no_transcript_is_left_over() -> None:
    assert {p.name for p in FOLDER.glob("*.txt")} == {path_of(name).name for name in SHOWCASES}


if __name__ == "__main__" and "--write" in sys.argv:
    FOLDER.mkdir(exist_ok=True)
    for showcase in SHOWCASES:
        path_of(showcase).write_text(transcript(showcase), encoding="utf-8")
