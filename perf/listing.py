"""What listing a folder of any size costs a server.

Knows: the tests' client, how processor time is read.  Must not know: which server it is.

The load generator lists a folder of one size and checks it; here the size is what varies.
"""

from __future__ import annotations

import time

from smbd_uring.perf.contenders import Duration, Figures, target
from smbd_uring.perf.cpu import ProcessTree
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.files import DOTS
from smbd_uring.perf.pinning import Placement, placed
from smbd_uring.perf.servers import Running
from smbd_uring.perf.session import Connection
from smbd_uring.wire.const import AccessMask, CreateOptions


def list_folder(running: Running, folder: str, entries: int, placement: Placement, duration: Duration) -> Figures:
    """List `folder` of the share, again and again for that long, at least once after the first time.

    Raises MeasurementError when a listing has another number of entries, NotAgreedError, OSError.
    """
    tree = ProcessTree(running.pid)
    with placed(placement, running.pid), Connection(target(running)) as connection:
        _list_once(connection, folder, entries)
        before, started = tree.snapshot(), time.monotonic()
        listings = 0
        while listings == 0 or time.monotonic() < started + duration.seconds:
            _list_once(connection, folder, entries)
            listings += 1
        seconds, used = time.monotonic() - started, tree.snapshot().since(before)
    return Figures(
        operations_per_s=listings / seconds, megabytes_per_s=0.0,
        cpu_user_us=used.user_ns / 1000 / listings, cpu_system_us=used.system_ns / 1000 / listings,
    )  # fmt: skip


def _list_once(connection: Connection, folder: str, entries: int) -> None:
    client = connection.client
    access = AccessMask.FILE_LIST_DIRECTORY | AccessMask.FILE_READ_ATTRIBUTES
    file_id = client.open(folder, access, options=CreateOptions.FILE_DIRECTORY_FILE)
    found = len(client.listing(file_id)) - len(DOTS)
    client.close(file_id)
    if found != entries:
        raise MeasurementError(f"a listing of {entries} files shows {found}")
