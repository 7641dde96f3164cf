"""Keys, signatures, sealing and logons: bytes in, bytes out.

Knows: `cryptography`, hashlib, hmac, and the numbers of `wire.const`.  Must not know: sockets, clocks,
entropy (random bytes come in as arguments), accounts, sessions.
"""
