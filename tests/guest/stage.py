"""What a demonstration stands on: namespaces with a cable each, mounts in them, and a transcript.

Knows: `ip`, mount.cifs, the server's control socket.  Must not know: what is demonstrated.

A client of the kernel's that lives in a network namespace of its own shares nothing with another one: neither its
connection, nor its ClientGUID, nor its page cache.  Its cable is a pair of veth interfaces; pulling it out is setting
the server's end down.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from smbd_uring.cli.control_client import ControlError, request
from tests.support.endpoint import Account

POLL_S = 0.02
COMMAND_TIMEOUT_S = 120


class Transcript:
    """Says on stdout who did what when; threads may speak at the same time."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def scene(self, title: str) -> None:
        """A new part begins."""
        with self._lock:
            print(f"\n== {title}", flush=True)

    def say(self, who: str, what: str) -> None:
        """One line: seconds since the start, who, what."""
        with self._lock:
            print(f"{time.monotonic() - self._started:8.2f} s  {who:<8} {what}", flush=True)


@dataclass(frozen=True)
class Client:
    """One machine with the kernel's client: a network namespace, and the address that it sees the server at."""

    name: str
    number: int
    port: int
    account: Account

    @property
    def server_address(self) -> str:
        """The server's end of the cable."""
        return f"10.77.{self.number}.1"

    @property
    def cable(self) -> str:
        """The name of the server's interface."""
        return f"cable-{self.name}"

    def enter(self, *command: str) -> list[str]:
        """The command line of `command` in this client's network, with the mounts of everybody."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def set_up(self) -> None:
        """Make the namespace and its cable.  Raises subprocess.CalledProcessError, `ip` having said why."""
        peer = f"net-{self.name}"
        lines = (
            f"netns add {self.name}",
            f"link add {self.cable} type veth peer name {peer} netns {self.name}",
            f"address add {self.server_address}/24 dev {self.cable}",
            f"-n {self.name} address add 10.77.{self.number}.2/24 dev {peer}",
            f"-n {self.name} link set {peer} up",
        )
        for line in lines:
            run(["ip", *line.split()])
        self.plug_in()

    def plug_in(self) -> None:
        """The cable is in."""
        run(["ip", "link", "set", self.cable, "up"])

    def pull_out(self) -> None:
        """The cable is out: what either side sends goes nowhere."""
        run(["ip", "link", "set", self.cable, "down"])

    def mount(self, share: str, at: Path, options: str) -> None:
        """Mount a share.  Raises subprocess.CalledProcessError, mount.cifs having said why."""
        at.mkdir()
        given = f"username={self.account.name},password={self.account.password},port={self.port},{options}"
        run(self.enter("mount", "-t", "cifs", "-o", given, f"//{self.server_address}/{share}", str(at)))

    def smbclient(self, share: str, commands: str) -> str:
        """What smbclient prints, run in this client's network."""
        address = f"//{self.server_address}/{share}"
        login = f"{self.account.name}%{self.account.password}"
        line = ["smbclient", address, "-p", str(self.port), "-U", login, "-m", "SMB3_11", "-c", commands]
        done = subprocess.run(
            self.enter(*line), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_TIMEOUT_S
        )
        return done.stdout.strip()


class StatusWatcher:
    """Asks the server again and again what it holds of one file, and says so whenever that changes.

    A context manager; `seen` is everything that was ever seen, in order.
    """

    def __init__(self, transcript: Transcript, state_directory: Path, name: str) -> None:
        self.seen: list[str] = []
        self._transcript = transcript
        self._state_directory = state_directory
        self._name = name
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def has_seen(self, word: str) -> bool:
        """Whether any state so far had this word in it."""
        return any(word in state for state in self.seen)

    def _watch(self) -> None:
        while not self._ended.is_set():
            state = self._ask()
            if not self.seen or self.seen[-1] != state:
                self.seen.append(state)
                self._transcript.say("status", state)
            self._ended.wait(POLL_S)

    def _ask(self) -> str:
        try:
            status = request(self._state_directory, {"command": "status"})
        except ControlError:
            return "no server answers"
        handles = [
            f"{each['durability'] or 'PLAIN'} {'without a session' if each['session'] is None else 'in a session'},"
            f" caches {each['caches'] or 'nothing'}"
            for each in status["opens"]
            if each["path"] == self._name
        ]
        return f"{self._name}: " + ("; ".join(sorted(handles)) or "not open")

    def __enter__(self) -> StatusWatcher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


def run(command: Sequence[str]) -> None:
    """Run a program that has to succeed.  Raises subprocess.CalledProcessError; what it printed goes to stderr."""
    subprocess.run(command, check=True, timeout=COMMAND_TIMEOUT_S)
