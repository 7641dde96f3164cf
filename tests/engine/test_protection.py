"""Signatures and seals: what must be protected is, and what is not right is not served ([MS-SMB2] 3.3.5.2)."""

from __future__ import annotations

import pytest

from smbd_uring.config import Encryption
from smbd_uring.wire.const import CipherId, Command, Dialect, SecurityMode, SessionFlags, ShareFlag, SigningAlgorithm
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import SessionSetupResponse
from smbd_uring.wire.tree import TreeConnectResponse
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client import CIPHERS, DIALECTS, SIGNING_ALGORITHMS, negotiate_contexts
from tests.support.client_channel import ConnectionEnded
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

REQUIRED = SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED
DATA = bytes(range(256)) * 300
TRANSFORM_BYTES = 52
SMB3 = (Dialect.SMB_3_0, Dialect.SMB_3_0_2, Dialect.SMB_3_1_1)


def use(client: FileClient) -> None:
    """A little of everything; the client checks that each answer is as protected as its request."""
    client.put("file", DATA)
    assert client.get("file") == DATA
    create, read, close = client.ask_all(
        Messages.create("file"), Messages.read(Messages.ANY, 0, 77).related(), Messages.close().related()
    )
    assert create.status == close.status == NtStatus.SUCCESS
    assert read.expect(ReadResponse).data == DATA[:77]
    assert client.echo().status == NtStatus.SUCCESS
    assert client.create("missing").status == NtStatus.OBJECT_NAME_NOT_FOUND


# --- signing ---


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_signs_when_the_client_wants_it(server: TestedServer, dialect: Dialect) -> None:
    client = server.client(dialects=[dialect], security_mode=REQUIRED)
    assert client.session is not None and client.session.signs
    use(client)


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
def test_every_algorithm_signs(server: TestedServer, algorithm: SigningAlgorithm) -> None:
    contexts = negotiate_contexts(CIPHERS, [algorithm])
    client = server.client(dialects=[Dialect.SMB_3_1_1], contexts=contexts, security_mode=REQUIRED)
    assert client.signing_algorithm == algorithm
    use(client)


def test_a_server_that_insists_has_every_session_sign(make_server: MakeServer) -> None:
    client = make_server(signing_required=True).client()
    use(client)
    assert client.create("file", share=7).signed
    assert client.ask(without_signature(Messages.create("file"))).status == NtStatus.ACCESS_DENIED


def without_signature(message: Message) -> Message:
    message.sign = False
    return message


def wrongly_signed(message: Message) -> Message:
    message.sign = message.wrong_signature = True
    return message


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_unsigned_request_on_a_session_that_signs_is_denied_and_does_nothing(
    server: TestedServer, dialect: Dialect
) -> None:
    client = server.client(dialects=[dialect], security_mode=REQUIRED)
    client.put("file", b"kept")
    file_id = client.open("file")
    assert client.ask(without_signature(Messages.write(file_id, 0, b"lost"))).status == NtStatus.ACCESS_DENIED
    assert client.log_off(sign=False).status == NtStatus.ACCESS_DENIED
    assert client.close(file_id, sign=False).status == NtStatus.ACCESS_DENIED
    assert client.close(file_id).status == NtStatus.SUCCESS
    assert client.get("file") == b"kept"


@pytest.mark.parametrize("required", [False, True], ids=["optional", "required"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_signature_is_denied_even_where_none_was_needed(
    server: TestedServer, dialect: Dialect, required: bool
) -> None:
    mode = REQUIRED if required else SecurityMode.SIGNING_ENABLED
    client = server.client(dialects=[dialect], security_mode=mode)
    client.put("file", b"kept")
    file_id = client.open("file")
    assert client.ask(wrongly_signed(Messages.write(file_id, 0, b"lost"))).status == NtStatus.ACCESS_DENIED
    assert client.tree_connect("second", sign=True, wrong_signature=True).status == NtStatus.ACCESS_DENIED
    assert client.get("file") == b"kept"


def test_one_bad_signature_in_a_compound_spoils_that_request_alone(server: TestedServer) -> None:
    client = server.client(security_mode=REQUIRED)
    client.put("file", DATA)
    file_id = client.open("file")
    good, bad, last = client.ask_all(
        Messages.read(file_id, 0, 10), wrongly_signed(Messages.read(file_id, 0, 10)), Messages.read(file_id, 5, 1)
    )
    assert good.status == last.status == NtStatus.SUCCESS
    assert bad.status == NtStatus.ACCESS_DENIED


def test_a_request_that_is_signed_without_need_is_answered_signed(server: TestedServer) -> None:
    client = server.client()
    assert client.create("", 0x80, options=1).signed is False
    answer = client.ask_with(Messages.create("", 0x80, options=1), {"sign": True})
    assert answer.signed
    answer.expect(CreateResponse)


def test_on_3_1_1_an_unprotected_tree_connect_ends_the_connection(server: TestedServer) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1], share=None)
    with pytest.raises(ConnectionEnded):
        client.tree_connect("data", sign=False)


@pytest.mark.parametrize("user", ["", "visitor"])
def test_guests_have_no_key_and_need_none(server: TestedServer, user: str) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1], user=user)
    use(client)


# --- encryption ---


def seal_from_now_on(client: FileClient) -> None:
    assert client.session is not None and client.session.sealer is not None
    client.session.seals = True


@pytest.mark.parametrize("cipher", CIPHERS)
def test_every_cipher_of_3_1_1_seals(server: TestedServer, cipher: CipherId) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1], contexts=negotiate_contexts([cipher]), share=None)
    assert client.cipher == cipher
    seal_from_now_on(client)
    assert client.tree_connect("data").sealed
    use(client)


@pytest.mark.parametrize("dialect", SMB3)
def test_every_dialect_of_smb3_seals(server: TestedServer, dialect: Dialect) -> None:
    client = server.client(dialects=[dialect], share=None, security_mode=REQUIRED)
    seal_from_now_on(client)
    assert client.tree_connect("data").sealed
    use(client)


@pytest.mark.parametrize("dialect", SMB3)
def test_a_server_that_encrypts_has_every_session_sealed(make_server: MakeServer, dialect: Dialect) -> None:
    server = make_server(encryption=Encryption.REQUIRED)
    client = server.connect()
    client.negotiate([dialect])
    answer = client.log_on("anna", "secret").expect(SessionSetupResponse)
    assert answer.session_flags == SessionFlags.ENCRYPT_DATA
    assert client.tree_connect("data").sealed
    use(client)
    assert client.log_on("anna", "secret", again=True, seal=True).sealed


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_a_server_that_encrypts_refuses_who_cannot(make_server: MakeServer, dialect: Dialect) -> None:
    client = make_server(encryption=Encryption.REQUIRED).connect()
    client.negotiate([dialect])
    assert client.log_on("anna", "secret").status == NtStatus.ACCESS_DENIED


def test_a_server_that_encrypts_refuses_3_1_1_without_a_common_cipher(make_server: MakeServer) -> None:
    client = make_server(encryption=Encryption.REQUIRED).connect()
    client.negotiate([Dialect.SMB_3_1_1], contexts=negotiate_contexts([]))
    assert client.log_on("anna", "secret").status == NtStatus.ACCESS_DENIED


@pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
def test_a_plain_request_on_a_session_that_encrypts_ends_the_connection(
    make_server: MakeServer, signed: bool
) -> None:
    client = make_server(encryption=Encryption.REQUIRED).client()
    with pytest.raises(ConnectionEnded):
        client.echo(seal=False, sign=signed)


def test_a_share_that_encrypts_says_so_and_takes_nothing_in_the_clear(server: TestedServer) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1], share=None)
    answer = client.tree_connect("sealed").expect(TreeConnectResponse)
    assert answer.share_flags & ShareFlag.ENCRYPT_DATA
    assert client.create("", 0x80, options=1).status == NtStatus.ACCESS_DENIED
    seal_from_now_on(client)
    use(client)


@pytest.mark.parametrize("dialect", [Dialect.SMB_2_0_2, Dialect.SMB_2_1])
def test_a_share_that_encrypts_is_not_for_clients_that_cannot(server: TestedServer, dialect: Dialect) -> None:
    client = server.client(dialects=[dialect], share=None)
    assert client.tree_connect("sealed").status == NtStatus.ACCESS_DENIED
    assert client.tree_connect("data").status == NtStatus.SUCCESS


@pytest.mark.parametrize("position", [0, 4, 20, 36, 42, 44, TRANSFORM_BYTES, -1])
@pytest.mark.parametrize("cipher", [CipherId.AES_128_CCM, CipherId.AES_256_GCM])
def test_one_changed_byte_in_a_sealed_frame_ends_the_connection_unanswered(
    server: TestedServer, cipher: CipherId, position: int
) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1], contexts=negotiate_contexts([cipher]))
    frame = bytearray(client.frame(sealed(Messages.echo())))
    frame[position] ^= 0x80
    client.send_raw(bytes(frame))
    client.assert_ended()


@pytest.mark.parametrize("length", [4, TRANSFORM_BYTES - 1, TRANSFORM_BYTES, TRANSFORM_BYTES + 63])
def test_a_sealed_frame_cut_short_ends_the_connection(server: TestedServer, length: int) -> None:
    client = server.client(dialects=[Dialect.SMB_3_1_1])
    client.send_raw(client.frame(sealed(Messages.echo()))[:length])
    client.assert_ended()


def sealed(message: Message) -> Message:
    message.seal = True
    return message


def test_a_sealed_frame_for_a_guest_ends_the_connection(server: TestedServer) -> None:
    anna, guest = server.client(), server.client(user="")
    frame = bytearray(anna.frame(sealed(Messages.echo())))
    assert guest.session is not None
    frame[44:52] = guest.session.session_id.to_bytes(8, "little")
    guest.send_raw(bytes(frame))
    guest.assert_ended()


def test_a_sealed_request_for_another_session_ends_the_connection(server: TestedServer) -> None:
    client = server.client()
    anna = client.session
    assert client.log_on("bert", "secret").status == NtStatus.SUCCESS
    assert anna is not None and anna.sealer is not None
    plain = client.frame(Messages.echo())
    client.send_raw(b"".join(anna.sealer.seal([plain], anna.session_id)))
    client.assert_ended()


def test_a_sealed_frame_inside_a_sealed_frame_ends_the_connection(server: TestedServer) -> None:
    client = server.client()
    assert client.session is not None and client.session.sealer is not None
    inner = client.frame(sealed(Messages.echo()))
    client.send_raw(b"".join(client.session.sealer.seal([inner], client.session.session_id)))
    client.assert_ended()


def test_after_logoff_nothing_sealed_opens(server: TestedServer) -> None:
    client = server.client()
    late = client.frame(sealed(Messages.echo()))
    client.log_off()
    client.send_raw(late)
    client.assert_ended()


def test_a_compound_is_sealed_as_a_whole(server: TestedServer) -> None:
    client = server.client()
    client.put("file", DATA)
    answers = client.ask_all(
        sealed(Messages.create("file")), Messages.read(Messages.ANY, 0, 5).related(), Messages.close().related()
    )
    assert [answer.sealed for answer in answers] == [True] * 3
    assert all(answer.status == NtStatus.SUCCESS for answer in answers)


def test_a_sealed_compound_that_begins_with_a_related_request_ends_the_connection(server: TestedServer) -> None:
    client = server.client()
    client.send(sealed(Messages.echo()).related(), Messages.echo())
    client.assert_ended()


def test_the_session_setup_answer_is_signed_even_to_a_client_that_signs_nothing(server: TestedServer) -> None:
    client = server.connect()
    client.negotiate()
    answer = client.log_on("anna", "secret")
    assert answer.signed and answer.header.command == Command.SESSION_SETUP
