"""Given a disk that is really full, a WRITE that a data plane begins ends as one that the engine begins: byte for byte.

The disk is a file system in memory of 1 MiB.  What fits of a WRITE is written before the disk is found full, so that
the kernel's answer is a short write first and ENOSPC then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.wire.const import AccessMask, CipherId, Command, CreateDisposition, SigningAlgorithm, WriteFlags
from smbd_uring.wire.data import FlushRequest, ReadResponse, WriteResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import REAL_DRIVERS, SERVER_GUID, RealServer
from tests.engine.sides import Protection, connect_protected, without_what_differs
from tests.support.client_messages import Message, Reply
from tests.support.file_client import FileClient, Messages
from tests.support.memory_disk import memory_disk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file system that is full soon")

KIB, MIB = 1 << 10, 1 << 20
PAGE = 4 * KIB
BALLAST = 640 * KIB
"""Of a file that only takes room."""
ROOM = MIB - BALLAST
CREDITS = 300

PROTECTIONS: dict[str, Protection] = {
    "plain": None, "signed": SigningAlgorithm.AES_GMAC, "signed HMAC": SigningAlgorithm.HMAC_SHA256,
    "sealed": CipherId.AES_128_GCM, "sealed CCM": CipherId.AES_256_CCM,
}  # fmt: skip


class Disk:
    """A server with or without grants whose share is a disk of 1 MiB, a client of it, and what it was answered."""

    def __init__(self, server: RealServer, grants: bool, protection: Protection) -> None:
        self.server = server
        self.grants = grants
        server.files.add_file("ballast", b"b" * BALLAST, 0o777)
        server.files.add_file("file", b"", 0o777)
        self.client: FileClient = connect_protected(server, protection, CREDITS)
        self.file_id: FileId = self.client.open("file")
        self.answers: list[bytes] = []

    def ask(self, *messages: Message) -> list[int]:
        """The statuses of the answers to one frame."""
        return [reply.status for reply in self.replies(*messages)]

    def replies(self, *messages: Message) -> list[Reply]:
        """The answers to one frame."""
        replies = self.client.ask_all(*messages)
        self.answers += map(without_what_differs, replies)
        return replies

    def write(self, offset: int, data: bytes, flags: int = 0) -> int:
        """The status of a WRITE; AssertionError when it is said to have succeeded in part."""
        (reply,) = self.replies(Messages.write(self.file_id, offset, data, flags))
        if reply.status == NtStatus.SUCCESS:
            assert reply.expect(WriteResponse).count == len(data)
        return reply.status

    def remove_ballast(self) -> None:
        """Make room, behind the server's back."""
        os.unlink(os.path.join(self.server.files.top(), "ballast"))

    @property
    def data(self) -> bytes:
        return self.server.files.data("file")

    @property
    def writes_granted(self) -> int:
        """How many WRITEs the data plane has answered."""
        return self.server._driver.served()[0].get(Command.WRITE, 0)


Tell = Callable[[Disk], None]
TellBoth = Callable[[Tell], None]


@pytest.fixture(params=["ring", "ring thread"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(params=list(PROTECTIONS))
def tell_both(kind: str, request: pytest.FixtureRequest) -> Iterator[TellBoth]:
    """Tells a story to a server with grants and one without: answers and files are the same bytes."""
    with ExitStack() as ending:

        def tell_one(tell: Tell, grants: bool) -> Disk:
            folder = ending.enter_context(memory_disk(MIB))
            server = RealServer(EngineConfig(SERVER_GUID, grants=grants), REAL_DRIVERS[kind], folder)
            ending.callback(server.finish)
            disk = Disk(server, grants, PROTECTIONS[request.param])
            tell(disk)
            return disk

        def tell_both(tell: Tell) -> None:
            with_grants, without = (tell_one(tell, grants) for grants in (True, False))
            assert with_grants.answers == without.answers
            assert with_grants.data == without.data
            assert with_grants.writes_granted > 0 and without.writes_granted == 0

        yield tell_both


def pattern(length: int) -> bytes:
    """So many bytes, no page of them like another."""
    return b"".join(number.to_bytes(4, "big") for number in range(-(-length // 4)))[:length]


def flush(file_id: FileId) -> Message:
    return Message(Command.FLUSH, FlushRequest(file_id).encode(), credits=8)


@pytest.mark.parametrize("flags", [0, WriteFlags.WRITE_THROUGH])
@pytest.mark.parametrize("length", [10_000, 100_000, ROOM + 1, MIB])
def test_what_does_not_fit_is_refused_and_what_fits_of_it_has_arrived(
    tell_both: TellBoth, length: int, flags: int
) -> None:
    """WRITEs are made in the thread that took them; those through to the disk by the kernel's workers."""
    data = pattern(length)

    def tell(disk: Disk) -> None:
        offset = 0
        while (status := disk.write(offset, data, flags)) == NtStatus.SUCCESS:
            offset += length
        assert status == NtStatus.DISK_FULL
        assert offset == ROOM // length * length
        assert disk.data == (data * (ROOM // length + 1))[:ROOM]
        # once more the same, further on, and of one byte
        assert disk.write(offset, data, flags) == NtStatus.DISK_FULL
        assert disk.write(ROOM, data[:PAGE], flags) == NtStatus.DISK_FULL
        assert disk.write(ROOM, b"x", flags) == NtStatus.DISK_FULL
        # what is there can be changed and read
        assert disk.write(0, data[-5000:], flags) == NtStatus.SUCCESS
        (reply,) = disk.replies(Messages.read(disk.file_id, 0, 5000))
        assert reply.expect(ReadResponse).data == data[-5000:]
        assert len(disk.data) == ROOM

    tell_both(tell)


def test_when_there_is_room_again_the_data_plane_goes_on(tell_both: TellBoth) -> None:
    data = pattern(2 * ROOM)

    def tell(disk: Disk) -> None:
        assert disk.write(0, data) == NtStatus.DISK_FULL
        assert disk.data == data[:ROOM]
        disk.remove_ballast()
        before = disk.writes_granted
        assert disk.write(0, data) == NtStatus.SUCCESS
        assert disk.ask(flush(disk.file_id)) == [NtStatus.SUCCESS]
        assert disk.data == data
        assert disk.writes_granted == before + disk.grants

    tell_both(tell)


def test_a_hole_that_cannot_be_filled(tell_both: TellBoth) -> None:
    """Given a file that is longer than the disk, its size says nothing about what can be written inside it."""

    def tell(disk: Disk) -> None:
        os.truncate(os.path.join(disk.server.files.top(), "file"), 2 * MIB)
        assert disk.write(MIB, pattern(ROOM - PAGE)) == NtStatus.SUCCESS
        assert disk.write(100, pattern(3 * PAGE)) == NtStatus.DISK_FULL
        assert disk.data[:PAGE] == bytes(100) + pattern(PAGE - 100)
        assert disk.data[PAGE:MIB] == bytes(MIB - PAGE)
        assert len(disk.data) == 2 * MIB

    tell_both(tell)


@pytest.mark.parametrize("related", [False, True])
def test_compounds_in_which_a_write_finds_the_disk_full(tell_both: TellBoth, related: bool) -> None:
    """The requests behind it are carried out; their file is known all the same.

    A compound with a FLUSH is the engine's from the start, one without is begun by the data plane.
    """

    def tell(disk: Disk) -> None:
        def behind(message: Message) -> Message:
            return message.related() if related else message

        first = disk.file_id
        rest = Messages.ANY if related else first
        fits, full = NtStatus.SUCCESS, NtStatus.DISK_FULL
        data = pattern(PAGE + ROOM)
        halves = data[: PAGE // 2], data[PAGE // 2 : PAGE]
        assert disk.ask(
            Messages.write(first, 0, halves[0]), behind(Messages.write(rest, PAGE // 2, halves[1]))
        ) == [fits, fits]
        assert disk.ask(
            Messages.write(first, PAGE, data[PAGE:]), behind(Messages.read(rest, PAGE, PAGE))
        ) == [full, fits]
        assert disk.data == data[:ROOM]
        assert disk.ask(
            Messages.write(first, 0, b"again"), behind(Messages.write(rest, ROOM, b"more")), behind(flush(rest))
        ) == [fits, full, fits]
        assert disk.ask(
            Messages.write(first, 5, b" and"), behind(Messages.write(rest, PAGE, data[PAGE:]))
        ) == [fits, full]
        assert disk.data == b"again and" + data[9:ROOM]
        assert disk.ask(Messages.write(first, ROOM, data), behind(flush(rest))) == [full, fits]
        disk.remove_ballast()
        assert disk.ask(
            Messages.write(first, PAGE, data[PAGE:]), behind(flush(rest)), behind(Messages.read(rest, PAGE, PAGE))
        ) == [fits, fits, fits]
        assert disk.ask(
            Messages.write(first, 0, data[:9]), behind(Messages.write(rest, ROOM, data[ROOM:]))
        ) == [fits, fits]
        assert disk.data == data

    tell_both(tell)


def test_many_writes_for_more_room_than_there_is(tell_both: TellBoth) -> None:
    """Which of them fit is chance; each that is said to have succeeded is there, and the others are refused."""
    length = 5 * PAGE

    def tell(disk: Disk) -> None:
        parts = {number * length: bytes([number + 1]) * length for number in range(2 * ROOM // length)}
        ids = {
            offset: disk.client.send(Messages.write(disk.file_id, offset, part))[0] for offset, part in parts.items()
        }
        found = {offset: disk.client.wait_for(message_id).status for offset, message_id in ids.items()}
        assert set(found.values()) == {NtStatus.SUCCESS, NtStatus.DISK_FULL}
        written = disk.data
        for offset, part in parts.items():
            if found[offset] == NtStatus.SUCCESS:
                assert written[offset : offset + length] == part
        disk.remove_ballast()
        for offset, part in parts.items():
            assert disk.write(offset, part) == NtStatus.SUCCESS

    tell_both(tell)


def test_a_new_file_on_a_full_disk(tell_both: TellBoth) -> None:
    """Opened, granted, and its first WRITE refused without a byte."""

    def tell(disk: Disk) -> None:
        assert disk.write(0, pattern(ROOM)) == NtStatus.SUCCESS
        new = disk.client.open(
            "new", AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA, disposition=CreateDisposition.CREATE
        )
        for length in (1, PAGE, 100_000):
            assert disk.ask(Messages.write(new, 0, pattern(length))) == [NtStatus.DISK_FULL]
        assert disk.server.files.data("new") == b""

    tell_both(tell)
