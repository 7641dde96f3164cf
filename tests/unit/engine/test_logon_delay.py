"""Failed logons are held back the longer the more an address fails."""

from __future__ import annotations

from itertools import pairwise

from smbd_uring import limits
from smbd_uring.engine.logon_delay import LogonDelays

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"


def fail(delays: LogonDelays, address: str = ADDRESS, now: float = 1000.0) -> float:
    """One failure whose answer goes out."""
    delay = delays.failed(address, now)
    assert delay is not None
    delays.answered(address)
    return delay


def test_the_delay_doubles_up_to_the_maximum_and_stays_there() -> None:
    delays = LogonDelays()
    seen = [fail(delays) for _ in range(40)]
    assert seen[0] == limits.LOGON_DELAY_FIRST_S
    for before, after in pairwise(seen):
        assert after == min(2 * before, limits.LOGON_DELAY_MAX_S)
    assert seen[-1] == limits.LOGON_DELAY_MAX_S


def test_one_address_does_not_pay_for_another() -> None:
    delays = LogonDelays()
    for _ in range(5):
        fail(delays)
    assert fail(delays, OTHER) == limits.LOGON_DELAY_FIRST_S


def test_a_good_logon_ends_the_growth() -> None:
    delays = LogonDelays()
    for _ in range(5):
        fail(delays)
    delays.succeeded(ADDRESS)
    assert fail(delays) == limits.LOGON_DELAY_FIRST_S


def test_a_quiet_while_ends_the_growth_and_nothing_shorter_does() -> None:
    delays = LogonDelays()
    fail(delays, now=0.0)
    assert fail(delays, now=limits.LOGON_FAILURES_FORGOTTEN_S) == 2 * limits.LOGON_DELAY_FIRST_S
    now = 2 * limits.LOGON_FAILURES_FORGOTTEN_S + 0.001
    assert fail(delays, now=now) == limits.LOGON_DELAY_FIRST_S


def test_answers_held_back_at_a_time_are_counted() -> None:
    delays = LogonDelays()
    for _ in range(limits.LOGONS_DELAYED_PER_ADDRESS_MAX):
        assert delays.failed(ADDRESS, 0.0) is not None
    assert delays.is_full(ADDRESS) and not delays.is_full(OTHER)
    assert delays.failed(ADDRESS, 0.0) is None
    assert delays.failed(OTHER, 0.0) is not None
    delays.answered(ADDRESS)
    assert not delays.is_full(ADDRESS)
    assert delays.failed(ADDRESS, 0.0) is not None


def test_a_good_logon_frees_no_place_of_an_answer_still_held_back() -> None:
    delays = LogonDelays()
    for _ in range(limits.LOGONS_DELAYED_PER_ADDRESS_MAX):
        delays.failed(ADDRESS, 0.0)
    delays.succeeded(ADDRESS)
    assert delays.failed(ADDRESS, 0.0) is None


def test_no_more_addresses_are_remembered_than_the_limit_the_oldest_goes_first() -> None:
    delays = LogonDelays()
    fail(delays, ADDRESS)
    fail(delays, OTHER)
    fail(delays, ADDRESS)
    for number in range(limits.LOGON_ADDRESSES_MAX - 1):
        fail(delays, f"address {number}")
    assert fail(delays, ADDRESS) == 4 * limits.LOGON_DELAY_FIRST_S
    assert fail(delays, OTHER) == limits.LOGON_DELAY_FIRST_S


def test_what_nobody_knows_is_harmless() -> None:
    delays = LogonDelays()
    delays.answered(ADDRESS)
    delays.succeeded(ADDRESS)
    assert fail(delays) == limits.LOGON_DELAY_FIRST_S
