"""Threads for work off the hot path: one background worker, and calls with a time limit."""

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

from memkit.errors import ModelError

_T = TypeVar("_T")
_POLL_S = 0.1  # seconds between two checks of `is_stopped`
_LAST_WAIT_S = 30.0  # for calls that still run when the interpreter ends


class Worker:
    """Runs the bound method `job(user_id)` in one background thread, one user at a time.

    The store holds the work that waits, so a crash loses nothing. Both methods are weakly
    referenced: a memory that is dropped without close() can be collected.
    """

    def __init__(
        self, job: Callable[[str], None], report_failure: Callable[[str, Exception], None]
    ) -> None:
        self._job = weakref.WeakMethod(job)
        self._report_failure = weakref.WeakMethod(report_failure)
        self._due: dict[str, float] = {}  # when to run the job of a user, on the monotonic clock
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.stopped = False
        _workers.add(self)

    def wake(self, user_id: str, *, after_s: float = 0) -> None:
        """Schedule the job for this user; returns at once."""
        due = time.monotonic() + after_s
        with self._changed:
            if self.stopped:
                return
            self._due[user_id] = min(due, self._due.get(user_id, due))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memkit", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def stop(self) -> None:
        """Finish the current job, drop the scheduled ones and end the thread."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def attempt(self, user_id: str) -> Exception | None:
        """Run the job now, in this thread; record and return its error."""
        job, report_failure = self._job(), self._report_failure()
        if job is None or report_failure is None:
            return None
        try:
            job(user_id)
        except Exception as error:  # noqa: BLE001 - a summariser may raise anything; it is reported
            report_failure(user_id, error)
            return error
        return None

    def _run(self) -> None:
        while (user_id := self._next()) is not None:
            self.attempt(user_id)

    def _next(self) -> str | None:
        """Wait until a user is due; None means that the worker has stopped."""
        with self._changed:
            while not self.stopped:
                user_id = min(self._due, key=self._due.__getitem__, default=None)
                left = None if user_id is None else self._due[user_id] - time.monotonic()
                if user_id is not None and left is not None and left <= 0:
                    del self._due[user_id]
                    return user_id
                self._changed.wait(left)
            return None


def result_or_error(call: Callable[[], _T]) -> _T | Exception:
    """Return the result of `call`, or the exception that it raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - a caller's model may raise anything; it is reported
        return error


def run_with_timeout(
    seconds: float, call: Callable[[], _T], is_stopped: Callable[[], bool]
) -> _T | Exception | None:
    """Return the result of `call`, its exception, a `ModelError` after `seconds`, None if stopped.

    A call that hangs cannot be ended; it is abandoned in its daemon thread.
    """
    done = threading.Event()
    outcome: list[_T | Exception] = []

    def run() -> None:
        outcome.append(result_or_error(call))
        done.set()

    thread = threading.Thread(target=run, name="memkit call", daemon=True)
    _calls.add(thread)
    thread.start()
    deadline = time.monotonic() + seconds
    while not done.wait(_POLL_S):
        if is_stopped():
            return None
        if time.monotonic() > deadline:
            return ModelError(f"no answer within {seconds:g} s; the call was abandoned")
    return outcome[0]


_workers: "weakref.WeakSet[Worker]" = weakref.WeakSet()
_calls: "weakref.WeakSet[threading.Thread]" = weakref.WeakSet()


@atexit.register
def _finish() -> None:
    """Stop all workers before the interpreter ends, and let their last calls return.

    Until Python 3.13 a daemon thread that is inside PyTorch (2.13.0) when the interpreter ends
    takes the process with it: "terminate called without an active exception", exit status 134.
    """
    for worker in list(_workers):
        worker.stop()
    deadline = time.monotonic() + _LAST_WAIT_S
    for thread in list(_calls):
        thread.join(max(0.0, deadline - time.monotonic()))
