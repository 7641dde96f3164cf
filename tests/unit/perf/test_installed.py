"""What is installed lacks the client that measures; it says so and how to go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]


def test_without_a_checkout_the_command_says_that_it_needs_one(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "smbd_uring", tmp_path / "smbd_uring", ignore=shutil.ignore_patterns("*.c", "*.pyx"))
    ended = subprocess.run(
        [sys.executable, "-m", "smbd_uring", "bench", "compare"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "measuring needs a checkout" in ended.stderr
    assert "Traceback" not in ended.stderr
