"""Given connections that have much in work, each is still served, but none at the others' cost."""

from __future__ import annotations

from typing import Any

import pytest

from smbd_uring import limits
from smbd_uring.engine.chain import Chain
from smbd_uring.engine.connection import Connection, WorkInAll


class NoDriver:
    """A driver without a data plane, of which a connection wants nothing else when it is made."""

    def plane_connection(self, connection_id: int) -> None:
        return None


def connection_of(work_in_all: WorkInAll) -> Connection:
    driver: Any = NoDriver()
    return Connection(driver, 1, "192.0.2.1", 64, work_in_all)


def frame_of(connection: Connection, cost: int) -> Chain:
    chain = Chain(connection, None)
    chain.cost = cost
    connection.charge(chain)
    return chain


def test_a_connection_has_its_own_allowance() -> None:
    connection = connection_of(WorkInAll())
    chain = frame_of(connection, limits.OUTSTANDING_BYTES_MAX)
    assert not connection.may_start
    connection.refund(chain)
    connection.refund(chain)
    assert connection.may_start
    assert connection.bytes_in_work == 0


def test_beyond_what_all_may_have_each_has_one_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OUTSTANDING_BYTES_IN_ALL_MAX", 1000)
    work = WorkInAll()
    one, other = connection_of(work), connection_of(work)
    first = frame_of(one, 999)
    assert one.may_start
    second = frame_of(one, 1)
    assert not one.may_start
    assert other.may_start, "it has nothing in work yet"
    third = frame_of(other, 1)
    assert not other.may_start
    one.refund(second)
    one.refund(first)
    assert one.may_start
    assert other.may_start
    other.refund(third)
    assert work.bytes_in_work == 0
