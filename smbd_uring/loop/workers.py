"""Threads that perform file effects by system calls, each with an identity of its own.

Knows: threads, `syscalls.perform`.  Must not know: the loop beyond one function that wakes it.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from smbd_uring.loop.identity import IdentityLost, ThreadIdentity
from smbd_uring.loop.syscalls import perform
from smbd_uring.ports import Effect

Answer = tuple[object, Any, BaseException | None]
"""(token, result, error): what `engine.completed` takes."""

_log = logging.getLogger("smbd.loop")

JOIN_TIMEOUT_S = 5.0
"""A thread that waits for a dead disk or server cannot be ended; it is left behind, the process may still
exit."""


class WorkerPool:
    """`count` threads, started with the first effect.  All methods are for the loop's thread."""

    def __init__(self, count: int, wake: Callable[[], None]) -> None:
        """`wake` is called from worker threads after each effect; it must be thread-safe and cheap."""
        assert count > 0
        self._count = count
        self._wake = wake
        self._waiting: SimpleQueue[tuple[object, Effect[Any]] | None] = SimpleQueue()
        self._done: deque[Answer] = deque()
        self._threads: list[threading.Thread] = []
        self.in_flight = 0
        """Effects submitted and not yet taken back."""

    def submit(self, token: object, effect: Effect[Any]) -> None:
        """Perform `effect` in some thread; effects submitted one after the other may run side by side."""
        while len(self._threads) < self._count:
            self._start()
        self.in_flight += 1
        self._waiting.put((token, effect))

    def take_completed(self) -> list[Answer]:
        """What was performed since the last call, in the order it finished."""
        answers: list[Answer] = []
        while self._done:
            answers.append(self._done.popleft())
        self.in_flight -= len(answers)
        return answers

    def close(self) -> None:
        """End the threads once the effects submitted before are done; waits JOIN_TIMEOUT_S a thread at
        most."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join(JOIN_TIMEOUT_S)
        self._threads.clear()

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name=f"smbd-worker-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        identity = ThreadIdentity()
        while (job := self._waiting.get()) is not None:
            token, effect = job
            result: Any = None
            error: BaseException | None = None
            try:
                result = perform(effect, identity)
            except IdentityLost as lost:
                _log.critical("a worker thread ends: %s", lost)
                self._answer(token, None, OSError(errno.EIO, str(lost)))
                self._threads.remove(threading.current_thread())
                return
            except Exception as failure:
                error = failure
            self._answer(token, result, error)
            # The next wait may be long: hold no buffers meanwhile.
            del job, token, effect, result, error

    def _answer(self, token: object, result: Any, error: BaseException | None) -> None:
        self._done.append((token, result, error))
        self._wake()
