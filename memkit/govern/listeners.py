"""Objects that have copies of a user's words, such as open chats, and are told of deletions."""

import threading
import weakref

from memkit.protocols import ForgetListener
from memkit.records import Turn


class Listeners:
    """The listeners of one memory, for as long as they live."""

    def __init__(self) -> None:
        self._listeners: weakref.WeakSet[ForgetListener] = weakref.WeakSet()
        self._lock = threading.Lock()

    def add(self, listener: ForgetListener) -> None:
        """Tell an object about every deletion."""
        with self._lock:
            self._listeners.add(listener)

    def notify(self, user_id: str, *, everything: bool = False) -> None:
        """Say that turns of a user were deleted."""
        for listener in self._living():
            listener.on_forget(user_id, everything=everything)

    def notify_update(self, user_id: str, turn: Turn) -> None:
        """Say that a turn of a user has other words now."""
        for listener in self._living():
            listener.on_update(user_id, turn)

    def _living(self) -> list[ForgetListener]:
        with self._lock:
            return list(self._listeners)
