"""smb.conf as ksmbd-tools writes and reads it.

Knows: the file's syntax and the kinds of values.  Must not know: what a parameter means.

The rules, as far as they differ from Samba's: `;` and `#` end a line wherever they stand; the first non-empty value of
a key wins; a section that comes again goes on; there are no includes, macros or continued lines; share keys in [global]
are defaults for every share, but for `guest account` and `max connections`, which mean something else there.  Two
differences to ksmbd-tools are meant: blanks at the end of a value do not count, for nobody sees them; and a number that
is none, or too large for what it is for, is refused instead of read as something else.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("smbd.companion")

GLOBAL = "global"
SECTION_NAME_BYTES_MAX = 63
TRUE_PREFIXES = ("yes", "1", "true", "enable")
NUMBER_MAX = 0xFFFF_FFFF
"""What the companion's messages have room for."""

_NUMBER = re.compile("[0-9]{1,20}")
_OCTAL = re.compile("0*[0-7]{1,4}")
_SIZE = re.compile(
    "(?:0x(?P<hex>[0-9a-f]{1,20})|(?P<octal>0[0-7]{0,20})|(?P<decimal>[1-9][0-9]{0,20}))"
    "[ \t]*(?:(?P<suffix>[kmgtpe])[a-z]*)?"
)
_SUFFIX_BITS = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
NOT_INHERITED = frozenset({"guest account", "max connections"})

CHANNEL_FAILURES_KEY = "smbd:fsctl_smbtorture"
"""As Samba names it."""

GLOBAL_KEYS = frozenset(
    {
        "bind interfaces only", "deadtime", "durable handles", "guest account", "interfaces", "ipc timeout",
        "kerberos keytab file", "kerberos service name", "kerberos support", "map to guest", "max active sessions",
        "max connections", "max ip connections", "max open files", "netbios name", "restrict anonymous",
        "root directory", "server max protocol", "server min protocol", "server multi channel support",
        "server signing", "server string", "share:fake_fscaps", "smb2 leases", "smb2 max credits", "smb2 max read",
        CHANNEL_FAILURES_KEY, "smb2 max trans", "smb2 max write", "smbd max io size", "tcp port", "workgroup",
        "aapl model",
    }
)  # fmt: skip
SHARE_KEYS = frozenset(
    {
        "admin users", "browseable", "comment", "continuous availability", "create mask", "crossmnt",
        "directory mask", "follow symlinks", "force create mode", "force directory mode", "force group",
        "force user", "guest account", "guest ok", "hide dot files", "hosts allow", "hosts deny", "inherit owner",
        "invalid users", "max connections", "oplocks", "path", "read list", "read only", "server smb encrypt",
        "smb encrypt", "smb3 encryption", "store dos attributes", "time machine", "valid users", "veto files",
        "vfs objects", "writable", "writeable", "write list", "write ok",
    }
)  # fmt: skip

RESTRICTIONS_NOT_HEEDED = frozenset(
    {"bind interfaces only", "hosts allow", "hosts deny", "interfaces", "root directory"}
)
"""Known keys that would keep somebody out and do not yet: whoever sets one must not believe that it works."""


class ConfError(Exception):
    """The file cannot be used; the message names file and line and says what to do."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section: keys in lower case with single blanks, and their values as text."""

    name: str
    values: dict[str, str]
    places: dict[str, str] = field(default_factory=dict)
    """Where a value was written, for messages; what the command line said was written nowhere."""

    def text(self, key: str, default: str = "") -> str:
        """The value, or `default` when it is not set or empty."""
        return self.values.get(key) or default

    def boolean(self, key: str, default: bool) -> bool:
        """True for what begins with yes, 1, true or enable, in any case; everything else is false."""
        value = self.values.get(key)
        return value.lower().startswith(TRUE_PREFIXES) if value else default

    def number(self, key: str, default: int, maximum: int = NUMBER_MAX) -> int:
        """A decimal number of at most `maximum`.  ConfError for anything else."""
        value = self._value(key)
        if not value:
            return default
        if not _NUMBER.fullmatch(value):
            raise self._wrong(key, "a number")
        return self._bounded(key, int(value), maximum)

    def octal(self, key: str, default: int) -> int:
        """Permission bits as an octal number of up to four digits.  ConfError for anything else."""
        value = self._value(key)
        if not value:
            return default
        if not _OCTAL.fullmatch(value):
            raise self._wrong(key, "an octal mode such as 0755")
        return int(value, 8)

    def size(self, key: str, default: int, maximum: int = NUMBER_MAX) -> int:
        """A number as C writes it with an optional K, M, G, T, P or E, of which only the first letter counts.

        ConfError for anything else, and above `maximum`.
        """
        value = self._value(key)
        if not value:
            return default
        match = _SIZE.fullmatch(value)
        if match is None:
            raise self._wrong(key, "a size such as 4M")
        for base, name in ((16, "hex"), (8, "octal"), (10, "decimal")):
            if match[name]:
                number = int(match[name], base)
        return self._bounded(key, number << _SUFFIX_BITS.get(match["suffix"], 0), maximum)

    def words(self, key: str) -> tuple[str, ...]:
        """A list, separated by blanks, tabs and commas."""
        return tuple(self.values.get(key, "").replace(",", " ").split())

    def _value(self, key: str) -> str:
        return self.values.get(key, "").strip().lower()

    def _bounded(self, key: str, number: int, maximum: int) -> int:
        if number > maximum:
            raise self._wrong(key, f"at most {maximum}")
        return number

    def _wrong(self, key: str, wanted: str) -> ConfError:
        place = f"{self.places[key]}: " if key in self.places else ""
        return ConfError(f"{place}[{self.name}] {key} = {self.values[key]}: this must be {wanted}")


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
        if key in RESTRICTIONS_NOT_HEEDED and value.strip():
            log.warning("%s: `%s` is not heeded by this version: it restricts nothing", where, key)
        if key not in GLOBAL_KEYS and key not in SHARE_KEYS:
            log.debug("%s: %r is not known here and ignored", where, key)
        if not current.values.get(key):
            current.values[key] = value.strip()
            current.places[key] = where
    globals_section = sections.pop(GLOBAL, Section(GLOBAL, {}))
    return Configuration(globals_section, {key: inherit(globals_section, share) for key, share in sections.items()})


def load(path: Path) -> Configuration:
    """Read a file.  FileNotFoundError and other OSErrors as they come; ConfError when it is wrong inside."""
    try:
        return parse(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def inherit(globals_section: Section, share: Section) -> Section:
    """A share's section with what [global] says where it says nothing itself."""
    defaults = {
        key: value
        for key, value in globals_section.values.items()
        if key in SHARE_KEYS and key not in NOT_INHERITED and value
    }
    own = {key: value for key, value in share.values.items() if value}
    return Section(share.name, {**defaults, **own}, {**globals_section.places, **share.places})


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
