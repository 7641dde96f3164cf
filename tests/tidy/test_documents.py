"""ARCHITECTURE.md's map is the tree on disk, and the documents' links lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tools.draw_map import DOCUMENT, FOLDERS, MAP, draw

PROJECT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"\[[^]]+\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")


def documents() -> list[str]:
    """The project's documents, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=PROJECT, capture_output=True, check=True, text=True
    )
    return listed.stdout.splitlines()


def test_the_map_is_the_tree_on_disk() -> None:
    drawn = MAP.search(DOCUMENT.read_text(encoding="utf-8"))
    assert drawn is not None, "ARCHITECTURE.md has no map"
    assert drawn[0] == draw(), "run tools/draw_map.py"


def test_the_folders_that_are_explained_are_there() -> None:
    assert [folder for folder in FOLDERS if not (PROJECT / folder).is_dir()] == []


@pytest.mark.parametrize("document", documents())
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (PROJECT / document).read_text(encoding="utf-8")
    for match in LINK.finditer(text):
        assert ((PROJECT / document).parent / match["target"]).exists(), f"{document}: {match['target']}"
