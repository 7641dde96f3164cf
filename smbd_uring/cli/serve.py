"""`smbd-uring serve`: reads the options and runs the server in the foreground.

Knows: the options, how shares and users are written on a command line.  Must not know: how the server works.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

from smbd_uring.loop.listen import ListenAddress, parse_address
from smbd_uring.server_options import ServerOptions


class ShareArgument(NamedTuple):
    """`--share NAME=PATH[,ro][,guest]`."""

    name: str
    path: Path
    read_only: bool
    guest_ok: bool


class UserArgument(NamedTuple):
    """`--user NAME:PASSWORD`."""

    name: str
    password: str


def main(argv: list[str]) -> int:
    """Serve until told to stop.  Result: 0 after a clean end, 1 when it could not serve and said why."""
    arguments = parser().parse_args(argv)
    for share in arguments.share:
        if not share.path.is_dir():
            print(f"smbd-uring serve: share {share.name}: {share.path} is no directory", file=sys.stderr)
            return 1
    # Imported here: `serve --help` and a mistyped option are answered at once.
    from smbd_uring.server import serve

    return serve(
        ServerOptions(
            config_file=arguments.config or default_configuration(arguments.share),
            accounts_file=arguments.accounts,
            state_directory=arguments.state_dir,
            listen=tuple(arguments.listen),
            overlay=overlay(arguments.share, arguments.user),
            use_uring=not arguments.no_uring,
            rings=arguments.rings,
            grants=not arguments.no_grants,
            spawn_companion=arguments.companion == "spawn",
        )
    )


def parser() -> argparse.ArgumentParser:
    """The options of `serve`."""
    options = argparse.ArgumentParser(
        prog="smbd-uring serve",
        description="Serve files over SMB3 until SIGTERM; SIGHUP reads the configuration again.",
    )
    options.add_argument("-c", "--config", type=Path, metavar="smb.conf", help="shares and global parameters")
    options.add_argument("-i", "--accounts", type=Path, metavar="ksmbdpwd.db", help="accounts (see adduser)")
    options.add_argument("--state-dir", type=Path, metavar="DIR", help="where it keeps its state")
    options.add_argument(
        "--listen", action="append", default=[], type=listen_argument, metavar="ADDR:PORT",
        help="where to accept clients (repeatable)",
    )  # fmt: skip
    options.add_argument(
        "--share",
        action="append",
        default=[],
        type=share_argument,
        metavar="NAME=PATH[,ro][,guest]",
        help="one more share (repeatable)",
    )
    options.add_argument(
        "--user", action="append", default=[], type=user_argument, metavar="NAME:PASSWORD",
        help="one more account, who is the Unix user of that name, else whoever runs the server (repeatable)",
    )  # fmt: skip
    options.add_argument(
        "--rings", type=_positive, metavar="N",
        help="ring threads (default: one a processor, up to 4; none of its own on one processor)",
    )  # fmt: skip
    options.add_argument("--no-uring", action="store_true", help="use epoll and worker threads, not io_uring")
    options.add_argument(
        "--no-grants", action="store_true", help="have the engine answer every request, as epoll does (for tests)"
    )
    options.add_argument(
        "--companion", choices=("spawn", "external"), default="spawn",
        help="start and supervise the companion, or wait for one that was started with `mountd`",
    )  # fmt: skip
    return options


def listen_argument(text: str) -> ListenAddress:
    """Parse `ADDR:PORT`, IPv6 in brackets.  Raises argparse.ArgumentTypeError."""
    try:
        return parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def share_argument(text: str) -> ShareArgument:
    """Parse `NAME=PATH[,ro][,guest]`; a path may have commas and equals signs of its own.

    Raises argparse.ArgumentTypeError.
    """
    name, equals, path = text.partition("=")
    flags = set()
    while path.endswith((",ro", ",guest")):
        path, _, flag = path.rpartition(",")
        flags.add(flag)
    if not equals or not name.strip() or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH[,ro][,guest]")
    return ShareArgument(name.strip(), Path(path).absolute(), "ro" in flags, "guest" in flags)


def user_argument(text: str) -> UserArgument:
    """Parse `NAME:PASSWORD`; the password may have colons.  Raises argparse.ArgumentTypeError."""
    name, colon, password = text.partition(":")
    if not colon or not name:
        raise argparse.ArgumentTypeError("an account is written NAME:PASSWORD")
    return UserArgument(name, password)


def default_configuration(shares: list[ShareArgument]) -> Path | None:
    """The machine's smb.conf where there is one, unless shares are given on the command line instead."""
    from smbd_uring.netlink.paths import default_paths

    config_file, _ = default_paths()
    return config_file if not shares and config_file.exists() else None


def overlay(shares: list[ShareArgument], users: list[UserArgument]) -> dict[str, Any]:
    """What the companion adds to its configuration for this run, passwords as NT hashes."""
    from smbd_uring.netlink.nt_hash import nt_hash

    return {
        "shares": {
            share.name: {"path": str(share.path), "read only": share.read_only, "guest ok": share.guest_ok}
            for share in shares
        },
        "users": {user.name: nt_hash(user.password).hex() for user in users},
        "global": {},
    }


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
