"""How a measurement fails: one exception whose message is meant for the person at the terminal.

Knows: nothing.  Must not know: who raises it.
"""


class MeasurementError(Exception):
    """The measurement cannot be made or went wrong; the message says why and what to do."""
