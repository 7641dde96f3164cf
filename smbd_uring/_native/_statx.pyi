from typing import Any

def stat_entries(
    directory: int, names: list[bytes], xattr: bytes, status_type: type[Any], device: int, budget_ns: int
) -> list[Any] | None: ...
