"""Each question the engine asks has its answer, and what is connected is counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smbd_uring.netlink import accounts, messages
from smbd_uring.netlink.answers import Answers
from smbd_uring.netlink.directory import Account, Directory
from smbd_uring.netlink.flags import AccountFlags, ShareFlags, TreeFlags, TreeStatus
from smbd_uring.netlink.messages import Event, MalformedStructure
from smbd_uring.netlink.nt_hash import nt_hash

HASH = nt_hash("secret")
HANDLE = 7
CONFIGURATION = """
[global]
map to guest = bad user
[Data]
path = /srv/data
read only = no
max connections = 2
[closed]
path = /srv/closed
valid users = bert
"""
Read = Callable[[str], Directory]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A reading of a configuration, with the account anna, who needs no Unix user."""

    def read(text: str) -> Directory:
        config, overlay = tmp_path / "smb.conf", tmp_path / "overlay.json"
        config.write_text(text)
        overlay.write_text(json.dumps({"users": {"anna": HASH.hex()}}))
        return Directory.read(config, None, overlay)

    return read


@pytest.fixture
def answers(read: Read) -> Answers:
    return Answers(read(CONFIGURATION))


DECODERS: dict[Event, Any] = {
    message.EVENT: message
    for message in (
        messages.LoginResponse, messages.LoginResponseExt, messages.ShareConfigResponse, messages.TreeConnectResponse
    )
}  # fmt: skip


def ask(answers: Answers, question: Any) -> Any:
    """The answer to a question, decoded; its number must be the question's plus one."""
    answer = answers.answer(question.EVENT, question.encode())
    assert answer is not None, "no answer"
    event, data = answer
    assert event == question.EVENT + 1
    return DECODERS[event].decode(data)


def connect(
    answers: Answers, session: int, tree: int = 1, share: str = "data", account: str = "anna"
) -> tuple[TreeStatus, TreeFlags]:
    answer = ask(
        answers,
        messages.TreeConnectRequest(HANDLE, int(AccountFlags.OK), 2, session, tree, account, share, "192.0.2.1"),
    )
    assert answer.handle == HANDLE
    return TreeStatus(answer.status), TreeFlags(answer.connection_flags)


def disconnect(answers: Answers, session: int, tree: int = 1) -> None:
    request = messages.TreeDisconnectRequest(session, tree)
    assert answers.answer(request.EVENT, request.encode()) is None


# --- accounts ---


def test_an_account_is_told_with_its_hash(answers: Answers) -> None:
    answer = ask(answers, messages.LoginRequest(HANDLE, "ANNA"))
    assert (answer.handle, answer.account, answer.hash) == (HANDLE, "anna", HASH)
    assert answer.status & AccountFlags.OK
    assert not answer.status & AccountFlags.GUEST_ACCOUNT


@pytest.mark.parametrize("name", ["", "stranger"])
def test_nobody_in_particular_is_the_guest(answers: Answers, name: str) -> None:
    answer = ask(answers, messages.LoginRequest(HANDLE, name))
    assert (answer.account, answer.hash) == ("nobody", b"")
    assert answer.status == AccountFlags.OK | AccountFlags.GUEST_ACCOUNT


def test_a_stranger_is_refused_where_none_is_mapped_to_the_guest(read: Read) -> None:
    answer = ask(Answers(read("")), messages.LoginRequest(HANDLE, "stranger"))
    assert (answer.handle, answer.status, answer.hash) == (HANDLE, AccountFlags.BAD_USER, b"")


def test_an_account_with_groups_says_so_and_tells_them_when_asked(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account("anna", 1000, 100, (100, 27), HASH, AccountFlags.OK)
    monkeypatch.setattr(Directory, "login", lambda *_: account)
    answer = ask(answers, messages.LoginRequest(HANDLE, "anna"))
    assert (answer.uid, answer.gid) == (1000, 100)
    assert answer.status == AccountFlags.OK | AccountFlags.EXTENSION
    answer = ask(answers, messages.LoginRequestExt(HANDLE, "anna"))
    assert (answer.handle, answer.groups) == (HANDLE, (100, 27))


def test_groups_asked_for_with_the_account_are_those_that_were_looked_up_for_it(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look at the Unix user database a logon; groups asked for alone, or again, are looked up then."""
    looked_up: list[str] = []
    login = Directory.login

    def counted(self: Directory, name: str) -> Account | None:
        looked_up.append(name)
        return login(self, name)

    monkeypatch.setattr(Directory, "login", counted)
    ask(answers, messages.LoginRequest(HANDLE, "anna"))
    first = ask(answers, messages.LoginRequestExt(HANDLE, "anna")).groups
    assert looked_up == ["anna"]
    assert ask(answers, messages.LoginRequestExt(HANDLE, "anna")).groups == first
    assert looked_up == ["anna", "anna"]
    ask(answers, messages.LoginRequest(HANDLE, "anna"))
    ask(answers, messages.LoginRequestExt(HANDLE, "bert"))
    assert looked_up == ["anna", "anna", "anna", "bert"]


def test_an_account_without_groups_does_not_claim_to_have_some(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account("anna", 1000, 100, (), HASH, AccountFlags.OK)
    monkeypatch.setattr(Directory, "login", lambda *_: account)
    assert ask(answers, messages.LoginRequest(HANDLE, "anna")).status == AccountFlags.OK
    assert ask(answers, messages.LoginRequestExt(HANDLE, "anna")).groups == ()


def test_groups_of_an_account_that_is_gone_since_are_none(read: Read) -> None:
    assert ask(Answers(read("")), messages.LoginRequestExt(HANDLE, "stranger")).groups == ()


# --- shares ---


@pytest.mark.parametrize("name", ["Data", "data", "DATA"])
def test_a_share_is_found_in_any_case_and_told_as_it_is_written(answers: Answers, name: str) -> None:
    answer = ask(answers, messages.ShareConfigRequest(HANDLE, name))
    assert (answer.handle, answer.share_name, answer.path) == (HANDLE, "Data", "/srv/data")
    assert answer.flags & ShareFlags.AVAILABLE
    assert answer.flags & ShareFlags.WRITEABLE


def test_a_share_that_is_not_there_is_told_under_the_name_that_was_asked(answers: Answers) -> None:
    answer = ask(answers, messages.ShareConfigRequest(HANDLE, "Nowhere"))
    assert (answer.handle, answer.share_name, answer.flags, answer.path) == (HANDLE, "Nowhere", 0, "")


def test_the_global_section_is_no_share(answers: Answers) -> None:
    assert ask(answers, messages.ShareConfigRequest(HANDLE, "global")).flags == 0


# --- trees ---


def test_who_may_connect_is_told_what_they_may_do(answers: Answers) -> None:
    assert connect(answers, 1) == (TreeStatus.OK, TreeFlags.WRITABLE)


def test_who_may_not_is_told_so(answers: Answers) -> None:
    assert connect(answers, 1, share="closed") == (TreeStatus.INVALID_USER, TreeFlags(0))
    assert connect(answers, 1, share="nowhere") == (TreeStatus.NO_SHARE, TreeFlags(0))


def test_a_share_takes_as_many_trees_as_it_says_and_one_that_ends_makes_room(answers: Answers) -> None:
    assert [connect(answers, session)[0] for session in (1, 2, 3)] == [
        TreeStatus.OK, TreeStatus.OK, TreeStatus.TOO_MANY_CONNECTIONS
    ]  # fmt: skip
    disconnect(answers, 3)
    assert connect(answers, 3)[0] == TreeStatus.TOO_MANY_CONNECTIONS, "what was refused has no place to give back"
    disconnect(answers, 1)
    assert connect(answers, 3)[0] == TreeStatus.OK
    disconnect(answers, 1)
    assert connect(answers, 4)[0] == TreeStatus.TOO_MANY_CONNECTIONS, "a place was given back twice"


def test_a_tree_that_is_there_cannot_be_connected_again(answers: Answers) -> None:
    assert connect(answers, 1)[0] == TreeStatus.OK
    assert connect(answers, 1) == (TreeStatus.CONNECTION_EXISTS, TreeFlags(0))
    assert connect(answers, 1, tree=2)[0] == TreeStatus.OK


def test_the_bound_on_sessions_counts_those_that_have_trees(read: Read) -> None:
    answers = Answers(read("[global]\nmax active sessions = 2\n[data]\npath = /srv\n"))
    assert [connect(answers, session)[0] for session in (1, 2, 3)] == [
        TreeStatus.OK, TreeStatus.OK, TreeStatus.TOO_MANY_SESSIONS
    ]  # fmt: skip
    assert connect(answers, 1, tree=2)[0] == TreeStatus.OK, "a session that counts already is not one more"
    disconnect(answers, 1)
    assert connect(answers, 3)[0] == TreeStatus.TOO_MANY_SESSIONS
    disconnect(answers, 1, tree=2)
    assert connect(answers, 3)[0] == TreeStatus.OK


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(1, 2)), max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_comes_and_goes_the_count_is_right(read: Read, steps: list[tuple[bool, int, int]]) -> None:
    """Given connects and disconnects in any order, also of trees that are there or gone already, the share is full
    exactly when two trees are connected."""
    answers = Answers(read(CONFIGURATION))
    connected: set[tuple[int, int]] = set()
    for comes, session, tree in steps:
        if not comes:
            disconnect(answers, session, tree)
            connected.discard((session, tree))
            continue
        expected = TreeStatus.OK
        if (session, tree) in connected:
            expected = TreeStatus.CONNECTION_EXISTS
        elif len(connected) == 2:
            expected = TreeStatus.TOO_MANY_CONNECTIONS
        assert connect(answers, session, tree)[0] == expected
        if expected == TreeStatus.OK:
            connected.add((session, tree))


# --- another reading ---


def test_after_a_reload_each_share_says_once_that_it_changed(read: Read, answers: Answers) -> None:
    answers.replace(read(CONFIGURATION))
    assert connect(answers, 1) == (TreeStatus.OK, TreeFlags.WRITABLE | TreeFlags.UPDATE)
    assert connect(answers, 2) == (TreeStatus.OK, TreeFlags.WRITABLE)
    assert connect(answers, 1, share="closed", tree=2) == (TreeStatus.INVALID_USER, TreeFlags.UPDATE)


def test_after_a_reload_the_new_reading_answers(read: Read, answers: Answers) -> None:
    answers.replace(read("[data]\npath = /new\nvalid users = bert\n"))
    assert ask(answers, messages.ShareConfigRequest(HANDLE, "data")).path == "/new"
    assert connect(answers, 1)[0] == TreeStatus.INVALID_USER
    assert ask(answers, messages.ShareConfigRequest(HANDLE, "closed")).flags == 0
    assert ask(answers, messages.LoginRequest(HANDLE, "stranger")).status == AccountFlags.BAD_USER


def test_who_was_connected_before_a_reload_counts_after_it(read: Read, answers: Answers) -> None:
    assert connect(answers, 1)[0] == connect(answers, 2)[0] == TreeStatus.OK
    answers.replace(read(CONFIGURATION))
    assert connect(answers, 3)[0] == TreeStatus.TOO_MANY_CONNECTIONS
    disconnect(answers, 1)
    assert connect(answers, 3)[0] == TreeStatus.OK


# --- what is not answered ---


def test_heartbeats_and_logouts_have_no_answer(answers: Answers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "smbd.companion")
    for message in (messages.Heartbeat(), messages.LogoutRequest("anna", int(AccountFlags.OK))):
        assert answers.answer(message.EVENT, message.encode()) is None
    assert not caplog.records
    failed = messages.LogoutRequest("anna", int(AccountFlags.BAD_PASSWORD))
    assert answers.answer(failed.EVENT, failed.encode()) is None
    assert "'anna' failed" in caplog.text


@pytest.mark.parametrize(
    "event", [Event.STARTING_UP, Event.LOGIN_RESPONSE, Event.RPC_REQUEST, Event.SPNEGO_AUTHEN_REQUEST, 0, 17]
)
def test_what_an_engine_does_not_send_is_logged_and_dropped(
    answers: Answers, event: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert answers.answer(event, bytes(200)) is None
    assert "not one that the engine sends" in caplog.text


@given(st.integers(0, 17), st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
def test_garbage_is_malformed_or_answered_and_never_worse(answers: Answers, command: int, data: bytes) -> None:
    try:
        answer = answers.answer(command, data)
    except MalformedStructure:
        return
    assert answer is None or answer[0] == command + 1


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
def test_a_question_of_the_right_size_with_anything_in_it_is_answered_or_malformed(
    answers: Answers, data: st.DataObject
) -> None:
    question: Any = data.draw(
        st.sampled_from(
            [messages.LoginRequest, messages.LoginRequestExt, messages.ShareConfigRequest, messages.TreeConnectRequest]
        )
    )
    size = messages.PROTOCOL_SIZES.get(question, messages.PROTOCOL_SIZES[messages.LoginRequest])
    raw = data.draw(st.binary(min_size=size, max_size=size))
    try:
        answer = answers.answer(question.EVENT, raw)
    except MalformedStructure:
        return
    assert answer is not None and answer[0] == question.EVENT + 1
    assert DECODERS[answer[0]].decode(answer[1]).handle == int.from_bytes(raw[:4], "little")


def test_the_longest_names_of_files_can_be_told(tmp_path: Path) -> None:
    """What the files may hold fits in a message."""
    name, database, config = "n" * accounts.NAME_BYTES_MAX, tmp_path / "ksmbdpwd.db", tmp_path / "smb.conf"
    accounts.store(database, {name: HASH})
    share = "s" * 63
    config.write_text(f"[global]\nguest account = {'g' * accounts.NAME_BYTES_MAX}\n[{share}]\npath = /{'p' * 4000}\n")
    answers = Answers(Directory.read(config, database, None))
    assert ask(answers, messages.LoginRequest(HANDLE, "")).account == "g" * accounts.NAME_BYTES_MAX
    assert ask(answers, messages.LoginRequest(HANDLE, name)).account == name
    assert ask(answers, messages.ShareConfigRequest(HANDLE, share)).path == f"/{'p' * 4000}"
