"""The last close of a marked file takes away the name that was marked, as whoever marked it."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.ports import Credentials, Effect, Unlink
from smbd_uring.wire.const import AccessMask, CreateOptions
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import SERVER_GUID, SimulatedServer, TestedServer

DELETING = {"access": AccessMask.FILE_ALL_ACCESS, "options": CreateOptions.FILE_DELETE_ON_CLOSE}


def test_another_name_of_a_marked_file_stays(server: TestedServer) -> None:
    client, other = server.client(), server.client(user="bert")
    client.put("marked", b"data")
    server.files.add_link("kept", "marked")
    reading = other.open("kept", AccessMask.GENERIC_READ)
    assert client.close(client.open("marked", **DELETING)).status == NtStatus.SUCCESS
    assert other.close(reading).status == NtStatus.SUCCESS
    assert server.files.names() == ["kept"]


@pytest.mark.parametrize("share", ["data", "readonly", "second"])
def test_a_marked_file_goes_with_the_last_handle_of_somebody_who_may_not_delete_it(
    server: TestedServer, share: str
) -> None:
    """Whoever marked it was allowed to; its session may be gone by then."""
    client, other = server.client(), server.client(user="bert", share=share)
    client.put("file", b"data")
    reading = other.open("file", AccessMask.GENERIC_READ)
    assert client.close(client.open("file", **DELETING)).status == NtStatus.SUCCESS
    assert client.log_off().status == NtStatus.SUCCESS
    assert other.close(reading).status == NtStatus.SUCCESS
    assert server.files.names() == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_marked_file_is_deleted_as_who_marked_it(seed: int) -> None:
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed)
    server.companion.accounts["bert"].credentials = Credentials(12345, 12345)
    client, other = server.client(), server.client(user="bert")
    client.put("file", b"data")
    reading = other.open("file", AccessMask.GENERIC_READ)
    assert client.close(client.open("file", **DELETING)).status == NtStatus.SUCCESS
    unlinking: list[object] = []

    def note(effect: Effect[Any]) -> bool:
        unlinking.append(effect.credentials)  # type: ignore[attr-defined]
        return False

    server.world.kernel.fail(Unlink, errno.EIO, matching=note)
    assert other.close(reading).status == NtStatus.SUCCESS
    assert unlinking == [server.companion.accounts["anna"].credentials]
    assert server.files.names() == []
    server.finish()
