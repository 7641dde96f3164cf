"""What the tests of message bodies share: putting a body behind a header, and every body there is.

Knows: the codecs' shape.  Must not know: what a server does with a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hypothesis import settings
from hypothesis import strategies as st
from smbprotocol.structure import Structure

from smbd_uring.wire import breaks, create, data, negotiate, query, session, tree
from smbd_uring.wire.pdu import BODY_OFFSET, FileId

some_examples = settings(max_examples=25)
"""For tests that run once for each of many codecs; the fuzzers go further."""

FILE_ID = FileId(0x0102_0304_0506_0708, 0x1112_1314_1516_1718)
FILE_ID_BYTES = bytes.fromhex("08070605040302011817161514131211")


class Body(Protocol):
    """A message body as the codecs have it."""

    def encode(self) -> bytes: ...


class BodyDecoder(Protocol):
    """The class of a message body."""

    @property
    def __name__(self) -> str: ...

    def decode(self, message: memoryview) -> Any: ...


def message(body: bytes) -> memoryview:
    """`body` behind a header's room, as decoders take it."""
    return memoryview(bytes(BODY_OFFSET) + body)


def foreign(structure: Structure, **fields: object) -> memoryview:
    """The message that smbprotocol makes of one of its structures."""
    for name, value in fields.items():
        structure[name] = value
    return message(structure.pack())


@dataclass(frozen=True)
class Kind:
    """One kind of body: what decodes it, and how to make any of it."""

    decoder: BodyDecoder
    values: st.SearchStrategy[Any]

    def __repr__(self) -> str:
        return self.decoder.__name__


U8 = st.integers(0, 0xFF)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFF_FFFF)
U64 = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
GUIDS = st.binary(min_size=16, max_size=16)
FILE_IDS = st.builds(FileId, U64, U64)
BUFFERS = st.binary(max_size=80)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
CONTEXT_NAMES = st.binary(min_size=4, max_size=16)
CREATE_CONTEXTS = st.lists(st.tuples(CONTEXT_NAMES, BUFFERS), max_size=4)
NEGOTIATE_CONTEXTS = st.lists(st.tuples(U16, BUFFERS), max_size=4)
DIALECTS = st.lists(U16, max_size=6).map(lambda dialects: (*dialects, 0x0311))
LOCKS = st.lists(st.builds(data.LockElement, U64, U64, U32), min_size=1, max_size=5)

KINDS = [
    Kind(
        negotiate.NegotiateRequest,
        st.builds(negotiate.NegotiateRequest, U16, U32, GUIDS, DIALECTS, NEGOTIATE_CONTEXTS),
    ),
    Kind(
        negotiate.NegotiateResponse,
        st.builds(
            negotiate.NegotiateResponse, U16, st.just(0x0311), GUIDS, U32, U32, U32, U32, U64, U64, BUFFERS,
            NEGOTIATE_CONTEXTS,
        ),
    ),
    Kind(session.SessionSetupRequest, st.builds(session.SessionSetupRequest, U8, U8, U32, U32, U64, BUFFERS)),
    Kind(session.SessionSetupResponse, st.builds(session.SessionSetupResponse, U16, BUFFERS)),
    Kind(tree.TreeConnectRequest, st.builds(tree.TreeConnectRequest, st.sampled_from([0, 1, 2]), TEXTS)),
    Kind(tree.TreeConnectResponse, st.builds(tree.TreeConnectResponse, U8, U32, U32, U32)),
    Kind(
        create.CreateRequest,
        st.builds(create.CreateRequest, U8, U32, U32, U32, U32, U32, U32, TEXTS, CREATE_CONTEXTS),
    ),
    Kind(
        create.CreateResponse,
        st.builds(
            create.CreateResponse, U8, U8, U32, U64, U64, U64, U64, U64, U64, U32, FILE_IDS, CREATE_CONTEXTS
        ),
    ),
    Kind(create.CloseRequest, st.builds(create.CloseRequest, U16, FILE_IDS)),
    Kind(create.CloseResponse, st.builds(create.CloseResponse, U16, U64, U64, U64, U64, U64, U64, U32)),
    Kind(data.ReadRequest, st.builds(data.ReadRequest, U32, U64, FILE_IDS, U32, U8, U8, U32, U32)),
    Kind(data.ReadResponse, st.builds(data.ReadResponse, BUFFERS)),
    Kind(data.WriteRequest, st.builds(data.WriteRequest, U64, FILE_IDS, BUFFERS, U32, U32, U32)),
    Kind(data.WriteResponse, st.builds(data.WriteResponse, U32)),
    Kind(data.FlushRequest, st.builds(data.FlushRequest, FILE_IDS, U16)),
    Kind(data.LockRequest, st.builds(data.LockRequest, FILE_IDS, LOCKS, U32)),
    Kind(data.IoctlRequest, st.builds(data.IoctlRequest, U32, FILE_IDS, BUFFERS, U32, U32, U32)),
    Kind(data.IoctlResponse, st.builds(data.IoctlResponse, U32, FILE_IDS, BUFFERS, U32)),
    Kind(
        query.QueryDirectoryRequest, st.builds(query.QueryDirectoryRequest, U8, FILE_IDS, U32, TEXTS, U8, U32)
    ),
    Kind(query.QueryDirectoryResponse, st.builds(query.QueryDirectoryResponse, BUFFERS)),
    Kind(query.QueryInfoRequest, st.builds(query.QueryInfoRequest, U8, U8, FILE_IDS, U32, U32, U32, BUFFERS)),
    Kind(query.QueryInfoResponse, st.builds(query.QueryInfoResponse, BUFFERS)),
    Kind(query.SetInfoRequest, st.builds(query.SetInfoRequest, U8, U8, FILE_IDS, BUFFERS, U32)),
    Kind(query.ChangeNotifyRequest, st.builds(query.ChangeNotifyRequest, U16, U32, FILE_IDS, U32)),
    Kind(query.ChangeNotifyResponse, st.builds(query.ChangeNotifyResponse, BUFFERS)),
    Kind(breaks.OplockBreak, st.builds(breaks.OplockBreak, U8, FILE_IDS)),
    Kind(breaks.LeaseBreakAcknowledgment, st.builds(breaks.LeaseBreakAcknowledgment, GUIDS, U32, U32)),
    Kind(breaks.LeaseBreakNotification, st.builds(breaks.LeaseBreakNotification, U16, U32, GUIDS, U32, U32)),
]
"""Every body with fields, each with its variable parts at every length from nothing up."""

EMPTY_KINDS = [
    session.LogoffRequest, session.LogoffResponse, tree.TreeDisconnectRequest, tree.TreeDisconnectResponse,
    data.FlushResponse, data.EchoRequest, data.EchoResponse, data.CancelRequest, data.LockResponse,
]  # fmt: skip
"""The bodies that say nothing but which command they belong to."""
