"""The functions that `_crypto` has for other native code, called as they are.

Cython keeps a table of them in the module for those that cimport it: capsules with pointers, named by signature.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p

from smbd_uring._native import _crypto

SIGNATURE_BYTES = 16
TAG_BYTES = 16


class Iovec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", c_void_p), ("length", c_size_t))


def _function(name: str, result: type | None, *arguments: type) -> ctypes._FuncPointer:
    capsule = _crypto.__pyx_capi__[name]
    get_name = ctypes.pythonapi.PyCapsule_GetName
    get_name.restype, get_name.argtypes = c_char_p, [ctypes.py_object]
    get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
    get_pointer.restype, get_pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
    return ctypes.CFUNCTYPE(result, *arguments)(get_pointer(capsule, get_name(capsule)))


signing_key_new = _function("signing_key_new", c_void_p, c_int, c_char_p)
signing_key_free = _function("signing_key_free", None, c_void_p)
sign_message = _function(
    "sign_message", c_int, c_void_p, c_void_p, c_int, c_uint64, c_uint, c_void_p
)
verify_message = _function("verify_message", c_int, c_void_p, c_void_p, c_int, c_uint64, c_uint)
sealing_key_new = _function("sealing_key_new", c_void_p, c_int, c_char_p, c_int)
sealing_key_free = _function("sealing_key_free", None, c_void_p)
_SEALING = (c_void_p, c_char_p, c_char_p, c_size_t, c_void_p, c_int, c_void_p, c_void_p)
seal_message = _function("seal_message", c_int, *_SEALING)
open_message = _function("open_message", c_int, *_SEALING)


class Memory:
    """A writable copy of `data` with segments over it that end at `cuts`, and at its end."""

    def __init__(self, data: bytes, cuts: Sequence[int] = ()) -> None:
        self.buffer = (ctypes.c_char * max(len(data), 1)).from_buffer_copy(data or b"\0")
        self.length = len(data)
        self.address = ctypes.addressof(self.buffer)
        ends = [*sorted(cuts), len(data)]
        starts = [0, *ends[:-1]]
        self.count = len(ends)
        self.segments = (Iovec * self.count)(
            *(Iovec(self.address + start, end - start) for start, end in zip(starts, ends, strict=True))
        )

    def __bytes__(self) -> bytes:
        return self.buffer.raw[: self.length]
