"""The folder where a running server keeps what others need, and where running servers are looked for.

Knows: default places, ownership, the lock.  Must not know: what is put into the folder, and who reads it.

A state directory holds `lock` (held while the server runs), `control.sock`, `server.guid`, and what the
companion's client and the command line leave there.  Only its owner may enter it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from pathlib import Path

CONTROL_SOCKET = "control.sock"
LOCK_FILE = "lock"
LINK_PREFIX = "pid-"


class StateDirectoryError(Exception):
    """The state directory cannot be used; the message says why and what to do."""


def base_directory() -> Path:
    """Where this user's servers keep their state directories by default."""
    if os.geteuid() == 0:
        return Path("/run/smbd-uring")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "smbd-uring"
    return Path(f"/tmp/smbd-uring-{os.geteuid()}")


def default_directory(port: int) -> Path:
    """The state directory of the server on `port`; of this process where the kernel picks the port (0)."""
    return base_directory() / (str(port) if port else f"{LINK_PREFIX}{os.getpid()}")


def running_servers() -> list[Path]:
    """State directories in the default place, or linked there, whose server takes commands."""
    try:
        candidates = sorted(base_directory().iterdir())
    except OSError:
        return []
    return [path.resolve() for path in candidates if _is_served(path)]


class StateDirectory:
    """An existing state directory, locked by this process for as long as it is open."""

    def __init__(self, path: Path) -> None:
        """Make (mode 0700) and lock `path`.

        Raises StateDirectoryError when it belongs to somebody else, cannot be made or be closed to others, or
        another server uses it.
        """
        self.path = path
        self._link: Path | None = None
        _make_private(path)
        self._lock = _take_lock(path / LOCK_FILE)
        self._announce()

    def write(self, name: str, data: bytes) -> Path:
        """Replace file `name` by one with `data`, its owner's alone, in one step.  Result: its path."""
        target = self.path / name
        temporary = self.path / f".{name}.new"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
        temporary.replace(target)
        return target

    def close(self) -> None:
        """Give the directory up: other servers may take it, and commands no longer find it."""
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(self._lock)

    def _announce(self) -> None:
        """Leave a link in the default place, so that commands find a directory that is elsewhere."""
        base = base_directory()
        if self.path.parent.resolve() == base.resolve():
            return
        link = base / f"{LINK_PREFIX}{os.getpid()}"
        try:
            _make_private(base)
            link.unlink(missing_ok=True)
            link.symlink_to(self.path.resolve())
        except (OSError, StateDirectoryError):
            # Being found is a convenience: --state-dir names the server as well.
            return
        self._link = link


def _make_private(path: Path) -> None:
    """Make `path` and see that it is ours alone: /tmp lets anybody put a folder of that name there first."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        facts = path.lstat()
    except OSError as error:
        raise StateDirectoryError(f"cannot make the state directory {path}: {error.strerror}") from error
    if not stat.S_ISDIR(facts.st_mode):
        raise StateDirectoryError(f"{path} is not a directory; name another with --state-dir")
    if facts.st_uid != os.geteuid():
        raise StateDirectoryError(
            f"the state directory {path} belongs to uid {facts.st_uid}; name another with --state-dir"
        )
    if facts.st_mode & 0o077:
        try:
            path.chmod(0o700)
        except OSError as error:
            raise StateDirectoryError(f"others may enter the state directory {path}: chmod 700 it") from error


def _take_lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StateDirectoryError(
            f"another server uses the state directory {path.parent}; stop it or name another with --state-dir"
        ) from None
    return descriptor


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path / CONTROL_SOCKET))
        except OSError:
            return False
    return True
