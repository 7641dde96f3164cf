"""ksmbdpwd.db: names and NT hashes, one `name:base64` a line.

Knows: the file's format, and how to replace it without ever leaving half a file.  Must not know: Unix users, shares.
"""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

HASH_BYTES = 16
NAME_BYTES_MAX = 47
PASSWORD_BYTES_MAX = 128
NEW_FILE_MODE = 0o600


class AccountsError(Exception):
    """The file or an account in it cannot be used; the message says where and what to do."""


def check_name(name: str) -> None:
    """AccountsError for a name that the file cannot hold."""
    if not name or not name.isprintable() or ":" in name or len(name.encode()) > NAME_BYTES_MAX:
        raise AccountsError(f"{name!r} is no account name: 1 to {NAME_BYTES_MAX} bytes, printable, without a colon")


def load(path: Path) -> dict[str, bytes]:
    """All accounts, name -> NT hash.  A file that is not there is empty; one broken line makes it unusable."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise AccountsError(f"{path} is not UTF-8 text (byte {error.start})") from error
    accounts: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, encoded = line.partition(":")
        try:
            check_name(name)
            hash_value = base64.b64decode(encoded.strip() + "=" * (-len(encoded.strip()) % 4), validate=True)
        except (AccountsError, ValueError) as error:
            raise AccountsError(f"{path}, line {number}: {error}; remove the line or add the account again") from error
        if not colon or len(hash_value) != HASH_BYTES:
            raise AccountsError(f"{path}, line {number}: no NT hash of {HASH_BYTES} bytes; add the account again")
        accounts[name] = hash_value
    return accounts


def store(path: Path, accounts: dict[str, bytes]) -> None:
    """Replace the file by one with these accounts, sorted; readers see the old one or the new one.

    Owner and mode stay as they were; a new file is for its owner alone.  OSError when it cannot be written.
    """
    lines = [f"{name}:{base64.b64encode(value).decode()}\n" for name, value in sorted(accounts.items())]
    replace_file(path, "".join(lines).encode(), NEW_FILE_MODE)


def replace_file(path: Path, data: bytes, new_mode: int) -> None:
    """Write `data` beside `path` and move it into place, safely on the disk."""
    with suppress(OSError):
        path = path.resolve(strict=True)
    before = _status(path)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if before is not None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fchmod(file.fileno(), new_mode if before is None else stat.S_IMODE(before.st_mode))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _synchronize_directory(path.parent)


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _synchronize_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
