"""Where configuration and accounts are when nobody says otherwise.

Knows: ksmbd-tools' folder and this project's.  Must not know: what is in the files.
"""

from __future__ import annotations

import os
from pathlib import Path

KSMBD_FOLDER = Path("/etc/ksmbd")
SYSTEM_FOLDER = Path("/etc/smbd-uring")
ACCOUNTS_NAME = "ksmbdpwd.db"


def default_paths() -> tuple[Path, Path]:
    """(smb.conf, ksmbdpwd.db): ksmbd's own when they are there, else this project's, for root or for a user."""
    if os.geteuid() == 0:
        ksmbd = KSMBD_FOLDER / "ksmbd.conf"
        if ksmbd.exists():
            return ksmbd, KSMBD_FOLDER / ACCOUNTS_NAME
        return SYSTEM_FOLDER / "smb.conf", SYSTEM_FOLDER / ACCOUNTS_NAME
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    folder = Path(home) / "smbd-uring"
    return folder / "smb.conf", folder / ACCOUNTS_NAME
