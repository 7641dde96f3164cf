"""What a run leaves behind as JSON: where, what, with which settings, and every round.

Knows: the format.  Must not know: how anything was measured.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from smbd_uring.perf.failures import MeasurementError
from smbd_uring.perf.rounds import Round
from smbd_uring.perf.servers import PROJECT

FORMAT = 1
"""Counts up whenever a reader of older files would misunderstand a newer one."""


class DocumentError(MeasurementError):
    """A file is no record of a run; the message says why."""


def record(
    kind: str, settings: Mapping[str, Any], rounds: Sequence[Round], conclusions: Mapping[str, Any]
) -> dict[str, Any]:
    """A run as one JSON object: kind of run, its settings, all its rounds, what was concluded."""
    return {
        "format": FORMAT,
        "kind": kind,
        "machine": machine(),
        "settings": dict(settings),
        "rounds": [one.as_dict() for one in rounds],
        "conclusions": dict(conclusions),
    }


def write(path: Path, document: Mapping[str, Any]) -> None:
    """Write a record where the caller wants it."""
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Read a record.  Raises DocumentError when the file is none, or of another format."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DocumentError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or "rounds" not in document:
        raise DocumentError(f"{path} is no record of a measurement, or one of another version")
    return document


def stored_cpu(document: Mapping[str, Any], server: str) -> dict[str, list[float]]:
    """CPU us per operation of one server in a record: by job, in the order of the rounds."""
    found: dict[str, list[float]] = {}
    for one in document["rounds"]:
        if one["server"] == server and one["figures"] is not None:
            spent = one["figures"]["cpu_user_us"] + one["figures"]["cpu_system_us"]
            found.setdefault(one["job"], []).append(spent)
    return found


def machine() -> dict[str, Any]:
    """Where and when: what somebody who compares two records has to know."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "revision": revision(),
        "samba": _first_line(["smbd", "--version"]),
    }


def revision(checkout: Path = PROJECT) -> str:
    """The commit that is measured, with `-dirty` where files differ from it; empty outside a checkout."""
    return _first_line(["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(command: list[str]) -> str:
    path = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        return ""
    ran = subprocess.run([path, *command[1:]], capture_output=True, text=True)
    return ran.stdout.partition("\n")[0] if ran.returncode == 0 else ""
