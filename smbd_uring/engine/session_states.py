"""The life of a session as a table.

Knows: the states of [MS-SMB2] 3.3.1.8 and what moves between them.  Must not know: anything else.

IN_PROGRESS: SESSION_SETUP exchanges are under way; the only command allowed is SESSION_SETUP.
VALID:       authenticated; every command is allowed.
EXPIRED:     the logon ran out; only SESSION_SETUP (to authenticate again), LOGOFF, CLOSE, unlocking, ECHO and CANCEL
             are allowed ([MS-SMB2] 3.3.5.2.9).
CLOSED:      the session is being taken apart or is gone; requests are answered USER_SESSION_DELETED.

A failed authentication closes the session in every state: [MS-SMB2] 3.3.5.5.3 removes it even when it was valid
before.  A failed bind is none of its events: it costs the connection that tried, not the session.  The session has one
state, whichever channels it has; losing a channel is CLOSE when it was the last.  A pair that is not in the table
cannot happen; asking for it is our bug.
"""

from enum import Enum, auto


class SessionState(Enum):
    """Where a session is in its life."""

    IN_PROGRESS = auto()
    VALID = auto()
    EXPIRED = auto()
    CLOSED = auto()


class SessionEvent(Enum):
    """What can happen to a session."""

    AUTHENTICATED = auto()
    FAILED = auto()
    EXPIRE = auto()
    CLOSE = auto()


TRANSITIONS: dict[tuple[SessionState, SessionEvent], SessionState] = {
    (SessionState.IN_PROGRESS, SessionEvent.AUTHENTICATED): SessionState.VALID,
    (SessionState.IN_PROGRESS, SessionEvent.FAILED): SessionState.CLOSED,
    (SessionState.IN_PROGRESS, SessionEvent.CLOSE): SessionState.CLOSED,
    (SessionState.VALID, SessionEvent.AUTHENTICATED): SessionState.VALID,
    (SessionState.VALID, SessionEvent.FAILED): SessionState.CLOSED,
    (SessionState.VALID, SessionEvent.EXPIRE): SessionState.EXPIRED,
    (SessionState.VALID, SessionEvent.CLOSE): SessionState.CLOSED,
    (SessionState.EXPIRED, SessionEvent.AUTHENTICATED): SessionState.VALID,
    (SessionState.EXPIRED, SessionEvent.FAILED): SessionState.CLOSED,
    (SessionState.EXPIRED, SessionEvent.CLOSE): SessionState.CLOSED,
    (SessionState.CLOSED, SessionEvent.CLOSE): SessionState.CLOSED,
    (SessionState.CLOSED, SessionEvent.FAILED): SessionState.CLOSED,
}


def next_state(state: SessionState, event: SessionEvent) -> SessionState:
    """The state after `event`.  AssertionError for a pair that the table does not have."""
    following = TRANSITIONS.get((state, event))
    assert following is not None, f"session: {event.name} in state {state.name}"
    return following
