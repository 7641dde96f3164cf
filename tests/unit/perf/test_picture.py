"""Pictures are well-formed SVG that shows what it was given."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smbd_uring.perf.picture import Line, LineChart, RatioChart, RatioRow, draw, ticks

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    """What can be read in it."""
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def line_chart(points: list[tuple[float, float]], log: bool) -> LineChart:
    return LineChart("a title", "connections", "us", [Line("ours", points)], log_x=log, log_y=log)


def test_names_from_outside_cannot_break_it() -> None:
    chart = RatioChart("<script>&", [RatioRow('a "b" <c>', 1.0, 0.9, 1.1, 1.05)])
    assert {"<script>&", 'a "b" <c>'} <= set(texts(draw([chart])))


def test_a_slowdown_has_another_colour() -> None:
    rows = [RatioRow("fine", 1.0, 0.9, 1.1, 1.05), RatioRow("slower", 1.2, 1.1, 1.3, 1.05)]
    root = ElementTree.fromstring(draw([RatioChart("ratios", rows)]))
    fine, slower = [circle.get("fill") for circle in root.iter(f"{SVG}circle")]
    assert fine != slower


def test_every_point_is_a_dot_and_higher_is_higher() -> None:
    root = ElementTree.fromstring(draw([line_chart([(1, 10), (10, 20), (100, 40)], log=True)]))
    across = [float(circle.get("cx", "")) for circle in root.iter(f"{SVG}circle")]
    up = [float(circle.get("cy", "")) for circle in root.iter(f"{SVG}circle")]
    assert across == sorted(across) and up == sorted(up, reverse=True) and len(up) == 3
    # Decades are equally far apart.
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)


def test_without_figures_it_says_so() -> None:
    assert "nothing was measured" in texts(draw([line_chart([], log=False)]))


def test_charts_do_not_overlap() -> None:
    picture = draw([RatioChart("first", [RatioRow("a", 1, 1, 1)]), line_chart([(1, 1)], log=False)])
    tops = [float(top) for top in re.findall(r"translate\(0 ([0-9.]+)\)", picture)]
    assert tops[0] == 0 and tops[1] >= 40 + 22


FIGURES = st.just(0.0) | st.floats(1e-6, 1e9)


@given(st.lists(st.tuples(FIGURES, FIGURES), max_size=8), st.booleans())
def test_any_figures_make_a_picture(points: list[tuple[float, float]], log: bool) -> None:
    picture = draw([line_chart(sorted(points), log)])
    ElementTree.fromstring(picture)
    assert "nan" not in picture and "inf" not in picture


@given(st.floats(0.001, 1e6), st.floats(1, 1e4), st.booleans())
@example(1e6, 1.0000000000000002, False)
def test_ticks_span_the_axis_and_are_few(lowest: float, factor: float, log: bool) -> None:
    found = ticks(lowest, lowest * factor, log)
    assert found[0] <= lowest * 1.0001 and found[-1] >= lowest * factor * 0.9999
    assert found == sorted(set(found)) and 2 <= len(found) <= 12
