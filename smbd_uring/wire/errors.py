"""What can be wrong with bytes from a peer.

Knows: the two ways in which decoding fails.  Must not know: what is done about it.
"""


class MalformedMessage(Exception):  # noqa: N818 - names the condition
    """The body of one request does not decode; that request is answered INVALID_PARAMETER."""


class ProtocolViolation(Exception):  # noqa: N818 - names the condition
    """The peer broke the protocol in a way that ends the connection; the text says what it did."""
