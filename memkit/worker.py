"""One thread that does what may wait: summaries and pruning, off the hot path."""

import threading
import weakref
from collections.abc import Callable


class Worker:
    """Runs `job(user_id)` in the background, each user at most once at a time.

    What is waiting is not kept here but follows from the store, so a crash loses nothing. The
    methods are held weakly: a memory that is dropped without close() can go.

    Args:
        job: what to do for a user.
        failed: is told when the job failed, and writes it down.
    """

    def __init__(
        self, job: Callable[[str], None], failed: Callable[[str, Exception], None]
    ) -> None:
        self._job, self._failed = weakref.WeakMethod(job), weakref.WeakMethod(failed)
        self._waiting: dict[str, None] = {}  # an ordered set
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.stopped = False

    def wake(self, user_id: str) -> None:
        """Ask for the job to be done for this user soon; returns at once."""
        with self._changed:
            if self.stopped:
                return
            self._waiting[user_id] = None
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
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self.stopped or self._waiting)
                if self.stopped:
                    return
                user_id = next(iter(self._waiting))
                del self._waiting[user_id]
            self.attempt(user_id)
