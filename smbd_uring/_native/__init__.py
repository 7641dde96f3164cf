"""The one switch between native code and its Python twin.

Knows: which compiled modules there are and why one is missing.  Must not know: what they are used for; it
imports nothing else of the project.

SMBD_IMPL=native: a missing module is an error.  SMBD_IMPL=python: native code is not used.  Unset: each
module is used where it is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smbd_uring._native._crew import CryptographyCrew
    from smbd_uring._native._listed import ListedEntries as ListedEntriesType
    from smbd_uring._native._message_crypto import Opener as OpenerType
    from smbd_uring._native._message_crypto import Sealer as SealerType
    from smbd_uring._native._message_crypto import Signer as SignerType
    from smbd_uring._native._plane import DataPlane
    from smbd_uring._native._ring import Ring as RingType
    from smbd_uring._native._statx import EntryTable as EntryTableType
    from smbd_uring._native._values import ValueCache as ValueCacheType

MODULES = (
    "_answers",
    "_buffers",
    "_connection",
    "_core",
    "_crew",
    "_crypto",
    "_dirents",
    "_entries",
    "_files",
    "_glance",
    "_identity",
    "_listed",
    "_message_crypto",
    "_operation",
    "_paths",
    "_plane",
    "_plane_connection",
    "_pool",
    "_receive",
    "_ring",
    "_send",
    "_serve",
    "_statx",
    "_steps",
    "_transport",
    "_values",
    "_window",
    "_work",
)
"""Every compiled module; `setup.py` builds the same ones."""

StatFields = tuple[int, int, int, int, int, int, int, int, int, int, int, int | None]
"""The fields of ports.FileStatus in their order."""

impl: str = "python"
"""What is in use: "native" when every module is, else "python"."""

why_not: str | None = None
"""Why a native module is not in use, in words for an administrator; None when all are."""

Ring: type[RingType] | None = None
"""The ring; whether the kernel lets one be made shows when it is made."""

make_plane: type[DataPlane] | None = None
"""Makes a data plane on a ring; there with the ring, or neither is."""

make_crew: type[CryptographyCrew] | None = None
"""Makes what threads for large messages run; there with the ring, too."""

stat_entries: Callable[..., EntryTableType | None] | None = None
"""Facts of many names of a directory, `_statx.stat_entries`."""

read_directory: Callable[[int, type[Any], int], list[Any] | None] | None = None
"""The names in a directory, `_dirents.read_directory`."""

EntryTable: type[EntryTableType] | None = None
"""What `stat_entries` gives."""

list_entries: Callable[..., ListedEntriesType | None] | None = None
"""Entries of such a table as clients see them, `_listed.list_entries`."""

append_entries: Callable[[bytearray, int, int, int, int, Sequence[Any], int, int], tuple[int, int, int]] | None = None
"""Lays out entries of a listing, `_entries.append_entries`."""

glance: ModuleType | None = None
"""Reads and answers the compound that asks for attributes by name, `_glance`."""

paths: ModuleType | None = None
"""The combined steps on one file, `_paths`."""

take_identity: Callable[[int, int, int, tuple[int, ...], int, int], int] | None = None
"""Sets the calling thread's groups, gid and uid, `_identity.take`."""

Signer: type[SignerType] | None = None
Sealer: type[SealerType] | None = None
Opener: type[OpenerType] | None = None


ValueCache: type[ValueCacheType] | None = None
"""Remembers xattrs of files that do not change."""


def _load() -> None:
    global impl, why_not
    wanted = os.environ.get("SMBD_IMPL", "")
    if wanted not in ("", "native", "python"):
        raise ImportError(f"SMBD_IMPL must be native or python, not {wanted!r}")
    if wanted == "python":
        why_not = "SMBD_IMPL=python is set in the environment"
        return
    missing = []
    parts = ((_load_files, None), (_load_ring, "liburing-dev, libssl-dev"), (_load_crypto, "libssl-dev"))
    for load, package in parts:
        try:
            load()
        except ImportError as error:
            needed = "a C compiler" if package is None else f"{package} and a C compiler"
            missing.append(f"{error}; install {needed}, then install smbd-uring again")
    if not missing:
        impl = "native"
        return
    why_not = "; ".join(missing)
    if wanted == "native":
        raise ImportError(f"SMBD_IMPL=native, but {why_not}")


def _load_files() -> None:
    global stat_entries, read_directory, EntryTable, list_entries, append_entries, paths, take_identity, ValueCache
    global glance
    from smbd_uring._native import _dirents, _entries, _glance, _identity, _listed, _paths, _statx, _values

    stat_entries, read_directory = _statx.stat_entries, _dirents.read_directory
    glance = _glance
    EntryTable, list_entries, append_entries = _statx.EntryTable, _listed.list_entries, _entries.append_entries
    paths, take_identity, ValueCache = _paths, _identity.take, _values.ValueCache


def _load_ring() -> None:
    global Ring, make_plane, make_crew
    from smbd_uring._native import _crew, _plane, _ring

    Ring, make_plane, make_crew = _ring.Ring, _plane.DataPlane, _crew.CryptographyCrew


def _load_crypto() -> None:
    global Signer, Sealer, Opener
    from smbd_uring._native import _message_crypto

    Signer, Sealer, Opener = _message_crypto.Signer, _message_crypto.Sealer, _message_crypto.Opener


_load()
