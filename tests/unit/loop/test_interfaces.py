"""The machine's interfaces, as this machine has them."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

from smbd_uring.loop.interfaces import interface_addresses


def test_every_machine_has_loopback_with_the_kernels_number() -> None:
    (loopback,) = [found for found in interface_addresses() if found.address == ip_address("127.0.0.1")]
    assert loopback.interface_index == socket.if_nametoindex("lo")
    assert loopback.receive_queues >= 1


def test_queues_are_those_that_the_device_receives_by(tmp_path: Path) -> None:
    for queue in "rx-0", "rx-1", "rx-2", "tx-0":
        (tmp_path / "lo" / "queues" / queue).mkdir(parents=True)
    by_address = {str(found.address): found.receive_queues for found in interface_addresses(tmp_path)}
    assert by_address.pop("127.0.0.1") == 3
    assert set(by_address.values()) <= {1, 3}, "others have no folder there"
