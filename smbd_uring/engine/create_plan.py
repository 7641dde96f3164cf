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
    disposition: CreateDisposition
    options: int
    attributes: int
    allocation_size: int
    wants_maximal_access: bool
    maximal_access_timestamp: int
    wants_disk_id: bool
    must_be_directory: bool

    @property
    def truncates(self) -> bool:
        """Whether an existing file loses its contents."""
        return self.disposition in TRUNCATING

    @property
    def creates(self) -> bool:
        """Whether a file that is not there is made."""
        return self.disposition in CREATING

    @property
    def delete_on_close(self) -> bool:
        """Whether the file is to go when this handle does."""
        return bool(self.options & CreateOptions.FILE_DELETE_ON_CLOSE)


def plan_of(body: CreateRequest) -> CreatePlan:
    """Check a CREATE's parameters.  SmbError with the status that the first wrong one deserves."""
    _check_numbers(body)
    options = body.create_options
    desired_access = expand(body.desired_access)
    deletable = AccessMask.DELETE | AccessMask.MAXIMUM_ALLOWED
    if options & CreateOptions.FILE_DELETE_ON_CLOSE and not desired_access & deletable:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    components = components_of(body.name)
    if body.name.endswith("\\") and options & CreateOptions.FILE_NON_DIRECTORY_FILE:
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    plan = CreatePlan(
        components=components,
        desired_access=desired_access,
        share_access=body.share_access,
        disposition=CreateDisposition(body.create_disposition),
        options=options,
        attributes=body.file_attributes & ATTRIBUTES_STORED,
        allocation_size=0,
        wants_maximal_access=False,
        maximal_access_timestamp=0,
        wants_disk_id=False,
        must_be_directory=bool(options & CreateOptions.FILE_DIRECTORY_FILE),
    )
    _read_contexts(body, plan)
    return plan


def _check_numbers(body: CreateRequest) -> None:
    options, disposition = body.create_options, body.create_disposition
    if body.impersonation_level > ImpersonationLevel.DELEGATE:
        raise SmbError(NtStatus.BAD_IMPERSONATION_LEVEL)
    if options & ~OPTIONS_VALID or disposition > CreateDisposition.OVERWRITE_IF:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if options & OPTIONS_REFUSED:
        raise SmbError(NtStatus.NOT_SUPPORTED)
    expand(body.desired_access)
    if body.file_attributes & FileAttributes.ENCRYPTED:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if body.share_access & ~SHARE_ACCESS_VALID or body.file_attributes & ~ATTRIBUTES_VALID:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    contradicts = options & CreateOptions.FILE_NON_DIRECTORY_FILE or disposition in TRUNCATING
    if options & CreateOptions.FILE_DIRECTORY_FILE and contradicts:
        raise SmbError(NtStatus.INVALID_PARAMETER)


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
        elif name == create_contexts.EXTENDED_ATTRIBUTES:
            raise SmbError(NtStatus.EAS_NOT_SUPPORTED)
        elif name == create_contexts.TIMEWARP_TOKEN:
            raise SmbError(NtStatus.OBJECT_NAME_NOT_FOUND)
        elif name == create_contexts.SECURITY_DESCRIPTOR:
            raise SmbError(NtStatus.NOT_SUPPORTED)
