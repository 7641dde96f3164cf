"""Bytes to values and values to bytes: SMB2 frames, headers, messages and the structures inside them.

Knows: layouts of [MS-SMB2] and [MS-FSCC].  Must not know: connections, sessions, keys, files, clocks.
"""
