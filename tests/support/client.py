"""A synchronous SMB2/3 client for tests: everything a good client does, and any one thing wrong on purpose.

Knows: logging on, trees, and every request of [MS-SMB2] 2.2.  Must not know: how bytes travel, any server's insides.

Each method sends one request and returns its `Reply`; `reply.expect(Kind)` asserts success and decodes.  Fields that
a test wants wrong are given as keyword arguments: `MessageOptions` go into the header, the rest into the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict, Unpack

from smbd_uring.crypto.keys import PreauthIntegrity, derive_channel_signing_key, derive_session_keys
from smbd_uring.crypto.sealing import make_opener, make_sealer
from smbd_uring.crypto.signing import make_signer
from smbd_uring.wire.const import (
    Capabilities,
    CipherId,
    Command,
    Dialect,
    HashAlgorithm,
    NegotiateContextType,
    SecurityMode,
    SessionFlags,
    SessionSetupFlags,
    SigningAlgorithm,
)
from smbd_uring.wire.negotiate import (
    EncryptionCapabilities,
    NegotiateRequest,
    NegotiateResponse,
    PreauthIntegrityCapabilities,
    SigningCapabilities,
)
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.session import LogoffRequest, SessionSetupRequest, SessionSetupResponse
from smbd_uring.wire.tree import TreeConnectRequest, TreeConnectResponse, TreeDisconnectRequest
from tests.support.client_channel import Channel, ClientSession
from tests.support.client_messages import Message, Reply
from tests.support.ntlm_client import Misbehaviour, NtlmInitiator
from tests.support.spnego_client import SpnegoInitiator

DIALECTS = (Dialect.SMB_2_0_2, Dialect.SMB_2_1, Dialect.SMB_3_0, Dialect.SMB_3_0_2, Dialect.SMB_3_1_1)
CIPHERS = (CipherId.AES_128_GCM, CipherId.AES_128_CCM, CipherId.AES_256_GCM, CipherId.AES_256_CCM)
SIGNING_ALGORITHMS = (SigningAlgorithm.AES_GMAC, SigningAlgorithm.AES_CMAC, SigningAlgorithm.HMAC_SHA256)
CLIENT_GUID = bytes.fromhex("8f1f2b0a7c3d4e5f9a6b1c2d3e4f5061")
CLIENT_CAPABILITIES = Capabilities.ENCRYPTION | Capabilities.LARGE_MTU | Capabilities.MULTI_CHANNEL
CREDITS_ASKED = 64
NONCE_PREFIX = b"test"
CHANNEL_NONCE_PREFIX = b"bind"

NegotiateContexts = Sequence[tuple[int, bytes]]


class CommonOptions(TypedDict, total=False):
    """Fields of `Message` that any request may have other than usual."""

    flags: int
    credit_charge: int
    credits: int
    tree_id: int | None
    sign: bool | None
    seal: bool | None
    wrong_signature: bool
    channel_sequence: int


class MessageOptions(CommonOptions, total=False):
    """And those that some methods have as arguments of their own."""

    message_id: int | None
    session_id: int | None


def message(command: int, body: bytes, options: CommonOptions | MessageOptions) -> Message:
    """A request with what is usual and what `options` change about it."""
    built = Message(command, body, credits=CREDITS_ASKED)
    for name, value in options.items():
        setattr(built, name, value)
    return built


def negotiate_contexts(
    ciphers: Sequence[int] = CIPHERS, signing_algorithms: Sequence[int] = SIGNING_ALGORITHMS
) -> NegotiateContexts:
    """What a client of 3.1.1 sends; an empty sequence leaves its context out."""
    preauth = PreauthIntegrityCapabilities((HashAlgorithm.SHA_512,), bytes(range(32))).encode()
    contexts: list[tuple[int, bytes]] = [(NegotiateContextType.PREAUTH_INTEGRITY_CAPABILITIES, preauth)]
    if ciphers:
        encoded = EncryptionCapabilities(tuple(ciphers)).encode()
        contexts.append((NegotiateContextType.ENCRYPTION_CAPABILITIES, encoded))
    if signing_algorithms:
        encoded = SigningCapabilities(tuple(signing_algorithms)).encode()
        contexts.append((NegotiateContextType.SIGNING_CAPABILITIES, encoded))
    return contexts


def _assert_signed(session: ClientSession, reply: Reply) -> None:
    assert reply.signed and session.signer is not None
    assert session.signer.verify(reply.message, reply.header.message_id, from_server=True, is_cancel=False)


class SessionClient(Channel):
    """NEGOTIATE, SESSION_SETUP, LOGOFF and trees."""

    security_mode: int = SecurityMode.SIGNING_ENABLED

    def negotiate(
        self,
        dialects: Sequence[int] = DIALECTS,
        *,
        contexts: NegotiateContexts | None = None,
        capabilities: int = CLIENT_CAPABILITIES,
        security_mode: int = SecurityMode.SIGNING_ENABLED,
        client_guid: bytes = CLIENT_GUID,
        **options: Unpack[MessageOptions],
    ) -> Reply:
        """NEGOTIATE; on success the channel speaks what was agreed on."""
        if contexts is None:
            contexts = negotiate_contexts() if Dialect.SMB_3_1_1 in dialects else ()
        self.security_mode = security_mode
        self.client_capabilities = capabilities
        self.client_dialects = tuple(dialects)
        request = NegotiateRequest(security_mode, capabilities, client_guid, tuple(dialects), list(contexts))
        frame = self.frame(sent := message(Command.NEGOTIATE, request.encode(), options))
        self.send_raw(frame)
        assert sent.message_id is not None
        reply = self.wait_for(sent.message_id)
        if reply.status == NtStatus.SUCCESS:
            self.preauth.update(frame)
            self.preauth.update(reply.message)
            self._agree(reply.expect(NegotiateResponse))
        return reply

    def log_on(
        self,
        user: str,
        password: str = "",
        *,
        spnego: bool = True,
        misbehaviour: Misbehaviour = Misbehaviour.NONE,
        previous_session_id: int = 0,
        again: bool = False,
        **options: Unpack[CommonOptions],
    ) -> Reply:
        """Log on by NTLM, raw or in SPNEGO; `user` "" asks to be anonymous.  Result: the last answer.

        On success `session` is the new session; with `again` the present one is authenticated once more.
        """
        ntlm = NtlmInitiator(user, password, misbehaviour=misbehaviour)
        initiator = SpnegoInitiator(ntlm, sends_mic=bool(user)) if spnego else None
        preauth = PreauthIntegrity(self.preauth.value)
        session_id = self.session.session_id if again and self.session is not None else 0
        token = initiator.first() if initiator else ntlm.negotiate()
        reply = self.session_setup(token, session_id, preauth, previous_session_id, **options)
        if reply.status != NtStatus.MORE_PROCESSING_REQUIRED:
            return reply
        challenge = bytes(reply.expect(SessionSetupResponse, NtStatus.MORE_PROCESSING_REQUIRED).security_buffer)
        token = initiator.answer(challenge) if initiator else ntlm.authenticate(challenge)
        reply = self.session_setup(token, reply.header.session_id, preauth, previous_session_id, **options)
        if reply.status == NtStatus.SUCCESS:
            answer = reply.expect(SessionSetupResponse)
            if initiator is not None and not answer.session_flags & SessionFlags.IS_GUEST:
                initiator.finish(bytes(answer.security_buffer))
            if again:
                assert reply.signed or reply.sealed or self.session is None or self.session.signer is None
            else:
                self._enter_session(reply, answer.session_flags, ntlm.session_key, preauth)
        return reply

    def bind(self, session: ClientSession, user: str, password: str, **options: Unpack[CommonOptions]) -> Reply:
        """Bind a session of another connection to this one ([MS-SMB2] 3.2.4.2.3.2).  Result: the last answer.

        On success it is this connection's `session`, signing with the channel's own key.
        """
        ntlm = NtlmInitiator(user, password)
        initiator = SpnegoInitiator(ntlm, sends_mic=bool(user))
        preauth = PreauthIntegrity(self.preauth.value)
        binding = SessionSetupFlags.BINDING
        options.setdefault("sign", True)
        known = self.sessions.get(session.session_id)
        self.sessions[session.session_id] = session
        try:
            reply = self.session_setup(initiator.first(), session.session_id, preauth, setup_flags=binding, **options)
            if reply.status == NtStatus.MORE_PROCESSING_REQUIRED:
                _assert_signed(session, reply)
                challenge = bytes(reply.expect(SessionSetupResponse, reply.status).security_buffer)
                token = initiator.answer(challenge)
                reply = self.session_setup(token, session.session_id, preauth, setup_flags=binding, **options)
        finally:
            del self.sessions[session.session_id]
            if known is not None:
                self.sessions[session.session_id] = known
        if reply.status == NtStatus.SUCCESS:
            self._enter_channel(session, reply, ntlm.session_key, preauth)
        return reply

    def session_setup(
        self,
        token: bytes,
        session_id: int = 0,
        preauth: PreauthIntegrity | None = None,
        previous_session_id: int = 0,
        *,
        setup_flags: int = 0,
        **options: Unpack[CommonOptions],
    ) -> Reply:
        """One SESSION_SETUP; `preauth` takes in what belongs to it."""
        sent = self.setup_message(token, session_id, previous_session_id, setup_flags, options)
        frame = self.frame(sent)
        self.send_raw(frame)
        assert sent.message_id is not None
        reply = self.wait_for(sent.message_id)
        if preauth is not None:
            preauth.update(frame)
            if reply.status == NtStatus.MORE_PROCESSING_REQUIRED:
                preauth.update(reply.message)
        return reply

    def setup_message(
        self, token: bytes, session_id: int = 0, previous_session_id: int = 0, setup_flags: int = 0,
        options: CommonOptions | None = None,
    ) -> Message:  # fmt: skip
        """A SESSION_SETUP that is not sent yet."""
        request = SessionSetupRequest(
            flags=setup_flags, security_mode=self.security_mode, previous_session_id=previous_session_id,
            security_buffer=token,
        )  # fmt: skip
        sent = message(Command.SESSION_SETUP, request.encode(), options or {})
        sent.session_id = session_id
        return sent

    def log_off(self, **options: Unpack[MessageOptions]) -> Reply:
        """LOGOFF."""
        return self.ask(message(Command.LOGOFF, LogoffRequest().encode(), options))

    def tree_connect(self, share: str, **options: Unpack[MessageOptions]) -> Reply:
        """TREE_CONNECT; on success the tree is used from then on.  `share` may be a whole UNC path."""
        path = share if share.startswith("\\") else rf"\\server\{share}"
        options.setdefault("tree_id", 0)
        reply = self.ask(message(Command.TREE_CONNECT, TreeConnectRequest(0, path).encode(), options))
        if reply.status == NtStatus.SUCCESS:
            reply.expect(TreeConnectResponse)
            self.tree_id = reply.header.tree_id
        return reply

    def tree_disconnect(self, **options: Unpack[MessageOptions]) -> Reply:
        """TREE_DISCONNECT."""
        return self.ask(message(Command.TREE_DISCONNECT, TreeDisconnectRequest().encode(), options))

    def _agree(self, answer: NegotiateResponse) -> None:
        self.negotiated = answer
        self.dialect = answer.dialect_revision
        self.signing_algorithm = SigningAlgorithm.HMAC_SHA256
        self.cipher = None
        if self.dialect >= Dialect.SMB_3_0:
            self.signing_algorithm = SigningAlgorithm.AES_CMAC
            if answer.capabilities & Capabilities.ENCRYPTION:
                self.cipher = CipherId.AES_128_CCM
        for kind, data in answer.contexts:
            if kind == NegotiateContextType.ENCRYPTION_CAPABILITIES:
                self.cipher = EncryptionCapabilities.decode(data).ciphers[0] or None
            elif kind == NegotiateContextType.SIGNING_CAPABILITIES:
                self.signing_algorithm = SigningCapabilities.decode(data).signing_algorithms[0]

    def _enter_channel(
        self, session: ClientSession, reply: Reply, session_key: bytes, preauth: PreauthIntegrity
    ) -> None:
        key = derive_channel_signing_key(self.dialect, session_key, preauth.value)
        signer = make_signer(self.signing_algorithm, key)
        channel = replace(session, signer=signer)
        _assert_signed(channel, reply)
        if session.keys is not None and self.cipher is not None:
            channel.sealer = make_sealer(self.cipher, session.keys.decryption_key, CHANNEL_NONCE_PREFIX)
        self.session = self.sessions[session.session_id] = channel

    def _enter_session(self, reply: Reply, flags: int, session_key: bytes, preauth: PreauthIntegrity) -> None:
        session = ClientSession(reply.header.session_id, flags)
        if not flags & (SessionFlags.IS_GUEST | SessionFlags.IS_NULL):
            keys = derive_session_keys(self.dialect, session_key, session_key, self.cipher, preauth.value)
            session.keys = keys
            session.signer = make_signer(self.signing_algorithm, keys.signing_key)
            assert reply.signed, "the last answer of a logon is signed"
            message_id = reply.header.message_id
            assert session.signer.verify(reply.message, message_id, from_server=True, is_cancel=False)
            if self.cipher is not None and self.dialect >= Dialect.SMB_3_0:
                session.sealer = make_sealer(self.cipher, keys.decryption_key, NONCE_PREFIX)
                session.opener = make_opener(self.cipher, keys.encryption_key)
            session.signs = bool(self.security_mode & SecurityMode.SIGNING_REQUIRED)
            session.signs |= bool(self.negotiated.security_mode & SecurityMode.SIGNING_REQUIRED)
            session.seals = bool(flags & SessionFlags.ENCRYPT_DATA)
        self.session = session
        self.sessions[session.session_id] = session
