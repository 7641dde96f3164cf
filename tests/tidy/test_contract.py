"""What two sides declare on their own is the same on both."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from smbd_uring import ports
from smbd_uring.netlink import flags

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["AccountFlags", "ShareFlags", "TreeFlags", "TreeStatus"])
def test_the_companion_and_the_engine_mean_the_same_flags(name: str) -> None:
    engines = {member.name: member.value for member in getattr(ports, name)}
    companions = {member.name: member.value for member in getattr(flags, name)}
    assert companions == engines


def test_no_file_names_a_folder_of_the_machine_it_was_written_on() -> None:
    homes = re.compile(rb"/(?:home|work|root)/[A-Za-z0-9_.]")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True
    ).stdout.split(b"\0")
    here = Path(__file__).resolve()
    offending = [
        path.decode()
        for path in listed
        if path and (file := PROJECT / path.decode()).is_file() and file.resolve() != here
        and homes.search(file.read_bytes())
    ]
    assert offending == []
