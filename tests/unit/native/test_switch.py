"""Given SMBD_IMPL, the switch takes native code or leaves it and says why."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from smbd_uring import _native
from smbd_uring._native.remedies import remedy

PROGRAM = """
from smbd_uring import _native as n
print(n.impl, n.Ring is None, n.stat_entries is None, n.Signer is None, n.why_not)
"""
ROOT = Path(__file__).parents[3]


def load(wanted: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SMBD_IMPL": wanted}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_native_is_taken_where_it_is() -> None:
    assert load("").stdout == load("native").stdout == "native False False False None\n"


def test_python_is_taken_when_asked_for() -> None:
    assert load("python").stdout == "python True True True SMBD_IMPL=python is set in the environment\n"


@pytest.mark.parametrize(
    ("module", "still_there", "package"),
    [("_ring", ("Signer", "stat_entries"), "liburing-dev, libssl-dev"), ("_message_crypto", ("Ring",), "libssl-dev")],
)
def test_what_one_library_lacks_costs_nothing_else(
    module: str, still_there: tuple[str, ...], package: str
) -> None:
    program = (
        f"import sys; sys.modules['smbd_uring._native.{module}'] = None\n"
        "from smbd_uring import _native\n"
        f"assert all(getattr(_native, name) is not None for name in {still_there})\n"
        "print(_native.impl, _native.why_not)"
    )
    environment = {**os.environ, "SMBD_IMPL": ""}
    command = [sys.executable, "-c", program]
    answer = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("python ")
    assert f"install {package} and a C compiler" in answer.stdout


def test_nonsense_is_refused() -> None:
    answer = load("fast")
    assert answer.returncode == 1
    assert "SMBD_IMPL must be native or python" in answer.stderr


def test_without_native_code_effects_and_errors_are_the_same() -> None:
    program = (
        "from smbd_uring.loop.ring_driver import RingDriver, RingUnavailable\n"
        "from smbd_uring.loop.epoll_driver import EpollDriver\n"
        "from smbd_uring.loop.syscalls import perform\n"
        "from smbd_uring.ports import *\n"
        "EpollDriver().close()\n"
        "root = perform(OpenAt(None, b'/proc', 0o10200000))\n"
        "status, value = perform(StatEntries(root, [b'version'], b'user.x'))[0]\n"
        "assert status == perform(Stat(root, b'version')) and value is None\n"
        "assert perform(StatEntries(root, [b'nothing'], b'user.x')) == [None]\n"
        "try: RingDriver()\n"
        "except RingUnavailable as error: print(error)\n"
    )
    environment = {**os.environ, "SMBD_IMPL": "python"}
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout == "the native module is missing: SMBD_IMPL=python is set in the environment\n"


def test_what_is_built_is_what_there_is() -> None:
    texts = {path.stem: path.read_text() for path in (ROOT / "smbd_uring/_native").glob("*.pyx")}
    sources = set(texts)
    for_python = {name for name, text in texts.items() if re.search(r"^ {0,4}def (?!__)", text, re.MULTILINE)}
    built = set(re.findall(r'^    "_native/(_\w+)": \[', (ROOT / "setup.py").read_text(), re.MULTILINE))
    stubs = {path.stem for path in (ROOT / "smbd_uring/_native").glob("*.pyi")}
    assert sources == built == set(_native.MODULES)
    assert stubs == for_python


@pytest.mark.parametrize(
    ("number", "setting", "help_with"),
    [
        (errno.EPERM, "2", "sysctl kernel.io_uring_disabled=0"),
        (errno.EPERM, "1", "kernel.io_uring_group"),
        (errno.EPERM, "0", "seccomp"),
        (errno.EPERM, None, "seccomp"),
        (errno.ENOSYS, "0", "CONFIG_IO_URING"),
        (errno.ENOMEM, "0", "ulimit -l"),
        (errno.EMFILE, "0", "ulimit -n"),
        (errno.EINVAL, "0", "newer kernel"),
        (errno.EIO, "0", "report it"),
    ],
)
def test_a_failure_names_its_remedy(tmp_path: Path, number: int, setting: str | None, help_with: str) -> None:
    disabled = tmp_path / "io_uring_disabled"
    if setting is not None:
        disabled.write_text(setting + "\n")
    text = remedy("io_uring_setup", number, disabled)
    assert text.startswith("io_uring_setup: ")
    assert help_with in text
