"""What foreign clients said once is said again, with grants and without: the same bytes come back, and are written.

The recordings are made by `python -m tools.record_traffic`; `replay.py` plays them in sessions of our own client, under
each protection that their dialect has.  Left out of the comparison are numbers of sessions and signatures, times of
the test's own seconds, and what the file system decides by itself: numbers of files, and room.
"""

from __future__ import annotations

import os
import struct
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from smbd_uring.config import EngineConfig
from smbd_uring.wire.const import Command, Dialect, FileInfoClass, FsInfoClass, InfoType
from smbd_uring.wire.header import HEADER_SIZE, split_compound
from smbd_uring.wire.names import filetime_from_ns
from tests.engine.replay import Exchange, Replay
from tests.engine.servers import REAL_DRIVERS, SERVER_GUID, RealServer
from tests.engine.sides import PROTECTIONS, Protection, connect_protected, without_what_differs
from tests.support.recording import MESSAGES_MAX, Answer, Event, Recording, command_of

FOLDER = Path(__file__).parent / "recordings"
RECORDINGS = sorted(path.stem for path in FOLDER.glob("*.txt"))
CREDITS = 1000
TICKS_PER_S = 10_000_000
DATA = (Command.READ, Command.WRITE)

ELDER_PROTECTIONS = {
    Dialect.SMB_2_0_2: ("plain", "signed HMAC_SHA256"),
    Dialect.SMB_2_1: ("plain", "signed HMAC_SHA256"),
    Dialect.SMB_3_0: ("plain", "signed AES_CMAC", "sealed AES_128_CCM"),
}
"""What dialects before 3.1.1 have."""

QUERIED = slice(HEADER_SIZE + 2, HEADER_SIZE + 4)
"""InfoType and FileInformationClass in a QUERY_INFO request; in a QUERY_DIRECTORY the first byte is the class."""
INFORMATION = HEADER_SIZE + 8
"""Where information begins in an answer to either."""
CREATED = (slice(HEADER_SIZE + 40, HEADER_SIZE + 48), slice(HEADER_SIZE + 64, HEADER_SIZE + 80))
"""In an answer to CREATE: AllocationSize, and the FileId, which nobody can guess."""
QUERY_INFO_ANSWERS = {
    (InfoType.FILE, FileInfoClass.STANDARD): [slice(0, 8)],
    (InfoType.FILE, FileInfoClass.INTERNAL): [slice(0, 8)],
    (InfoType.FILE, FileInfoClass.ALL): [slice(40, 48), slice(64, 72)],
    (InfoType.FILE, FileInfoClass.STREAM): [slice(16, 24)],
    (InfoType.FILESYSTEM, FsInfoClass.VOLUME): [slice(0, 12)],
    (InfoType.FILESYSTEM, FsInfoClass.SIZE): [slice(0, 16)],
    (InfoType.FILESYSTEM, FsInfoClass.FULL_SIZE): [slice(0, 24)],
}
"""The room that a file takes, its number, the volume's, and what room there is ([MS-FSCC] 2.4, 2.5)."""
ENTRY_ANSWERS = {
    FileInfoClass.FULL_DIRECTORY: [slice(48, 56)],
    FileInfoClass.ID_BOTH_DIRECTORY: [slice(48, 56), slice(96, 104)],
    FileInfoClass.ID_FULL_DIRECTORY: [slice(48, 56), slice(72, 80)],
}
"""The same in an entry of a listing."""


def cases() -> list[tuple[str, str]]:
    """Each recording with each protection that its dialect has."""
    found = []
    for name in RECORDINGS:
        dialect = Dialect(Recording.read(FOLDER / f"{name}.txt").dialect)
        found += [(name, protection) for protection in ELDER_PROTECTIONS.get(dialect, PROTECTIONS)]
    return found


def in_common(exchange: Exchange, begin: int, end: int) -> bytes:
    """What two servers have in common of an answer; `begin` and `end` are the test's own, as FILETIME."""
    request, reply = exchange
    message = bytearray(without_what_differs(reply))
    if command_of(request) == Command.READ or reply.status != 0:
        return bytes(message)
    for place in places_of_the_file_system(request, message):
        message[place] = bytes(place.stop - place.start)
    for offset in range(HEADER_SIZE, len(message) - 7, 4):
        if begin <= struct.unpack_from("<Q", message, offset)[0] <= end:
            message[offset : offset + 8] = b"thistime"
    return bytes(message)


def places_of_the_file_system(request: bytes, message: bytearray) -> Iterator[slice]:
    """Where in a successful answer is what the file system decides by itself."""
    command = command_of(request)
    if command == Command.CREATE:
        yield from CREATED
    elif command == Command.QUERY_INFO:
        info_type, info_class = request[QUERIED]
        yield from moved(QUERY_INFO_ANSWERS.get((InfoType(info_type), info_class), []), INFORMATION)
    elif command == Command.QUERY_DIRECTORY:
        offset, following = INFORMATION, 1
        while following:
            yield from moved(ENTRY_ANSWERS[FileInfoClass(request[QUERIED][0])], offset)
            (following,) = struct.unpack_from("<I", message, offset)
            offset += following


def moved(places: Iterable[slice], by: int) -> Iterator[slice]:
    """The same places, so much further on."""
    return (slice(place.start + by, place.stop + by) for place in places)


class Side:
    """A server with or without grants."""

    def __init__(self, kind: str, grants: bool, folder: Path, protection: Protection) -> None:
        folder.mkdir()
        self.server = RealServer(EngineConfig(SERVER_GUID, grants=grants), REAL_DRIVERS[kind], folder)
        self.protection = protection
        self.begin = now() - TICKS_PER_S

    def play(self, recording: Recording, at_once: bool) -> list[bytes]:
        """What came back to a share that was empty before, in the order in which it was asked for."""
        for name in self.server.files.names():
            os.unlink(Path(self.server.files.top()) / name)
        client = connect_protected(self.server, self.protection, CREDITS, recording.dialect)
        try:
            exchanges = Replay(recording, client).play(at_once)
        finally:
            client.transport.close()
        return [in_common(exchange, self.begin, now()) for exchange in exchanges]

    def files(self) -> dict[str, bytes]:
        """What is left in the share: scripts leave no folder."""
        return {name: self.server.files.data(name) for name in self.server.files.names()}

    def served(self) -> Counter[int]:
        """Requests that the data plane answered, by command."""
        return Counter(self.server._driver.served()[0])


def now() -> int:
    """The time as FILETIME."""
    return filetime_from_ns(time.time_ns())


@pytest.fixture(params=["ring", "ring thread"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def sides(kind: str, protection: str, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """A server with grants and one without."""
    with ExitStack() as ending:
        made = []
        for grants, folder in ((True, "with grants"), (False, "without")):
            made.append(Side(kind, grants, tmp_path / folder, PROTECTIONS[protection]))
            ending.callback(made[-1].server.finish)
        yield made[0], made[1]


@pytest.mark.parametrize(("name", "protection"), cases())
def test_a_conversation_has_the_same_answers(sides: tuple[Side, Side], name: str) -> None:
    recording = Recording.read(FOLDER / f"{name}.txt")
    asked = recording.requests()
    for at_once in (False, True):
        with_grants, without = (side.play(recording, at_once) for side in sides)
        assert len(with_grants) == sum(asked.values())
        for number, (one, other) in enumerate(zip(with_grants, without, strict=True)):
            assert one == other, f"answer {number} of {recording.client}"
        left_with_grants, left_without = (side.files() for side in sides)
        assert left_with_grants == left_without
    served, served_without = (side.served() for side in sides)
    assert not served_without
    for command in DATA:
        assert 2 * asked[command] >= served[command] > asked[command], "more than half of both times"


@pytest.mark.parametrize("protection", ["plain"])
def test_a_byte_that_differs_is_found(sides: tuple[Side, Side]) -> None:
    """Given a client that wrote another byte, what is read back differs, and nothing else."""
    recording = Recording.read(FOLDER / "smbprotocol.txt")
    requests = [each for frame in recording.frames() for each in split_compound(memoryview(frame), MESSAGES_MAX)]
    other = Recording.read(FOLDER / "smbprotocol.txt")
    number = next(number for number, event in enumerate(other.events) if is_write(event))
    altered = other.events[number]
    assert isinstance(altered, bytes)
    other.events[number] = altered[:-1] + bytes([altered[-1] ^ 1])
    answers, other_answers = sides[0].play(recording, True), sides[1].play(other, True)
    differ = [index for index, pair in enumerate(zip(answers, other_answers, strict=True)) if pair[0] != pair[1]]
    assert len(differ) == 1 and command_of(requests[differ[0]]) == Command.READ
    assert sides[0].files() != sides[1].files()


def is_write(event: Event) -> bool:
    return isinstance(event, bytes) and command_of(event) == Command.WRITE


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_kept_as_it_is(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text(encoding="ascii")
    assert Recording.decode(text).encode() == text


def test_some_clients_send_without_waiting_and_several_requests_in_a_frame() -> None:
    at_once, compounds = 0, 0
    for name in RECORDINGS:
        waiting = 0
        for event in Recording.read(FOLDER / f"{name}.txt").events:
            requests = 0 if isinstance(event, Answer) else len(split_compound(memoryview(event), MESSAGES_MAX))
            waiting += requests or -1
            at_once, compounds = max(at_once, waiting), compounds + (requests > 1)
        assert waiting == 0
    assert at_once >= 16 and compounds >= 10
