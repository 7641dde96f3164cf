"""Given what people write after --listen, the server listens there or says what to do."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from smbd_uring.loop.listen import ListenAddress, ListenError, bound_address, listen, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:4450", "127.0.0.1", 4450),
        ("[::1]:445", "::1", 445),
        (":445", "0.0.0.0", 445),
        ("localhost:0", "127.0.0.1", 0),
        ("[fe80::1]:65535", "fe80::1", 65535),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = parse_address(text)
    assert address == ListenAddress(host, port)
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", "445", "127.0.0.1", "::1:445", "[127.0.0.1]:445", "host.example:445", "1.2.3:445", "127.0.0.1:65536",
     "127.0.0.1:-1", "127.0.0.1:x", "127.0.0.1:", "[::1]", "127.0.0.1:\N{SUPERSCRIPT TWO}"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_address(text)


def test_the_kernel_chooses_a_port() -> None:
    with listen(parse_address("127.0.0.1:0")) as sock:
        address = bound_address(sock)
        assert address.host == "127.0.0.1" and address.port > 0
        assert not sock.get_inheritable()
        with pytest.raises(ListenError, match="in use"):
            listen(address)


def test_both_families_share_a_port() -> None:
    with listen(parse_address("[::]:0")) as six:
        port = bound_address(six).port
        assert str(bound_address(six)) == f"[::]:{port}"
        with listen(ListenAddress("0.0.0.0", port)) as four:
            assert bound_address(four).port == port


@pytest.mark.parametrize(
    ("number", "port", "help_with"),
    [
        (errno.EACCES, 445, "CAP_NET_BIND_SERVICE"),
        (errno.EACCES, 4450, "Permission denied"),
        (errno.EADDRNOTAVAIL, 445, "ip address"),
        (errno.EAFNOSUPPORT, 445, "IPv6"),
        (errno.EADDRINUSE, 445, "ss -ltnp"),
    ],
)
def test_errors_help(monkeypatch: pytest.MonkeyPatch, number: int, port: int, help_with: str) -> None:
    def refuse(_self: socket.socket, _address: Any) -> None:
        import os

        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(ListenError, match=help_with):
        listen(ListenAddress("127.0.0.1", port))
