"""`smbd-uring bench profile`: where the server's time goes in one workload, as a flame graph.

Knows: perf's command line and what it prints.  Must not know: how a flame graph is drawn.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from smbd_uring.perf.arrangement import OURS, add_arguments, arranged, duration
from smbd_uring.perf.contenders import Duration, ServerContender
from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.figures_wanted import TABLE
from smbd_uring.perf.flame import KERNEL_MARK, draw, tree, without_trunk
from smbd_uring.perf.pinning import placements
from smbd_uring.perf.servers import PROJECT
from smbd_uring.perf.tables import markdown
from smbd_uring.perf.workloads import PROTECTIONS

PICTURE_FILE = PROJECT / "build" / "profile.svg"
SAMPLES_PER_SECOND = 2500
SECONDS = 4.0
HOTTEST = 15
END_TIMEOUT_S = 60.0
FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<name>.+?) \((?P<where>[^()]*)\)$")
"""A line of a stack in what `perf script` prints: address, function, in parentheses the file it is in."""


class ProfileError(MeasurementError):
    """perf is missing or took no samples."""


def describe(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--workload", choices=TABLE, default="read-4k", help="default: %(default)s")
    parser.add_argument("--protection", choices=PROTECTIONS, default="plain")
    parser.add_argument("--server", default=OURS, metavar="NAME", help=f"{OURS}, or a Samba that --samba starts")
    parser.add_argument(
        "--picture", type=Path, default=PICTURE_FILE, metavar="FILE", help="SVG (default: build/profile.svg)"
    )
    add_arguments(parser)
    parser.set_defaults(samba="none", seconds=SECONDS)


def run(options: argparse.Namespace) -> int:
    """Measure and draw.  Result: 0."""
    workload = replace(TABLE[options.workload].workload, protection=options.protection)
    with arranged(options) as ready:
        chosen = [server for server in ready.servers if server.name == options.server]
        if not chosen:
            raise ProfileError(f"{options.server} is not running here; --samba starts one")
        record = ready.folder.parent / "perf.data"
        # While it connects and warms up nothing is recorded that anybody asked about.
        ServerContender(chosen[0]).measure(workload, placements()["same"], Duration(options.warm_up or 0.1, 0.0))
        with recording(chosen[0].pid, record):
            figures = ServerContender(chosen[0]).measure(workload, placements()["same"], duration(options))
        found = Counter(stacks(_script(record)))
    if not found:
        raise ProfileError("perf took no samples")
    title = f"{options.server}, {workload.label}: {figures.cpu_us:.1f} us per operation"
    options.picture.parent.mkdir(parents=True, exist_ok=True)
    options.picture.write_text(draw(without_trunk(tree(found.items())), title), encoding="utf-8")
    print(markdown([title, "share of samples"], hottest(found)))
    print(f"\nwritten: {options.picture}")
    return 0


def hottest(found: Counter[tuple[str, ...]]) -> list[list[str]]:
    """Rows of the functions that most samples were in themselves, with their shares."""
    inside: Counter[str] = Counter()
    for stack, samples in found.items():
        inside[stack[-1]] += samples
    return [[name, f"{samples / found.total():.1%}"] for name, samples in inside.most_common(HOTTEST)]


@contextmanager
def recording(pid: int, record: Path) -> Iterator[None]:
    """Sample a process tree's stacks while the body runs.  Raises ProfileError.

    By the processor's clock: virtual machines rarely have counters.
    """
    if shutil.which("perf") is None:
        raise ProfileError("perf is not installed (Debian: linux-perf)")
    command = [
        "perf", "record", "--quiet", "--event=cpu-clock", f"--freq={SAMPLES_PER_SECOND}", "--call-graph=dwarf,16384",
        f"--output={record}", f"--pid={pid}", "--inherit",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=END_TIMEOUT_S)
    if not record.exists():
        raise ProfileError(f"perf recorded nothing: {said}")


def stacks(lines: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The stacks in what `perf script` printed, outermost function first; a blank line ends each."""
    frames: list[str] = []
    for line in lines:
        if not line.strip():
            if frames:
                yield tuple(reversed(frames))
            frames = []
        elif match := FRAME.match(line):
            name = match["name"].rsplit("+0x", 1)[0]
            frames.append(name + KERNEL_MARK if "kernel" in match["where"] else name)
    if frames:
        yield tuple(reversed(frames))


def _script(record: Path) -> list[str]:
    command = ["perf", "script", f"--input={record}", "--fields=comm,ip,sym,dso", "--no-inline"]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
