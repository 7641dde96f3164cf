"""One file a command (or a few that belong together), and the table that names them all."""

from smbd_uring.engine.commands.change_notify import change_notify
from smbd_uring.engine.commands.close import close
from smbd_uring.engine.commands.create import create
from smbd_uring.engine.commands.echo import echo
from smbd_uring.engine.commands.ioctl import ioctl
from smbd_uring.engine.commands.lock import lock
from smbd_uring.engine.commands.negotiate import negotiate
from smbd_uring.engine.commands.oplock_break import oplock_break
from smbd_uring.engine.commands.query_directory import query_directory
from smbd_uring.engine.commands.query_info import query_info
from smbd_uring.engine.commands.read_write import flush, read, write
from smbd_uring.engine.commands.session_setup import logoff, session_setup
from smbd_uring.engine.commands.set_info import set_info
from smbd_uring.engine.commands.tree_connect import tree_connect, tree_disconnect
from smbd_uring.engine.dispatch import Entry
from smbd_uring.wire.const import Command

COMMANDS: dict[int, Entry] = {
    Command.NEGOTIATE: Entry(negotiate, needs_session=False, needs_tree=False),
    Command.SESSION_SETUP: Entry(session_setup, needs_session=False, needs_tree=False),
    Command.LOGOFF: Entry(logoff, needs_tree=False, allowed_when_expired=True),
    Command.TREE_CONNECT: Entry(tree_connect, needs_tree=False),
    Command.TREE_DISCONNECT: Entry(tree_disconnect),
    Command.CREATE: Entry(create),
    Command.CLOSE: Entry(close, allowed_when_expired=True),
    Command.FLUSH: Entry(flush),
    Command.READ: Entry(read),
    Command.WRITE: Entry(write),
    Command.LOCK: Entry(lock, allowed_when_expired=True),
    Command.IOCTL: Entry(ioctl),
    Command.ECHO: Entry(echo, needs_session=False, needs_tree=False),
    Command.QUERY_DIRECTORY: Entry(query_directory),
    Command.CHANGE_NOTIFY: Entry(change_notify),
    Command.QUERY_INFO: Entry(query_info),
    Command.SET_INFO: Entry(set_info),
    Command.OPLOCK_BREAK: Entry(oplock_break),
}
"""CANCEL is the nineteenth: it has no answer and takes no message id, so `receive` handles it on the spot."""
