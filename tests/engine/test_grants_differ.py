"""The same traffic with grants and without them: every byte of every answer is the same, and so are the files.

What two servers can never have in common is left out: session ids, signatures (verified, then blanked), nonces, and
what sealing made of the bytes (opened first).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from smbd_uring.config import EngineConfig
from tests.engine.servers import REAL_DRIVERS, SERVER_GUID, RealServer
from tests.engine.sides import PROTECTIONS, Protection, connect_protected, without_what_differs
from tests.engine.traffic import CONTENTS, Frame, Traffic, contents, open_handles
from tests.support.client_channel import ConnectionEnded

SEQUENCES = int(os.environ.get("SMBD_DIFFERENTIAL_SEQUENCES", "1000"))
"""In all; more of them find rarer things."""

COMPARED_BYTES = 1 << 20
FRAMES = 8
"""Frames of one sequence."""
CREDITS = 3000


class Side:
    """A server with or without grants, and its client."""

    def __init__(self, kind: str, grants: bool, folder: Path, protection: Protection) -> None:
        folder.mkdir()
        self.server = RealServer(EngineConfig(SERVER_GUID, grants=grants), REAL_DRIVERS[kind], folder)
        self.folder = Path(self.server.files.top())
        self.protection = protection
        for name in CONTENTS:
            self.server.files.add_file(name, b"", 0o777)
        self.connect()

    def connect(self) -> None:
        """A client that has everything open."""
        self.client = connect_protected(self.server, self.protection, CREDITS)
        self.handles = open_handles(self.client)

    def prepare(self, number: int) -> None:
        """Have every file as it is when sequence `number` begins."""
        for name in CONTENTS:
            with open(self.folder / name, "r+b") as file:
                file.write(contents(name, number))
                file.truncate()

    def ask(self, frame: Frame) -> list[bytes] | None:
        """The answers to one frame, None when the server ended the connection."""
        try:
            return [without_what_differs(self.client.wait_for(message_id)) for message_id in self.send(frame)]
        except ConnectionEnded:
            self.client.transport.close()
            self.server.settle(lambda engine: not engine.connections)
            self.connect()
            return None

    def send(self, frame: Frame, as_many_credits: bool = False) -> list[int]:
        """Send a frame.  Whether its answers are signed is compared, not demanded: some are about a broken request.

        With `as_many_credits` it asks for no more than it takes, so that the window never comes to its end, where
        what is granted would depend on the order of the answers.
        """
        messages = frame.make(self.handles)
        for message in messages:
            message.credits = message.credit_charge if as_many_credits else message.credits
        ids = self.client.send(*messages)
        for message_id in ids:
            self.client._expected[message_id] = (False, self.client._expected[message_id][1])
        return ids

    def ask_at_once(self, frames: list[Frame]) -> dict[int, bytes]:
        """The answers to frames that are all sent before the first answer is taken, by message id."""
        begin = self.client.next_message_id
        ids = [message_id for frame in frames for message_id in self.send(frame, as_many_credits=True)]
        return {message_id - begin: without_what_differs(self.client.wait_for(message_id)) for message_id in ids}

    def files(self) -> dict[str, tuple[int, bytes, bytes]]:
        """Every file's size, and what is at its beginning and end: some writes are far away."""
        found = {}
        for name in CONTENTS:
            with open(self.folder / name, "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - COMPARED_BYTES))
                end = file.read()
                file.seek(0)
                found[name] = (size, file.read(COMPARED_BYTES), end)
        return found


class Pair:
    """Both sides."""

    def __init__(self, kind: str, folder: Path, protection: str) -> None:
        known = PROTECTIONS[protection]
        self.granting = Side(kind, True, folder / "with grants", known)
        self.engine = Side(kind, False, folder / "without", known)
        self.sides = (self.granting, self.engine)

    def finish(self) -> None:
        """End both servers; nothing is left of them."""
        for side in reversed(self.sides):
            side.server.finish()

    def served(self) -> int:
        """How many requests a data plane answered; the other side's answered none."""
        with_grants, without = (sum(side.server._driver.served()[0].values()) for side in self.sides)
        assert without == 0
        return with_grants


@pytest.fixture(params=["ring", "ring thread"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(params=list(PROTECTIONS))
def pair(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(kind, tmp_path, request.param)
    yield pair
    pair.finish()


def test_one_request_at_a_time(pair: Pair) -> None:
    asked = 0
    for seed in range(SEQUENCES // (4 * len(PROTECTIONS)) + 1):
        traffic = Traffic(seed)
        for side in pair.sides:
            side.prepare(seed)
        history = []
        for _ in range(FRAMES):
            frame = traffic.frame()
            history.append(frame.words)
            with_grants, without = (side.ask(frame) for side in pair.sides)
            assert with_grants == without, f"seed {seed}:\n" + "\n".join(history)
            asked += 1
        with_grants_files, without_files = (side.files() for side in pair.sides)
        assert with_grants_files == without_files, f"seed {seed}:\n" + "\n".join(history)
    assert pair.served() > asked // 8, "hardly anything was served by the data plane"


def test_many_requests_at_once(pair: Pair) -> None:
    for seed in range(SEQUENCES // (4 * len(PROTECTIONS)) + 1):
        frames = Traffic(-1 - seed).quiet_frames()
        history = "\n".join(frame.words for frame in frames)
        for side in pair.sides:
            side.prepare(seed)
        with_grants, without = (side.ask_at_once(frames) for side in pair.sides)
        assert with_grants == without, f"seed {seed}:\n{history}"
        with_grants_files, without_files = (side.files() for side in pair.sides)
        assert with_grants_files == without_files, f"seed {seed}:\n{history}"
    assert pair.served()
