"""Files below a share's root: names, modes and DOS attributes, on top of what the kernel offers.

Knows: the effects and protocols of `ports`, and errno, open flags and mode bits.  Must not know: SMB messages,
statuses, sessions, how effects are performed.
"""

from smbd_uring.filesystem.posix import PosixFilesystem

__all__ = ["PosixFilesystem"]
