"""Three SMB clients written in Python, each independent of the others, do everyday work on the server.

smbprotocol speaks every dialect, signs and encrypts; impacket and pysmb also begin with an SMB1 NEGOTIATE
that offers SMB2, as old clients do.  Our server is run both over io_uring and without it.
"""

from __future__ import annotations

import io
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import smbclient
import smbclient.shutil
from impacket import smb3structs
from impacket.smbconnection import SessionError, SMBConnection
from smb.SMBConnection import SMBConnection as PysmbConnection
from smbprotocol.connection import Ciphers, SigningAlgorithms
from smbprotocol.exceptions import SMBOSError
from smbprotocol.header import NtStatus

from tests.interop.launching import Launch
from tests.support.endpoint import Account, Endpoint, make_share
from tests.support.smb2_client import DIALECTS, Client, status_of

DATA = random.Random(7).randbytes(1_234_567)
IMPACKET_DIALECTS = {
    "smb1 first": None,
    "2.0.2": smb3structs.SMB2_DIALECT_002,
    "2.1": smb3structs.SMB2_DIALECT_21,
    "3.0": smb3structs.SMB2_DIALECT_30,
    "3.1.1": smb3structs.SMB2_DIALECT_311,
}
NAME = "Ünïcödé 🐟 name"


@pytest.fixture(scope="module", params=["io_uring", "no io_uring"])
def endpoint(launch: Launch, place: Path, target: str, request: pytest.FixtureRequest) -> Endpoint:
    uring = request.param == "io_uring"
    if target == "samba" and not uring:
        pytest.skip("Samba is run in one way only")
    return launch([make_share(place, "data" if uring else "data-epoll")], uring=uring).endpoint


@pytest.fixture(scope="module")
def share(endpoint: Endpoint) -> str:
    """The name of the only share."""
    (name,) = endpoint.shares
    return name


@pytest.fixture
def folder(endpoint: Endpoint, share: str, request: pytest.FixtureRequest) -> Path:
    path = endpoint.path(share) / "".join(letter for letter in request.node.name if letter.isalnum())[:80]
    path.mkdir()
    path.chmod(0o777)
    return path


# --- smbprotocol, low level -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "encrypt"),
    [(dialect, False) for dialect in DIALECTS] + [(dialect, True) for dialect in DIALECTS if dialect >= "3"],
)
def test_smbprotocol(endpoint: Endpoint, share: str, folder: Path, dialect: str, encrypt: bool) -> None:
    base = folder.name
    with Client(endpoint, share, dialect=dialect, encrypt=encrypt) as client:
        client.mkdir(rf"{base}\sub")
        client.create(rf"{base}\sub\{NAME}", DATA)
        assert (folder / "sub" / NAME).read_bytes() == DATA
        assert client.listing(rf"{base}\sub") == {NAME: len(DATA)}
        assert client.read(rf"{base}\sub\{NAME}") == DATA
        client.truncate(rf"{base}\sub\{NAME}", 1000)
        assert (folder / "sub" / NAME).read_bytes() == DATA[:1000]
        client.rename(rf"{base}\sub\{NAME}", rf"{base}\other")
        assert (folder / "other").exists() and not (folder / "sub" / NAME).exists()
        client.delete(rf"{base}\other")
        client.delete(rf"{base}\sub")
        client.connection.echo(client.session.session_id)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "cipher", [Ciphers.AES_128_CCM, Ciphers.AES_128_GCM, Ciphers.AES_256_CCM, Ciphers.AES_256_GCM],
    ids=["AES-128-CCM", "AES-128-GCM", "AES-256-CCM", "AES-256-GCM"],
)
def test_every_cipher(endpoint: Endpoint, share: str, folder: Path, cipher: int) -> None:
    """Given a client that offers one cipher only, files go there and back under that cipher."""
    with Client(endpoint, share, encrypt=True, ciphers=[cipher]) as client:
        assert client.connection.cipher_id == cipher
        client.create(rf"{folder.name}\file", DATA)
        assert client.read(rf"{folder.name}\file") == DATA


@pytest.mark.parametrize(
    "algorithm", [SigningAlgorithms.HMAC_SHA256, SigningAlgorithms.AES_CMAC, SigningAlgorithms.AES_GMAC],
    ids=["HMAC-SHA256", "AES-CMAC", "AES-GMAC"],
)
def test_every_signing_algorithm(endpoint: Endpoint, share: str, folder: Path, algorithm: int) -> None:
    """Given a client that offers one signing algorithm only, files go there and back signed with it."""
    with Client(endpoint, share, signing_algorithms=[algorithm]) as client:
        assert client.connection.signing_algorithm_id == algorithm
        client.create(rf"{folder.name}\file", DATA)
        assert client.read(rf"{folder.name}\file") == DATA


def test_one_request_of_eight_mebibytes(endpoint: Endpoint, share: str, folder: Path) -> None:
    """Given multi-credit, one WRITE and one READ carry as much as the server said it takes."""
    with Client(endpoint, share) as client:
        size = min(client.connection.max_write_size, client.connection.max_read_size, 8 << 20)
        assert size >= 1 << 20
        data = random.Random(3).randbytes(size)
        while client.connection.sequence_window["high"] - client.connection.sequence_window["low"] < 130:
            client.connection.echo(client.session.session_id, credit_request=128)
        client.create(rf"{folder.name}\big")
        opened = client.open(rf"{folder.name}\big", 0x0012019F)
        assert opened.write(data, 0) == size
        assert opened.read(0, size) == data
        opened.close()
    assert (folder / "big").read_bytes() == data


# One wrong password a client: the answer to each takes longer than to the one before.


def test_smbprotocol_wrong_password(endpoint: Endpoint, share: str) -> None:
    wrong = Account(endpoint.account.name, "not the password")
    assert status_of(lambda: Client(endpoint, share, account=wrong)) == "STATUS_LOGON_FAILURE"


# --- smbprotocol's smbclient module ---------------------------------------------------------------------


@pytest.fixture
def high_level(endpoint: Endpoint, share: str) -> Iterator[dict[str, object]]:
    """Arguments that every call of the smbclient module takes, over a connection of this test's own."""
    cache: dict[str, object] = {}
    arguments: dict[str, object] = {
        "username": endpoint.account.name, "password": endpoint.account.password, "port": endpoint.port,
        "connection_cache": cache, "auth_protocol": "ntlm",
    }
    yield arguments
    smbclient.reset_connection_cache(connection_cache=cache)


def test_smbclient_module(
    endpoint: Endpoint, share: str, folder: Path, tmp_path: Path, high_level: dict[str, object]
) -> None:
    base = rf"\\{endpoint.host}\{share}\{folder.name}"
    smbclient.makedirs(rf"{base}\one\two", **high_level)
    with smbclient.open_file(rf"{base}\one\two\{NAME}", mode="wb", **high_level) as file:
        file.write(DATA)
    with smbclient.open_file(rf"{base}\one\two\{NAME}", mode="ab", **high_level) as file:
        file.write(b"appended")
    assert (folder / "one" / "two" / NAME).read_bytes() == DATA + b"appended"
    with smbclient.open_file(rf"{base}\one\two\{NAME}", mode="rb", **high_level) as file:
        assert file.read() == DATA + b"appended"

    facts = smbclient.stat(rf"{base}\one\two\{NAME}", **high_level)
    on_disk = (folder / "one" / "two" / NAME).stat()
    assert facts.st_size == on_disk.st_size
    assert abs(facts.st_mtime - on_disk.st_mtime) < 0.001
    assert facts.st_nlink == 1
    smbclient.utime(rf"{base}\one\two\{NAME}", times=(1_600_000_000, 1_500_000_000), **high_level)
    assert (folder / "one" / "two" / NAME).stat().st_mtime == 1_500_000_000

    volume = smbclient.stat_volume(base, **high_level)
    assert volume.total_size > 0 and 0 < volume.caller_available_size <= volume.total_size

    assert smbclient.listdir(rf"{base}\one", **high_level) == ["two"]
    assert [entry.name for entry in smbclient.scandir(base, **high_level) if entry.is_dir()] == ["one"]
    smbclient.rename(rf"{base}\one\two\{NAME}", rf"{base}\renamed", **high_level)
    smbclient.shutil.copyfile(rf"{base}\renamed", str(tmp_path / "copy"), **high_level)
    assert (tmp_path / "copy").read_bytes() == DATA + b"appended"
    with pytest.raises(SMBOSError) as refused:
        smbclient.stat(rf"{base}\nothing", **high_level)
    assert refused.value.ntstatus == NtStatus.STATUS_OBJECT_NAME_NOT_FOUND

    smbclient.shutil.rmtree(rf"{base}\one", **high_level)
    smbclient.remove(rf"{base}\renamed", **high_level)
    assert list(folder.iterdir()) == []


def test_smbclient_module_wrong_password(
    endpoint: Endpoint, share: str, high_level: dict[str, object]
) -> None:
    with pytest.raises(SMBOSError) as refused:
        smbclient.listdir(rf"\\{endpoint.host}\{share}", **{**high_level, "password": "not the password"})
    assert refused.value.ntstatus == NtStatus.STATUS_LOGON_FAILURE


# --- impacket -------------------------------------------------------------------------------------------


def impacket_connection(endpoint: Endpoint, dialect: int | None) -> SMBConnection:
    return SMBConnection(
        endpoint.host, endpoint.host, sess_port=endpoint.port, timeout=20, preferredDialect=dialect
    )


@pytest.mark.parametrize("dialect", IMPACKET_DIALECTS)
def test_impacket(endpoint: Endpoint, share: str, folder: Path, dialect: str) -> None:
    base = folder.name
    connection = impacket_connection(endpoint, IMPACKET_DIALECTS[dialect])
    try:
        connection.login(endpoint.account.name, endpoint.account.password)
        assert not connection.isGuestSession()
        connection.createDirectory(share, rf"{base}\sub")
        connection.putFile(share, rf"{base}\sub\{NAME}", io.BytesIO(DATA).read)
        assert (folder / "sub" / NAME).read_bytes() == DATA
        fetched = io.BytesIO()
        connection.getFile(share, rf"{base}\sub\{NAME}", fetched.write)
        assert fetched.getvalue() == DATA
        entries = {entry.get_longname(): entry for entry in connection.listPath(share, rf"{base}\sub\*")}
        assert entries[NAME].get_filesize() == len(DATA)
        assert not entries[NAME].is_directory() and entries["."].is_directory()
        assert abs(entries[NAME].get_mtime_epoch() - time.time()) < 60
        connection.rename(share, rf"{base}\sub\{NAME}", rf"{base}\renamed")
        assert (folder / "renamed").read_bytes() == DATA
        connection.deleteFile(share, rf"{base}\renamed")
        connection.deleteDirectory(share, rf"{base}\sub")
        with pytest.raises(SessionError) as refused:
            connection.getFile(share, rf"{base}\nothing", fetched.write)
        assert refused.value.getErrorCode() == NtStatus.STATUS_OBJECT_NAME_NOT_FOUND
        connection.logoff()
    finally:
        connection.close()
    assert list(folder.iterdir()) == []


def test_impacket_wrong_password(endpoint: Endpoint) -> None:
    connection = impacket_connection(endpoint, None)
    try:
        with pytest.raises(SessionError) as refused:
            connection.login(endpoint.account.name, "not the password")
        assert refused.value.getErrorCode() == NtStatus.STATUS_LOGON_FAILURE
    finally:
        connection.close()


# --- pysmb ----------------------------------------------------------------------------------------------


def pysmb_connection(endpoint: Endpoint, password: str, sign: int) -> PysmbConnection:
    return PysmbConnection(
        endpoint.account.name, password, "tester", "server", use_ntlm_v2=True, sign_options=sign,
        is_direct_tcp=True,
    )


@pytest.mark.parametrize(
    "sign", [PysmbConnection.SIGN_NEVER, PysmbConnection.SIGN_WHEN_SUPPORTED], ids=["plain", "signed"]
)
def test_pysmb(endpoint: Endpoint, share: str, folder: Path, sign: int) -> None:
    base = f"/{folder.name}"
    connection = pysmb_connection(endpoint, endpoint.account.password, sign)
    assert connection.connect(endpoint.host, endpoint.port, timeout=20)
    try:
        assert connection.isUsingSMB2
        connection.createDirectory(share, f"{base}/sub")
        assert connection.storeFile(share, f"{base}/sub/{NAME}", io.BytesIO(DATA)) == len(DATA)
        assert (folder / "sub" / NAME).read_bytes() == DATA
        fetched = io.BytesIO()
        connection.retrieveFile(share, f"{base}/sub/{NAME}", fetched)
        assert fetched.getvalue() == DATA
        entries = {entry.filename: entry for entry in connection.listPath(share, f"{base}/sub")}
        assert entries[NAME].file_size == len(DATA)
        facts = connection.getAttributes(share, f"{base}/sub/{NAME}")
        assert facts.file_size == len(DATA) and not facts.isDirectory
        connection.rename(share, f"{base}/sub/{NAME}", f"{base}/renamed")
        connection.deleteFiles(share, f"{base}/renamed")
        connection.deleteDirectory(share, f"{base}/sub")
        assert connection.echo(b"hello") == b"hello"
    finally:
        connection.close()
    assert os.listdir(folder) == []


def test_pysmb_wrong_password(endpoint: Endpoint) -> None:
    connection = pysmb_connection(endpoint, "not the password", PysmbConnection.SIGN_WHEN_SUPPORTED)
    try:
        assert not connection.connect(endpoint.host, endpoint.port, timeout=20)
    finally:
        connection.close()
