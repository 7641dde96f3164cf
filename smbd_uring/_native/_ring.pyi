from typing import Any

from smbd_uring._native._core import RingCore
from smbd_uring._native._operation import Operation

XATTR_BYTES: int

OP_FSYNC: int
OP_POLL_ADD: int
OP_ACCEPT: int
OP_FALLOCATE: int
OP_CLOSE: int
OP_STATX: int
OP_READ: int
OP_WRITE: int
OP_OPENAT2: int
OP_RENAMEAT: int
OP_UNLINKAT: int
OP_MKDIRAT: int
OP_LINKAT: int
OP_SETXATTR: int
OP_GETXATTR: int
OP_TRUNCATE: int
CQE_MORE: int

class Ring(RingCore):
    def accept(self, listener: int, context: Any) -> Operation: ...
    def poll(self, descriptor: int, context: Any) -> Operation: ...
    def read(self, descriptor: int, offset: int, length: int, context: Any) -> Operation: ...
    def write(
        self, descriptor: int, offset: int, data: memoryview, context: Any, personality: int = ...
    ) -> Operation: ...
    def synchronize(self, descriptor: int, data_only: bool, context: Any) -> Operation: ...
    def truncate(self, descriptor: int, size: int, context: Any) -> Operation: ...
    def allocate(self, descriptor: int, mode: int, offset: int, length: int, context: Any) -> Operation: ...
    def close_descriptor(self, descriptor: int, context: Any) -> Operation: ...
    def open(
        self,
        directory: int,
        path: bytes,
        flags: int,
        mode: int,
        resolve: int,
        context: Any,
        personality: int,
    ) -> Operation: ...
    def stat(self, directory: int, name: bytes, flags: int, context: Any, personality: int) -> Operation: ...
    def make_directory(
        self, directory: int, name: bytes, mode: int, context: Any, personality: int
    ) -> Operation: ...
    def unlink(
        self, directory: int, name: bytes, flags: int, context: Any, personality: int
    ) -> Operation: ...
    def rename(
        self,
        old_directory: int,
        old_name: bytes,
        new_directory: int,
        new_name: bytes,
        flags: int,
        context: Any,
        personality: int,
    ) -> Operation: ...
    def link(
        self,
        old_directory: int,
        old_name: bytes,
        new_directory: int,
        new_name: bytes,
        context: Any,
        personality: int,
    ) -> Operation: ...
    def get_xattr(self, path: bytes, name: bytes, context: Any, personality: int) -> Operation: ...
    def set_xattr(
        self, path: bytes, name: bytes, value: bytes, context: Any, personality: int
    ) -> Operation: ...
