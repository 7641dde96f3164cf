"""SESSION_SETUP as Windows writes it."""

from __future__ import annotations

from smbprotocol.session import SMB2SessionSetupRequest

from smbd_uring.wire.const import SecurityMode, SessionFlags
from smbd_uring.wire.pdu import BODY_OFFSET
from smbd_uring.wire.session import SessionSetupRequest, SessionSetupResponse
from tests.unit.crypto import windows_handshake as windows
from tests.unit.wire.messages import foreign, message


def test_windows_requests_say_what_they_say_and_are_written_the_same() -> None:
    for frame, length in ((windows.FIRST_REQUEST, 0x4A), (windows.LAST_REQUEST, 0x1CF)):
        decoded = SessionSetupRequest.decode(memoryview(frame))
        assert decoded.security_mode == SecurityMode.SIGNING_ENABLED
        assert decoded.flags == decoded.channel == decoded.previous_session_id == 0
        assert decoded.capabilities == 1 and len(decoded.security_buffer) == length
        assert decoded.encode() == frame[BODY_OFFSET:]


def test_windows_response_says_what_it_says_and_is_written_the_same() -> None:
    decoded = SessionSetupResponse.decode(memoryview(windows.FIRST_RESPONSE))
    assert decoded.session_flags == 0 and len(decoded.security_buffer) == 0xB3
    assert decoded.encode() == windows.FIRST_RESPONSE[BODY_OFFSET:]


def test_another_client_writes_a_reconnect_the_same() -> None:
    theirs = foreign(
        SMB2SessionSetupRequest(), flags=1, security_mode=2, capabilities=1, channel=0,
        previous_session_id=2**63 + 9, buffer=b"token",
    )  # fmt: skip
    ours = SessionSetupRequest(1, 2, 1, 0, 2**63 + 9, b"token")
    assert SessionSetupRequest.decode(theirs) == ours
    assert ours.encode() == theirs[BODY_OFFSET:]


def test_a_response_without_a_token_still_says_where_one_would_be() -> None:
    encoded = SessionSetupResponse(SessionFlags.IS_GUEST).encode()
    assert encoded == bytes.fromhex("0900 0100 4800 0000")
    assert SessionSetupResponse.decode(message(encoded)) == SessionSetupResponse(1, b"")
