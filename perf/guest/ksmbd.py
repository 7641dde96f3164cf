"""The kernel's own server, ksmbd, with its user-space tools.

Knows: the tools' command lines.  Must not know: what is measured.

Only for a machine of one's own: there is one ksmbd in a kernel.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from smbd_uring.perf.servers import (
    PASSWORD,
    SHARE,
    Running,
    ServerFailedError,
    free_port,
    started,
    wait_for_port,
)

TOOLS_VARIABLE = "KSMBD_TOOLS"
"""The folder with ksmbd.mountd and its like."""


@contextlib.contextmanager
def ksmbd(work: Path, folder: Path, user: str) -> Iterator[Running]:
    """Run ksmbd while the body runs.  Arguments: a folder for its files; the share's folder; the account.

    Raises ServerFailedError when the module or the tools are missing, or it does not come up.
    """
    tools = Path(os.environ.get(TOOLS_VARIABLE, "/usr/sbin"))
    state = work / "ksmbd"
    state.mkdir()
    configuration, accounts = state / "ksmbd.conf", state / "ksmbdpwd.db"
    port = free_port()
    configuration.write_text(
        f"[global]\n\tinterfaces = lo\n\tbind interfaces only = yes\n\ttcp port = {port}\n"
        f"[{SHARE}]\n\tpath = {folder}\n\tread only = no\n",
        encoding="utf-8",
    )
    accounts.touch()
    files = ["-c", str(configuration)]
    _run(["modprobe", "ksmbd"])
    _run([str(tools / "ksmbd.adduser"), "-a", user, "-p", PASSWORD, "-i", str(accounts), *files])
    log_path = state / "stdout"
    mountd = [str(tools / "ksmbd.mountd"), "-n", "-u", str(accounts), "-p", str(port), *files]
    with started(mountd, log_path) as process:
        wait_for_port(process, port, log_path)
        yield Running("ksmbd", port, process.pid, user)


def _run(command: list[str]) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise ServerFailedError(f"{command[0]}: {error}") from error
    if ran.returncode != 0:
        raise ServerFailedError(f"{' '.join(command)} failed: {ran.stderr or ran.stdout}")
