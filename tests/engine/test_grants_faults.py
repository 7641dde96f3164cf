"""Given a disk, a client or an engine that gets in the way, what a data plane has begun still ends well.

Faults are real ones: files that give errors, a limit on file size, pages that are not in memory, files that shrink,
resets.  Where the answer does not depend on time it is the same as without grants.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.loop.ring_driver import RingDriver
from smbd_uring.ports import Credentials
from smbd_uring.wire.const import AccessMask, CreateOptions, FileInfoClass, LockFlags, WriteFlags
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.fscc import EndOfFileInformation, ModeInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.query import QueryInfoResponse
from tests.engine.servers import REAL_DRIVERS, SERVER_GUID, LoopbackTransport, RealServer
from tests.support.client_messages import Message, Reply
from tests.support.file_client import FileClient, Messages

MIB = 1 << 20
MakeServer = Callable[..., RealServer]


@pytest.fixture(params=["ring", "ring thread"])
def make_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeServer]:
    """Makes servers, which must leave nothing behind: no handle, no operation."""
    made: list[RealServer] = []

    def make(**configuration: Any) -> RealServer:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(RealServer(EngineConfig(SERVER_GUID, **configuration), REAL_DRIVERS[request.param], folder))
        return made[-1]

    yield make
    for server in reversed(made):
        server.finish()
        driver = server._driver
        assert isinstance(driver, RingDriver)
        assert all(plane.operations == 0 for plane in driver.planes._planes)


@pytest.fixture
def server(make_server: MakeServer) -> RealServer:
    return make_server()


def rich_client(server: RealServer, credits: int, seals: bool = False) -> FileClient:
    """A client with so many credits."""
    client = server.client()
    assert client.session is not None
    client.session.seals = seals
    while client.credits < credits:
        client.echo(credits=512)
    return client


def statuses(replies: list[Reply]) -> list[int]:
    return [reply.status for reply in replies]


def assert_ends_equally(make_server: MakeServer, tell: Callable[[RealServer], list[Reply]]) -> list[int]:
    """The same story with grants and without has the same statuses; result: these."""
    with_grants, without = (statuses(tell(make_server(grants=grants))) for grants in (True, False))
    assert with_grants == without
    return with_grants


# --- errors of the file system ---------------------------------------------------------------------------------------


def test_an_unreadable_file_gives_the_error_that_the_engine_gives(make_server: MakeServer) -> None:
    """/proc/PID/mem is a regular file; where nothing is mapped its reads end in EIO."""

    def tell(server: RealServer) -> list[Reply]:
        known = server.companion.shares["data"]
        server.companion.shares["data"] = replace(known, path=f"/proc/{os.getpid()}")
        client = rich_client(server, 500)
        file_id = client.open("mem", AccessMask.FILE_READ_DATA)
        replies = [client.read(file_id, offset, 4096) for offset in (0, 4096, 100)]
        ids = [client.send(Messages.read(file_id, number * 4096, 4096))[0] for number in range(16)]
        replies += [client.wait_for(message_id) for message_id in ids]
        replies += client.ask_all(Messages.echo(), Messages.read(file_id, 0, 10), Messages.read(file_id, 10, 10))
        replies.append(client.close(file_id))
        return replies

    ended = assert_ends_equally(make_server, tell)
    assert ended[-1] == NtStatus.SUCCESS and NtStatus.SUCCESS not in ended[:19]


def test_a_file_that_may_not_grow_gives_the_error_that_the_engine_gives(make_server: MakeServer) -> None:
    """RLIMIT_FSIZE: a WRITE across the limit is short, the next one fails."""

    def tell(server: RealServer) -> list[Reply]:
        server.files.add_file("file", b"", 0o777)
        client = rich_client(server, 500)
        file_id = client.open("file")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
        try:
            replies = [
                client.write(file_id, b"x" * 60_000, MIB - 60_000),
                client.write(file_id, b"y" * 60_000, MIB - 30_000),
                client.write(file_id, b"z" * 60_000, MIB),
                client.write(file_id, b"z", MIB, write_flags=WriteFlags.WRITE_THROUGH),
                client.flush(file_id),
                client.read(file_id, MIB - 60_000, 60_000),
                *client.ask_all(Messages.write(file_id, 0, b"first"), Messages.write(file_id, MIB, b"second")),
                client.read(file_id, 0, 10),
            ]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert bytes(replies[5].expect(ReadResponse).data) == b"x" * 30_000 + b"y" * 30_000
        assert bytes(replies[-1].expect(ReadResponse).data[:5]) == b"first"
        return replies

    ended = assert_ends_equally(make_server, tell)
    assert ended[0] == NtStatus.SUCCESS and NtStatus.SUCCESS not in ended[1:4]


def test_a_compound_that_fails_at_its_end_has_read_what_was_there_before_it_wrote(make_server: MakeServer) -> None:
    """Given a READ, a WRITE over what it read, and a WRITE that fails: nobody may have done the first two twice."""

    def tell(server: RealServer) -> list[Reply]:
        server.files.add_file("file", b"before", 0o777)
        client = rich_client(server, 500)
        file_id = client.open("file")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
        try:
            replies = client.ask_all(
                Messages.read(file_id, 0, 6), Messages.write(file_id, 0, b"after!"), Messages.write(file_id, MIB, b"z")
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert bytes(replies[0].expect(ReadResponse).data) == b"before"
        assert server.files.data("file") == b"after!"
        return replies

    ended = assert_ends_equally(make_server, tell)
    assert ended[:2] == [NtStatus.SUCCESS] * 2 and ended[2] != NtStatus.SUCCESS


@pytest.mark.parametrize("seals", [False, True])
def test_what_is_not_in_memory_is_fetched(server: RealServer, seals: bool) -> None:
    data = os.urandom(16 * MIB)
    server.files.add_file("file", data, 0o777)
    path = Path(server.files.top()) / "file"
    client = rich_client(server, 1500, seals)
    file_id = client.open("file")
    for length in (4096, 100_000, MIB):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        offsets = [number * 997_001 % (len(data) - 10) for number in range(32)]
        ids = [client.send(Messages.read(file_id, offset, length))[0] for offset in offsets]
        for offset, message_id in zip(offsets, ids, strict=True):
            assert client.wait_for(message_id).expect(ReadResponse).data == data[offset : offset + length]


def test_a_file_that_shrinks_while_it_is_read(server: RealServer) -> None:
    """Replies stay whole: a prefix of what was there, or zeros for what was cut off meanwhile, or its end."""
    data = b"abcdefgh" * (MIB // 4)
    server.files.add_file("file", data, 0o777)
    client = rich_client(server, 1500)
    file_id = client.open("file")
    ending = threading.Event()

    def shrink() -> None:
        descriptor = os.open(Path(server.files.top()) / "file", os.O_RDWR)
        while not ending.is_set():
            os.ftruncate(descriptor, 100_000)
            os.pwrite(descriptor, data, 0)
        os.close(descriptor)

    thread = threading.Thread(target=shrink)
    thread.start()
    try:
        for _ in range(20):
            ids = [client.send(Messages.read(file_id, number * 65536, 200_000))[0] for number in range(12)]
            for message_id in ids:
                reply = client.wait_for(message_id)
                if reply.status != NtStatus.END_OF_FILE:
                    got = bytes(reply.expect(ReadResponse).data)
                    assert len(got) <= 200_000
                    assert all(
                        each in (wanted, 0) for each, wanted in zip(got[::97], data[::97], strict=False)
                    )
    finally:
        ending.set()
        thread.join()
    assert client.echo().status == NtStatus.SUCCESS


# --- the engine takes back what it gave ------------------------------------------------------------------------------


def test_a_handle_closed_while_it_is_read(server: RealServer) -> None:
    data = os.urandom(4 * MIB)
    server.files.add_file("file", data, 0o777)
    client = rich_client(server, 2000)
    for round_number in range(30):
        file_id = client.open("file")
        length = (4096, 65536, 300_000)[round_number % 3]
        before = [client.send(Messages.read(file_id, number * 10_000, length))[0] for number in range(20)]
        (closing,) = client.send(Messages.close(file_id))
        after = [client.send(Messages.read(file_id, number * 10_000, length))[0] for number in range(5)]
        for number, message_id in enumerate(before):
            reply = client.wait_for(message_id)
            if reply.status != NtStatus.FILE_CLOSED:
                begin = number * 10_000
                assert reply.expect(ReadResponse).data == data[begin : begin + length]
        assert client.wait_for(closing).status == NtStatus.SUCCESS
        assert {client.wait_for(message_id).status for message_id in after} == {NtStatus.FILE_CLOSED}


def change_mode(file_id: FileId) -> Message:
    return Messages.set_info(file_id, FileInfoClass.MODE, ModeInformation(CreateOptions.FILE_WRITE_THROUGH))


def truncate(file_id: FileId) -> Message:
    return Messages.set_info(file_id, FileInfoClass.END_OF_FILE, EndOfFileInformation(3 * MIB))


@pytest.mark.parametrize("change", [change_mode, truncate])
def test_a_change_in_the_middle_of_reads_and_writes(server: RealServer, change: Callable[[FileId], Message]) -> None:
    """What was asked before a change and after it is done all the same, and the change is not lost."""
    data = os.urandom(3 * MIB)
    server.files.add_file("file", data, 0o777)
    client = rich_client(server, 2000)
    file_id = client.open("file")
    for _ in range(20):
        ids: list[int] = []
        for number in range(20):
            ids += client.send(Messages.read(file_id, number * 50_000, 64_000))
            ids += client.send(Messages.write(file_id, number * 50_000, data[number * 50_000 :][:64_000]))
            if number in (5, 6, 12):
                ids += client.send(change(file_id))
        replies = [client.wait_for(message_id) for message_id in ids]
        assert set(statuses(replies)) == {NtStatus.SUCCESS}
        for reply in replies:
            if reply.header.command == 8:
                assert len(reply.expect(ReadResponse).data) == 64_000
    assert server.files.data("file") == data


def test_a_lock_stops_reads_of_others_that_come_after_it(server: RealServer) -> None:
    server.files.add_file("file", bytes(100_000), 0o777)
    locker, other = server.client(), server.client()
    locking, reading = locker.open("file"), other.open("file")
    assert other.read(reading, 0, 10).status == NtStatus.SUCCESS
    alone = locker.lock(locking, 0, 100, LockFlags.EXCLUSIVE_LOCK | LockFlags.FAIL_IMMEDIATELY).status
    with_lock = (other.read(reading, 0, 10).status, other.read(reading, 1000, 10).status)
    if alone == NtStatus.SUCCESS:
        assert with_lock == (NtStatus.FILE_LOCK_CONFLICT, NtStatus.SUCCESS)
    else:
        assert with_lock == (NtStatus.SUCCESS, NtStatus.SUCCESS)


def test_a_request_that_is_cancelled_is_answered_once(server: RealServer) -> None:
    data = os.urandom(8 * MIB)
    server.files.add_file("file", data, 0o777)
    client = rich_client(server, 1500)
    file_id = client.open("file")
    descriptor = os.open(Path(server.files.top()) / "file", os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    ids = []
    for number in range(30):
        ids += client.send(Messages.read(file_id, number * 250_000, 65536))
        client.cancel(ids[-1])
    for number, message_id in enumerate(ids):
        reply = client.wait_for(message_id)
        if reply.status != NtStatus.CANCELLED:
            assert reply.expect(ReadResponse).data == data[number * 250_000 :][:65536]
    assert client.echo().status == NtStatus.SUCCESS


# --- the client goes away, or does not listen ------------------------------------------------------------------------


@pytest.mark.parametrize("seals", [False, True])
@pytest.mark.parametrize("cold", [False, True])
def test_a_reset_in_the_middle_of_large_reads_leaves_nothing(server: RealServer, seals: bool, cold: bool) -> None:
    """64 reads of 1 MiB under way; `make_server` looks for what is left."""
    server.files.add_file("file", os.urandom(8 * MIB), 0o777)
    for _ in range(3):
        client = rich_client(server, 1100, seals)
        file_id = client.open("file")
        if cold:
            descriptor = os.open(Path(server.files.top()) / "file", os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        for number in range(64):
            client.send(Messages.read(file_id, number % 8 * MIB, MIB))
        sock = client.transport._socket  # type: ignore[attr-defined]
        sock.recv(100_000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        server.settle(lambda engine: not engine.connections)


def test_a_reset_in_the_middle_of_a_large_write_leaves_nothing(server: RealServer) -> None:
    server.files.add_file("file", b"", 0o777)
    for sent in (3, 100, 300, 70_000, 500_000):
        client = rich_client(server, 100)
        file_id = client.open("file")
        frame = client.frame(Messages.write(file_id, 0, bytes(MIB)))
        client.send_bytes((len(frame).to_bytes(4, "big") + frame)[:sent])
        sock = client.transport._socket  # type: ignore[attr-defined]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        server.settle(lambda engine: not engine.connections)
    assert server.files.data("file") == b""


@pytest.mark.parametrize("seals", [False, True])
def test_who_reads_no_replies_costs_only_an_own_allowance(server: RealServer, seals: bool) -> None:
    """500 READs of 1 MiB and not one reply taken: the queue stays bounded, and others are served meanwhile."""
    server.files.add_file("file", bytes(8 * MIB), 0o777)
    greedy = rich_client(server, 8000, seals)
    file_id = greedy.open("file")
    assert isinstance(greedy.transport, LoopbackTransport)
    for number in range(490):
        greedy.send(Messages.read(file_id, number % 8 * MIB, MIB))
    other = server.client()
    other_id = other.open("file")
    memory, ends = resident_bytes(), time.monotonic() + 1.0
    served = 0
    while time.monotonic() < ends:
        assert other.read(other_id, served % 1000 * 4096, 4096).status == NtStatus.SUCCESS
        served += 1
    assert served > 200
    queued = server.inspect(
        lambda engine: max(each.plane.sending_progress()[0] for each in engine.connections.values() if each.plane)
    )
    assert 8 * MIB < queued <= limits.SEND_QUEUE_BYTES_MAX + 2 * limits.IO_BYTES_MAX
    assert resident_bytes() - memory < 96 * MIB
    for _ in range(490):
        reply = greedy._next(lambda reply: True)
        assert len(reply.expect(ReadResponse).data) == MIB


def resident_bytes() -> int:
    """Memory of this process, which is the server's too."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("seals", [False, True])
def test_a_large_write_arrives_in_any_pieces(server: RealServer, seals: bool) -> None:
    """Cut inside its prefix, its headers and its payload, with a keep-alive and small requests around it."""
    server.files.add_file("file", b"", 0o777)
    client = rich_client(server, 1000, seals)
    file_id = client.open("file")
    for cut in (1, 3, 4, 5, 67, 68, 116, 117, 180, 256, 300, 4096, 65_535, 65_536, 65_540, 200_000):
        data = os.urandom(300_000)
        (before,) = client.send(Messages.echo())
        client.send_bytes(b"\x85\0\0\0")
        written = Messages.write(file_id, cut, data)
        frame = client.frame(written)
        stream = len(frame).to_bytes(4, "big") + frame
        client.send_bytes(stream[:cut])
        time.sleep(0.005)
        after = Messages.read(file_id, cut, 1000)
        small = client.frame(after)
        client.send_bytes(stream[cut:] + b"\x85\0\0\0" + len(small).to_bytes(4, "big") + small)
        assert written.message_id is not None and after.message_id is not None
        for message_id in (before, written.message_id, after.message_id):
            assert client.wait_for(message_id).status == NtStatus.SUCCESS
        assert server.files.data("file")[cut : cut + len(data)] == data


def test_a_change_of_mode_keeps_the_position(server: RealServer) -> None:
    server.files.add_file("file", bytes(1000), 0o777)
    client = server.client()
    file_id = client.open("file")
    assert client.read(file_id, 100, 50).status == NtStatus.SUCCESS
    assert client.ask(change_mode(file_id)).status == NtStatus.SUCCESS
    answer = client.query_info(file_id, FileInfoClass.POSITION).expect(QueryInfoResponse)
    assert int.from_bytes(answer.buffer, "little") == 150


@pytest.mark.parametrize("seals", [False, True])
def test_a_client_that_asks_and_then_says_no_more_gets_its_answer(server: RealServer, seals: bool) -> None:
    """Given a large answer that another thread protects, the end waits for it; a second connection brings that in."""
    server.files.add_file("file", bytes(4 * MIB), 0o777)
    client, _other = rich_client(server, 500, seals), server.client()
    file_id = client.open("file")
    (message_id,) = client.send(Messages.read(file_id, 0, 4 * MIB))
    assert isinstance(client.transport, LoopbackTransport)
    client.transport._socket.shutdown(socket.SHUT_WR)
    assert len(client.wait_for(message_id).expect(ReadResponse).data) == 4 * MIB


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write as somebody else")
def test_a_write_ends_the_power_of_a_program(make_server: MakeServer) -> None:
    """Whoever may write to a program that runs with others' rights is not root: its set-id bits go ([MAN] write(2))."""

    def tell(server: RealServer) -> list[Reply]:
        server.files.add_file("program", b"#!/bin/sh", 0o777)
        path = Path(server.files.top()) / "program"
        for folder in (path, *path.parents[:3]):
            folder.chmod(0o6777)
        anna = server.companion.accounts["anna"]
        server.companion.accounts["anna"] = replace(anna, credentials=Credentials(12345, 12345))
        client = server.client()
        file_id = client.open("program", AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA)
        reply = client.write(file_id, b"rm -r /", 9)
        assert reply.status == NtStatus.SUCCESS
        assert path.stat().st_mode & 0o6000 == 0
        return [reply]

    assert_ends_equally(make_server, tell)
