"""Serves a demo folder on loopback and says how to reach it: what `make run` does.

Knows: the command line of `serve` and of the clients people have.  Must not know: how the server works.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
DEMO = PROJECT / ".demo"
SHARE = "demo"
USER = "demo"
ADDRESS = "127.0.0.1"
PORT = 4450

GREETING = """\
This file came to you over SMB3.
"""


def main() -> None:
    """Prepare the folder, print the instructions, become the server."""
    folder = DEMO / "share"
    folder.mkdir(parents=True, exist_ok=True)
    greeting = folder / "README.txt"
    if not greeting.exists():
        greeting.write_text(GREETING, encoding="utf-8")
    password = _password()
    print(_instructions(folder, password), flush=True)
    command = [
        sys.executable, "-m", "smbd_uring", "serve", "--listen", f"{ADDRESS}:{PORT}",
        "--share", f"{SHARE}={folder}", "--user", f"{USER}:{password}", *sys.argv[1:],
    ]  # fmt: skip
    os.execv(sys.executable, command)


def _password() -> str:
    """The demo user's password: made at random the first time, then kept."""
    kept = DEMO / "password"
    if not kept.exists():
        descriptor = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(9))
    return kept.read_text(encoding="ascii")


def _instructions(folder: Path, password: str) -> str:
    return f"""\
folder    {folder}
user      {USER}
password  {password}

smbclient      smbclient //{ADDRESS}/{SHARE} -p {PORT} -U '{USER}%{password}'
mount          sudo mount -t cifs //{ADDRESS}/{SHARE} /mnt -o port={PORT},user={USER},pass={password}
file manager   smb://{USER}@{ADDRESS}:{PORT}/{SHARE}

Ctrl-C stops the server.
"""


if __name__ == "__main__":
    main()
