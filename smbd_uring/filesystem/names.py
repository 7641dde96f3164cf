"""Names: which the kernel can hold, which a client can be told, which a share hides, and which are the same.

Knows: Unicode, and what SMB and the kernel allow in a name.  Must not know: files.
"""

from __future__ import annotations

import errno
import os
import re
from functools import lru_cache
from typing import Final

from smbd_uring.limits import NAME_BYTES_MAX

_NOT_A_COMPONENT: Final = ("", ".", "..")
_forbidden_to_clients = re.compile(r'[\x00-\x1f"*/:<>?\\|]').search
"""[MS-FSCC] 2.1.5: a name with one of these cannot be sent by a client, and most refuse to see it."""

_has_surrogates = re.compile("[\ud800-\udfff]").search
"""What is no UTF-8 on disk."""

OWN_PREFIX: Final = ".smbd-uring-"
"""Names that this server makes for a moment."""

_FOLDED_NAMES_CACHED: Final = 16384


def encode_component(name: str) -> bytes:
    """One path component as the kernel has it, in UTF-8.

    Raises OSError: ENAMETOOLONG above NAME_BYTES_MAX, EILSEQ when it is no Unicode (a lone UTF-16 surrogate), EINVAL
    when it is not one component.  The engine lets none of the last kind through; it is checked again because
    everything below relies on it.
    """
    if name in _NOT_A_COMPONENT or "/" in name or "\0" in name:
        raise error(errno.EINVAL)
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise error(errno.EILSEQ) from None
    if len(encoded) > NAME_BYTES_MAX:
        raise error(errno.ENAMETOOLONG)
    return encoded


def client_name(name: bytes) -> str | None:
    """A name from disk as a client sees it, or None when it cannot be told: not UTF-8, or with a character SMB
    cannot carry."""
    try:
        decoded = name.decode()
    except UnicodeDecodeError:
        return None
    return None if _forbidden_to_clients(decoded) else decoded


def fold(name: str) -> str:
    """What two names have in common when a client takes them for the same: each character in upper case where that
    is one character.  What is composed and what is not are two names, as on NTFS."""
    return name.upper() if name.isascii() else _fold_unicode(name)


def fold_on_disk(name: bytes) -> str | None:
    """The fold of a name from disk; None for one that no client can say."""
    if name.isascii():
        return name.decode("ascii").upper()
    decoded = client_name(name)
    return None if decoded is None else _fold_unicode(decoded)


def is_vetoed(veto_list: tuple[str, ...], name: str) -> bool:
    """Whether a share's `veto files` hides this name.  Patterns are whole names with `*` and `?`, without case."""
    if not veto_list:
        return False
    folded = fold(name)
    return any(_matches(fold(pattern), folded) for pattern in veto_list)


def are_visible(veto_list: tuple[str, ...], components: tuple[str, ...]) -> bool:
    """Whether a client may be told of a path: each name can be carried by SMB, and the share hides none of them."""
    for name in components:
        if _forbidden_to_clients(name) or name.startswith(OWN_PREFIX) or is_vetoed(veto_list, name):
            return False
        if not name.isascii() and _has_surrogates(name):
            return False
    return True


def error(number: int) -> OSError:
    """An OSError as the kernel would have it raised."""
    return OSError(number, os.strerror(number))


@lru_cache(_FOLDED_NAMES_CACHED)
def _fold_unicode(name: str) -> str:
    return "".join(map(_upper, name))


def _upper(character: str) -> str:
    upper = character.upper()
    # As NTFS: no character becomes two, and none outside ASCII (dotless i, long s) becomes one inside.
    return upper if len(upper) == 1 and upper.isascii() == character.isascii() else character


def _matches(pattern: str, name: str) -> bool:
    """Match with `*` and `?` in time len(pattern) * len(name): only the last star is ever tried again."""
    position = start = 0
    star = -1
    index = 0
    while index < len(name):
        if position < len(pattern) and pattern[position] == "*":
            star, start = position, index
            position += 1
        elif position < len(pattern) and pattern[position] in ("?", name[index]):
            position += 1
            index += 1
        elif star >= 0:
            start += 1
            position, index = star + 1, start
        else:
            return False
    return pattern[position:].strip("*") == ""
