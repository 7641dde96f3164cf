"""A flame graph as SVG: where processor time went, callers below, what they called above.

Knows: stacks and SVG.  Must not know: how the stacks were taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

WIDTH = 1200
ROW_HEIGHT = 16
TOP = 34
SHARE_MIN = 0.002
"""What took less than this of the whole is left out, and with it everything above it."""
CHARACTER_WIDTH = 6.6
COLOURS = ("#e07b39", "#e8a33d", "#d9603b", "#e6b655", "#cf4f3a")
KERNEL_COLOURS = ("#7aa6c2", "#8fb8cf", "#6b97b5")
KERNEL_MARK = "_[k]"


@dataclass(slots=True)
class Frame:
    """One function where it was called from one stack: its samples, those of what it called included."""

    name: str
    samples: int = 0
    callees: dict[str, Frame] = field(default_factory=dict)


def tree(stacks: Iterable[tuple[Sequence[str], int]]) -> Frame:
    """Stacks (outermost function first, how often it was seen) as one tree with the root `all`."""
    root = Frame("all")
    for names, samples in stacks:
        frame = root
        frame.samples += samples
        for name in names:
            frame = frame.callees.setdefault(name, Frame(name))
            frame.samples += samples
    return root


def without_trunk(root: Frame) -> Frame:
    """The first frame from the root on that calls more than one function: what is below it is in every stack."""
    while len(root.callees) == 1:
        (callee,) = root.callees.values()
        if callee.samples < root.samples:
            break
        root = callee
    return root


def draw(root: Frame, title: str) -> str:
    """The tree as an SVG document; a frame's name and share appear under the mouse."""
    placed = list(_placed(root, 0.0, 0, root.samples))
    depth = max((level for _, _, level in placed), default=0)
    height = TOP + ROW_HEIGHT * (depth + 1) + 8
    svg = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", width=str(WIDTH), height=str(height), viewBox=f"0 0 {WIDTH} {height}"
    )
    svg.set("font-family", "monospace")
    svg.set("font-size", "11")
    ElementTree.SubElement(svg, "rect", width="100%", height="100%", fill="white")
    heading = ElementTree.SubElement(svg, "text", x=str(WIDTH / 2), y="20")
    heading.set("text-anchor", "middle")
    heading.set("font-size", "14")
    heading.text = title
    for frame, left, level in placed:
        width = WIDTH * frame.samples / root.samples
        top = height - 8 - ROW_HEIGHT * (level + 1)
        group = ElementTree.SubElement(svg, "g")
        share = frame.samples / root.samples
        ElementTree.SubElement(group, "title").text = f"{frame.name}: {share:.1%}"
        ElementTree.SubElement(
            group, "rect", x=f"{left:.2f}", y=str(top), width=f"{width:.2f}", height=str(ROW_HEIGHT - 1),
            fill=_colour(frame.name),
        )  # fmt: skip
        fits = int((width - 4) / CHARACTER_WIDTH)
        if fits >= 3:
            text = ElementTree.SubElement(group, "text", x=f"{left + 2:.2f}", y=str(top + ROW_HEIGHT - 5))
            text.text = frame.name if len(frame.name) <= fits else frame.name[: fits - 1] + "\u2026"
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def _placed(frame: Frame, left: float, level: int, total: int) -> Iterator[tuple[Frame, float, int]]:
    """Each frame that is wide enough, its left edge, and how many callers it has."""
    if total == 0 or frame.samples / total < SHARE_MIN:
        return
    yield frame, left, level
    for callee in sorted(frame.callees.values(), key=lambda one: one.name):
        yield from _placed(callee, left, level + 1, total)
        left += WIDTH * callee.samples / total


def _colour(name: str) -> str:
    colours = KERNEL_COLOURS if name.endswith(KERNEL_MARK) else COLOURS
    return colours[sum(name.encode()) % len(colours)]
