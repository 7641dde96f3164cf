"""The composition root: makes every part, joins them, and runs them until somebody says stop.

Knows: all parts, and the order in which they start and end.  Must not know: SMB, files, how any part works.

Start: state directory, companion, configuration, driver, engine, listeners, control socket.  End: no more
clients, the engine finishes what is under way within SHUTDOWN_DRAIN_S, then the parts in reverse.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import logging
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from typing import Any

from smbd_uring import __version__, limits
from smbd_uring.companion_process import CompanionMissing, CompanionProcess
from smbd_uring.config import EngineConfig, config_from_startup
from smbd_uring.control_socket import CommandRefused, ControlSocket
from smbd_uring.drivers import choose_driver
from smbd_uring.engine import Engine
from smbd_uring.filesystem import PosixFilesystem
from smbd_uring.log_lines import log_to_stderr
from smbd_uring.loop.listen import ListenAddress, ListenError, bound_address, listen
from smbd_uring.process import (
    Signals,
    notify_service_manager,
    raise_descriptor_limit,
    renounce_privileges,
    settle_memory,
    share_descriptors,
)
from smbd_uring.server_options import ServerOptions
from smbd_uring.state_directory import (
    CONTROL_SOCKET,
    StateDirectory,
    StateDirectoryError,
    default_directory,
)

logger = logging.getLogger("smbd.server")

COMPONENTS = ("engine", "auth", "loop", "companion", "fs")
"""Loggers below "smbd" that `control --debug` knows."""

GUID_FILE = "server.guid"
OVERLAY_FILE = "overlay.json"
SMB_PORT = 445
UNPRIVILEGED_PORT = 4450
PROCESS_END_S = 4.5
"""From SIGTERM to the end, whatever hangs; 5 s is what the server promises."""

assert limits.SHUTDOWN_DRAIN_S < PROCESS_END_S


def serve(options: ServerOptions) -> int:
    """Serve in the foreground until SIGTERM, SIGINT or a shutdown command.

    Result: the exit status: 0 after a clean end, 1 when the server cannot start, which it says on stderr.
    """
    log_to_stderr()
    try:
        directory = options.state_directory or default_directory(listen_addresses(options, SMB_PORT)[0].port)
        state = StateDirectory(directory)
    except StateDirectoryError as error:
        return _failed(error)
    try:
        Server(options, state).run()
    except (CompanionMissing, ListenError, StateDirectoryError) as error:
        return _failed(error)
    except OSError as error:
        logger.debug("the server could not start", exc_info=True)
        return _failed(error)
    finally:
        state.close()
    return 0


class Server:
    """One run of the server: `run` starts everything, serves, and ends everything."""

    def __init__(self, options: ServerOptions, state: StateDirectory) -> None:
        """`state` is locked by the caller, who also closes it."""
        self._options = options
        self._state = state
        self._stop_wanted = False
        self._started = time.monotonic()
        self._addresses: list[ListenAddress] = []

    def run(self) -> None:
        """Serve until asked to stop.

        Raises CompanionMissing, ListenError, StateDirectoryError or OSError when the server cannot start.
        """
        # Modes of new files come from the share's masks alone; everything else here sets its own mode.
        os.umask(0)
        with ExitStack() as parts:
            self._signals = Signals((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            parts.callback(self._signals.close)
            overlay = self._state.write(OVERLAY_FILE, json.dumps(self._options.overlay).encode())
            self._companion = CompanionProcess(self._options, self._state.path, overlay)
            parts.callback(self._companion.close)
            config = self._config()
            self._driver, self._driver_reason = choose_driver(
                self._options.use_uring, self._companion, self._options.rings
            )
            parts.callback(self._driver.close)
            logger.info("event loop: %s", self._driver_reason)
            print(f"event loop: {self._driver_reason}", flush=True)
            self._engine = Engine(config, PosixFilesystem(), self._driver, os.urandom, time.time_ns)
            self._driver.engine = self._engine
            self._engine.start(time.monotonic())
            self._driver.run(lambda: self._engine.is_ready or self._should_stop())
            self._listen()
            control = ControlSocket(self._state.path / CONTROL_SOCKET, self._commands())
            parts.callback(control.close)
            self._driver.watch(control.fileno(), control.readable)
            self._serve()
        faulthandler.cancel_dump_traceback_later()

    def _config(self) -> EngineConfig:
        """What the companion says, bounded by the descriptors this process may have."""
        connections, opens = share_descriptors(raise_descriptor_limit())
        renounce_privileges()
        if opens < limits.OPENS_MAX:
            logger.warning(
                "descriptors allow %d connections and %d open files; a higher hard limit allows more",
                connections,
                opens,
            )
        startup = self._companion.wait_for_startup(lambda: self._signals.pending)
        self._configured_port = startup.tcp_port or SMB_PORT
        config = config_from_startup(startup, self._server_guid(), opens, socket.gethostname())
        return dataclasses.replace(
            config,
            connections_max=min(connections, config.connections_max),
            grants=self._options.grants,
            listening_on=tuple(address.host for address in listen_addresses(self._options, self._configured_port)),
            journal_directory=str(self._state.path),
        )

    def _server_guid(self) -> bytes:
        """The GUID clients know this server by: the same for as long as its state directory lives."""
        try:
            guid = (self._state.path / GUID_FILE).read_bytes()
        except FileNotFoundError:
            guid = b""
        if len(guid) != 16:
            guid = os.urandom(16)
            self._state.write(GUID_FILE, guid)
        return guid

    def _listen(self) -> None:
        for address in listen_addresses(self._options, self._configured_port):
            try:
                listener = listen(address)
            except ListenError as error:
                if address in self._options.listen or not self._addresses:
                    raise
                # Nobody asked for it by name, and the one before serves: a machine may be without IPv6.
                logger.warning("%s", error)
                continue
            self._addresses.append(bound_address(listener))
            self._driver.add_listener(listener)

    def _serve(self) -> None:
        for address in self._addresses:
            print(f"listening on {address}", flush=True)
        settle_memory()
        notify_service_manager("READY=1")
        self._driver.run(self._should_stop)
        notify_service_manager("STOPPING=1")
        logger.info("stopping: no new clients; requests under way get %.0f s", limits.SHUTDOWN_DRAIN_S)
        faulthandler.dump_traceback_later(PROCESS_END_S, exit=True)
        self._driver.stop_accepting()
        now = time.monotonic()
        self._engine.shutdown(now)
        self._driver.run(self._is_drained, deadline=now + limits.SHUTDOWN_DRAIN_S)
        if not self._is_drained():
            logger.warning("some requests were not finished in time")

    def _should_stop(self) -> bool:
        while (number := self._signals.take()) is not None:
            if number is signal.SIGHUP:
                self._companion.reload()
            else:
                logger.info("%s received", number.name)
                self._stop_wanted = True
        return self._stop_wanted

    def _is_drained(self) -> bool:
        return self._engine.idle

    # --- control commands -----------------------------------------------------------------------------------

    def _commands(self) -> dict[str, Any]:
        return {
            "status": self._status,
            "reload": self._reload,
            "shutdown": self._shutdown,
            "debug": self._debug,
        }

    def _status(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started, 1),
            "state_directory": str(self._state.path),
            "listening": [str(address) for address in self._addresses],
            "event_loop": self._driver_reason,
            "file_operations_in_flight": self._driver.operations_in_flight,
            "companion": self._companion.status(),
            **self._engine.status(),
        }

    def _reload(self, _request: dict[str, Any]) -> dict[str, Any]:
        if not self._companion.reload():
            raise CommandRefused("the companion is away; it reads everything when it starts again")
        return {"done": "configuration and accounts are being read again"}

    def _shutdown(self, _request: dict[str, Any]) -> dict[str, Any]:
        self._stop_wanted = True
        return {"done": "stopping"}

    def _debug(self, request: dict[str, Any]) -> dict[str, Any]:
        component = request.get("component")
        if component not in (*COMPONENTS, "all"):
            raise CommandRefused(f"no such component; there are {', '.join(COMPONENTS)} and all")
        component_logger = logging.getLogger("smbd" if component == "all" else f"smbd.{component}")
        is_on = component_logger.level == logging.DEBUG
        quiet = logging.INFO if component == "all" else logging.NOTSET
        component_logger.setLevel(quiet if is_on else logging.DEBUG)
        return {"done": f"{component}: debug messages {'off' if is_on else 'on'}"}


def listen_addresses(options: ServerOptions, configured_port: int) -> tuple[ListenAddress, ...]:
    """Where to listen: as asked; else as root with a configuration everywhere, else where anybody may."""
    if options.listen:
        return options.listen
    if os.geteuid() == 0 and options.config_file is not None:
        return (ListenAddress("0.0.0.0", configured_port), ListenAddress("::", configured_port))
    return (ListenAddress("127.0.0.1", UNPRIVILEGED_PORT),)


def _failed(error: Exception) -> int:
    print(f"smbd-uring serve: {error}", file=sys.stderr)
    return 1
