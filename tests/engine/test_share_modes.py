"""Share modes between two clients: every access under every sharing, in both orders ([MS-FSA] 2.1.5.1.2.2).

`tests/unit/engine/test_share_modes.py` has the rule on plain masks; this is the rule as clients meet it.
"""

from __future__ import annotations

from itertools import product

import pytest

from smbd_uring.wire.const import AccessMask, CreateDisposition, ShareAccess
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import TestedServer
from tests.support.file_client import FileClient

READ, WRITE, DELETE = ShareAccess.READ, ShareAccess.WRITE, ShareAccess.DELETE
NEEDS = {
    AccessMask.FILE_READ_DATA: READ,
    AccessMask.FILE_EXECUTE: READ,
    AccessMask.FILE_WRITE_DATA: WRITE,
    AccessMask.FILE_APPEND_DATA: WRITE,
    AccessMask.DELETE: DELETE,
    AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA: READ | WRITE,
    AccessMask.FILE_ALL_ACCESS: READ | WRITE | DELETE,
    AccessMask.FILE_READ_ATTRIBUTES: 0,
    AccessMask.FILE_WRITE_ATTRIBUTES | AccessMask.READ_CONTROL | AccessMask.SYNCHRONIZE: 0,
}
"""What an access needs of the sharing of others; nothing at all: the open has no part in it."""

SHARES = range(8)


@pytest.fixture
def pair(server: TestedServer) -> tuple[FileClient, FileClient]:
    server.files.add_file("file", b"", 0o777)
    return server.client(), server.client()


@pytest.mark.parametrize("driver", ["ring", 1], ids=["ring", "seed 1"])
@pytest.mark.parametrize("first", NEEDS, ids=hex)
def test_the_second_open_stands_when_each_shares_what_the_other_does(
    pair: tuple[FileClient, FileClient], first: int
) -> None:
    holder, other = pair
    for first_share in SHARES:
        held = holder.create("file", first, share=first_share).expect(CreateResponse).file_id
        for second, second_share in product(NEEDS, SHARES):
            reply = other.create("file", second, share=second_share)
            takes_part = NEEDS[first] and NEEDS[second]
            violates = takes_part and (NEEDS[first] & ~second_share or NEEDS[second] & ~first_share)
            expected = NtStatus.SHARING_VIOLATION if violates else NtStatus.SUCCESS
            assert reply.status == expected, (hex(first), first_share, hex(second), second_share)
            if not violates:
                assert other.close(reply.expect(CreateResponse).file_id).status == NtStatus.SUCCESS
        assert holder.close(held).status == NtStatus.SUCCESS


@pytest.mark.parametrize("disposition", [CreateDisposition.OVERWRITE, CreateDisposition.SUPERSEDE])
@pytest.mark.parametrize("share", SHARES)
def test_emptying_a_file_needs_what_writing_needs(
    pair: tuple[FileClient, FileClient], disposition: CreateDisposition, share: int
) -> None:
    holder, other = pair
    holder.open("file", AccessMask.FILE_READ_DATA, share=share)
    status = other.create("file", AccessMask.FILE_READ_ATTRIBUTES, disposition=disposition).status
    assert status == (NtStatus.SUCCESS if share & WRITE else NtStatus.SHARING_VIOLATION)


def test_an_open_stops_counting_when_it_is_closed_and_when_its_connection_ends(
    server: TestedServer, pair: tuple[FileClient, FileClient]
) -> None:
    holder, other = pair
    held = holder.open("file", share=0)
    assert other.create("file").status == NtStatus.SHARING_VIOLATION
    assert holder.close(held).status == NtStatus.SUCCESS
    assert other.close(other.open("file")).status == NtStatus.SUCCESS
    holder.open("file", share=0)
    holder.transport.close()
    server.settle(lambda engine: len(engine.connections) == 1)
    assert other.create("file").status == NtStatus.SUCCESS


def test_a_hard_link_is_the_same_file(server: TestedServer, pair: tuple[FileClient, FileClient]) -> None:
    holder, other = pair
    server.files.add_link("other name", "file")
    holder.open("file", share=0)
    assert other.create("other name").status == NtStatus.SHARING_VIOLATION
