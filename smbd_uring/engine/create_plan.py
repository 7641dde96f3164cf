"""What a CREATE asks for, checked: every parameter that is wrong whatever is on the disk is refused here.

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

OPTIONS_VALID = 0x00FF_FFFF
OPTIONS_REFUSED = (
    CreateOptions.FILE_CREATE_TREE_CONNECTION
    | CreateOptions.FILE_OPEN_BY_FILE_ID
    | CreateOptions.FILE_RESERVE_OPFILTER
)
"""Asked for by nobody over SMB; answered NOT_SUPPORTED, as Windows does."""

SHARE_ACCESS_VALID = ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE
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

DELETABLE = AccessMask.DELETE | AccessMask.MAXIMUM_ALLOWED
DELETE_ON_CLOSE = int(CreateOptions.FILE_DELETE_ON_CLOSE)
DIRECTORY_FILE = int(CreateOptions.FILE_DIRECTORY_FILE)
NON_DIRECTORY_FILE = int(CreateOptions.FILE_NON_DIRECTORY_FILE)
DELEGATE = int(ImpersonationLevel.DELEGATE)
OVERWRITE_IF = int(CreateDisposition.OVERWRITE_IF)
ENCRYPTED = int(FileAttributes.ENCRYPTED)
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


def plan_of(body: CreateRequest) -> CreatePlan:
    """Check a CREATE's parameters.  SmbError with the status that the first wrong one deserves."""
    desired_access = _check_numbers(body)
    options, disposition = body.create_options, body.create_disposition
    delete_on_close = options & DELETE_ON_CLOSE != 0
    if delete_on_close and not desired_access & DELETABLE:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    components = components_of(body.name)
    if options & NON_DIRECTORY_FILE and body.name.endswith("\\"):
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    plan = CreatePlan(
        components, desired_access, body.share_access, disposition, options, body.file_attributes & ATTRIBUTES_STORED,
        disposition in TRUNCATING, disposition in CREATING, delete_on_close, options & DIRECTORY_FILE != 0,
    )  # fmt: skip
    if plan.truncates:
        superseded = disposition == CreateDisposition.SUPERSEDE
        plan.action = CreateAction.SUPERSEDED if superseded else CreateAction.OVERWRITTEN
    plan.oplock_level = body.requested_oplock_level
    if body.contexts:
        _read_contexts(body, plan)
    return plan


def _check_numbers(body: CreateRequest) -> int:
    """Result: the desired access, `expand`ed."""
    options, disposition = body.create_options, body.create_disposition
    if body.impersonation_level > DELEGATE:
        raise SmbError(NtStatus.BAD_IMPERSONATION_LEVEL)
    if options & ~OPTIONS_VALID or disposition > OVERWRITE_IF:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if options & OPTIONS_REFUSED:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    desired_access = expand(body.desired_access)
    if body.file_attributes & ENCRYPTED:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if body.share_access & ~SHARE_ACCESS_VALID or body.file_attributes & ~ATTRIBUTES_VALID:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if options & DIRECTORY_FILE and (options & NON_DIRECTORY_FILE or disposition in TRUNCATING):
        raise SmbError(NtStatus.INVALID_PARAMETER)
    return desired_access


def _read_contexts(body: CreateRequest, plan: CreatePlan) -> None:
    """[MS-SMB2] 2.2.13.2: what is not understood is skipped; what cannot be honoured and would matter is refused."""
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
        elif name == create_contexts.TIMEWARP_TOKEN:
            raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
        elif name == create_contexts.SECURITY_DESCRIPTOR:
            raise SmbError(NtStatus.NOT_SUPPORTED)
    plan.wants_contexts = plan.wants_maximal_access or plan.wants_disk_id
