"""Options of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # for `tools/test-sanitized.sh`, where all takes longer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", action="append", type=int, default=None,
        help="seed of the simulated world in tests/engine and tests/fuzz; may be given more than once",
    )  # fmt: skip
