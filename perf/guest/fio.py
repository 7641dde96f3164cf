"""fio through a mount of the kernel's client: direct I/O, so that every operation reaches the server.

Knows: fio's options and its JSON, mount.cifs.  Must not know: which server is behind the mount.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.servers import Running

FILE = "fio.dat"
FILE_BYTES = 64 << 20
MOUNTS_TRIED = 3
MOUNTS = {"plain": "", "sign": ",sign", "seal": ",seal"}


class FioError(MeasurementError):
    """A mount or fio failed; the message has what it said."""


@dataclass(frozen=True, slots=True)
class FioJob:
    """One kind of load: its title, fio's `rw`, `bs` and `iodepth`, and the unit of its figure."""

    title: str
    kind: str
    block: str
    depth: int

    @property
    def is_large(self) -> bool:
        """Whether MiB/s says more than operations a second."""
        return self.block.endswith("m")

    @property
    def unit(self) -> str:
        """What the figure counts."""
        return "MiB/s" if self.is_large else "op/s"


JOBS = (
    FioJob("random read 4 KiB, depth 1", "randread", "4k", 1),
    FioJob("random read 4 KiB, depth 16", "randread", "4k", 16),
    FioJob("read 1 MiB, depth 4", "read", "1m", 4),
    FioJob("write 1 MiB, depth 4", "write", "1m", 4),
)


def make_file(folder: Path) -> None:
    """Make the file that every server's clients read and write, behind the share."""
    path = folder / FILE
    block = bytes(range(256)) * 4096
    with path.open("wb") as file:
        for _ in range(FILE_BYTES // len(block)):
            file.write(block)
    path.chmod(0o666)


@contextmanager
def mounted(server: Running, at: Path, protection: str) -> Iterator[Path]:
    """The server's share, mounted while the body runs.  Raises FioError."""
    at.mkdir(parents=True)
    options = f"vers=3.1.1,port={server.port},username={server.user},password={server.password}{MOUNTS[protection]}"
    command = ["mount", "-t", "cifs", "-o", options, f"//{server.address}/{server.share}", str(at)]
    # In a machine that counts instructions the clock leaps while the host reads a file for it, so what a server loads
    # for its first logon can make its time limits pass.
    for _ in range(MOUNTS_TRIED - 1):
        if subprocess.run(command, capture_output=True).returncode == 0:
            break
    else:
        _run(command)
    try:
        yield at
    finally:
        _run(["umount", str(at)])


def run_fio(job: FioJob, mount: Path, seconds: float) -> float:
    """Run one job for that long.  Result: operations or MiB a second, as the job's unit says.  Raises FioError."""
    printed = _run([
        "fio", f"--name={job.kind}", f"--filename={mount / FILE}", f"--size={FILE_BYTES}", "--direct=1",
        "--ioengine=libaio", f"--rw={job.kind}", f"--bs={job.block}", f"--iodepth={job.depth}", "--time_based",
        f"--runtime={seconds:g}", "--thread", "--randrepeat=1", "--output-format=json",
    ])  # fmt: skip
    return figure(job, printed)


def figure(job: FioJob, printed: str) -> float:
    """The job's figure in what fio printed, which may have warnings before the JSON.  Raises FioError."""
    try:
        (done,) = json.loads(printed[printed.index("{") :])["jobs"]
        side = done["write" if job.kind == "write" else "read"]
        return float(side["bw_bytes"]) / (1 << 20) if job.is_large else float(side["iops"])
    except (ValueError, KeyError) as error:
        raise FioError(f"fio printed something else than its figures ({error}):\n{printed}") from error


def _run(command: list[str]) -> str:
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode != 0:
        raise FioError(f"{' '.join(command)} failed: {ran.stderr or ran.stdout}")
    return ran.stdout
