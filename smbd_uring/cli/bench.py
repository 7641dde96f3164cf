"""`smbd-uring bench`: measures this server, alone and against others.

Knows: where the measurements are.  Must not know: any of them.
"""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Run the command.  Result: see `smbd_uring.perf.command_line.main`."""
    from smbd_uring.perf.command_line import main as measure

    return measure(argv, "smbd-uring bench")
