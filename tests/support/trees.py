"""Makes files for copying and compares copies.

Knows: local files.  Must not know: SMB.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

LONGEST_NAME = "ä" * 121 + "🐟" + "x" * 9
"""255 bytes of UTF-8, with characters of one, two and four bytes."""

assert len(LONGEST_NAME.encode()) == 255

KINDS_OF_NAME = (
    "plain {}.txt", "with  two blanks {}", "Ünïcödé {} straße", "日本語{}", "emoji 🐟 {} 👩‍🚀", "dots.{}.a.b",
)


def random_file(path: Path, size: int, seed: int = 1) -> str:
    """Write `size` bytes that do not repeat to `path`.  Result: their SHA-256 in hexadecimal."""
    source = random.Random(seed)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        left = size
        while left:
            block = source.randbytes(min(left, 1 << 20))
            file.write(block)
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names(count: int) -> Iterator[str]:
    """Names of every kind that a client and Linux both allow: blanks, letters of all planes, 255 bytes."""
    yield LONGEST_NAME
    for number in range(1, count):
        yield KINDS_OF_NAME[number % len(KINDS_OF_NAME)].format(number)


def make_tree(root: Path, folders: int, files: int) -> int:
    """Fill `root` with `folders` folders of `files` files each.  Result: how many files."""
    for number, folder in enumerate(names(folders)):
        (root / folder).mkdir(parents=True)
        for file_number, file in enumerate(names(files)):
            (root / folder / file).write_bytes(f"{number}/{file_number}\n".encode() * (file_number * 37 + 1))
    return folders * files


def contents(root: Path) -> dict[str, bytes]:
    """Every file below `root`: path relative to it, and what is in it."""
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }
