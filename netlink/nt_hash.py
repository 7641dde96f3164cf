"""The NT hash of a password: MD4 over its UTF-16LE bytes ([MS-NLMP] 3.3.1).

Knows: MD4 ([RFC1320]), which neither OpenSSL 3 nor `cryptography` offers any more.  Must not know: accounts.
MD4 is broken as a hash and used here for nothing but the format that SMB prescribes.
"""

from __future__ import annotations

import hashlib
import struct

BLOCK_BYTES = 64
_MASK = 0xFFFF_FFFF
_START = (0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476)
_ORDER_2 = (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
_ORDER_3 = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)
_SHIFTS = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))
_CONSTANT_2 = 0x5A82_7999
_CONSTANT_3 = 0x6ED9_EBA1


def nt_hash(password: str) -> bytes:
    """The 16 bytes that stand for a password in ksmbdpwd.db."""
    return md4(password.encode("utf-16-le"))


def md4(data: bytes) -> bytes:
    """MD4 of `data`, 16 bytes: OpenSSL's where it still has it, else our own."""
    try:
        return hashlib.new("md4", data, usedforsecurity=False).digest()
    except ValueError:
        return md4_in_python(data)


def md4_in_python(data: bytes) -> bytes:
    """[RFC1320] 3, straight down."""
    padded = data + b"\x80" + bytes((55 - len(data)) % BLOCK_BYTES) + struct.pack("<Q", 8 * len(data))
    state = _START
    for position in range(0, len(padded), BLOCK_BYTES):
        words = struct.unpack_from("<16I", padded, position)
        state = _compress(state, words)
    return struct.pack("<4I", *state)


def _rotate(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> (32 - bits)) & _MASK


def _compress(state: tuple[int, ...], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for step in range(48):
        number, position = divmod(step, 16)
        if number == 0:
            mixed = (b & c) | (~b & d)
            word = words[position]
        elif number == 1:
            mixed = (b & c) | (b & d) | (c & d)
            word = words[_ORDER_2[position]] + _CONSTANT_2
        else:
            mixed = b ^ c ^ d
            word = words[_ORDER_3[position]] + _CONSTANT_3
        a, b, c, d = d, _rotate(a + mixed + word, _SHIFTS[number][position % 4]), b, c
    first, second, third, fourth = state
    return (first + a) & _MASK, (second + b) & _MASK, (third + c) & _MASK, (fourth + d) & _MASK
