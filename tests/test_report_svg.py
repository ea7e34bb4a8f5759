"""Charts: well-formed, accessible, escaped, the same for the same numbers, and fit to stand as a file."""

import itertools
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfplay.report import svg
from selfplay.report.svg_primitives import DARK, LIGHT, apart, say, shorten, text_width, ticks

SVG = "{http://www.w3.org/2000/svg}"
BAD = "<script>&\"'\x00\ud800"
EVERY: dict[str, Callable[[], str]] = {
    "line": lambda: svg.line_chart(
        {BAD: [(0, 0.1, 0.0, 0.2), (1, None, None, None), (2, math.nan, 0, 1)]}, BAD, BAD, BAD
    ),
    "bars": lambda: svg.bar_chart({BAD: {BAD: (0.5, 0.4, 0.6), "b": None}}, BAD, BAD, BAD),
    "stacked": lambda: svg.bar_chart({BAD: {BAD: 1, "b": 2}}, BAD, BAD, BAD, stacked=True),
    "histogram": lambda: svg.histogram([1, 2], [0, 1, 2], BAD, BAD),
    "funnel": lambda: svg.funnel([(BAD, 10, BAD), ("b", 0, "")], BAD),
    "scatter": lambda: svg.scatter({BAD: [(1, 2, BAD), (math.inf, 1, "x")]}, BAD, BAD, BAD, connect=True),
    "matrix": lambda: svg.bar_matrix({BAD: [0.1, None]}, [BAD, "b"], {BAD: BAD}, BAD, BAD),
    "empty line": lambda: svg.line_chart({}, "t", "x", "y"),
    "no values": lambda: svg.bar_chart({"a": {"b": None}}, "t", "x", "y"),
    "empty funnel": lambda: svg.funnel([], "t"),
    "empty scatter": lambda: svg.scatter({}, "t", "x", "y"),
    "empty histogram": lambda: svg.histogram([], [0], "t", "x"),
    "empty matrix": lambda: svg.bar_matrix({}, [], {}, "t"),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_chart_is_well_formed_named_and_escaped(name: str) -> None:
    text = EVERY[name]()
    root = ET.fromstring(text.encode("utf-8"))
    title, desc = root[0], root[1]
    assert (
        root.tag == f"{SVG}svg"
        and root.get("role") == "img"
        and title.tag == f"{SVG}title"
        and desc.tag == f"{SVG}desc"
    )
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    allowed = {"svg", "g", "title", "desc", "text", "line", "path", "circle", "rect", "polygon"}
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= allowed
    assert text == EVERY[name]()
    ET.fromstring(svg.standalone(text).encode("utf-8"))


def test_a_histogram_with_the_wrong_edges_is_refused() -> None:
    with pytest.raises(ValueError, match="2 counts and 2 edges; give one edge more"):
        svg.histogram([1, 2], [0, 1], "t", "x")


def test_each_series_is_drawn_with_its_name_and_hints() -> None:
    root = ET.fromstring(
        svg.line_chart({"a": [(0, 0.1, 0.05, 0.15), (1, 0.2, 0.1, 0.3)], "b": [(0, 1, None, None)]}, "T", "round", "y")
    )
    words = ["".join(e.itertext()) for e in root.iter(f"{SVG}text")]
    assert {"a", "b", "T", "y", "round"} <= set(words)
    assert any("a: 0.200 [0.100, 0.300] at round 1" in (e.text or "") for e in root.iter(f"{SVG}title"))
    assert len(list(root.iter(f"{SVG}polygon"))) == 1


@settings(derandomize=True, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=12))
def test_any_finite_points_stay_inside_the_picture(points: list[tuple[float, float]]) -> None:
    root = ET.fromstring(svg.line_chart({"a": [(x, y, y - 1, y + 1) for x, y in points]}, "t", "x", "y"))
    for element in root.iter(f"{SVG}circle"):
        assert -0.01 <= float(element.get("cx", "nan")) <= 480 and 0 <= float(element.get("cy", "nan")) <= 280


@settings(derandomize=True, deadline=None)
@given(st.lists(st.floats(0, 200), max_size=11))
def test_labels_are_pushed_apart_and_keep_their_order(wanted: list[float]) -> None:
    placed = apart(wanted, 16, 0, 200)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    gaps = [placed[b] - placed[a] for a, b in itertools.pairwise(order)]
    assert all(gap >= 16 - 1e-9 for gap in gaps) and all(-1e-9 <= p <= 200 + 1e-9 for p in placed)


@settings(derandomize=True, deadline=None)
@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_ticks_span_the_range_with_a_round_step(low: float, size: float) -> None:
    marks, step = ticks(low, low + size)
    assert marks[0] <= low + step * 1e-6 and marks[-1] >= low + size - step * 1e-6 and 2 <= len(marks) <= 13
    assert f"{step:.3e}"[0] in "125"


def test_numbers_are_short_and_honest() -> None:
    assert [say(v) for v in (None, math.nan, 0, 3.0, 0.47219, 12345, 3_400_000, 0.00004)] == [
        "\u2013",
        "\u2013",
        "0",
        "3",
        "0.472",
        "12.3k",
        "3.4M",
        "4e-05",
    ]
    assert [say(0.25, 0.25), say(0.2, 0.1), say(10, 5)] == ["0.25", "0.2", "10"]
    assert shorten("a" * 100, 50).endswith("\u2026") and text_width(shorten("a" * 100, 50)) <= 50


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(("palette", "paper"), [(LIGHT, "#ffffff"), (DARK, "#14181d")])
def test_every_colour_can_be_read_as_text_on_its_paper(palette: tuple[str, ...], paper: str) -> None:
    for color in palette:
        low, high = sorted((_luminance(color), _luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, color
