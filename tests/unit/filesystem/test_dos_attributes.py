"""user.DOSATTRIB: what Samba wrote is read, and what is written is what Samba would have written."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smbd_uring.filesystem.dos_attributes import (
    ARCHIVE,
    DIRECTORY,
    HIDDEN,
    NOTHING,
    READONLY,
    STORED,
    SYSTEM,
    StoredAttributes,
    decode,
    encode,
)

# Written by Samba 4.17.12 on ext4 (smbclient put, mkdir, setmode), read back by getfattr -e hex.
SAMBA = {
    "plain file": ("000005000500000011000000" "20000000cd778ac1f07bdd01", ARCHIVE, 0),
    "hidden": ("000005000500000011000000" "22000000548b8ac1f07bdd01", HIDDEN | ARCHIVE, 0),
    "system": ("000005000500000011000000" "2400000091e68ac1f07bdd01", SYSTEM | ARCHIVE, 0),
    "read-only": ("000005000500000011000000" "21000000dd568bc1f07bdd01", READONLY | ARCHIVE, 0),
    "nothing set": ("000005000500000011000000" "000000005c858bc1f07bdd01", 0, 0),
    "everything": ("000005000500000011000000" "270000001df38bc1f07bdd01", STORED, 0),
    "directory": ("000005000500000011000000" "10000000cd218cc1f07bdd01", 0, DIRECTORY),
    "hidden directory": ("000005000500000011000000" "1200000085488cc1f07bdd01", HIDDEN, DIRECTORY),
}
SAMBA_SECOND = 1_795_510_186
"""When: 2026-11-24 08:49:46 UTC."""

NT_SECOND = 10**7
NT_EPOCH = 116_444_736_000_000_000


@pytest.mark.parametrize("case", SAMBA)
def test_what_samba_wrote_is_read_and_written_alike(case: str) -> None:
    text, attributes, kind = SAMBA[case]
    value = bytes.fromhex(text)
    stored = decode(value)
    assert stored is not None and stored.created_ns is not None
    assert stored.attributes == attributes
    assert stored.created_ns // 10**9 == SAMBA_SECOND
    assert encode(attributes | kind, stored.created_ns) == value


def test_version_4_of_samba_4_11_and_ksmbd_is_read() -> None:
    body = struct.pack("<IIQQ", 0x51, 0x22, 7, NT_EPOCH + 5 * NT_SECOND)
    assert decode(struct.pack("<BxHHxx", 0, 4, 4) + body) == StoredAttributes(0x22, 5 * 10**9)


@pytest.mark.parametrize("text", [b"", b"0x2", b"0x20", b"0x120", b"0x00000022"])
def test_version_3_is_read_wherever_its_string_ends(text: bytes) -> None:
    head = text + b"\0"
    head += bytes(len(head) % 2) + struct.pack("<HH", 3, 3)
    head += bytes(-len(head) % 4)
    body = struct.pack("<IIIQQQQ", 0x11, 0x22, 1, 2, 3, NT_EPOCH + 5 * NT_SECOND, 4)
    assert decode(head + body) == StoredAttributes(0x22, 5 * 10**9)


@pytest.mark.parametrize("value", [b"0x22", b"0x22\0", b"0x32", b"0x132\0"])
def test_the_oldest_form_is_only_a_string(value: bytes) -> None:
    assert decode(value) == StoredAttributes(0x22, None)


def test_fields_that_are_not_valid_say_nothing() -> None:
    prefix = struct.pack("<BxHHxx", 0, 5, 5)
    assert decode(prefix + struct.pack("<IIQ", 0, 0x22, NT_EPOCH)) == StoredAttributes(None, None)
    assert decode(prefix + struct.pack("<IIQ", 1, 0x22, NT_EPOCH)) == StoredAttributes(0x22, None)
    assert decode(prefix + struct.pack("<IIQ", 0x11, 0x22, 0)) == StoredAttributes(0x22, None)
    assert decode(prefix + struct.pack("<IIQ", 0x11, 0x22, 1 << 63)) == StoredAttributes(0x22, None)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\0", b"0x", b"0x\0", b"0xzz", b"0x1_0", b"0x+1", b"22", b"\0\0\5", b"0x123456789",
        struct.pack("<BxHHxx", 0, 6, 6) + bytes(16),
        struct.pack("<BxHHxx", 0, 5, 4) + bytes(16),
        struct.pack("<BxHHxx", 0, 5, 5) + bytes(15),
        struct.pack("<BxHHxx", 0, 3, 3) + bytes(43),
    ],
)  # fmt: skip
def test_nonsense_counts_as_absent(value: bytes) -> None:
    assert decode(value) == NOTHING


@given(st.binary(max_size=80))
@example(bytes(80))
def test_no_value_is_too_strange(value: bytes) -> None:
    stored = decode(value)
    assert stored is None or stored.attributes is None or stored.attributes & ~STORED == 0


@given(st.integers(0, 0xFFFF_FFFF), st.integers(-11_644_473_599 * 10**7, 8 * 10**16))
def test_what_is_written_is_read_back(attributes: int, hundreds_of_ns: int) -> None:
    stored = decode(encode(attributes, hundreds_of_ns * 100))
    assert stored == StoredAttributes(attributes & STORED, hundreds_of_ns * 100)


@given(st.integers())
def test_times_that_cannot_be_written_are_clipped(created_ns: int) -> None:
    stored = decode(encode(0, created_ns))
    assert stored is not None and stored.created_ns is not None
