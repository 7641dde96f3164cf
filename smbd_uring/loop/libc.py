"""The system calls that Python's `os` lacks, as functions that raise OSError.

Knows: the C library's names, the kernel's structures and their layouts.  Must not know: effects, identities,
why anybody calls.  ctypes releases the GIL while a call is in the kernel.

Callers guarantee that names hold no NUL byte (see `arguments`); ctypes would cut them there.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from typing import Any, Final

from smbd_uring.ports import DirectoryEntry, FileStatus, VolumeStatus

AT_FDCWD: Final = -100
AT_SYMLINK_NOFOLLOW: Final = 0x100
AT_EACCESS: Final = 0x200
AT_NO_AUTOMOUNT: Final = 0x800
AT_EMPTY_PATH: Final = 0x1000
AT_STATX_DONT_SYNC: Final = 0x4000
UNASKED: Final = AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC
"""For statx of a name that may be a mount point of another machine's files: it must not ask that machine."""

STATX_WANTED: Final = 0x7FF | 0x800
"""STATX_BASIC_STATS and STATX_BTIME."""
_STATX_BTIME: Final = 0x800

SYS_OPENAT2: Final = 437
SYS_FACCESSAT2: Final = 439
"""System calls added since 2019 have the same number on every architecture this runs on."""

UTIME_OMIT: Final = (1 << 30) - 2
DIRECTORY_BUFFER_BYTES: Final = 64 * 1024
"""One getdents64 call returns about 2,000 entries with short names in this."""

_library = ctypes.CDLL(None, use_errno=True)
_WORD_BITS: Final = 8 * ctypes.sizeof(ctypes.c_void_p)

# include/uapi/linux/stat.h: struct statx, up to stx_dev_minor; four timestamps are (sec, nsec, padding).
_STATX = struct.Struct("=IIQIIIH2xQQQQqI4xqI4xqI4xqI4xIIII")
STATX_BYTES: Final = 256
assert _STATX.size <= STATX_BYTES

_DIRENT_HEADER = struct.Struct("=QqHB")

# struct flock with 64-bit offsets: type, whence, start, length, process.
_FLOCK = struct.Struct("@hhqqi0q")
_F_OFD_GETLK: Final = 36
_F_OFD_SETLK: Final = 37
_WHOLE_FILE_END: Final = 1 << 63


class _StatFs(ctypes.Structure):
    """struct statfs64 of the C library; fields of `word` size are longs."""

    _fields_ = (
        ("type", ctypes.c_long),
        ("bsize", ctypes.c_long),
        ("blocks", ctypes.c_uint64),
        ("bfree", ctypes.c_uint64),
        ("bavail", ctypes.c_uint64),
        ("files", ctypes.c_uint64),
        ("ffree", ctypes.c_uint64),
        ("fsid", ctypes.c_uint32 * 2),
        ("namelen", ctypes.c_long),
        ("frsize", ctypes.c_long),
        ("flags", ctypes.c_long),
        ("spare", ctypes.c_long * 4),
    )


def _function(name: str, *argument_types: Any) -> Any:
    function = getattr(_library, name)
    function.argtypes = argument_types
    function.restype = ctypes.c_long if name == "syscall" else ctypes.c_int
    return function


_statx = _function("statx", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)
_fstatfs = _function("fstatfs64", ctypes.c_int, ctypes.c_void_p)
_fallocate = _function("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_renameat2 = _function(
    "renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
# 32-bit C libraries keep the call with 64-bit times under its own name.
_utimensat = _function(
    "utimensat" if _WORD_BITS == 64 else "__utimensat64",
    ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int,
)  # fmt: skip
_getdents64 = getattr(_library, "getdents64")  # noqa: B009 - the attribute is made by the lookup
_getdents64.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_getdents64.restype = ctypes.c_ssize_t
_syscall = _library.syscall
_syscall.restype = ctypes.c_long


def checked(result: int) -> int:
    """`result` of a C call; raises OSError with the thread's errno when it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def raw_syscall(number: int, *arguments: Any) -> int:
    """The bare system call in the calling thread only; integers must be ctypes values where 32 bits matter.
    Raises OSError."""
    return checked(_syscall(ctypes.c_long(number), *arguments))


def openat2(directory: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    """A new descriptor, as openat2(2).  Raises OSError."""
    how = struct.pack("=QQQ", flags, mode, resolve)
    return raw_syscall(
        SYS_OPENAT2, ctypes.c_int(directory), ctypes.c_char_p(path), ctypes.c_char_p(how), ctypes.c_size_t(24)
    )


def faccessat2(directory: int, mode: int) -> None:
    """Ask the kernel whether the thread's effective identity has `mode` (R_OK|W_OK|X_OK).  Raises OSError."""
    raw_syscall(
        SYS_FACCESSAT2,
        ctypes.c_int(directory),
        ctypes.c_char_p(b""),
        ctypes.c_int(mode),
        ctypes.c_int(AT_EMPTY_PATH | AT_EACCESS),
    )


def decode_statx(buffer: bytes | bytearray | memoryview) -> FileStatus:
    """FileStatus from the 256 bytes that statx(2) fills."""
    (
        mask, _block_size, _attributes, link_count, uid, gid, mode, inode, size, blocks, _attributes_mask,
        accessed_s, accessed_n, born_s, born_n, changed_s, changed_n, modified_s, modified_n,
        _rdev_major, _rdev_minor, dev_major, dev_minor,
    ) = _STATX.unpack_from(buffer)  # fmt: skip
    return FileStatus(
        device=os.makedev(dev_major, dev_minor),
        inode=inode,
        mode=mode,
        link_count=link_count,
        uid=uid,
        gid=gid,
        size=size,
        allocated=blocks * 512,
        accessed_ns=accessed_s * 1_000_000_000 + accessed_n,
        modified_ns=modified_s * 1_000_000_000 + modified_n,
        changed_ns=changed_s * 1_000_000_000 + changed_n,
        born_ns=born_s * 1_000_000_000 + born_n if mask & _STATX_BTIME else None,
    )


def statx(directory: int, name: bytes, flags: int = 0) -> FileStatus:
    """statx of `name` in `directory`, of `directory` itself when the name is empty.  No symlink is followed;
    `flags` are more AT_* flags.  Raises OSError."""
    buffer = ctypes.create_string_buffer(STATX_BYTES)
    checked(_statx(directory, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | flags, STATX_WANTED, buffer))
    return decode_statx(buffer.raw)


def fstatfs(descriptor: int) -> VolumeStatus:
    """What statfs tells of the file system behind a descriptor.  Raises OSError."""
    status = _StatFs()
    checked(_fstatfs(descriptor, ctypes.byref(status)))
    word_mask = (1 << 32) - 1
    return VolumeStatus(
        block_size=status.frsize or status.bsize,
        total_blocks=status.blocks,
        free_blocks=status.bfree,
        available_blocks=status.bavail,
        total_files=status.files,
        free_files=status.ffree,
        name_length_max=status.namelen,
        file_system_type=status.type & word_mask,
        file_system_id=status.fsid[0] | status.fsid[1] << 32,
    )


def fallocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2).  Raises OSError."""
    checked(_fallocate(descriptor, mode, offset, length))


def renameat2(old_directory: int, old_name: bytes, new_directory: int, new_name: bytes, flags: int) -> None:
    """renameat2(2).  Raises OSError."""
    checked(_renameat2(old_directory, old_name, new_directory, new_name, flags))


def set_times(path: bytes, accessed_ns: int | None, modified_ns: int | None) -> None:
    """utimensat(2) on an absolute path; None leaves that time alone.  Raises OSError."""
    words = (ctypes.c_int64 * 4)()
    for index, value in enumerate((accessed_ns, modified_ns)):
        seconds, rest = (0, UTIME_OMIT) if value is None else divmod(value, 1_000_000_000)
        words[2 * index], words[2 * index + 1] = seconds, rest
    checked(_utimensat(AT_FDCWD, path, words, 0))


def read_directory(descriptor: int, names_max: int) -> list[DirectoryEntry] | None:
    """All entries from the descriptor's position on but "." and ".."; it must belong to the caller alone,
    because the position is shared by every holder of an open file.  None when there are more than
    `names_max`, about which it gives up after one buffer too many.  Raises OSError."""
    buffer = ctypes.create_string_buffer(DIRECTORY_BUFFER_BYTES)
    view = memoryview(buffer)
    entries: list[DirectoryEntry] = []
    while (count := checked(_getdents64(descriptor, buffer, DIRECTORY_BUFFER_BYTES))) > 0:
        records = bytes(view[:count])
        position = 0
        while position < count:
            inode, _offset, record_length, kind = _DIRENT_HEADER.unpack_from(records, position)
            start = position + _DIRENT_HEADER.size
            name = records[start : records.index(0, start)]
            if name not in (b".", b".."):
                entries.append(DirectoryEntry(name, inode, kind))
            position += record_length
        if len(entries) > names_max:
            return None
    return entries


def set_range_lock(descriptor: int, offset: int, length: int, lock_type: int) -> bool:
    """F_OFD_SETLK with F_RDLCK, F_WRLCK or F_UNLCK; False when somebody else's lock is in the way."""
    try:
        fcntl.fcntl(descriptor, _F_OFD_SETLK, _flock(offset, length, lock_type))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def is_range_locked(descriptor: int, offset: int, length: int, lock_type: int) -> bool:
    """F_OFD_GETLK: whether somebody else's lock is in the way of F_RDLCK or F_WRLCK."""
    answer = fcntl.fcntl(descriptor, _F_OFD_GETLK, _flock(offset, length, lock_type))
    found: int = _FLOCK.unpack(answer)[0]
    return found != fcntl.F_UNLCK


def _flock(offset: int, length: int, lock_type: int) -> bytes:
    # A length of 0 reaches to the end of all files, however they grow.
    return _FLOCK.pack(lock_type, os.SEEK_SET, offset, 0 if offset + length == _WHOLE_FILE_END else length, 0)
