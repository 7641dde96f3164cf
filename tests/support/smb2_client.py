"""A thin SMB2 client for tests, over smbprotocol's low level: one request a call, raw statuses.

Knows: smbprotocol.  Must not know: which server answers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from smbprotocol.connection import Connection, Dialects
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.file_info import (
    FileBothDirectoryInformation,
    FileDispositionInformation,
    FileEndOfFileInformation,
    FileInformationClass,
    FileRenameInformation,
)
from smbprotocol.header import NtStatus
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2CloseRequest,
    SMB2QueryInfoRequest,
    SMB2QueryInfoResponse,
    SMB2SetInfoRequest,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.support.endpoint import Account, Endpoint

DIALECTS = {
    "2.0.2": Dialects.SMB_2_0_2,
    "2.1": Dialects.SMB_2_1_0,
    "3.0": Dialects.SMB_3_0_0,
    "3.0.2": Dialects.SMB_3_0_2,
    "3.1.1": Dialects.SMB_3_1_1,
}
STATUS_NAMES: dict[int, str] = {
    value: name for name, value in vars(NtStatus).items() if name.startswith("STATUS_")
}
STATUS_NAMES |= {0xC000007F: "STATUS_DISK_FULL", 0xC0000106: "STATUS_NAME_TOO_LONG",
                 0xC00000CC: "STATUS_BAD_NETWORK_NAME", 0xC00000CA: "STATUS_NETWORK_ACCESS_DENIED"}
SUCCESS = "STATUS_SUCCESS"

ACCESS_READ = FilePipePrinterAccessMask.GENERIC_READ
ACCESS_WRITE = FilePipePrinterAccessMask.GENERIC_WRITE
ACCESS_DELETE = FilePipePrinterAccessMask.DELETE
SHARE_NOTHING = 0
SHARE_ALL = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE | ShareAccess.FILE_SHARE_DELETE
WRITE_ONCE_BYTES = 65536
"""One request without multi-credit, which 2.0.2 does not have."""


def status_name(status: int) -> str:
    """The specification's name of an NT status, or its number where smbprotocol does not know it."""
    return STATUS_NAMES.get(status, f"0x{status:08X}")


def status_of(action: Callable[[], object]) -> str:
    """Name of the status the server answers to what `action` sends (SUCCESS when it raises nothing)."""
    try:
        action()
    except SMBResponseException as error:
        return status_name(error.status)
    return SUCCESS


class Client:
    """One connection with one session and one tree; a context manager that logs off and disconnects."""

    def __init__(
        self,
        endpoint: Endpoint,
        share: str = "data",
        *,
        account: Account | None = None,
        dialect: str | None = None,
        encrypt: bool = False,
        ciphers: Sequence[int] | None = None,
        signing_algorithms: Sequence[int] | None = None,
    ) -> None:
        """Connect, log on as `account` (the endpoint's own by default) and connect to `share`.

        `ciphers` and `signing_algorithms` are the ids to offer, all that smbprotocol knows by default.
        Raises SMBResponseException with the server's status when it refuses.
        """
        account = account or endpoint.account
        self.connection = Connection(uuid.uuid4(), endpoint.host, endpoint.port)
        self.connection.connect(
            DIALECTS[dialect] if dialect else None, timeout=20,
            preferred_encryption_algos=ciphers, preferred_signing_algos=signing_algorithms,
        )
        try:
            # NTLM by name: with "negotiate" smbprotocol looks for a Kerberos library first.
            self.session = Session(
                self.connection, account.name, account.password,
                require_encryption=encrypt, auth_protocol="ntlm",
            )
            self.session.connect()
            self.tree = TreeConnect(self.session, rf"\\{endpoint.host}\{share}")
            self.tree.connect()
        except BaseException:
            self.connection.disconnect(False)
            raise

    def close(self) -> None:
        """Log off and disconnect."""
        self.connection.disconnect(True, timeout=20)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After a failure the connection may be gone; the test's own error is what matters then.
        self.connection.disconnect(kind is None, timeout=20)

    def open(
        self,
        path: str,
        access: int = ACCESS_READ,
        *,
        disposition: int = CreateDisposition.FILE_OPEN,
        options: int = 0,
        share: int = SHARE_ALL,
    ) -> Any:
        """CREATE; `path` is below the share with backslashes.  Result: smbprotocol's Open."""
        opened = Open(self.tree, path)
        opened.create(
            ImpersonationLevel.Impersonation, access, FileAttributes.FILE_ATTRIBUTE_NORMAL, share,
            disposition, options,
        )
        return opened

    def open_and_close(
        self, path: str, access: int = ACCESS_READ, *, disposition: int = CreateDisposition.FILE_OPEN,
        options: int = 0, share: int = SHARE_ALL,
    ) -> None:
        """As `open`, and close again."""
        self.open(path, access, disposition=disposition, options=options, share=share).close()

    def create(self, path: str, data: bytes = b"", *, options: int = 0) -> None:
        """Make a new file with `data` in it."""
        opened = self.open(
            path, ACCESS_READ | ACCESS_WRITE, disposition=CreateDisposition.FILE_CREATE,
            options=options | CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        try:
            for start in range(0, len(data), WRITE_ONCE_BYTES):
                opened.write(data[start : start + WRITE_ONCE_BYTES], start)
        finally:
            opened.close()

    def read(self, path: str) -> bytes:
        """All of a file."""
        opened = self.open(path, options=CreateOptions.FILE_NON_DIRECTORY_FILE)
        try:
            data = bytearray()
            while len(data) < opened.end_of_file:
                data += opened.read(len(data), min(WRITE_ONCE_BYTES, opened.end_of_file - len(data)))
            return bytes(data)
        finally:
            opened.close()

    def mkdir(self, path: str) -> None:
        """Make a new folder."""
        self.open(
            path, disposition=CreateDisposition.FILE_CREATE, options=CreateOptions.FILE_DIRECTORY_FILE
        ).close()

    def listing(self, path: str, pattern: str = "*") -> dict[str, int]:
        """A folder's entries without "." and "..": name and size in bytes."""
        opened = self.open(path, options=CreateOptions.FILE_DIRECTORY_FILE)
        found: dict[str, int] = {}
        try:
            while True:
                try:
                    entries = opened.query_directory(
                        pattern, FileInformationClass.FILE_BOTH_DIRECTORY_INFORMATION
                    )
                except SMBResponseException as error:
                    if error.status in (NtStatus.STATUS_NO_MORE_FILES, NtStatus.STATUS_NO_SUCH_FILE):
                        return found
                    raise
                found |= dict(map(_name_and_size, entries))
        finally:
            opened.close()
            found.pop(".", None)
            found.pop("..", None)

    def delete(self, path: str, *, options: int = 0) -> None:
        """Open a file or folder, mark it for deletion and close it."""
        opened = self.open(path, ACCESS_DELETE, options=options)
        try:
            self.mark_for_deletion(opened)
        finally:
            opened.close()

    def mark_for_deletion(self, opened: Any) -> None:
        """Have an open file or folder deleted when the last handle closes."""
        disposition = FileDispositionInformation()
        disposition["delete_pending"] = True
        self.set_info(opened, disposition)

    def close_without_noting(self, opened: Any) -> None:
        """CLOSE on the wire; smbprotocol goes on thinking that the handle is open."""
        request = SMB2CloseRequest()
        request["file_id"] = opened.file_id
        sent = self.connection.send(request, self.session.session_id, self.tree.tree_connect_id)
        self.connection.receive(sent)

    def rename(self, path: str, new_path: str, *, replace: bool = False) -> None:
        """Give a file or folder another path below the share."""
        opened = self.open(path, ACCESS_DELETE)
        try:
            rename = FileRenameInformation()
            rename["replace_if_exists"] = replace
            rename["file_name"] = new_path
            self.set_info(opened, rename)
        finally:
            opened.close()

    def truncate(self, path: str, size: int) -> None:
        """Set a file's end, in bytes."""
        opened = self.open(path, ACCESS_WRITE)
        try:
            end = FileEndOfFileInformation()
            end["end_of_file"] = size
            self.set_info(opened, end)
        finally:
            opened.close()

    def query_info(self, opened: Any, info_type: int, info_class: int, size_max: int = 65536) -> bytes:
        """QUERY_INFO of any class.  Result: the information as it came, at most `size_max` bytes."""
        request = SMB2QueryInfoRequest()
        request["info_type"] = info_type
        request["file_info_class"] = info_class
        request["output_buffer_length"] = size_max
        request["file_id"] = opened.file_id
        sent = self.connection.send(request, self.session.session_id, self.tree.tree_connect_id)
        response = SMB2QueryInfoResponse()
        response.unpack(self.connection.receive(sent)["data"].get_value())
        buffer: bytes = response["buffer"].get_value()
        return buffer

    def set_info(self, opened: Any, information: Any) -> None:
        """SET_INFO of a file information class."""
        request = SMB2SetInfoRequest()
        request["info_type"] = information.INFO_TYPE
        request["file_info_class"] = information.INFO_CLASS
        request["file_id"] = opened.file_id
        request["buffer"] = information
        sent = self.connection.send(request, self.session.session_id, self.tree.tree_connect_id)
        self.connection.receive(sent)


def _name_and_size(entry: FileBothDirectoryInformation) -> tuple[str, int]:
    name = entry["file_name"].get_value().decode("utf-16-le")
    return name, entry["end_of_file"].get_value()
