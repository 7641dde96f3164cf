"""What a CREATE asks for, and what is wrong with it whatever is on the disk.

Knows: [MS-FSA] 2.1.5.1 phase 1, [MS-SMB2] 3.3.5.9.  Must not know: the file system, opens.
"""

from __future__ import annotations

from dataclasses import dataclass

from smbd_uring import limits
from smbd_uring.engine.access import expand
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.names import components_of
from smbd_uring.wire import create_contexts
from smbd_uring.wire.const import (
    AccessMask,
    CreateAction,
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    ImpersonationLevel,
    ShareAccess,
)
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.ntstatus import NtStatus

OPTIONS_VALID = 0x00EF_FFFF
"""Every other one is INVALID_PARAMETER, FILE_RESERVE_OPFILTER too, which nobody asks for over SMB."""

OPTIONS_REFUSED = CreateOptions.FILE_OPEN_BY_FILE_ID
"""Answered NOT_SUPPORTED."""

SHARE_ACCESS_VALID = int(ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE)
ATTRIBUTES_VALID = 0x0000_7FB7
ATTRIBUTES_STORED = (
    FileAttributes.READONLY | FileAttributes.HIDDEN | FileAttributes.SYSTEM | FileAttributes.ARCHIVE
)
MODE_OPTIONS = int(
    CreateOptions.FILE_WRITE_THROUGH
    | CreateOptions.FILE_SEQUENTIAL_ONLY
    | CreateOptions.FILE_NO_INTERMEDIATE_BUFFERING
    | CreateOptions.FILE_SYNCHRONOUS_IO_ALERT
    | CreateOptions.FILE_SYNCHRONOUS_IO_NONALERT
    | CreateOptions.FILE_DELETE_ON_CLOSE
)
"""Options that an open shows as its mode ([MS-FSCC] 2.4.31)."""

DELETE = int(AccessMask.DELETE)
DELETE_ON_CLOSE = int(CreateOptions.FILE_DELETE_ON_CLOSE)
DIRECTORY_FILE = int(CreateOptions.FILE_DIRECTORY_FILE)
NON_DIRECTORY_FILE = int(CreateOptions.FILE_NON_DIRECTORY_FILE)
DELEGATE = int(ImpersonationLevel.DELEGATE)
OVERWRITE_IF = int(CreateDisposition.OVERWRITE_IF)
TEMPORARY = int(FileAttributes.TEMPORARY)
TRUNCATING = (CreateDisposition.SUPERSEDE, CreateDisposition.OVERWRITE, CreateDisposition.OVERWRITE_IF)
CREATING = (
    CreateDisposition.SUPERSEDE,
    CreateDisposition.CREATE,
    CreateDisposition.OPEN_IF,
    CreateDisposition.OVERWRITE_IF,
)


@dataclass(slots=True)
class CreatePlan:
    """A CREATE whose parameters make sense.  `desired_access` has generic rights spelt out; sizes in bytes."""

    components: tuple[str, ...]
    desired_access: int
    share_access: int
    disposition: int
    options: int
    attributes: int
    truncates: bool
    """Whether an existing file loses its contents."""
    creates: bool
    """Whether a file that is not there is made."""
    delete_on_close: bool
    """Whether the file is to go when this handle does."""
    must_be_directory: bool
    action: CreateAction = CreateAction.OPENED
    """What becomes of a file that is there."""
    allocation_size: int = 0
    wants_maximal_access: bool = False
    maximal_access_timestamp: int = 0
    wants_disk_id: bool = False
    oplock_level: int = 0
    lease: create_contexts.LeaseRequest | None = None
    """What the client asks to cache: an OplockLevel, and what goes with LEASE."""
    wants_contexts: bool = False
    """Whether any answer of those is wanted."""
    objection: NtStatus | None = None
    """What is wrong with its numbers, whatever the file is.  The client hears of it when its name was looked up: a
    folder that is not there comes first."""
    access_objection: NtStatus | None = None
    """What is wrong with the access; for a file that comes after what the disposition has to say of its name."""


def plan_of(body: CreateRequest) -> CreatePlan:
    """Read a CREATE.  SmbError for a name or a context that cannot be; for its numbers the plan has objections."""
    options, disposition = body.create_options, body.create_disposition
    if options & NON_DIRECTORY_FILE and body.name.endswith("\\"):
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    access_objection, desired_access = None, body.desired_access
    try:
        desired_access = expand(desired_access)
    except SmbError as error:
        access_objection = error.status
    plan = CreatePlan(
        (), desired_access, body.share_access & SHARE_ACCESS_VALID, disposition, options,
        body.file_attributes & ATTRIBUTES_STORED, disposition in TRUNCATING, disposition in CREATING,
        options & DELETE_ON_CLOSE != 0, options & DIRECTORY_FILE != 0, access_objection=access_objection,
    )  # fmt: skip
    if body.contexts:
        _read_contexts(body, plan)
    plan.components = components_of(body.name)
    plan.objection = _objection(body, plan)
    if plan.truncates:
        superseded = disposition == CreateDisposition.SUPERSEDE
        plan.action = CreateAction.SUPERSEDED if superseded else CreateAction.OVERWRITTEN
    plan.oplock_level = body.requested_oplock_level
    return plan


def _objection(body: CreateRequest, plan: CreatePlan) -> NtStatus | None:
    options, disposition = plan.options, plan.disposition
    if body.impersonation_level > DELEGATE:
        return NtStatus.BAD_IMPERSONATION_LEVEL
    if options & OPTIONS_REFUSED:
        return NtStatus.NOT_SUPPORTED
    if options & ~OPTIONS_VALID:
        return NtStatus.INVALID_PARAMETER
    if plan.delete_on_close and not plan.desired_access & DELETE:
        return NtStatus.INVALID_PARAMETER
    if options & DIRECTORY_FILE:
        if options & NON_DIRECTORY_FILE or body.file_attributes & TEMPORARY:
            return NtStatus.INVALID_PARAMETER
        if plan.access_objection is not None:
            return plan.access_objection
        if plan.truncates:
            return NtStatus.INVALID_PARAMETER
    return NtStatus.INVALID_PARAMETER if disposition > OVERWRITE_IF else None


def _read_contexts(body: CreateRequest, plan: CreatePlan) -> None:
    """[MS-SMB2] 2.2.13.2: what is not understood is skipped; what cannot be honoured and would matter is refused.

    A TIMEWARP_TOKEN does not matter: no share tells of snapshots that it could name.
    """
    if len(body.contexts) > limits.CREATE_CONTEXTS_MAX:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    for name, data in body.contexts:
        if name == create_contexts.ALLOCATION_SIZE:
            plan.allocation_size = create_contexts.decode_allocation_size(data)
        elif name == create_contexts.QUERY_MAXIMAL_ACCESS:
            plan.wants_maximal_access = True
            plan.maximal_access_timestamp = create_contexts.decode_maximal_access_timestamp(data)
        elif name == create_contexts.QUERY_ON_DISK_ID:
            plan.wants_disk_id = True
        elif name == create_contexts.LEASE:
            plan.lease = create_contexts.LeaseRequest.decode(data)
        elif name == create_contexts.EXTENDED_ATTRIBUTES:
            raise SmbError(NtStatus.EAS_NOT_SUPPORTED)
        elif name == create_contexts.SECURITY_DESCRIPTOR:
            raise SmbError(NtStatus.NOT_SUPPORTED)
    plan.wants_contexts = plan.wants_maximal_access or plan.wants_disk_id
