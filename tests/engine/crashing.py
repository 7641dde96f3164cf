"""A server in the simulated world that can be killed and started again on the same disk.

Knows: what of a machine survives a process: its files.  Must not know: what a test is about.
"""

from __future__ import annotations

import errno
import logging
import os
from dataclasses import replace
from typing import Any

from smbd_uring import limits
from smbd_uring.config import EngineConfig
from smbd_uring.engine import Engine
from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.ports import CloseHandle, Effect, ShareFlags
from tests.engine.companions import WRITABLE, share
from tests.engine.servers import SERVER_GUID, SimulatedServer
from tests.sim.companion import ScriptedCompanion
from tests.sim.driver import SimulatedDriver
from tests.sim.kernel import Kernel

STATE = "/state"
CA = "vm"
"""A share that is continuously available."""

CONFIG = EngineConfig(SERVER_GUID, persistent_handles=True, journal_directory=STATE)


class NoKernel(Kernel):
    """What a killed process has."""

    def perform(self, effect: Effect[Any]) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class CrashingServer(SimulatedServer):
    """`crash` kills it and starts it again.  Its clients must not be used any more then."""

    def __init__(self, seed: int, config: EngineConfig = CONFIG) -> None:
        super().__init__(config, seed)
        self.world.kernel.add_directory(STATE)
        available = WRITABLE | ShareFlags.CONTINUOUS_AVAILABILITY
        self.companion.shares[CA] = share(CA, self.world.top(), available)
        self.companion.shares["vm2"] = share("vm2", self.world.top(), available)
        self._config = config
        self._start()

    def crash(self) -> None:
        """`kill -9`, and a new server on the same disk; nothing is answered in between."""
        kernel = self.world.kernel
        self._let_run_out()
        for handle in list(kernel.open_files):
            kernel.perform(CloseHandle(handle))
        kernel.watches.clear()
        now = self.driver.now
        self.driver = SimulatedDriver(self.driver.seed + 1, kernel, self.companion)
        self.driver.now = now
        self.engine = Engine(self._config, PosixFilesystem(), self.driver, self.driver.entropy, self.driver.wall_clock)
        self.driver.engine = self.engine
        self._clients.clear()
        self._start()

    def _let_run_out(self) -> None:
        """Nothing that the killed process does reaches the machine any more; what is left of it comes to its end."""
        self.driver.kernel = NoKernel()
        self.driver.companion = ScriptedCompanion(away=True)
        for wire in list(self.driver.wires.values()):
            self.driver.client_closed(wire)
        logging.disable(logging.CRITICAL)  # a killed process complains of nothing
        try:
            self.driver.run_until_idle()
        finally:
            logging.disable(logging.NOTSET)

    def journal(self) -> bytes:
        """The journal as it is on disk."""
        node = self.world.kernel.node(f"{STATE}/handles.journal")
        return node.read(0, node.size)

    def finish(self) -> None:
        for client in self._clients:
            client.transport.close()
        self.settle(lambda engine: not engine.connections and not engine.sessions)
        self.advance(limits.DURABLE_TIMEOUT_MAX_S)
        self.settle(lambda engine: not engine.opens.count and not engine.scheduler.tasks)
        assert self.engine.journal is not None
        self.engine.scheduler.start(self.engine.journal.close())
        self.settle(lambda engine: not engine.scheduler.tasks)
        super().finish()

    def _start(self) -> None:
        self.engine.start(self.driver.now)
        self.settle(lambda engine: engine.is_ready)


def without_persistence() -> EngineConfig:
    """The same server where nobody has asked for a share that is continuously available."""
    return replace(CONFIG, persistent_handles=False)
