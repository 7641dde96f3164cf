"""`smbd-uring control`: reload or stop a running server, or make a component of it log everything.

Knows: the options.  Must not know: how the server carries them out.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from smbd_uring.cli.control_client import ControlError, find_server, request


def main(argv: list[str]) -> int:
    """Run the command.  Result: 0 when the server did it, 1 when it could not be asked or refused."""
    options = _parser().parse_args(argv)
    command: dict[str, Any]
    if options.reload:
        command = {"command": "reload"}
    elif options.shutdown:
        command = {"command": "shutdown"}
    else:
        command = {"command": "debug", "component": options.debug}
    try:
        answer = request(find_server(options.state_dir), command)
    except ControlError as error:
        print(f"smbd-uring control: {error}", file=sys.stderr)
        return 1
    print(answer["done"])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="smbd-uring control", description="Tell a running server what to do."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--reload", action="store_true", help="read configuration and accounts again")
    action.add_argument("--shutdown", action="store_true", help="finish what is under way and end")
    action.add_argument(
        "--debug",
        metavar="COMPONENT",
        help="log everything of engine, auth, loop, companion, fs or all; once more: stop it",
    )
    parser.add_argument("--state-dir", metavar="DIR", help="whose server (default: the only one running)")
    return parser
