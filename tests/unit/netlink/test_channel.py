"""The channel carries datagrams both ways, over netlink and over socket files, and takes none from strangers."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from smbd_uring.netlink import channel
from smbd_uring.netlink.channel import (
    ADDRESS_FILE,
    NETLINK_USERSOCK,
    Channel,
    ChannelError,
    Datagram,
    Delivery,
    companion_channel,
    engine_channel,
)

STRANGER_UID = 65534
ARRIVAL_TIMEOUT_MS = 2000


def refused_netlink() -> socket.socket:
    raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")


@pytest.fixture(params=["netlink", "unix"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of socket; for `unix`, AF_NETLINK is refused as some containers refuse it."""
    if request.param == "unix":
        monkeypatch.setattr(channel, "_netlink_socket", refused_netlink)
    return str(request.param)


@pytest.fixture
def engine(tmp_path: Path, transport: str) -> Iterator[Channel]:
    with closing(engine_channel(tmp_path)) as end:
        yield end


@pytest.fixture
def companion(tmp_path: Path, engine: Channel) -> Iterator[Channel]:
    with closing(companion_channel(tmp_path)) as end:
        yield end


def arrived(end: Channel, count: int = 1) -> list[Datagram]:
    """The next `count` datagrams; fewer when nothing more comes."""
    poll = select.poll()
    poll.register(end.fileno(), select.POLLIN)
    datagrams: list[Datagram] = []
    while len(datagrams) < count and poll.poll(ARRIVAL_TIMEOUT_MS):
        datagrams += end.receive()
    return datagrams


def send_as_stranger(target: int | str, data: bytes) -> None:
    """Send to a channel from a process of another user."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(STRANGER_UID)
            os.setuid(STRANGER_UID)
            if isinstance(target, int):
                with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_USERSOCK) as sender:
                    sender.sendto(data, (target, 0))
            else:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                    sender.sendto(data, target)
            status = 0
        finally:
            os._exit(status)
    _, wait_status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(wait_status) == 0


# --- finding each other ---


def test_the_engine_says_where_it_listens_to_its_owner_alone(tmp_path: Path, engine: Channel, transport: str) -> None:
    announcement = json.loads((tmp_path / ADDRESS_FILE).read_text())
    assert announcement["transport"] == transport
    assert announcement["pid"] == os.getpid()
    assert stat.S_IMODE((tmp_path / ADDRESS_FILE).stat().st_mode) == 0o600
    if transport == "netlink":
        assert announcement["port"] == engine.port != 0
    else:
        assert announcement["path"] == engine.path
        assert stat.S_IMODE(os.stat(engine.path).st_mode) == 0o600


def test_without_an_engine_the_companion_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match="smbd-uring serve"):
        companion_channel(tmp_path)


@pytest.mark.parametrize("text", ["", "{", '{"transport": "netlink"}', '{"transport": "pigeon"}', "[]", "7"])
def test_a_broken_announcement_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / ADDRESS_FILE).write_text(text)
    with pytest.raises(ChannelError, match="no server has announced itself"):
        companion_channel(tmp_path)


def test_a_companion_that_got_a_dead_engines_port_does_not_talk_to_itself(tmp_path: Path) -> None:
    engine = engine_channel(tmp_path)
    port = engine.port
    engine.close()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_USERSOCK) as next_owner:
        next_owner.bind((0, 0))
        assert next_owner.getsockname()[0] == port, "the kernel gives the port out again"
    with pytest.raises(ChannelError, match="is it running"):
        companion_channel(tmp_path)


def test_a_socket_file_left_behind_is_in_nobodys_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "_netlink_socket", refused_netlink)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as killed:
        killed.bind(str(tmp_path / channel.SOCKET_FILE))
    with closing(engine_channel(tmp_path)) as engine, closing(companion_channel(tmp_path)) as companion:
        assert companion.send(b"hello") is Delivery.SENT
        assert [datagram.data for datagram in arrived(engine)] == [b"hello"]


# --- datagrams ---


def test_datagrams_go_both_ways_and_name_their_sender(engine: Channel, companion: Channel) -> None:
    assert companion.send(b"question") is Delivery.SENT
    (question,) = arrived(engine)
    assert question.data == b"question"
    assert question.pid == os.getpid()
    assert question.sender == (companion.port or companion.path)

    engine.peer = question.sender
    assert engine.send(b"answer") is Delivery.SENT
    (answer,) = arrived(companion)
    assert answer.data == b"answer"
    assert answer.sender == companion.peer


def test_order_and_borders_are_kept(engine: Channel, companion: Channel) -> None:
    sent = [bytes([number]) * (number + 1) for number in range(10)]
    assert [companion.send(data) for data in sent] == [Delivery.SENT] * 10
    assert [datagram.data for datagram in arrived(engine, 10)] == sent


def test_the_longest_message_fits(engine: Channel, companion: Channel) -> None:
    longest = bytes(0x10000 + 20)
    assert companion.send(longest) is Delivery.SENT
    assert [len(datagram.data) for datagram in arrived(engine)] == [len(longest)]


def test_a_cut_datagram_is_dropped(engine: Channel, companion: Channel) -> None:
    companion.send(bytes(channel.DATAGRAM_BYTES_MAX + 1))
    companion.send(b"next")
    assert [datagram.data for datagram in arrived(engine)] == [b"next"]


def test_nobody_there_is_gone(engine: Channel, companion: Channel) -> None:
    assert engine.send(b"to nobody yet") is Delivery.GONE
    engine.close()
    assert companion.send(b"to nobody any more") is Delivery.GONE


def test_a_full_queue_is_busy_until_the_other_side_reads(engine: Channel, companion: Channel) -> None:
    sent = 0
    while companion.send(bytes(1024)) is Delivery.SENT:
        sent += 1
        assert sent < 100_000, "the queue has no end"
    assert companion.send(bytes(1024)) is Delivery.BUSY
    assert len(arrived(engine, sent)) == sent
    assert companion.send(bytes(1024)) is Delivery.SENT


def test_reading_takes_turns(engine: Channel, companion: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "DATAGRAMS_PER_TURN", 3)
    for number in range(5):
        companion.send(bytes([number]))
    assert len(engine.receive()) == 3
    assert len(engine.receive()) == 2
    assert engine.receive() == []


# --- strangers ---


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_what_another_user_sends_is_dropped(
    tmp_path: Path, engine: Channel, companion: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    reachable = engine.path
    if reachable:
        # The mode of the socket alone would keep a stranger out; the check must do without it.
        os.chmod(reachable, 0o777)
        for folder in (tmp_path, *tmp_path.parents[:2]):
            os.chmod(folder, 0o755)
    send_as_stranger(engine.port or reachable, b"let me in")
    companion.send(b"friend")
    assert [datagram.data for datagram in arrived(engine)] == [b"friend"]
    assert f"uid {STRANGER_UID}" in caplog.text


def test_what_comes_from_a_socket_without_an_address_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Given an engine that knows no companion yet, a sender without an address is not taken for it."""
    monkeypatch.setattr(channel, "_netlink_socket", refused_netlink)
    with closing(engine_channel(tmp_path)) as engine, closing(companion_channel(tmp_path)) as companion:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
            nameless.sendto(b"guess who", engine.path)
        companion.send(b"friend")
        assert [(datagram.data, datagram.sender) for datagram in arrived(engine)] == [(b"friend", companion.path)]
    assert f"process {os.getpid()}, was dropped" in caplog.text


def test_closing_takes_the_socket_file_away(engine: Channel, companion: Channel, transport: str) -> None:
    own = companion.path
    assert bool(own) == (transport == "unix")
    companion.close()
    assert not own or not os.path.exists(own)
