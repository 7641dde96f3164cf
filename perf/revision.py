"""Another revision of this project, ready to run: checked out beside this one and its native parts built.

Knows: git worktrees, setup.py.  Must not know: what is done with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.servers import PROJECT


class RevisionError(MeasurementError):
    """The revision does not exist or cannot be built; the message has what git or the compiler said."""


def resolve(name: str) -> str:
    """The commit that `name` means.  Raises RevisionError."""
    return _run(["git", "-C", str(PROJECT), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"], name).strip()


@contextmanager
def checked_out(name: str) -> Iterator[Path]:
    """A checkout of revision `name` with its native parts built, removed at the end.  Raises RevisionError.

    A revision that builds no native parts on this machine is an error: it would be measured over epoll.
    """
    commit = resolve(name)
    with TemporaryDirectory(prefix="smbd-uring-revision-") as folder:
        checkout = Path(folder) / "checkout"
        _run(["git", "-C", str(PROJECT), "worktree", "add", "--detach", "--quiet", str(checkout), commit], name)
        try:
            _run([sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"], name, checkout)
            yield checkout
        finally:
            _run(["git", "-C", str(PROJECT), "worktree", "remove", "--force", str(checkout)], name)


def _run(command: list[str], name: str, folder: Path | None = None) -> str:
    environment = {**os.environ, "SMBD_REQUIRE_NATIVE": "1"}
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    if ran.returncode != 0:
        raise RevisionError(f"revision {name}: {' '.join(command)} failed\n{ran.stderr or ran.stdout}")
    return ran.stdout
