"""The parts know only what they may know: who imports whom, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "smbd_uring"

EVERYBODY = {"smbd_uring", "ports", "limits"}
"""Names and numbers: they import nothing of the project and may be imported anywhere but by the companion."""

ALLOWED = {
    "wire": {"wire", "_native"},
    "crypto": {"crypto", "wire", "_native"},
    "engine": {"engine", "crypto", "wire", "config"},
    "filesystem": {"filesystem", "_native"},
    "config": {"wire"},
    "_native": {"_native"},
    "loop": {"loop", "_native"},
    "companion": {"companion", "netlink"},
    "netlink": {"netlink"},
    "perf": {"config", "crypto", "engine", "filesystem", "loop", "perf", "process", "wire"},
    "process": set(),
    "log_lines": set(),
    "state_directory": set(),
    "control_socket": set(),
    "drivers": {"loop"},
    "server_options": {"loop"},
    "companion_process": {"companion", "netlink", "server_options"},
    "server": {
        "companion_process", "config", "control_socket", "drivers", "engine", "filesystem", "log_lines", "loop",
        "process", "server_options", "state_directory",
    },
    "cli": {
        "_native", "cli", "loop", "netlink", "perf", "process", "server", "server_options", "state_directory",
    },
    "__main__": {"cli"},
    "limits": set(),
    "ports": {"ports"},
}  # fmt: skip
"""For each part the parts it may import, itself and EVERYBODY aside."""

ALONE = {"limits", "ports", "netlink"}
"""Parts that may not even import EVERYBODY; the companion may read the version from the package itself."""

LINKED = ("netlink", "perf")
"""Parts that are folders at the top of the project and links in the package."""

WITHOUT_A_WORLD = ("wire", "crypto", "engine", "filesystem")
"""Parts that see time, entropy and the outside only through arguments and effects."""

BANNED = {
    "asyncio", "random", "secrets", "selectors", "select", "socket", "subprocess", "threading", "time",
    "multiprocessing", "signal",
}  # fmt: skip

SYSTEM_CONSTANTS = {"os", "stat", "errno"}
SYSTEM_CONSTANTS_FOR = {"engine", "filesystem"}
OS_FUNCTIONS_WITHOUT_EFFECT = {"strerror", "fsencode", "fsdecode", "makedev", "major", "minor"}


def sources() -> list[Path]:
    """Every module of the package, `netlink` and `perf` through their links."""
    inside = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in LINKED]
    return sorted(inside) + sorted(path for name in LINKED for path in (PACKAGE / name).rglob("*.py"))


def part_of(path: Path) -> str:
    """The part a module belongs to: its package, or its own name when it lies at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return "smbd_uring" if first == "__init__.py" else first.removesuffix(".py")


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names that a module imports at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            assert node.module is not None
            if node.module == "smbd_uring":
                yield from (f"smbd_uring.{alias.name}" for alias in node.names)
            else:
                yield node.module


def imported_parts(path: Path) -> set[str]:
    """Parts of the project that a module imports."""
    parts = set()
    for name in imported_names(path):
        first, _, rest = name.partition(".")
        if first == "smbd_uring":
            part = rest.partition(".")[0]
            parts.add("smbd_uring" if part in ("", "__version__") else part)
    return parts


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_part_imports_only_what_it_may_know(path: Path) -> None:
    part = part_of(path)
    if part == "smbd_uring":
        assert imported_parts(path) == set(), "the package itself is imported by every process: keep it empty"
        return
    assert part in ALLOWED, f"{part} is new: say in ALLOWED and in ARCHITECTURE.md what it may import"
    allowed = ALLOWED[part] | ({"smbd_uring"} if part in ALONE else EVERYBODY)
    assert imported_parts(path) <= allowed


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if part_of(path) in WITHOUT_A_WORLD],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_sans_io_parts_reach_for_nothing_outside(path: Path) -> None:
    modules = {name.partition(".")[0] for name in imported_names(path)}
    assert not modules & BANNED
    if part_of(path) not in SYSTEM_CONSTANTS_FOR:
        assert not modules & SYSTEM_CONSTANTS
    elif "os" in modules:
        assert os_functions_used(path) <= OS_FUNCTIONS_WITHOUT_EFFECT


def os_functions_used(path: Path) -> set[str]:
    """Attributes of `os` that are not constants (constants are in capitals)."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
        and not node.attr.isupper()
    }


def test_every_allowance_names_a_part_that_exists() -> None:
    present = {part_of(path) for path in sources()} - {"smbd_uring"}
    assert set(ALLOWED) == present


@pytest.mark.parametrize("name", LINKED)
def test_a_folder_at_the_top_is_importable_as_part_of_the_package(name: str) -> None:
    assert (PACKAGE / name).is_symlink()
    assert (PACKAGE / name).resolve() == PROJECT / name
