"""Workloads on connections that stay: opens what they need and hands it all to the native generator.

Knows: which operations a workload is made of, on which files.  Must not know: what the server costs.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from types import TracebackType
from typing import Final

from smbd_uring.perf import files
from smbd_uring.perf._generator import Generator, content
from smbd_uring.perf._histogram import Histogram
from smbd_uring.perf.many_connections import allow_descriptors
from smbd_uring.perf.session import Connection, NotAgreedError, Target
from smbd_uring.perf.templates import LISTING_BYTES, OperationTemplate, Templates
from smbd_uring.perf.workloads import Workload
from smbd_uring.wire.const import AccessMask, Command, CreateDisposition
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.data import ReadResponse
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId

COMPLAINTS: Final = (
    "", "an unexpected status", "an answer that is malformed", "an answer of the wrong length",
    "wrong contents", "no signature or a wrong one", "the server ended the connection",
    "something that is not an answer", "a frame that is not sealed or cannot be opened", "libcrypto failed",
    "no answer in time",
)  # fmt: skip
"""By the numbers of `complaint` in `_connection.pxd`."""

MIXED: Final = bytes([0, 0, 1, 0, 0, 2, 0, 0, 1, 0])
"""In every ten operations 7 reads (0), 2 writes (1) and a stat (2)."""

CREDITS_MIN: Final = 16
FILL_BYTES: Final = 65536
READ_AGAIN_MAX: Final = 16
"""How many WRITEs of each connection are read again when contents are verified."""


class SteadyWork:
    """Connections under steady load; a context manager.  `errors` and so on are since the last `clear`."""

    def __init__(self, target: Target, workload: Workload) -> None:
        """Connect and open.  Raises NotAgreedError, OSError."""
        self.workload = workload
        self.errors_found_later = 0
        # Never the same twice, so that what an earlier run has written cannot be taken for this one's.
        self.write_seed = int.from_bytes(os.urandom(7), "little")
        self.generator = Generator(
            verify=workload.verify, read_seed=files.READ_SEED, write_seed=self.write_seed,
            payload=content(0, workload.size, self.write_seed),
        )  # fmt: skip
        self.connections: list[Connection] = []
        self.write_ids: list[FileId] = []
        allow_descriptors(workload.connections)
        with ExitStack() as undoing:
            undoing.callback(self.close)
            for number in range(workload.connections):
                connection = Connection(target, workload.protection, number)
                self.connections.append(connection)
                self._add(connection, number)
            undoing.pop_all()

    @property
    def operations(self) -> int:
        """Operations that went well."""
        return self.generator.operations

    @property
    def transferred(self) -> int:
        """Bytes of payload they moved."""
        return self.generator.transferred

    @property
    def errors(self) -> int:
        """Operations that did not."""
        return self.generator.errors + self.errors_found_later

    @property
    def latencies(self) -> Histogram:
        """How long operations took, in ns."""
        return self.generator.latencies

    @property
    def complaint(self) -> str:
        """What went wrong first, or ""."""
        kind, status, command = self.generator.complaint()
        if not kind:
            return "what was written reads otherwise" if self.errors_found_later else ""
        about = f" ({Command(command).name})" if command else ""
        return COMPLAINTS[kind] + (f" 0x{status:08X}" if status else "") + about

    def work(self, seconds: float) -> float:
        """Keep the connections busy, then let all finish.  Result: how long it took, in seconds."""
        for connection in self.connections:
            connection.lend_socket()
        took = self.generator.run(seconds)
        for index, connection in enumerate(self.connections):
            connection.take_back(*self.generator.channel_state(index))
        return took

    def check_written(self) -> None:
        """Read some of what was written last again; every difference is an error."""
        for index, file_id in enumerate(self.write_ids):
            client = self.connections[index].client
            for offset in self.generator.written(index)[:READ_AGAIN_MAX]:
                for start in range(offset, offset + self.workload.size, FILL_BYTES):
                    length = min(FILL_BYTES, offset + self.workload.size - start)
                    reply = client.read(file_id, start, length)
                    wanted = content(start, length, self.write_seed)
                    if reply.status != NtStatus.SUCCESS or bytes(reply.expect(ReadResponse).data) != wanted:
                        self.errors_found_later += 1

    def clear(self) -> None:
        """Count from here on."""
        self.generator.clear()

    def close(self) -> None:
        """Log off everywhere."""
        for connection in self.connections:
            connection.leave()

    def __enter__(self) -> SteadyWork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _add(self, connection: Connection, number: int) -> None:
        while connection.client.credits < CREDITS_MIN:
            connection.client.echo()
        operations = self._operations(connection, number)
        keys = connection.session.keys
        assert keys is not None
        client = connection.client
        self.generator.add_connection(
            connection.lend_socket(), connection.session.session_id, client.next_message_id, client.credits,
            operations, MIXED if self.workload.name == "mixed" else bytes(1), self.workload.depth,
            reply_bytes_max=max(self.workload.size, LISTING_BYTES),
            signing_algorithm=connection.signing_algorithm, signing_key=keys.signing_key,
            cipher=connection.cipher, sealing_key=keys.decryption_key, opening_key=keys.encryption_key,
        )  # fmt: skip
        connection.take_back(client.next_message_id, client.credits)

    def _operations(self, connection: Connection, number: int) -> list[OperationTemplate]:
        workload = self.workload
        assert connection.client.session is not None
        templates = Templates(
            connection.session.session_id, connection.client.tree_id,
            signs=connection.signing_algorithm is not None,
            name_prefix=f"{files.NEW_FOLDER}\\{os.getpid()}-{number}-",
        )  # fmt: skip
        match workload.name:
            case "echo":
                return [templates.echo()]
            case "read":
                return [self._reading(connection, templates)]
            case "write":
                return [self._writing(connection, templates, number)]
            case "open_close":
                return [templates.open_close()]
            case "stat":
                return [templates.stat()]
            case "create_delete":
                return [templates.create_delete(workload.size)]
            case "list":
                return [templates.list()]
            case "mixed":
                reading, writing = self._reading(connection, templates), self._writing(connection, templates, number)
                return [reading, writing, templates.stat()]
        raise ValueError(f"{workload.name} is no steady workload")

    def _reading(self, connection: Connection, templates: Templates) -> OperationTemplate:
        reply = connection.client.create(files.READ_FILE, AccessMask.GENERIC_READ)
        if reply.status != NtStatus.SUCCESS:
            raise NotAgreedError(
                f"{files.READ_FILE} cannot be opened; is the share's folder prepared? "
                "`python -m smbd_uring.perf.load --prepare FOLDER`"
            )
        opened = reply.expect(CreateResponse)
        blocks = opened.end_of_file // self.workload.size
        is_random = self.workload.pattern == "random"
        return templates.read(opened.file_id, self.workload.size, blocks, is_random)

    def _writing(self, connection: Connection, templates: Templates, number: int) -> OperationTemplate:
        """Open a file of the connection's own, filled before, so that WRITEs find their blocks allocated."""
        reply = connection.client.create(
            f"{files.WRITE_FOLDER}\\{number}.dat", AccessMask.GENERIC_READ | AccessMask.GENERIC_WRITE,
            disposition=CreateDisposition.OPEN_IF,
        )  # fmt: skip
        opened = reply.expect(CreateResponse)
        needed = files.write_file_bytes(self.workload.connections, self.workload.size)
        for start in range(opened.end_of_file, needed, FILL_BYTES):
            data = bytes(min(FILL_BYTES, needed - start))
            assert connection.client.write(opened.file_id, data, start).status == NtStatus.SUCCESS
        self.write_ids.append(opened.file_id)
        is_random = self.workload.pattern == "random"
        return templates.write(opened.file_id, self.workload.size, needed // self.workload.size, is_random)
