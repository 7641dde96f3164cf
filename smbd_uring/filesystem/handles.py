"""Handles that are closed again, whatever happens in between.

Knows: opening and closing.  Must not know: what is done with the handle.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from types import TracebackType

from smbd_uring.ports import CloseHandle, Handle


class Opened:
    """`async with Opened(OpenAt(...)) as handle:` opens by the effect, or whatever else can be awaited for a handle,
    and closes at the end of the block."""

    def __init__(self, opening: Awaitable[Handle]) -> None:
        self._opening = opening
        self._handle: Handle | None = None

    async def __aenter__(self) -> Handle:
        self._handle = await self._opening
        return self._handle

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._handle is not None
        await close(self._handle)


async def close(handle: Handle) -> None:
    """Close a handle nothing was written through.  An error of the kernel has nothing to tell then: the handle is
    gone in any case."""
    with contextlib.suppress(OSError):
        await CloseHandle(handle)
