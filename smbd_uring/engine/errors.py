"""How a request fails: the exception that carries an NTSTATUS, and the one table from errno to NTSTATUS.

Knows: statuses.  Must not know: which command failed.
"""

from __future__ import annotations

import errno
import logging

from smbd_uring.wire.ntstatus import NtStatus

log = logging.getLogger("smbd.engine")


class SmbError(Exception):
    """The request is answered with `status`; `data` goes into the error response ([MS-SMB2] 2.2.2)."""

    def __init__(self, status: NtStatus, data: bytes = b"") -> None:
        super().__init__(status.name)
        self.status = status
        self.data = data


STATUS_OF_ERRNO: dict[int, NtStatus] = {
    errno.EPERM: NtStatus.ACCESS_DENIED,
    errno.ENOENT: NtStatus.OBJECT_NAME_NOT_FOUND,
    errno.EIO: NtStatus.IO_DEVICE_ERROR,
    errno.ENXIO: NtStatus.NO_SUCH_DEVICE,
    errno.EBADF: NtStatus.INVALID_HANDLE,
    errno.EAGAIN: NtStatus.INSUFFICIENT_RESOURCES,
    errno.ENOMEM: NtStatus.NO_MEMORY,
    errno.EACCES: NtStatus.ACCESS_DENIED,
    errno.EBUSY: NtStatus.SHARING_VIOLATION,
    errno.EEXIST: NtStatus.OBJECT_NAME_COLLISION,
    errno.EXDEV: NtStatus.NOT_SAME_DEVICE,
    errno.ENODEV: NtStatus.NO_SUCH_DEVICE,
    errno.ENOTDIR: NtStatus.NOT_A_DIRECTORY,
    errno.EISDIR: NtStatus.FILE_IS_A_DIRECTORY,
    errno.EINVAL: NtStatus.INVALID_PARAMETER,
    errno.ENFILE: NtStatus.TOO_MANY_OPENED_FILES,
    errno.EMFILE: NtStatus.TOO_MANY_OPENED_FILES,
    errno.ETXTBSY: NtStatus.SHARING_VIOLATION,
    errno.EFBIG: NtStatus.DISK_FULL,
    errno.ENOSPC: NtStatus.DISK_FULL,
    errno.EROFS: NtStatus.MEDIA_WRITE_PROTECTED,
    errno.EMLINK: NtStatus.TOO_MANY_LINKS,
    errno.ENAMETOOLONG: NtStatus.OBJECT_NAME_INVALID,
    errno.ENOTEMPTY: NtStatus.DIRECTORY_NOT_EMPTY,
    errno.ELOOP: NtStatus.OBJECT_NAME_NOT_FOUND,
    errno.EOVERFLOW: NtStatus.INVALID_PARAMETER,
    errno.EOPNOTSUPP: NtStatus.NOT_SUPPORTED,
    errno.ENOSYS: NtStatus.NOT_SUPPORTED,
    errno.ENODATA: NtStatus.NOT_FOUND,
    errno.ERANGE: NtStatus.BUFFER_TOO_SMALL,
    errno.EDQUOT: NtStatus.DISK_FULL,
    errno.ESTALE: NtStatus.INVALID_HANDLE,
    errno.ETIMEDOUT: NtStatus.IO_TIMEOUT,
    errno.ECANCELED: NtStatus.CANCELLED,
    errno.EILSEQ: NtStatus.OBJECT_NAME_INVALID,
}
"""What a failed file-system call means to a client, where the command has no better word for it."""

_reported: set[int] = set()


def status_of(error: OSError, operation: str) -> NtStatus:
    """The NTSTATUS for `error`; an errno that the table does not know is reported once, with the operation's name."""
    number = error.errno or 0
    status = STATUS_OF_ERRNO.get(number)
    if status is not None:
        return status
    if number not in _reported:
        _reported.add(number)
        log.warning("%s failed with errno %s (%s), answered as UNSUCCESSFUL", operation, number, error.strerror)
    return NtStatus.UNSUCCESSFUL
