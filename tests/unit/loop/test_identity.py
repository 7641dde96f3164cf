"""Given a client's credentials, the kernel decides as for that user, and the thread is itself again after.

As root the files' owners and the refusals show it.  As an ordinary user the identity stays.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring import _native
from smbd_uring._native._ring import Ring
from smbd_uring.loop import identity, libc, syscalls
from smbd_uring.loop.identity import ThreadIdentity, acting_as, may_switch
from smbd_uring.loop.personalities import OWN, Personalities
from smbd_uring.ports import (
    CheckAccess,
    CloseHandle,
    Credentials,
    Effect,
    GetXattr,
    Handle,
    Link,
    MakeDirectory,
    OpenAt,
    Rename,
    Reopen,
    SetMode,
    SetTimes,
    SetXattr,
    Stat,
    StatEntries,
    Unlink,
)
from tests.unit.loop.effects import Performer

ALICE = Credentials(12345, 12346, (23456,))
BOB = Credentials(12347, 12348)
OURSELVES = (os.geteuid(), os.getegid())


def seen_as() -> tuple[int, int, tuple[int, ...]]:
    """Who the calling thread is to the file system."""
    fields = {}
    for line in Path("/proc/thread-self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.split()
    return (int(fields["Uid"][3]), int(fields["Gid"][3]), tuple(map(int, fields["Groups"])))


def capabilities() -> str:
    status = Path("/proc/thread-self/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("CapEff"))


@pytest.fixture
def root(perform: Performer, tmp_path: Path) -> Iterator[Handle]:
    """A directory anybody may write to, and in it one for root alone."""
    tmp_path.chmod(0o777)
    (tmp_path / "secret").touch(mode=0o600)
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private" / "inside").touch()
    handle = perform(OpenAt(None, os.fsencode(tmp_path), os.O_PATH | os.O_DIRECTORY))
    yield handle
    perform(CloseHandle(handle))


def test_files_belong_to_whom_they_were_made_for(perform: Performer, root: Handle, tmp_path: Path) -> None:
    for name, credentials in ((b"a", ALICE), (b"b", BOB), (b"a2", ALICE), (b"own", None)):
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
        perform(CloseHandle(perform(OpenAt(root, name, flags, 0o600, credentials=credentials))))
        perform(MakeDirectory(root, name + b".d", 0o755, credentials))
        expected = OURSELVES
        if may_switch() and credentials is not None:
            expected = (credentials.uid, credentials.gid)
        for made in (name, name + b".d"):
            status = (tmp_path / os.fsdecode(made)).stat()
            assert (status.st_uid, status.st_gid) == expected
    assert seen_as()[:2] == OURSELVES


def test_the_kernel_refuses_what_the_user_may_not(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "alices").touch()
    if may_switch():
        os.chown(tmp_path / "alices", ALICE.uid, ALICE.gid)
    secret = perform(OpenAt(root, b"secret", os.O_PATH))
    private = perform(OpenAt(root, b"private", os.O_PATH))
    refused: list[tuple[Effect[Any], int]] = [
        (OpenAt(root, b"secret", os.O_RDONLY, credentials=BOB), errno.EACCES),
        (Reopen(secret, os.O_RDONLY, BOB), errno.EACCES),
        (CheckAccess(secret, os.R_OK, BOB), errno.EACCES),
        (Stat(private, b"inside", BOB), errno.EACCES),
        (MakeDirectory(private, b"new", 0o755, BOB), errno.EACCES),
        (Unlink(private, b"inside", False, BOB), errno.EACCES),
        (Rename(private, b"inside", root, b"x", 0, BOB), errno.EACCES),
        (Link(private, b"inside", root, b"x", BOB), errno.EACCES),
        (SetMode(secret, 0o666, BOB), errno.EPERM),
        (SetTimes(secret, 1, 1, BOB), errno.EPERM),
        (GetXattr(secret, b"user.x", BOB), errno.EACCES),
        (SetXattr(secret, b"user.x", b"v", BOB), errno.EACCES),
    ]
    for effect, number in refused:
        if not may_switch():
            continue
        with pytest.raises(OSError) as raised:
            perform(effect)
        assert raised.value.errno == number, effect
    answers = perform(StatEntries(private, [b"inside"], b"user.x", BOB))
    assert (list(answers) == [None]) is may_switch()
    perform(CheckAccess(secret, os.R_OK))
    assert seen_as()[:2] == OURSELVES
    for handle in (secret, private):
        perform(CloseHandle(handle))


def test_the_kernel_grants_what_the_user_may(perform: Performer, root: Handle) -> None:
    """Also through /proc/self, whose files belong to root once an identity has been switched."""
    perform(MakeDirectory(root, b"alices", 0o700, ALICE))
    alices = perform(OpenAt(root, b"alices", os.O_PATH | os.O_DIRECTORY))
    made = perform(OpenAt(alices, b"file", os.O_RDWR | os.O_CREAT, 0o600, credentials=ALICE))
    path = perform(OpenAt(alices, b"file", os.O_PATH, credentials=ALICE))
    perform(CloseHandle(perform(Reopen(path, os.O_RDWR, ALICE))))
    perform(CheckAccess(path, os.R_OK | os.W_OK, ALICE))
    perform(SetXattr(path, b"user.test", b"value", ALICE))
    assert perform(GetXattr(path, b"user.test", ALICE)) == b"value"
    perform(SetMode(path, 0o640, ALICE))
    perform(SetTimes(path, 1, 2, ALICE))
    ((status, value),) = perform(StatEntries(alices, [b"file"], b"user.test", ALICE))
    assert (status, value) == (perform(Stat(path, b"", ALICE)), b"value")
    assert stat.S_IMODE(status.mode) == 0o640 and status.modified_ns == 2
    perform(Link(alices, b"file", alices, b"second", ALICE))
    perform(Rename(alices, b"file", alices, b"third", 0, ALICE))
    for name in (b"second", b"third"):
        perform(Unlink(alices, name, False, ALICE))
    for handle in (made, path, alices):
        perform(CloseHandle(handle))


def test_groups_open_doors(perform: Performer, root: Handle, tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    if may_switch():
        os.chown(tmp_path / "team", 0, ALICE.groups[0])
    (tmp_path / "team").chmod(0o2770)
    team = perform(OpenAt(root, b"team", os.O_PATH | os.O_DIRECTORY))
    perform(MakeDirectory(team, b"alices", 0o755, ALICE))
    if may_switch():
        with pytest.raises(PermissionError):
            perform(MakeDirectory(team, b"bobs", 0o755, BOB))
        # Root's own groups are no part of a client's identity.
        assert (tmp_path / "team" / "alices").stat().st_gid == ALICE.groups[0]
    perform(CloseHandle(team))


def test_a_users_set_id_bits_follow_the_users_rules(perform: Performer, root: Handle, tmp_path: Path) -> None:
    """CAP_FSETID is gone with the other file capabilities: a foreign group's set-gid bit does not stay."""
    (tmp_path / "program").touch()
    if may_switch():
        os.chown(tmp_path / "program", ALICE.uid, 54321)
    program = perform(OpenAt(root, b"program", os.O_PATH))
    perform(SetMode(program, 0o2755, ALICE))
    kept = bool((tmp_path / "program").stat().st_mode & stat.S_ISGID)
    assert kept is not may_switch()
    perform(CloseHandle(program))


def test_a_thread_is_itself_again() -> None:
    before, powers = seen_as(), capabilities()
    with acting_as(ALICE):
        inside = seen_as()
        weaker = capabilities() != powers
    assert inside == ((ALICE.uid, ALICE.gid, ALICE.groups) if may_switch() else before)
    assert weaker is may_switch()
    with pytest.raises(KeyError), acting_as(BOB):
        raise KeyError
    assert (seen_as(), capabilities()) == (before, powers)


def test_a_worker_keeps_an_identity_and_others_do_not_notice() -> None:
    before = seen_as()
    inside: list[object] = []

    def work() -> None:
        mine = ThreadIdentity()
        mine.assume(ALICE)
        mine.assume(ALICE)
        inside.append(seen_as())
        mine.assume(BOB)
        inside.append(seen_as())
        mine.assume(None)
        inside.append(seen_as())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    alice, bob = (ALICE.uid, ALICE.gid, ALICE.groups), (BOB.uid, BOB.gid, ())
    assert inside == ([alice, bob, before] if may_switch() else [before] * 3)
    assert seen_as() == before


@pytest.mark.parametrize("implementation", ["native", "python"])
def test_an_id_that_does_not_take_is_an_error(monkeypatch: pytest.MonkeyPatch, implementation: str) -> None:
    """In a user namespace setfsuid of an unmapped id fails without saying so."""
    before, real_syscall, real_take = seen_as(), libc.raw_syscall, _native.take_identity
    assert real_take is not None
    number = identity._NUMBERS[identity.architecture()].setfsuid

    def unmapped(called: int, *arguments: object) -> int:
        ids = [getattr(each, "value", None) for each in arguments]
        return 0 if called == number and ids == [ALICE.uid] else real_syscall(called, *arguments)

    def take_unmapped(
        setgroups: int, setfsgid: int, setfsuid: int, groups: tuple[int, ...], gid: int, uid: int
    ) -> int:
        if uid != ALICE.uid:
            return real_take(setgroups, setfsgid, setfsuid, groups, gid, uid)
        real_take(setgroups, setfsgid, setfsuid, groups, gid, os.geteuid())
        return errno.EPERM

    monkeypatch.setattr(libc, "raw_syscall", unmapped)
    monkeypatch.setattr(_native, "take_identity", take_unmapped if implementation == "native" else None)
    if may_switch():
        with pytest.raises(PermissionError), acting_as(ALICE):
            raise AssertionError("not reached")
    assert seen_as() == before


@pytest.mark.parametrize("implementation", ["native", "python"])
def test_from_one_client_to_the_next_and_back(monkeypatch: pytest.MonkeyPatch, implementation: str) -> None:
    """Given several clients in turn, each is taken without a stop at root, and in the end nothing is left of any."""
    if implementation == "python":
        monkeypatch.setattr(_native, "take_identity", None)
    before, powers = seen_as(), capabilities()
    mine = ThreadIdentity()
    for each in (ALICE, BOB, ALICE, Credentials(0, 0), BOB):
        mine.assume(each)
        assert seen_as() == ((each.uid, each.gid, each.groups) if may_switch() else before)
    assert mine.is_own is not may_switch()
    mine.assume(None)
    assert mine.is_own and (seen_as(), capabilities()) == (before, powers)


def test_who_is_the_server_already_is_not_switched_to(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = ThreadIdentity()
    uid, gid, groups = seen_as()

    def fail(_credentials: Credentials) -> None:
        raise AssertionError("nothing to switch")

    monkeypatch.setattr(identity, "_take", fail)
    mine.assume(Credentials(uid, gid, tuple({*groups, gid})))
    assert mine.is_own


def test_an_identity_that_cannot_be_left_ends_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[BaseException] = []

    def refuse(_credentials: Credentials) -> None:
        raise OSError(errno.EPERM, "refused")

    def work() -> None:
        mine = ThreadIdentity()
        mine.assume(ALICE)
        monkeypatch.setattr(identity, "_take", refuse)
        try:
            mine.assume(None)
        except identity.IdentityLost as error:
            lost.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(lost) == may_switch()


def test_whoever_is_not_root_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    identity.why_not.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    try:
        assert identity.why_not() == "the server does not run as root"
        with acting_as(ALICE):
            assert seen_as()[:2] == OURSELVES
    finally:
        monkeypatch.undo()
        identity.why_not.cache_clear()


def test_personalities_are_bounded(tmp_path: Path) -> None:
    """Given room for two identities, a third takes the place of the one not used for longest; an operation
    that was queued with it before still has it."""
    tmp_path.chmod(0o777)
    root = os.open(tmp_path, os.O_PATH)
    ring = Ring()
    try:
        personalities = Personalities(ring, capacity=2)
        users = [Credentials(20000 + number, 20000) for number in range(5)]
        for user in users:
            number = personalities.number(user)
            assert personalities.number(user) == number
            assert (number == OWN) is not may_switch()
            ring.make_directory(root, b"%d" % user.uid, 0o755, None, number)
        assert len(personalities) == (2 if may_switch() else 0)
        results: list[int] = []
        while len(results) < len(users):
            results += [result for _, result, _ in ring.wait(1.0)]
        assert results == [0] * 5
        for user in users:
            owner = (tmp_path / str(user.uid)).stat().st_uid
            assert owner == (user.uid if may_switch() else OURSELVES[0])
        personalities.close()
        assert len(personalities) == 0
        assert personalities.number(None) == OWN
    finally:
        ring.close()
        os.close(root)


def test_plain_calls_leave_the_thread_as_it_was(tmp_path: Path) -> None:
    before = seen_as()
    with pytest.raises(OSError):
        syscalls.perform(OpenAt(None, b"/nowhere", os.O_RDONLY, credentials=ALICE))
    assert seen_as() == before
    with pytest.raises(TypeError):
        syscalls.perform(object())  # type: ignore[arg-type]
