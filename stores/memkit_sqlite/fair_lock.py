"""A lock that serves threads in the order in which they came."""

import threading
from collections import deque


class FairLock:
    """A reentrant lock for `with`; the thread that has waited longest gets it next.

    Python's own locks go to any thread, often to the one that has just released it. With many
    threads on one memory some operations would wait for minutes.
    """

    def __init__(self) -> None:
        self._guard = (
            threading.Lock()
        )  # of all fields; held for no longer than it takes to set them
        self._owner, self._depth = 0, 0  # the thread that has the lock, and how many times
        self._queue: deque[tuple[int, threading.Lock]] = deque()  # waiting threads and their gates

    def __enter__(self) -> None:
        thread = threading.get_ident()
        with self._guard:
            if self._owner in (0, thread):
                self._owner, self._depth = thread, self._depth + 1
                return
            gate = threading.Lock()
            gate.acquire()
            self._queue.append((thread, gate))
        try:
            gate.acquire()  # opened by the thread that hands the lock over
        except BaseException:  # KeyboardInterrupt: leave the queue, or pass on what was handed over
            with self._guard:
                was_queued = (thread, gate) in self._queue
                if was_queued:
                    self._queue.remove((thread, gate))
            if not was_queued:
                self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self._depth -= 1
            if self._depth:
                return
            self._owner = 0
            if self._queue:
                self._owner, gate = self._queue.popleft()
                self._depth = 1
                gate.release()
