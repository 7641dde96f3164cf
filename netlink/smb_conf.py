"""smb.conf as ksmbd-tools writes and reads it.

Knows: the file's syntax and the kinds of values.  Must not know: what a parameter means.

The rules, as far as they differ from Samba's: `;` and `#` end a line wherever they stand; the first non-empty value of
a key wins; a section that comes again goes on; there are no includes, macros or continued lines; share keys in [global]
are defaults for every share, but for `guest account` and `max connections`, which mean something else there.  One
difference to ksmbd-tools is meant: blanks at the end of a value do not count, for nobody sees them.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("smbd.companion")

GLOBAL = "global"
SECTION_NAME_BYTES_MAX = 63
TRUE_PREFIXES = ("yes", "1", "true", "enable")
SIZE_SUFFIXES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}
NOT_INHERITED = frozenset({"guest account", "max connections"})

GLOBAL_KEYS = frozenset(
    {
        "bind interfaces only", "deadtime", "durable handles", "guest account", "interfaces", "ipc timeout",
        "kerberos keytab file", "kerberos service name", "kerberos support", "map to guest", "max active sessions",
        "max connections", "max ip connections", "max open files", "netbios name", "restrict anonymous",
        "root directory", "server max protocol", "server min protocol", "server multi channel support",
        "server signing", "server string", "share:fake_fscaps", "smb2 leases", "smb2 max credits", "smb2 max read",
        "smb2 max trans", "smb2 max write", "smbd max io size", "tcp port", "workgroup", "aapl model",
    }
)  # fmt: skip
SHARE_KEYS = frozenset(
    {
        "admin users", "browseable", "comment", "create mask", "crossmnt", "directory mask", "follow symlinks",
        "force create mode", "force directory mode", "force group", "force user", "guest account", "guest ok",
        "hide dot files", "hosts allow", "hosts deny", "inherit owner", "invalid users", "max connections", "oplocks",
        "path", "read list", "read only", "server smb encrypt", "smb encrypt", "smb3 encryption",
        "store dos attributes", "time machine", "valid users", "veto files", "vfs objects", "writable", "writeable",
        "write list", "write ok",
    }
)  # fmt: skip


class ConfError(Exception):
    """The file cannot be used; the message names file and line and says what to do."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section: keys in lower case with single blanks, and their values as text."""

    name: str
    values: dict[str, str]

    def text(self, key: str, default: str = "") -> str:
        """The value, or `default` when it is not set or empty."""
        return self.values.get(key) or default

    def boolean(self, key: str, default: bool) -> bool:
        """True for what begins with yes, 1, true or enable, in any case; everything else is false."""
        value = self.values.get(key)
        return value.lower().startswith(TRUE_PREFIXES) if value else default

    def number(self, key: str, default: int) -> int:
        """A decimal number.  ConfError for anything else."""
        return self._parsed(key, default, 10)

    def octal(self, key: str, default: int) -> int:
        """An octal number, for modes and masks.  ConfError for anything else."""
        return self._parsed(key, default, 8)

    def size(self, key: str, default: int) -> int:
        """A number with an optional K, M, G, T, P or E, of which only the first letter counts.  ConfError as above."""
        value = self.values.get(key, "").strip().lower()
        if not value:
            return default
        digits = value.rstrip("abcdefghijklmnopqrstuvwxyz ") if not value.startswith("0x") else value
        suffix = value[len(digits) :].strip()
        try:
            return int(digits, 0) * SIZE_SUFFIXES.get(suffix[:1], 1)
        except ValueError:
            raise self._wrong(key, value, "a size such as 4M") from None

    def words(self, key: str) -> tuple[str, ...]:
        """A list, separated by blanks, tabs and commas."""
        return tuple(self.values.get(key, "").replace(",", " ").split())

    def _parsed(self, key: str, default: int, base: int) -> int:
        value = self.values.get(key, "").strip()
        if not value:
            return default
        try:
            return int(value, base)
        except ValueError:
            raise self._wrong(key, value, "an octal mode such as 0755" if base == 8 else "a number") from None

    def _wrong(self, key: str, value: str, wanted: str) -> ConfError:
        return ConfError(f"[{self.name}] {key} = {value}: this must be {wanted}")


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file.  `shares` by casefolded name, each with the defaults of [global] filled in."""

    globals: Section
    shares: dict[str, Section]


def section_key(name: str) -> str:
    """What two names of one section have in common."""
    return unicodedata.normalize("NFD", name).casefold()


def parse(text: str, file_name: str) -> Configuration:
    """Read a file's text; `file_name` is for messages.  ConfError when its syntax is wrong."""
    sections: dict[str, Section] = {}
    current: Section | None = None
    for number, line in _lines(text):
        where = f"{file_name}, line {number}"
        if line.startswith("["):
            name = _section_name(line, where)
            current = sections.setdefault(section_key(name), Section(name, {}))
            continue
        key, equals, value = line.partition("=")
        key = " ".join(key.split()).lower()
        if not equals or not key:
            raise ConfError(f"{where}: {line!r} is neither [section] nor key = value; mend it or begin it with #")
        if current is None:
            raise ConfError(f"{where}: {key!r} stands before any section; put [global] or a share's name above it")
        if key not in GLOBAL_KEYS and key not in SHARE_KEYS:
            log.debug("%s: %r is not known here and ignored", where, key)
        if not current.values.get(key):
            current.values[key] = value.strip()
    globals_section = sections.pop(GLOBAL, Section(GLOBAL, {}))
    return Configuration(globals_section, {key: _inherit(globals_section, share) for key, share in sections.items()})


def load(path: Path) -> Configuration:
    """Read a file.  FileNotFoundError and other OSErrors as they come; ConfError when it is wrong inside."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ConfError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.split(";", 1)[0].split("#", 1)[0].strip("\r").lstrip(" \t")
        if line.strip():
            yield number, line


def _section_name(line: str, where: str) -> str:
    name = line.strip()[1:].removesuffix("]")
    complete = line.strip().endswith("]")
    if not complete or not name or not name.isprintable() or set("[]") & set(name):
        raise ConfError(f"{where}: {line.strip()!r} is not a section; write [name]")
    if len(name.encode()) > SECTION_NAME_BYTES_MAX:
        raise ConfError(f"{where}: a share's name has at most {SECTION_NAME_BYTES_MAX} bytes")
    return name


def _inherit(globals_section: Section, share: Section) -> Section:
    defaults = {
        key: value
        for key, value in globals_section.values.items()
        if key in SHARE_KEYS and key not in NOT_INHERITED and value
    }
    own = {key: value for key, value in share.values.items() if value}
    return Section(share.name, {**defaults, **own})
