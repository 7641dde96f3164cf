"""Which rights an open gets: what the client asks for, what the tree allows, what the kernel grants.

Knows: [MS-DTYP] 2.4.3 (generic rights), [MS-SMB2] 3.3.5.9 (desired access).  Must not know: dispositions, share modes.

The kernel decides: reading and writing by the flags the file is opened with, executing, traversing and deleting by
faccessat2 with the client's identity.  What is refused here beyond that is only ever refused, never granted.
"""

from __future__ import annotations

import os
import stat
from stat import S_IFDIR
from typing import TYPE_CHECKING

from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.session import Tree
from smbd_uring.ports import CheckAccess, FileFacts, Handle
from smbd_uring.wire.const import AccessMask
from smbd_uring.wire.ntstatus import NtStatus

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

ROOT = 0
S_IFMT = 0o170000
GENERIC_READ = (
    AccessMask.FILE_READ_DATA
    | AccessMask.FILE_READ_ATTRIBUTES
    | AccessMask.FILE_READ_EA
    | AccessMask.READ_CONTROL
    | AccessMask.SYNCHRONIZE
)
GENERIC_WRITE = (
    AccessMask.FILE_WRITE_DATA
    | AccessMask.FILE_APPEND_DATA
    | AccessMask.FILE_WRITE_ATTRIBUTES
    | AccessMask.FILE_WRITE_EA
    | AccessMask.READ_CONTROL
    | AccessMask.SYNCHRONIZE
)
GENERIC_EXECUTE = (
    AccessMask.FILE_EXECUTE | AccessMask.FILE_READ_ATTRIBUTES | AccessMask.READ_CONTROL | AccessMask.SYNCHRONIZE
)
FILE_ALL_ACCESS: int = AccessMask.FILE_ALL_ACCESS
VALID_BITS = 0xF31F_01FF
"""Bits that have a meaning in a desired access; anything else is refused."""

GENERIC_BITS = 0xF000_0000
ACCESS_SYSTEM_SECURITY = int(AccessMask.ACCESS_SYSTEM_SECURITY)

READ_DATA = AccessMask.FILE_READ_DATA | AccessMask.FILE_READ_EA
WRITE_DATA = AccessMask.FILE_WRITE_DATA | AccessMask.FILE_APPEND_DATA
CHANGES = (
    AccessMask.FILE_WRITE_DATA
    | AccessMask.FILE_APPEND_DATA
    | AccessMask.FILE_WRITE_EA
    | AccessMask.FILE_WRITE_ATTRIBUTES
    | AccessMask.FILE_DELETE_CHILD
    | AccessMask.DELETE
    | AccessMask.WRITE_DAC
    | AccessMask.WRITE_OWNER
)
"""Rights that a tree which may not change anything never gives."""

CHANGES_OF_ATTRIBUTES = AccessMask.FILE_WRITE_ATTRIBUTES | AccessMask.FILE_WRITE_EA | AccessMask.FILE_DELETE_CHILD
OWNERS_OWN = AccessMask.WRITE_DAC | AccessMask.WRITE_OWNER
MUST_ASK = (
    AccessMask.MAXIMUM_ALLOWED
    | AccessMask.FILE_EXECUTE
    | AccessMask.DELETE
    | CHANGES_OF_ATTRIBUTES
    | OWNERS_OWN
)
"""Rights that depend on the client's identity and are not asked for by opening the file."""

ALWAYS = AccessMask.FILE_READ_ATTRIBUTES | AccessMask.READ_CONTROL | AccessMask.SYNCHRONIZE


def expand(desired_access: int) -> int:
    """Generic rights spelt out; MAXIMUM_ALLOWED is kept.

    ACCESS_DENIED for bits that mean nothing here, and for none ([MS-FSA] 2.1.5.1).
    """
    if desired_access & ~VALID_BITS or desired_access == 0:
        raise SmbError(NtStatus.ACCESS_DENIED)
    expanded = desired_access & ~GENERIC_BITS
    if expanded == desired_access and not expanded & ACCESS_SYSTEM_SECURITY:
        return expanded
    if desired_access & AccessMask.GENERIC_READ:
        expanded |= GENERIC_READ
    if desired_access & AccessMask.GENERIC_WRITE:
        expanded |= GENERIC_WRITE
    if desired_access & AccessMask.GENERIC_EXECUTE:
        expanded |= GENERIC_EXECUTE
    if desired_access & AccessMask.GENERIC_ALL:
        expanded |= FILE_ALL_ACCESS
    if expanded & AccessMask.ACCESS_SYSTEM_SECURITY:
        raise SmbError(NtStatus.PRIVILEGE_NOT_HELD)
    return expanded


def grant_unasked(tree: Tree, facts: FileFacts, desired: int) -> int | None:
    """The rights for an existing file where nobody has to be asked; None where `grant` has to ask the kernel."""
    if desired & MUST_ASK or (desired & WRITE_DATA and facts.status.mode & S_IFMT == S_IFDIR):
        return None
    return desired if tree.writable or not desired & CHANGES else None


async def grant(
    engine: Engine, tree: Tree, components: tuple[str, ...], handle: Handle, facts: FileFacts, desired: int
) -> int:
    """The rights for an existing file.  `desired` is `expand`ed.  ACCESS_DENIED when any of them is refused.

    Reading a file or directory and writing a file are not asked for here: opening it with those flags asks the kernel.
    """
    wanted = desired & ~AccessMask.MAXIMUM_ALLOWED
    if not tree.writable and wanted & CHANGES:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if desired & AccessMask.MAXIMUM_ALLOWED:
        maximal = await maximal_access(engine, tree, components, handle, facts)
        if wanted & ~maximal:
            raise SmbError(NtStatus.ACCESS_DENIED)
        return maximal
    if wanted & OWNERS_OWN and not _owns(tree, facts):
        raise SmbError(NtStatus.ACCESS_DENIED)
    writes = wanted & WRITE_DATA and stat.S_ISDIR(facts.status.mode)
    if writes or (wanted & CHANGES_OF_ATTRIBUTES and not _owns(tree, facts)):
        await CheckAccess(handle, os.W_OK, tree.credentials)
    if wanted & AccessMask.FILE_EXECUTE and tree.credentials.uid != ROOT:  # who may read everything may run it
        await CheckAccess(handle, os.X_OK, tree.credentials)
    if wanted & AccessMask.DELETE and not await _may_delete(engine, tree, components, handle, facts):
        raise SmbError(NtStatus.ACCESS_DENIED)
    return wanted


async def maximal_access(
    engine: Engine, tree: Tree, components: tuple[str, ...], handle: Handle, facts: FileFacts
) -> int:
    """Everything the kernel would let this client do with the file, through this tree."""
    granted = ALWAYS
    if await _allowed(tree, handle, os.R_OK):
        granted |= READ_DATA
    if await _allowed(tree, handle, os.X_OK):
        granted |= AccessMask.FILE_EXECUTE
    owns = _owns(tree, facts)
    if await _allowed(tree, handle, os.W_OK):
        granted |= WRITE_DATA | CHANGES_OF_ATTRIBUTES
    if owns:
        granted |= OWNERS_OWN | AccessMask.FILE_WRITE_ATTRIBUTES
    if await _may_delete(engine, tree, components, handle, facts):
        granted |= AccessMask.DELETE
    if not tree.writable:
        granted &= ~CHANGES
    return granted


def _owns(tree: Tree, facts: FileFacts) -> bool:
    return tree.credentials.uid in (ROOT, facts.status.uid)


async def _may_delete(
    engine: Engine, tree: Tree, components: tuple[str, ...], handle: Handle, facts: FileFacts
) -> bool:
    if not components:  # nobody can, but who may change the share may ask: the attempt is what fails
        return await _allowed(tree, handle, os.W_OK)
    assert tree.root is not None
    return await engine.filesystem.may_delete(tree.root, components, facts, tree.credentials)


async def _allowed(tree: Tree, handle: Handle, mode: int) -> bool:
    try:
        await CheckAccess(handle, mode, tree.credentials)
    except OSError:
        return False
    return True

