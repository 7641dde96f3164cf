"""The probes of `doctor`: each asks the kernel for one thing and says what its answer means for the server.

Knows: what the server would like to have, how to ask for it, what to do when it is refused.  Must not know:
how the findings are shown.  Every probe asks the kernel itself and never looks at version numbers.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from smbd_uring import _native, limits
from smbd_uring._native.remedies import RingUnavailable
from smbd_uring.loop import identity, libc
from smbd_uring.loop.change_watches import ChangeWatches
from smbd_uring.ports import Handle
from smbd_uring.process import DESCRIPTORS_WANTED, raise_descriptor_limit

NETLINK_USERSOCK = 2
SMB_PORT = 445
RESOLVE_BENEATH = 0x08
INCLUDES = ("/usr/include", "/usr/local/include")


class Level(Enum):
    """What a finding means for the server."""

    OK = 0
    SLOWER = 1
    """It works, with less speed or less function."""
    MISSING = 2
    """It does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One probe's result; `remedy` is empty when there is nothing to do."""

    what: str
    level: Level
    found: str
    remedy: str = ""


def run_probes(directory: Path) -> list[Finding]:
    """All findings; `directory` (made when missing) is where the file system is probed."""
    return [
        _native_parts(),
        _io_uring(),
        _headers("liburing", "liburing.h", "apt-get install liburing-dev, or dnf install liburing-devel"),
        _headers("OpenSSL", "openssl/evp.h", "apt-get install libssl-dev, or dnf install openssl-devel"),
        _netlink(),
        _identity(),
        _descriptors(),
        _watches(),
        _xattrs(directory),
        _openat2(),
        _port(),
    ]


def _native_parts() -> Finding:
    if _native.why_not is None:
        return Finding("native parts", Level.OK, "built")
    return Finding(
        "native parts", Level.SLOWER, f"not all in use: {_native.why_not}",
        "install a C compiler and the headers of liburing and OpenSSL, then `make build`",
    )  # fmt: skip


def _io_uring() -> Finding:
    if _native.Ring is None:
        return Finding("io_uring", Level.SLOWER, "not tried: it needs the native parts")
    try:
        ring = _native.Ring()
    except RingUnavailable as reason:
        what_failed, _, remedy = str(reason).partition("; ")
        return Finding("io_uring", Level.SLOWER, f"epoll is used instead: {what_failed}", remedy)
    ring.close()
    return Finding("io_uring", Level.OK, "usable")


def _headers(library: str, header: str, remedy: str) -> Finding:
    if any(Path(directory, header).exists() for directory in INCLUDES):
        return Finding(f"{library}'s headers", Level.OK, "found")
    level = Level.OK if _native.why_not is None else Level.SLOWER
    return Finding(f"{library}'s headers", level, "not found; only building needs them", remedy)


def _netlink() -> Finding:
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_USERSOCK) as probe:
            probe.bind((0, 0))
    except OSError as error:
        return Finding(
            "netlink", Level.OK, f"refused ({error.strerror}); the companion is reached over AF_UNIX instead"
        )
    return Finding("netlink", Level.OK, "NETLINK_USERSOCK can be used")


def _identity() -> Finding:
    reason = identity.why_not()
    if reason is None:
        return Finding("clients' identities", Level.OK, "files are touched as the client's Unix user")
    return Finding(
        "clients' identities", Level.SLOWER, f"all files are touched as uid {os.geteuid()}: {reason}",
        "run the server as root where clients are different Unix users",
    )  # fmt: skip


def _descriptors() -> Finding:
    limit = raise_descriptor_limit()
    if limit >= DESCRIPTORS_WANTED:
        return Finding("descriptors", Level.OK, f"enough for {limits.OPENS_MAX} open files")
    return Finding(
        "descriptors", Level.SLOWER, f"at most {limit}; the most opens allowed take {DESCRIPTORS_WANTED}",
        f"LimitNOFILE={DESCRIPTORS_WANTED} in the service, or a nofile line in /etc/security/limits.conf",
    )  # fmt: skip


def _watches() -> Finding:
    """Whether clients can be told what changes in folders."""
    what, watches = "change notification", ChangeWatches()
    descriptor = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        watches.watch(Handle(descriptor), contents=True)
        allowed = int(Path("/proc/sys/fs/inotify/max_user_watches").read_text())
    except (OSError, ValueError) as error:
        return Finding(
            what, Level.SLOWER, f"no inotify ({error}); clients hear only of what clients change",
            "a larger fs.inotify.max_user_watches or max_user_instances, or a seccomp profile that allows inotify",
        )  # fmt: skip
    finally:
        os.close(descriptor)
        watches.close()
    if allowed >= limits.FOLDERS_WATCHED_MAX:
        return Finding(what, Level.OK, f"enough for {limits.FOLDERS_WATCHED_MAX} watched folders")
    return Finding(
        what, Level.SLOWER, f"at most {allowed} folders of trees that clients watch",
        f"sysctl fs.inotify.max_user_watches={limits.FOLDERS_WATCHED_MAX}",
    )  # fmt: skip


def _xattrs(directory: Path) -> Finding:
    what = f"xattrs in {directory}"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=directory) as file:
            os.setxattr(file.name, "user.smbd-uring-probe", b"1")
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EPERM):
            return Finding(
                what, Level.SLOWER, f"not stored ({error.strerror}): DOS attributes of files there are lost",
                "keep shares on ext4, XFS, Btrfs or ZFS",
            )  # fmt: skip
        return Finding(what, Level.MISSING, f"cannot write: {error.strerror}", "use another --state-dir")
    return Finding(what, Level.OK, "stored")


def _openat2() -> Finding:
    try:
        descriptor = libc.openat2(libc.AT_FDCWD, b".", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_BENEATH)
    except OSError as error:
        return Finding(
            "openat2", Level.MISSING, f"refused ({error.strerror}); nothing else keeps clients in a share",
            "Linux 5.6 or newer, or a seccomp profile that allows openat2",
        )  # fmt: skip
    os.close(descriptor)
    return Finding("openat2", Level.OK, "keeps clients inside their share")


def _port() -> Finding:
    what = f"port {SMB_PORT}"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", SMB_PORT))
        except PermissionError:
            return Finding(
                what, Level.SLOWER, "only root may listen there; --listen ADDR:4450 works for everybody",
                "run as root, or sysctl net.ipv4.ip_unprivileged_port_start=445",
            )  # fmt: skip
        except OSError as error:
            return Finding(
                what, Level.SLOWER, f"taken: {error.strerror}; another port can be served with --listen",
                "stop the other server (often `systemctl stop smbd`)",
            )  # fmt: skip
    return Finding(what, Level.OK, "free")
