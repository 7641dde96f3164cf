from smbd_uring._native import StatFields

def stat_entries(
    directory: int, names: list[bytes], xattr: bytes
) -> list[tuple[StatFields, bytes | None] | None]: ...
