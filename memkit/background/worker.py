"""Threads: one that does what may wait, off the hot path, and some that may be left behind."""

import threading
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

from memkit.errors import ModelError

_T = TypeVar("_T")
_TICK_S = 0.1  # between two looks at whether to go on


class Worker:
    """Runs `job(user_id)` in the background, each user at most once at a time.

    What is waiting is not kept here but in the store, so a crash loses nothing. The methods are
    held weakly: a memory that is dropped without close() can go.

    Args:
        job: what to do for a user.
        failed: is told when the job failed, and writes it down.
    """

    def __init__(
        self, job: Callable[[str], None], failed: Callable[[str, Exception], None]
    ) -> None:
        self._job, self._failed = weakref.WeakMethod(job), weakref.WeakMethod(failed)
        self._due: dict[str, float] = {}  # when to look at a user, on the monotonic clock
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.stopped = False

    def wake(self, user_id: str, *, after_s: float = 0) -> None:
        """Ask for the job to be done for this user soon; returns at once."""
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
        """Finish the job at hand, drop the others and end the thread."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def attempt(self, user_id: str) -> Exception | None:
        """Do the job now, in this thread; write down and return what it failed with."""
        job, failed = self._job(), self._failed()
        if job is None or failed is None:
            return None
        try:
            job(user_id)
        except Exception as error:  # noqa: BLE001 - a summariser may raise anything; it is shown
            failed(user_id, error)
            return error
        return None

    def _run(self) -> None:
        while (user_id := self._next()) is not None:
            self.attempt(user_id)

    def _next(self) -> str | None:
        """Wait until a user is due; None: it is over."""
        with self._changed:
            while not self.stopped:
                user_id = min(self._due, key=self._due.__getitem__, default=None)
                left = None if user_id is None else self._due[user_id] - time.monotonic()
                if user_id is not None and left is not None and left <= 0:
                    del self._due[user_id]
                    return user_id
                self._changed.wait(left)
            return None


def caught(call: Callable[[], _T]) -> _T | Exception:
    """Return what `call` returns or raises."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001 - anybody's code may raise anything; it is shown
        return error


def within(
    seconds: float, call: Callable[[], _T], stopped: Callable[[], bool]
) -> _T | Exception | None:
    """Return what `call` returns or raises; a model that hangs is left behind in its thread.

    Args:
        seconds: after so long a `ModelError` is returned.
        call: anybody's code.
        stopped: asked now and then; if it says so, None is returned.
    """
    done = threading.Event()
    outcome: list[_T | Exception] = []

    def run() -> None:
        outcome.append(caught(call))
        done.set()

    threading.Thread(target=run, name="memkit call", daemon=True).start()
    until = time.monotonic() + seconds
    while not done.wait(_TICK_S):
        if stopped():
            return None
        if time.monotonic() > until:
            return ModelError(f"no answer within {seconds:g} s; the call was left behind")
    return outcome[0]
