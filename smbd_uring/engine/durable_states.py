"""The life of a handle as a table: what becomes of an open when its connection goes, comes back, or does not.

Knows: [MS-SMB2] 3.3.5.9.6 to .12, 3.3.5.15.9, 3.3.6.2, 3.3.6.4, 3.3.7.1.  Must not know: anything else.

A client that lost its connection asks for its handles again.  Which of them are still there depends on what it was
promised when it opened them:

PLAIN:            nothing; the handle goes with its session.
DURABLE:          kept for a while, as long as nobody else wants the file.  Others find out by what they would have to
                  break: a batch oplock, or a lease with HANDLE caching.  Without either the client could not be asked
                  to give way, so the promise is only kept while it holds one.
RESILIENT:        kept for a while whatever it holds; the client asked by FSCTL_LMR_REQUEST_RESILIENCY.
PERSISTENT:       kept for a while whatever it holds, across a restart of the server, and nobody else gets in between.
*_AWAY:           the same, with no connection: no session, no tree, and a timer that runs.
CLOSED:           gone, or being closed.

Events:

PROMISE_DURABLE, PROMISE_RESILIENT, PROMISE_PERSISTENT: the client asked for it and gets it.
LOST_HOLDING:     the session ended without an explicit close of the handle (connection lost, LOGOFF, the client logged
                  on again and named this session as its previous one), and the handle has what makes durability real.
LOST_BARE:        the same, without a batch oplock or HANDLE caching.
RECONNECT:        its owner came back for it.
CONFLICT:         somebody else opens, renames or deletes what the handle's caching would have to be broken for.
EXPIRE:           nobody came back in time, or room is needed for others that are away.
RESTORE:          the server has started again and found it in its journal.
CLOSE:            CLOSE, TREE_DISCONNECT, an administrator, the same application elsewhere, the end of the server.

A pair that is not in the table cannot happen; asking for it is our bug.
"""

from enum import Enum, auto


class DurableState(Enum):
    """What a handle was promised, and whether its client is there."""

    PLAIN = auto()
    DURABLE = auto()
    RESILIENT = auto()
    PERSISTENT = auto()
    DURABLE_AWAY = auto()
    RESILIENT_AWAY = auto()
    PERSISTENT_AWAY = auto()
    CLOSED = auto()

    @property
    def is_away(self) -> bool:
        """Whether it waits for its client."""
        return self in _AWAY


class DurableEvent(Enum):
    """What can happen to a handle."""

    PROMISE_DURABLE = auto()
    PROMISE_RESILIENT = auto()
    PROMISE_PERSISTENT = auto()
    LOST_HOLDING = auto()
    LOST_BARE = auto()
    RECONNECT = auto()
    CONFLICT = auto()
    EXPIRE = auto()
    RESTORE = auto()
    CLOSE = auto()


_PLAIN, _CLOSED = DurableState.PLAIN, DurableState.CLOSED
_DURABLE, _DURABLE_AWAY = DurableState.DURABLE, DurableState.DURABLE_AWAY
_RESILIENT, _RESILIENT_AWAY = DurableState.RESILIENT, DurableState.RESILIENT_AWAY
_PERSISTENT, _PERSISTENT_AWAY = DurableState.PERSISTENT, DurableState.PERSISTENT_AWAY
_AWAY = (_DURABLE_AWAY, _RESILIENT_AWAY, _PERSISTENT_AWAY)

TRANSITIONS: dict[tuple[DurableState, DurableEvent], DurableState] = {
    (_PLAIN, DurableEvent.PROMISE_DURABLE): _DURABLE,
    (_PLAIN, DurableEvent.PROMISE_RESILIENT): _RESILIENT,
    (_PLAIN, DurableEvent.PROMISE_PERSISTENT): _PERSISTENT,
    (_PLAIN, DurableEvent.RESTORE): _PERSISTENT_AWAY,
    (_PLAIN, DurableEvent.LOST_HOLDING): _CLOSED,
    (_PLAIN, DurableEvent.LOST_BARE): _CLOSED,
    (_PLAIN, DurableEvent.CLOSE): _CLOSED,
    # 3.3.5.15.9: resilience takes the place of durability
    (_DURABLE, DurableEvent.PROMISE_RESILIENT): _RESILIENT,
    (_DURABLE, DurableEvent.LOST_HOLDING): _DURABLE_AWAY,
    (_DURABLE, DurableEvent.LOST_BARE): _CLOSED,
    (_DURABLE, DurableEvent.CLOSE): _CLOSED,
    # asked for again: the timeout changes
    (_RESILIENT, DurableEvent.PROMISE_RESILIENT): _RESILIENT,
    (_RESILIENT, DurableEvent.LOST_HOLDING): _RESILIENT_AWAY,
    (_RESILIENT, DurableEvent.LOST_BARE): _RESILIENT_AWAY,
    (_RESILIENT, DurableEvent.CLOSE): _CLOSED,
    # more than resilient already
    (_PERSISTENT, DurableEvent.PROMISE_RESILIENT): _PERSISTENT,
    (_PERSISTENT, DurableEvent.LOST_HOLDING): _PERSISTENT_AWAY,
    (_PERSISTENT, DurableEvent.LOST_BARE): _PERSISTENT_AWAY,
    (_PERSISTENT, DurableEvent.CLOSE): _CLOSED,
    (_DURABLE_AWAY, DurableEvent.RECONNECT): _DURABLE,
    (_DURABLE_AWAY, DurableEvent.CONFLICT): _CLOSED,
    (_DURABLE_AWAY, DurableEvent.EXPIRE): _CLOSED,
    (_DURABLE_AWAY, DurableEvent.CLOSE): _CLOSED,
    # 3.3.4.6, 3.3.4.7: it loses its caching and stays
    (_RESILIENT_AWAY, DurableEvent.RECONNECT): _RESILIENT,
    (_RESILIENT_AWAY, DurableEvent.CONFLICT): _RESILIENT_AWAY,
    (_RESILIENT_AWAY, DurableEvent.EXPIRE): _CLOSED,
    (_RESILIENT_AWAY, DurableEvent.CLOSE): _CLOSED,
    # 3.3.5.9: the other is told FILE_NOT_AVAILABLE
    (_PERSISTENT_AWAY, DurableEvent.RECONNECT): _PERSISTENT,
    (_PERSISTENT_AWAY, DurableEvent.CONFLICT): _PERSISTENT_AWAY,
    (_PERSISTENT_AWAY, DurableEvent.EXPIRE): _CLOSED,
    (_PERSISTENT_AWAY, DurableEvent.CLOSE): _CLOSED,
    # whoever comes second finds it closing
    (_CLOSED, DurableEvent.LOST_HOLDING): _CLOSED,
    (_CLOSED, DurableEvent.LOST_BARE): _CLOSED,
    (_CLOSED, DurableEvent.CONFLICT): _CLOSED,
    (_CLOSED, DurableEvent.EXPIRE): _CLOSED,
    (_CLOSED, DurableEvent.CLOSE): _CLOSED,
}


def next_state(state: DurableState, event: DurableEvent) -> DurableState:
    """The state after `event`.  AssertionError for a pair that the table does not have."""
    following = TRANSITIONS.get((state, event))
    assert following is not None, f"handle: {event.name} in state {state.name}"
    return following
