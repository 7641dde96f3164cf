from typing import Any

from smbd_uring._native._values import ValueCache

def stat_entries(
    directory: int,
    names: list[bytes],
    xattr: bytes,
    status_type: type[Any],
    device: int,
    budget_ns: int,
    cache: ValueCache | None = None,
    identity: int = 0,
) -> list[Any] | None: ...
