"""The two ways in which bytes from a peer can be wrong.

Knows: how severe a defect is.  Must not know: who answers it, and how.
"""


class MalformedMessage(Exception):  # noqa: N818 - what the peer sent, not a fault of this program
    """The body of a message does not decode.  The request is answered STATUS_INVALID_PARAMETER."""


class ProtocolViolation(Exception):  # noqa: N818 - what the peer did, not a fault of this program
    """The peer broke a rule after which nothing it sends can be trusted: the connection ends.

    The message says which rule, for the log.
    """
