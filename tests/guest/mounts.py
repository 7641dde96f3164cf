"""Inside the virtual machine: starts a server, mounts its share in every way, runs the checks, counts.

Knows: mount.cifs's options.  Must not know: how the machine was booted.

Run as root by `tests/guest/run.sh`.  Exit status 0 when every check passed on every mount.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.guest.checks import CHECKS, Check
from tests.support.endpoint import Account, Endpoint, Share, make_share
from tests.support.peer import Peer
from tests.support.server import Server

ACCOUNT = Account("daemon", "Passw0rd")
MOUNTS = {
    "2.1": "vers=2.1",
    "3.0": "vers=3.0",
    "3.1.1": "vers=3.1.1",
    "2.1 sign": "vers=2.1,sign",
    "3.0 sign": "vers=3.0,sign",
    "3.1.1 sign": "vers=3.1.1,sign",
    "3.0 seal": "vers=3.0,seal",
    "3.1.1 seal": "vers=3.1.1,seal",
    "3.1.1 no cache": "vers=3.1.1,cache=none",
}
BIG_FILE_MOUNTS = ("3.1.1", "3.1.1 seal")
"""The 64 MiB file takes long in an emulated machine: not on every mount."""


def mount(endpoint: Endpoint, share: Share, options: str, at: Path) -> None:
    """Mount `share` at a folder.  Raises subprocess.CalledProcessError, mount.cifs having said why."""
    account = endpoint.account
    given = f"username={account.name},password={account.password},port={endpoint.port},{options}"
    source = f"//{endpoint.host}/{share.name}"
    subprocess.run(["mount", "-t", "cifs", "-o", given, source, str(at)], check=True, timeout=60)


def run_check(check: Check, mounted: Path, behind: Path) -> bool:
    """Run one check in a folder of its own and say how it went.  Result: whether it passed."""
    name = check.__name__
    started = time.monotonic()
    try:
        (mounted / name).mkdir()
        (behind / name).chmod(0o777)
        check(mounted / name, behind / name)
    except Exception:
        print(f"  FAIL {name}", flush=True)
        traceback.print_exc(limit=-3)
        return False
    print(f"  ok   {name} ({time.monotonic() - started:.1f} s)", flush=True)
    return True


def run_mount(
    endpoint: Endpoint, share: Share, title: str, at: Path, wanted: Sequence[str]
) -> tuple[int, int]:
    """Mount, run the checks, unmount.  Result: (passed, failed)."""
    print(f"mount {title}: {MOUNTS[title]}", flush=True)
    folder = "".join(letter if letter.isalnum() else "-" for letter in title)
    (share.path / folder).mkdir()
    (share.path / folder).chmod(0o777)
    try:
        mount(endpoint, share, MOUNTS[title], at)
    except subprocess.SubprocessError as error:
        print(f"  FAIL mount: {error}", flush=True)
        return 0, 1
    checks = [
        check for check in CHECKS
        if (not wanted or check.__name__ in wanted)
        and (check.__name__ != "big_file" or title in BIG_FILE_MOUNTS)
    ]
    passed = sum(run_check(check, at / folder, share.path / folder) for check in checks)
    failed = len(checks) - passed
    if subprocess.run(["umount", str(at)], timeout=60).returncode == 0:
        return passed + 1, failed
    print("  FAIL umount", flush=True)
    return passed, failed + 1


def start(target: str, folder: Path, share: Share, uring: bool) -> Server | Peer:
    """The server to test, not started yet."""
    if target == "samba":
        return Peer(folder, [share], [ACCOUNT])
    return Server(folder, [share], [ACCOUNT], uring=uring)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run everything, print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=["own", "samba"], default="own")
    parser.add_argument("--no-uring", action="store_true", help="run our server over epoll")
    parser.add_argument("--mount", action="append", choices=list(MOUNTS), help="only this way (repeatable)")
    parser.add_argument("--check", action="append", default=[], help="only this check (repeatable)")
    options = parser.parse_args(arguments)

    # /scratch is a real file system in the machine; elsewhere files live in an overlay without xattrs.
    scratch = Path("/scratch") if Path("/scratch").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="mounts-", dir=scratch))
    folder.chmod(0o755)
    share = make_share(folder, "data")
    at = folder / "mounted"
    at.mkdir()
    (folder / "server").mkdir()
    server = start(options.target, folder / "server", share, not options.no_uring)
    passed = failed = 0
    with server:
        for title in options.mount or MOUNTS:
            ok, bad = run_mount(server.endpoint, share, title, at, options.check)
            passed, failed = passed + ok, failed + bad
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
