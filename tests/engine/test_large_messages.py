"""Large signed and sealed messages, with other clients about: on ring threads a crew does their cryptography."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.wire.const import CipherId, Dialect, SecurityMode, SigningAlgorithm
from smbd_uring.wire.data import ReadResponse, WriteResponse
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import TestedServer
from tests.support.client import CIPHERS, SIGNING_ALGORITHMS, negotiate_contexts
from tests.support.file_client import FileClient, Messages

REQUIRED = SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED
MIB = limits.MIB
OPEN_IF = 3


def data(seed: int, length: int) -> bytes:
    """Bytes that are not the same anywhere else."""
    return b"".join((seed * 1_000_003 + number).to_bytes(8, "little") for number in range(length // 8))


def protected(server: TestedServer, way: CipherId | SigningAlgorithm) -> FileClient:
    """A client that seals with a cipher, or signs with an algorithm, and has credits for much at once."""
    if isinstance(way, CipherId):
        client = server.client(dialects=[Dialect.SMB_3_1_1], contexts=negotiate_contexts([way]))
        assert client.session is not None
        client.session.seals = True
    else:
        contexts = negotiate_contexts(CIPHERS, [way])
        client = server.client(dialects=[Dialect.SMB_3_1_1], contexts=contexts, security_mode=REQUIRED)
    while client.credits < 200:
        client.echo(credits=200)
    return client


@pytest.mark.parametrize("way", [*CIPHERS, *SIGNING_ALGORITHMS])
def test_large_and_small_messages_of_several_clients_are_all_right(
    server: TestedServer, way: CipherId | SigningAlgorithm
) -> None:
    clients = [protected(server, way) for _ in range(2)]
    opened = [client.open(f"file {number}", disposition=OPEN_IF) for number, client in enumerate(clients)]
    wanted = [data(number, 2 * MIB) for number in range(2)]
    writes = [
        [client.send(Messages.write(file, half * MIB, content[half * MIB : (half + 1) * MIB]))[0] for half in range(2)]
        for client, file, content in zip(clients, opened, wanted, strict=True)
    ]
    for client, ids in zip(clients, writes, strict=True):
        assert [client.wait_for(message_id).expect(WriteResponse).count for message_id in ids] == [MIB, MIB]
    for number, content in enumerate(wanted):
        assert server.files.data(f"file {number}") == content
    reads = [
        [
            (offset, length, client.send(Messages.read(file, offset, length))[0])
            for offset, length in ((0, MIB), (MIB, MIB), (77, 100), (MIB // 2, MIB), (2 * MIB - 10, 200_000))
        ]
        for client, file in zip(clients, opened, strict=True)
    ]
    for client, asked, content in zip(clients, reads, wanted, strict=True):
        for offset, length, message_id in asked:
            assert client.wait_for(message_id).expect(ReadResponse).data == content[offset : offset + length]


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
def test_a_large_write_with_a_wrong_signature_is_denied(server: TestedServer, algorithm: SigningAlgorithm) -> None:
    client, _other = protected(server, algorithm), server.client()
    file = client.open("file", disposition=OPEN_IF)
    request = Messages.write(file, 0, bytes(MIB))
    request.sign = request.wrong_signature = True
    assert client.ask(request).status == NtStatus.ACCESS_DENIED
    assert server.files.data("file") == b""
    assert client.write(file, b"right").status == NtStatus.SUCCESS


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_large_sealed_frame_that_was_changed_ends_the_connection(server: TestedServer, cipher: CipherId) -> None:
    client, other = protected(server, cipher), server.client()
    file = client.open("file", disposition=OPEN_IF)
    frame = bytearray(client.frame(Messages.write(file, 0, bytes(MIB))))
    frame[-1] ^= 1
    client.send_raw(bytes(frame))
    client.assert_ended()
    assert other.echo().status == NtStatus.SUCCESS
    assert server.files.data("file") == b""


def test_a_client_that_leaves_while_its_messages_are_sealed_leaves_nothing(server: TestedServer) -> None:
    client, other = protected(server, CipherId.AES_256_CCM), server.client()
    file = client.open("file", disposition=OPEN_IF)
    assert client.write(file, bytes(MIB), credit_charge=16).status == NtStatus.SUCCESS
    for _ in range(8):
        client.send(Messages.read(file, 0, MIB))
    client.send(Messages.write(file, 0, bytes(MIB)))
    client.transport.close()
    assert other.echo().status == NtStatus.SUCCESS
