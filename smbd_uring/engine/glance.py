"""The one compound that has a way of its own: CREATE, QUERY_INFO and CLOSE that ask for a file's attributes by name.

Knows: what the general way does with these three requests when nothing is unusual.  Must not know: any other request.

Clients send this for every `stat`, and the general way's three requests, answers and an open cost several times what
finding the file does.  Here nothing is opened: the rights asked for are none that share modes are about or the kernel
is asked for, and nobody can come between the three, so that an open would be entered and removed unseen.  Every check
of the general way is made.  Where one fails, or anything has to be waited for, nothing has been done yet and the frame
goes the general way, which knows the answer; so the two never differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from stat import S_IFDIR
from typing import TYPE_CHECKING

from smbd_uring import limits
from smbd_uring.engine import write_times
from smbd_uring.engine.chain import SIGNATURE_OFFSET
from smbd_uring.engine.commands.query_info import FILE_CLASSES, NEEDS_READ_ATTRIBUTES
from smbd_uring.engine.create_plan import (
    ATTRIBUTES_VALID,
    DELEGATE,
    DELETE_ON_CLOSE,
    DIRECTORY_FILE,
    MODE_OPTIONS,
    NON_DIRECTORY_FILE,
    OPTIONS_REFUSED,
    OPTIONS_VALID,
    SHARE_ACCESS_VALID,
)
from smbd_uring.engine.credits import PAYLOAD_BYTES_PER_CREDIT
from smbd_uring.engine.information import information_of
from smbd_uring.engine.names import components_of
from smbd_uring.engine.request import SIGNED
from smbd_uring.engine.session import VALID
from smbd_uring.ports import Buffer, FileFacts
from smbd_uring.wire.const import AccessMask, Command, CreateDisposition, FileInfoClass, InfoType
from smbd_uring.wire.errors import ProtocolViolation
from smbd_uring.wire.framing import PREFIX_SIZE, frame_prefix
from smbd_uring.wire.fscc import encode_file_information, minimum_file_size
from smbd_uring.wire.glance import Answer, Glance, Parameters, lay_out_answers, read_glance
from smbd_uring.wire.header import HEADER_SIZE
from smbd_uring.wire.names import decode_utf16

if TYPE_CHECKING:
    from smbd_uring.crypto.signing import Signer
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.session import Session, Tree

RIGHTS = int(
    AccessMask.FILE_READ_ATTRIBUTES | AccessMask.FILE_READ_EA | AccessMask.READ_CONTROL | AccessMask.SYNCHRONIZE
)
"""What may be asked for here: rights that `access.grant_unasked` gives and share modes are not about."""

SYNCHRONIZE, FILE_READ_ATTRIBUTES = int(AccessMask.SYNCHRONIZE), int(AccessMask.FILE_READ_ATTRIBUTES)
OPEN, FILE = int(CreateDisposition.OPEN), int(InfoType.FILE)
CLASSES = frozenset(map(int, FILE_CLASSES)) - {int(FileInfoClass.ALTERNATE_NAME)}
NEED_READ_ATTRIBUTES = frozenset(map(int, NEEDS_READ_ATTRIBUTES))
OPTIONS_KNOWN = int(OPTIONS_VALID & ~OPTIONS_REFUSED & ~DELETE_ON_CLOSE)
EITHER_KIND = DIRECTORY_FILE | NON_DIRECTORY_FILE
ATTRIBUTES_ALLOWED = ATTRIBUTES_VALID
SHARE_ACCESS_KNOWN = int(SHARE_ACCESS_VALID)
COMMANDS = (int(Command.CREATE), int(Command.QUERY_INFO), int(Command.CLOSE))
NO_SIGNATURES = (0, 0, 0)
SEPARATOR = b"\\\0"
S_IFMT = 0o170000
PARAMETERS_CACHED = 256


def glance(
    engine: Engine, connection: Connection, data: memoryview, sealed_by: Session | None, ids_taken: bool
) -> bool:
    """Answer a frame when it is such a compound and nothing about it is unusual.  False: nothing was done.

    `data` is the frame as `sealed_by`'s key opened it, if one did; `ids_taken` as in `receive.Frame`.  Raises
    ProtocolViolation for message ids that are not the client's to use.
    """
    asked = read_glance(data)
    if asked is None:
        return False
    session = connection.sessions.get(asked.session_id)
    if session is None or session.state is not VALID or (sealed_by is not None and sealed_by is not session):
        return False
    tree = session.trees.get(asked.tree_id)
    if tree is None or tree.closing or tree.is_foreign or (tree.encrypt_data and sealed_by is None):
        return False
    if not _are_plain(asked.parameters) or not _has_room(engine, session):
        return False
    charges = _charges(connection, asked)
    if (
        len(data) > limits.OUTSTANDING_BYTES_MAX
        or sum(charges) * PAYLOAD_BYTES_PER_CREDIT > limits.OUTSTANDING_BYTES_MAX
        or asked.output_buffer_length > charges[1] * PAYLOAD_BYTES_PER_CREDIT
        or asked.output_buffer_length > engine.config.transact_bytes_max
        or (sealed_by is None and not _is_protected(connection, session, asked, data))
    ):
        return False
    answer = _look(engine, tree, asked)
    if answer is None:
        return False
    if not ids_taken:
        _take_ids(connection, asked, charges)
    _send(engine, connection, session, sealed_by, asked, answer)
    return True


@lru_cache(PARAMETERS_CACHED)
def _are_plain(parameters: Parameters) -> bool:
    """Whether the general way has no objection to them, whatever the file is."""
    access, options = parameters.desired_access, parameters.create_options
    return (
        access & ~RIGHTS == 0
        and access & ~SYNCHRONIZE != 0
        and parameters.create_disposition == OPEN
        and options & ~OPTIONS_KNOWN == 0
        and options & EITHER_KIND != EITHER_KIND
        and parameters.impersonation_level <= DELEGATE
        and parameters.share_access & ~SHARE_ACCESS_KNOWN == 0
        and parameters.file_attributes & ~ATTRIBUTES_ALLOWED == 0
        and parameters.info_type == FILE
        and parameters.file_info_class in CLASSES
        and (access & FILE_READ_ATTRIBUTES != 0 or parameters.file_info_class not in NEED_READ_ATTRIBUTES)
    )


def _has_room(engine: Engine, session: Session) -> bool:
    return len(session.opens) < limits.OPENS_PER_SESSION_MAX and engine.has_descriptors


def _charges(connection: Connection, asked: Glance) -> tuple[int, int, int]:
    """The credits that each request pays."""
    if not connection.supports_multi_credit:
        return 1, 1, 1
    return asked.create.credit_charge or 1, asked.query_info.credit_charge or 1, asked.close.credit_charge or 1


def _is_protected(connection: Connection, session: Session, asked: Glance, data: memoryview) -> bool:
    """Whether requests that came in the clear are as well protected as the session demands."""
    if session.encrypt_data:
        return False
    signer = session.signer_on(connection)
    for request in asked.create, asked.query_info, asked.close:
        if not request.flags & SIGNED:
            if session.signing_required:
                return False
        elif signer is not None and not signer.verify(
            data[request.start : request.end], request.message_id, from_server=False, is_cancel=False
        ):
            return False
    return True


def _look(engine: Engine, tree: Tree, asked: Glance) -> Answer | None:
    """What there is to answer; None when the file is not there, is of the wrong kind, or cannot be looked at now."""
    root, parameters = tree.root, asked.parameters
    options, info_class = parameters.create_options, parameters.file_info_class
    if root is None or (options & NON_DIRECTORY_FILE and asked.name.endswith(SEPARATOR)):
        return None
    try:
        components = components_of(decode_utf16(asked.name))
        facts = engine.scheduler.run_at_once(engine.filesystem.glance(root, components, tree.credentials))
    except Exception:  # whatever it is, the general way meets it again, and says so
        return None
    if not isinstance(facts, FileFacts):
        return None
    status = facts.status
    is_directory = status.mode & S_IFMT == S_IFDIR
    if options & (NON_DIRECTORY_FILE if is_directory else DIRECTORY_FILE):
        return None
    file = engine.opens.file(status.identity)
    if file is not None:
        if file.delete_pending:
            return None
        facts = write_times.shown(engine, file, facts)
    information = information_of(facts, components, parameters.desired_access, options & MODE_OPTIONS, False)
    encoded, room = encode_file_information(info_class, information), asked.output_buffer_length
    if len(encoded) > room or minimum_file_size(info_class) > room:
        return None
    return Answer(
        information.creation_time, information.last_access_time, information.last_write_time, information.change_time,
        information.allocation_size, information.end_of_file, information.file_attributes, encoded,
    )  # fmt: skip


def _take_ids(connection: Connection, asked: Glance, charges: tuple[int, int, int]) -> None:
    """[MS-SMB2] 3.3.5.2.3."""
    take = connection.credits.take
    for request, charge in zip((asked.create, asked.query_info, asked.close), charges, strict=True):
        if not take(request.message_id, charge):
            raise ProtocolViolation(f"message id {request.message_id} (charge {charge}) is not in the window")


def _send(
    engine: Engine, connection: Connection, session: Session, sealed_by: Session | None, asked: Glance, answer: Answer
) -> None:
    """Give the credits asked for, sign or seal, and send."""
    create, query, close = asked.create, asked.query_info, asked.close
    counts = engine.request_counts
    for command in COMMANDS:
        counts[command] += 1
    file_id = engine.opens.next_file_id(engine.opens.fresh_volatile(session.opens))
    grant, span_max = connection.credits.grant, connection.credits_span_max
    credit_responses = grant(create.credits, span_max), grant(query.credits, span_max), grant(close.credits, span_max)
    signs, signer = NO_SIGNATURES, session.signer_on(connection)
    if sealed_by is None and signer is not None:
        always = SIGNED if session.signing_required else 0
        signs = (always | create.flags & SIGNED, always | query.flags & SIGNED, always | close.flags & SIGNED)
    segments: Sequence[Buffer] = lay_out_answers(asked, answer, file_id, credit_responses, signs)
    if sealed_by is not None:
        assert sealed_by.sealer is not None, "opened with a key, so there is one to seal with"
        segments = sealed_by.sealer.seal(segments, sealed_by.session_id)
    elif signs != NO_SIGNATURES:
        assert signer is not None
        requests = (create, query, close)
        segments = [
            _signed(signer, message, request.message_id) if sign else message
            for request, sign, message in zip(requests, signs, segments, strict=True)
        ]
    total = sum(map(len, segments))
    connection.send((b"".join((frame_prefix(total), *segments)),), PREFIX_SIZE + total)


def _signed(signer: Signer, message: Buffer, message_id: int) -> bytes:
    signature = signer.sign((message,), message_id, from_server=True, is_cancel=False)
    return b"".join((message[:SIGNATURE_OFFSET], signature, message[HEADER_SIZE:]))
