"""Listening sockets from ADDR:PORT.

Knows: address syntax, the errors people meet when a server starts and their remedies.  Must not know:
drivers.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import NamedTuple

from smbd_uring.limits import LISTEN_BACKLOG


class ListenAddress(NamedTuple):
    """An address to listen on; `host` is a literal IPv4 or IPv6 address, `port` 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ListenError(Exception):
    """Listening is not possible; the message says why and what helps."""


def parse_address(text: str) -> ListenAddress:
    """`ADDR:PORT`, IPv6 in brackets, an empty ADDR for every IPv4 address.  Raises ValueError with the
    reason."""
    host, colon, port_text = text.rpartition(":")
    if not colon:
        raise ValueError(f"{text!r} is not ADDR:PORT")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError(f"{host!r} in brackets is not an IPv6 address")
    elif ":" in host:
        raise ValueError(f"an IPv6 address needs brackets: [{host}]:{port_text}")
    host = host or "0.0.0.0"
    if not (port_text.isascii() and port_text.isdigit() and int(port_text) <= 65535):
        raise ValueError(f"{port_text!r} is not a port: 0 to 65535")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if host != "localhost":
            raise ValueError(f"{host!r} is not an IP address") from None
        host = "127.0.0.1"
    return ListenAddress(host, int(port_text))


def listen(address: ListenAddress) -> socket.socket:
    """A listening TCP socket, not inherited by children.  An IPv6 one takes no IPv4.  Raises ListenError."""
    sock = None
    try:
        host = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
        family, kind, protocol, _name, where = host[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        sock.listen(LISTEN_BACKLOG)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise ListenError(f"cannot listen on {address}: {_explain(error, address.port)}") from error
    return sock


def bound_address(sock: socket.socket) -> ListenAddress:
    """Where a listening socket listens, the port chosen by the kernel included."""
    host, port = sock.getsockname()[:2]
    return ListenAddress(str(host), int(port))


def _explain(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use, often by Samba (systemctl stop smbd); `ss -ltnp` shows by whom"
    if error.errno == errno.EACCES and port < 1024:
        return (
            f"port {port} needs root or CAP_NET_BIND_SERVICE; use a port from 1024 on, or lower "
            "the sysctl net.ipv4.ip_unprivileged_port_start"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; `ip address` lists those it has"
    if error.errno == errno.EAFNOSUPPORT:
        return "the kernel does not support this kind of address (IPv6 may be off)"
    return str(error.strerror or error)
