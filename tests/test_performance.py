"""The page on performance and its picture show the figures that are saved; nothing is timed here."""

from __future__ import annotations

import html
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import race

pytest.importorskip("matplotlib")
SCRIPT = Path(__file__).parents[1] / "docs" / "performance.py"


@pytest.fixture(scope="module")
def performance() -> ModuleType:
    spec = importlib.util.spec_from_file_location("performance", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["performance"] = module
    spec.loader.exec_module(module)
    return module


def case(ours: float, **ratios: float) -> dict[str, object]:
    ratios = {"chainrule": 1.0, **{name.replace("_", " "): r for name, r in ratios.items()}}
    return {"median_ms": {name: ours * r for name, r in ratios.items()}, "times_ours": ratios, "wrong": {}}


def test_every_topic_has_its_place(performance: ModuleType) -> None:
    assert set(performance.TOPICS) == set(race.topics())


def test_page_is_made_from_the_saved_figures(performance: ModuleType) -> None:
    assert performance.PAGE.read_text(encoding="utf-8") == performance.page(performance.saved()), (
        "run: python docs/performance.py"
    )


def test_picture_is_drawn_from_the_saved_figures(performance: ModuleType) -> None:
    """A picture holds its data, as the drawing itself differs between versions of matplotlib."""
    text = re.search(r"<dc:description>(.*?)</dc:description>", performance.PICTURE.read_text(encoding="utf-8"))
    assert text, "the picture has no description"
    wanted = performance.curves(performance.saved()["growth"])
    assert json.loads(html.unescape(text[1])) == json.loads(json.dumps(wanted)), "run: python docs/performance.py"


def test_every_figure_of_growth_is_a_point(performance: ModuleType) -> None:
    cases = performance.saved()["growth"]
    figure = performance.drawn(cases)
    drawn = {
        (axes.get_xlabel(), line.get_label(), x, y)
        for axes in figure.axes
        for line in axes.get_lines()
        for x, y in line.get_xydata()
        if line.get_label() != "in proportion"
    }
    words = {peer: label for peer, (_, label) in performance.LINES.items()}
    assert drawn == {
        (c["facts"]["grows"], words[peer], c["facts"][c["facts"]["grows"]], c["median_ms"][peer])
        for c in cases.values()
        for peer in words
    }


def test_the_line_of_reference_has_slope_one(performance: ModuleType) -> None:
    for axes in performance.drawn(performance.saved()["growth"]).axes:
        (line,) = [line for line in axes.get_lines() if line.get_label() == "in proportion"]
        (x0, y0), (x1, y1) = line.get_xydata()
        assert y1 / y0 == pytest.approx(x1 / x0) and x1 > x0


def test_a_glance_is_of_the_largest_case_of_each_kind(performance: ModuleType) -> None:
    cases = {
        "cost, N = 10, d = 3, float64": case(1, limit=0.1, by_hand=0.2, torch_eager=0.3),
        "cost, N = 1000, d = 3, float64": case(9, limit=0.5, by_hand=2, torch_eager=4, JAX_jit=3),
        "hinge, N = 1000, d = 3, float64": case(9, limit=0.7, by_hand=1.5, torch_eager=5, JAX_jit=6),
    }
    line = performance.glance({"fused": cases}).splitlines()[-1]
    assert line.split(" | ")[1:] == ["0.5–0.7×", "1.5–2×", "3–5× (JAX jit) |"]


def test_a_wrong_framework_is_not_the_best(performance: ModuleType) -> None:
    found = case(1, torch_eager=2) | {"wrong": {"JAX jit": "relative error 1"}}
    assert performance.best_framework(performance.ratios_to("chainrule", found)) == [(2, "torch eager")]
    assert performance.cell(found, "JAX jit") == "wrong"


def test_a_glance_at_layers_has_ours_through_numba_too(performance: ModuleType) -> None:
    cases = {"layernorm, 8 × 6": case(1, by_hand=3, torch_native=2)}
    cases["layernorm, 8 × 6"]["times_ours"]["chainrule, numba"] = 0.5
    torch_code, numba = performance.glance({"backwards": cases}).splitlines()[-2:]
    assert torch_code.endswith("| 3× | 2× (torch native) |") and numba.endswith("| 6× | 4× (torch native) |")


def test_rows_go_from_small_to_large(performance: ModuleType) -> None:
    titles = ["b, N = 200", "a, N = 1000, d = 3", "b, N = 30", "a, N = 20, d = 100"]
    assert list(performance.ordered(dict.fromkeys(titles, {}))) == [titles[k] for k in (2, 0, 3, 1)]
