"""Every engine test runs over the ring, over epoll, and in the simulated world with several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from smbd_uring.config import EngineConfig
from tests.engine.servers import REAL_DRIVERS, SERVER_GUID, RealServer, SimulatedServer, TestedServer

SEEDS = (1, 2, 3)
"""The seed is in the name of a test that fails; `--seed N` repeats it."""

MakeServer = Callable[..., TestedServer]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    seeds = metafunc.config.getoption("--seed") or SEEDS
    if "simulated" in metafunc.fixturenames:
        metafunc.parametrize("simulated", seeds, ids=[f"seed {seed}" for seed in seeds], indirect=True)
    own = [mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")]
    if "driver" in metafunc.fixturenames and "driver" not in own:
        drivers: list[str | int] = [*REAL_DRIVERS, *seeds]
        names = [driver if isinstance(driver, str) else f"seed {driver}" for driver in drivers]
        metafunc.parametrize("driver", drivers, ids=names)


@pytest.fixture
def make_server(driver: str | int, tmp_path: Path) -> Iterator[MakeServer]:
    """Makes servers with the configuration a test wants; all of them must leave nothing behind."""
    made: list[TestedServer] = []

    def make(**configuration: Any) -> TestedServer:
        config = EngineConfig(SERVER_GUID, **configuration)
        server: TestedServer
        if isinstance(driver, int):
            server = SimulatedServer(config, driver)
        else:
            folder = tmp_path / str(len(made))
            folder.mkdir()
            server = RealServer(config, REAL_DRIVERS[driver], folder)
        made.append(server)
        return server

    yield make
    for server in made:
        server.finish()


@pytest.fixture
def simulated(request: pytest.FixtureRequest) -> Iterator[SimulatedServer]:
    """A server in the simulated world alone, for what no real machine does on demand."""
    server = SimulatedServer(EngineConfig(SERVER_GUID), request.param)
    yield server
    server.finish()


@pytest.fixture
def server(make_server: MakeServer) -> TestedServer:
    """A server with the default configuration."""
    return make_server()
