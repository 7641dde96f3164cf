"""Samba's smbclient stores, fetches and tidies up files in every dialect it shares with us."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.support import smbclient, trees
from tests.support.endpoint import Endpoint
from tests.support.smbclient import MATRIX, Transport, quoted

MIB = 1 << 20
SLOW_BYTES = 2 << 30


def case_name(transport: Transport) -> str:
    return f"{transport.dialect}-{transport.protection}"


def copy_there_and_back(
    endpoint: Endpoint, folder: Path, scratch: Path, size: int, transport: Transport
) -> None:
    """Given a file of `size` bytes, put stores the same bytes and get fetches them."""
    expected = trees.random_file(scratch / "original", size, seed=size)
    smbclient.run(
        endpoint, [f"cd {quoted(folder.name)}", "put original stored", "get stored fetched"], scratch,
        transport=transport, timeout_s=600,
    )
    assert trees.checksum(folder / "stored") == expected
    assert trees.checksum(scratch / "fetched") == expected


@pytest.mark.parametrize("transport", MATRIX, ids=case_name)
def test_put_and_get_keep_every_byte(
    endpoint: Endpoint, folder: Path, tmp_path: Path, transport: Transport
) -> None:
    copy_there_and_back(endpoint, folder, tmp_path, 64 * MIB, transport)


@pytest.mark.slow
@pytest.mark.parametrize("transport", MATRIX, ids=case_name)
def test_put_and_get_of_two_gigabytes(
    endpoint: Endpoint, folder: Path, tmp_path: Path, transport: Transport
) -> None:
    copy_there_and_back(endpoint, folder, tmp_path, SLOW_BYTES, transport)
    for path in (tmp_path / "original", tmp_path / "fetched", folder / "stored"):
        path.unlink()


@pytest.mark.parametrize("size", [0, 1, 4096, 65535, 65536, 65537, 8 * MIB - 1, 8 * MIB + 1])
def test_sizes_around_the_limits_of_one_request(
    endpoint: Endpoint, folder: Path, tmp_path: Path, size: int
) -> None:
    copy_there_and_back(endpoint, folder, tmp_path, size, Transport())


def mput_and_mget(
    endpoint: Endpoint, folder: Path, scratch: Path, transport: Transport, folders: int, files: int
) -> None:
    """Given a tree of folders, a recursive mput makes the same tree and a recursive mget fetches it."""
    (scratch / "out").mkdir()
    (scratch / "back").mkdir()
    count = trees.make_tree(scratch / "out", folders, files)
    for local, verb in (("out", "mput *"), ("back", "mget *")):
        commands = [f"lcd {local}", f"cd {quoted(folder.name)}", "recurse on", "prompt off", verb]
        smbclient.run(endpoint, commands, scratch, transport=transport, timeout_s=300)
    sent = trees.contents(scratch / "out")
    assert len(sent) == count
    assert trees.contents(folder) == sent
    assert trees.contents(scratch / "back") == sent


@pytest.mark.parametrize("transport", MATRIX, ids=case_name)
def test_trees_with_odd_names(endpoint: Endpoint, folder: Path, tmp_path: Path, transport: Transport) -> None:
    mput_and_mget(endpoint, folder, tmp_path, transport, folders=4, files=6)


def test_a_thousand_files_in_fifty_folders(endpoint: Endpoint, folder: Path, tmp_path: Path) -> None:
    mput_and_mget(endpoint, folder, tmp_path, Transport("SMB3_11", "encrypt"), folders=50, files=20)


@pytest.mark.slow
@pytest.mark.parametrize("transport", MATRIX, ids=case_name)
def test_a_thousand_files_in_every_way(
    endpoint: Endpoint, folder: Path, tmp_path: Path, transport: Transport
) -> None:
    mput_and_mget(endpoint, folder, tmp_path, transport, folders=50, files=20)


@pytest.mark.parametrize("transport", MATRIX, ids=case_name)
def test_folders_come_get_new_names_and_go(
    endpoint: Endpoint, folder: Path, tmp_path: Path, transport: Transport
) -> None:
    (tmp_path / "note").write_text("hello")
    here = [f"cd {quoted(folder.name)}"]

    smbclient.run(
        endpoint, [*here, "mkdir sub", f"mkdir sub/{quoted('deeper 🐟')}", "put note sub/note"], tmp_path,
        transport=transport,
    )
    assert (folder / "sub" / "deeper 🐟").is_dir()

    smbclient.run(
        endpoint, [*here, "rename sub/note sub/renamed", "rename sub moved"], tmp_path, transport=transport
    )
    assert (folder / "moved" / "renamed").read_text() == "hello"
    assert not (folder / "sub").exists()

    listing = smbclient.run(endpoint, [*here, "ls moved/*"], tmp_path, transport=transport)
    assert "renamed" in listing and "deeper 🐟" in listing

    smbclient.run(
        endpoint, [*here, "rm moved/renamed", f"rmdir moved/{quoted('deeper 🐟')}"], tmp_path,
        transport=transport,
    )
    assert list((folder / "moved").iterdir()) == []

    count = trees.make_tree(tmp_path / "out" / "tree", folders=3, files=4)
    smbclient.run(
        endpoint, [*here, "lcd out", "cd moved", "recurse on", "prompt off", "mput *"], tmp_path,
        transport=transport,
    )
    assert len(trees.contents(folder / "moved")) == count
    smbclient.run(endpoint, [*here, "deltree moved"], tmp_path, transport=transport)
    assert list(folder.iterdir()) == []


def test_a_folder_of_twenty_thousand_entries_is_listed_whole(
    endpoint: Endpoint, folder: Path, tmp_path: Path
) -> None:
    expected = {f"entry number {number:05}" for number in range(20_000)}
    for name in expected:
        (folder / name).touch()

    listing = smbclient.run(endpoint, [f"cd {quoted(folder.name)}", "ls"], tmp_path, timeout_s=60)

    listed = [line.strip() for line in listing.splitlines() if line.strip().startswith("entry number")]
    assert len(listed) == len(expected)
    assert {line[: len("entry number 00000")] for line in listed} == expected


def test_wildcards_choose(endpoint: Endpoint, folder: Path, tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt", "three.TXT", "four.doc", "five"):
        (folder / name).touch()
    here = f"cd {quoted(folder.name)}"

    def listed(pattern: str) -> set[str]:
        output = smbclient.run(endpoint, [here, f"ls {pattern}"], tmp_path)
        return {line.split()[0] for line in output.splitlines() if line.startswith("  ")}

    assert listed("*.txt") == {"one.txt", "two.txt", "three.TXT"}
    assert listed("f*") == {"four.doc", "five"}
    assert listed("t??.txt") == {"two.txt"}
    assert listed("FIVE") == {"five"}


def test_attributes_and_space_are_told(endpoint: Endpoint, folder: Path, tmp_path: Path) -> None:
    (folder / "file").write_bytes(b"x" * 12345)

    facts = smbclient.run(endpoint, [f"cd {quoted(folder.name)}", "allinfo file", "du", "ls"], tmp_path)

    assert "12345" in facts
    assert "blocks available" in facts


def test_a_tar_of_a_folder_holds_every_file(endpoint: Endpoint, folder: Path, tmp_path: Path) -> None:
    trees.make_tree(folder / "tree", folders=3, files=3)

    smbclient.run(endpoint, [f"cd {quoted(folder.name)}", "tarmode full", "tar c all.tar tree"], tmp_path)

    with tarfile.open(tmp_path / "all.tar") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    unpacked = trees.contents(tmp_path / "unpacked")
    assert sorted(unpacked.values()) == sorted(trees.contents(folder / "tree").values())
