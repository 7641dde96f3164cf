"""smbd-uring: an SMB3 file server for Linux on io_uring.

This package is imported by every process of the project, the companion included, so it stays empty of imports.
"""

__version__ = "0.1.0"
