"""A file's attributes by its name, in one compound: answered at a glance, and never otherwise than step by step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from random import Random

import pytest

from smbd_uring.engine.commands.query_info import FILE_CLASSES
from smbd_uring.filesystem.dos_attributes import encode
from smbd_uring.wire.const import (
    AccessMask,
    CloseFlags,
    Command,
    CreateOptions,
    Dialect,
    FileInfoClass,
    HeaderFlags,
    InfoType,
)
from smbd_uring.wire.create import CreateRequest
from smbd_uring.wire.fscc import RenameInformation
from smbd_uring.wire.glance import Answer, lay_out_answers, lay_out_in_python, read_glance, read_in_python
from smbd_uring.wire.header import Header
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FILE_ID_ANY, FileId
from smbd_uring.wire.query import QueryInfoRequest
from tests.engine.glances import Pair, Side
from tests.sim.worlds import SimulatedWorld
from tests.support.client_messages import Message
from tests.support.file_client import FileClient, Messages

ATTRIBUTES = AccessMask.FILE_READ_ATTRIBUTES
DIRECTORY, NO_DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE, CreateOptions.FILE_NON_DIRECTORY_FILE
OPEN_PROTECTIONS = ("plain", "signed", "guest")
ROUNDS = 400
SHAPE = (4, 12, 16, 20, 21, 64, 108, 109, 110, 111, 112, 116, 124, 144, 144 + 20, 144 + 64)
"""Where a frame says what it is and how long its parts are."""

NAMES = (
    "file", "file", "file", "folder", r"folder\inner", r"folder\\inner", r"folder\..\file", "", "FILE", r"Folder\INNER",
    ".hidden", "stored", "marked", "missing", r"missing\file", r"file\below", "link", "loop", "file::$DATA",
    "file:stream", "folder\\", "f*", "x" * 255, "x" * 256, "caf\u00e9", "a" * 300, "..", r"\file", "long " + "n" * 200,
)  # fmt: skip


def build(world: SimulatedWorld) -> None:
    """Files of every kind."""
    world.add_file("file", b"12345", 0o777)
    world.add_directory("folder", 0o777)
    world.add_file("folder/inner", bytes(70000), 0o640)
    world.add_file(".hidden", b"", 0o777)
    world.add_file("stored", b"x", 0o777)
    world.set_xattr("stored", "user.DOSATTRIB", encode(0x23, 1_600_000_000_000_000_000))
    world.add_file("marked", b"", 0o777)
    world.add_file("caf\u00e9", b"x", 0o777)
    world.add_file("long " + "n" * 200, b"", 0o777)
    world.add_symlink("link", "folder/inner")
    world.add_symlink("loop", "loop")


def glance(
    name: str = "file", info_class: int = FileInfoClass.ALL, *, access: int = ATTRIBUTES, options: int = 0,
    size: int = 4096, close_flags: int = 0,
) -> list[Message]:  # fmt: skip
    """The compound."""
    return [
        Messages.create(name, access, options=options),
        Messages.query_info(Messages.ANY, info_class, size=size).related(),
        Messages.close(flags=close_flags).related(),
    ]


def statuses(answers: Sequence[bytes]) -> list[int]:
    """Of the answers in one frame."""
    return [Header.decode(memoryview(answer[:48] + bytes(16))).status for answer in answers if len(answer) > 8]


@pytest.fixture
def pair() -> Pair:
    """Two servers and a client of each."""
    made = Pair(build)
    made.connect()
    return made


@pytest.mark.parametrize(
    ("dialect", "protection"),
    [
        *product((Dialect.SMB_2_0_2, Dialect.SMB_2_1, Dialect.SMB_3_0_2, Dialect.SMB_3_1_1), OPEN_PROTECTIONS),
        (Dialect.SMB_3_0_2, "sealed"), (Dialect.SMB_3_1_1, "sealed"),
    ],
)  # fmt: skip
def test_however_it_is_protected_it_is_answered_alike_and_leaves_nothing_open(dialect: int, protection: str) -> None:
    pair = Pair(build)
    pair.connect("sealed" if protection == "sealed" else "data", "visitor" if protection == "guest" else "anna",
                 dialects=(dialect,))  # fmt: skip

    def messages(info_class: int) -> list[Message]:
        made = glance(info_class=info_class, close_flags=CloseFlags.POSTQUERY_ATTRIB)
        for message in made:
            message.sign = protection == "signed"
            message.seal = protection == "sealed"
        return made

    for info_class in sorted(FILE_CLASSES):
        answers = pair.ask_messages(partial(messages, info_class))
        assert statuses(answers) == [0, 0, 0]
    assert pair.glanced == len(FILE_CLASSES) - 1, "a short name alone needs more than facts"
    for side in pair.sides:
        assert side.engine.opens.count == 0


def test_whatever_a_client_asks_near_it_is_answered_as_step_by_step(pair: Pair) -> None:
    """Every field varied, one or a few at a time."""
    for number in range(ROUNDS):
        seals, signs = number % 120 // 40 == 1, number % 120 // 40 == 2
        if number % 40 == 0:
            pair.connect("sealed" if seals else "data")
        pair.ask_messages(partial(vary, number, seals, signs))
    assert ROUNDS // 8 < pair.glanced < ROUNDS * 7 // 8, "most of one kind would say little of the other"


def vary(seed: int, seals: bool, signs: bool) -> list[Message]:
    """A compound near the one; the same seed gives the same."""
    chance = Random(seed)

    def pick(usual: int, *others: int) -> int:
        return chance.choice(others) if chance.random() < 0.06 else usual

    name = chance.choice(NAMES) if chance.random() < 0.7 else "file"
    create = CreateRequest(
        impersonation_level=pick(2, 0, 1, 3, 4, 9), requested_oplock_level=pick(0, 1, 8, 0xFF),
        desired_access=pick(ATTRIBUTES, 0, 0x100000, 0x120080, 0x88, 0x20000, 0x8, 0x1, 0x2, 0x80000000, 0x2000000,
                            0x10000, 0x01000080, 0x00800080, 0x100),
        file_attributes=pick(0, 0x80, 0x4000, 0x8000, 1), share_access=pick(7, 0, 1, 8),
        create_disposition=pick(1, 0, 2, 3, 4, 5, 6), name=name,
        create_options=pick(0, DIRECTORY, NO_DIRECTORY, DIRECTORY | NO_DIRECTORY, 0x200000, 0x1000, 0x2000, 0x32,
                            0x1000000, 0x100000, 0x4000),
        contexts=chance.choice([[], [], [], [], [], [], [(b"QFid", b"")], [(b"MxAc", b"")], [(b"abcd", b"1")]]),
    )  # fmt: skip
    info_class = chance.choice([*map(int, FILE_CLASSES), 18, 18, 18, 15, 99])
    query = QueryInfoRequest(
        pick(InfoType.FILE, InfoType.FILESYSTEM, InfoType.SECURITY, 9), info_class,
        chance.choice([FILE_ID_ANY] * 15 + [FileId(1, 2), FileId(FILE_ID_ANY.persistent, 3)]),
        pick(4096, 0, 4, 40, 56, 100, 104, 110, 65536, 65537, 1 << 20, (1 << 32) - 1), input=b"x" * pick(0, 1, 9),
    )  # fmt: skip
    made = [
        Message(Command.CREATE, create.encode(), credits=64),
        Message(pick(Command.QUERY_INFO, Command.CLOSE, Command.FLUSH), query.encode(), credits=64).related(),
        Messages.close(chance.choice([FILE_ID_ANY] * 15 + [FileId(1, 2)]), pick(0, 1, 0xFFFF)).related(),
    ]
    for message in made:
        message.seal = seals
        message.sign = not seals and (chance.random() < 0.9 if signs else chance.random() < 0.02)
        message.credits = pick(64, 0, 1, 600)
        message.credit_charge = pick(1, 0, 2, 40)
        message.flags ^= pick(0, HeaderFlags.RELATED_OPERATIONS, 0x30, 0x10000000, HeaderFlags.ASYNC_COMMAND)
        message.wrong_signature = bool(message.sign and chance.random() < 0.05)
        if chance.random() < 0.02:
            message.tree_id = 77
    if chance.random() < 0.05:
        made.pop(chance.randrange(3))
    if chance.random() < 0.05:
        made.append(Messages.echo())
    return made


def test_spoilt_frames_are_judged_as_step_by_step(pair: Pair) -> None:
    """Bytes that are not what they were, a frame cut short or with more behind it: hostile lengths among them."""
    for number in range(ROUNDS):
        pair.ask(partial(spoil, number))
    assert 0 < pair.glanced < ROUNDS * 7 // 8


def test_native_code_reads_every_frame_as_its_twin(pair: Pair) -> None:
    client = pair.sides[0].client
    read = [
        (read_glance(frame), read_in_python(frame))
        for frame in (memoryview(spoil(number, client)) for number in range(4 * ROUNDS))
    ]
    assert [native for native, _ in read] == [twin for _, twin in read]
    assert ROUNDS // 8 < sum(native is None for native, _ in read) < 4 * ROUNDS - ROUNDS // 8


def test_native_code_lays_out_answers_as_its_twin(pair: Pair) -> None:
    chance = Random(22)
    for _ in range(ROUNDS):
        glanced = read_glance(memoryview(pair.sides[0].client.frame(*glance(close_flags=chance.randrange(2)))))
        pair.sides[0].client.credits += 3
        assert glanced is not None
        numbers = [chance.choice([0, 1, (1 << 63) - 1, chance.getrandbits(62)]) for _ in range(8)]
        answer = Answer(*numbers[:6], chance.getrandbits(32), chance.randbytes(chance.randrange(120)))
        credits, signs = (chance.getrandbits(16), 0, 0xFFFF), chance.choice([(0, 0, 0), (8, 0, 8)])
        native = lay_out_answers(glanced, answer, FileId(*numbers[6:]), credits, signs)
        assert native == lay_out_in_python(glanced, answer, FileId(*numbers[6:]), credits, signs)


def spoil(seed: int, client: FileClient) -> bytes:
    """The compound with a few bytes of its own."""
    chance = Random(seed)
    frame = bytearray(client.frame(*glance("folder\\inner", size=chance.choice([100, 4096]))))
    client.credits += 3
    for _ in range(chance.randrange(1, 4)):
        position = chance.randrange(len(frame))
        if chance.random() < 0.5:  # where the shape is
            position = chance.choice(SHAPE)
        frame[position] = chance.choice([0, 1, 8, 64, 120, 255, chance.randrange(256)])
    if chance.random() < 0.1:
        del frame[chance.randrange(len(frame)) :]
    if chance.random() < 0.1:
        frame += bytes(chance.randrange(1, 9))
    return bytes(frame) or b"\0"


def test_a_file_that_is_about_to_vanish_is_not_shown(pair: Pair) -> None:
    def mark(side: Side) -> None:
        side.client.open("marked", AccessMask.DELETE, options=CreateOptions.FILE_DELETE_ON_CLOSE)
        file_id = side.client.open("marked", AccessMask.DELETE | ATTRIBUTES)
        assert side.client.set_info(file_id, FileInfoClass.DISPOSITION, b"\1").status == 0

    assert statuses(pair.ask_messages(lambda: glance("marked"))) == [0, 0, 0]
    pair.do(mark)
    assert set(statuses(pair.ask_messages(lambda: glance("marked")))) == {NtStatus.DELETE_PENDING}
    assert pair.glanced == 1


def test_a_file_that_others_use_is_shown_with_what_they_did(pair: Pair) -> None:
    def write(side: Side) -> None:
        file_id = side.client.open("file", AccessMask.GENERIC_WRITE, share=0)
        assert side.client.write(file_id, b"x" * 100).status == 0

    pair.do(write)
    answers = pair.ask_messages(glance)
    assert statuses(answers) == [0, 0, 0] and pair.glanced == 1
    assert (100).to_bytes(8, "little") in answers[2]


def test_a_name_that_went_or_changed_in_between_is_looked_for_again(pair: Pair) -> None:
    assert statuses(pair.ask_messages(lambda: glance(r"folder\inner"))) == [0, 0, 0]

    def rename(side: Side) -> None:
        file_id = side.client.open(r"folder\inner")
        information = RenameInformation(file_name=r"folder\other", replace_if_exists=False)
        assert side.client.set_info(file_id, FileInfoClass.RENAME, information).status == 0
        side.client.close(file_id)

    pair.do(rename)
    assert set(statuses(pair.ask_messages(lambda: glance(r"folder\inner")))) == {NtStatus.OBJECT_NAME_NOT_FOUND}
    assert statuses(pair.ask_messages(lambda: glance(r"folder\OTHER"))) == [0, 0, 0]
    assert statuses(pair.ask_messages(lambda: glance(r"folder\other"))) == [0, 0, 0]
    assert pair.glanced == 2


def test_where_the_file_system_takes_long_nothing_is_done_twice(pair: Pair) -> None:
    for side in pair.sides:
        side.driver.is_busy = True
    assert statuses(pair.ask_messages(glance)) == [0, 0, 0]
    assert pair.glanced == 0
    for side in pair.sides:
        side.driver.is_busy = False
    assert statuses(pair.ask_messages(glance)) == [0, 0, 0]
    assert pair.glanced == 1


def test_a_session_that_has_all_the_opens_it_may_is_refused_alike() -> None:
    pair = Pair(build, opens_max=3)
    pair.connect()
    pair.do(lambda side: side.client.open("file"))
    assert statuses(pair.ask_messages(glance)) == [0, 0, 0]
    pair.do(lambda side: side.client.open("file"))
    refused = statuses(pair.ask_messages(glance))
    assert refused == [NtStatus.INSUFFICIENT_RESOURCES] * 3
    assert pair.glanced == 1


def test_a_session_that_must_sign_is_served_signed_only() -> None:
    pair = Pair(build, signing_required=True)
    pair.connect()
    assert statuses(pair.ask_messages(glance)) == [0, 0, 0] and pair.glanced == 1

    def unsigned() -> list[Message]:
        made = glance()
        made[1].sign = False
        return made

    assert statuses(pair.ask_messages(unsigned))[1] == NtStatus.ACCESS_DENIED
    assert pair.glanced == 1


def test_message_ids_that_are_not_the_clients_end_the_connection(pair: Pair) -> None:
    def outside() -> list[Message]:
        made = glance()
        made[2].message_id = 1 << 40
        return made

    assert pair.ask_messages(outside) == [b"ended"]
    assert statuses(pair.ask_messages(glance)) == [0, 0, 0]
