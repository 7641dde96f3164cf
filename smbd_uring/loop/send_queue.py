"""Bytes on their way out of one connection, in order.

Knows: segments.  Must not know: sockets, what the bytes are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from smbd_uring.limits import SEND_BATCH_BYTES, SEND_SEGMENTS_MAX
from smbd_uring.loop.arguments import byte_view
from smbd_uring.ports import Buffer


class SendQueue:
    """Segments not sent yet.  They are referred to, never copied, and let go as soon as they are out."""

    __slots__ = ("_segments", "queued")

    def __init__(self) -> None:
        self._segments: deque[memoryview] = deque()
        self.queued = 0
        """Bytes in the queue."""

    def append(self, segments: Iterable[Buffer]) -> None:
        """Queue segments after everything queued before."""
        for segment in segments:
            view = byte_view(segment)
            if view:
                self._segments.append(view)
                self.queued += len(view)

    def batch(self) -> list[memoryview]:
        """What one sendmsg should take: from the front, at most SEND_SEGMENTS_MAX segments and
        SEND_BATCH_BYTES."""
        batch: list[memoryview] = []
        room = SEND_BATCH_BYTES
        for segment in islice(self._segments, SEND_SEGMENTS_MAX):
            if room == 0:
                break
            batch.append(segment[:room])
            room -= len(batch[-1])
        return batch

    def advance(self, count: int) -> None:
        """The first `count` bytes are out; the rest of a segment sent in part stays at the front."""
        assert 0 <= count <= self.queued
        self.queued -= count
        while count:
            first = self._segments[0]
            if count < len(first):
                self._segments[0] = first[count:]
                return
            count -= len(first)
            self._segments.popleft()

    def clear(self) -> None:
        """Forget everything; the connection is gone."""
        self._segments.clear()
        self.queued = 0
