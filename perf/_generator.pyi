from collections.abc import Sequence

from smbd_uring.perf._histogram import Histogram
from smbd_uring.perf.templates import OperationTemplate

class Generator:
    latencies: Histogram
    def __init__(
        self,
        *,
        verify: bool = False,
        read_seed: int = 0,
        write_seed: int = 0,
        payload: bytes = b"",
        patience: float = ...,
    ) -> None: ...
    def add_connection(
        self,
        socket: int,
        session_id: int,
        next_message_id: int,
        credits: int,
        operations: Sequence[OperationTemplate],
        sequence: bytes,
        depth: int,
        *,
        reply_bytes_max: int,
        signing_algorithm: int | None = None,
        signing_key: bytes = b"",
        cipher: int | None = None,
        sealing_key: bytes = b"",
        opening_key: bytes = b"",
    ) -> None: ...
    def run(self, seconds: float) -> float: ...
    def clear(self) -> None: ...
    @property
    def operations(self) -> int: ...
    @property
    def transferred(self) -> int: ...
    @property
    def errors(self) -> int: ...
    def complaint(self) -> tuple[int, int, int]: ...
    def channel_state(self, index: int) -> tuple[int, int]: ...
    def written(self, index: int) -> list[int]: ...

def content(offset: int, length: int, seed: int) -> bytes: ...
