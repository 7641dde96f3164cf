class ValueCache:
    xattr: bytes
    hits: int
    def __init__(self, xattr: bytes) -> None: ...
