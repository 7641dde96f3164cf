"""Records what foreign clients say to this server, for the tests that say it again: `python -m tools.record_traffic`.

Knows: the clients and what they are made to do.  Must not know: how a recording is kept or played.

Each script has one connection, an account's session and the share "data", empty at first, and works on files whose
contents are parts of `PAYLOAD`.  It may not seal, for the recording has to be read, nor ask to be told of changes.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import smbclient as smbprotocol_files
from impacket import smb3structs
from impacket.smbconnection import SMBConnection
from smbprotocol.open import CreateDisposition

from tests.support import smbclient
from tests.support.endpoint import Account, Endpoint, make_share
from tests.support.recording import PAYLOAD, record
from tests.support.recording_proxy import RecordingProxy
from tests.support.server import Server
from tests.support.smb2_client import ACCESS_READ, ACCESS_WRITE, Client

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "engine" / "recordings"
ACCOUNT = Account("daemon", "secret")
SMALL, LARGE = PAYLOAD[:5000], PAYLOAD[10_000 : 10_000 + 1_300_000]
MIDDLE = PAYLOAD[1_500_000 : 1_500_000 + 100_000]
TIME = 1_500_000_000
"""Of the files that are sent, in seconds."""

Script = Callable[[Endpoint, Path], None]


def everyday_work(dialect: str) -> Script:
    """smbclient does what people do with it."""

    def run(endpoint: Endpoint, scratch: Path) -> None:
        for name, data in {"small": SMALL, "large": LARGE, "middle": MIDDLE, "empty": b""}.items():
            (scratch / name).write_bytes(data)
            os.utime(scratch / name, (TIME, TIME))
        (scratch / "part").write_bytes(LARGE[:200_000])
        (scratch / "short").write_bytes(MIDDLE[:30_000])
        smbclient.run(
            endpoint,
            [
                "put small", "put large", "put empty", "get small back", "get large back", "get empty back",
                "iosize 65536", "put large again", "get again back", "mkdir folder", "cd folder", "put middle", "ls",
                "allinfo middle", "get middle back", "cd ..", "reget large part", "put short middle", "reput middle",
                "rename small renamed", "allinfo renamed", "setmode renamed +h", "ls", "hardlink large linked",
                "get linked back", "prompt", "mget e*", "du", "volume", "utimes large -1 -1 2017:11:06-20:26:40 -1",
                "allinfo large", "rm linked", "rename large folder\\large", "recurse", "ls", "deltree folder",
                "rm renamed", "mkdir last", "rmdir last", "ls",
            ],
            scratch, transport=smbclient.Transport(dialect, "plain"), account=ACCOUNT,
        )  # fmt: skip

    return run


def many_at_once(dialect: str) -> Script:
    """smbprotocol sends requests before it takes answers, and compounds."""

    def run(endpoint: Endpoint, scratch: Path) -> None:
        with Client(endpoint, account=ACCOUNT, dialect=dialect) as client:
            session_id, tree_id = client.session.session_id, client.tree.tree_connect_id

            def at_once(requests: list[Any]) -> None:
                sent = [client.connection.send(request, session_id, tree_id) for request, _ in requests]
                for each in sent:
                    client.connection.receive(each)

            def in_one_frame(requests: list[Any], related: bool) -> None:
                messages = [request for request, _ in requests]
                for each in client.connection.send_compound(messages, session_id, tree_id, related=related):
                    client.connection.receive(each)

            while client.connection.sequence_window["high"] - client.connection.sequence_window["low"] < 100:
                client.connection.echo(session_id, credit_request=64)
            opened = client.open("file", ACCESS_READ | ACCESS_WRITE, disposition=CreateDisposition.FILE_CREATE)
            size = 50_000
            starts = range(0, 16 * size, size)
            at_once([opened.write(LARGE[start : start + size], start, send=False) for start in starts])
            at_once([opened.read(start, size, send=False) for start in starts])
            at_once([opened.read(start * 1000, 4096, send=False) for start in range(32)])
            at_once([opened.write(SMALL[start : start + 100], start, send=False) for start in range(0, 3200, 100)])
            for related in (False, True):
                in_one_frame([opened.write(MIDDLE[:4096], 0, send=False), opened.flush(send=False)], related)
                in_one_frame([opened.read(0, 4096, send=False), opened.read(4096, 100, send=False)], related)
                in_one_frame(
                    [
                        opened.write(MIDDLE[:20_000], 0, send=False), opened.write(SMALL, 20_000, send=False),
                        opened.read(10_000, 20_000, send=False), opened.flush(send=False),
                    ],
                    related,
                )  # fmt: skip
            opened.write(MIDDLE, len(starts) * size - 10, write_through=dialect >= "3")
            opened.close()

    return run


def python_files(endpoint: Endpoint, scratch: Path) -> None:
    """smbprotocol's module for files and folders."""
    cache: dict[str, object] = {}
    arguments: dict[str, object] = {
        "username": ACCOUNT.name, "password": ACCOUNT.password, "port": endpoint.port, "connection_cache": cache,
        "auth_protocol": "ntlm",
    }
    base = rf"\\{endpoint.host}\data"
    smbprotocol_files.makedirs(rf"{base}\one\two", **arguments)
    name = rf"{base}\one\two\Ünïcödé 🐟 name"
    for mode, data in (("wb", LARGE), ("ab", SMALL), ("ab", b"and a little more")):
        with smbprotocol_files.open_file(name, mode=mode, **arguments) as file:
            file.write(data)
    with smbprotocol_files.open_file(name, mode="rb", **arguments) as file:
        assert file.read() == LARGE + SMALL + b"and a little more"
    with smbprotocol_files.open_file(name, mode="r+b", **arguments) as file:
        file.seek(100)
        file.write(MIDDLE)
        file.seek(0)
        assert file.read(300) == LARGE[:100] + MIDDLE[:200]
        file.truncate(150_000)
    smbprotocol_files.stat(name, **arguments)
    smbprotocol_files.utime(name, times=(TIME, TIME), **arguments)
    smbprotocol_files.stat_volume(base, **arguments)
    list(smbprotocol_files.scandir(rf"{base}\one\two", **arguments))
    smbprotocol_files.rename(name, rf"{base}\renamed", **arguments)
    smbprotocol_files.rmdir(rf"{base}\one\two", **arguments)
    smbprotocol_files.rmdir(rf"{base}\one", **arguments)
    smbprotocol_files.remove(rf"{base}\renamed", **arguments)
    smbprotocol_files.reset_connection_cache(connection_cache=cache)


def impacket_work(dialect: int) -> Script:
    """impacket's connection."""

    def run(endpoint: Endpoint, scratch: Path) -> None:
        connection = SMBConnection(
            endpoint.host, endpoint.host, sess_port=endpoint.port, timeout=20, preferredDialect=dialect
        )
        connection.login(ACCOUNT.name, ACCOUNT.password)
        connection.getSMBServer()._Session["SessionFlags"] &= ~smb3structs.SMB2_SESSION_FLAG_ENCRYPT_DATA
        connection.createDirectory("data", "sub")
        for name, data in {"small": SMALL, "large": LARGE}.items():
            connection.putFile("data", rf"sub\{name}", io.BytesIO(data).read)
            fetched = io.BytesIO()
            connection.getFile("data", rf"sub\{name}", fetched.write)
            assert fetched.getvalue() == data
        connection.listPath("data", r"sub\*")
        connection.rename("data", r"sub\small", "renamed")
        tree_id = connection.connectTree("data")
        file_id = connection.openFile(tree_id, "renamed")
        connection.writeFile(tree_id, file_id, MIDDLE[:10_000], 2500)
        assert connection.readFile(tree_id, file_id, 2000, 1000) == SMALL[2000:2500] + MIDDLE[:500]
        connection.closeFile(tree_id, file_id)
        connection.disconnectTree(tree_id)
        connection.deleteFile("data", "renamed")
        connection.deleteFile("data", r"sub\large")
        connection.deleteDirectory("data", "sub")
        connection.close()

    return run


def scripts() -> dict[str, tuple[str, Script]]:
    """Every recording by its file's name: who is the client, and what it is made to do."""
    samba = smbclient.version()
    smbprotocol, impacket = (f"{name} {version(name)}" for name in ("smbprotocol", "impacket"))
    return {
        "smbclient": (samba, everyday_work("SMB3_11")),
        "smbclient-2.1": (samba, everyday_work("SMB2_10")),
        "smbprotocol": (smbprotocol, many_at_once("3.1.1")),
        "smbprotocol-3.0": (smbprotocol, many_at_once("3.0")),
        "smbprotocol-files": (smbprotocol, python_files),
        "impacket-3.0": (impacket, impacket_work(smb3structs.SMB2_DIALECT_30)),
        "impacket-2.0.2": (impacket, impacket_work(smb3structs.SMB2_DIALECT_002)),
    }


def main() -> None:
    """Make every recording anew, each with a server of its own."""
    for name, (client, script) in scripts().items():
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            folder.chmod(0o755)
            (scratch := folder / "scratch").mkdir()
            server = Server(folder, [make_share(folder, "data")], [ACCOUNT])
            with server, RecordingProxy(server.endpoint.port) as proxy:
                script(Endpoint(proxy.port, ACCOUNT, {}), scratch)
            recording = record(client, proxy.frames)
            path = FOLDER / f"{name}.txt"
            path.write_text(recording.encode(), encoding="ascii")
            print(f"{path.name}: {len(recording.events)} frames and answers, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
