"""ksmbd's structures, byte by byte: each field lies where the kernel's declaration puts it."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbd_uring.netlink import messages
from smbd_uring.netlink.messages import (
    Event,
    Heartbeat,
    LoginRequest,
    LoginRequestExt,
    LoginResponse,
    LoginResponseExt,
    LogoutRequest,
    MalformedStructure,
    ShareConfigRequest,
    ShareConfigResponse,
    StartingUp,
    TreeConnectRequest,
    TreeConnectResponse,
    TreeDisconnectRequest,
)


def laid_out(size: int, fields: dict[int, int | bytes], widths: dict[int, int] | None = None) -> bytes:
    """A structure of `size` bytes with `fields` at their offsets; a number takes 4 bytes unless `widths` says."""
    raw = bytearray(size)
    for offset, value in fields.items():
        width = (widths or {}).get(offset, 4)
        data = value if isinstance(value, bytes) else value.to_bytes(width, sys.byteorder)
        raw[offset : offset + len(data)] = data
    return bytes(raw)


STARTING_UP = StartingUp(
    flags=0x01020304, signing=3, min_prot="SMB2_02", max_prot="SMB3_11", netbios_name="BOX", work_group="HOME",
    server_string="a server", tcp_port=0x1BD, ipc_timeout=0x102, deadtime=7, file_max=8, smb2_max_write=9,
    smb2_max_read=10, smb2_max_trans=11, share_fake_fscaps=12, sub_auth=(13, 14, 15), smb2_max_credits=16,
    smbd_max_io_size=17, max_connections=18, bind_interfaces_only=1, max_ip_connections=19,
    interfaces=("eth0", "lo"),
)  # fmt: skip
HASH = bytes(range(16))

GOLDEN: list[tuple[Any, bytes]] = [
    (Heartbeat(0x11223344), laid_out(4, {0: 0x11223344})),
    (
        STARTING_UP,
        laid_out(
            744 + 8,
            {
                0: 0x01020304, 4: 3, 8: b"SMB2_02", 24: b"SMB3_11", 40: b"BOX", 56: b"HOME", 120: b"a server",
                184: 0x1BD, 186: 0x102, 188: 7, 192: 8, 196: 9, 200: 10, 204: 11, 208: 12, 212: 13, 216: 14, 220: 15,
                224: 16, 228: 17, 232: 18, 236: 1, 237: 19, 740: 8, 744: b"eth0\0lo\0",
            },
            {184: 2, 186: 2, 236: 1},
        ),
    ),
    (LoginRequest(5, "anna"), laid_out(116, {0: 5, 4: b"anna"})),
    (LoginRequestExt(5, "anna"), laid_out(116, {0: 5, 4: b"anna"})),
    (
        LoginResponse(5, 1000, 1001, "anna", 0x41, HASH),
        laid_out(148, {0: 5, 4: 1000, 8: 1001, 12: b"anna", 60: 0x41, 62: 16, 64: HASH}, {60: 2, 62: 2}),
    ),
    (LoginResponseExt(5, (4, 27)), laid_out(136 + 8, {0: 5, 4: 2, 136: 4, 140: 27})),
    (ShareConfigRequest(6, "data"), laid_out(132, {0: 6, 4: b"data"})),
    (
        ShareConfigResponse(6, 0x5, 0o744, 0o755, 0o20, 0o2070, 1000, 1001, "data", ("*.tmp", "x?"), "/srv"),
        laid_out(
            536 + 14,
            {
                0: 6, 4: 0x5, 8: 0o744, 10: 0o755, 12: 0o20, 14: 0o2070, 16: 1000, 18: 1001, 20: b"data",
                528: 14, 532: 8, 536: b"*.tmp\0x?\0/srv\0",
            },
            {8: 2, 10: 2, 12: 2, 14: 2, 16: 2, 18: 2},
        ),
    ),
    (
        ShareConfigResponse(6, 1, 0, 0, 0, 0, 0xFFFF, 0xFFFF, "data", (), "/srv"),
        laid_out(536 + 5, {0: 6, 4: 1, 16: b"\xff\xff\xff\xff", 20: b"data", 528: 5, 532: 0, 536: b"/srv\0"}),
    ),
    (
        TreeConnectRequest(7, 0x11, 2, 0x0102030405060708, 9, "anna", "data", "192.0.2.1"),
        laid_out(
            264,
            {
                0: 7, 4: 0x11, 6: 2, 8: 0x0102030405060708, 16: 9, 24: b"anna", 72: b"data", 136: b"192.0.2.1",
            },
            {4: 2, 6: 2, 8: 8, 16: 8},
        ),
    ),
    (TreeConnectResponse(7, 4, 0x12), laid_out(72, {0: 7, 4: 4, 6: 0x12}, {4: 2, 6: 2})),
    (TreeDisconnectRequest(1 << 40, 9), laid_out(80, {0: 1 << 40, 8: 9}, {0: 8, 8: 8})),
    (LogoutRequest("anna", 2), laid_out(116, {0: b"anna", 48: 2})),
]  # fmt: skip
IDS = [f"{type(message).__name__}-{len(data)}" for message, data in GOLDEN]


@pytest.mark.parametrize(("message", "data"), GOLDEN, ids=IDS)
def test_a_message_lies_in_memory_as_ksmbds_does(message: Any, data: bytes) -> None:
    assert message.encode() == data
    assert type(message).decode(data) == message


@pytest.mark.parametrize(("message", "data"), GOLDEN, ids=IDS)
def test_a_message_of_any_other_size_is_refused(message: Any, data: bytes) -> None:
    for wrong in (b"", data[:-1], data + b"\0"):
        with pytest.raises(MalformedStructure):
            type(message).decode(wrong)


def test_every_message_that_is_used_is_here() -> None:
    assert {type(message) for message, _ in GOLDEN} == {*messages.PROTOCOL_SIZES, LoginRequestExt}


def test_numbers_of_events_are_ksmbds() -> None:
    numbers = {
        "HEARTBEAT_REQUEST": 1, "STARTING_UP": 2, "SHUTTING_DOWN": 3, "LOGIN_REQUEST": 4, "LOGIN_RESPONSE": 5,
        "SHARE_CONFIG_REQUEST": 6, "SHARE_CONFIG_RESPONSE": 7, "TREE_CONNECT_REQUEST": 8,
        "TREE_CONNECT_RESPONSE": 9, "TREE_DISCONNECT_REQUEST": 10, "LOGOUT_REQUEST": 11, "RPC_REQUEST": 12,
        "RPC_RESPONSE": 13, "SPNEGO_AUTHEN_REQUEST": 14, "SPNEGO_AUTHEN_RESPONSE": 15, "LOGIN_REQUEST_EXT": 16,
        "LOGIN_RESPONSE_EXT": 17,
    }  # fmt: skip
    assert {event.name: event.value for event in Event} == numbers


# --- lengths inside ---


def login_response(hash_size: int) -> bytes:
    return laid_out(148, {62: hash_size}, {62: 2})


@pytest.mark.parametrize(("size", "fits"), [(0, True), (16, True), (18, True), (19, False), (0xFFFF, False)])
def test_a_hash_longer_than_its_field_is_refused(size: int, fits: bool) -> None:
    if fits:
        assert len(LoginResponse.decode(login_response(size)).hash) == size
    else:
        with pytest.raises(MalformedStructure, match=f"a hash of {size} bytes"):
            LoginResponse.decode(login_response(size))


@pytest.mark.parametrize("count", [-1, 1, 3, 0x7FFF_FFFF, -0x8000_0000])
def test_a_number_of_groups_that_are_not_there_is_refused(count: int) -> None:
    data = laid_out(136 + 8, {4: count & 0xFFFF_FFFF})
    with pytest.raises(MalformedStructure, match=f"{count} groups in 8 bytes"):
        LoginResponseExt.decode(data)


@pytest.mark.parametrize(("payload", "veto"), [(4, 0), (6, 0), (5, 6), (5, 0xFFFF_FFFF), (0xFFFF_FFFF, 0)])
def test_a_payload_of_another_size_than_said_is_refused(payload: int, veto: int) -> None:
    data = laid_out(536 + 5, {528: payload, 532: veto, 536: b"/srv\0"})
    with pytest.raises(MalformedStructure):
        ShareConfigResponse.decode(data)


def test_names_of_interfaces_are_as_long_as_said() -> None:
    with pytest.raises(MalformedStructure, match="3 bytes of interface names where 4 are due"):
        StartingUp.decode(laid_out(747, {740: 4, 744: b"lo\0"}))


# --- text ---


@pytest.mark.parametrize(
    "message",
    [
        LoginRequest(1, "a" * 48),
        LoginRequest(1, "ä" * 24),
        LoginRequest(1, "a\0b"),
        LoginRequest(1, "\ud800"),
        LoginResponse(1, 0, 0, "a" * 48, 1, b""),
        ShareConfigRequest(1, "s" * 64),
        ShareConfigResponse(1, 0, 0, 0, 0, 0, 0, 0, "s" * 64, (), ""),
        ShareConfigResponse(1, 0, 0, 0, 0, 0, 0, 0, "s", (), "/a\0b"),
        ShareConfigResponse(1, 0, 0, 0, 0, 0, 0, 0, "s", ("a\0b",), "/"),
        TreeConnectRequest(1, 0, 0, 0, 0, "anna", "data", "1" * 64),
        LogoutRequest("a" * 48, 0),
        StartingUp(netbios_name="n" * 16),
        StartingUp(interfaces=("a\0b",)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_name_that_does_not_fit_is_refused_and_never_cut(message: Any) -> None:
    with pytest.raises(MalformedStructure):
        message.encode()


def test_a_name_of_the_largest_size_keeps_its_zero() -> None:
    assert LoginRequest(1, "a" * 47).encode()[4 + 47] == 0


def test_text_ends_at_its_first_zero_and_strange_bytes_are_replaced() -> None:
    assert LoginRequest.decode(laid_out(116, {4: b"anna\0secret"})).account == "anna"
    assert LoginRequest.decode(laid_out(116, {4: b"\xff" * 48})).account == "\ufffd" * 48


NUMBERS_TOO_LARGE: list[Any] = [
    LoginResponse(1, 1 << 32, 0, "anna", 1, b""),
    LoginResponse(1, -1, 0, "anna", 1, b""),
    LoginResponse(1, 0, 0, "anna", 1, bytes(19)),
    LoginResponseExt(1, (1 << 32,)),
    ShareConfigResponse(1, 0, 1 << 16, 0, 0, 0, 0, 0, "s", (), "/"),
    TreeDisconnectRequest(1 << 64, 0),
    StartingUp(tcp_port=1 << 16),
]


@pytest.mark.parametrize("message", NUMBERS_TOO_LARGE, ids=lambda message: type(message).__name__)
def test_a_number_that_does_not_fit_is_refused(message: Any) -> None:
    with pytest.raises(MalformedStructure):
        message.encode()


# --- anything ---


@pytest.mark.parametrize("structure", [*messages.PROTOCOL_SIZES, LoginRequestExt], ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_any_bytes_are_decoded_or_refused(structure: Any, data: st.DataObject) -> None:
    size = structure.LAYOUT.size
    raw = data.draw(st.one_of(st.binary(max_size=800), st.binary(min_size=size, max_size=size + 64)))
    try:
        message = structure.decode(raw)
    except MalformedStructure:
        return
    assert message.EVENT in Event
    assert len(raw) >= size


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=11)
NAME = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=11)
U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
ANY_MESSAGE = st.one_of(
    st.builds(LoginRequest, U32, TEXT),
    st.builds(LoginResponse, U32, U32, U32, TEXT, U16, st.binary(max_size=18)),
    st.builds(LoginResponseExt, U32, st.lists(U32, max_size=40).map(tuple)),
    st.builds(ShareConfigRequest, U32, TEXT),
    st.builds(
        ShareConfigResponse, U32, U32, U16, U16, U16, U16, U16, U16, TEXT, st.lists(NAME, max_size=5).map(tuple), TEXT
    ),
    st.builds(TreeConnectRequest, U32, U16, U16, U64, U64, TEXT, TEXT, TEXT),
    st.builds(TreeConnectResponse, U32, U16, U16),
    st.builds(TreeDisconnectRequest, U64, U64),
    st.builds(LogoutRequest, TEXT, U32),
    st.builds(StartingUp, U32, netbios_name=st.just("BOX"), interfaces=st.lists(NAME, max_size=5).map(tuple)),
)


@given(ANY_MESSAGE)
def test_what_is_encoded_is_decoded(message: Any) -> None:
    assert type(message).decode(message.encode()) == message
