"""Draws the map in ARCHITECTURE.md: folders, and each module of the server with what its docstring says.

Knows: where the map stands, what folders are for.  Must not know: more of a module than its docstring.

Run it after a module was added, moved or given another purpose; a test compares the map with the tree.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DOCUMENT = PROJECT / "ARCHITECTURE.md"
MAP = re.compile(r"(?<=## The map\n\n```\n).*?(?=```)", re.DOTALL)
LINE_CHARACTERS_MAX = 118
NAME_CHARACTERS = 28

FOLDERS = {
    ".ci/": "what must pass before a change lands",
    "docs/": "for administrators: configuration, limits, security, clients",
    "netlink/": "the companion; imported as smbd_uring.netlink, never imports the rest",
    "perf/": "the load generator and what measures with it; imported as smbd_uring.perf",
    "perf/guest/": "against ksmbd, in a virtual machine",
    "smbd_uring/": "the server",
    "smbd_uring/_native/": "Cython over liburing and libcrypto; optional",
    "smbd_uring/cli/": "the command line, one module a command",
    "smbd_uring/companion/": "the server's end of the messages, and the companion's supervisor",
    "smbd_uring/crypto/": "keys, signing, sealing, NTLM, SPNEGO: pure functions",
    "smbd_uring/engine/": "the protocol: sessions, trees, opens, sans-I/O",
    "smbd_uring/engine/commands/": "one module a command or family of commands",
    "smbd_uring/filesystem/": "files below a share as SMB wants them, through effects",
    "smbd_uring/loop/": "the drivers: the ring, epoll and workers",
    "smbd_uring/wire/": "decoding and encoding: bytes only",
    "tests/": "see CONTRIBUTING.md",
    "tests/fuzz/": "frames that no client sends, against a running server",
    "tests/guest/": "the Linux kernel's client in a virtual machine",
    "tests/interop/": "foreign clients",
    "tests/sim/": "the simulated kernel, network and companion",
    "tests/storms/": "seeded storms of clients that cache, against the rules of sharing",
    "tests/support/": "what tests share",
    "tests/tidy/": "imports, sizes, documents",
    "tests/torture/": "smbtorture and what is expected of it",
    "tests/unit/": "each part by itself",
    "tools/": "what the Makefile calls",
}
"""What folders are for."""

WITHOUT_FILES = {".ci", "docs", "tests", "tools"}
"""Top-level folders whose files the map leaves out."""


def draw() -> str:
    """The map of the tree as git knows it, ending in a newline."""
    lines = []
    drawn: set[str] = set()
    for name in _tracked():
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth]) + "/"
            if folder in drawn or not (folder in FOLDERS or _shows_files(parts)):
                continue
            drawn.add(folder)
            lines.append(_line(depth - 1, parts[depth - 1] + "/", FOLDERS.get(folder, "")))
        if _shows_files(parts) and parts[-1].endswith((".py", ".pyx")) and parts[-1] != "__init__.py":
            lines.append(_line(len(parts) - 1, parts[-1], _purpose(PROJECT / name)))
    return "".join(lines)


def _tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, check=True, text=True)
    # Folders before the files beside them, as a reader goes from the whole to the part.
    names = [name for name in listed.stdout.splitlines() if "/" in name]
    return sorted(names, key=_folders_first)


def _folders_first(name: str) -> list[tuple[bool, str]]:
    *folders, file = name.split("/")
    return [*((False, folder) for folder in folders), (True, file)]


def _shows_files(parts: list[str]) -> bool:
    return parts[0] not in WITHOUT_FILES


def _line(depth: int, name: str, purpose: str) -> str:
    line = f"{'  ' * depth}{name}".ljust(NAME_CHARACTERS) + "  " + purpose
    if len(line) > LINE_CHARACTERS_MAX:
        line = line[: LINE_CHARACTERS_MAX - 1].rsplit(" ", 1)[0] + " …"
    return line.rstrip() + "\n"


def _purpose(path: Path) -> str:
    """First sentence or line of a module's docstring, without its full stop."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".pyx":
        match = re.search(r'^"""(.*?)"""', source, re.DOTALL | re.MULTILINE)
        docstring = match[1] if match else ""
    else:
        docstring = ast.get_docstring(ast.parse(source)) or ""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return paragraph.split(".  ")[0].removesuffix(".")


def main() -> None:
    """Put the drawn map into ARCHITECTURE.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(MAP.sub(lambda _: draw(), text), encoding="utf-8")


if __name__ == "__main__":
    main()
