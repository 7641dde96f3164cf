"""The generator against a scripted server: it believes nothing unchecked, and lives within its credits."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smbd_uring.crypto.sealing import make_opener, make_sealer
from smbd_uring.crypto.signing import make_signer
from smbd_uring.perf._generator import Generator, content
from smbd_uring.perf.steady import COMPLAINTS
from smbd_uring.perf.templates import MessageTemplate, OperationTemplate, StepTemplate, Templates
from smbd_uring.wire.const import CipherId, Command, SigningAlgorithm
from smbd_uring.wire.create import CloseResponse, CreateResponse
from smbd_uring.wire.pdu import FileId
from smbd_uring.wire.query import QueryDirectoryResponse
from tests.unit.perf.answering import Answerer, Spoil

SESSION = Templates(session_id=7, tree_id=3)
KEY = bytes(range(16))
SEED = 5
TIMEVAL = struct.pack("@ll", 0, 5_000)
STATUS_AT, CREDITS_AT, FLAGS_AT, NEXT_AT, ID_AT, BODY_AT = 4 + 8, 4 + 14, 4 + 16, 4 + 20, 4 + 24, 4 + 64
READ = SESSION.read(FileId(1, 2), 4096, 16, True)


def put(at: int, value: bytes) -> Spoil:
    return lambda frame: frame[:at] + value + frame[at + len(value) :]


def sealing_key(cipher: CipherId | None) -> bytes:
    return KEY * 2 if cipher in (CipherId.AES_256_CCM, CipherId.AES_256_GCM) else KEY


def sealing_server(cipher: CipherId, spoil: Spoil = lambda frame: frame) -> Answerer:
    key = sealing_key(cipher)
    return Answerer(sealer=make_sealer(cipher, key[::-1], b"test"), opener=make_opener(cipher, key), spoil=spoil)


def run(
    server: Answerer, operation: OperationTemplate, *, verify: bool = False, depth: int = 4, credits: int = 16,
    signing: SigningAlgorithm | None = None, cipher: CipherId | None = None,
    seconds: float = 0.05, patience: float = 0.1,
) -> Generator:  # fmt: skip
    """What is counted after a moment of `operation` against `server`."""
    generator = Generator(verify=verify, read_seed=SEED, patience=patience)
    with server:
        server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, TIMEVAL)
        generator.add_connection(
            server.socket.fileno(), 7, 100, credits, [operation], bytes(1), depth, reply_bytes_max=4096,
            signing_algorithm=signing, signing_key=KEY, cipher=cipher,
            sealing_key=sealing_key(cipher), opening_key=sealing_key(cipher)[::-1],
        )  # fmt: skip
        generator.run(seconds)
    return generator


def complaint_of(generator: Generator) -> str:
    return COMPLAINTS[generator.complaint()[0]]


def test_a_server_that_answers_well_is_not_complained_about() -> None:
    server = Answerer()
    generator = run(server, SESSION.echo())
    assert generator.operations > 100 and generator.errors == 0
    assert generator.operations == generator.latencies.total == len(server.message_ids)
    assert server.message_ids == list(range(100, 100 + len(server.message_ids)))
    assert generator.channel_state(0)[0] == 100 + len(server.message_ids)


@pytest.mark.parametrize("algorithm", SigningAlgorithm)
def test_signatures_are_made_and_verified(algorithm: SigningAlgorithm) -> None:
    generator = run(Answerer(signer=make_signer(algorithm, KEY)), SESSION.echo(), signing=algorithm)
    assert generator.operations > 10 and generator.errors == 0


@pytest.mark.parametrize("algorithm", SigningAlgorithm)
@pytest.mark.parametrize(
    "server",
    [
        lambda algorithm: Answerer(signer=make_signer(algorithm, KEY[::-1])),
        lambda algorithm: Answerer(signer=make_signer(algorithm, KEY), spoil=put(FLAGS_AT, b"\1")),
        lambda algorithm: Answerer(signer=make_signer(algorithm, KEY), spoil=put(4 + 48, bytes(16))),
        lambda algorithm: Answerer(signer=make_signer(algorithm, KEY), spoil=put(CREDITS_AT, b"\2")),
        lambda algorithm: Answerer(),
    ],
    ids=["another key", "flag taken away", "no signature", "changed afterwards", "not signed at all"],
)
def test_a_wrong_signature_is_an_error(
    server: Callable[[SigningAlgorithm], Answerer], algorithm: SigningAlgorithm
) -> None:
    generator = run(server(algorithm), SESSION.echo(), signing=algorithm)
    assert generator.operations == 0 and generator.errors > 0
    assert complaint_of(generator) == "no signature or a wrong one"


@pytest.mark.parametrize("cipher", CipherId)
def test_frames_are_sealed_and_opened(cipher: CipherId) -> None:
    generator = run(sealing_server(cipher), READ, cipher=cipher)
    assert generator.operations > 10 and generator.errors == 0


@pytest.mark.parametrize("cipher", CipherId)
@pytest.mark.parametrize(
    "spoil",
    [
        put(4, b"\xfe"), put(4 + 4, bytes(16)), put(4 + 20, b"T"), put(4 + 36, b"\xff\xff\xff\xff"),
        put(4 + 44, b"\x08"), put(4 + 52, bytes(8)), lambda frame: b"\0\0\0\x34" + frame[4:56],
    ],
    ids=["protocol", "tag", "nonce", "size", "session", "contents", "nothing in it"],
)  # fmt: skip
def test_a_frame_that_is_sealed_wrongly_ends_the_connection(cipher: CipherId, spoil: Spoil) -> None:
    generator = run(sealing_server(cipher, spoil), READ, cipher=cipher)
    assert generator.operations == 0 and generator.errors == 4
    assert complaint_of(generator) == "a frame that is not sealed or cannot be opened"


LISTING = {
    Command.CREATE: CreateResponse(0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, FileId(1, 2)).encode(),
    Command.CLOSE: CloseResponse().encode(),
}


def entry(following: int, name_length: int = 0) -> bytes:
    """The first entry of a listing whose fields but these are zero."""
    return struct.pack("<I56xI", following, name_length).ljust(104, b"\0")


@pytest.mark.parametrize(
    "buffer",
    [
        b"", entry(0)[:-1], entry(0, 1), entry(0xFFFFFFF0), entry(8) + entry(0), entry(104), entry(104) + entry(104),
        entry(208) + entry(0),
    ],
)  # fmt: skip
def test_a_listing_that_reaches_outside_its_buffer_is_malformed(buffer: bytes) -> None:
    server = Answerer(bodies={**LISTING, Command.QUERY_DIRECTORY: QueryDirectoryResponse(buffer).encode()})
    generator = run(server, SESSION.list())
    assert generator.operations == 0 and generator.errors > 0
    assert complaint_of(generator) == "an answer that is malformed"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 304))
def test_no_listing_does_harm(garbage: bytes, following: int) -> None:
    buffer = entry(following) + garbage
    server = Answerer(bodies={**LISTING, Command.QUERY_DIRECTORY: QueryDirectoryResponse(buffer).encode()})
    generator = run(server, SESSION.list(), seconds=0.005, patience=0.01)
    assert generator.operations == 0 and generator.errors > 0


def test_contents_are_checked_when_asked_for() -> None:
    def file(offset: int, length: int) -> bytes:
        return content(offset, length, SEED)

    def spoiled(offset: int, length: int) -> bytes:
        return file(offset, length)[:-1] + b"?"

    assert run(Answerer(content=file), READ, verify=True).errors == 0
    assert run(Answerer(content=spoiled), READ).errors == 0
    assert complaint_of(run(Answerer(content=spoiled), READ, verify=True)) == "wrong contents"


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (put(STATUS_AT, b"\x22\0\0\xc0"), "an unexpected status"),
        (put(BODY_AT, b"\x12"), "an answer that is malformed"),
        (put(BODY_AT + 2, b"\x4f"), "an answer that is malformed"),
        (put(BODY_AT + 2, b"\xff"), "an answer that is malformed"),
        (put(BODY_AT + 4, b"\xff\xff\xff\xff"), "an answer that is malformed"),
        (put(BODY_AT + 4, b"\0\x08\0\0"), "an answer of the wrong length"),
        (put(0, b"\xff"), "something that is not an answer"),
        (put(4, b"\xffSMB"), "something that is not an answer"),
        (put(4 + 4, b"\x41"), "something that is not an answer"),
        (put(4 + 12, b"\x09"), "something that is not an answer"),
        (put(FLAGS_AT, b"\0"), "something that is not an answer"),
        (put(NEXT_AT, b"\x01"), "something that is not an answer"),
        (put(NEXT_AT, b"\xf8\xff\xff\xff"), "something that is not an answer"),
        (put(ID_AT, b"\xff" * 8), "something that is not an answer"),
        (lambda frame: b"\0\0\0\0", "something that is not an answer"),
        (lambda frame: frame + frame, "something that is not an answer"),
        (lambda frame: b"\0\0\0\x50" + frame[4:84], "an answer that is malformed"),
    ],
)
def test_a_wrong_answer_is_an_error(spoil: Spoil, complaint: str) -> None:
    generator = run(Answerer(spoil=spoil), READ, depth=1)
    assert generator.errors > 0
    assert complaint_of(generator) == complaint


def test_a_connection_that_ends_is_an_error_for_all_that_was_under_way() -> None:
    generator = run(Answerer(answers_max=50), SESSION.echo(), depth=4)
    assert (generator.operations, generator.errors) == (50, 4)
    assert complaint_of(generator) == "the server ended the connection"


def test_silence_is_an_error() -> None:
    generator = run(Answerer(spoil=lambda frame: b""), SESSION.echo(), depth=4)
    assert (generator.operations, generator.errors) == (0, 4)
    assert complaint_of(generator) == "no answer in time"


def test_a_client_with_one_credit_has_one_request_under_way() -> None:
    server = Answerer(credits=1)
    assert run(server, SESSION.echo(), depth=8, credits=1).operations > 10
    assert not server.was_overtaken
    server = Answerer(credits=1)
    assert run(server, SESSION.echo(), depth=8, credits=4).operations > 10
    assert server.was_overtaken


def test_waiting_for_credits_is_part_of_the_latency() -> None:
    generator = run(Answerer(credits=1), SESSION.echo(), depth=20, credits=1)
    alone = run(Answerer(credits=1), SESSION.echo(), depth=1, credits=1)
    assert generator.latencies.percentile(50) > 5 * alone.latencies.percentile(50)


def test_requests_that_cost_more_than_there_is_wait_for_it() -> None:
    operation = SESSION.read(FileId(1, 2), 65536 * 4, 16, False)
    generator = run(Answerer(credits=0), operation, depth=1, credits=3)
    assert generator.operations == 0
    assert complaint_of(generator) == "no answer in time"


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 120))
def test_whatever_comes_everything_under_way_ends_somehow(garbage: bytes, at: int) -> None:
    server = Answerer(spoil=lambda frame: (frame[:at] + garbage).ljust(200, b"\0"))
    generator = run(server, READ, depth=2, seconds=0.005, patience=0.01)
    assert generator.operations + generator.errors >= 2


@pytest.mark.parametrize(
    "operation",
    [
        OperationTemplate([]),
        OperationTemplate([StepTemplate(bytes(64), [])]),
        OperationTemplate([StepTemplate(bytes(64), [MessageTemplate(0, 65, 13)])]),
        OperationTemplate([StepTemplate(bytes(64), [MessageTemplate(0, 64, 13, file_id_at=49)])]),
        OperationTemplate([StepTemplate(bytes(64), [MessageTemplate(0, 64, 13, offset_at=60)])]),
        OperationTemplate([StepTemplate(bytes(64), [MessageTemplate(0, 64, 13, number_at=60, digits=3)])]),
        OperationTemplate([StepTemplate(bytes(64), [MessageTemplate(0, 63, 13)])]),
    ],
)
def test_a_template_that_reaches_outside_its_frame_is_refused(operation: OperationTemplate) -> None:
    with Answerer() as server, pytest.raises(ValueError):
        Generator().add_connection(server.socket.fileno(), 0, 0, 1, [operation], bytes(1), 1, reply_bytes_max=0)
