"""The companion's process: reads its files, tells the engine, answers it until the engine is gone.

Knows: the channel and the directory.  Must not know: SMB.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from smbd_uring.netlink import genl
from smbd_uring.netlink.answers import Answers
from smbd_uring.netlink.channel import BUSY_RETRY_S, Channel, ChannelError, Delivery, companion_channel
from smbd_uring.netlink.directory import Directory, DirectoryError
from smbd_uring.netlink.messages import Event, Heartbeat, MalformedStructure
from smbd_uring.netlink.paths import default_paths

log = logging.getLogger("smbd.companion")

ENGINE_LOOK_INTERVAL_S = 1.0
"""How often the companion makes sure that its engine still runs."""

ENGINE_SILENCE_S = 3.0
"""An engine sends its companion a heartbeat every second; one that is silent for this long has another companion."""

PR_SET_PDEATHSIG = 1


class Mountd:
    """One run of the companion."""

    def __init__(self, channel: Channel, config: Path | None, accounts: Path | None, overlay: Path | None) -> None:
        """DirectoryError when the files cannot be used."""
        self._channel = channel
        self._files = (config, accounts, overlay)
        self._directory = Directory.read(*self._files)
        self._answers = Answers(self._directory)
        self._waiting: deque[bytes] = deque()
        self._look_at = 0.0
        self._heard_at = time.monotonic()
        self._stop = False
        self._reload = False

    def run(self) -> int:
        """Serve until SIGTERM, SIGINT or the end of the engine.  Result: the exit status."""
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGINT, lambda *_: self._end())
        signal.signal(signal.SIGHUP, lambda *_: self._reread_soon())
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing)
        # Whoever started this process may have blocked it until now, so that none is lost.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        if self._announce() == Delivery.GONE:
            print("smbd-uring mountd: the server does not take messages; is it running?", file=sys.stderr)
            return 1
        poll = select.poll()
        poll.register(self._channel.fileno(), select.POLLIN)
        poll.register(reading, select.POLLIN)
        while not self._stop:
            ready = poll.poll(1000 * (BUSY_RETRY_S if self._waiting else ENGINE_LOOK_INTERVAL_S))
            if any(descriptor == reading for descriptor, _ in ready):
                _drain(reading)
            if self._reload:
                self._reload = False
                self._reread()
            now = time.monotonic()
            self._answer_all(now)
            self._send_waiting()
            if not self._engine_is_there(now):
                log.warning("the server is gone")
                return 1
        return 0

    def _announce(self) -> Delivery:
        data = self._directory.starting_up().encode()
        return self._channel.send(genl.encode(Event.STARTING_UP, data, self._channel.port))

    def _engine_is_there(self, now: float) -> bool:
        """Look once in a while.  An engine that says nothing does not know us: it had another companion when we came,
        or believed us dead, and is told again."""
        if now < self._look_at:
            return True
        self._look_at = now + ENGINE_LOOK_INTERVAL_S
        if now - self._heard_at >= ENGINE_SILENCE_S:
            self._heard_at = now
            return self._announce() != Delivery.GONE
        heartbeat = genl.encode(Event.HEARTBEAT_REQUEST, Heartbeat().encode(), self._channel.port)
        return self._channel.send(heartbeat) != Delivery.GONE

    def _answer_all(self, now: float) -> None:
        for datagram in self._channel.receive():
            if datagram.sender != self._channel.peer:
                log.warning("a message of process %s, which is not the server, was dropped", datagram.pid)
                continue
            self._heard_at = now
            try:
                for command, data in genl.decode(datagram.data):
                    answer = self._answers.answer(command, data)
                    if answer is not None:
                        self._waiting.append(genl.encode(*answer, self._channel.port))
            except (genl.MalformedNetlink, MalformedStructure) as error:
                log.warning("a malformed message was dropped: %s", error)

    def _send_waiting(self) -> None:
        """Send answers in order; the engine's bound on questions bounds them."""
        while self._waiting:
            if self._channel.send_queue(self._waiting) is Delivery.BUSY:
                return

    def _reread(self) -> None:
        try:
            self._directory = Directory.read(*self._files)
        except DirectoryError as error:
            log.error("not reloaded, what was read before stays in force: %s", error)
            return
        self._answers.replace(self._directory)
        log.info("configuration and accounts read again")

    def _end(self) -> None:
        self._stop = True

    def _reread_soon(self) -> None:
        self._reload = True


def _drain(reading: int) -> None:
    try:
        while os.read(reading, 512):
            pass
    except BlockingIOError:
        return


def main(argv: Sequence[str] | None = None) -> int:
    """`smbd-uring mountd`.  Result: 0 asked to stop, 1 failed, 2 wrong usage."""
    options = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("smbd").setLevel(logging.INFO)
    if options.kernel:
        print("smbd-uring mountd: serving ksmbd.ko is not in this version; run without --kernel", file=sys.stderr)
        return 1
    if options.state_dir is None:
        print("smbd-uring mountd: name the server's state directory with --state-dir", file=sys.stderr)
        return 2
    if options.parent is not None and not _end_with(options.parent):
        return 1
    config, accounts = _files(options)
    channel = None
    try:
        channel = companion_channel(options.state_dir)
        return Mountd(channel, config, accounts, options.overlay).run()
    except (ChannelError, DirectoryError) as error:
        print(f"smbd-uring mountd: {error}", file=sys.stderr)
        return 1
    finally:
        if channel is not None:
            channel.close()


def _end_with(parent: int) -> bool:
    """Have the kernel end this process when its parent ends.  Result: False when it has ended already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def _files(options: argparse.Namespace) -> tuple[Path | None, Path | None]:
    """The files given, else the default ones that exist; an overlay alone needs neither."""
    config, accounts = default_paths()
    if options.config is None and options.overlay is not None and _overlay_is_enough(options.overlay):
        return None, options.accounts
    return (
        options.config or (config if config.exists() else None),
        options.accounts or (accounts if accounts.exists() else None),
    )


def _overlay_is_enough(overlay: Path) -> bool:
    """Whether the command line named a share: then it is a server of its own, not the machine's configured one."""
    try:
        return bool(json.loads(overlay.read_text()).get("shares"))
    except (OSError, ValueError):
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="smbd-uring mountd", description="The companion: accounts and shares.")
    parser.add_argument("-c", dest="config", type=Path, metavar="smb.conf", help="configuration")
    parser.add_argument("-i", dest="accounts", type=Path, metavar="ksmbdpwd.db", help="accounts")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="the server's state directory")
    parser.add_argument("--overlay", type=Path, metavar="FILE", help="shares and accounts of the command line (JSON)")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process, which started it, ends")
    parser.add_argument("--kernel", action="store_true", help="serve ksmbd.ko instead of the user-space engine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
