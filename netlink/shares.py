"""A share: what the engine is told of it, and what decides who may use it.

Knows: the parameters of a share's section, Unix users and groups.  Must not know: accounts, how messages travel.
"""

from __future__ import annotations

import grp
import pwd
from dataclasses import dataclass

from smbd_uring.netlink import messages
from smbd_uring.netlink.flags import ShareFlags
from smbd_uring.netlink.messages import INVALID_ID
from smbd_uring.netlink.smb_conf import ConfError, Section
from smbd_uring.netlink.tree_policy import SharePolicy

PIPE_SHARE = "IPC$"
ENCRYPTION_KEYS = ("smb3 encryption", "server smb encrypt", "smb encrypt")
"""ksmbd's name and Samba's two; the first that is set counts."""

FALSE_PREFIXES = ("no", "0", "false", "disable", "off")
_BOOLEANS = (
    ("browseable", True, ShareFlags.BROWSEABLE),
    ("guest ok", False, ShareFlags.GUEST_OK),
    ("store dos attributes", True, ShareFlags.STORE_DOS_ATTRS),
    ("oplocks", True, ShareFlags.OPLOCKS),
    ("hide dot files", True, ShareFlags.HIDE_DOT_FILES),
    ("inherit owner", False, ShareFlags.INHERIT_OWNER),
    ("follow symlinks", True, ShareFlags.FOLLOW_SYMLINKS),
    ("crossmnt", True, ShareFlags.CROSSMNT),
    ("continuous availability", False, ShareFlags.CONTINUOUS_AVAILABILITY),
)
"""`follow symlinks` is on where ksmbd-tools has it off: the kernel keeps a client beneath the share's root."""


@dataclass(frozen=True, slots=True)
class Share:
    """One share.  Modes are Unix permission bits."""

    name: str
    path: str
    policy: SharePolicy
    create_mask: int = 0o744
    directory_mask: int = 0o755
    force_create_mode: int = 0
    force_directory_mode: int = 0
    force_uid: int = INVALID_ID
    force_gid: int = INVALID_ID
    veto_list: tuple[str, ...] = ()

    def message(self, handle: int) -> messages.ShareConfigResponse:
        """The share as the engine is told of it, in answer to question `handle`."""
        return messages.ShareConfigResponse(
            handle, int(self.policy.flags), self.create_mask, self.directory_mask, self.force_create_mode,
            self.force_directory_mode, self.force_uid, self.force_gid, self.name, self.veto_list, self.path,
        )  # fmt: skip


def pipe_share() -> Share:
    """IPC$, which is always there and where named pipes are."""
    return Share(PIPE_SHARE, "", SharePolicy(ShareFlags.AVAILABLE | ShareFlags.PIPE | ShareFlags.BROWSEABLE))


def no_share(handle: int, name: str) -> messages.ShareConfigResponse:
    """The answer when there is no share of that name."""
    return messages.ShareConfigResponse(handle, 0, 0, 0, 0, 0, INVALID_ID, INVALID_ID, name, (), "")


def read_share(section: Section) -> Share:
    """The share that a section describes.  ConfError when it cannot be one or does not fit in a message."""
    if not section.text("path"):
        raise ConfError(f"share [{section.name}] has no path; add `path = /some/folder`")
    force_uid, force_gid = _forced(section)
    share = Share(
        name=section.name,
        path=section.text("path"),
        policy=SharePolicy(
            flags=_flags(section),
            valid_users=section.words("valid users"),
            invalid_users=section.words("invalid users"),
            read_list=section.words("read list"),
            write_list=section.words("write list"),
            admin_users=section.words("admin users"),
            connections_max=section.size("max connections", 0),
        ),
        create_mask=section.octal("create mask", 0o744),
        directory_mask=section.octal("directory mask", 0o755),
        force_create_mode=section.octal("force create mode", 0),
        force_directory_mode=section.octal("force directory mode", 0),
        force_uid=force_uid,
        force_gid=force_gid,
        veto_list=tuple(name for name in section.text("veto files").split("/") if name),
    )
    try:
        share.message(0).encode()
    except messages.MalformedStructure as error:
        raise ConfError(f"share [{section.name}] cannot be told to the server: {error}") from error
    return share


def encryption_of(section: Section) -> str:
    """What a section says about encryption, "" when nothing."""
    return next((text for key in ENCRYPTION_KEYS if (text := section.text(key))), "").casefold()


def insists(value: str) -> bool:
    """Whether a choice of three is made for `mandatory` (ksmbd) or `required` (Samba)."""
    return value.startswith(("mandatory", "required"))


def _flags(section: Section) -> ShareFlags:
    flags = ShareFlags.AVAILABLE
    for key, default, flag in _BOOLEANS:
        if section.boolean(key, default):
            flags |= flag
    flags |= ShareFlags.WRITEABLE if _writable(section) else ShareFlags.READONLY
    if insists(encryption_of(section)):
        flags |= ShareFlags.ENCRYPT_DATA
    return flags


def _writable(section: Section) -> bool:
    """`read only` wins over its three opposites; a share that says nothing is read-only.

    A word that is neither yes nor no does not open a share: `read only = on` is writable for ksmbd-tools, not here.
    """
    if section.text("read only"):
        return section.text("read only").casefold().startswith(FALSE_PREFIXES)
    return any(section.boolean(key, False) for key in ("writable", "writeable", "write ok"))


def _forced(section: Section) -> tuple[int, int]:
    """(uid, gid) of `force user` and `force group`; the user's group is forced with it unless another is."""
    uid = gid = INVALID_ID
    user, group = section.text("force user"), section.text("force group")
    try:
        if user:
            entry = pwd.getpwnam(user)
            uid, gid = entry.pw_uid, entry.pw_gid
        if group:
            gid = grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise ConfError(f"share [{section.name}]: {error}; create it or change force user/force group") from error
    if (user and uid >= INVALID_ID) or ((user or group) and gid >= INVALID_ID):
        raise ConfError(f"share [{section.name}]: ids above {INVALID_ID - 1} cannot be forced")
    return uid, gid
