"""The test client's requests on files and folders.

Knows: bodies of [MS-SMB2] 2.2.13 to 2.2.40.  Must not know: sessions, how bytes travel, any server's insides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Unpack

from smbd_uring.wire.const import (
    AccessMask,
    CloseFlags,
    Command,
    CreateDisposition,
    FileInfoClass,
    FsctlCode,
    HeaderFlags,
    InfoType,
    ShareAccess,
)
from smbd_uring.wire.create import CloseRequest, CreateRequest, CreateResponse
from smbd_uring.wire.data import (
    CancelRequest,
    EchoRequest,
    FlushRequest,
    IoctlRequest,
    LockElement,
    LockRequest,
    ReadRequest,
    ReadResponse,
    WriteRequest,
    WriteResponse,
)
from smbd_uring.wire.fscc import DirectoryInformation, decode_directory_listing
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId
from smbd_uring.wire.query import (
    ChangeNotifyRequest,
    QueryDirectoryRequest,
    QueryDirectoryResponse,
    QueryInfoRequest,
    SetInfoRequest,
)
from tests.support.client import CREDITS_ASKED, CommonOptions, MessageOptions, SessionClient, message
from tests.support.client_messages import Message, Reply

SHARE_ALL = ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE
CREDIT_BYTES = 65536
INFO_BYTES = 65536


class Encodable(Protocol):
    """A structure of `smbd_uring.wire`."""

    def encode(self) -> bytes:
        """Its bytes."""


class Messages:
    """Requests as values, for compounds and for spoiling; `ANY` stands for the file of the request before."""

    ANY = FILE_ID_ANY

    @staticmethod
    def create(
        name: str,
        access: int = AccessMask.FILE_ALL_ACCESS,
        *,
        disposition: int = CreateDisposition.OPEN,
        options: int = 0,
        share: int = SHARE_ALL,
        attributes: int = 0,
        contexts: Sequence[tuple[bytes, bytes]] = (),
        oplock: int = 0,
    ) -> Message:
        """CREATE."""
        body = CreateRequest(
            requested_oplock_level=oplock, desired_access=access, file_attributes=attributes, share_access=share,
            create_disposition=disposition, create_options=options, name=name, contexts=contexts,
        )  # fmt: skip
        return Message(Command.CREATE, body.encode(), credits=CREDITS_ASKED)

    @staticmethod
    def close(file_id: FileId = FILE_ID_ANY, flags: int = 0) -> Message:
        """CLOSE."""
        return Message(Command.CLOSE, CloseRequest(flags, file_id).encode(), credits=CREDITS_ASKED)

    @staticmethod
    def read(file_id: FileId, offset: int, length: int, minimum_count: int = 0) -> Message:
        """READ."""
        body = ReadRequest(length, offset, file_id, minimum_count).encode()
        return Message(Command.READ, body, credit_charge=charge(length), credits=CREDITS_ASKED)

    @staticmethod
    def write(file_id: FileId, offset: int, data: bytes, flags: int = 0) -> Message:
        """WRITE."""
        body = WriteRequest(offset, file_id, data, flags).encode()
        return Message(Command.WRITE, body, credit_charge=charge(len(data)), credits=CREDITS_ASKED)

    @staticmethod
    def query_info(
        file_id: FileId, info_class: int, info_type: int = InfoType.FILE, size: int = INFO_BYTES
    ) -> Message:
        """QUERY_INFO."""
        body = QueryInfoRequest(info_type, info_class, file_id, size).encode()
        return Message(Command.QUERY_INFO, body, credit_charge=charge(size), credits=CREDITS_ASKED)

    @staticmethod
    def set_info(file_id: FileId, info_class: int, information: Encodable | bytes) -> Message:
        """SET_INFO of a file."""
        buffer = information if isinstance(information, bytes) else information.encode()
        body = SetInfoRequest(InfoType.FILE, info_class, file_id, buffer).encode()
        return Message(Command.SET_INFO, body, credits=CREDITS_ASKED)

    @staticmethod
    def query_directory(
        file_id: FileId, pattern: str = "*", info_class: int = FileInfoClass.ID_BOTH_DIRECTORY, *,
        flags: int = 0, size: int = INFO_BYTES,
    ) -> Message:  # fmt: skip
        """QUERY_DIRECTORY."""
        body = QueryDirectoryRequest(info_class, file_id, size, pattern, flags).encode()
        return Message(Command.QUERY_DIRECTORY, body, credit_charge=charge(size), credits=CREDITS_ASKED)

    @staticmethod
    def change_notify(
        file_id: FileId, *, size: int = INFO_BYTES, tree: bool = False, completion_filter: int = 0xFFF
    ) -> Message:
        """CHANGE_NOTIFY."""
        body = ChangeNotifyRequest(int(tree), size, file_id, completion_filter).encode()
        return Message(Command.CHANGE_NOTIFY, body, credit_charge=charge(size), credits=CREDITS_ASKED)

    @staticmethod
    def lock(file_id: FileId, *elements: tuple[int, int, int], sequence: int = 0) -> Message:
        """LOCK of ranges: (offset, length, flags) each."""
        body = LockRequest(file_id, [LockElement(*element) for element in elements], sequence).encode()
        return Message(Command.LOCK, body, credits=CREDITS_ASKED)

    @staticmethod
    def echo() -> Message:
        """ECHO."""
        return Message(Command.ECHO, EchoRequest().encode(), credits=CREDITS_ASKED)


def charge(payload_bytes: int) -> int:
    """Credits a payload costs."""
    return max(1, -(-payload_bytes // CREDIT_BYTES))


class FileClient(SessionClient):
    """Every request on files, one method each; and a few errands made of several."""

    def ask_with(self, built: Message, options: MessageOptions) -> Reply:
        """Ask what was built, with the header's fields that a test wants otherwise."""
        for name, value in options.items():
            setattr(built, name, value)
        return self.ask(built)

    def create(
        self, name: str, access: int = AccessMask.FILE_ALL_ACCESS, *, disposition: int = CreateDisposition.OPEN,
        options: int = 0, share: int = SHARE_ALL, attributes: int = 0,
        contexts: Sequence[tuple[bytes, bytes]] = (),
    ) -> Reply:  # fmt: skip
        """CREATE."""
        return self.ask(
            Messages.create(
                name, access, disposition=disposition, options=options, share=share, attributes=attributes,
                contexts=contexts,
            )
        )

    def open(
        self, name: str, access: int = AccessMask.FILE_ALL_ACCESS, *, disposition: int = CreateDisposition.OPEN,
        options: int = 0, share: int = SHARE_ALL, attributes: int = 0,
    ) -> FileId:  # fmt: skip
        """CREATE that must succeed.  Result: the FileId."""
        reply = self.create(
            name, access, disposition=disposition, options=options, share=share, attributes=attributes
        )
        return reply.expect(CreateResponse).file_id

    def close(self, file_id: FileId, *, attributes: bool = False, **options: Unpack[MessageOptions]) -> Reply:
        """CLOSE."""
        return self.ask_with(Messages.close(file_id, CloseFlags.POSTQUERY_ATTRIB if attributes else 0), options)

    def read(
        self, file_id: FileId, offset: int = 0, length: int = CREDIT_BYTES, *, minimum_count: int = 0,
        **options: Unpack[MessageOptions],
    ) -> Reply:  # fmt: skip
        """READ."""
        return self.ask_with(Messages.read(file_id, offset, length, minimum_count), options)

    def write(
        self, file_id: FileId, data: bytes, offset: int = 0, *, write_flags: int = 0,
        **options: Unpack[MessageOptions],
    ) -> Reply:  # fmt: skip
        """WRITE."""
        return self.ask_with(Messages.write(file_id, offset, data, write_flags), options)

    def flush(self, file_id: FileId, **options: Unpack[MessageOptions]) -> Reply:
        """FLUSH."""
        return self.ask(message(Command.FLUSH, FlushRequest(file_id).encode(), options))

    def lock(self, file_id: FileId, offset: int, length: int, lock_flags: int, sequence: int = 0) -> Reply:
        """LOCK of one range."""
        return self.ask(Messages.lock(file_id, (offset, length, lock_flags), sequence=sequence))

    def query_info(
        self, file_id: FileId, info_class: int, info_type: int = InfoType.FILE, *, size: int = INFO_BYTES,
        **options: Unpack[MessageOptions],
    ) -> Reply:  # fmt: skip
        """QUERY_INFO."""
        return self.ask_with(Messages.query_info(file_id, info_class, info_type, size), options)

    def set_info(
        self, file_id: FileId, info_class: int, information: Encodable | bytes, **options: Unpack[MessageOptions]
    ) -> Reply:
        """SET_INFO of a file."""
        return self.ask_with(Messages.set_info(file_id, info_class, information), options)

    def query_directory(
        self, file_id: FileId, pattern: str = "*", info_class: int = FileInfoClass.ID_BOTH_DIRECTORY, *,
        query_flags: int = 0, size: int = INFO_BYTES, **options: Unpack[MessageOptions],
    ) -> Reply:  # fmt: skip
        """QUERY_DIRECTORY."""
        built = Messages.query_directory(file_id, pattern, info_class, flags=query_flags, size=size)
        return self.ask_with(built, options)

    def listing(
        self, file_id: FileId, pattern: str = "*", info_class: int = FileInfoClass.ID_BOTH_DIRECTORY, *,
        size: int = INFO_BYTES,
    ) -> list[DirectoryInformation]:  # fmt: skip
        """All that is left to list, in as many requests as it takes."""
        found: list[DirectoryInformation] = []
        while True:
            reply = self.query_directory(file_id, pattern, info_class, size=size)
            if reply.status in (NtStatus.NO_MORE_FILES, NtStatus.NO_SUCH_FILE):
                return found
            buffer = reply.expect(QueryDirectoryResponse).buffer
            assert len(buffer) <= size
            found += decode_directory_listing(info_class, buffer)

    def echo(self, **options: Unpack[MessageOptions]) -> Reply:
        """ECHO."""
        return self.ask_with(Messages.echo(), options)

    def ioctl(
        self, ctl_code: int, input_buffer: bytes = b"", *, file_id: FileId = FILE_ID_ANY, max_output: int = 4096,
        **options: Unpack[MessageOptions],
    ) -> Reply:  # fmt: skip
        """IOCTL with a file-system control code."""
        body = IoctlRequest(ctl_code, file_id, input_buffer, 0, max_output).encode()
        return self.ask(message(Command.IOCTL, body, options))

    def validate_negotiate_info(self, input_buffer: bytes, *, max_output: int = 24) -> Reply:
        """FSCTL_VALIDATE_NEGOTIATE_INFO, signed as [MS-SMB2] 3.2.5.5 wants it."""
        return self.ioctl(FsctlCode.VALIDATE_NEGOTIATE_INFO, input_buffer, max_output=max_output, sign=True)

    def cancel(self, message_id: int = 0, *, async_id: int = 0, **options: Unpack[CommonOptions]) -> None:
        """CANCEL, by AsyncId when one is given; it has no answer."""
        built = message(Command.CANCEL, CancelRequest().encode(), options)
        built.message_id = message_id
        if async_id:
            built.flags |= HeaderFlags.ASYNC_COMMAND
            built.async_id = async_id
        self.send(built)

    # --- errands ---

    def put(self, name: str, data: bytes = b"") -> None:
        """Make or replace a file with `data` in it."""
        file_id = self.open(name, disposition=CreateDisposition.OVERWRITE_IF)
        for start in range(0, len(data), CREDIT_BYTES):
            part = data[start : start + CREDIT_BYTES]
            assert self.write(file_id, part, start).expect(WriteResponse).count == len(part)
        assert self.close(file_id).status == NtStatus.SUCCESS

    def get(self, name: str) -> bytes:
        """All of a file."""
        file_id = self.open(name, AccessMask.GENERIC_READ)
        data = bytearray()
        while (reply := self.read(file_id, len(data))).status != NtStatus.END_OF_FILE:
            data += reply.expect(ReadResponse).data
        assert self.close(file_id).status == NtStatus.SUCCESS
        return bytes(data)
