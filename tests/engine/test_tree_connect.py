"""Which share a client gets, and how ([MS-SMB2] 3.3.5.7, 3.3.5.8)."""

from __future__ import annotations

import pytest

from smbd_uring import limits
from smbd_uring.ports import (
    AskTree,
    CompanionUnavailable,
    ShareAnswer,
    TellTreeDisconnect,
    TreeAnswer,
    TreeFlags,
    TreeStatus,
)
from smbd_uring.wire.const import AccessMask, CreateOptions, ShareType
from smbd_uring.wire.ntstatus import NtStatus
from smbd_uring.wire.tree import TreeConnectResponse
from tests.engine.servers import TestedServer
from tests.support.file_client import Messages

DIRECTORY = CreateOptions.FILE_DIRECTORY_FILE
READ = AccessMask.GENERIC_READ


@pytest.mark.parametrize(
    ("share", "kind", "writes"),
    [("data", ShareType.DISK, True), ("DATA", ShareType.DISK, True), ("readonly", ShareType.DISK, False),
     (r"\\any server at all\data", ShareType.DISK, True), ("IPC$", ShareType.PIPE, True)],
)  # fmt: skip
def test_a_share_is_found_in_any_case_and_says_what_may_be_done(
    server: TestedServer, share: str, kind: ShareType, writes: bool
) -> None:
    answer = server.client(share=None).tree_connect(share).expect(TreeConnectResponse)
    assert answer.share_type == kind
    assert bool(answer.maximal_access & AccessMask.FILE_WRITE_DATA) == writes
    assert answer.share_flags == answer.capabilities == 0


@pytest.mark.parametrize(
    "share", ["nothing", "away", "missing", "x" * 81, r"\\server", r"\\server\\", r"\server\data", "\\\\\\"]
)
def test_a_share_that_is_not_there_is_a_bad_name(server: TestedServer, share: str) -> None:
    assert server.client(share=None).tree_connect(share).status == NtStatus.BAD_NETWORK_NAME


@pytest.mark.parametrize(
    ("verdict", "status"),
    [
        (TreeStatus.NO_SHARE, NtStatus.BAD_NETWORK_NAME), (TreeStatus.INVALID_USER, NtStatus.ACCESS_DENIED),
        (TreeStatus.HOST_DENIED, NtStatus.ACCESS_DENIED), (TreeStatus.NO_USER, NtStatus.ACCESS_DENIED),
        (TreeStatus.TOO_MANY_CONNECTIONS, NtStatus.REQUEST_NOT_ACCEPTED),
        (TreeStatus.TOO_MANY_SESSIONS, NtStatus.TOO_MANY_SESSIONS), (TreeStatus.ERROR, NtStatus.ACCESS_DENIED),
    ],
)  # fmt: skip
def test_the_companions_verdict_becomes_a_status(
    server: TestedServer, verdict: TreeStatus, status: NtStatus
) -> None:
    server.companion.tree_policy = lambda question, share: TreeAnswer(verdict, TreeFlags(0))
    client = server.client(share=None)
    assert client.tree_connect("data").status == status
    assert server.inspect(lambda engine: [len(each.trees) for each in engine.sessions.values()]) == [0]


def test_the_companion_is_told_who_asks_and_when_it_is_over(server: TestedServer) -> None:
    questions: list[AskTree] = []

    def allow(question: AskTree, share: ShareAnswer) -> TreeAnswer:
        questions.append(question)
        return TreeAnswer(TreeStatus.OK, TreeFlags.READ_ONLY)

    server.companion.tree_policy = allow
    client = server.client()
    assert client.session is not None
    [question] = questions
    assert (question.account, question.share, question.address) == ("anna", "data", "127.0.0.1")
    assert (question.session_id, question.tree_id) == (client.session.session_id, client.tree_id)
    assert client.create("new", disposition=2).status == NtStatus.ACCESS_DENIED, "it said read-only"
    assert client.tree_disconnect().status == NtStatus.SUCCESS
    assert TellTreeDisconnect(question.session_id, question.tree_id) in server.companion.told


def test_a_tree_that_is_allowed_and_will_not_be_is_told_to_be_over(server: TestedServer) -> None:
    """The companion counts what it allows: for a share that is not to be used after all nobody else takes it back."""
    client = server.client(share=None)
    assert client.session is not None
    for name in ("away", "missing"):
        assert client.tree_connect(name).status == NtStatus.BAD_NETWORK_NAME
    told = [effect for effect in server.companion.told if isinstance(effect, TellTreeDisconnect)]
    assert [effect.session_id for effect in told] == [client.session.session_id] * 2
    assert client.tree_connect("nowhere").status == NtStatus.BAD_NETWORK_NAME
    assert len(server.companion.told) == 2, "nothing was allowed, so nothing is over"


def test_a_tree_whose_answer_did_not_come_is_told_to_be_over(server: TestedServer) -> None:
    """The companion may have allowed it, and count it, all the same."""

    def late(question: AskTree, share: ShareAnswer) -> TreeAnswer:
        raise CompanionUnavailable

    client = server.client(share=None)
    server.companion.tree_policy = late
    assert client.tree_connect("data").status != NtStatus.SUCCESS
    [over] = [effect for effect in server.companion.told if isinstance(effect, TellTreeDisconnect)]
    assert client.session is not None and over.session_id == client.session.session_id


def test_disconnecting_a_tree_closes_what_was_opened_through_it_alone(server: TestedServer) -> None:
    client = server.client()
    through_first, first = client.open("", READ, options=DIRECTORY), client.tree_id
    client.tree_connect("second")
    through_second = client.open("", READ, options=DIRECTORY)
    assert client.tree_disconnect(tree_id=first).status == NtStatus.SUCCESS
    assert client.close(through_first, tree_id=first).status == NtStatus.NETWORK_NAME_DELETED
    assert client.tree_disconnect(tree_id=first).status == NtStatus.NETWORK_NAME_DELETED
    assert client.close(through_second).status == NtStatus.SUCCESS


def test_the_same_share_twice_is_two_trees(server: TestedServer) -> None:
    client = server.client()
    first = client.tree_id
    client.tree_connect("data")
    assert client.tree_id != first


@pytest.mark.parametrize("tree_id", [0, 999, 0xFFFF_FFFF])
def test_an_unknown_tree_is_a_deleted_name(server: TestedServer, tree_id: int) -> None:
    client = server.client()
    client.tree_id = tree_id
    assert client.create("").status == NtStatus.NETWORK_NAME_DELETED
    assert client.tree_disconnect().status == NtStatus.NETWORK_NAME_DELETED


def test_a_session_has_only_so_many_trees(server: TestedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TREES_PER_SESSION_MAX", 3)
    client, other = server.client(), server.client()
    for _ in range(2):
        assert client.tree_connect("data").status == NtStatus.SUCCESS
    assert client.tree_connect("data").status == NtStatus.INSUFFICIENT_RESOURCES
    assert other.tree_connect("data").status == NtStatus.SUCCESS
    client.tree_disconnect()
    assert client.tree_connect("data").status == NtStatus.SUCCESS


def test_a_tree_that_is_being_disconnected_lets_what_is_under_way_finish(server: TestedServer) -> None:
    client = server.client()
    client.put("file", b"data" * 1000)
    client.echo(credits=200)
    for _ in range(20):
        client.tree_connect("data")
        file_id = client.open("file")
        reads = [client.send(Messages.read(file_id, 0, 4000))[0] for _ in range(5)]
        creates = [client.send(Messages.create("file"))[0] for _ in range(5)]
        assert client.tree_disconnect().status == NtStatus.SUCCESS
        gone = (NtStatus.FILE_CLOSED, NtStatus.NETWORK_NAME_DELETED, NtStatus.USER_SESSION_DELETED)
        for message_id in reads + creates:
            assert client.wait_for(message_id).status in (NtStatus.SUCCESS, *gone)
    assert server.inspect(lambda engine: engine.opens.count) == 0
