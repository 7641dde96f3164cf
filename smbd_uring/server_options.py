"""What `serve` was asked to do, as one value.

Knows: the options' meaning.  Must not know: how they were written, who carries them out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smbd_uring.loop.listen import ListenAddress


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The options of one run; None and empty ones mean the default."""

    config_file: Path | None
    accounts_file: Path | None
    state_directory: Path | None
    listen: tuple[ListenAddress, ...]
    overlay: dict[str, Any]
    """Shares and accounts for this run only, as the companion reads them from its overlay file."""
    use_uring: bool
    rings: int | None
    """Data planes; None: as many as there are processors, up to RINGS_MAX."""
    grants: bool
    spawn_companion: bool
