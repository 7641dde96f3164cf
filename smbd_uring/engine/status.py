"""What the server is doing, as plain values for `smbd-uring status --json`.

Knows: the engine's tables.  Must not know: who prints them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smbd_uring.engine import leases
from smbd_uring.wire.const import Command, Dialect

if TYPE_CHECKING:
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.session import Session


def describe(engine: Engine) -> dict[str, Any]:
    """Connections, sessions with their trees and opens, and counters since the start.  Ids are hexadecimal text."""
    requests, bytes_read, bytes_written = engine.served()
    return {
        "connections": [_connection(connection) for connection in engine.connections.values()],
        "sessions": [_session(session) for session in engine.sessions.values()],
        "opens": [
            _open(opened) for session in engine.sessions.values() for opened in list(session.opens.values())
        ]
        + [_open(opened) for opened in engine.handles if opened.session is None],
        "totals": {
            "connections": len(engine.connections),
            "sessions": len(engine.sessions),
            "opens": engine.opens.count,
            "leases": len(engine.leases),
            "oplocks": engine.leases.oplock_count,
            "handles_waiting": engine.handles.away_count,
            "watches": engine.notifications.watcher_count,
            "folders_watched": engine.notifications.folder_count,
            "tasks": len(engine.scheduler.tasks),
            "bytes_read": bytes_read,
            "bytes_written": bytes_written,
            "requests": {_command(number): count for number, count in sorted(requests.items())},
        },
    }


def _command(number: int) -> str:
    try:
        return Command(number).name
    except ValueError:
        return f"{number:#x}"


def _connection(connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.connection_id,
        "address": connection.address,
        "dialect": Dialect(connection.dialect).name if connection.dialect is not None else None,
        "requests": len(connection.requests),
        "pending": len(connection.async_requests),
        "bytes_unsent": connection.sending_progress()[0],
        "credits": connection.credits.available,
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": f"{session.session_id:#018x}",
        "connection": session.connection.connection_id,
        "channels": [connection.connection_id for connection in session.channels],
        "account": session.account,
        "state": session.state.name,
        "guest": session.is_guest,
        "anonymous": session.is_anonymous,
        "signing": session.signing_required,
        "encryption": session.encrypt_data,
        "uid": session.credentials.uid,
        "shares": [tree.share.name for tree in session.trees.values()],
        "opens": len(session.opens),
    }


def _open(opened: Open) -> dict[str, Any]:
    return {
        "session": None if opened.session is None else f"{opened.session.session_id:#018x}",
        "share": opened.tree.share.name,
        "path": "\\".join(opened.components),
        "access": f"{opened.granted_access:#010x}",
        "sharing": opened.share_access,
        "directory": opened.is_directory,
        "delete_on_close": opened.delete_on_close or opened.file.delete_pending,
        "caches": leases.description_of(opened),
        "locks": 0 if opened.file.locks is None else opened.file.locks.count_of(opened),
        "durability": None if opened.durability is None else opened.durability.state.name,
    }
