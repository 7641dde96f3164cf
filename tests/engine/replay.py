"""Says to a server what a foreign client once said to another, with the ids that this server gives.

Knows: where a request names sessions, trees, files and itself.  Must not know: who else is asked the same.

The logon is our own client's.  Of what was recorded after it each byte is sent again but ids and signatures.
"""

from __future__ import annotations

import struct

from smbd_uring.wire.const import Command, Dialect, HeaderFlags
from smbd_uring.wire.header import HEADER_SIZE, split_compound
from tests.support.client_messages import Reply
from tests.support.file_client import FileClient
from tests.support.recording import MESSAGE_ID, MESSAGES_MAX, TREE_ID, Answer, Recording, command_of, given_by

CREDIT_CHARGE, CREDITS, FLAGS = slice(6, 8), slice(14, 16), slice(16, 20)
SESSION_ID, SIGNATURE = slice(40, 48), slice(48, 64)
OF_THE_MESSAGE_BEFORE = b"\xff" * 8
FILE_ID_OFFSETS = {
    Command.CLOSE: 8, Command.FLUSH: 8, Command.READ: 16, Command.WRITE: 16, Command.LOCK: 8, Command.IOCTL: 8,
    Command.QUERY_DIRECTORY: 8, Command.CHANGE_NOTIFY: 8, Command.QUERY_INFO: 24, Command.SET_INFO: 16,
}  # fmt: skip
"""Where in a request's body its FileId is."""

Exchange = tuple[bytes, Reply]
"""A request as it was sent, without its signature, and its answer."""


class Replay:
    """One recording, played to one server."""

    def __init__(self, recording: Recording, client: FileClient) -> None:
        """`client` has a session, and more credits than the recorded one ever had."""
        self._recording = recording
        self._client = client
        self._sent: dict[int, tuple[int, bytes]] = {}
        """By the recorded message id: the one of this server, and the request."""
        self._given: dict[bytes, bytes] = {}
        """TreeIds and FileIds: what the recorded client got, and what was got here."""
        self._replies: dict[int, Reply] = {}
        self._at_once = False

    def play(self, at_once: bool) -> list[Exchange]:
        """Everything that was asked, in order, and its answers.  AssertionError when a status is another than then.

        With `at_once` requests are sent as they were: those that did not wait for an answer, without waiting.  They
        ask for no more credits than they take then: what is granted at the window's end depends on the order of the
        answers.
        """
        self._at_once = at_once
        answers = {event.message_id: event for event in self._recording.events if isinstance(event, Answer)}
        for event in self._recording.events:
            if isinstance(event, Answer):
                self._wait(event)
                continue
            for message_id in self._send(event):
                if not at_once:
                    self._wait(answers[message_id])
        return [(request, self._replies[message_id]) for message_id, (_, request) in self._sent.items()]

    def _send(self, frame: bytes) -> list[int]:
        """Send a recorded frame.  Result: its recorded message ids."""
        client, session = self._client, self._client.session
        assert session is not None
        messages = [bytearray(message) for message in split_compound(memoryview(frame), MESSAGES_MAX)]
        recorded_ids = [int.from_bytes(message[MESSAGE_ID], "little") for message in messages]
        for recorded_id, message in zip(recorded_ids, messages, strict=True):
            message_id = self._address(message)
            self._sent[recorded_id] = (message_id, bytes(message))
            signs = not session.seals and (session.signs or self._demands_signature(message))
            if signs:
                assert session.signer is not None
                message[FLAGS] = (int.from_bytes(message[FLAGS], "little") | HeaderFlags.SIGNED).to_bytes(4, "little")
                message[SIGNATURE] = session.signer.sign([message], message_id, from_server=False, is_cancel=False)
            client.expect_answer(message_id, signs, session.seals)
        whole = b"".join(messages)
        if session.seals:
            assert session.sealer is not None
            whole = b"".join(session.sealer.seal([whole], session.session_id))
        client.send_raw(whole)
        return recorded_ids

    def _address(self, message: bytearray) -> int:
        """Put this server's ids into a request, and no signature.  Result: its message id."""
        client = self._client
        assert client.session is not None
        charge = max(1, int.from_bytes(message[CREDIT_CHARGE], "little"))
        message_id = client.next_message_id
        client.next_message_id += charge
        client.credits -= charge
        assert client.credits >= 0
        message[MESSAGE_ID] = struct.pack("<Q", message_id)
        message[FLAGS] = struct.pack("<I", int.from_bytes(message[FLAGS], "little") & ~HeaderFlags.SIGNED)
        message[SIGNATURE] = bytes(16)
        if message[SESSION_ID] != OF_THE_MESSAGE_BEFORE:
            message[SESSION_ID] = struct.pack("<Q", client.session.session_id)
        if self._at_once:
            message[CREDITS] = struct.pack("<H", charge)
        message[TREE_ID] = self._given.get(bytes(message[TREE_ID]), message[TREE_ID])
        offset = FILE_ID_OFFSETS.get(Command(command_of(message)))
        if offset is not None:
            place = slice(HEADER_SIZE + offset, HEADER_SIZE + offset + 16)
            message[place] = self._given.get(bytes(message[place]), message[place])
        return message_id

    def _demands_signature(self, message: bytearray) -> bool:
        """[MS-SMB2] 3.2.4.1.1"""
        return self._client.dialect == Dialect.SMB_3_1_1 and command_of(message) == Command.TREE_CONNECT

    def _wait(self, recorded: Answer) -> None:
        if recorded.message_id in self._replies:
            return
        reply = self._client.wait_for(self._sent[recorded.message_id][0])
        assert reply.status == recorded.status, f"{Command(reply.header.command).name} {recorded.message_id}"
        given = given_by(reply.message)
        assert len(given) == len(recorded.given)
        if given:
            self._given[recorded.given] = given
        self._replies[recorded.message_id] = reply
