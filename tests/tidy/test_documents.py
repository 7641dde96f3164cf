"""ARCHITECTURE.md's map is the tree on disk, and the documents' links lead somewhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MAP_LINE = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z0-9_.-]+/?)(?: {2,}.*)?$")
LINK = re.compile(r"\[[^]]+\]\((?P<target>[^)#:]+)(?:#[^)]*)?\)")


def tracked() -> set[str]:
    """Paths of the project's files, relative to its root."""
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, check=True, text=True)
    return set(listed.stdout.splitlines())


def mapped() -> set[str]:
    """Paths that the map in ARCHITECTURE.md names; folders end in a slash."""
    text = (PROJECT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = re.search(r"## The map\n.*?```\n(?P<map>.*?)```", text, re.DOTALL)
    assert block is not None, "ARCHITECTURE.md has no map"
    paths: set[str] = set()
    parents: list[str] = []
    for line in block["map"].splitlines():
        match = MAP_LINE.match(line)
        assert match is not None, f"not a line of the map: {line!r}"
        depth = len(match["indent"]) // 2
        path = "".join(parents[:depth]) + match["name"]
        paths.add(path)
        if path.endswith("/"):
            parents[depth:] = [match["name"]]
    return paths


def test_what_the_map_names_is_there() -> None:
    for path in mapped():
        assert (PROJECT / path).exists(), f"{path} is on the map and not on disk"
        assert (PROJECT / path).is_dir() == path.endswith("/")


def test_every_module_of_the_server_is_on_the_map() -> None:
    on_map = mapped()
    code = {
        path for path in tracked()
        if path.startswith(("smbd_uring/", "netlink/")) and path.endswith((".py", ".pyx"))
        and not path.endswith("__init__.py")
    }  # fmt: skip
    assert code - on_map == set()


def test_every_top_level_folder_is_on_the_map() -> None:
    folders = {path.split("/")[0] + "/" for path in tracked() if "/" in path}
    assert folders - mapped() == set()


@pytest.mark.parametrize("document", sorted(path for path in tracked() if path.endswith(".md")))
def test_links_between_documents_lead_somewhere(document: str) -> None:
    text = (PROJECT / document).read_text(encoding="utf-8")
    for match in LINK.finditer(text):
        assert ((PROJECT / document).parent / match["target"]).exists(), f"{document}: {match['target']}"
