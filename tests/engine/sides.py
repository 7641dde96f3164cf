"""Two servers that get the same: what protects their sessions, and what of an answer two servers have in common.

Knows: protections, replies.  Must not know: what is asked.
"""

from __future__ import annotations

from smbd_uring.wire.const import CipherId, Dialect, SecurityMode, SigningAlgorithm
from tests.engine.servers import TestedServer
from tests.support.client import DIALECTS, negotiate_contexts
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

Protection = SigningAlgorithm | CipherId | None

PROTECTIONS: dict[str, Protection] = {
    "plain": None,
    **{f"signed {algorithm.name}": algorithm for algorithm in SigningAlgorithm},
    **{f"sealed {cipher.name}": cipher for cipher in CipherId if cipher},
}
"""Everything that 3.1.1 has."""

SESSION_ID, SIGNATURE = slice(40, 48), slice(48, 64)


def without_what_differs(reply: Reply) -> bytes:
    """A reply without its session's number and its signature, which was right if it was there."""
    message = bytearray(reply.message)
    message[SESSION_ID] = bytes(8)
    message[SIGNATURE] = bytes([reply.signed]) * 16
    return bytes(message)


def connect_protected(
    server: TestedServer, protection: Protection, credits: int, dialect: int | None = None
) -> FileClient:
    """A client of the share "data" whose messages are all protected so, with at least that many credits.

    It speaks `dialect`, the newest one without; only 3.1.1 has every protection.
    """
    client = server.connect()
    mode = SecurityMode.SIGNING_ENABLED
    signing, ciphers = tuple(SigningAlgorithm), tuple(cipher for cipher in CipherId if cipher)
    if isinstance(protection, SigningAlgorithm):
        mode, signing = SecurityMode.SIGNING_REQUIRED, (protection,)
    elif protection is not None:
        ciphers = (protection,)
    dialects = DIALECTS if dialect is None else (dialect,)
    contexts = negotiate_contexts(ciphers, signing) if Dialect.SMB_3_1_1 in dialects else ()
    assert client.negotiate(dialects, contexts=contexts, security_mode=mode).status == 0
    assert client.log_on("anna", "secret").status == 0
    if isinstance(protection, CipherId):
        assert client.session is not None
        client.session.seals = True
    assert client.tree_connect("data").status == 0
    while client.credits < credits:
        client.echo(credits=512)
    return client
