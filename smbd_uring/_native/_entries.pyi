from collections.abc import Sequence
from typing import Any

def append_entries(
    buffer: bytearray,
    size_max: int,
    fixed: int,
    first_id: int,
    second_id: int,
    entries: Sequence[Any],
    first: int,
    count_max: int,
) -> tuple[int, int, int]: ...
