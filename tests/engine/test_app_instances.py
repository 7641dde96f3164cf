"""An application that starts again on another machine takes over what it had open ([MS-SMB2] 3.3.5.9.13)."""

from __future__ import annotations

import pytest

from smbd_uring.wire import create_contexts as names
from smbd_uring.wire.const import AccessMask, CreateDisposition, Dialect
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.durable_contexts import encode_app_instance_id, encode_app_instance_version
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.servers import TestedServer
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

APPLICATION, ANOTHER = bytes(range(16)), bytes(range(16, 32))
HERE, ELSEWHERE = bytes(range(32, 48)), bytes(range(48, 64))
OPEN_IF = CreateDisposition.OPEN_IF


def create(
    client: FileClient, application: bytes = APPLICATION, version: tuple[int, int] | None = None, name: str = "disk"
) -> Reply:
    contexts = [(names.APP_INSTANCE_ID, encode_app_instance_id(application))]
    if version is not None:
        contexts.append((names.APP_INSTANCE_VERSION, encode_app_instance_version(version)))
    return client.create(name, disposition=OPEN_IF, share=0, contexts=contexts)


def opened(client: FileClient, version: tuple[int, int] | None = None) -> FileId:
    return create(client, version=version).expect(CreateResponse).file_id


def test_the_first_ones_handle_is_closed_for_the_second(server: TestedServer) -> None:
    first = server.client(client_guid=HERE)
    file_id = opened(first)
    second = server.client(client_guid=ELSEWHERE)
    assert second.write(opened(second), b"data").status == 0
    assert first.close(file_id).status == NtStatus.FILE_CLOSED


def test_the_same_client_shuts_itself_out_as_ever(server: TestedServer) -> None:
    opened(server.client(client_guid=HERE))
    assert create(server.client(client_guid=HERE)).status == NtStatus.SHARING_VIOLATION


@pytest.mark.parametrize("difference", ["application", "file", "user"])
def test_somebody_else_ends_nothing(server: TestedServer, difference: str) -> None:
    first = server.client(client_guid=HERE)
    file_id = opened(first)
    second = server.client(client_guid=ELSEWHERE, user="bert" if difference == "user" else "anna")
    if difference == "file":
        assert create(second, name="other").status == 0
    else:
        application = ANOTHER if difference == "application" else APPLICATION
        assert create(second, application).status == NtStatus.SHARING_VIOLATION
    assert first.write(file_id, b"data").status == 0


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ((2, 6), 0), ((3, 0), 0), ((2, 5), NtStatus.FILE_FORCED_CLOSED), ((2, 4), NtStatus.FILE_FORCED_CLOSED),
        ((1, 9), NtStatus.FILE_FORCED_CLOSED), (None, NtStatus.FILE_FORCED_CLOSED),
    ],
)  # fmt: skip
def test_only_the_newer_version_takes_over(
    server: TestedServer, version: tuple[int, int] | None, status: int
) -> None:
    opened(server.client(client_guid=HERE), (2, 5))
    assert create(server.client(client_guid=ELSEWHERE), version=version).status == status


def test_before_3_1_1_there_are_no_versions(server: TestedServer) -> None:
    opened(server.client(client_guid=HERE), (2, 5))
    second = server.client(client_guid=ELSEWHERE, dialects=(Dialect.SMB_3_0_2,))
    assert create(second, version=(1, 0)).status == 0


def test_case_does_not_make_it_another_file(server: TestedServer) -> None:
    opened(server.client(client_guid=HERE))
    assert create(server.client(client_guid=ELSEWHERE), name="DISK").status == 0


def test_an_open_without_the_application_is_left_alone(server: TestedServer) -> None:
    server.client(client_guid=HERE).open("disk", AccessMask.GENERIC_READ, disposition=OPEN_IF, share=0)
    assert create(server.client(client_guid=ELSEWHERE)).status == NtStatus.SHARING_VIOLATION
