"""Programs of others, run as they are.

Must not know: which programs, what is tested with them.
"""

from __future__ import annotations

import os


def foreign_environment() -> dict[str, str]:
    """This process's environment without what is preloaded into it: a sanitizer's library belongs into the server, and
    makes some other programs hang."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
