"""Many clients that write without a pause, in a process of their own; says which writes were acknowledged.

Knows: smbprotocol.  Must not know: what happens to the server meanwhile.

Run as `python -m tests.support.writers PORT SHARE ACCOUNT PASSWORD FIRST COUNT`: clients FIRST to
FIRST+COUNT-1 each write a file `writer-N`, block after block.  Prints `writing` once every client has a block
acknowledged, and, when the last connection is gone, a line of JSON: for each file the number of acknowledged
blocks.
"""

from __future__ import annotations

import json
import logging
import sys
import threading

from smbprotocol.exceptions import SMBException
from smbprotocol.open import CreateDisposition

from tests.support.endpoint import Account, Endpoint
from tests.support.smb2_client import ACCESS_READ, ACCESS_WRITE, Client

BLOCK_BYTES = 65536


def block(writer: int, number: int) -> bytes:
    """The bytes of block `number` of file `writer-N`: like no other block of any file."""
    return f"{writer:08}/{number:08};".encode() * (BLOCK_BYTES // 18 + 1)


def file_name(writer: int) -> str:
    """The file that a writer writes."""
    return f"writer-{writer}"


class Writer(threading.Thread):
    """One client; `acknowledged` counts the blocks that the server confirmed."""

    def __init__(self, endpoint: Endpoint, share: str, number: int) -> None:
        super().__init__()
        self.number = number
        self.acknowledged = 0
        self.begun = threading.Event()
        self._client = Client(endpoint, share)

    def run(self) -> None:
        """Write until the connection ends."""
        try:
            opened = self._client.open(
                file_name(self.number), ACCESS_READ | ACCESS_WRITE,
                disposition=CreateDisposition.FILE_OVERWRITE_IF,
            )
            while True:
                data = block(self.number, self.acknowledged)[:BLOCK_BYTES]
                opened.write(data, self.acknowledged * BLOCK_BYTES)
                self.acknowledged += 1
                self.begun.set()
        except (SMBException, OSError):
            pass  # The server has gone: what this process is waiting for.
        except (AttributeError, TypeError):
            # smbprotocol wakes waiting requests without an answer when a connection ends, and trips over it.
            pass
        finally:
            self.begun.set()


def main(arguments: list[str]) -> None:
    """Start the writers, wait for their end, print what was acknowledged."""
    port, share, name, password, first, count = arguments
    logging.disable(logging.CRITICAL)
    endpoint = Endpoint(int(port), Account(name, password), {})
    writers = [Writer(endpoint, share, number) for number in range(int(first), int(first) + int(count))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.begun.wait()
    print("writing", flush=True)
    for writer in writers:
        writer.join()
    print(json.dumps({file_name(writer.number): writer.acknowledged for writer in writers}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
