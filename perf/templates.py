"""Operations as templates: the frames they send, and what in them differs from one time to the next.

Knows: request bodies, which frames each workload consists of.  Must not know: sessions' keys, how frames are sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from smbd_uring.perf import files
from smbd_uring.wire.const import (
    AccessMask,
    Command,
    CreateDisposition,
    CreateOptions,
    FileInfoClass,
    HeaderFlags,
    InfoType,
    ShareAccess,
)
from smbd_uring.wire.create import CloseRequest, CreateRequest
from smbd_uring.wire.data import EchoRequest, ReadRequest, WriteRequest
from smbd_uring.wire.header import COMPOUND_ALIGNMENT, HEADER_SIZE, Header
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId
from smbd_uring.wire.query import QueryDirectoryRequest, QueryInfoRequest

SHARE_ALL: Final = ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE
CREDIT_BYTES: Final = 65536
LISTING_BYTES: Final = 65536
INFORMATION_BYTES: Final = 1024
CHARACTER_BYTES: Final = 2
READ_OFFSET_AT: Final = 8
WRITE_OFFSET_AT: Final = 8
FILE_ID_AT: Final = {
    Command.CLOSE: 8, Command.READ: 16, Command.WRITE: 16, Command.QUERY_DIRECTORY: 8, Command.QUERY_INFO: 24,
}  # fmt: skip
"""Where the FileId is in a body."""
NAME_AT: Final = 56
"""Where a CREATE's name is in its body."""


@dataclass(frozen=True, slots=True)
class MessageTemplate:
    """One message of a frame; `_template.pxd` says what the fields are."""

    at: int
    length: int
    command: int
    charge: int = 1
    file_id_at: int = 0
    offset_at: int = 0
    number_at: int = 0
    digits: int = 0


@dataclass(frozen=True, slots=True)
class StepTemplate:
    """One frame; `payload` bytes of content follow `data`."""

    data: bytes
    messages: Sequence[MessageTemplate]
    payload: int = 0


@dataclass(frozen=True, slots=True)
class OperationTemplate:
    """Frames that are sent one after the other; `bytes_moved` is the payload in all of them."""

    steps: Sequence[StepTemplate]
    block_bytes: int = 0
    blocks: int = 1
    is_random: bool = True
    numbers: int = 0
    entries: int = 0
    bytes_moved: int = 0


@dataclass(slots=True)
class Request:
    """A request as it is put into a step: its body, and what of it is filled in."""

    command: Command
    body: bytes
    charge: int = 1
    related: bool = False
    fills_file_id: bool = False
    offset_at: int = 0
    number_at: int = 0
    digits: int = 0


@dataclass(frozen=True)
class Templates:
    """Makes the templates of one connection."""

    session_id: int
    tree_id: int
    signs: bool = False
    name_prefix: str = field(default="")
    """Begins the names of new files, so that connections do not make the same."""

    def echo(self) -> OperationTemplate:
        """ECHO."""
        return OperationTemplate([self._step(Request(Command.ECHO, EchoRequest().encode()))])

    def read(self, file_id: FileId, size: int, blocks: int, is_random: bool) -> OperationTemplate:
        """One READ of `size` bytes of a file that has so many `blocks` of them."""
        body = ReadRequest(size, 0, file_id).encode()
        step = self._step(Request(Command.READ, body, charge(size), offset_at=READ_OFFSET_AT))
        return OperationTemplate([step], size, blocks, is_random, bytes_moved=size)

    def write(self, file_id: FileId, size: int, blocks: int, is_random: bool) -> OperationTemplate:
        """One WRITE."""
        step = self._write_step(file_id, size)
        return OperationTemplate([step], size, blocks, is_random, bytes_moved=size)

    def open_close(self) -> OperationTemplate:
        """CREATE of one of the files, and CLOSE."""
        steps = [self._step(self._open_one(AccessMask.GENERIC_READ)), self._step(_close())]
        return OperationTemplate(steps, numbers=files.SMALL_FILES)

    def stat(self) -> OperationTemplate:
        """A related compound that asks for all information about one of the files."""
        query = QueryInfoRequest(InfoType.FILE, FileInfoClass.ALL, FILE_ID_ANY, INFORMATION_BYTES).encode()
        step = self._step(
            self._open_one(AccessMask.FILE_READ_ATTRIBUTES),
            Request(Command.QUERY_INFO, query, related=True),
            Request(Command.CLOSE, CloseRequest(0, FILE_ID_ANY).encode(), related=True),
        )
        return OperationTemplate([step], numbers=files.SMALL_FILES)

    def create_delete(self, size: int) -> OperationTemplate:
        """A new file with `size` bytes in it, closed, opened again to be deleted."""
        access = AccessMask.GENERIC_READ | AccessMask.GENERIC_WRITE
        made = self._named(self.name_prefix, files.NEW_FILE_DIGITS, access, CreateDisposition.CREATE, 0)
        access = AccessMask.DELETE | AccessMask.FILE_READ_ATTRIBUTES
        options = CreateOptions.FILE_DELETE_ON_CLOSE | CreateOptions.FILE_NON_DIRECTORY_FILE
        deleted = self._named(self.name_prefix, files.NEW_FILE_DIGITS, access, CreateDisposition.OPEN, options)
        steps = [
            self._step(made), self._write_step(None, size), self._step(_close()), self._step(deleted),
            self._step(_close()),
        ]  # fmt: skip
        return OperationTemplate(steps, block_bytes=size, bytes_moved=size)

    def list(self) -> OperationTemplate:
        """A folder from its first entry to its last."""
        access = AccessMask.FILE_LIST_DIRECTORY | AccessMask.FILE_READ_ATTRIBUTES
        opened = self._named(files.LISTED, 0, access, CreateDisposition.OPEN, CreateOptions.FILE_DIRECTORY_FILE)
        query = QueryDirectoryRequest(FileInfoClass.ID_BOTH_DIRECTORY, FILE_ID_ANY, LISTING_BYTES, "*").encode()
        listing = Request(Command.QUERY_DIRECTORY, query, charge(LISTING_BYTES), fills_file_id=True)
        steps = [self._step(opened), self._step(listing), self._step(_close())]
        return OperationTemplate(steps, entries=files.LISTED_FILES + len(files.DOTS))

    def _open_one(self, access: int) -> Request:
        return self._named(files.SMALL_PREFIX, files.SMALL_DIGITS, access, CreateDisposition.OPEN, 0)

    def _named(self, prefix: str, digits: int, access: int, disposition: int, options: int) -> Request:
        """A CREATE of the file whose name is `prefix` and a number of so many digits."""
        body = CreateRequest(
            desired_access=access, share_access=SHARE_ALL, create_disposition=disposition, create_options=options,
            name=prefix + "0" * digits,
        )  # fmt: skip
        number_at = NAME_AT + len(prefix) * CHARACTER_BYTES
        return Request(Command.CREATE, body.encode(), number_at=number_at, digits=digits)

    def _write_step(self, file_id: FileId | None, size: int) -> StepTemplate:
        body = WriteRequest(0, file_id or FILE_ID_ANY, bytes(size)).encode_head()
        return self._step(
            Request(Command.WRITE, body, charge(size), fills_file_id=file_id is None, offset_at=WRITE_OFFSET_AT),
            payload=size,
        )

    def _step(self, *requests: Request, payload: int = 0) -> StepTemplate:
        data = b""
        messages = []
        for number, request in enumerate(requests, start=1):
            is_last = number == len(requests)
            padding = 0 if is_last else -(HEADER_SIZE + len(request.body)) % COMPOUND_ALIGNMENT
            length = HEADER_SIZE + len(request.body) + padding
            body_at = len(data) + HEADER_SIZE
            messages.append(
                MessageTemplate(
                    at=len(data),
                    length=length,
                    command=request.command,
                    charge=request.charge,
                    file_id_at=body_at + FILE_ID_AT[request.command] if request.fills_file_id else 0,
                    offset_at=body_at + request.offset_at if request.offset_at else 0,
                    number_at=body_at + request.number_at if request.digits else 0,
                    digits=request.digits,
                )
            )
            flags = HeaderFlags.SIGNED if self.signs else 0
            header = Header(
                credit_charge=request.charge, command=request.command, next_command=0 if is_last else length,
                flags=flags | (HeaderFlags.RELATED_OPERATIONS if request.related else 0),
                tree_id=self.tree_id, session_id=self.session_id,
            )  # fmt: skip
            data += header.encode() + request.body + bytes(padding)
        return StepTemplate(data, messages, payload)


def charge(size: int) -> int:
    """Credits that a request with so many bytes of payload costs, [MS-SMB2] 3.2.4.1.5."""
    return max(1, -(-size // CREDIT_BYTES))


def _close() -> Request:
    return Request(Command.CLOSE, CloseRequest(0, FILE_ID_ANY).encode(), fills_file_id=True)
