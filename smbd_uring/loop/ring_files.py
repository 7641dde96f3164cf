"""File effects as operations of the ring.

Knows: which operation performs which effect, short reads and writes, refusals.  Must not know: sockets, the
loop.

What the ring cannot do goes to the worker threads, which do everything.  So does an operation that the
kernel lists but refuses: a refusal looks like an ordinary EINVAL, so the workers are asked once, and when
they succeed where the ring did not, that operation is not tried again.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from smbd_uring._native import _ring
from smbd_uring._native._operation import Operation
from smbd_uring._native._ring import Ring
from smbd_uring.loop import arguments, libc
from smbd_uring.loop.personalities import Personalities
from smbd_uring.loop.workers import Answer
from smbd_uring.ports import (
    Allocate,
    CloseHandle,
    Effect,
    GetXattr,
    Handle,
    Link,
    MakeDirectory,
    OpenAt,
    ReadAt,
    Rename,
    Reopen,
    SetXattr,
    Stat,
    Synchronize,
    Truncate,
    Unlink,
    WriteAt,
)

_log = logging.getLogger("smbd.loop")

_REFUSALS = frozenset({-errno.EINVAL, -errno.ENOSYS, -errno.EOPNOTSUPP})
_AT_REMOVEDIR = 0x200
_REPEATABLE = frozenset({_ring.OP_OPENAT2, _ring.OP_READ, _ring.OP_WRITE, _ring.OP_FSYNC, _ring.OP_STATX})
"""What a signal interrupts before it has an effect; anything else might be done twice."""
_NEVER_TWICE = frozenset({_ring.OP_CLOSE})
"""The descriptor is gone whatever close reports; its number may be another file's by now."""


class Request:
    """An effect on its way; the context of each of its operations."""

    __slots__ = ("done", "effect", "parts", "token")

    def __init__(self, token: object, effect: Any) -> None:
        self.token = token
        self.effect = effect
        self.done = 0
        """Bytes read or written so far."""
        self.parts: list[bytes | memoryview] = []
        """What a read in several operations has got so far."""


class SecondAttempt(NamedTuple):
    """The token of an effect that workers try after the ring has refused it with `number`."""

    token: object
    kind: int
    number: int


class RingFiles:
    """Performs file effects over a ring; answers go to a queue."""

    def __init__(
        self, ring: Ring, answers: deque[Answer], submit: Callable[[object, Effect[Any]], None]
    ) -> None:
        """`submit(token, effect)` performs an effect in a worker thread instead."""
        self._ring = ring
        self._answers = answers
        self._submit = submit
        self._personalities = Personalities(ring)
        self._usable = set(ring.supported)
        self._proven: set[int] = set()
        self.in_flight = 0
        """Effects that the ring is performing."""

    def start(self, token: object, effect: Effect[Any]) -> None:
        """Queue an effect with the ring, or hand it to the workers."""
        way = _WAYS.get(type(effect))
        if way is None or way.kind not in self._usable:
            self._submit(token, effect)
            return
        self.in_flight += 1
        self._launch(way, Request(token, effect))

    def _launch(self, way: Way, request: Request) -> None:
        try:
            personality = self._personalities.number(getattr(request.effect, "credentials", None))
            way.launch(self._ring, request, personality)
        except OSError as error:
            self._answer(request, None, error)

    def completed(self, request: Request, operation: Operation, result: int) -> None:
        """An operation of `request` is complete: go on with it or answer."""
        way = _WAYS[type(request.effect)]
        if result == -errno.EINTR and operation.kind in _REPEATABLE:
            self._launch(way, request)
        elif result in _REFUSALS and operation.kind not in self._proven | _NEVER_TWICE:
            self._try_workers(request, operation.kind, -result)
        elif result == -errno.ERANGE and operation.kind == _ring.OP_GETXATTR:
            # Longer than the room a ring operation offers; a worker takes as much as there is.
            self._try_workers(request, operation.kind, -result)
        elif result < 0:
            self._answer(request, None, OSError(-result, os.strerror(-result)))
        else:
            self._proven.add(operation.kind)
            try:
                outcome = way.finish(request, operation, result)
            except OSError as error:
                self._answer(request, None, error)
                return
            if outcome is _MORE:
                self._launch(way, request)
            else:
                self._answer(request, outcome, None)

    def unwrap(self, answer: Answer) -> Answer:
        """An answer of the workers with the engine's own token; learns from second attempts."""
        token, result, error = answer
        if not isinstance(token, SecondAttempt):
            return answer
        refused = token.number != errno.ERANGE and not (
            isinstance(error, OSError) and error.errno == token.number
        )
        if refused and token.kind in self._usable:
            self._usable.discard(token.kind)
            _log.warning(
                "the ring refuses operation %d (%s); worker threads perform it from now on",
                token.kind,
                os.strerror(token.number),
            )
        return (token.token, result, error)

    def close(self) -> None:
        """Give back identities."""
        self._personalities.close()

    def _try_workers(self, request: Request, kind: int, number: int) -> None:
        self.in_flight -= 1
        self._submit(SecondAttempt(request.token, kind, number), request.effect)

    def _answer(self, request: Request, result: Any, error: BaseException | None) -> None:
        self.in_flight -= 1
        self._answers.append((request.token, result, error))


# --- how each effect is launched ----------------------------------------------------------------------------


def _open(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    path = arguments.open_path(effect)
    flags = arguments.open_flags(effect.flags)
    mode = arguments.open_mode(flags, effect.mode)
    directory = libc.AT_FDCWD if effect.directory is None else effect.directory
    ring.open(directory, path, flags, mode, effect.resolve, request, personality)


def _reopen(ring: Ring, request: Request, personality: int) -> None:
    flags = arguments.open_flags(request.effect.flags)
    path = arguments.magic_path(request.effect.handle)
    ring.open(libc.AT_FDCWD, path, flags, 0, 0, request, personality)


def _close(ring: Ring, request: Request, _personality: int) -> None:
    ring.close_descriptor(request.effect.handle, request)


def _read(ring: Ring, request: Request, _personality: int) -> None:
    effect = request.effect
    arguments.file_range(effect.offset, effect.length)
    ring.read(effect.handle, effect.offset + request.done, effect.length - request.done, request)


def _write(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    view = arguments.byte_view(effect.data)
    arguments.file_range(effect.offset, len(view))
    ring.write(effect.handle, effect.offset + request.done, view[request.done :], request, personality)


def _synchronize(ring: Ring, request: Request, _personality: int) -> None:
    ring.synchronize(request.effect.handle, request.effect.data_only, request)


def _truncate(ring: Ring, request: Request, _personality: int) -> None:
    arguments.file_range(request.effect.size, 0)
    ring.truncate(request.effect.handle, request.effect.size, request)


def _allocate(ring: Ring, request: Request, _personality: int) -> None:
    effect = request.effect
    arguments.file_range(effect.offset, effect.length)
    ring.allocate(effect.handle, effect.mode, effect.offset, effect.length, request)


def _stat(ring: Ring, request: Request, personality: int) -> None:
    name = arguments.component_or_self(request.effect.name)
    flags = libc.AT_EMPTY_PATH | libc.AT_SYMLINK_NOFOLLOW
    ring.stat(request.effect.directory, name, flags, request, personality)


def _make_directory(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    ring.make_directory(
        effect.directory, arguments.component(effect.name), effect.mode, request, personality
    )


def _unlink(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    flags = _AT_REMOVEDIR if effect.is_directory else 0
    ring.unlink(effect.directory, arguments.component(effect.name), flags, request, personality)


def _rename(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    old_name, new_name = arguments.component(effect.old_name), arguments.component(effect.new_name)
    ring.rename(
        effect.old_directory, old_name, effect.new_directory, new_name, effect.flags, request, personality
    )


def _link(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    old_name, new_name = arguments.component(effect.old_name), arguments.component(effect.new_name)
    ring.link(effect.old_directory, old_name, effect.new_directory, new_name, request, personality)


def _get_xattr(ring: Ring, request: Request, personality: int) -> None:
    path, name = arguments.magic_path(request.effect.handle), arguments.xattr_name(request.effect.name)
    ring.get_xattr(path, name, request, personality)


def _set_xattr(ring: Ring, request: Request, personality: int) -> None:
    effect = request.effect
    path, name = arguments.magic_path(effect.handle), arguments.xattr_name(effect.name)
    ring.set_xattr(path, name, effect.value, request, personality)


# --- what becomes of a result -------------------------------------------------------------------------------

_MORE = object()
"""The operation did a part; the effect needs another one."""


def _nothing(_request: Request, _operation: Operation, _result: int) -> None:
    return None


def _handle(_request: Request, _operation: Operation, result: int) -> Handle:
    return Handle(result)


def _status(_request: Request, operation: Operation, _result: int) -> Any:
    return libc.decode_statx(operation.status())


def _value(_request: Request, operation: Operation, result: int) -> bytes:
    return bytes(operation.data(result))


def _read_data(request: Request, operation: Operation, result: int) -> Any:
    request.done += result
    if not request.parts and request.done == request.effect.length:
        return operation.data(result)
    if result:
        request.parts.append(operation.data(result))
    # Only an empty read proves the end of the file.
    if result and request.done < request.effect.length:
        return _MORE
    return request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)


def _written(request: Request, _operation: Operation, result: int) -> Any:
    request.done += result
    length = len(arguments.byte_view(request.effect.data))
    if request.done == length:
        return length
    if result == 0:
        raise arguments.refused(errno.EIO, "the file takes no more bytes")
    return _MORE


class Way(NamedTuple):
    """How the ring performs one kind of effect."""

    kind: int
    launch: Callable[[Ring, Request, int], None]
    finish: Callable[[Request, Operation, int], Any]


_WAYS: dict[type[Effect[Any]], Way] = {
    OpenAt: Way(_ring.OP_OPENAT2, _open, _handle),
    Reopen: Way(_ring.OP_OPENAT2, _reopen, _handle),
    CloseHandle: Way(_ring.OP_CLOSE, _close, _nothing),
    ReadAt: Way(_ring.OP_READ, _read, _read_data),
    WriteAt: Way(_ring.OP_WRITE, _write, _written),
    Synchronize: Way(_ring.OP_FSYNC, _synchronize, _nothing),
    Stat: Way(_ring.OP_STATX, _stat, _status),
    Truncate: Way(_ring.OP_TRUNCATE, _truncate, _nothing),
    Allocate: Way(_ring.OP_FALLOCATE, _allocate, _nothing),
    MakeDirectory: Way(_ring.OP_MKDIRAT, _make_directory, _nothing),
    Unlink: Way(_ring.OP_UNLINKAT, _unlink, _nothing),
    Rename: Way(_ring.OP_RENAMEAT, _rename, _nothing),
    Link: Way(_ring.OP_LINKAT, _link, _nothing),
    GetXattr: Way(_ring.OP_GETXATTR, _get_xattr, _value),
    SetXattr: Way(_ring.OP_SETXATTR, _set_xattr, _nothing),
}
