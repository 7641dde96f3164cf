"""Bytes to values and back: SMB2 messages and the structures inside them.  Nothing here has state or does I/O."""
