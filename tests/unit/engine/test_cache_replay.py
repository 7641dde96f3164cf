"""Whole stories about one file and its caches, told in text files and played with the rules alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.engine.cache_replay import Replay

CASES = Path(__file__).parent / "caching_cases"


def stories() -> list[tuple[str, list[str]]]:
    """(title, lines) of every case: a title begins with "#", an empty line ends it."""
    found: list[tuple[str, list[str]]] = []
    for path in sorted(CASES.glob("*.txt")):
        for block in path.read_text().split("\n\n"):
            title, *lines = [line for line in block.splitlines() if line.strip()]
            assert title.startswith("# "), f"{path.name}: a case without a title: {title}"
            found.append((f"{path.stem}: {title[2:]}", lines))
    return found


STORIES = stories()


@pytest.mark.parametrize("lines", [lines for _, lines in STORIES], ids=[title for title, _ in STORIES])
def test_a_story_ends_as_it_is_told(lines: list[str]) -> None:
    replay = Replay()
    for line in lines:
        happens, _, results = line.partition("=>")
        wanted = [result.strip() for result in results.split(";") if result.strip()]
        assert replay.step(happens.strip()) == wanted, line


def test_there_are_stories() -> None:
    assert len(STORIES) > 30
