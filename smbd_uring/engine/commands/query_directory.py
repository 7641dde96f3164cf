"""QUERY_DIRECTORY: what is in a folder, as much as fits, from where the client stopped.

Knows: [MS-SMB2] 3.3.5.18.  Must not know: how entries are laid out (`wire.fscc`), how they are found (`listing`).
"""

from __future__ import annotations

from smbd_uring import limits
from smbd_uring.engine.commands.read_write import check_charge
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.listing import Listing
from smbd_uring.engine.opens import Open
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.scheduler import Turns
from smbd_uring.wire.const import AccessMask, QueryDirectoryFlags
from smbd_uring.wire.fscc import DIRECTORY_CLASSES, DirectoryListing
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.query import QueryDirectoryRequest, QueryDirectoryResponse


async def query_directory(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.18."""
    body = QueryDirectoryRequest.decode(request.message)
    check_charge(request, body.output_buffer_length)
    opened = request.use_open(body.file_id)
    if not opened.is_directory or body.output_buffer_length > request.engine.config.transact_bytes_max:
        raise SmbError(NtStatus.INVALID_PARAMETER)
    if not opened.granted_access & AccessMask.FILE_LIST_DIRECTORY:
        raise SmbError(NtStatus.ACCESS_DENIED)
    if body.file_information_class not in DIRECTORY_CLASSES:
        raise SmbError(NtStatus.INVALID_INFO_CLASS)
    if len(body.pattern) > limits.SEARCH_PATTERN_CHARACTERS_MAX:
        raise SmbError(NtStatus.OBJECT_NAME_INVALID)
    if opened.listing_turns is None:
        opened.listing_turns = Turns(request.engine.scheduler)
    async with opened.listing_turns:
        return await _next_entries(request, opened, body)


async def _next_entries(request: Request, opened: Open, body: QueryDirectoryRequest) -> Response:
    listing = _cursor(opened, body)
    reply = DirectoryListing(body.file_information_class, body.output_buffer_length)
    is_first_reply = listing.given == 0
    single = bool(body.flags & QueryDirectoryFlags.RETURN_SINGLE_ENTRY)
    count = 0
    while await listing.has_more(request.engine):
        given = reply.append_files(listing.described, listing.position, 1 if single else len(listing.described))
        listing.advance(given)
        count += given
        if listing.position < len(listing.described) or single:
            if count == 0:
                raise SmbError(NtStatus.INFO_LENGTH_MISMATCH)
            break
    if count == 0:
        raise SmbError(NtStatus.NO_SUCH_FILE if is_first_reply else NtStatus.NO_MORE_FILES)
    return Response(QueryDirectoryResponse(buffer=reply.getvalue()).encode())


def _cursor(opened: Open, body: QueryDirectoryRequest) -> Listing:
    """The open's listing, begun anew when the client says so; a new pattern counts only then."""
    restart = body.flags & (QueryDirectoryFlags.RESTART_SCANS | QueryDirectoryFlags.REOPEN)
    listing = opened.listing
    if listing is not None and not restart:
        return listing
    if listing is not None and not body.flags & QueryDirectoryFlags.REOPEN and not body.pattern:
        pattern = listing.pattern
    else:
        pattern = body.pattern or "*"
    if listing is not None:
        listing.release()
    opened.listing = Listing(opened, pattern)
    return opened.listing
