"""Given who a client says it is, the server lets it in, or not, and slowly ([MS-SMB2] 3.3.5.5, 3.3.5.6)."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.ports import TellLogout
from smbd_uring.wire.classes import FileInfoClass
from smbd_uring.wire.const import AccessMask, Dialect, SecurityMode, SessionFlags
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import SessionSetupResponse
from tests.engine.conftest import MakeServer
from tests.engine.servers import TestedServer
from tests.support.client import DIALECTS
from tests.support.client_channel import ConnectionEnded
from tests.support.file_client import FileClient, Messages
from tests.support.ntlm_client import Misbehaviour, NtlmInitiator

PASSWORD = "secret"


def stranger(server: TestedServer, address: str = "127.0.0.1", **negotiation: object) -> FileClient:
    """A client that has negotiated."""
    client = server.connect(address)
    assert client.negotiate(**negotiation).status == NtStatus.SUCCESS
    return client


def try_to_log_on(server: TestedServer, client: FileClient, user: str, password: str) -> float:
    """A logon that must fail.  Result: how long the engine's clock says it took, in seconds."""
    before = server.now
    assert client.log_on(user, password).status == NtStatus.LOGON_FAILURE
    return server.now - before


# --- logging on ---


@pytest.mark.parametrize("spnego", [True, False], ids=["spnego", "raw"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_right_password_opens_a_session(server: TestedServer, dialect: Dialect, spnego: bool) -> None:
    client = stranger(server, dialects=[dialect])
    answer = client.log_on("anna", PASSWORD, spnego=spnego)
    assert answer.signed, "and the client has verified it"
    assert answer.expect(SessionSetupResponse).session_flags == 0
    assert client.tree_connect("data").status == NtStatus.SUCCESS


@pytest.mark.parametrize("spnego", [True, False], ids=["spnego", "raw"])
@pytest.mark.parametrize(
    ("user", "password"),
    [("anna", "wrong"), ("anna", ""), ("nobody here", PASSWORD), ("locked", PASSWORD), ("hashless", PASSWORD)],
)
def test_who_proves_nothing_is_told_no_more_than_that(
    server: TestedServer, user: str, password: str, spnego: bool
) -> None:
    client = stranger(server)
    assert client.log_on(user, password, spnego=spnego).status == NtStatus.LOGON_FAILURE
    assert server.inspect(lambda engine: len(engine.sessions)) == 0
    assert client.log_on("anna", PASSWORD).status == NtStatus.SUCCESS


@pytest.mark.parametrize(
    "misbehaviour",
    [Misbehaviour.WRONG_PROOF, Misbehaviour.WRONG_MIC, Misbehaviour.ZERO_MIC, Misbehaviour.NTLM_V1_RESPONSE,
     Misbehaviour.LM_ONLY],
)  # fmt: skip
def test_a_client_that_cheats_at_ntlm_is_not_let_in(server: TestedServer, misbehaviour: Misbehaviour) -> None:
    client = stranger(server)
    reply = client.log_on("anna", PASSWORD, misbehaviour=misbehaviour)
    assert reply.status == NtStatus.LOGON_FAILURE


def test_an_anonymous_client_gets_a_session_without_keys(server: TestedServer) -> None:
    client = stranger(server, dialects=[Dialect.SMB_3_1_1])
    answer = client.log_on("").expect(SessionSetupResponse)
    assert answer.session_flags == SessionFlags.IS_NULL
    assert client.tree_connect("data").status == NtStatus.SUCCESS


def test_an_account_mapped_to_guest_gets_in_as_guest(server: TestedServer) -> None:
    client = stranger(server, dialects=[Dialect.SMB_3_1_1])
    answer = client.log_on("visitor", "anything").expect(SessionSetupResponse)
    assert answer.session_flags == SessionFlags.IS_GUEST


@pytest.mark.parametrize("user", ["", "visitor"])
def test_a_server_that_insists_on_signing_has_no_guests(make_server: MakeServer, user: str) -> None:
    client = stranger(make_server(signing_required=True))
    assert client.log_on(user, "anything" if user else "").status == NtStatus.LOGON_FAILURE


@pytest.mark.parametrize("token", [b"", b"\x60", b"NTLMSSP\0\3\0\0\0", b"\xff" * 300, b"NTLMSSP\0"])
def test_a_token_that_is_none_is_invalid_and_delayed_like_a_wrong_password(
    server: TestedServer, token: bytes
) -> None:
    client = stranger(server)
    before = server.now
    assert client.session_setup(token).status == NtStatus.INVALID_PARAMETER
    assert server.now - before >= limits.LOGON_DELAY_FIRST_S
    assert server.inspect(lambda engine: len(engine.sessions)) == 0


def test_a_session_that_is_being_set_up_is_good_for_nothing_else(server: TestedServer) -> None:
    client = stranger(server)
    reply = client.session_setup(NtlmInitiator("anna", PASSWORD).negotiate())
    assert reply.status == NtStatus.MORE_PROCESSING_REQUIRED
    session_id = reply.header.session_id
    status = client.tree_connect("data", session_id=session_id).status
    assert status == NtStatus.USER_SESSION_DELETED


def test_an_exchange_without_end_is_ended(server: TestedServer) -> None:
    client = stranger(server)
    opening = NtlmInitiator("anna", PASSWORD).negotiate()
    reply = client.session_setup(opening)
    reply = client.session_setup(opening, reply.header.session_id)
    assert reply.status == NtStatus.INVALID_PARAMETER, "a second opening where the proof belongs"
    assert client.session_setup(opening, reply.header.session_id).status == NtStatus.USER_SESSION_DELETED


def test_an_unknown_session_id_is_a_deleted_session(server: TestedServer) -> None:
    client = stranger(server)
    opening = NtlmInitiator("anna", PASSWORD).negotiate()
    assert client.session_setup(opening, 0x1234).status == NtStatus.USER_SESSION_DELETED


def test_another_connections_session_is_not_for_this_one(server: TestedServer) -> None:
    owner, thief = server.client(), stranger(server)
    assert owner.session is not None
    session_id = owner.session.session_id
    assert thief.tree_connect("data", session_id=session_id).status == NtStatus.USER_SESSION_DELETED
    assert thief.log_off(session_id=session_id).status == NtStatus.USER_SESSION_DELETED
    assert owner.echo().status == NtStatus.SUCCESS


def test_a_companion_that_is_away_delays_nobody_for_ever(server: TestedServer) -> None:
    client = stranger(server)
    server.companion.away = True
    assert client.log_on("anna", PASSWORD).status == NtStatus.NO_LOGON_SERVERS
    server.companion.away = False
    assert client.log_on("anna", PASSWORD).status == NtStatus.SUCCESS


def test_a_companion_that_is_away_is_not_noticed_by_sessions_that_stand(server: TestedServer) -> None:
    client = server.client()
    server.companion.away = True
    client.put("file", b"data")
    assert client.get("file") == b"data"
    assert client.tree_connect("second").status == NtStatus.IO_TIMEOUT


# --- delays ---


def test_each_failure_is_answered_later_than_the_one_before(server: TestedServer) -> None:
    took = [try_to_log_on(server, stranger(server), "anna", "wrong") for _ in range(3)]
    for number, seconds in enumerate(took):
        least = limits.LOGON_DELAY_FIRST_S * 2**number
        assert least <= seconds < 2 * least + 1


def test_another_address_does_not_wait_for_it(server: TestedServer) -> None:
    for _ in range(2):
        try_to_log_on(server, stranger(server), "anna", "wrong")
    took = try_to_log_on(server, stranger(server, "127.0.0.2"), "anna", "wrong")
    assert took < 4 * limits.LOGON_DELAY_FIRST_S  # what a third failure of one address waits


def test_nobody_else_is_held_up_while_one_waits(server: TestedServer) -> None:
    failing = stranger(server)
    for _ in range(2):
        try_to_log_on(server, failing, "anna", "wrong")
    ntlm = NtlmInitiator("anna", "wrong")
    reply = failing.session_setup(ntlm.negotiate())
    challenge = reply.expect(SessionSetupResponse, NtStatus.MORE_PROCESSING_REQUIRED).security_buffer
    waiting = failing.frame(failing.setup_message(ntlm.authenticate(bytes(challenge)), reply.header.session_id))
    failing.send_raw(waiting)
    before = server.now
    server.client().put("file", b"data")
    assert server.now - before < 1.0


def test_more_failures_at_a_time_than_are_held_back_end_the_connection(server: TestedServer) -> None:
    client = stranger(server)
    bad = [client.setup_message(b"no token") for _ in range(limits.LOGONS_DELAYED_PER_ADDRESS_MAX + 1)]
    client.credits += len(bad)  # a stranger who takes more than it was given is ended for that; not this one
    assert client.echo(credits=limits.CREDITS_UNAUTHENTICATED_MAX).status == NtStatus.SUCCESS
    with pytest.raises(ConnectionEnded):
        for setup in bad:
            client.send(setup)
        client.receive_frame()
    client.assert_ended()


# --- the life of a session ---


def test_logoff_ends_the_session_with_its_trees_and_opens(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    assert client.log_off().status == NtStatus.SUCCESS
    assert server.inspect(lambda engine: (len(engine.sessions), engine.opens.count)) == (0, 0)
    assert client.read(file_id, sign=False).status == NtStatus.USER_SESSION_DELETED
    assert isinstance(server.companion.told[-1], TellLogout)
    assert client.log_on("anna", PASSWORD).status == NtStatus.SUCCESS


def test_authenticating_again_keeps_everything_as_it_was(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    assert client.log_on("anna", PASSWORD, again=True).status == NtStatus.SUCCESS
    assert client.read(file_id).status == NtStatus.SUCCESS
    assert client.read(file_id, sign=True).status == NtStatus.SUCCESS, "the keys are the old ones"


def test_failing_to_authenticate_again_ends_the_session(server: TestedServer) -> None:
    client = server.client()
    client.put("file")
    client.open("file")
    assert client.log_on("anna", "wrong", again=True).status == NtStatus.LOGON_FAILURE
    assert server.inspect(lambda engine: (len(engine.sessions), engine.opens.count)) == (0, 0)
    assert client.tree_connect("data", sign=False).status == NtStatus.USER_SESSION_DELETED


@pytest.mark.parametrize(("user", "password"), [("bert", PASSWORD), ("", ""), ("visitor", "x")])
def test_authenticating_again_as_another_user_leaves_what_is_open_and_opens_nothing_more(
    server: TestedServer, user: str, password: str
) -> None:
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    # who proves nothing has no key for what SPNEGO signs at its end
    assert client.log_on(user, password, again=True, spnego=user != "visitor").status == NtStatus.SUCCESS
    assert bytes(client.read(file_id, sign=True).expect(ReadResponse).data) == b"data"
    assert client.create("file").status == client.create("new").status == NtStatus.ACCESS_DENIED
    assert client.ask(Messages.create("file")).status == NtStatus.ACCESS_DENIED
    assert client.log_on("anna", PASSWORD, again=True).status == NtStatus.SUCCESS
    assert client.close(client.open("file")).status == NtStatus.SUCCESS
    assert bytes(client.read(file_id).expect(ReadResponse).data) == b"data"


def test_a_server_that_insists_on_signing_has_a_session_go_on_with_its_keys(make_server: MakeServer) -> None:
    server = make_server(signing_required=True)
    client = server.client()
    client.put("file", b"data")
    file_id = client.open("file")
    assert client.log_on("", "", again=True).status == NtStatus.SUCCESS
    assert bytes(client.read(file_id).expect(ReadResponse).data) == b"data"
    assert client.read(file_id, sign=False).status == NtStatus.ACCESS_DENIED
    assert stranger(server).log_on("", "").status == NtStatus.LOGON_FAILURE


def test_nobody_else_takes_up_an_expired_session(make_server: MakeServer) -> None:
    server = make_server(session_lifetime_s=60.0)
    client = server.client()
    client.put("file", b"data")
    client.open("file")
    server.advance(61.0)
    assert client.log_on("bert", PASSWORD, again=True).status == NtStatus.LOGON_FAILURE
    assert server.inspect(lambda engine: (len(engine.sessions), engine.opens.count)) == (0, 0)


def test_authenticating_again_is_signed_where_all_else_is(server: TestedServer) -> None:
    client = server.client(security_mode=SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED)
    assert client.session is not None
    opening, session_id = NtlmInitiator("anna", PASSWORD).negotiate(), client.session.session_id
    assert client.session_setup(opening, session_id, sign=False).status == NtStatus.ACCESS_DENIED
    assert client.log_on("anna", PASSWORD, again=True).status == NtStatus.SUCCESS


def test_an_expired_session_lets_files_be_closed_and_itself_be_renewed_and_nothing_else(
    make_server: MakeServer,
) -> None:
    server = make_server(session_lifetime_s=3600.0)
    client = server.client()
    client.put("file", b"data")
    first, second = client.open("file"), client.open("file")
    server.advance(3601.0)
    assert client.read(first).status == NtStatus.NETWORK_SESSION_EXPIRED
    assert client.create("file").status == NtStatus.NETWORK_SESSION_EXPIRED
    assert client.tree_connect("second").status == NtStatus.NETWORK_SESSION_EXPIRED
    assert client.tree_disconnect().status == NtStatus.NETWORK_SESSION_EXPIRED
    create, query, close = client.ask_all(
        Messages.create("file"),
        Messages.query_info(Messages.ANY, FileInfoClass.BASIC).related(),
        Messages.close().related(),
    )
    assert create.status == query.status == close.status == NtStatus.NETWORK_SESSION_EXPIRED
    assert client.read(first, sign=True, wrong_signature=True).status == NtStatus.ACCESS_DENIED
    assert client.read(first, sign=True).status == NtStatus.NETWORK_SESSION_EXPIRED
    assert client.echo().status == NtStatus.SUCCESS
    assert client.close(first).status == NtStatus.SUCCESS
    assert client.log_on("anna", PASSWORD, again=True).status == NtStatus.SUCCESS
    assert client.read(second).status == NtStatus.SUCCESS
    server.advance(3601.0)
    assert client.read(second).status == NtStatus.NETWORK_SESSION_EXPIRED
    assert client.log_off().status == NtStatus.SUCCESS


def test_a_client_that_comes_back_replaces_its_old_session(server: TestedServer) -> None:
    old = server.client()
    old.put("file")
    old.open("file", share=0)
    new = stranger(server)
    assert old.session is not None
    reply = new.log_on("anna", PASSWORD, previous_session_id=old.session.session_id)
    assert reply.status == NtStatus.SUCCESS
    assert server.inspect(lambda engine: (len(engine.sessions), engine.opens.count)) == (1, 0)
    assert new.tree_connect("data").status == NtStatus.SUCCESS
    assert new.create("file", share=0).status == NtStatus.SUCCESS
    assert old.echo(sign=False).status == NtStatus.SUCCESS, "the old connection stands"
    assert old.tree_connect("data", sign=False).status == NtStatus.USER_SESSION_DELETED


@pytest.mark.parametrize("user", ["bert", "", "visitor"])
def test_nobody_ends_another_users_session_that_way(server: TestedServer, user: str) -> None:
    old = server.client()
    assert old.session is not None
    new = stranger(server)
    reply = new.log_on(user, PASSWORD if user else "", previous_session_id=old.session.session_id)
    assert reply.status == NtStatus.SUCCESS
    assert old.create("", AccessMask.GENERIC_READ).status == NtStatus.SUCCESS


def test_a_previous_session_that_is_unknown_or_ones_own_is_no_matter(server: TestedServer) -> None:
    client = stranger(server)
    assert client.log_on("anna", PASSWORD, previous_session_id=0x1234).status == NtStatus.SUCCESS
    assert client.session is not None
    own = client.session.session_id
    assert client.log_on("anna", PASSWORD, previous_session_id=own, again=True).status == NtStatus.SUCCESS
    assert client.tree_connect("data").status == NtStatus.SUCCESS


def test_several_users_share_one_connection_and_nothing_else(server: TestedServer) -> None:
    client = server.client()
    anna, annas_tree = client.session, client.tree_id
    client.put("file", b"data")
    file_id = client.open("file")
    assert client.log_on("bert", PASSWORD).status == NtStatus.SUCCESS
    bert = client.session
    assert anna is not None and bert is not None and anna.session_id != bert.session_id
    assert client.tree_connect("second").status == NtStatus.SUCCESS
    assert client.read(file_id).status == NtStatus.FILE_CLOSED
    assert client.log_off().status == NtStatus.SUCCESS
    client.session, client.tree_id = anna, annas_tree
    assert client.read(file_id).status == NtStatus.SUCCESS


# --- limits ---


def test_a_stranger_has_only_so_long_to_log_on(server: TestedServer) -> None:
    slow, quick = stranger(server), server.client()
    server.advance(limits.AUTHENTICATION_TIMEOUT_S + 1)
    slow.assert_ended()
    assert quick.echo().status == NtStatus.SUCCESS


def test_a_connection_has_only_so_many_sessions(server: TestedServer) -> None:
    client = stranger(server)
    for _ in range(limits.SESSIONS_PER_CONNECTION_MAX):
        assert client.log_on("", spnego=False).status == NtStatus.SUCCESS
    assert client.log_on("anna", PASSWORD).status == NtStatus.TOO_MANY_SESSIONS
    assert client.log_off().status == NtStatus.SUCCESS
    assert client.log_on("anna", PASSWORD).status == NtStatus.SUCCESS


def test_connections_are_limited_in_all_and_per_address(make_server: MakeServer) -> None:
    server = make_server(connections_max=3, connections_per_address_max=2)
    here = [stranger(server), stranger(server)]
    with pytest.raises((ConnectionEnded, ConnectionResetError)):
        server.connect().negotiate()
    stranger(server, "127.0.0.2")
    with pytest.raises((ConnectionEnded, ConnectionResetError)):
        server.connect("127.0.0.3").negotiate()
    here[0].transport.close()
    server.settle(lambda engine: len(engine.connections) == 2)
    stranger(server)


def test_signing_wanted_by_either_side_is_required(server: TestedServer) -> None:
    client = stranger(server, security_mode=SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED)
    assert client.log_on("anna", PASSWORD).status == NtStatus.SUCCESS
    assert server.inspect(lambda engine: [each.signing_required for each in engine.sessions.values()]) == [True]


def test_sessions_are_limited_per_address(server: TestedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSIONS_PER_ADDRESS_MAX", 2)
    first, second, third = (stranger(server) for _ in range(3))
    assert first.log_on("anna", PASSWORD).status == NtStatus.SUCCESS
    assert second.log_on("anna", PASSWORD).status == NtStatus.SUCCESS
    assert third.log_on("anna", PASSWORD).status == NtStatus.TOO_MANY_SESSIONS
    assert first.log_off().status == NtStatus.SUCCESS
    assert third.log_on("anna", PASSWORD).status == NtStatus.SUCCESS
