"""Everything that stands ready before a comparison: the share with its files, the servers, the floor.

Knows: which servers an option names, and in which order things are started.  Must not know: what is measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from smbd_uring.perf.contenders import Contender, Duration, ServerContender
from smbd_uring.perf.files import READ_FILE, prepare
from smbd_uring.perf.floor import Floor, build
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.samba_configuration import Samba
from smbd_uring.perf.servers import Running, folders, own, samba

OURS = "smbd-uring"
SAMBAS = {"default": (Samba.DEFAULT,), "tuned": (Samba.TUNED,), "both": (Samba.DEFAULT, Samba.TUNED), "none": ()}


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What stands ready: the share's folder, the servers with this one first, and the floor where it was asked for."""

    folder: Path
    servers: Sequence[Running]
    floor: Floor | None

    @property
    def contenders(self) -> list[Contender]:
        """All of it, in the order of the rounds."""
        servers: list[Contender] = [ServerContender(server) for server in self.servers]
        return servers if self.floor is None else [*servers, self.floor]

    @property
    def others(self) -> list[str]:
        """Names of the contenders that are not this server."""
        return [contender.name for contender in self.contenders if contender.name != OURS]


def add_arguments(parser: argparse.ArgumentParser, *, samba: bool = True) -> None:
    """The options that every comparison has; `samba`: whether it can be with Samba."""
    parser.add_argument("--rounds", type=positive, default=5, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=positive_seconds, default=1.0, metavar="S", help="length of a round (default: 1)"
    )
    parser.add_argument(
        "--warm-up", type=not_negative_seconds, default=0.3, metavar="S",
        help="before each round, not measured (default: 0.3)",
    )  # fmt: skip
    if samba:
        parser.add_argument(
            "--samba", choices=SAMBAS, default="both", help="which Samba to compare with (default: %(default)s)"
        )
    parser.add_argument(
        "--user", default="daemon", metavar="NAME", help="a user of this machine, for the account (default: daemon)"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where the share is made (default: where temporary files are)"
    )
    parser.add_argument(
        "--serve-option", action="append", default=[], metavar="OPTION",
        help="one more argument of `smbd-uring serve`, as --serve-option=--rings=2 (repeatable)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="leave settings and every round in FILE")


def duration(options: argparse.Namespace) -> Duration:
    """How long a round is."""
    return Duration(options.seconds, options.warm_up)


def progress(line: str) -> None:
    """Tell how far it is, apart from what is the result."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def arranged(options: argparse.Namespace, *, floor: bool = False) -> Iterator[Arrangement]:
    """Make the share, start this server and the Sambas asked for, build the floor when wanted; end all of it after.

    Raises ServerFailedError and FloorFailedError.
    """
    with ExitStack() as stack:
        work, folder = stack.enter_context(folders(options.folder))
        prepare(folder)
        # Wherever it is placed later, it has one core: its ring runs in the engine's thread, as on a small machine.
        core = placements()["two"].server
        servers = [
            stack.enter_context(
                own(work, folder, options.user, name=OURS, arguments=options.serve_option, cores=core)
            )
        ]
        for kind in SAMBAS[options.samba]:
            servers.append(stack.enter_context(samba(kind, work, folder, options.user)))
        yield Arrangement(folder, servers, Floor(build(work), folder / READ_FILE) if floor else None)


def positive(text: str) -> int:
    """An option's value: a whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def positive_seconds(text: str) -> float:
    """An option's value: more than 0 s."""
    number = float(text)
    if not 0 < number < 86400:
        raise ValueError
    return number


def not_negative_seconds(text: str) -> float:
    """An option's value: 0 s or more."""
    number = float(text)
    if not 0 <= number < 86400:
        raise ValueError
    return number
