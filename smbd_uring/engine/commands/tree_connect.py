"""TREE_CONNECT and TREE_DISCONNECT: from a session to a share.

Knows: [MS-SMB2] 3.3.5.7, 3.3.5.8.  Must not know: who may use a share (the companion decides), smb.conf.
"""

from __future__ import annotations

import logging

from smbd_uring import limits
from smbd_uring.engine.durable import gives_persistent_handles
from smbd_uring.engine.errors import SmbError
from smbd_uring.engine.request import Request, Response
from smbd_uring.engine.session import Session, Tree
from smbd_uring.engine.session_states import SessionState
from smbd_uring.engine.share_root import open_share_root
from smbd_uring.engine.teardown import close_tree
from smbd_uring.ports import (
    AskShare,
    AskTogether,
    AskTree,
    CloseHandle,
    CompanionUnavailable,
    Credentials,
    ShareAnswer,
    ShareFlags,
    ShareRoot,
    TellTreeDisconnect,
    TreeAnswer,
    TreeFlags,
    TreeStatus,
)
from smbd_uring.wire.const import AccessMask, ShareCapabilities, ShareFlag, ShareType
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.tree import (
    TreeConnectRequest,
    TreeConnectResponse,
    TreeDisconnectRequest,
    TreeDisconnectResponse,
)

log = logging.getLogger("smbd.engine")

READ_ONLY_ACCESS = (
    AccessMask.FILE_READ_DATA
    | AccessMask.FILE_READ_EA
    | AccessMask.FILE_EXECUTE
    | AccessMask.FILE_READ_ATTRIBUTES
    | AccessMask.READ_CONTROL
    | AccessMask.SYNCHRONIZE
)
SHARE_NAME_CHARACTERS_MAX = 80

STATUS_OF_TREE: dict[TreeStatus, NtStatus] = {
    TreeStatus.NO_MEMORY: NtStatus.NO_MEMORY,
    TreeStatus.NO_SHARE: NtStatus.BAD_NETWORK_NAME,
    TreeStatus.NO_USER: NtStatus.ACCESS_DENIED,
    TreeStatus.INVALID_USER: NtStatus.ACCESS_DENIED,
    TreeStatus.HOST_DENIED: NtStatus.ACCESS_DENIED,
    TreeStatus.CONNECTION_EXISTS: NtStatus.ACCESS_DENIED,
    TreeStatus.TOO_MANY_CONNECTIONS: NtStatus.REQUEST_NOT_ACCEPTED,
    TreeStatus.TOO_MANY_SESSIONS: NtStatus.TOO_MANY_SESSIONS,
    TreeStatus.ERROR: NtStatus.ACCESS_DENIED,
}


async def tree_connect(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.7."""
    body = TreeConnectRequest.decode(request.message)
    session = request.session_of()
    if len(session.trees) >= limits.TREES_PER_SESSION_MAX:
        raise SmbError(NtStatus.INSUFFICIENT_RESOURCES)
    name = _share_name(body.path)
    tree_id = session.allocate_tree_id()
    configured, permission = await _ask(request, session, name, tree_id)
    try:
        share = _usable(request, session, configured, permission)
        tree = await _open_tree(request, session, share, tree_id, permission.flags)
    except BaseException:
        if permission.status == TreeStatus.OK:
            await TellTreeDisconnect(session.session_id, tree_id)
        raise
    session.trees[tree_id] = tree
    request.engine.tree_count += 1
    request.header.tree_id = tree_id
    answer = TreeConnectResponse(
        share_type=ShareType.PIPE if tree.is_pipe else ShareType.DISK,
        share_flags=ShareFlag.ENCRYPT_DATA if tree.encrypt_data else 0,
        capabilities=ShareCapabilities.CONTINUOUS_AVAILABILITY if gives_persistent_handles(request, tree) else 0,
        maximal_access=tree.maximal_access,
    )
    return Response(answer.encode())


async def tree_disconnect(request: Request) -> Response:
    """[MS-SMB2] 3.3.5.8."""
    TreeDisconnectRequest.decode(request.message)
    await close_tree(request.engine, request.tree_of(), own_use=1)
    return Response(TreeDisconnectResponse().encode())


def _share_name(path: str) -> str:
    r"""The share that \\server\share names; the server's own name is the client's business."""
    parts = path.split("\\")
    if len(parts) < 4 or parts[0] or parts[1] or not parts[3]:
        raise SmbError(NtStatus.BAD_NETWORK_NAME if parts else NtStatus.INVALID_PARAMETER)
    name = parts[3]
    if len(name) > SHARE_NAME_CHARACTERS_MAX:
        raise SmbError(NtStatus.BAD_NETWORK_NAME)
    return name


async def _ask(
    request: Request, session: Session, name: str, tree_id: int
) -> tuple[ShareAnswer | None, TreeAnswer]:
    """How the share is configured, and whether this session may use it."""
    account, flags, address = session.account, session.account_flags, request.connection.address
    tree = AskTree(account, flags, session.session_id, tree_id, name, address)
    try:
        share, permission = await AskTogether((AskShare(name), tree))
    except CompanionUnavailable:
        # It may have allowed, and counts, a tree that will not be.
        await TellTreeDisconnect(session.session_id, tree_id)
        raise
    return share, permission


def _usable(request: Request, session: Session, share: ShareAnswer | None, permission: TreeAnswer) -> ShareAnswer:
    """The share that was asked for.  SmbError when there is none, or not for this session."""
    if share is None or not share.flags & ShareFlags.AVAILABLE:
        raise SmbError(NtStatus.BAD_NETWORK_NAME)
    if share.flags & ShareFlags.ENCRYPT_DATA and session.sealer is None:
        request.engine.complain(
            log, "%s: share %s encrypts and this client cannot", request.connection.address, share.name
        )
        raise SmbError(NtStatus.ACCESS_DENIED)
    if permission.status != TreeStatus.OK:
        raise SmbError(STATUS_OF_TREE.get(permission.status, NtStatus.ACCESS_DENIED))
    return share


async def _open_tree(
    request: Request, session: Session, share: ShareAnswer, tree_id: int, flags: TreeFlags
) -> Tree:
    writable = bool(flags & TreeFlags.WRITABLE)
    maximal_access = AccessMask.FILE_ALL_ACCESS if writable else READ_ONLY_ACCESS
    credentials = _credentials(session, share)
    root = None
    if not share.flags & ShareFlags.PIPE:
        root = await _open_root(request, share)
    refusal = _refusal(request, session)
    if refusal is not None:
        if root is not None:
            await CloseHandle(root.handle)
        raise SmbError(refusal)
    return Tree(session, tree_id, share, flags, root, credentials, maximal_access)


def _refusal(request: Request, session: Session) -> NtStatus | None:
    """What has changed while the companion and the file system were asked, that there can be no tree now."""
    if session.state is SessionState.CLOSED:
        return NtStatus.USER_SESSION_DELETED
    if len(session.trees) >= limits.TREES_PER_SESSION_MAX or not request.engine.has_descriptors:
        return NtStatus.INSUFFICIENT_RESOURCES
    return None


async def _open_root(request: Request, share: ShareAnswer) -> ShareRoot:
    try:
        return await open_share_root(request.engine, share)
    except OSError as error:
        log.error("share %s: %s cannot be opened: %s", share.name, share.path, error.strerror)
        raise SmbError(NtStatus.BAD_NETWORK_NAME) from error


def _credentials(session: Session, share: ShareAnswer) -> Credentials:
    """The session's identity, unless the share forces another."""
    own = session.credentials
    if share.force_uid is None and share.force_gid is None:
        return own
    uid = own.uid if share.force_uid is None else share.force_uid
    gid = own.gid if share.force_gid is None else share.force_gid
    groups = own.groups if share.force_uid is None else ()
    return Credentials(uid, gid, groups)
