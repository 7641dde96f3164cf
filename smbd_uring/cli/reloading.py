"""Has a running server read its files again after a command changed them."""

from __future__ import annotations

from contextlib import suppress

from smbd_uring.cli.control_client import ControlError, request
from smbd_uring.state_directory import running_servers


def reload_running_servers() -> None:
    """Tell every server that runs; one that is not there, or does not want to, is not this command's failure."""
    for state_directory in running_servers():
        with suppress(ControlError):
            request(state_directory, {"command": "reload"})
