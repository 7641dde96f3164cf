"""The SMB2/3 engine: every session, tree, open and command, sans-I/O.

Its inputs are bytes, completions, the time and entropy; its outputs are effects and replies (`smbd_uring.ports`).
"""

from smbd_uring.engine.engine import Engine

__all__ = ["Engine"]
