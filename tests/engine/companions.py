"""The accounts and shares that every engine test finds.

Knows: what a companion answers.  Must not know: how it is asked.
"""

from __future__ import annotations

import os

from smbd_uring.ports import AccountFlags, Credentials, LoginAnswer, ShareAnswer, ShareFlags
from tests.sim.companion import ScriptedCompanion
from tests.support.ntlm_client import nt_hash_of

PASSWORD = "secret"
MISSING_FOLDER = "/nonexistent/folder"
DISK = ShareFlags.AVAILABLE | ShareFlags.BROWSEABLE | ShareFlags.STORE_DOS_ATTRS
WRITABLE = DISK | ShareFlags.WRITEABLE


def account(name: str, flags: AccountFlags = AccountFlags.OK, password: str = PASSWORD) -> LoginAnswer:
    """An account that works as the user who runs the tests; the simulated kernel takes it as it is."""
    return LoginAnswer(name, flags, Credentials(os.getuid(), os.getgid()), nt_hash_of(password))


def share(name: str, path: str, flags: ShareFlags = WRITABLE) -> ShareAnswer:
    """A share with the usual masks."""
    return ShareAnswer(name, path, flags, 0o744, 0o755, 0, 0, None, None)


def companion_for(folder: str) -> ScriptedCompanion:
    """anna and bert with the same password, nobody, and a visitor who is mapped to guest; shares of one folder."""
    guest = AccountFlags.OK | AccountFlags.GUEST_ACCOUNT
    accounts = [
        account("anna"), account("bert"), account("visitor", guest),
        account("locked", AccountFlags.OK | AccountFlags.BAD_USER), account("hashless", password=PASSWORD),
    ]  # fmt: skip
    accounts[-1].nt_hash = b""
    shares = [
        share("data", folder), share("second", folder), share("readonly", folder, DISK | ShareFlags.READONLY),
        share("sealed", folder, WRITABLE | ShareFlags.ENCRYPT_DATA), share("missing", MISSING_FOLDER),
        share("away", folder, WRITABLE & ~ShareFlags.AVAILABLE),
        share("IPC$", "", ShareFlags.AVAILABLE | ShareFlags.PIPE),
    ]  # fmt: skip
    known = {each.account: each for each in accounts} | {"": account("nobody", guest)}
    return ScriptedCompanion(known, {each.name.lower(): each for each in shares})
