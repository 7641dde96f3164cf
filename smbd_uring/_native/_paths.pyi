from smbd_uring._native import StatFields
from smbd_uring._native._values import ValueCache

def look_up(
    directory: int,
    path: bytes,
    flags: int,
    resolve: int,
    xattr: bytes,
    cache: ValueCache | None = None,
    identity: int = 0,
) -> tuple[int, StatFields, bytes | None]: ...
def visit(directory: int, path: bytes, flags: int, resolve: int, mode: int) -> StatFields: ...
def create_file(
    directory: int, path: bytes, flags: int, mode: int, resolve: int, xattr: bytes, value: bytes
) -> tuple[int, StatFields | None, int]: ...
def describe(
    descriptor: int, xattr: bytes, cache: ValueCache | None = None, identity: int = 0
) -> tuple[StatFields, bytes | None]: ...
def describe_at(
    directory: int, path: bytes, resolve: int, xattr: bytes, cache: ValueCache | None = None, identity: int = 0
) -> tuple[StatFields, bytes | None]: ...
def stat(directory: int, name: bytes, flags: int) -> StatFields: ...
def open_at(directory: int, path: bytes, flags: int, mode: int, resolve: int) -> int: ...
def reopen(descriptor: int, flags: int) -> int: ...
def check_access(descriptor: int, mode: int) -> None: ...
def close_small(descriptor: int, bytes_max: int) -> bool: ...
def remove(
    directory: int,
    path: bytes,
    resolve: int,
    name: bytes,
    device: int,
    inode: int,
    is_directory: bool,
    bytes_max: int,
) -> bool: ...
