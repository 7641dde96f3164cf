"""What is measured: the name of a workload and everything about it that can vary.

Knows: names and numbers.  Must not know: how a workload is generated, which server answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Name = Literal[
    "echo", "read", "write", "open_close", "stat", "create_delete", "list", "connect", "mixed", "idle"
]
Pattern = Literal["random", "sequential"]
Protection = Literal[
    "plain", "hmac", "cmac", "gmac", "aes-128-ccm", "aes-128-gcm", "aes-256-ccm", "aes-256-gcm"
]

NAMES: Final[tuple[Name, ...]] = get_args(Name)
PATTERNS: Final[tuple[Pattern, ...]] = get_args(Pattern)
PROTECTIONS: Final[tuple[Protection, ...]] = get_args(Protection)

TRANSFERS: Final = frozenset({"read", "write", "mixed", "create_delete"})
"""Workloads that move data, so that `size` means something."""

WORD_BYTES: Final = 8
SIZE_MAX: Final = 8 << 20


@dataclass(frozen=True)
class Workload:
    """One workload.

    `size` is bytes per READ and WRITE, a multiple of 8; `depth` is how many operations a connection has in flight;
    with `verify` the contents of every READ are checked, and of a sample of what was written.  An *operation* is

    * echo, read, write: one request;
    * open_close: CREATE of an existing file out of 100 and CLOSE;
    * stat: CREATE, QUERY_INFO (FileAllInformation) and CLOSE in one compound;
    * create_delete: CREATE of a new file, WRITE, CLOSE, CREATE with FILE_DELETE_ON_CLOSE, CLOSE;
    * list: CREATE of a folder of 1,000 files, QUERY_DIRECTORY to its end, CLOSE;
    * connect: from the TCP connection to TREE_CONNECT and back;
    * mixed: of ten, 7 READs, 2 WRITEs and a stat;
    * idle: one connection held, with session and tree; nothing is sent while it is measured.

    Raises ValueError for what makes no sense.
    """

    name: Name
    size: int = 4096
    pattern: Pattern = "random"
    connections: int = 1
    depth: int = 1
    protection: Protection = "plain"
    verify: bool = False

    def __post_init__(self) -> None:
        for value, known in ((self.name, NAMES), (self.pattern, PATTERNS), (self.protection, PROTECTIONS)):
            if value not in known:
                raise ValueError(f"{value!r} is none of {', '.join(known)}")
        if not WORD_BYTES <= self.size <= SIZE_MAX or self.size % WORD_BYTES:
            raise ValueError(f"a size of {self.size} bytes; it must be a multiple of {WORD_BYTES} up to {SIZE_MAX}")
        if self.connections < 1 or self.depth < 1:
            raise ValueError("there is no work with less than one connection and a depth of one")

    @property
    def label(self) -> str:
        """A short name for tables, with what is not as usual: `read 4 KiB, depth 8, gmac`."""
        parts = [self.name.replace("_", "+")]
        if self.name in TRANSFERS:
            parts[0] += f" {size_label(self.size)}"
            if self.pattern == "sequential":
                parts.append("sequential")
        if self.connections > 1:
            parts.append(f"{self.connections} connections")
        if self.name not in ("connect", "idle"):
            parts.append(f"depth {self.depth}")
        if self.protection != "plain":
            parts.append(self.protection)
        return ", ".join(parts)


def size_label(size: int) -> str:
    """`4 KiB` for 4096."""
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"
