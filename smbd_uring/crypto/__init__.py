"""Keys, signatures, sealing and logons: bytes in, bytes out.

Knows: `cryptography`, hashlib, hmac, the numbers of `wire.const`, and `_native` for what every message needs.
Must not know: sockets, clocks, entropy (random bytes come in as arguments), accounts, sessions.
"""
