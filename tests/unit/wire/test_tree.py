"""TREE_CONNECT as others write it."""

from __future__ import annotations

import struct

import pytest
from smbprotocol.tree import SMB2TreeConnectRequest, SMB2TreeConnectResponse

from smbd_uring.wire.const import ShareCapabilities, ShareFlag, ShareType
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import BODY_OFFSET
from smbd_uring.wire.tree import EXTENSION_PRESENT, TreeConnectRequest, TreeConnectResponse
from tests.unit.wire.messages import foreign, message

PATH = r"\\server.example\Bücher"


def test_another_client_writes_the_same_request() -> None:
    theirs = foreign(SMB2TreeConnectRequest(), buffer=PATH.encode("utf-16-le"))
    assert TreeConnectRequest.decode(theirs) == TreeConnectRequest(0, PATH)
    assert TreeConnectRequest(0, PATH).encode() == theirs[BODY_OFFSET:]


def test_another_client_reads_the_same_response() -> None:
    theirs = SMB2TreeConnectResponse()
    ours = TreeConnectResponse(
        ShareType.PIPE, ShareFlag.ENCRYPT_DATA | ShareFlag.NO_CACHING, ShareCapabilities.DFS, 0x001F_01FF
    )
    theirs.unpack(ours.encode())
    assert theirs["share_type"].get_value() == 2
    assert theirs["share_flags"].get_value() == 0x8030
    assert theirs["capabilities"].get_value() == 8
    assert theirs["maximal_access"].get_value() == 0x001F_01FF


def test_a_path_that_is_no_text_is_refused() -> None:
    body = struct.pack("<HHHH", 9, 0, 72, 3) + b"\\\0x"
    with pytest.raises(MalformedMessage):
        TreeConnectRequest.decode(message(body))


def test_an_extension_is_refused_rather_than_misread() -> None:
    with pytest.raises(MalformedMessage):
        TreeConnectRequest.decode(message(TreeConnectRequest(EXTENSION_PRESENT, PATH).encode()))
