"""The one switch between native code and its Python twin.

Knows: which compiled modules there are and why one is missing.  Must not know: what they are used for; it
imports nothing else of the project.

SMBD_IMPL=native: a missing module is an error.  SMBD_IMPL=python: native code is not used.  Unset: each
module is used where it is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smbd_uring._native._ring import Ring as RingType

MODULES = ("_buffers", "_core", "_operation", "_ring", "_statx")
"""Every compiled module; `setup.py` builds the same ones."""

StatFields = tuple[int, int, int, int, int, int, int, int, int, int, int, int | None]
"""The fields of ports.FileStatus in their order."""

StatEntries = Callable[[int, list[bytes], bytes], list[tuple[StatFields, bytes | None] | None]]

impl: str = "python"
"""What is in use: "native" when every module is, else "python"."""

why_not: str | None = None
"""Why a native module is not in use, in words for an administrator; None when all are."""

Ring: type[RingType] | None = None
"""The ring; whether the kernel lets one be made shows when it is made."""

stat_entries: StatEntries | None = None


def _load() -> None:
    global impl, why_not, Ring, stat_entries
    wanted = os.environ.get("SMBD_IMPL", "")
    if wanted not in ("", "native", "python"):
        raise ImportError(f"SMBD_IMPL must be native or python, not {wanted!r}")
    if wanted == "python":
        why_not = "SMBD_IMPL=python is set in the environment"
        return
    try:
        from smbd_uring._native._statx import stat_entries as native_stat_entries

        stat_entries = native_stat_entries
        from smbd_uring._native._ring import Ring as NativeRing

        Ring, impl = NativeRing, "native"
    except ImportError as error:
        why_not = f"{error}; install liburing-dev and a C compiler, then install smbd-uring again"
        if wanted == "native":
            raise ImportError(f"SMBD_IMPL=native, but {why_not}") from error


_load()
