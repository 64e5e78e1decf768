"""Objects that have copies of a user's words, such as open chats, and are told of deletions."""

import threading
import weakref

from memkit.protocols import ForgetListener


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
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.on_forget(user_id, everything=everything)
