"""Every test of the file layer runs in the simulated world and in the real one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from smbd_uring.loop.identity import may_switch
from smbd_uring.ports import CloseHandle, Credentials, ShareRoot
from tests.sim.worlds import RealWorld, SimulatedWorld, World, open_top


@pytest.fixture(params=["simulated", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A world whose handles must all be closed at the end: whatever a test does, nothing may leak."""
    before = os.umask(0)
    made: World = SimulatedWorld() if request.param == "simulated" else RealWorld(tmp_path)
    yield made
    os.umask(before)
    assert made.opens == 0, f"{made.opens} handles were left open"


@pytest.fixture
def root(world: World) -> Iterator[ShareRoot]:
    """A share on the world's top, configured as usual; tests change what they are about."""
    handle = open_top(world)
    yield ShareRoot(
        handle, follow_symlinks=True, cross_mounts=False, hide_dot_files=True, store_dos_attributes=True
    )
    world.perform(CloseHandle(handle))


@pytest.fixture
def owner() -> Credentials:
    """Whoever owns what tests prepare without saying."""
    return Credentials(os.geteuid(), os.getegid())


@pytest.fixture
def alice(world: World) -> Credentials:
    """An ordinary user, where the world can act as one."""
    if isinstance(world, RealWorld) and not may_switch():
        pytest.skip("an unprivileged process acts as itself only; the simulated world shows this case")
    return Credentials(1000, 1000)


@pytest.fixture
def bob(alice: Credentials) -> Credentials:
    """Another one."""
    return Credentials(1001, 1001)
