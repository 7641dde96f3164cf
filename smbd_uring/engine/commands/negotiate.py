"""NEGOTIATE: dialect, capabilities, ciphers, signing; and the SMB1 message that may come before it.

Knows: [MS-SMB2] 3.3.5.3, 3.3.5.4.  Must not know: who will log on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.config import Encryption
from smbd_uring.crypto.keys import PreauthIntegrity
from smbd_uring.crypto.spnego import initial_token
from smbd_uring.engine.chain import Chain
from smbd_uring.engine.connection import Connection
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import (
    Capabilities,
    CipherId,
    Command,
    Dialect,
    HashAlgorithm,
    NegotiateContextType,
    SecurityMode,
    SigningAlgorithm,
)
from smbd_uring.wire.errors import ProtocolViolation
from smbd_uring.wire.header import Header
from smbd_uring.wire.names import filetime_from_ns
from smbd_uring.wire.negotiate import (
    EncryptionCapabilities,
    NegotiateRequest,
    NegotiateResponse,
    PreauthIntegrityCapabilities,
    SigningCapabilities,
)
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

PREAUTH_SALT_BYTES = 32
CIPHERS = (CipherId.AES_128_GCM, CipherId.AES_128_CCM, CipherId.AES_256_GCM, CipherId.AES_256_CCM)
SIGNING_ALGORITHMS = (SigningAlgorithm.AES_GMAC, SigningAlgorithm.AES_CMAC, SigningAlgorithm.HMAC_SHA256)
UNIQUE_CONTEXTS = (
    NegotiateContextType.ENCRYPTION_CAPABILITIES,
    NegotiateContextType.COMPRESSION_CAPABILITIES,
    NegotiateContextType.RDMA_TRANSFORM_CAPABILITIES,
    NegotiateContextType.SIGNING_CAPABILITIES,
)
SMB1_DIALECT_2_0_2 = b"SMB 2.002"
SMB1_DIALECT_WILDCARD = b"SMB 2.???"
SMALL_IO_BYTES = 64 * limits.KIB
"""Without multi-credit requests (2.0.2) no payload is larger than this."""


async def negotiate(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.4."""
    connection = request.connection
    if connection.dialect is not None:
        raise ProtocolViolation("a second NEGOTIATE")
    body = NegotiateRequest.decode(request.message)
    if not body.dialects or len(body.dialects) > limits.NEGOTIATE_DIALECTS_MAX:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    dialect = _greatest_common(request.engine, body.dialects)
    if dialect is None:
        raise SmbError(NtStatus.NOT_SUPPORTED)

    contexts: list[tuple[int, bytes]] = []
    preauth = None
    cipher = None
    signing_algorithm = SigningAlgorithm.HMAC_SHA256 if dialect < Dialect.SMB_3_0 else SigningAlgorithm.AES_CMAC
    if dialect == Dialect.SMB_3_1_1:
        offered = _contexts_by_type(body)
        preauth = PreauthIntegrity()
        preauth.update(request.message)
        contexts.append(_answer_preauth(request.engine, offered))
        cipher = _choose_cipher(request.engine, offered, contexts)
        signing_algorithm = _choose_signing(offered, contexts)

    connection.client_guid = bytes(body.client_guid)
    request.engine.clients.came(connection)
    connection.client_capabilities = body.capabilities
    connection.client_security_mode = body.security_mode
    connection.client_dialects = tuple(body.dialects)
    connection.preauth = preauth
    connection.cipher = cipher
    connection.signing_algorithm = signing_algorithm
    _settle(request.engine, connection, dialect)
    answer = _response(request.engine, connection, dialect, contexts)
    return Response(answer.encode(), preauth=preauth)


def answer_smb1_negotiate(engine: Engine, connection: Connection, dialects: list[bytes]) -> None:
    """[MS-SMB2] 3.3.5.3: an SMB1 NEGOTIATE that offers SMB2 is answered with an SMB2 NEGOTIATE response."""
    if SMB1_DIALECT_WILDCARD in dialects and engine.config.dialect_max > Dialect.SMB_2_0_2:
        dialect = Dialect.WILDCARD
        connection.multi_protocol = True
    elif SMB1_DIALECT_2_0_2 in dialects and engine.config.dialect_min <= Dialect.SMB_2_0_2:
        dialect = Dialect.SMB_2_0_2
        connection.client_dialects = (Dialect.SMB_2_0_2,)
        _settle(engine, connection, dialect)
    else:
        raise ProtocolViolation("an SMB1 NEGOTIATE without a dialect of SMB2 that is served here")
    connection.credits.take(0, 1)
    chain = Chain(connection, None)
    header = Header(command=Command.NEGOTIATE, credits=1)
    request = Request(engine, connection, chain, header, memoryview(b""))
    chain.add(request, Response(_response(engine, connection, dialect, []).encode()))
    chain.flush()


def security_mode_of(engine: Engine) -> int:
    """What the server says of signing, in NEGOTIATE and again in VALIDATE_NEGOTIATE_INFO."""
    mode: int = SecurityMode.SIGNING_ENABLED
    if engine.config.signing_required:
        mode |= SecurityMode.SIGNING_REQUIRED
    return mode


def _greatest_common(engine: Engine, offered: tuple[int, ...]) -> Dialect | None:
    served = {dialect for dialect in Dialect if dialect != Dialect.WILDCARD}
    lowest, highest = engine.config.dialect_min, engine.config.dialect_max
    common = [Dialect(value) for value in offered if value in served and lowest <= value <= highest]
    return max(common, default=None)


def _contexts_by_type(body: NegotiateRequest) -> dict[int, Buffer]:
    if len(body.contexts) > limits.NEGOTIATE_CONTEXTS_MAX:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    found: dict[int, Buffer] = {}
    for kind, data in body.contexts:
        if kind in found and (kind in UNIQUE_CONTEXTS or kind == NegotiateContextType.PREAUTH_INTEGRITY_CAPABILITIES):
            raise SmbError(NtStatus.INVALID_PARAMETER)
        found[kind] = data
    if NegotiateContextType.PREAUTH_INTEGRITY_CAPABILITIES not in found:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    return found


def _answer_preauth(engine: Engine, offered: dict[int, Buffer]) -> tuple[int, bytes]:
    kind = NegotiateContextType.PREAUTH_INTEGRITY_CAPABILITIES
    asked = PreauthIntegrityCapabilities.decode(offered[kind])
    if HashAlgorithm.SHA_512 not in asked.hash_algorithms:
        raise SmbError(NtStatus.SMB_NO_PREAUTH_INTEGRITY_HASH_OVERLAP)
    salt = engine.entropy(PREAUTH_SALT_BYTES)
    return kind, PreauthIntegrityCapabilities((HashAlgorithm.SHA_512,), salt).encode()


def _choose_cipher(
    engine: Engine, offered: dict[int, Buffer], contexts: list[tuple[int, bytes]]
) -> int | None:
    """The client's first cipher that is served: some clients derive other keys for the ones they like less."""
    kind = NegotiateContextType.ENCRYPTION_CAPABILITIES
    if kind not in offered or engine.config.encryption is Encryption.OFF:
        return None
    asked = EncryptionCapabilities.decode(offered[kind])
    chosen = next((cipher for cipher in asked.ciphers if cipher in CIPHERS), None)
    contexts.append((kind, EncryptionCapabilities((chosen or 0,)).encode()))
    return chosen


def _choose_signing(offered: dict[int, Buffer], contexts: list[tuple[int, bytes]]) -> SigningAlgorithm:
    kind = NegotiateContextType.SIGNING_CAPABILITIES
    if kind not in offered:
        return SigningAlgorithm.AES_CMAC
    asked = SigningCapabilities.decode(offered[kind])
    if not asked.signing_algorithms:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    chosen = next(
        (SigningAlgorithm(algorithm) for algorithm in asked.signing_algorithms if algorithm in SIGNING_ALGORITHMS),
        SigningAlgorithm.AES_CMAC,
    )
    contexts.append((kind, SigningCapabilities((chosen,)).encode()))
    return chosen


def _settle(engine: Engine, connection: Connection, dialect: Dialect) -> None:
    capabilities = 0
    if dialect >= Dialect.SMB_2_1:
        capabilities |= Capabilities.LARGE_MTU
    if dialect >= Dialect.SMB_2_1 and engine.config.leases:
        capabilities |= Capabilities.LEASING
        if dialect >= Dialect.SMB_3_0:
            capabilities |= connection.client_capabilities & Capabilities.DIRECTORY_LEASING
    if dialect >= Dialect.SMB_3_0 and engine.config.multichannel:
        capabilities |= connection.client_capabilities & Capabilities.MULTI_CHANNEL
    client_encrypts = connection.client_capabilities & Capabilities.ENCRYPTION
    by_capability = dialect in (Dialect.SMB_3_0, Dialect.SMB_3_0_2)
    if by_capability and client_encrypts and engine.config.encryption is not Encryption.OFF:
        capabilities |= Capabilities.ENCRYPTION
        connection.cipher = CipherId.AES_128_CCM
    if dialect >= Dialect.SMB_3_0 and engine.gives_persistent_handles:
        capabilities |= Capabilities.PERSISTENT_HANDLES
    connection.capabilities = capabilities
    connection.server_security_mode = security_mode_of(engine)
    connection.settle_dialect(dialect)


def _response(
    engine: Engine, connection: Connection, dialect: Dialect, contexts: list[tuple[int, bytes]]
) -> NegotiateResponse:
    config = engine.config
    small = dialect == Dialect.SMB_2_0_2
    capabilities = Capabilities.LARGE_MTU if dialect == Dialect.WILDCARD else connection.capabilities
    return NegotiateResponse(
        security_mode=security_mode_of(engine),
        dialect_revision=dialect,
        server_guid=config.server_guid,
        capabilities=int(capabilities),
        max_transact_size=SMALL_IO_BYTES if small else config.transact_bytes_max,
        max_read_size=SMALL_IO_BYTES if small else config.read_bytes_max,
        max_write_size=SMALL_IO_BYTES if small else config.write_bytes_max,
        system_time=filetime_from_ns(engine.wall_clock()),
        server_start_time=0,
        security_buffer=initial_token(),
        contexts=contexts,
    )
