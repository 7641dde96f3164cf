"""Pictures of a run as SVG: lines over a quantity, and ratios with their spread.

Knows: coordinates and SVG.  Must not know: what the figures mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 34, 44, 60
COLOURS = ("#1b6ca8", "#c8553d", "#3f8f4f", "#8b5fbf", "#b08900", "#555555")
ROW_HEIGHT = 22
LABEL_WIDTH = 270


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name and its points (x, y), in the order of x."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines in one frame; a logarithmic axis leaves out what is not above 0."""

    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    x_names: Sequence[str] = ()
    """Names for x = 0, 1, 2 … instead of numbers."""


@dataclass(frozen=True, slots=True)
class RatioRow:
    """A ratio, the smallest and largest of its rounds, and the ratio that is allowed (None: none is)."""

    label: str
    median: float
    lowest: float
    highest: float
    allowed: float | None = None


@dataclass(frozen=True, slots=True)
class RatioChart:
    """Ratios one below the other, with a rule at 1."""

    title: str
    rows: Sequence[RatioRow]


Chart = LineChart | RatioChart


def draw(charts: Sequence[Chart]) -> str:
    """The charts one below the other, as an SVG document."""
    pieces, top = [], 0.0
    for chart in charts:
        piece, height = _ratio_chart(chart) if isinstance(chart, RatioChart) else (_line_chart(chart), float(HEIGHT))
        piece.set("transform", f"translate(0 {top:g})")
        pieces.append(piece)
        top += height
    root = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", width=str(WIDTH), height=f"{top:g}",
        viewBox=f"0 0 {WIDTH} {top:g}",
    )  # fmt: skip
    root.set("font-family", "sans-serif")
    root.set("font-size", "12")
    ElementTree.SubElement(root, "rect", width="100%", height="100%", fill="white")
    root.extend(pieces)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def ticks(lowest: float, highest: float, log: bool) -> list[float]:
    """Round values on an axis from `lowest` to `highest`, between 2 and about 10 of them."""
    if log:
        first = math.floor(math.log10(lowest))
        last = max(math.ceil(math.log10(highest)), first + 1)
        return [10.0**exponent for exponent in range(first, last + 1)]
    # A range that is nothing beside its numbers would need more digits than there are.
    is_point = highest - lowest <= 1e-6 * abs(highest)
    rough = (abs(highest) or 1.0) if is_point else (highest - lowest) / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    first = math.floor(lowest / step)
    last = max(math.ceil(highest / step), first + 1)
    return [step * number for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class _Axis:
    """From values to pixels."""

    lowest: float
    highest: float
    start: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        low, high, here = (math.log10(one) if self.log else one for one in (self.lowest, self.highest, value))
        share = (here - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def _line_chart(chart: LineChart) -> ElementTree.Element:
    group = ElementTree.Element("g")
    _text(group, WIDTH / 2, 22, chart.title, anchor="middle", size=14)
    kept = [
        Line(line.name, [(x, y) for x, y in line.points if (x > 0 or not chart.log_x) and (y > 0 or not chart.log_y)])
        for line in chart.lines
    ]
    points = [point for line in kept for point in line.points]
    if not points:
        _text(group, WIDTH / 2, HEIGHT / 2, "nothing was measured", anchor="middle")
        return group
    xs = [x for x, _ in points]
    x_ticks = [float(x) for x in range(len(chart.x_names))] or ticks(min(xs), max(xs), chart.log_x)
    ys = [y for _, y in points]
    y_ticks = ticks(min(ys) if chart.log_y else 0.0, max(ys), chart.log_y)
    across = _Axis(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT, chart.log_x)
    up = _Axis(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP, chart.log_y)
    for tick in y_ticks:
        _rule(group, LEFT, up.at(tick), WIDTH - RIGHT, up.at(tick))
        _text(group, LEFT - 6, up.at(tick) + 4, f"{tick:g}", anchor="end")
    for tick in x_ticks:
        _rule(group, across.at(tick), TOP, across.at(tick), HEIGHT - BOTTOM)
        name = chart.x_names[int(tick)] if chart.x_names else f"{tick:g}"
        _text(group, across.at(tick), HEIGHT - BOTTOM + 16, name, anchor="middle")
    _text(group, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 32, chart.x_label, anchor="middle")
    _text(group, 4, TOP - 12, chart.y_label)
    for index, line in enumerate(kept):
        _draw_line(group, line, across, up, index)
    return group


def _draw_line(group: ElementTree.Element, line: Line, across: _Axis, up: _Axis, index: int) -> None:
    colour = COLOURS[index % len(COLOURS)]
    where = [(across.at(x), up.at(y)) for x, y in line.points]
    ElementTree.SubElement(
        group, "polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in where), fill="none", stroke=colour,
    ).set("stroke-width", "2")  # fmt: skip
    for x, y in where:
        ElementTree.SubElement(group, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3", fill=colour)
    _text(group, LEFT + 140 * (index % 3), HEIGHT - 12 + 14 * (index // 3), f"\u25cf {line.name}", colour=colour)


def _ratio_chart(chart: RatioChart) -> tuple[ElementTree.Element, float]:
    group = ElementTree.Element("g")
    _text(group, WIDTH / 2, 22, chart.title, anchor="middle", size=14)
    values = [value for row in chart.rows for value in (row.lowest, row.highest, row.allowed or 1.0)]
    x_ticks = ticks(min([*values, 1.0]), max([*values, 1.0]), log=False)
    across = _Axis(x_ticks[0], x_ticks[-1], LABEL_WIDTH, WIDTH - RIGHT, log=False)
    bottom = TOP + ROW_HEIGHT * len(chart.rows)
    for tick in x_ticks:
        _rule(group, across.at(tick), TOP, across.at(tick), bottom)
        _text(group, across.at(tick), bottom + 16, f"{tick:g}", anchor="middle")
    _rule(group, across.at(1.0), TOP, across.at(1.0), bottom, "#333333")
    for index, row in enumerate(chart.rows):
        middle = TOP + ROW_HEIGHT * (index + 0.5)
        beyond = row.allowed is not None and row.median > row.allowed
        colour = COLOURS[1] if beyond else COLOURS[0]
        _text(group, LABEL_WIDTH - 8, middle + 4, row.label, anchor="end")
        _rule(group, across.at(row.lowest), middle, across.at(row.highest), middle, colour, 2)
        ElementTree.SubElement(
            group, "circle", cx=f"{across.at(row.median):.1f}", cy=f"{middle:.1f}", r="4", fill=colour
        )
        if row.allowed is not None:
            at = across.at(row.allowed)
            _rule(group, at, middle - 8, at, middle + 8, COLOURS[2], 2)
    return group, bottom + 36


def _rule(
    group: ElementTree.Element, x1: float, y1: float, x2: float, y2: float, colour: str = "#dddddd", width: int = 1
) -> None:
    ElementTree.SubElement(
        group, "line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", stroke=colour
    ).set("stroke-width", str(width))


def _text(
    group: ElementTree.Element, x: float, y: float, text: str, *, anchor: str = "start", size: int = 12,
    colour: str = "black",
) -> None:  # fmt: skip
    element = ElementTree.SubElement(group, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=colour)
    element.set("text-anchor", anchor)
    element.set("font-size", str(size))
    element.text = text
