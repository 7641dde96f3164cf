"""Durable handles' create contexts: the bytes of the specification, and refusal of any other length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smbd_uring.wire import durable_contexts as contexts
from smbd_uring.wire.errors import MalformedMessage
from smbd_uring.wire.pdu import FileId

GUID = bytes(range(16))
FILE_ID = FileId(0x0102_0304_0506_0708, 0x1112_1314_1516_1718)


def test_a_request_v2_has_timeout_flags_reserved_guid() -> None:
    data = (60_000).to_bytes(4, "little") + (2).to_bytes(4, "little") + bytes(8) + GUID
    request = contexts.DurableRequestV2.decode(data)
    assert request == contexts.DurableRequestV2(GUID, 60_000, contexts.FLAG_PERSISTENT)
    assert request.is_persistent
    assert request.encode() == data


def test_a_reconnect_v2_has_file_id_guid_flags() -> None:
    data = FILE_ID.persistent.to_bytes(8, "little") + FILE_ID.volatile.to_bytes(8, "little") + GUID + bytes(4)
    reconnect = contexts.DurableReconnectV2.decode(data)
    assert reconnect == contexts.DurableReconnectV2(FILE_ID, GUID)
    assert not reconnect.is_persistent
    assert reconnect.encode() == data


def test_a_reconnect_is_a_file_id() -> None:
    assert contexts.decode_durable_reconnect(contexts.encode_durable_reconnect(FILE_ID)) == FILE_ID


def test_an_application_instance_has_its_own_size_in_front() -> None:
    assert contexts.encode_app_instance_id(GUID) == bytes((20, 0, 0, 0)) + GUID
    assert contexts.decode_app_instance_id(bytes((20, 0, 0, 0)) + GUID) == GUID


def test_a_version_is_two_numbers_that_compare_as_one() -> None:
    data = bytes((24, 0, 0, 0, 0, 0, 0, 0)) + (7).to_bytes(8, "little") + (9).to_bytes(8, "little")
    assert contexts.decode_app_instance_version(data) == (7, 9)
    assert contexts.encode_app_instance_version((7, 9)) == data


def test_a_response_v2_has_timeout_and_flags() -> None:
    response = contexts.DurableResponseV2(300_000, contexts.FLAG_PERSISTENT)
    assert response.encode() == (300_000).to_bytes(4, "little") + (2).to_bytes(4, "little")
    assert contexts.DurableResponseV2.decode(response.encode()) == response


@pytest.mark.parametrize(
    ("decode", "size"),
    [
        (contexts.check_durable_request, 16),
        (contexts.decode_durable_reconnect, 16),
        (contexts.DurableRequestV2.decode, 32),
        (contexts.DurableReconnectV2.decode, 36),
        (contexts.DurableResponseV2.decode, 8),
        (contexts.decode_app_instance_id, 20),
        (contexts.decode_app_instance_version, 24),
    ],
)
def test_any_other_length_is_refused(decode: Callable[[bytes], Any], size: int) -> None:
    decode(bytes(size))
    for wrong in (0, size - 1, size + 1, 2 * size):
        with pytest.raises(MalformedMessage):
            decode(bytes(wrong))
