"""The companion as a process: the test plays the engine, or somebody who only says that it is."""

from __future__ import annotations

import errno
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.netlink import accounts, channel, genl, messages, mountd
from smbd_uring.netlink.channel import Channel, Delivery, engine_channel
from smbd_uring.netlink.flags import AccountFlags, TreeFlags
from smbd_uring.netlink.messages import Event
from smbd_uring.netlink.nt_hash import nt_hash

PATIENCE_S = 10.0
HASH = nt_hash("secret")
CONFIGURATION = "[global]\nnetbios name = BOX\n[data]\npath = /srv\nread only = no\n"
DECODERS: dict[int, Any] = {
    message.EVENT: message
    for message in (
        messages.Heartbeat, messages.StartingUp, messages.LoginResponse, messages.ShareConfigResponse,
        messages.TreeConnectResponse,
    )
}  # fmt: skip


class Engine:
    """The engine's end.  Companions that are started here end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.end: Channel = engine_channel(folder)
        self.config, self.database = folder / "smb.conf", folder / "ksmbdpwd.db"
        self.config.write_text(CONFIGURATION)
        accounts.store(self.database, {"anna": HASH})
        self.log = folder / "log"
        self._companions: list[subprocess.Popen[bytes]] = []
        self._heard: list[Any] = []

    def start(self, *arguments: str, changes: str = "") -> subprocess.Popen[bytes]:
        """Start a companion and wait for its first message.  `changes` are statements run before it begins."""
        companion = self.launch(*arguments, changes=changes)
        startup = self.hear(messages.StartingUp)
        assert startup.netbios_name == "BOX"
        return companion

    def launch(self, *arguments: str, changes: str = "") -> subprocess.Popen[bytes]:
        program = f"import sys\nfrom smbd_uring.netlink import mountd\n{changes}\nsys.exit(mountd.main())"
        files = ["--state-dir", str(self.folder), "-c", str(self.config), "-i", str(self.database)]
        with self.log.open("ab") as log:
            companion = subprocess.Popen([sys.executable, "-c", program, *files, *arguments], stderr=log)
        self._companions.append(companion)
        return companion

    def hear(self, kind: type) -> Any:
        """The next message of a kind; those of other kinds before it are skipped.  Whoever sent it is the peer."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            while self._heard:
                message = self._heard.pop(0)
                if isinstance(message, kind):
                    return message
            wait = deadline - time.monotonic()
            assert wait > 0 and select.select([self.end.fileno()], [], [], wait)[0], f"no {kind.__name__} arrived"
            for datagram in self.end.receive():
                self.end.peer = datagram.sender
                self._heard += [DECODERS[command].decode(data) for command, data in genl.decode(datagram.data)]

    def say(self, message: Any) -> None:
        self.send(genl.encode(message.EVENT, message.encode()))

    def send(self, datagram: bytes) -> None:
        """Send as soon as there is room."""
        deadline = time.monotonic() + PATIENCE_S
        while (delivery := self.end.send(datagram)) is Delivery.BUSY:
            assert time.monotonic() < deadline, "the companion takes nothing"
            time.sleep(0.002)
        assert delivery is Delivery.SENT

    def path_of_data(self) -> str:
        self.say(messages.ShareConfigRequest(1, "data"))
        return str(self.hear(messages.ShareConfigResponse).path)

    def wait_for_log(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.005)

    def close(self) -> None:
        for companion in self._companions:
            companion.kill()
            companion.wait()
        self.end.close()


def refused_netlink() -> socket.socket:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@pytest.fixture(params=["netlink", "unix"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of socket; for `unix`, the engine is refused AF_NETLINK and the companion follows it."""
    if request.param == "unix":
        monkeypatch.setattr(channel, "_netlink_socket", refused_netlink)
    return str(request.param)


@pytest.fixture
def over_either(tmp_path: Path, transport: str) -> Iterator[Engine]:
    with closing(Engine(tmp_path)) as engine:
        yield engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with closing(Engine(tmp_path)) as engine:
        yield engine


def login(handle: int = 1, name: str = "anna") -> messages.LoginRequest:
    return messages.LoginRequest(handle, name)


# --- its life ---


def test_it_announces_itself_answers_and_ends_when_asked(over_either: Engine) -> None:
    companion = over_either.start()
    assert over_either.path_of_data() == "/srv"
    companion.send_signal(signal.SIGTERM)
    assert companion.wait(PATIENCE_S) == 0
    assert not list(over_either.folder.glob("companion-*.sock")), "its socket file was left behind"


def test_it_ends_when_the_engine_is_gone(over_either: Engine) -> None:
    companion = over_either.start()
    over_either.end.close()
    assert companion.wait(PATIENCE_S) == 1
    over_either.wait_for_log("the server is gone")


def test_it_looks_after_the_engine_by_heartbeats(engine: Engine) -> None:
    engine.start(changes="mountd.ENGINE_LOOK_INTERVAL_S = 0.05")
    for _ in range(3):
        engine.hear(messages.Heartbeat)


def test_an_engine_that_says_nothing_is_told_again(engine: Engine) -> None:
    """Given an engine that had another companion when this one came, it hears of this one once that is gone."""
    engine.start(changes="mountd.ENGINE_LOOK_INTERVAL_S = 0.05; mountd.ENGINE_SILENCE_S = 0.2")
    assert engine.hear(messages.StartingUp).netbios_name == "BOX"


def test_an_engine_that_speaks_is_not_told_again(engine: Engine) -> None:
    engine.start(changes="mountd.ENGINE_LOOK_INTERVAL_S = 0.05; mountd.ENGINE_SILENCE_S = 0.4")
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        engine.say(messages.Heartbeat())
        time.sleep(0.05)
    engine.say(login())
    seen = [engine.hear(object)]
    while not isinstance(seen[-1], messages.LoginResponse):
        seen.append(engine.hear(object))
    assert not [message for message in seen if isinstance(message, messages.StartingUp)]


def test_no_answer_is_lost_to_a_full_queue(over_either: Engine) -> None:
    """Given an engine that asks much and reads late, every answer is there in the end, in order."""
    over_either.start()
    for handle in range(1, 101):
        over_either.say(login(handle))
    assert [over_either.hear(messages.LoginResponse).handle for _ in range(100)] == list(range(1, 101))


# --- reading again ---


def test_sighup_has_the_files_read_again(engine: Engine) -> None:
    companion = engine.start()
    engine.config.write_text("[data]\npath = /new\n")
    accounts.store(engine.database, {"bert": HASH})
    companion.send_signal(signal.SIGHUP)
    engine.wait_for_log("read again")
    assert engine.path_of_data() == "/new"
    engine.say(login(2, "anna"))
    assert engine.hear(messages.LoginResponse).status == AccountFlags.BAD_USER
    engine.say(messages.TreeConnectRequest(3, 1, 2, 1, 1, "bert", "data", "192.0.2.1"))
    assert engine.hear(messages.TreeConnectResponse).connection_flags == TreeFlags.READ_ONLY | TreeFlags.UPDATE


@pytest.mark.parametrize(
    "spoil",
    [
        lambda engine: engine.config.write_text("[data]\npath = /new\nwhat\n"),
        lambda engine: engine.config.write_bytes(b"[data]\npath = /\xff\n"),
        lambda engine: engine.config.unlink(),
        lambda engine: engine.database.write_text("anna\n"),
    ],
    ids=["syntax", "not UTF-8", "gone", "accounts"],
)
def test_what_cannot_be_read_leaves_what_was_read_before_in_force(
    engine: Engine, spoil: Callable[[Engine], object]
) -> None:
    companion = engine.start()
    spoil(engine)
    companion.send_signal(signal.SIGHUP)
    engine.wait_for_log("not reloaded")
    assert engine.path_of_data() == "/srv"
    engine.say(login(2))
    assert engine.hear(messages.LoginResponse).account == "anna"

    engine.config.write_text("[data]\npath = /mended\n")
    accounts.store(engine.database, {})
    companion.send_signal(signal.SIGHUP)
    engine.wait_for_log("read again")
    assert engine.path_of_data() == "/mended"


# --- strangers and garbage ---

STRANGER = """
import sys
from smbd_uring.netlink.channel import companion_channel, Channel, _netlink_socket, _unix_socket
from pathlib import Path
target, own, data = sys.argv[1:]
if target.isdigit():
    end = Channel(_netlink_socket(), int(target))
else:
    end = Channel(_unix_socket(Path(own)), target)
print(end.send(bytes.fromhex(data)).name)
"""


def test_another_process_of_the_same_user_is_not_the_engine(over_either: Engine) -> None:
    over_either.start()
    target = over_either.end.peer
    question = genl.encode(Event.LOGIN_REQUEST, login(66).encode())
    own = over_either.folder / "stranger.sock"
    sent = subprocess.run(
        [sys.executable, "-c", STRANGER, str(target), str(own), question.hex()], stdout=subprocess.PIPE, check=True
    )
    assert sent.stdout == b"SENT\n"
    over_either.wait_for_log("which is not the server, was dropped")
    over_either.say(login(7))
    assert over_either.hear(messages.LoginResponse).handle == 7


def test_malformed_messages_are_dropped_and_the_next_one_is_answered(engine: Engine) -> None:
    engine.start()
    good = genl.encode(Event.LOGIN_REQUEST, login(66).encode())
    tree = messages.TreeConnectRequest(67, 1, 2, 1, 1, "anna", "data", "192.0.2.1").encode()
    for bad in (
        b"x",
        good[:-4],
        b"\xff\xff\xff\x7f" + good[4:],
        genl.encode(Event.LOGIN_REQUEST, login(66).encode() + b"x"),
        genl.encode(Event.LOGIN_REQUEST, tree),
        genl.encode(Event.TREE_CONNECT_REQUEST, tree[:-1]),
        genl.encode(Event.LOGIN_RESPONSE, bytes(148)),
        genl.encode(Event.RPC_REQUEST, bytes(12)),
    ):
        engine.send(bad)
    engine.say(login(7))
    assert engine.hear(messages.LoginResponse).handle == 7


# --- its command line ---


@pytest.fixture
def main(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run it in this process, as far as it does not come to serve.  Result: exit status and what it says."""
    level = logging.getLogger("smbd").level

    def main(*arguments: str) -> tuple[int, str]:
        status = mountd.main(arguments)
        return status, capsys.readouterr().err

    yield main
    logging.getLogger("smbd").setLevel(level)


def test_what_cannot_work_is_said_at_once(main: Any, tmp_path: Path) -> None:
    status, said = main()
    assert status == 2 and "--state-dir" in said
    status, said = main("--kernel")
    assert status == 1 and "without --kernel" in said
    status, said = main("--state-dir", str(tmp_path))
    assert status == 1 and "no server has announced itself" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [("what\n", "line 1"), ("[data]\n", "has no path"), ("[global]\ntcp port = x\n", "this must be a number")],
)
def test_a_broken_configuration_is_said_and_not_served(main: Any, engine: Engine, text: str, said: str) -> None:
    engine.config.write_text(text)
    status, error = main("--state-dir", str(engine.folder), "-c", str(engine.config))
    assert status == 1
    assert str(engine.config) in error or "[data]" in error
    assert said in error
    assert engine.end.receive() == [], "it announced itself all the same"


def test_a_server_that_does_not_listen_any_more_is_said(over_either: Engine) -> None:
    over_either.end.close()
    companion = over_either.launch()
    assert companion.wait(PATIENCE_S) == 1
    over_either.wait_for_log("is it running?")


def test_one_whose_parent_is_gone_does_not_begin(engine: Engine) -> None:
    companion = engine.launch("--parent", str(os.getppid()))
    assert companion.wait(PATIENCE_S) == 1
    assert engine.end.receive() == []


def test_the_command_lines_shares_stand_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a share on the command line, the machine's own configuration is not read; given none, it is."""
    overlay, config, database = tmp_path / "overlay.json", tmp_path / "smb.conf", tmp_path / "ksmbdpwd.db"
    monkeypatch.setattr(mountd, "default_paths", lambda: (config, database))
    config.touch()
    database.touch()

    def files(*arguments: str) -> tuple[Path | None, Path | None]:
        return mountd._files(mountd._parser().parse_args(["--overlay", str(overlay), *arguments]))

    overlay.write_text('{"shares": {"data": {"path": "/srv"}}}')
    assert files() == (None, None)
    assert files("-c", "my.conf", "-i", "my.db") == (Path("my.conf"), Path("my.db"))
    overlay.write_text('{"users": {}}')
    assert files() == (config, database)
    database.unlink()
    assert files() == (config, None)
