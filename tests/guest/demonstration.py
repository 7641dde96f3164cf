"""Inside the virtual machine: two machines with the kernel's client, programs of the server's own, and what goes wrong.

Knows: the scenes and what each must come to.  Must not know: how the machine was booted, how the stage is built.

Run as root by `tests/guest/run.sh demonstration`; prints a transcript.  Exit status 0 when every scene ended as it
must.  What to look at in it is in docs/demonstration.md.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from smbd_uring.cli.control_client import request
from tests.guest.stage import Client, StatusWatcher, Transcript, run
from tests.support.endpoint import Account, Share, make_share
from tests.support.server import Server, write_configuration

MIB = 1 << 20
PORT = 4450
ACCOUNT = Account("daemon", "Passw0rd")
OPTIONS = "vers=3.1.1,hard,echo_interval=4"
"""A client that hears nothing for three times the interval gives its connection up: within the time of the cut."""

COPY_BYTES = 64 * MIB
CUT_AT_BYTES = 16 * MIB
CUT_S = 30
COPY_TIMEOUT_S = 240
ROUNDS = 20


class Stage:
    """The server, its two clients, and where everything is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.transcript = Transcript()
        self.say = self.transcript.say
        self.a, self.b = (Client(name, number, PORT, ACCOUNT) for number, name in enumerate("ab", 1))
        self.data, self.steady = make_share(folder, "data"), make_share(folder, "steady")
        self.source = folder / "source"
        server_folder = folder / "server"
        server_folder.mkdir()
        self.state_directory = server_folder / "state"
        configuration = write_configuration(server_folder, [self.data, self.steady], [ACCOUNT])
        with configuration.smb_conf.open("a") as smb_conf:
            smb_conf.write("\tcontinuous availability = yes\n")  # of the share that was written last
        listen = [word for client in (self.a, self.b) for word in ("--listen", f"{client.server_address}:{PORT}")]
        self.server = Server(
            server_folder, [self.data, self.steady], [ACCOUNT], configuration=configuration, arguments=listen
        )

    def mounted(self, client: Client, share: Share) -> Path:
        """Where a client has mounted a share."""
        return self.folder / f"{client.name}-{share.name}"

    def set_up(self) -> None:
        """Everything that the scenes have in common."""
        for client in (self.a, self.b):
            client.set_up()
        self.say("ip", "A and B have a network namespace and a cable each")
        self.server.start()
        request(self.state_directory, {"command": "debug", "component": "engine"})
        for client in (self.a, self.b):
            client.mount("data", self.mounted(client, self.data), OPTIONS)
        self.a.mount("steady", self.mounted(self.a, self.steady), OPTIONS + ",persistenthandles")
        self.say("A, B", "have mounted the share; A the continuously available one, too")
        self.source.write_bytes(random.Random(5).randbytes(COPY_BYTES))

    def tear_down(self) -> None:
        """The clients go, then the server, which must end cleanly."""
        for path in self.folder.glob("[ab]-*"):
            run(["umount", str(path)])
        self.server.terminate()

    def tell_log(self, name: str, since: int) -> None:
        """Put what the server's log says of a file into the transcript.  `since`: how long the log was, in letters."""
        for line in self.server.log()[since:].splitlines():
            if f"{name}:" in line or "persistent handle" in line:
                self.say("log", line.split(" ", 1)[1])

    def watch(self, name: str) -> StatusWatcher:
        """Say what the server holds of a file."""
        return StatusWatcher(self.transcript, self.state_directory, name)


# --- caches --------------------------------------------------------------------------------------------------------


def clients_cache(stage: Stage) -> None:
    """A keeps what it wrote to itself until B opens the file; afterwards each sees what the other one wrote."""
    name = "shared"
    words = b"A wrote this and kept it.\n" * 4000
    at_a, at_b = (stage.mounted(client, stage.data) / name for client in (stage.a, stage.b))
    with stage.watch(name), at_a.open("xb+", buffering=0) as by_a:
        by_a.write(words)
        kept_back(stage, name, len(words))
        stage.say("B", "opens the file and reads it")
        started = time.monotonic()
        found = at_b.read_bytes()
        stage.say("B", f"has {len(found)} bytes after {time.monotonic() - started:.2f} s")
        assert found == words, "B read something else than A wrote"
        with at_b.open("rb+", buffering=0) as by_b:
            by_b.write(b"B changed this, A's copy of it is old.")
            os.fsync(by_b.fileno())
        seen = os.pread(by_a.fileno(), 38, 0)
        stage.say("A", f"reads by the handle that it had all the time: {seen.decode()!r}")
        assert seen == b"B changed this, A's copy of it is old."


def clients_take_turns(stage: Stage) -> None:
    """One writes and keeps the file open, the other one reads: never what was there before."""
    name = "turns"
    at = [stage.mounted(client, stage.data) / name for client in (stage.a, stage.b)]
    at[0].write_bytes(bytes(4096))
    stale = 0
    for number in range(ROUNDS):
        text = f"round {number}".encode().ljust(4096, b".")
        with at[number % 2].open("rb+", buffering=0) as writing:
            writing.write(text)
            stale += at[1 - number % 2].read_bytes() != text
    stage.say("A, B", f"{ROUNDS} rounds of writing and reading in turns: {stale} stale reads")
    assert not stale


def local_programs(stage: Stage) -> None:
    """The same with programs on the server's machine, that know nothing of SMB."""
    name = "local"
    words = b"A wrote this and kept it.\n" * 4000
    behind = stage.data.path / name
    with stage.watch(name), (stage.mounted(stage.a, stage.data) / name).open("xb+", buffering=0) as by_a:
        by_a.write(words)
        kept_back(stage, name, len(words))
        stage.say("local", f"cat {behind}")
        started = time.monotonic()
        found = subprocess.run(["cat", str(behind)], stdout=subprocess.PIPE, check=True, timeout=60).stdout
        stage.say("local", f"cat has {len(found)} bytes after {time.monotonic() - started:.2f} s")
        assert found == words, "the program read something else than A wrote"
    stale = 0
    for number in range(ROUNDS):
        text = f"local round {number}".encode().ljust(4096, b".")
        with (stage.mounted(stage.a, stage.data) / name).open("rb", buffering=0) as by_a:
            by_a.read()
            with behind.open("rb+", buffering=0) as writing:
                writing.write(text)
            stale += os.pread(by_a.fileno(), 4096, 0) != text
    stage.say("A", f"{ROUNDS} changes by a local program while A has the file open and read: {stale} stale reads")
    assert not stale


def kept_back(stage: Stage, name: str, size: int) -> None:
    """Assert that the server has nothing of what A wrote; `stat` breaks nobody's cache."""
    behind = (stage.data.path / name).stat().st_size
    stage.say("A", f"wrote {size} bytes into its cache and keeps the file open; the server's file has {behind}")
    assert behind == 0, "A did not cache what it wrote"
    time.sleep(0.1)  # the transcript shows A's lease


# --- interruptions -------------------------------------------------------------------------------------------------


def cable_pulled(stage: Stage) -> None:
    """A's cable is out for half a minute in the middle of a copy."""
    name = "copied"
    with stage.watch(name) as watcher:
        copy = begin_copy(stage, stage.data, name)
        stage.a.pull_out()
        stage.say("cable", f"A's is out; {(stage.data.path / name).stat().st_size >> 20} MiB had arrived")
        time.sleep(CUT_S)
        assert copy.poll() is None, "the copy ended without a connection"
        stage.a.plug_in()
        stage.say("cable", f"A's is in again after {CUT_S} s")
        end_copy(stage, copy, stage.data, name)
    assert watcher.has_seen("DURABLE_AWAY"), "the handle never waited for its client"
    same_bytes(stage, stage.data, name, stage.mounted(stage.b, stage.data) / name)


def server_killed(stage: Stage) -> None:
    """The server ends without a word in the middle of a copy, and another client is there first when it is back."""
    name = "copied"
    with stage.watch(name) as watcher:
        copy = begin_copy(stage, stage.steady, name)
        stage.server.kill()
        stage.say("server", f"kill -9; {(stage.steady.path / name).stat().st_size >> 20} MiB had arrived")
        stage.a.pull_out()  # so that B comes first
        stage.server.start()
        request(stage.state_directory, {"command": "debug", "component": "engine"})
        stage.say("server", "runs again, with the same state directory; A's cable is out")
        answer = stage.b.smbclient("steady", f"get {name} /dev/null")
        stage.say("B", f"smbclient get {name}: {answer.splitlines()[-1]}")
        assert "NT_STATUS_FILE_NOT_AVAILABLE" in answer, "another client got at the file"
        stage.a.plug_in()
        stage.say("cable", "A's is in again")
        end_copy(stage, copy, stage.steady, name)
    assert watcher.has_seen("PERSISTENT_AWAY"), "the handle never waited for its client"
    same_bytes(stage, stage.steady, name, stage.mounted(stage.a, stage.steady) / name)


def begin_copy(stage: Stage, share: Share, name: str) -> subprocess.Popen[bytes]:
    """Start a copy by A that ends in fsync.  Result: it, in the middle."""
    target, behind = stage.mounted(stage.a, share) / name, share.path / name
    command = ["dd", f"if={stage.source}", f"of={target}", "bs=256K", "conv=fsync", "status=none"]
    stage.say("A", " ".join(command))
    copy = subprocess.Popen(command)
    deadline = time.monotonic() + COPY_TIMEOUT_S
    while not behind.exists() or behind.stat().st_size < CUT_AT_BYTES:
        assert copy.poll() is None and time.monotonic() < deadline, "the copy was not seen on its way"
        time.sleep(0.002)
    return copy


def end_copy(stage: Stage, copy: subprocess.Popen[bytes], share: Share, name: str) -> None:
    """Wait for the end of a copy, which must be a good one."""
    status = copy.wait(COPY_TIMEOUT_S)
    stage.say("A", f"dd ended with status {status}; the server's file has "
                   f"{(share.path / name).stat().st_size >> 20} MiB")
    assert status == 0, "the copy failed"


def same_bytes(stage: Stage, share: Share, name: str, mounted: Path) -> None:
    """Assert that source, server and a client agree."""
    for path in (share.path / name, mounted):
        assert digest_of(path) == digest_of(stage.source), f"{path} is not what was copied"
    stage.say("all", f"SHA-256 of the source, the server's file and {mounted.name}: {digest_of(stage.source)[:16]}…")


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the show ------------------------------------------------------------------------------------------------------

SCENES: dict[str, tuple[str, Callable[[Stage], None]]] = {
    "clients": ("two clients, one caches and the other one comes", clients_cache),
    "turns": ("two clients write and read in turns", clients_take_turns),
    "local": ("a client caches and a local program comes", local_programs),
    "cable": (f"the cable is out for {CUT_S} s in the middle of a copy", cable_pulled),
    "kill": ("kill -9 in the middle of a copy over a persistent handle", server_killed),
}


def play(stage: Stage, name: str) -> bool:
    """Play one scene.  Result: whether it ended as it must."""
    title, scene = SCENES[name]
    stage.transcript.scene(title)
    logged = len(stage.server.log())
    try:
        scene(stage)
    except Exception:
        traceback.print_exc(limit=-3)
        return False
    finally:
        stage.tell_log({"clients": "shared", "local": "local"}.get(name, "copied"), logged)
    stage.say("scene", "ended as it must")
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, play the scenes, say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", action="append", choices=list(SCENES), help="only this one (repeatable)")
    options = parser.parse_args(arguments)

    scratch = Path("/scratch")  # a real file system in the machine: leases, xattrs, and a disk to be on
    folder = Path(tempfile.mkdtemp(prefix="demonstration-", dir=scratch))
    folder.chmod(0o755)
    stage = Stage(folder)
    print(f"kernel {os.uname().release}; every mount: {OPTIONS}", flush=True)
    stage.set_up()
    for name in options.scene or SCENES:
        if not play(stage, name):
            print(f"\nfailed: {name}; the server's log:\n{stage.server.log()}", flush=True)
            return 1  # the machine ends, and the mounts that may hang with it
    stage.tear_down()
    print("everything ended as it must", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
