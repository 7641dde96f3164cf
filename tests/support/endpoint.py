"""What a test knows of a running SMB server, whichever program it is.

Knows: addresses, accounts, shares.  Must not know: how a server is started, any client.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Account:
    """A name and its password as a client gives them."""

    name: str
    password: str


@dataclass(frozen=True)
class Share:
    """A share's name, the folder behind it, and smb.conf lines that only this share has."""

    name: str
    path: Path
    read_only: bool = False
    guest: bool = False
    force_user: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A server that accepts connections: where it listens, who may log on, which folders it shares."""

    port: int
    account: Account
    shares: Mapping[str, Path]
    host: str = LOOPBACK
    more_accounts: tuple[Account, ...] = field(default=())

    def path(self, share: str = "data") -> Path:
        """The folder behind `share`."""
        return self.shares[share]


def free_port() -> int:
    """A loopback TCP port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def open_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder that every user may enter, unlike pytest's `tmp_path`; removed at the end."""
    path = Path(tempfile.mkdtemp(prefix=f"smbd-uring-{prefix}-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def make_share(folder: Path, name: str, *, read_only: bool = False, guest: bool = False,
               force_user: str | None = None) -> Share:
    """A share over a new folder below `folder` that every user may write to."""
    path = folder / name
    path.mkdir()
    os.chmod(path, 0o777)  # not mkdir's mode: the umask would cut it
    return Share(name, path, read_only, guest, force_user)
