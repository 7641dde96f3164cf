"""One SMB2 request on its way through the engine, and what a handler gives back.

Knows: header fields and the objects they name.  Must not know: any command's body.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from smbd_uring.engine import channel_sequence
from smbd_uring.engine.errors import SmbError
from smbd_uring.ports import Buffer
from smbd_uring.wire.const import Command, HeaderFlags
from smbd_uring.wire.header import Header
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId

if TYPE_CHECKING:
    from smbd_uring.crypto.keys import PreauthIntegrity
    from smbd_uring.engine.chain import Chain
    from smbd_uring.engine.connection import Connection
    from smbd_uring.engine.engine import Engine
    from smbd_uring.engine.opens import Open
    from smbd_uring.engine.session import Session, Tree


SUCCESS = NtStatus.SUCCESS
SIGNED = int(HeaderFlags.SIGNED)
RELATED_OPERATIONS = int(HeaderFlags.RELATED_OPERATIONS)
IOCTL = int(Command.IOCTL)
_NO_BYTES = memoryview(b"")


def _nothing() -> None:
    """What is to be cleaned up after most requests."""


class Response:
    """What a handler answers: a status and the body's segments ([MS-SMB2] 2.2: everything after the header).

    `must_sign` asks for a signature whatever the request had; `preauth` is updated with the reply's bytes ([MS-SMB2]
    3.3.5.4, 3.3.5.5).
    """

    __slots__ = ("must_sign", "preauth", "segments", "status")

    def __init__(
        self,
        *segments: Buffer,
        status: NtStatus = SUCCESS,
        must_sign: bool = False,
        preauth: PreauthIntegrity | None = None,
    ) -> None:
        self.segments = segments
        self.status = status
        self.must_sign = must_sign
        self.preauth = preauth


class Request:
    """A request and the context it runs in.

    `session`, `tree` are set by the dispatcher before the handler runs, as far as the command needs them.
    `cancel` is called by CANCEL and by the end of session or connection while the request waits, `cleanup` by the close
    of its handle; a handler that can wait long sets them.
    """

    __slots__ = (
        "async_id", "cancel", "chain", "charge", "cleanup", "connection", "engine", "header", "may_be_told_again",
        "message", "opened", "related", "sequence_moves", "session", "signed", "tree",
    )  # fmt: skip

    def __init__(
        self, engine: Engine, connection: Connection, chain: Chain, header: Header, message: memoryview
    ) -> None:
        self.signed = header.flags & SIGNED != 0
        """Whether the request carries a signature (already verified when a handler runs)."""
        self.related = header.flags & RELATED_OPERATIONS != 0
        """Whether it continues the compound's previous request."""
        self.engine = engine
        self.connection = connection
        self.chain = chain
        self.header = header
        self.charge = (header.credit_charge or 1) if connection.supports_multi_credit else 1
        """Credits that it pays; before 2.1 the field means nothing."""
        self.message = message
        self.session: Session | None = None
        self.tree: Tree | None = None
        self.opened: Open | None = None
        self.sequence_moves = 0
        """`Open.sequence_moves` when the request began to use the open."""
        self.may_be_told_again = False
        """Whether the client can ask for the answer on another connection."""
        self.async_id = 0
        self.cancel: Callable[[], None] | None = None
        self.cleanup: Callable[[], None] = _nothing

    @property
    def is_last_of_chain(self) -> bool:
        """Whether nothing follows it in its compound."""
        return self.header.next_command == 0

    @property
    def is_given_up(self) -> bool:
        """Whether nobody will hear the answer: its connection is gone, and its session cannot be asked on another."""
        if not self.connection.is_closed:
            return False
        session = self.session
        return session is None or not self.may_be_told_again or all(each.is_closed for each in session.channels)

    @property
    def command_name(self) -> str:
        """The command for log lines."""
        try:
            return Command(self.header.command).name
        except ValueError:
            return f"command {self.header.command:#x}"

    def session_of(self) -> Session:
        """The session; the dispatcher has made sure that there is one."""
        assert self.session is not None
        return self.session

    def tree_of(self) -> Tree:
        """The tree; the dispatcher has made sure that there is one."""
        assert self.tree is not None
        return self.tree

    def use_open(self, file_id: FileId) -> Open:
        """The open a request names, counted busy until the request ends; FILE_CLOSED when there is none.

        In a related request the ANY value stands for the open of the request before ([MS-SMB2] 3.3.5.2.7.2).
        FILE_NOT_AVAILABLE when the request comes too late or too early ([MS-SMB2] 3.3.5.2.10).
        """
        opened = self._find_open(file_id)
        if opened is None or opened.closing or opened.tree is not self.tree:
            raise SmbError(NtStatus.FILE_CLOSED)
        assert self.opened is None
        if self.connection.is_smb3:
            channel_sequence.verify(self, opened)
            self.sequence_moves = opened.sequence_moves
            if opened.durability is not None and self.header.command != IOCTL:
                opened.durability.is_replay_eligible = False
        opened.busy += 1
        self.opened = opened
        self.chain.opened = opened
        return opened

    def stop_using_open(self) -> None:
        """No longer count as a user of the open's handle: the request may wait for its close."""
        if self.opened is not None:
            channel_sequence.released(self, self.opened)
            self.opened.release()
            self.opened = None

    def use_open_again(self, opened: Open) -> None:
        """After `stop_using_open`: count as a user of an open that is there still."""
        assert self.opened is None and not opened.closing
        self.sequence_moves = opened.sequence_moves
        opened.busy += 1
        self.opened = opened

    def let_go_of_message(self) -> None:
        """The handler has read all it wants: keep nothing of the frame alive, however long the request lives."""
        self.message = _NO_BYTES

    def finish(self) -> None:
        """The request is answered: nothing it held is held any longer, and nobody finds it.  Harmless the second time.
        """
        self.message = _NO_BYTES
        self.cancel = None
        opened, tree, requests = self.opened, self.tree, self.connection.requests
        if opened is not None:
            self.opened = None
            if opened.older_requests:
                channel_sequence.released(self, opened)
            opened.release()
        if tree is not None:
            self.tree = None
            tree.release()
        message_id = self.header.message_id
        if requests.get(message_id) is self:
            del requests[message_id]
        if self.async_id:
            self.connection.async_requests.pop(self.async_id, None)

    def _find_open(self, file_id: FileId) -> Open | None:
        opened = self.session_of().opens.get(file_id.volatile)
        if opened is not None:
            return opened if opened.file_id.persistent == file_id.persistent else None
        return self.chain.opened if self.related and file_id == FILE_ID_ANY else None
