"""One thread that does what may wait: summaries and pruning, off the hot path."""

import threading
from collections.abc import Callable


class Worker:
    """Runs `job(user_id)` in the background, each user at most once at a time.

    What is waiting is not kept here but follows from the store, so a crash loses nothing.
    """

    def __init__(self, job: Callable[[str], object]) -> None:
        self._job = job
        self._waiting: dict[str, None] = {}  # an ordered set
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.failure: str | None = None  # the last one; also kept in the store, for `doctor`

    def wake(self, user_id: str) -> None:
        """Ask for the job to be done for this user soon; returns at once."""
        with self._changed:
            if self._stopped:
                return
            self._waiting[user_id] = None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="memkit", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def stop(self) -> None:
        """Finish the job at hand, drop the others and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._waiting)
                if self._stopped:
                    return
                user_id = next(iter(self._waiting))
                del self._waiting[user_id]
            try:
                self._job(user_id)
            except Exception as error:  # noqa: BLE001 - the one outermost loop; recorded and shown
                self.failure = f"{type(error).__name__}: {error}"
