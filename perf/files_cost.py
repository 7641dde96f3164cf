"""What the file layer costs the server's CPU: microseconds of each sequence of effects, as the loop performs them.

Knows: the file layer, the loop's way of performing effects at once.  Must not know: SMB, sockets.

    python perf/files_cost.py [FOLDER]

Works in FOLDER (default: a temporary one in /dev/shm) on files of its own.  Effects that the loop would leave to others
are made by system calls in place and counted, so a figure is comparable only where that count is 0.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.loop import syscalls
from smbd_uring.loop.inline_files import InlineFiles
from smbd_uring.ports import NOT_NOW, CloseHandle, Credentials, Effect, Reopen, ShareRoot
from smbd_uring.process import settle_memory

ROUNDS = 5


class Machine:
    """Runs coroutines of the file layer, effects performed as in the loop."""

    def __init__(self) -> None:
        self._inline = InlineFiles()
        self.left_to_others = 0

    def be_oneself(self) -> None:
        """Nobody's client any more."""
        self._inline.be_oneself()

    def run(self, coroutine: Coroutine[Effect[Any], Any, Any]) -> Any:
        """The coroutine's result."""
        result: Any = None
        error: BaseException | None = None
        while True:
            try:
                effect = coroutine.send(result) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            result, error = None, None
            try:
                result = self._inline.perform_now(effect)
                if result is NOT_NOW:
                    self.left_to_others += 1
                    self._inline.be_oneself()
                    result = syscalls.perform(effect)
            except OSError as refusal:
                error = refusal


class Sequences:
    """What clients do, as the engine asks the file layer for it."""

    def __init__(self, machine: Machine, folder: str, credentials: Credentials) -> None:
        self._files = PosixFilesystem()
        self._machine = machine
        self._who = credentials
        handle = machine.run(self._files.open_root(folder))
        self._root = ShareRoot(handle, True, True, True, True)

    async def find(self, *components: str) -> None:
        """A lookup that hits."""
        found = await self._files.lookup(self._root, components, self._who)
        assert found.handle is not None
        await CloseHandle(found.handle)

    async def miss(self, *components: str) -> None:
        """A lookup of what is not there."""
        found = await self._files.lookup(self._root, components, self._who)
        assert found.handle is None

    async def open_and_close(self, *components: str) -> None:
        """As a CREATE for reading and a CLOSE do."""
        found = await self._files.lookup(self._root, components, self._who)
        assert found.handle is not None
        handle = await Reopen(found.handle, os.O_RDONLY | os.O_NONBLOCK, self._who)
        await CloseHandle(found.handle)
        await CloseHandle(handle)

    async def stat(self, *components: str) -> None:
        """As a compound of CREATE, QUERY_INFO and CLOSE does."""
        found = await self._files.lookup(self._root, components, self._who)
        assert found.handle is not None
        await self._files.facts(self._root, found.handle, components[-1], self._who)
        await CloseHandle(found.handle)

    async def create_and_delete(self, *components: str) -> None:
        """As a CREATE of a new file, its CLOSE, and a CREATE with delete-on-close and its CLOSE do."""
        await self.miss(*components)
        handle, _ = await self._files.create_file(self._root, components, os.O_RDWR, 0x20, self._who)
        await CloseHandle(handle)
        found = await self._files.lookup(self._root, components, self._who)
        assert found.handle is not None and found.facts is not None
        await self._files.may_delete(self._root, components, found.facts, self._who)
        await self._files.delete(self._root, components, found.facts.status.identity, False, self._who)
        await CloseHandle(found.handle)

    async def list_folder(self, *components: str) -> None:
        """Every entry with its facts."""
        found = await self._files.lookup(self._root, components, self._who)
        assert found.handle is not None
        handle = await Reopen(found.handle, os.O_RDONLY | os.O_DIRECTORY, self._who)
        await CloseHandle(found.handle)
        entries = await self._files.list_names(handle)
        for start in range(0, len(entries), 512):
            batch = entries[start : start + 512]
            await self._files.describe(self._root, handle, components, batch, self._who)
        await CloseHandle(handle)


def fill(folder: str, count: int) -> None:
    """A folder of `count` files, every one with stored attributes as Samba and this server leave them."""
    os.mkdir(folder)
    os.chmod(folder, 0o777)
    value = bytes.fromhex("00000500050000001100000020000000008bd9a9a75bda01")
    for number in range(count):
        path = f"{folder}/file {number:06}.dat"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))
        os.setxattr(path, "user.DOSATTRIB", value)


def measure(machine: Machine, name: str, count: int, make: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Print CPU microseconds a run, the best of some rounds."""
    machine.run(make())
    before, best = machine.left_to_others, float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(count):
            machine.run(make())
        best = min(best, (time.process_time() - began) / count)
    others = (machine.left_to_others - before) / count / ROUNDS
    print(f"{name:42} {best * 1e6:10.1f} µs   {others:.1f} effects left to others", flush=True)


def main(folder: str) -> None:
    """All sequences, as the server's own user and, as root, as somebody else."""
    os.umask(0)
    settle_memory()
    sizes = (1_000, 10_000, 100_000)
    for size in sizes:
        fill(f"{folder}/{size}", size)
    users = [Credentials(os.geteuid(), os.getegid())] + ([Credentials(12345, 12345)] if os.geteuid() == 0 else [])
    for who in users:
        machine = Machine()
        print(f"uid {who.uid}")
        measure_all(machine, Sequences(machine, folder, who), sizes)


def measure_all(machine: Machine, sequences: Sequences, sizes: tuple[int, ...]) -> None:
    """Every sequence for one user."""
    near = (str(sizes[0]), "file 000500.dat")
    measure(machine, "lookup, hit", 3000, partial(sequences.find, *near))
    measure(machine, "open and close", 3000, partial(sequences.open_and_close, *near))
    measure(machine, "stat", 3000, partial(sequences.stat, *near))
    for size in sizes:
        new = (str(size), "new file.dat")
        repeat = max(5, 20_000 // size)
        measure(machine, f"lookup, miss among {size}", repeat, partial(sequences.miss, str(size), "nothing"))
        measure(machine, f"create and delete among {size}", repeat, partial(sequences.create_and_delete, *new))
        measure(machine, f"list {size}", max(1, repeat // 4), partial(sequences.list_folder, str(size)))
    machine.be_oneself()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as temporary:
            os.chmod(temporary, 0o755)
            main(temporary)
