"""Connections end in the middle of everything, servers shut down, clients do not read: nothing is left behind.

What every test here also shows, in `TestedServer.finish`: no session, open, task or descriptor stays.
"""

from __future__ import annotations

import random
import struct
import time

import pytest

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.engine import Engine
from smbd_uring.wire.const import AccessMask, Command, CreateDisposition, CreateOptions
from smbd_uring.wire.data import WriteResponse
from smbd_uring.wire.ntstatus import NtStatus
from tests.engine.servers import REAL_DRIVERS, SERVER_GUID, SimulatedServer, TestedServer
from tests.sim.driver import Weather
from tests.support.client_channel import ConnectionEnded
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
READ = AccessMask.GENERIC_READ
OPEN_IF = CreateDisposition.OPEN_IF
MANY = 40


def send_much(client: FileClient) -> list[int]:
    """Requests of many kinds, none of them waited for.  Result: their message ids."""
    client.echo(credits=500)
    file_id = client.open("file", disposition=OPEN_IF)
    folder = client.open("", READ, options=DIRECTORY)
    sent: list[int] = []
    for number in range(MANY):
        sent += client.send(Messages.write(file_id, number * 1000, bytes(1000)))
        sent += client.send(Messages.read(file_id, 0, 65536))
        sent += client.send(Messages.create(f"new {number}", disposition=OPEN_IF))
        sent += client.send(Messages.query_directory(folder))
        sent += client.send(Messages.create("vanishing", disposition=OPEN_IF,
                                            options=CreateOptions.FILE_DELETE_ON_CLOSE),
                            Messages.close().related())  # fmt: skip
        sent += client.send(Messages.change_notify(folder))
    return sent


def test_a_client_that_vanishes_in_the_middle_leaves_nothing(server: TestedServer) -> None:
    for _ in range(3):
        client = server.client()
        send_much(client)
        client.transport.close()
    server.settle(lambda engine: not engine.connections and not engine.scheduler.tasks)
    assert "vanishing" not in server.files.names()


def test_a_client_that_ends_its_session_in_the_middle_gets_an_answer_to_everything(server: TestedServer) -> None:
    client = server.client()
    sent = send_much(client)
    (logoff,) = client.send(Message(Command.LOGOFF, b"\4\0\0\0"))
    assert client.wait_for(logoff).status == NtStatus.SUCCESS
    for message_id in sent:
        client.wait_for(message_id)
    assert server.inspect(lambda engine: (len(engine.sessions), engine.opens.count)) == (0, 0)


def test_a_client_that_breaks_the_protocol_in_the_middle_is_gone(server: TestedServer) -> None:
    client = server.client()
    send_much(client)
    client.send_raw(b"garbage")
    with pytest.raises((ConnectionEnded, TimeoutError)):
        while True:
            client.receive_frame()


def test_a_logon_in_the_middle_of_which_the_client_goes_leaves_nothing(server: TestedServer) -> None:
    client = server.connect()
    client.negotiate()
    client.send(client.setup_message(b"no token at all"))
    client.transport.close()
    server.settle(lambda engine: not engine.connections and not engine.sessions)


@pytest.mark.parametrize("seed", range(20))
def test_in_rough_weather_nothing_is_left_either(seed: int) -> None:
    weather = Weather(loss_probability=0.02, small_chunk_probability=0.5)
    server = SimulatedServer(EngineConfig(SERVER_GUID), seed, weather)
    lost = 0
    for _ in range(5):
        try:
            client = server.client()
            for message_id in send_much(client):
                if message_id % 7 == 0:
                    client.wait_for(message_id)
        except (ConnectionEnded, ConnectionResetError):
            lost += 1
    assert lost, "this weather is too fine to show anything"
    server.finish()


# --- shutting down ---


def shut_down(server: TestedServer) -> None:
    now = server.now
    server.inspect(lambda engine: engine.shutdown(now))


def test_a_server_that_shuts_down_answers_what_is_under_way_and_nothing_more(server: TestedServer) -> None:
    client = server.client()
    client.echo(credits=100)
    file_id = client.open("file", disposition=OPEN_IF)
    before = server.inspect(lambda engine: engine.served()[2])
    sent = [client.send(Messages.write(file_id, number, b"x"))[0] for number in range(30)]
    server.settle(lambda engine: engine.served()[2] > before or bool(engine.served()[0][Command.WRITE]))
    shut_down(server)
    acknowledged = 0
    with pytest.raises(ConnectionEnded):
        for message_id in sent:
            assert client.wait_for(message_id).expect(WriteResponse).count == 1
            acknowledged += 1
        client.receive_frame()
    server.settle(lambda engine: engine.idle)
    assert len(server.files.data("file")) >= acknowledged > 0
    with pytest.raises((ConnectionEnded, ConnectionResetError)):
        server.connect().negotiate()


def test_waiting_requests_are_cancelled_when_the_server_shuts_down(server: TestedServer) -> None:
    client = server.client()
    (message_id,) = client.send(Messages.change_notify(client.open("", READ, options=DIRECTORY)))
    client.wait_for_interim(message_id)
    shut_down(server)
    assert client.wait_for(message_id).status == NtStatus.CANCELLED
    client.assert_ended()
    server.settle(lambda engine: engine.idle)


def test_idle_and_new_clients_are_let_go_at_once(server: TestedServer) -> None:
    idle, fresh = server.client(), server.connect()
    fresh.negotiate()
    shut_down(server)
    for client in (idle, fresh):
        client.assert_ended()
    server.settle(lambda engine: engine.idle)


# --- clients that take too much or nothing ---


def test_a_client_that_does_not_read_its_answers_is_not_read_from(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("file", disposition=OPEN_IF)
    while client.credits < 1200:
        client.echo(credits=512)
    client.write(file_id, bytes(1 << 20), credit_charge=16)
    sent = [client.send(Messages.read(file_id, 0, 1 << 20))[0] for _ in range(60)]

    def is_bounded(engine: Engine) -> bool:
        [connection] = engine.connections.values()
        return connection.bytes_unsent <= limits.SEND_QUEUE_BYTES_MAX + limits.OUTSTANDING_BYTES_MAX

    assert server.inspect(is_bounded)
    for message_id in sent:
        assert client.wait_for(message_id).status == NtStatus.SUCCESS
        assert server.inspect(is_bounded)


@pytest.mark.parametrize("driver", list(REAL_DRIVERS))  # a simulated client's end takes whatever is sent
def test_a_client_that_takes_none_of_its_answers_is_let_go(server: TestedServer) -> None:
    client = server.client()
    file_id = client.open("file", disposition=OPEN_IF)
    while client.credits < 1200:
        client.echo(credits=512)
    client.write(file_id, bytes(1 << 20), credit_charge=16)
    for _ in range(60):
        client.send(Messages.read(file_id, 0, 1 << 20))
    sent = -1
    while sent != (now := server.inspect(lambda engine: next(iter(engine.connections.values())).bytes_sent)):
        sent = now
        time.sleep(0.2)  # until the kernel's buffers are full
    for _ in range(2):
        server.advance(limits.SEND_STALL_TIMEOUT_S + 1)
    server.settle(lambda engine: all(each.is_closed for each in engine.connections.values()))


# --- hostile frames ---


@pytest.mark.parametrize("command", [Command.CREATE, Command.READ, Command.WRITE, Command.QUERY_DIRECTORY,
                                     Command.QUERY_INFO, Command.SET_INFO, Command.TREE_CONNECT])  # fmt: skip
def test_every_offset_and_length_may_lie(server: TestedServer, command: Command) -> None:
    server.files.add_file("file", b"contents", 0o777)
    client = server.client()
    while client.credits < 1000:
        client.echo(credits=512)
    file_id = client.open("file")
    folder = client.open("", READ, options=DIRECTORY)
    good = {
        Command.CREATE: Messages.create("file", READ, contexts=[(b"MxAc", bytes(8)), (b"QFid", b"")]),
        Command.READ: Messages.read(file_id, 0, 10), Command.WRITE: Messages.write(file_id, 0, b"0123456789"),
        Command.QUERY_DIRECTORY: Messages.query_directory(folder), Command.QUERY_INFO: Messages.query_info(file_id, 18),
        Command.SET_INFO: Messages.set_info(file_id, 10, struct.pack("<B7xQI", 0, 0, 8) + b"n\0e\0w\0s\0"),
        Command.TREE_CONNECT: Message(command, struct.pack("<HHHH", 9, 0, 72, 4) + b"\\\0\\\0", sign=True),
    }[command]  # fmt: skip
    chance = random.Random(command)
    for position in range(0, len(good.body) - 2, 2):
        for value in (0, 1, 0x7FFF, 0x8000, 0xFFFF, chance.randrange(0x10000)):
            spoiled = bytearray(good.body)
            spoiled[position : position + 2] = value.to_bytes(2, "little")
            status = client.ask(Message(command, bytes(spoiled), sign=good.sign)).status
            assert status != NtStatus.INTERNAL_ERROR
    assert client.echo().status == NtStatus.SUCCESS
