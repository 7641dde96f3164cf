"""Which write time clients are told of an open file.

Knows: [MS-FSCC] 2.4.7, [MS-FSA] 2.1.5.15.2, and what clients rely on.  Must not know: who asks for a time.

The kernel moves a file's modification time with every write, a data plane's too.  Clients are told later, as Windows
and Samba do it, so that a file that is written all the time does not look new to everybody all the time:

* The time a file had when it was first opened is told until a handle's first write is `WRITE_TIME_DELAY_S` old, or the
  handle is flushed or closed, or has its file's size or attributes changed.  Then the kernel's time is told once; what
  the same handle writes after that is told when it is flushed or closed.
* That a file was emptied when it was opened is told when nobody has it open any more, if nothing else is.
* A change that no open of ours made, a local program's, is told at once.
* A time that a client sets is told whatever is written through that handle, and set once more when it is closed; but
  not that of a folder, where others go on making files.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from smbd_uring.engine import grants
from smbd_uring.engine.opens import File, Open
from smbd_uring.limits import WRITE_TIME_DELAY_S
from smbd_uring.ports import FileFacts, SetTimes

if TYPE_CHECKING:
    from smbd_uring.engine.engine import Engine

log = logging.getLogger("smbd.fs")

DELAY_NS = int(WRITE_TIME_DELAY_S * 1_000_000_000)


def shown(engine: Engine, file: File, facts: FileFacts) -> FileFacts:
    """The facts as clients are told them."""
    status = facts.status
    if file.write_time_ns is None or status.modified_ns == file.write_time_ns:
        file.write_time_ns = status.modified_ns
        return facts
    if not file.is_write_time_set and _is_due(engine, file):
        file.write_time_ns = status.modified_ns
        return facts
    return facts._replace(status=status._replace(modified_ns=file.write_time_ns))


def _is_due(engine: Engine, file: File) -> bool:
    """Whether what was written is to be told by now."""
    due, written = False, False
    for opened in file.opens:
        written_ns = grants.written_ns_of(opened)
        if written_ns or opened.is_overwrite_untold:
            written = True
        if written_ns and not opened.is_write_told and engine.wall_clock() - written_ns >= DELAY_NS:
            due = opened.is_write_told = True
    return due or not written


def tell(opened: Open) -> None:
    """What was written through this handle is told from now on."""
    if grants.written_ns_of(opened):
        tell_at_once(opened)


def tell_at_once(opened: Open) -> None:
    """The file's size was changed through this handle, or what was written through it flushed."""
    if not opened.file.is_write_time_set:
        opened.is_write_told = True
        opened.file.write_time_ns = None


def as_left(opened: Open, facts: FileFacts) -> FileFacts:
    """The facts of a file as the closing of a handle is going to leave it."""
    file = opened.file
    if opened.holds_write_time and file.is_write_time_set and not opened.is_directory and not file.delete_pending:
        assert file.write_time_ns is not None
        return facts._replace(status=facts.status._replace(modified_ns=file.write_time_ns))
    return facts


def keep(opened: Open, write_time_ns: int) -> None:
    """A client set the write time through this handle."""
    opened.file.write_time_ns = write_time_ns
    opened.file.is_write_time_set = opened.holds_write_time = True


async def closing(engine: Engine, opened: Open) -> None:
    """The handle is closing: what was written through it is told, or leaves the time that was set."""
    tell(opened)
    file = opened.file
    if opened.holds_write_time and opened.handle is not None and file.is_write_time_set:
        assert file.write_time_ns is not None
        file.is_write_time_set = False  # what others write from now on is told again
        try:
            async with engine.notifications.own_change(opened.tree.share.path, opened.components):
                await SetTimes(opened.handle, None, file.write_time_ns, opened.credentials)
        except OSError as error:
            log.debug("keeping the write time of %s failed: %s", opened.name, error)
