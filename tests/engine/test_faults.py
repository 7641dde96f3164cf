"""Every system call may fail, at any time: the client gets a status, the server keeps nothing and makes no mistake.

One story that uses every effect on files is told again and again; each time another call of it fails.
"""

from __future__ import annotations

import errno
from typing import Any

import pytest

from smbd_uring import ports
from smbd_uring.config import EngineConfig
from smbd_uring.ports import Effect
from smbd_uring.wire.const import (
    AccessMask,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FileInfoClass,
    InfoType,
    LockFlags,
    WriteFlags,
)
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.fscc import (
    AllocationInformation,
    BasicInformation,
    EndOfFileInformation,
    LinkInformation,
    RenameInformation,
)
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

DIRECTORY, DELETE_ON_CLOSE = CreateOptions.FILE_DIRECTORY_FILE, CreateOptions.FILE_DELETE_ON_CLOSE
OPEN_IF, OVERWRITE_IF = CreateDisposition.OPEN_IF, CreateDisposition.OVERWRITE_IF
CONTEXTS = [(b"MxAc", b""), (b"QFid", b""), (b"AlSi", (1 << 16).to_bytes(8, "little"))]
EFFECTS_ON_FILES: list[type[Effect[Any]]] = [
    ports.OpenAt, ports.Reopen, ports.CloseHandle, ports.ReadAt, ports.WriteAt, ports.Synchronize, ports.Stat,
    ports.StatVolume, ports.CheckAccess, ports.Truncate, ports.MakeDirectory, ports.Unlink,
    ports.Rename, ports.Link, ports.SetTimes, ports.GetXattr, ports.SetXattr, ports.ListDirectory, ports.StatEntries,
    ports.SetRangeLock, ports.CheckRangeLock,
]  # fmt: skip
ERRNOS = (errno.EIO, errno.EACCES, errno.ENOENT, errno.EMFILE, errno.ENOSPC, errno.EEXIST)


def tell(client: FileClient) -> list[Reply]:
    """Use everything there is; whatever fails, go on.  Result: all answers."""
    replies: list[Reply] = []

    def note(reply: Reply) -> Reply:
        replies.append(reply)
        return reply

    def handle(reply: Reply) -> FileId:
        note(reply)
        return reply.expect(CreateResponse).file_id if reply.status == NtStatus.SUCCESS else FileId(1, 1)

    note(client.tree_connect("data"))
    folder = handle(client.create("folder", AccessMask.GENERIC_READ, disposition=OPEN_IF, options=DIRECTORY))
    hidden, system = FileAttributes.HIDDEN, FileAttributes.SYSTEM
    file = handle(client.create(r"folder\file", disposition=OPEN_IF, attributes=hidden, contexts=CONTEXTS))
    note(client.write(file, b"0123456789", write_flags=WriteFlags.WRITE_THROUGH))
    note(client.read(file))
    note(client.flush(file))
    note(client.lock(file, 0, 4, LockFlags.EXCLUSIVE_LOCK))
    note(client.lock(file, 0, 4, LockFlags.SHARED_LOCK))
    note(client.lock(file, 0, 4, LockFlags.UNLOCK))
    for info_class, information in (
        (FileInfoClass.BASIC, BasicInformation(1 << 56, 1 << 56, 1 << 56, 0, system)),
        (FileInfoClass.END_OF_FILE, EndOfFileInformation(5)),
        (FileInfoClass.ALLOCATION, AllocationInformation(1 << 17)),
        (FileInfoClass.ALLOCATION, AllocationInformation(2)),
        (FileInfoClass.LINK, LinkInformation(True, r"folder\link")),
        (FileInfoClass.RENAME, RenameInformation(True, r"Folder\Renamed")),
    ):
        note(client.set_info(file, info_class, information))
    note(client.query_info(file, FileInfoClass.ALL))
    note(client.query_info(file, 3, InfoType.FILESYSTEM))
    note(client.query_directory(folder, "*"))
    note(client.query_directory(folder, "link", query_flags=1))
    again = client.create(
        r"FOLDER\LINK", AccessMask.MAXIMUM_ALLOWED, disposition=OVERWRITE_IF, attributes=hidden | system,
        contexts=CONTEXTS,
    )  # fmt: skip
    note(client.close(handle(again), attributes=True))
    note(client.close(handle(client.create(r"folder\gone", disposition=OPEN_IF, options=DELETE_ON_CLOSE))))
    below = handle(client.create(r"folder\below", disposition=OPEN_IF, options=DIRECTORY))
    note(client.set_info(below, FileInfoClass.DISPOSITION, b"\1"))
    for file_id in (below, file, folder):
        note(client.close(file_id))
    note(client.tree_disconnect())
    return replies


def start() -> tuple[SimulatedServer, FileClient]:
    server = SimulatedServer(EngineConfig(SERVER_GUID), 1)
    return server, server.client(share=None)


def test_the_story_uses_every_effect_and_ends_well_where_nothing_fails() -> None:
    server, client = start()
    assert [reply.status for reply in tell(client) if reply.status != NtStatus.SUCCESS] == []
    used = set(server.world.kernel.calls)
    server.finish()
    assert {effect.__name__ for effect in EFFECTS_ON_FILES} <= used


@pytest.mark.parametrize("number", ERRNOS, ids=errno.errorcode.get)
@pytest.mark.parametrize("effect", EFFECTS_ON_FILES, ids=lambda effect: effect.__name__)
def test_a_call_that_fails_is_a_status_and_leaves_nothing(effect: type[Effect[Any]], number: int) -> None:
    nth = 1
    while True:
        server, client = start()
        kernel = server.world.kernel
        before = kernel.calls[effect.__name__]
        kernel.fail(effect, number, nth)
        replies = tell(client)
        calls = kernel.calls[effect.__name__] - before
        assert client.echo().status == NtStatus.SUCCESS
        assert all(reply.status != NtStatus.INTERNAL_ERROR for reply in replies)
        server.finish()
        if nth > calls:
            return
        nth += 1
