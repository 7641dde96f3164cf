"""Rooms of a size a reader can take in: no file over 500 lines, no function over 70."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
SUFFIXES = {".py", ".pyx", ".pxd", ".pyi", ".sh"}


def tracked() -> list[Path]:
    """Source files that belong to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    paths = [PROJECT / name.decode() for name in listed.split(b"\0") if name]
    return sorted(path for path in paths if path.suffix in SUFFIXES and path.is_file())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a Python module and how many lines it has, its docstring included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("path", tracked(), ids=name_of)
def test_a_file_fits(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES_MAX


@pytest.mark.parametrize("path", [path for path in tracked() if path.suffix == ".py"], ids=name_of)
def test_every_function_fits(path: Path) -> None:
    assert [(name, lines) for name, lines in functions(path) if lines > FUNCTION_LINES_MAX] == []


@pytest.mark.parametrize(
    "path",
    [path for path in tracked() if path.suffix == ".py" and path.is_relative_to(PROJECT / "smbd_uring")],
    ids=name_of,
)
def test_a_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
