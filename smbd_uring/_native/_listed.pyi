from collections.abc import Callable, Sequence
from typing import Any

from smbd_uring._native._statx import EntryTable

class ListedEntries(Sequence[Any]):
    def __len__(self) -> int: ...
    def __getitem__(self, position: Any) -> Any: ...

def list_entries(
    table: EntryTable,
    uses_values: bool,
    hides_dot_files: bool,
    decode_value: Callable[[bytes], tuple[int | None, int | None]],
    entry_type: type[Any],
    facts_type: type[Any],
) -> ListedEntries | None: ...
