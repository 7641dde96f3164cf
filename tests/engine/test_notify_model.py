"""What a client hears of a tree is enough to know the tree, whoever changes it and in whatever order: or it is told to
look for itself.

A client keeps the names below a watched folder by what it is told.  It looks into a folder that comes, as every client
does, and at everything when it is told so.  Programs and another client do as chance will have it, inside the watched
folder, outside and between; when all is quiet the client's names are those that are there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from smbd_uring import limits
from smbd_uring.wire.const import AccessMask, CreateDisposition, CreateOptions, FileInfoClass
from smbd_uring.wire.create import CreateResponse
from smbd_uring.wire.fscc import RenameInformation
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId
from tests.engine.conftest import MakeServer
from tests.engine.servers import SimulatedServer
from tests.engine.watching import NAMES, LocalPrograms, Watch
from tests.sim.nodes import Node
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient

STEPS = 60
CHANGES_ON_DISK = 2000
SOON_S = 0.02
"""Programs do what they do while the server is at work."""

RUNS = range(8)
TOP = "in"
FOLDERS = ("in", "in/a", "in/a/b", "in/c", "out", "out/d")
NAMES_USED = ("a", "b", "c", "d", "x", "y", "z")
FREE = CreateOptions.FILE_DIRECTORY_FILE


class Mirror:
    """The names below the watched folder, as one client knows them.  `look` finds those that are there."""

    def __init__(self, watch: Watch, look: Callable[[str], set[str]]) -> None:
        self._watch = watch
        self._look = look
        self.names = look(TOP)

    def take(self) -> bool:
        """Hear what there is to hear.  Result: whether there was something."""
        events = self._watch.rest()
        if events is None:
            self.names = self._look(TOP)
            return True
        for action, name in events:
            path = name.replace("\\", "/")
            if action in ("REMOVED", "RENAMED_OLD_NAME"):
                self._forget(path)
            elif action in ("ADDED", "RENAMED_NEW_NAME"):
                self._forget(path)
                self.names.add(path)
                self.names |= {f"{path}/{below}" for below in self._look(f"{TOP}/{path}")}
        return bool(events)

    def _forget(self, path: str) -> None:
        self.names = {name for name in self.names if name != path and not name.startswith(path + "/")}


def names_below(server: SimulatedServer, path: str) -> set[str]:
    """Every path below a folder, relative to it; none when there is no such folder."""
    names: set[str] = set()

    def look(node: Node, prefix: str) -> None:
        for name, child in node.entries.items():
            names.add(prefix + name.decode())
            look(child, f"{prefix}{name.decode()}/")

    if server.world.kernel.exists(f"/share/{path}"):
        look(server.world.kernel.node(f"/share/{path}"), "")
    return names


def names_on_disk(top: Path, path: str) -> set[str]:
    """The same in a real folder, while others change it."""
    return {os.path.relpath(found, top / path) for found in all_below(top / path)}


def all_below(folder: Path) -> Iterator[Path]:
    """Every path below a folder that may vanish meanwhile."""
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        yield entry
        yield from all_below(entry)


def any_path(random: Random) -> str:
    """Something inside of the watched folder or outside, which may be there."""
    return "/".join((random.choice(("in", "in", "out")), *random.choices(NAMES_USED, k=random.randint(1, 3))))


def change_locally(random: Random, local: LocalPrograms, old: str, new: str) -> None:
    """Let a program do something; what cannot be done is not done."""
    change = random.choice(("make", "folder", "remove", "rmdir", "rename", "rename"))
    try:
        if change == "make":
            local.make_file(new, b"data")
        elif change == "folder":
            local.make_folder(new)
        elif change == "rename":
            local.rename(old, new)
        else:
            local.remove(old, folder=change == "rmdir")
    except OSError:
        pass


def change_by_smb(random: Random, client: FileClient, old: str, new: str) -> None:
    """Let another client do something, whatever comes of it."""
    old, new = old.replace("/", "\\"), new.replace("/", "\\")
    change = random.choice(("make", "folder", "remove", "rename"))
    if change in ("make", "folder"):
        reply = client.create(
            new, disposition=CreateDisposition.CREATE, options=FREE if change == "folder" else 0
        )
    else:
        delete = CreateOptions.FILE_DELETE_ON_CLOSE if change == "remove" else 0
        reply = client.create(old, AccessMask.DELETE | AccessMask.FILE_READ_ATTRIBUTES, options=delete)
    if reply.status != NtStatus.SUCCESS:
        return
    file_id = client_file_id(reply)
    if change == "rename":
        client.set_info(file_id, FileInfoClass.RENAME, RenameInformation(random.random() < 0.5, new, 0))
    client.close(file_id)


def client_file_id(reply: Reply) -> FileId:
    """The handle that a CREATE gave."""
    return reply.expect(CreateResponse).file_id


@pytest.mark.parametrize("run", RUNS)
def test_what_a_client_hears_is_enough_to_know_the_tree(simulated: SimulatedServer, run: int) -> None:
    random = Random(1000 * simulated.driver.seed + run)
    for name in FOLDERS:
        simulated.files.add_directory(name, 0o777)
    watch = Watch(simulated.client(), TOP, tree=True, completion_filter=NAMES)
    simulated.settle(lambda engine: engine.notifications.is_settled and engine.notifications.folder_count == 4)
    mirror = Mirror(watch, partial(names_below, simulated))
    local, other = LocalPrograms(simulated), simulated.client()

    for _ in range(STEPS):
        if random.random() < 0.3:
            change_by_smb(random, other, any_path(random), any_path(random))
        for _ in range(random.choice((0, 1, 1, 8))):
            again = partial(change_locally, random, local, any_path(random), any_path(random))
            simulated.driver.later(random.uniform(0, SOON_S), again)
        if random.random() < 0.3:
            mirror.take()
        if random.random() < 0.003:
            simulated.world.kernel.changes.lose()
    simulated.advance(2 * limits.FOLDERS_REBUILD_MAX_S)
    while mirror.take():
        simulated.advance(0.1)
    assert mirror.names == names_below(simulated, TOP)


@pytest.mark.parametrize("driver", ["ring", "epoll"])
def test_and_so_it_is_on_a_real_disk(make_server: MakeServer, driver: str) -> None:
    """Two programs at once, and the kernel's own order."""
    server = make_server()
    for name in FOLDERS:
        server.files.add_directory(name, 0o777)
    watch = Watch(server.client(), TOP, tree=True, completion_filter=NAMES)
    mirror = Mirror(watch, partial(names_on_disk, Path(server.files.top())))

    def change(seed: int) -> None:
        random, local = Random(seed), LocalPrograms(server)
        for _ in range(CHANGES_ON_DISK):
            change_locally(random, local, any_path(random), any_path(random))

    programs = [Thread(target=change, args=(seed,)) for seed in (1, 2)]
    for program in programs:
        program.start()
    while any(program.is_alive() for program in programs):
        mirror.take()
    for program in programs:
        program.join()
    server.advance(2 * limits.FOLDERS_REBUILD_MAX_S)
    quiet = 0
    while quiet < 5:
        quiet = 0 if mirror.take() else quiet + 1
        time.sleep(0.02)
    assert mirror.names == names_on_disk(Path(server.files.top()), TOP)
