"""Runs Samba's gentest: the same random operations on Samba and on this server, until an answer differs.

Knows: gentest's command line, and which answers cannot be the same or are not there yet.
Must not know: what any operation does.

Exit status 0 when enough of the seeds came to their end, 1 when they did not, 2 when gentest could not be run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.endpoint import Endpoint, Share, make_share
from tests.support.foreign import foreign_environment
from tests.support.peer import Peer
from tests.support.server import Server
from tests.torture.run import ACCOUNTS, MEMORY_FILE_SYSTEM

SECOND_LOOPBACK = "127.0.0.2"
TIMEOUT_S = 120.0
DONE = "gentest completed - no errors"

PEER_LINES = ("map archive = yes", "create mask = 0744")
"""What makes Samba's share one of the same kind: files that their owner may run, and so has every right to."""

PRIVILEGE = "SeSecurityPrivilege"
"""With it Samba refuses an access mask for its meaningless bits, as is done here, not for what it asks of audits."""

IGNORED = (
    "internal_information.out.file_id",  # an inode's number is its own
    "all_info2.out.file_id",
    "mode_information.out.mode",  # Samba puts the DOS attributes there
    "all_info2.out.mode",
    "*access_time",  # each server reads and writes files for its own purposes, too
    "RAW_FILEINFO_SEC_DESC",  # no security descriptors here yet
    "RAW_FILEINFO_ALT_NAME_INFORMATION",  # no short names are made here
)


def run_seed(program: str, peer: Endpoint, share: Share, seed: int, operations: int, ignored: Path) -> list[str]:
    """Run one seed.  Result: the last lines that gentest printed."""
    account = f"{peer.account.name}%{peer.account.password}"
    done = subprocess.run(
        [
            program, f"//{peer.host}/{share.name}", f"//{SECOND_LOOPBACK}/{share.name}", f"--user1={account}",
            f"--user2={account}", f"--option=smb ports={peer.port}", "--smb2", f"--seed={seed}",
            f"--num-ops={operations}", "--noeas", "--noacls", f"--ignore={ignored}",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT_S, env=foreign_environment(), check=False,
        cwd=ignored.parent,  # where it leaves its seeds
    )  # fmt: skip
    return done.stdout.decode(errors="replace").splitlines()[-3:]


def grant_privilege(smb_conf: Path) -> None:
    """Give Samba's account the privilege."""
    subprocess.run(
        ["net", "-s", str(smb_conf), "sam", "rights", "grant", ACCOUNTS[0].name, PRIVILEGE],
        check=True, timeout=30, stdout=subprocess.DEVNULL, env=foreign_environment(),
    )  # fmt: skip


def run_all(program: str, folder: Path, seeds: Sequence[int], operations: int) -> list[int]:
    """Run every seed on empty shares.  Result: those that ended in a difference."""
    ignored = folder / "ignored"
    ignored.write_text("".join(f"{pattern}\n" for pattern in IGNORED))
    for name in ("samba", "own"):
        (folder / name).mkdir()
        (folder / name).chmod(0o755)
    theirs, ours = make_share(folder / "samba", "data"), make_share(folder / "own", "data")
    differing = []
    with Peer(folder / "samba", [theirs], ACCOUNTS, PEER_LINES) as peer:
        listen = ("--listen", f"{SECOND_LOOPBACK}:{peer.endpoint.port}")
        grant_privilege(folder / "samba" / "smb.conf")
        with Server(folder / "own", [ours], ACCOUNTS, arguments=listen):
            for seed in seeds:
                for share in (theirs, ours):
                    for entry in share.path.iterdir():
                        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
                lines = run_seed(program, peer.endpoint, theirs, seed, operations, ignored)
                print(f"seed {seed}: {' | '.join(lines)}", flush=True)
                if DONE not in lines:
                    differing.append(seed)
    return differing


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, start both servers, run the seeds."""
    parser = argparse.ArgumentParser(description="Compare this server's answers with Samba's, by gentest.")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default: 20)")
    parser.add_argument("--operations", type=int, default=1500, help="operations for each seed (default: 1500)")
    parser.add_argument("--differing-max", type=int, default=1, help="seeds that may end in a difference (default: 1)")
    options = parser.parse_args(arguments)
    program = shutil.which("gentest")
    if program is None:
        print("gentest: not installed; Debian has it in samba-testsuite", file=sys.stderr)
        return 2
    base = MEMORY_FILE_SYSTEM if MEMORY_FILE_SYSTEM.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="gentest-", dir=base) as name:
        folder = Path(name)
        folder.chmod(0o755)
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        differing = run_all(program, folder, seeds, options.operations)
    print(f"{len(seeds) - len(differing)} of {len(seeds)} seeds agree to the end")
    return 1 if len(differing) > options.differing_max else 0


if __name__ == "__main__":
    sys.exit(main())
