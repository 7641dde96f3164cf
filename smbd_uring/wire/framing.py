"""Frames on a byte stream: four bytes of length, then the message.

Knows: [MS-SMB2] 2.1 (direct TCP).  Must not know: what a frame holds.
"""

from __future__ import annotations

import struct

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import ProtocolViolation

PREFIX_SIZE = 4
MESSAGE_TYPE = 0x00
KEEP_ALIVE_TYPE = 0x85
"""[RFC1002] 4.3.6: old stacks send it on an idle connection; it says nothing."""

MAGIC_SIZE = 4
LENGTH_MASK = 0x00FF_FFFF
_PREFIX = struct.Struct(">I")


def frame_prefix(length: int) -> bytes:
    """The prefix of a frame of `length` bytes."""
    return _PREFIX.pack(length)


class FrameBuffer:
    """Cuts received bytes into frames.  `size_max` bounds a frame, in bytes without its prefix, and may change.

    A frame's buffer is allocated once, when its length is known, and its bytes are copied once.
    """

    __slots__ = ("_filled", "_frame", "_prefix", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self._prefix = bytearray()
        self._frame: bytearray | None = None
        self._filled = 0

    def feed(self, data: Buffer) -> list[memoryview]:
        """Take bytes, however cut.  Result: the frames that are complete now.

        ProtocolViolation for a frame that is too long, too short for any message, or of another type.
        """
        view = memoryview(data)
        end = len(view)
        frames: list[memoryview] = []
        position = 0
        while position < end:
            if self._frame is None:
                if self._prefix or end - position < PREFIX_SIZE:
                    position += self._take_prefix(view[position:])
                    continue
                length = self._frame_length(_PREFIX.unpack_from(view, position)[0])
                position += PREFIX_SIZE
                if 0 < length <= end - position:  # the usual case: all of it is there
                    frames.append(memoryview(bytearray(view[position : position + length])))
                    position += length
                elif length:
                    self._frame = bytearray(length)
                    self._filled = 0
                continue
            count = min(len(self._frame) - self._filled, end - position)
            self._frame[self._filled : self._filled + count] = view[position : position + count]
            self._filled += count
            position += count
            if self._filled == len(self._frame):
                frames.append(memoryview(self._frame))
                self._frame = None
        return frames

    def _take_prefix(self, view: memoryview) -> int:
        count = min(PREFIX_SIZE - len(self._prefix), len(view))
        self._prefix += view[:count]
        if len(self._prefix) == PREFIX_SIZE:
            length = self._frame_length(_PREFIX.unpack(self._prefix)[0])
            self._prefix.clear()
            if length:
                self._frame = bytearray(length)
                self._filled = 0
        return count

    def _frame_length(self, prefix: int) -> int:
        """Bytes of the frame that a prefix announces, 0 for one that says nothing."""
        length = prefix & LENGTH_MASK
        if MAGIC_SIZE <= prefix <= self.size_max:  # MESSAGE_TYPE is 0
            return length
        kind = prefix >> 24
        if kind == KEEP_ALIVE_TYPE and length == 0:
            return 0
        if kind != MESSAGE_TYPE:
            raise ProtocolViolation(f"a frame of type {kind:#04x}")
        raise ProtocolViolation(f"a frame of {length} bytes where {self.size_max} are allowed")
