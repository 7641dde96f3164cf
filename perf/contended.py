"""`smbd-uring bench contended`: how long an open waits that has to break another client's lease first.

Knows: [MS-SMB2] 2.2.13.2.10, 2.2.23.2, 2.2.24.2, and the tests' client, which makes the frames.  Must not know: how a
server is started.

One client holds a file with a lease for everything (RWH).  Another opens it; the first is told to give up WRITE, and
acknowledges as soon as it has read that; the second has its answer.  Both close, and it begins again.  The frames are
made before the clock starts, so that what is measured is the servers' and the sockets'.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from smbd_uring.perf import document
from smbd_uring.perf.arrangement import OURS, add_arguments, arranged, progress
from smbd_uring.perf.contenders import target
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.pinning import placed, placements
from smbd_uring.perf.servers import Running
from smbd_uring.perf.session import Connection, FileClient, Message
from smbd_uring.perf.tables import markdown, number
from smbd_uring.wire import create_contexts
from smbd_uring.wire.breaks import LeaseBreakAcknowledgment, LeaseBreakNotification
from smbd_uring.wire.const import AccessMask, Command, CreateDisposition, OplockLevel, ShareAccess
from smbd_uring.wire.create import CloseRequest, CreateRequest, CreateResponse
from smbd_uring.wire.create_contexts import LeaseRequest
from smbd_uring.wire.header import Header
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.pdu import FileId

NAME = "contended"
RWH, RH = 7, 3
CREDITS = 32
DATA = AccessMask.FILE_READ_DATA | AccessMask.FILE_WRITE_DATA | AccessMask.FILE_READ_ATTRIBUTES
SHARED = ShareAccess.READ | ShareAccess.WRITE | ShareAccess.DELETE
NS_PER_US = 1000


@dataclass(slots=True)
class Waits:
    """What one server showed, in us: from the open to the break, and from the open to its answer."""

    name: str
    to_break_us: list[float] = field(default_factory=list)
    to_answer_us: list[float] = field(default_factory=list)


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_arguments(parser)
    parser.set_defaults(samba="default")


def run(options: argparse.Namespace) -> int:
    """Measure in turns and print.  Result: 0."""
    place = placements()["same"]
    with arranged(options) as ready:
        waits = [Waits(server.name) for server in ready.servers]
        for turn in range(options.rounds):
            progress(f"round {turn + 1} of {options.rounds}")
            for server, one in zip(ready.servers, waits, strict=True):
                with placed(place, server.pid):
                    _contend(server, options.seconds, options.warm_up, one)
    print(table(waits))
    if options.json is not None:
        settings = {"rounds": options.rounds, "seconds": options.seconds, "warm_up": options.warm_up}
        shown = {one.name: {"to_break_us": one.to_break_us, "to_answer_us": one.to_answer_us} for one in waits}
        document.write(options.json, document.record(NAME, settings, [], shown))
    return 0


def table(waits: Sequence[Waits]) -> str:
    """Medians and the slowest hundredth, and what they are to the first server's."""
    ours = next(median(one.to_answer_us) for one in waits if one.name == OURS)
    rows = [
        [
            one.name, number(median(one.to_break_us)), number(median(one.to_answer_us)),
            number(sorted(one.to_answer_us)[len(one.to_answer_us) * 99 // 100]),
            f"{ours / median(one.to_answer_us):.2f}",
        ]
        for one in waits
    ]  # fmt: skip
    return markdown(["server", "break, us", "answer, us", "p99, us", "ours to it"], rows)


def _contend(server: Running, seconds: float, warm_up: float, waits: Waits) -> None:
    """Raises MeasurementError when something is answered otherwise than it has to be."""
    with Connection(target(server)) as one, Connection(target(server)) as two:
        holder, other = one.client, two.client
        started = time.monotonic()
        number_of_turn = 0
        while time.monotonic() < started + warm_up + seconds:
            number_of_turn += 1
            to_break_us, to_answer_us = _turn(holder, other, number_of_turn)
            if time.monotonic() > started + warm_up:
                waits.to_break_us.append(to_break_us)
                waits.to_answer_us.append(to_answer_us)


def _turn(holder: FileClient, other: FileClient, turn: int) -> tuple[float, float]:
    """One open that waits.  Result: us until the holder is told, and until the open is answered."""
    key, other_key = turn.to_bytes(16, "little"), (turn | 1 << 64).to_bytes(16, "little")
    held = holder.ask(_open(key)).expect(CreateResponse).file_id
    opening, acknowledgment = other.frame(_open(other_key)), holder.frame(_acknowledgment(key))
    began = time.perf_counter_ns()
    other.send_raw(opening)
    broken = holder.receive_frame()
    told = time.perf_counter_ns()
    holder.send_raw(acknowledgment)
    answer, credits_given = _final(other)
    ended = time.perf_counter_ns()
    told_of = Header.decode(broken)
    if told_of.command != Command.OPLOCK_BREAK or LeaseBreakNotification.decode(broken).new_lease_state != RH:
        raise MeasurementError("the holder was told something else than to give up WRITE")
    other.credits += credits_given
    holder.credits += Header.decode(holder.receive_frame()).credits
    for client in (holder, other):
        client.forget()
    holder.ask(_close(held))
    other.ask(_close(CreateResponse.decode(answer).file_id))
    return (told - began) / NS_PER_US, (ended - began) / NS_PER_US


def _final(client: FileClient) -> tuple[memoryview, int]:
    """The answer after STATUS_PENDING, and the credits of both."""
    given = 0
    while True:
        frame = client.receive_frame()
        header = Header.decode(frame)
        given += header.credits
        if header.status == NtStatus.SUCCESS:
            return frame, given
        if header.status != NtStatus.PENDING:
            raise MeasurementError(f"the open was answered 0x{header.status:08X}")


def _open(key: bytes) -> Message:
    body = CreateRequest(
        requested_oplock_level=OplockLevel.LEASE, desired_access=DATA, share_access=SHARED,
        create_disposition=CreateDisposition.OPEN_IF, name="contended",
        contexts=[(create_contexts.LEASE, LeaseRequest(key, RWH, 0, 2).encode())],
    )  # fmt: skip
    return Message(Command.CREATE, body.encode(), credits=CREDITS)


def _acknowledgment(key: bytes) -> Message:
    return Message(Command.OPLOCK_BREAK, LeaseBreakAcknowledgment(key, RH).encode(), credits=CREDITS)


def _close(file_id: FileId) -> Message:
    return Message(Command.CLOSE, CloseRequest(0, file_id).encode(), credits=CREDITS)
