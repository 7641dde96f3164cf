"""Given a client that looks for more ways to the server, it is told of them ([MS-SMB2] 3.3.5.15.11)."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from smbd_uring import limits
from smbd_uring.ports import ListInterfaceAddresses
from smbd_uring.wire.classes import FsctlCode
from smbd_uring.wire.const import Dialect
from smbd_uring.wire.data import IoctlResponse
from smbd_uring.wire.network_interfaces import ENTRY_BYTES, NetworkInterface, decode_interfaces
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import SimulatedServer
from tests.support.file_client import FileClient

QUERY = FsctlCode.QUERY_NETWORK_INTERFACE_INFO


def interfaces(client: FileClient) -> list[NetworkInterface]:
    answer = client.ioctl(QUERY).expect(IoctlResponse)
    assert answer.file_id == FILE_ID_ANY
    return decode_interfaces(answer.output)


@pytest.mark.parametrize("dialect", [Dialect.SMB_3_0, Dialect.SMB_3_1_1])
def test_a_server_for_its_own_machine_tells_of_loopback(make_server: MakeServer, dialect: Dialect) -> None:
    (told,) = interfaces(make_server(listening_on=("127.0.0.1",)).client(dialects=[dialect]))
    assert (told.address, told.index) == (ip_address("127.0.0.1"), 1)
    assert told.bits_per_second == 1_000_000_000


def test_speed_and_queues_are_the_cards(simulated: SimulatedServer) -> None:
    (told,) = interfaces(simulated.client())
    assert told == NetworkInterface(2, 1, 10_000_000_000, ip_address("192.0.2.7"))


def test_the_kernel_is_asked_again_after_a_while(simulated: SimulatedServer) -> None:
    client, calls = simulated.client(), simulated.world.kernel.calls
    for _ in range(5):
        interfaces(client)
    assert calls[ListInterfaceAddresses.__name__] == 1
    simulated.advance(limits.INTERFACES_GOOD_S + 1)
    interfaces(client)
    assert calls[ListInterfaceAddresses.__name__] == 2


def test_an_answer_that_has_no_room_is_not_given(make_server: MakeServer) -> None:
    client = make_server(listening_on=("127.0.0.1",)).client()
    assert client.ioctl(QUERY, max_output=ENTRY_BYTES - 1).status == NtStatus.BUFFER_TOO_SMALL
    assert client.ioctl(QUERY, max_output=ENTRY_BYTES).status == NtStatus.SUCCESS


def test_it_is_no_question_about_a_file(make_server: MakeServer) -> None:
    client = make_server().client()
    assert client.ioctl(QUERY, file_id=FileId(1, 2)).status == NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_older_dialects_have_no_channels(make_server: MakeServer, dialect: Dialect) -> None:
    assert make_server().client(dialects=[dialect]).ioctl(QUERY).status == NtStatus.NOT_SUPPORTED


def test_nor_has_a_server_that_was_told_to_have_none(make_server: MakeServer) -> None:
    assert make_server(multichannel=False).client().ioctl(QUERY).status == NtStatus.NOT_SUPPORTED
