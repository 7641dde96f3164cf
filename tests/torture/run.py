"""Runs Samba's smbtorture against the server and compares what passes with the list of what has to.

Knows: the program `torture-run`, which runs smbtorture test by test and writes its results as JSON.
Must not know: what any test does.

`expected.txt` names the tests that have to pass, one a line.  Exit status 0 when all of them do, 1 when one
does not, 2 when the tests could not be run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.endpoint import Account, Endpoint, Share, make_share
from tests.support.peer import Peer
from tests.support.server import PROJECT, Server, write_configuration

EXPECTED = Path(__file__).resolve().parent / "expected.txt"
ACCOUNTS = (Account("daemon", "Passw0rd!"), Account("games", "Passw0rd2!"))
"""Unix users that every machine has, so that the same command runs against Samba."""

GLOBAL_LINES = ("smbd:FSCTL_SMBTORTURE = yes",)
"""Some tests have the server count a channel as dead, which it does nowhere else."""

MEMORY_FILE_SYSTEM = Path("/dev/shm")
"""Files with extended attributes have no blocks there; on ext4 they do, and some tests see it."""


def read_list(path: Path) -> set[str]:
    """The tests a list names; options after a name belong to torture-run, and "#" begins a comment."""
    names = (line.split("\t")[0].strip() for line in path.read_text().splitlines())
    return {name for name in names if name and not name.startswith("#")}


def write_list(path: Path, names: set[str]) -> None:
    """Replace the list of what has to pass."""
    head = "# smbtorture tests that have to pass; `make torture UPDATE=--update` writes this file.\n"
    path.write_text(head + "".join(f"{name}\n" for name in sorted(names)))


def torture(program: Path, suite: Path, endpoint: Endpoint, share: Share, work: Path) -> dict[str, str]:
    """Run `torture-run` over a suite file.  Result: each test's status.  Raises RuntimeError without one."""
    first, second = endpoint.account, endpoint.more_accounts[0]
    results = work / "results.json"
    subprocess.run(
        [
            str(program), "--host", endpoint.host, "--port", str(endpoint.port),
            "--user", f"{first.name}%{first.password}", "--share", share.name, "--suite-file", str(suite),
            "--option", f"torture:user2name={second.name}",
            "--option", f"torture:user2password={second.password}",
            "--clean", str(share.path), "--timeout-per-test", "120", "--json", str(results), "--show-failed",
        ],
        cwd=PROJECT, check=False,
    )
    if not results.exists():
        raise RuntimeError(f"{program} left no results")
    tests: dict[str, dict[str, str]] = json.loads(results.read_text())["tests"]
    return {name: test["status"] for name, test in tests.items()}


def compare(statuses: dict[str, str], expected: set[str], update: bool) -> int:
    """Print the difference between what passes and what has to.  Result: the exit status."""
    passed = {name for name, status in statuses.items() if status == "passed"}
    lost = (expected & statuses.keys()) - passed
    gained = passed - expected
    print(f"{len(passed)} of {len(statuses)} pass, {len(expected & statuses.keys())} have to")
    for name in sorted(lost):
        print(f"LOST   {name}: {statuses[name]}")
    for name in sorted(gained):
        print(f"gained {name}")
    if update:
        write_list(EXPECTED, (expected - statuses.keys()) | passed)
        return 0
    return 1 if lost else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, start the server, run the tests, compare."""
    parser = argparse.ArgumentParser(description="Run smbtorture and compare with what has to pass.")
    parser.add_argument("program", type=Path, help="torture-run")
    parser.add_argument("--list", type=Path, help="tests to run (default: those that have to pass)")
    parser.add_argument("--target", choices=["own", "samba"], default="own")
    parser.add_argument("--no-uring", action="store_true", help="run our server over epoll")
    parser.add_argument("--update", action="store_true", help="take what passes now as what has to pass")
    options = parser.parse_args(arguments)
    if not options.program.exists():
        print(f"torture: no program '{options.program}'; name one with TORTURE=", file=sys.stderr)
        return 2
    suite = options.list or EXPECTED
    if not suite.exists():
        print(f"torture: no list '{suite}'; name tests to begin with by --list and --update", file=sys.stderr)
        return 2
    expected = read_list(EXPECTED) if EXPECTED.exists() else set()

    base = MEMORY_FILE_SYSTEM if MEMORY_FILE_SYSTEM.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="torture-", dir=base) as name:
        folder = Path(name)
        folder.chmod(0o755)
        share = make_share(folder, "data")
        (folder / "server").mkdir()
        server: Server | Peer
        if options.target == "samba":
            server = Peer(folder / "server", [share], ACCOUNTS)
        else:
            configuration = write_configuration(folder / "server", [share], ACCOUNTS, GLOBAL_LINES)
            server = Server(
                folder / "server", [share], ACCOUNTS, uring=not options.no_uring, configuration=configuration
            )
        with server:
            statuses = torture(options.program, suite, server.endpoint, share, folder)
    return compare(statuses, expected, options.update)


if __name__ == "__main__":
    sys.exit(main())
