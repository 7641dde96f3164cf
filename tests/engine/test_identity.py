"""The kernel decides by the client's own Unix identity, not by the server's.

Where the tests do not run as root the server cannot become anybody else and everything happens as itself; the
simulated world always can.
"""

from __future__ import annotations

import os

import pytest

from smbd_uring.ports import Credentials
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileInfoClass
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.fscc import BasicInformation, DispositionInformation, RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.companions import account
from tests.engine.servers import RealServer, TestedServer
from tests.support.file_client import FileClient

CARL = 12345
DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
CREATE = CreateDisposition.CREATE
DENIED = NtStatus.ACCESS_DENIED


@pytest.fixture
def carl(server: TestedServer) -> FileClient:
    """A client whose account is another Unix user than the server's."""
    carls = account("carl")
    carls.credentials = Credentials(CARL, CARL)
    server.companion.accounts["carl"] = carls
    return server.client(user="carl")


def becomes_others(server: TestedServer) -> bool:
    """Whether this server can act as somebody else at all."""
    return not isinstance(server, RealServer) or os.geteuid() == 0


def expected(server: TestedServer, status: NtStatus) -> NtStatus:
    return status if becomes_others(server) else NtStatus.SUCCESS


@pytest.mark.parametrize(
    ("mode", "access", "status"),
    [
        (0o600, AccessMask.FILE_READ_DATA, DENIED), (0o604, AccessMask.FILE_READ_DATA, NtStatus.SUCCESS),
        (0o604, AccessMask.FILE_WRITE_DATA, DENIED), (0o602, AccessMask.FILE_WRITE_DATA, NtStatus.SUCCESS),
        (0o606, AccessMask.FILE_EXECUTE, DENIED), (0o601, AccessMask.FILE_EXECUTE, DENIED),
        (0o605, AccessMask.FILE_EXECUTE, NtStatus.SUCCESS),
        (0o600, AccessMask.FILE_READ_ATTRIBUTES, NtStatus.SUCCESS), (0o604, AccessMask.FILE_WRITE_ATTRIBUTES, DENIED),
        (0o606, AccessMask.WRITE_DAC, DENIED),
    ],
)  # fmt: skip
def test_anothers_file_opens_as_its_mode_says(
    server: TestedServer, carl: FileClient, mode: int, access: int, status: NtStatus
) -> None:
    if not becomes_others(server):
        pytest.skip("the file would be the server's own")
    server.files.add_file("roots", b"data", mode)
    assert carl.create("roots", access).status == status


def test_a_file_belongs_to_who_makes_it(server: TestedServer, carl: FileClient) -> None:
    carl.put("file", b"data")
    carl.close(carl.open("folder", disposition=CREATE, options=DIRECTORY))
    owner = CARL if becomes_others(server) else os.geteuid()
    assert server.files.owner("file") == owner
    assert server.files.owner("folder") == owner


def test_a_folder_that_is_not_ones_own_takes_no_files_and_gives_none(server: TestedServer, carl: FileClient) -> None:
    server.files.add_directory("roots", 0o755)
    server.files.add_file(r"roots/file", b"kept", 0o777)
    status = expected(server, DENIED)
    assert carl.create(r"roots\new", disposition=CREATE).status == status
    assert carl.create(r"roots\below", disposition=CREATE, options=DIRECTORY).status == status
    reply = carl.create(r"roots\file", AccessMask.DELETE, options=CreateOptions.FILE_DELETE_ON_CLOSE)
    assert reply.status == status


def test_a_folder_that_may_not_be_read_is_not_listed_and_not_entered(server: TestedServer, carl: FileClient) -> None:
    server.files.add_directory("roots", 0o700)
    server.files.add_file(r"roots/file", b"secret", 0o777)
    assert carl.create("roots", AccessMask.FILE_LIST_DIRECTORY, options=DIRECTORY).status == expected(server, DENIED)
    assert carl.create(r"roots\file", AccessMask.FILE_READ_DATA).status == expected(server, DENIED)


def test_in_a_sticky_folder_everybody_deletes_his_own(server: TestedServer, carl: FileClient) -> None:
    if not becomes_others(server):
        pytest.skip("there is nobody else")
    server.files.add_directory("common", 0o1777)
    server.files.add_file("common/roots", b"", 0o666)
    carl.put(r"common\carls")
    assert carl.create(r"common\roots", AccessMask.DELETE).status == DENIED
    file_id = carl.open(r"common\carls", AccessMask.DELETE)
    reply = carl.set_info(file_id, FileInfoClass.DISPOSITION, DispositionInformation(True))
    assert reply.status == NtStatus.SUCCESS
    carl.close(file_id)
    assert server.files.names("common") == ["roots"]


def test_renaming_into_a_folder_that_is_not_ones_own_is_denied(server: TestedServer, carl: FileClient) -> None:
    server.files.add_directory("roots", 0o755)
    carl.put("file")
    moved = carl.set_info(carl.open("file"), FileInfoClass.RENAME, RenameInformation(False, r"roots\file"))
    assert moved.status == expected(server, DENIED)


def test_maximal_access_is_what_the_kernel_would_allow(server: TestedServer, carl: FileClient) -> None:
    if not becomes_others(server):
        pytest.skip("the server may do everything with its own files")
    server.files.add_file("roots", b"", 0o604)
    asked = [(create_contexts.QUERY_MAXIMAL_ACCESS, b"")]
    answer = carl.create("roots", AccessMask.FILE_READ_DATA, contexts=asked).expect(CreateResponse)
    status, mask = create_contexts.decode_maximal_access(dict(answer.contexts)[create_contexts.QUERY_MAXIMAL_ACCESS])
    assert status == NtStatus.SUCCESS
    assert mask & AccessMask.FILE_READ_DATA
    assert not mask & (AccessMask.FILE_WRITE_DATA | AccessMask.FILE_EXECUTE | AccessMask.WRITE_DAC)
    everything = carl.create("roots", AccessMask.MAXIMUM_ALLOWED).expect(CreateResponse)
    assert carl.write(everything.file_id, b"x").status == DENIED


def test_two_users_at_once_each_act_as_themselves(server: TestedServer, carl: FileClient) -> None:
    if not becomes_others(server):
        pytest.skip("there is nobody else")
    anna = server.client()
    for number in range(10):
        carl.put(f"carls {number}", b"x")
        anna.put(f"annas {number}", b"x")
    for name in server.files.names():
        assert server.files.owner(name) == (CARL if name.startswith("carls") else os.getuid())


def test_times_of_anothers_file_stay(server: TestedServer, carl: FileClient) -> None:
    if not becomes_others(server):
        pytest.skip("the file would be the server's own")
    server.files.add_file("roots", b"", 0o606)
    file_id = carl.open("roots", AccessMask.FILE_WRITE_ATTRIBUTES | AccessMask.FILE_READ_ATTRIBUTES)
    wanted = BasicInformation(0, 0, 0x01D1_2345_6789_ABCD, 0, 0)
    assert carl.set_info(file_id, FileInfoClass.BASIC, wanted).status == DENIED
