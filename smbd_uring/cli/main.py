"""Finds the command that was asked for and runs it; nothing else is imported before that.

Knows: the commands' names and modules.  Must not know: any command's options.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from smbd_uring import __version__

DONE = 0
FAILED = 1
WRONG_USAGE = 2


@dataclass(frozen=True, slots=True)
class Command:
    """The module whose `main(argv) -> int` runs a command (None: not in this version), and what it is for."""

    module: str | None
    summary: str


COMMANDS = {
    "serve": Command("smbd_uring.cli.serve", "serve files until told to stop"),
    "mountd": Command("smbd_uring.netlink.mountd", "the companion alone: configuration and accounts"),
    "adduser": Command("smbd_uring.cli.adduser", "add, update or delete an account"),
    "addshare": Command("smbd_uring.cli.addshare", "add, update or delete a share"),
    "control": Command("smbd_uring.cli.control", "reload or stop a running server, or make it say more"),
    "status": Command("smbd_uring.cli.status", "what a running server is doing"),
    "trace": Command(None, "watch a running server's latency and leases"),
    "bench": Command("smbd_uring.cli.bench", "measure, alone and against others"),
    "doctor": Command("smbd_uring.cli.doctor", "what this machine offers, what is missing, and the remedy"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `argv` (without the program's name; default: the process's own arguments).

    Result: the exit status: 0 done, 1 it failed and said why on stderr, 2 wrong usage.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments:
        print(_usage(), file=sys.stderr)
        return WRONG_USAGE
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help", "help"):
        print(_usage())
        return DONE
    if name in ("-V", "--version"):
        print(f"smbd-uring {__version__}")
        return DONE
    command = COMMANDS.get(name)
    if command is None:
        print(f"smbd-uring: there is no command {name!r}\n{_usage()}", file=sys.stderr)
        return WRONG_USAGE
    if command.module is None:
        print(f"smbd-uring {name}: comes with a later version than {__version__}", file=sys.stderr)
        return FAILED
    run: Callable[[list[str]], int] = import_module(command.module).main
    try:
        return run(rest)
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # The reader of our output went away (`status | head`); flushing at exit would complain once more.
        sys.stderr.close()
        return FAILED


def _usage() -> str:
    lines = [f"  {name:<9} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: smbd-uring COMMAND [OPTION]...", "", "commands:", *lines, "",
                      "`smbd-uring COMMAND --help` tells a command's options."])
