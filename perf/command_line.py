"""`smbd-uring bench COMMAND`: finds the measurement that was asked for and runs it.

Knows: the commands' names and modules.  Must not know: any command's options.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

COMMANDS = {
    "compare": ("smbd_uring.perf.compare", "cost, throughput and latency against Samba and the floor"),
    "matrix": ("smbd_uring.perf.matrix", "throughput and p99 over depths and connections, against Samba"),
    "linear": ("smbd_uring.perf.linear", "how cost grows with connections and with the entries of a folder"),
    "contended": ("smbd_uring.perf.contended", "how long an open waits that breaks another client's lease"),
    "idle": ("smbd_uring.perf.idle", "memory of the idle server, per session, and how many connections are held"),
    "rings": ("smbd_uring.perf.rings", "throughput with one ring and with more"),
    "profile": ("smbd_uring.perf.profile", "where the server's time goes in one workload, as a flame graph"),
    "regress": ("smbd_uring.perf.regress", "against another revision or a stored run; fails when it got slower"),
}
"""Name -> module with `describe(parser)` and `run(options) -> int`, and what it is for."""

WRONG_USAGE = 2


def main(argv: Sequence[str], program: str = "python -m perf") -> int:
    """Run one measurement.

    Result: 0 when it was made (for `regress`: and nothing got slower), 1 when it could not or something did, 2 wrong
    usage.
    """
    arguments = list(argv)
    if arguments[:1] in ([], ["-h"], ["--help"]):
        print(_usage(program), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else WRONG_USAGE
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"{program}: there is no measurement {name!r}\n{_usage(program)}", file=sys.stderr)
        return WRONG_USAGE
    module_name, summary = COMMANDS[name]
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        print(f"{program} {name}: {error}; measuring needs a checkout with `make build` done, not only an installed "
              "package", file=sys.stderr)  # fmt: skip
        return 1
    parser = argparse.ArgumentParser(prog=f"{program} {name}", description=summary[:1].upper() + summary[1:] + ".")
    module.describe(parser)
    options = parser.parse_args(rest)
    from smbd_uring.perf.failures import MeasurementError

    try:
        with _ended_by_sigterm():
            status: int = module.run(options)
    except MeasurementError as error:
        print(f"{program} {name}: {error}", file=sys.stderr)
        return 1
    return status


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """While the body runs SIGTERM ends it like an exception, so that the servers it has started are ended too."""
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _usage(program: str) -> str:
    lines = [f"  {name:<9} {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join([f"usage: {program} MEASUREMENT [OPTION]...", "", "measurements:", *lines])
