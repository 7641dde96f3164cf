"""What the companion knows: global values, shares and accounts, as one consistent reading of the files.

Knows: smb.conf, ksmbdpwd.db, the overlay of the command line, the Unix user database.  Must not know: messages' bytes.

A reading is made whole or not at all: when a file is broken at a reload, the one before stays in force.
"""

from __future__ import annotations

import grp
import json
import logging
import os
import pwd
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smbd_uring.netlink import accounts, smb_conf
from smbd_uring.netlink.flags import AccountFlags, GlobalFlags, ShareFlags, Signing
from smbd_uring.netlink.messages import GROUPS_MAX, MalformedStructure, StartingUp
from smbd_uring.netlink.shares import PIPE_SHARE, Share, encryption_of, insists, pipe_share, read_share
from smbd_uring.netlink.smb_conf import CHANNEL_FAILURES_KEY, Configuration, Section, section_key

log = logging.getLogger("smbd.companion")

PIPE_KEY = section_key(PIPE_SHARE)
PORT_MAX = 0xFFFF
MIB = 1 << 20
DEFAULT_IO_BYTES = 8 * MIB
DEFAULT_CREDITS = 8192


class DirectoryError(Exception):
    """The files cannot be used; the message says which, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """One account.  `flags` says what became of it; groups are the supplementary ones."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    nt_hash: bytes
    flags: AccountFlags


@dataclass(slots=True)
class Directory:
    """One reading of everything."""

    configuration: Configuration
    passwords: dict[str, bytes]
    shares: dict[str, Share]
    """By `section_key` of the name."""
    overlay_users: frozenset[str] = frozenset()
    restrict_anonymous: bool = False
    """Whether guests are kept out of IPC$."""
    sessions_max: int = 0
    """How many sessions may have trees; 0: the engine's own limit is enough."""
    _lower: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, config_file: Path | None, accounts_file: Path | None, overlay_file: Path | None) -> Directory:
        """Read the files.  DirectoryError when one is broken or cannot be read; None, and accounts that are not there,
        are as good as empty ones."""
        try:
            directory = cls._assemble(
                _configuration(config_file),
                accounts.load(accounts_file) if accounts_file is not None else {},
                json.loads(overlay_file.read_text()) if overlay_file is not None else {},
            )
            directory._check()
        except (smb_conf.ConfError, accounts.AccountsError, OSError, ValueError) as error:
            raise DirectoryError(str(error)) from error
        return directory

    @classmethod
    def _assemble(
        cls, configuration: Configuration, passwords: dict[str, bytes], overlay: dict[str, Any]
    ) -> Directory:
        _apply_overlay(configuration, overlay)
        users = {name: bytes.fromhex(value) for name, value in overlay.get("users", {}).items()}
        passwords = {**passwords, **users}
        shares = {key: read_share(section) for key, section in configuration.shares.items() if key != PIPE_KEY}
        shares[PIPE_KEY] = pipe_share()
        lower = {name.casefold(): name for name in passwords}
        section = configuration.globals
        return cls(
            configuration, passwords, shares, frozenset(users), section.number("restrict anonymous", 0) > 0,
            section.number("max active sessions", 0), lower,
        )  # fmt: skip

    def _check(self) -> None:
        """What is asked for later must not fail then.  ConfError or AccountsError."""
        accounts.check_name(self._guest().name)
        try:
            self.starting_up().encode()
        except MalformedStructure as error:
            raise smb_conf.ConfError(f"[global] cannot be told to the server: {error}") from error

    # --- accounts ---

    def login(self, name: str) -> Account | None:
        """The account of a name, compared without case; the empty name is the anonymous one.

        Result: None when there is none and strangers are not mapped to the guest account.
        """
        if name == "":
            return self._guest()
        known = self._lower.get(name.casefold())
        if known is None:
            return self._guest() if self._maps_strangers() else None
        return self._account(known)

    def contains(self, names: tuple[str, ...], account: str) -> bool:
        """Whether an account is on a list of names and @groups."""
        for name in names:
            if name.startswith("@"):
                if _in_group(account, name[1:]):
                    return True
            elif name.casefold() == account.casefold():
                return True
        return False

    def _account(self, name: str) -> Account:
        nt_hash = self.passwords[name]
        if os.geteuid() != 0:
            return Account(name, os.geteuid(), os.getegid(), tuple(os.getgroups()), nt_hash, AccountFlags.OK)
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            if name in self.overlay_users:
                log.warning("account %s has no Unix user: it touches files as the user who runs the server", name)
                return Account(name, os.geteuid(), os.getegid(), (), nt_hash, AccountFlags.OK)
            log.warning("account %s has no Unix user and cannot log on; `useradd %s` makes one", name, name)
            return Account(name, 0, 0, (), b"", AccountFlags.BAD_UID)
        groups = tuple(os.getgrouplist(name, entry.pw_gid))
        if len(groups) > GROUPS_MAX:
            log.warning("account %s is in more than %s groups and cannot log on", name, GROUPS_MAX)
            return Account(name, 0, 0, (), b"", AccountFlags.BAD_UID)
        return Account(name, entry.pw_uid, entry.pw_gid, groups, nt_hash, AccountFlags.OK)

    def _guest(self) -> Account:
        name = self.configuration.globals.text("guest account", "nobody")
        uid, gid = os.geteuid(), os.getegid()
        if uid == 0:
            try:
                entry = pwd.getpwnam(name)
                uid, gid = entry.pw_uid, entry.pw_gid
            except KeyError:
                uid = gid = 65534
        return Account(name, uid, gid, (), b"", AccountFlags.OK | AccountFlags.GUEST_ACCOUNT)

    def _maps_strangers(self) -> bool:
        return self.configuration.globals.text("map to guest", "never").casefold() == "bad user"

    # --- [global] ---

    def _shares_in_general(self) -> GlobalFlags:
        """What clients are told before they name a share."""
        if any(share.policy.flags & ShareFlags.CONTINUOUS_AVAILABILITY for share in self.shares.values()):
            return GlobalFlags.CONTINUOUS_AVAILABILITY
        return GlobalFlags(0)

    def starting_up(self) -> StartingUp:
        """The companion's first message."""
        section = self.configuration.globals
        return StartingUp(
            flags=int(_global_flags(section) | self._shares_in_general()),
            signing=int(_signing(section.text("server signing", "auto"))),
            min_prot=section.text("server min protocol"),
            max_prot=section.text("server max protocol"),
            netbios_name=section.text("netbios name", "SMBD-URING")[:15],
            work_group=section.text("workgroup", "WORKGROUP")[:63],
            server_string=section.text("server string", "SMB SERVER")[:63],
            tcp_port=section.number("tcp port", 445, PORT_MAX),
            ipc_timeout=section.number("ipc timeout", 0, PORT_MAX),
            deadtime=section.number("deadtime", 0),
            file_max=section.number("max open files", 0),
            smb2_max_write=section.size("smb2 max write", DEFAULT_IO_BYTES),
            smb2_max_read=section.size("smb2 max read", DEFAULT_IO_BYTES),
            smb2_max_trans=section.size("smb2 max trans", DEFAULT_IO_BYTES),
            smb2_max_credits=section.size("smb2 max credits", DEFAULT_CREDITS),
            max_connections=section.size("max connections", 0),
            max_ip_connections=section.size("max ip connections", 0),
        )


def _configuration(config_file: Path | None) -> Configuration:
    if config_file is None:
        return Configuration(Section("global", {}), {})
    return smb_conf.load(config_file)


def _apply_overlay(configuration: Configuration, overlay: dict[str, Any]) -> None:
    """Add what the command line said; its shares replace those of the same name."""
    configuration.globals.values.update({key: str(value) for key, value in overlay.get("global", {}).items()})
    for name, values in overlay.get("shares", {}).items():
        section = Section(name, {key: _as_text(value) for key, value in values.items()})
        configuration.shares[section_key(name)] = smb_conf.inherit(configuration.globals, section)


def _as_text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _global_flags(section: Section) -> GlobalFlags:
    encryption = encryption_of(section)
    flags = GlobalFlags.LEASES if section.boolean("smb2 leases", True) else GlobalFlags(0)
    if insists(encryption):
        flags |= GlobalFlags.ENCRYPTION
    elif encryption.startswith(("disabled", "off", "no")):
        flags |= GlobalFlags.ENCRYPTION_OFF
    if section.boolean("server multi channel support", True):
        flags |= GlobalFlags.MULTICHANNEL
    if section.boolean(CHANNEL_FAILURES_KEY, False):
        flags |= GlobalFlags.CHANNEL_FAILURES
    if section.boolean("durable handles", True):
        flags |= GlobalFlags.DURABLE_HANDLE
    return flags


def _signing(value: str) -> Signing:
    wanted = value.casefold()
    if insists(wanted):
        return Signing.MANDATORY
    if wanted.startswith("auto"):
        return Signing.AUTO
    return Signing.ENABLED if wanted.startswith(("enabled", "yes", "1", "true")) else Signing.DISABLED


def _in_group(account: str, group: str) -> bool:
    try:
        entry = grp.getgrnam(group)
        if account in entry.gr_mem:
            return True
        return pwd.getpwnam(account).pw_gid == entry.gr_gid
    except KeyError:
        return False
