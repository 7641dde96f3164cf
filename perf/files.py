"""The files that workloads use: made once in the folder behind the share, the same for every server.

Knows: names, sizes and contents.  Must not know: who reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from smbd_uring.perf._generator import content

READ_FILE: Final = "read.dat"
READ_FILE_BYTES: Final = 64 << 20
READ_SEED: Final = 1
"""See `_content.pxd`: with the seed the contents of any place are known."""

SMALL_FOLDER: Final = "files"
SMALL_FILES: Final = 100
SMALL_DIGITS: Final = 2
SMALL_PREFIX: Final = f"{SMALL_FOLDER}\\file-"
SMALL_BYTES: Final = 4096

LISTED: Final = "listed"
LISTED_FILES: Final = 1000
DOTS: Final = (".", "..")
"""Entries that every listing has besides."""

WRITE_FOLDER: Final = "written"
"""Each connection makes a file here to write to; together they have WRITTEN_BYTES."""
WRITTEN_BYTES: Final = 64 << 20

NEW_FOLDER: Final = "new"
NEW_FILE_DIGITS: Final = 8

FOLDER_MODE: Final = 0o777
FILE_MODE: Final = 0o666
PIECE_BYTES: Final = 1 << 20


def prepare(folder: Path) -> None:
    """Make below `folder` what is not there yet, so that every user may read and write it.  OSError."""
    _folder(folder)
    for name in (SMALL_FOLDER, LISTED, WRITE_FOLDER, NEW_FOLDER):
        _folder(folder / name)
    _file(folder / READ_FILE, READ_FILE_BYTES)
    for number in range(SMALL_FILES):
        _file(folder / SMALL_FOLDER / f"file-{number:0{SMALL_DIGITS}}", SMALL_BYTES)
    for number in range(LISTED_FILES):
        _file(folder / LISTED / f"entry-{number:04}.txt", 0)


def write_file_bytes(connections: int, size: int) -> int:
    """How large each connection's file is, a multiple of `size`: 64 MiB in all, but room for a few WRITEs in each."""
    blocks = max(WRITTEN_BYTES // connections // size, 4)
    return blocks * size


def _folder(path: Path) -> None:
    path.mkdir(exist_ok=True)
    # Not mkdir's mode: the umask would cut it.
    path.chmod(FOLDER_MODE)


def _file(path: Path, size: int) -> None:
    if path.exists() and path.stat().st_size == size:
        return
    with path.open("wb") as made:
        for offset in range(0, size, PIECE_BYTES):
            made.write(content(offset, min(PIECE_BYTES, size - offset), READ_SEED))
    path.chmod(FILE_MODE)
