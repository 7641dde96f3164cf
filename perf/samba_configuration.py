"""The two Sambas this server is compared with, as smb.conf.

Knows: Samba's parameters and why each is set.  Must not know: how smbd is started.

*default* is what a user gets who installs Debian's package and adds a share: the lines of its smb.conf that matter for
one share, everything else as Samba has it built in (ACLs, EAs, DOS attributes in an xattr, alternate streams as far as
the file system's defaults go, oplocks, reads and writes through its thread pool; no VFS module is loaded).

*tuned* gives up whatever costs time and can be given up by configuration: reads and writes are done at once by the
process that received them (the files are in the page cache, so nothing would be won by a thread), file data leaves by
sendfile where it is neither signed nor sealed, names are not searched for in another case, and no ACL, EA, DOS
attribute, oplock or byte-range lock is looked at.

Neither says anything about signing and encryption: the client gets what it offers, at both servers.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

PRIVATE_FOLDERS = ("private", "lock", "state", "cache", "run", "ncalrpc", "log")


class Samba(Enum):
    """Which of the two."""

    DEFAULT = "samba-default"
    TUNED = "samba-tuned"


DEBIAN = (
    "workgroup = WORKGROUP",
    "server role = standalone server",
    "logging = file",
    "max log size = 1000",
    "obey pam restrictions = yes",
    "map to guest = bad user",
)
"""From the smb.conf that Debian's package installs; what remains there has to do with passwords and user shares."""

SPEED = (
    "aio read size = 0",
    "aio write size = 0",
    "use sendfile = yes",
    "case sensitive = yes",
    "mangled names = no",
    "nt acl support = no",
    "ea support = no",
    "store dos attributes = no",
    "map archive = no",
    "map readonly = no",
    "oplocks = no",
    "level2 oplocks = no",
    "kernel oplocks = no",
    "smb2 leases = no",
    "strict locking = no",
    "posix locking = no",
    "kernel share modes = no",
    "change notify = no",
    "kernel change notify = no",
    "obey pam restrictions = no",
)
"""What the tuned one says beyond that; later lines replace earlier ones."""


def smb_conf(kind: Samba, state: Path, port: int, share: str, folder: Path) -> str:
    """The whole smb.conf of one run: every file it keeps is below `state`, it listens on loopback only.

    Arguments: which Samba; its own folder, with PRIVATE_FOLDERS in it; TCP port; the share's name and its folder.
    """
    confined = (
        "interfaces = 127.0.0.1",
        "bind interfaces only = yes",
        f"smb ports = {port}",
        "disable netbios = yes",
        f"private dir = {state}/private",
        f"passdb backend = tdbsam:{state}/private/passdb.tdb",
        f"lock directory = {state}/lock",
        f"state directory = {state}/state",
        f"cache directory = {state}/cache",
        f"pid directory = {state}/run",
        f"ncalrpc dir = {state}/ncalrpc",
        f"winbindd socket directory = {state}/run/winbindd",
        f"log file = {state}/log/log.%m",
        "usershare path =",
        # Without a print system behind it smbd would look for one again and again.
        "load printers = no",
        "printing = bsd",
        "printcap name = /dev/null",
        "disable spoolss = yes",
    )
    settings = dict(_setting(line) for line in (*DEBIAN, *confined, *(SPEED if kind is Samba.TUNED else ())))
    lines = ["[global]", *(f"\t{name} = {value}" for name, value in settings.items())]
    lines += [f"[{share}]", f"\tpath = {folder}", "\tread only = no", "\tguest ok = no"]
    return "\n".join(lines) + "\n"


def _setting(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()
