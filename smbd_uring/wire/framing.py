"""Cuts a byte stream into frames and prefixes frames for it: the Direct TCP transport ([MS-SMB2] 2.1).

Knows: the four bytes before each message.  Must not know: what a message is, or where bytes come from.

A frame is a zero byte, a 24-bit big-endian length, and that many bytes.  Port 445 inherited the prefix from NetBIOS
sessions, whose keep-alives (RFC 1002, 4.3.7) some clients still send.
"""

from __future__ import annotations

from smbd_uring.ports import Buffer
from smbd_uring.wire.errors import ProtocolViolation

PREFIX_SIZE = 4
LENGTH_MIN = 4
"""A message shorter than its protocol identifier is none."""

_SESSION_MESSAGE = 0x00
_SESSION_KEEP_ALIVE = 0x85
_KEEP_ALIVE = bytes((_SESSION_KEEP_ALIVE, 0, 0, 0))


def frame_prefix(length: int) -> bytes:
    """The prefix of a frame of `length` bytes (at most 2**24 - 1; more is our bug and raises OverflowError)."""
    return b"\0" + length.to_bytes(3, "big")


class FrameBuffer:
    """Collects the bytes of one connection and gives out whole frames.

    Each frame is its own buffer, allocated once its length is known and allowed, and filled by one copy; bytes already
    placed are never looked at again.  `size_max` is the longest frame taken, in bytes; it may be changed at any time
    and counts for frames whose prefix is not complete yet.
    """

    __slots__ = ("_filled", "_frame", "_prefix", "size_max")

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self._prefix = bytearray()
        self._frame: bytearray | None = None
        self._filled = 0

    def feed(self, data: Buffer) -> list[memoryview]:
        """Take the next bytes of the stream; give the frames they complete, without prefixes.

        Raises ProtocolViolation for a prefix that is neither a message's nor a keep-alive's, and for a length above
        `size_max` or below 4.  Nothing more may be fed after that.
        """
        frames: list[memoryview] = []
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self._frame is None:
                wanted = PREFIX_SIZE - len(self._prefix)
                self._prefix += view[position : position + wanted]
                position += wanted
                if len(self._prefix) < PREFIX_SIZE:
                    break
                self._start_frame()
                continue
            taken = min(len(self._frame) - self._filled, len(view) - position)
            self._frame[self._filled : self._filled + taken] = view[position : position + taken]
            self._filled += taken
            position += taken
            if self._filled == len(self._frame):
                frames.append(memoryview(self._frame))
                self._frame = None
        return frames

    def _start_frame(self) -> None:
        kind = self._prefix[0]
        length = int.from_bytes(self._prefix[1:], "big")
        is_keep_alive = self._prefix == _KEEP_ALIVE
        self._prefix.clear()
        if is_keep_alive:
            return
        if kind != _SESSION_MESSAGE:
            raise ProtocolViolation(f"frame starts with byte 0x{kind:02x}")
        if not LENGTH_MIN <= length <= self.size_max:
            raise ProtocolViolation(f"frame of {length} bytes, allowed are {LENGTH_MIN} to {self.size_max}")
        self._frame = bytearray(length)
        self._filled = 0
