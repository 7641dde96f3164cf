"""The load generator against this server: every workload goes through without an error, and what is wrong is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from smbd_uring.perf import files
from smbd_uring.perf.load import Target, main, run
from smbd_uring.perf.session import Connection, NotAgreedError
from smbd_uring.perf.steady import SteadyWork
from smbd_uring.perf.workloads import NAMES, PROTECTIONS, Name, Protection, Workload
from tests.support.endpoint import LOOPBACK, Account, make_share, open_folder
from tests.support.server import Server

ACCOUNT = Account("daemon", "secret")
SECONDS = 0.1
WARM_UP_S = 0.02


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """The server, with prepared files."""
    with open_folder("perf") as folder:
        share = make_share(folder, "data")
        files.prepare(share.path)
        with Server(folder, [share], [ACCOUNT]) as server:
            yield Target(
                LOOPBACK, server.endpoint.port, ACCOUNT.name, ACCOUNT.password, share.name, server.process.pid,
                share.path,
            )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_workload_goes_through(target: Target, name: Name) -> None:
    result = run(target, Workload(name, depth=4, connections=2, verify=True), SECONDS, WARM_UP_S)
    assert (result.errors, result.complaint) == (0, "")
    assert result.operations > 0
    assert result.cpu_us_per_operation is not None
    assert result.cpu_us_per_operation > 0 or name == "idle"
    assert result.memory_kib is not None and result.memory_kib > 1000
    latency = result.latency_us
    assert latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert (latency["max"] > 0) == (name != "idle")
    assert (result.bytes > 0) == (name in ("read", "write", "mixed", "create_delete"))
    assert (result.memory_kib_per_connection is not None) == (name == "idle")


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize("name", ["read", "write", "stat"])
def test_a_workload_goes_through_however_it_is_protected(
    target: Target, name: Name, protection: Protection
) -> None:
    workload = Workload(name, size=65536 * 2, depth=4, protection=protection, verify=True)
    result = run(target, workload, SECONDS / 2, WARM_UP_S)
    assert (result.errors, result.complaint) == (0, "")
    assert result.operations > 0


@pytest.mark.parametrize("size", [8, 520, 65536 + 8, 1 << 20])
def test_sequential_transfers_of_any_size(target: Target, size: int) -> None:
    for name in ("read", "write"):
        result = run(target, Workload(name, size, "sequential", verify=True), SECONDS / 2, WARM_UP_S)
        assert (result.errors, result.complaint) == (0, "")
        assert result.bytes == result.operations * size


def test_nothing_new_is_left_behind(target: Target) -> None:
    assert target.folder is not None
    assert run(target, Workload("create_delete", depth=8), SECONDS, WARM_UP_S).errors == 0
    assert list((target.folder / files.NEW_FOLDER).iterdir()) == []


@contextmanager
def corrupted(path: Path, offset: int) -> Iterator[None]:
    """Another byte at one place of a file, for a while."""
    with path.open("r+b") as file:
        file.seek(offset)
        (right,) = file.read(1)
        for byte in (right ^ 1, right):
            file.seek(offset)
            file.write(bytes([byte]))
            file.flush()
            if byte != right:
                yield


def state_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and when it was written."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


def test_a_corrupted_file_is_noticed(target: Target) -> None:
    assert target.folder is not None
    path = target.folder / files.READ_FILE
    workload = Workload("read", pattern="sequential", verify=True)
    with corrupted(path, 4096 * 3 + 5):
        found = run(target, workload, SECONDS, 0.0)
    assert found.errors == 1 and found.complaint == "wrong contents (READ)"
    assert run(target, workload, SECONDS, 0.0).errors == 0


def test_a_write_that_is_lost_is_noticed(target: Target) -> None:
    assert target.folder is not None
    with SteadyWork(replace(target, folder=None), Workload("write", verify=True)) as work:
        work.work(SECONDS)
        written = next((target.folder / files.WRITE_FOLDER).iterdir())
        written.write_bytes(bytes(written.stat().st_size))
        work.check_written()
        assert work.errors > 0
        assert work.complaint == "what was written reads otherwise"


@pytest.mark.parametrize("protection", ["gmac", "aes-128-gcm"])
def test_a_client_with_the_wrong_key_gets_nothing_done(
    target: Target, protection: Protection, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = Connection._enter

    def enter_and_mix_up(connection: Connection, there: Target) -> None:
        enter(connection, there)
        keys = connection.session.keys
        assert keys is not None
        connection.session.keys = replace(
            keys, signing_key=keys.application_key, decryption_key=keys.encryption_key
        )

    monkeypatch.setattr(Connection, "_enter", enter_and_mix_up)
    with SteadyWork(target, Workload("echo", protection=protection)) as work:
        work.work(SECONDS)
        assert work.operations == 0 and work.errors > 0


@pytest.mark.parametrize(
    "wrong", [{"password": "wrong"}, {"share": "nowhere"}, {"user": "nobody-of-this-name"}], ids=str
)
def test_who_is_refused_hears_why(target: Target, wrong: dict[str, str]) -> None:
    with pytest.raises(NotAgreedError, match="was answered"):
        run(replace(target, **wrong), Workload("echo"))


def test_a_folder_that_was_not_prepared_is_named(target: Target) -> None:
    assert target.folder is not None
    path = target.folder / files.READ_FILE
    path.rename(path.with_suffix(".away"))
    try:
        with pytest.raises(NotAgreedError, match="prepared"):
            run(replace(target, folder=None), Workload("read"))
    finally:
        path.with_suffix(".away").rename(path)


def test_the_command_prints_a_line_for_programs_and_a_table_for_people(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--port", str(target.port), "--user", f"{target.user}:{target.password}", "--share", target.share,
        "--pid", str(target.server_pid), "--workload", "read", "--depth", "2", "--seconds", "0.1",
    ]  # fmt: skip
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["label"] == "read 4 KiB, depth 2"
    assert told["operations"] * 4096 == told["bytes"]
    assert main(arguments) == 0
    assert "read 4 KiB, depth 2" in capsys.readouterr().out
    assert main([*arguments, "--size", "3"]) == 2
    assert main([*arguments, "--share", "nowhere"]) == 1


def test_preparing_again_changes_nothing(target: Target) -> None:
    assert target.folder is not None
    before = state_of(target.folder)
    files.prepare(target.folder)
    assert state_of(target.folder) == before
