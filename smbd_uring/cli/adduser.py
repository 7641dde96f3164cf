"""`smbd-uring adduser`: accounts in ksmbdpwd.db.

Knows: the accounts file.  Must not know: who is logged on.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from smbd_uring.cli.reloading import reload_running_servers
from smbd_uring.netlink import smb_conf
from smbd_uring.netlink.accounts import PASSWORD_BYTES_MAX, AccountsError, check_name, load, store
from smbd_uring.netlink.nt_hash import nt_hash
from smbd_uring.netlink.paths import default_paths

LISTS = ("valid users", "invalid users", "read list", "write list", "admin users", "guest account")


def main(argv: Sequence[str] | None = None) -> int:
    """Result: 0 done, 1 it failed and said why on stderr, 2 wrong usage."""
    options = _parser().parse_args(argv)
    config, accounts_file = default_paths()
    config, accounts_file = options.config or config, options.accounts or accounts_file
    try:
        check_name(options.user)
        accounts = load(accounts_file)
        if options.delete:
            _delete(accounts, options.user, config)
        else:
            _set(accounts, options)
        accounts_file.parent.mkdir(parents=True, exist_ok=True)
        store(accounts_file, accounts)
    except (AccountsError, smb_conf.ConfError, OSError) as error:
        print(f"smbd-uring adduser: {error}", file=sys.stderr)
        return 1
    reload_running_servers()
    return 0


def _delete(accounts: dict[str, bytes], user: str, config: Path) -> None:
    if user not in accounts:
        raise AccountsError(f"there is no account {user!r}")
    for section in _sections(config):
        for key in LISTS:
            if user in section.words(key):
                raise AccountsError(f"{user!r} is in `{key}` of [{section.name}]; take it out there first")
    del accounts[user]


def _sections(config: Path) -> list[smb_conf.Section]:
    try:
        configuration = smb_conf.load(config)
    except FileNotFoundError:
        return []
    return [configuration.globals, *configuration.shares.values()]


def _set(accounts: dict[str, bytes], options: argparse.Namespace) -> None:
    if options.add and options.user in accounts:
        raise AccountsError(f"there is an account {options.user!r} already; -u changes its password")
    if options.update and options.user not in accounts:
        raise AccountsError(f"there is no account {options.user!r}; -a adds it")
    password = options.password if options.password is not None else _ask(options.user)
    try:
        size = len(password.encode())
    except UnicodeEncodeError as error:
        raise AccountsError("the password is not UTF-8 text") from error
    if size > PASSWORD_BYTES_MAX:
        raise AccountsError(f"a password has at most {PASSWORD_BYTES_MAX} bytes")
    accounts[options.user] = nt_hash(password)


def _ask(user: str) -> str:
    try:
        first, second = getpass.getpass(f"New password for {user}: "), getpass.getpass("Again: ")
    except EOFError as error:
        raise AccountsError("no password was given; -p takes one without asking") from error
    if first != second:
        raise AccountsError("the two passwords differ; nothing was changed")
    return first


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smbd-uring adduser",
        description="Add, update or delete an account; with none of the three it is added or updated.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("-a", dest="add", action="store_true", help="add it; it must not be there")
    what.add_argument("-u", dest="update", action="store_true", help="change its password; it must be there")
    what.add_argument("-d", dest="delete", action="store_true", help="delete it")
    parser.add_argument("user", metavar="USER")
    parser.add_argument("-p", dest="password", metavar="PASSWORD", help="instead of being asked twice")
    parser.add_argument("-i", dest="accounts", type=Path, metavar="ksmbdpwd.db", help="the accounts file")
    parser.add_argument("-c", dest="config", type=Path, metavar="smb.conf", help="the shares that may name it")
    return parser
