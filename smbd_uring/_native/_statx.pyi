from collections.abc import Sequence
from typing import Any

from smbd_uring._native._values import ValueCache

class EntryTable(Sequence[Any]):
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any) -> Any: ...

def stat_entries(
    directory: int,
    names: list[bytes],
    xattr: bytes,
    status_type: type[Any],
    device: int,
    budget_ns: int,
    cache: ValueCache | None = None,
    identity: int = 0,
) -> EntryTable | None: ...
