"""What is compared with is fair: Samba takes every line of both configurations, and they are what they claim to be."""

from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from smbd_uring.perf.contenders import target
from smbd_uring.perf.held import hold
from smbd_uring.perf.many_connections import source_address
from smbd_uring.perf.pinning import pin_tree
from smbd_uring.perf.samba_configuration import PRIVATE_FOLDERS, Samba, smb_conf
from smbd_uring.perf.servers import LOOPBACK, folders, own, samba
from smbd_uring.perf.session import Connection

CONNECTIONS = 300


def settings(tmp_path: Path, kind: Samba) -> tuple[dict[str, str], str]:
    """What Samba makes of a configuration, defaults included, and what it complains about."""
    for name in PRIVATE_FOLDERS:
        (tmp_path / name).mkdir()
    path = tmp_path / "smb.conf"
    path.write_text(smb_conf(kind, tmp_path, 4450, "bench", tmp_path), encoding="utf-8")
    ran = subprocess.run(["testparm", "-s", "-v", str(path)], capture_output=True, text=True, check=True)
    found = {}
    for line in ran.stdout.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found, ran.stderr


@pytest.mark.parametrize("kind", Samba)
def test_samba_knows_every_parameter(kind: Samba, tmp_path: Path) -> None:
    _, complaints = settings(tmp_path, kind)
    for word in ("Unknown", "unknown", "deprecated", "Ignoring", "ERROR"):
        assert word not in complaints


def test_the_default_one_does_all_that_samba_does_by_default(tmp_path: Path) -> None:
    found, _ = settings(tmp_path, Samba.DEFAULT)
    expected = {
        "nt acl support": "Yes", "ea support": "Yes", "store dos attributes": "Yes", "oplocks": "Yes",
        "aio read size": "1", "aio write size": "1", "use sendfile": "No", "case sensitive": "Auto",
        "strict locking": "Auto", "vfs objects": "",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_the_tuned_one_does_as_little_as_it_can(tmp_path: Path) -> None:
    found, _ = settings(tmp_path, Samba.TUNED)
    expected = {
        "nt acl support": "No", "ea support": "No", "store dos attributes": "No", "oplocks": "No",
        "aio read size": "0", "aio write size": "0", "use sendfile": "Yes", "case sensitive": "Yes",
        "strict locking": "No", "kernel oplocks": "No",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("kind", Samba)
def test_both_let_the_client_choose_signing_and_encryption_as_we_do(kind: Samba, tmp_path: Path) -> None:
    found, _ = settings(tmp_path, kind)
    assert found["server signing"] == "default"
    assert found["server smb encrypt"] == "default"


def test_a_pinned_server_runs_on_that_core_with_all_its_threads_and_children() -> None:
    core = min(os.sched_getaffinity(0))
    with folders() as (work, share), own(work, share, "daemon") as running:
        pin_tree(running.pid, {core})
        threads = [int(name) for name in os.listdir(f"/proc/{running.pid}/task")]
        children = [child.pid for child in psutil.Process(running.pid).children()]
        assert children
        assert {frozenset(os.sched_getaffinity(one)) for one in (*threads, *children)} == {frozenset({core})}


def test_connections_from_many_addresses_are_held() -> None:
    with folders() as (work, share), own(work, share, "daemon") as running:
        found = hold(LOOPBACK, running.port, CONNECTIONS, 0.0)
    assert (found.wanted, found.answered, found.held) == (CONNECTIONS, CONNECTIONS, CONNECTIONS)


def test_addresses_are_enough_for_a_hundred_thousand() -> None:
    addresses = {source_address(LOOPBACK, number) for number in range(0, 100_000, 100)}
    assert len(addresses) == 500
    assert all(max(map(int, address.split("."))) <= 250 for address in addresses)


def test_every_connection_is_a_client_of_its_own() -> None:
    """Samba has a process for each client; were they one client's, it would serve them all with a single process."""
    with folders() as (work, share), samba(Samba.DEFAULT, work, share, "daemon") as running:
        before = len(psutil.Process(running.pid).children(recursive=True))
        with ExitStack() as held:
            for number in range(3):
                held.enter_context(Connection(target(running), number=number))
            assert len(psutil.Process(running.pid).children(recursive=True)) == before + 3
