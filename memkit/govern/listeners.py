"""Who is told of changes: open chats, which have copies of words, and the caller's callbacks."""

import logging
import threading
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from memkit.errors import InvalidInput
from memkit.protocols import ForgetListener
from memkit.records import Hit, Turn

Happening = Literal["remembered", "updated", "recalled", "believed", "doubted", "forgotten"]

_LOG = logging.getLogger("memkit.listeners")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What has happened in a memory. It has ids only; the memory has the words."""

    happening: Happening
    user_id: str
    turn_ids: tuple[str, ...] = ()
    thought_ids: tuple[str, ...] = ()


Callback = Callable[[Notice], object]


class Listeners:
    """The listeners of one memory: objects for as long as they live, callbacks until they leave."""

    def __init__(self) -> None:
        self._listeners: weakref.WeakSet[ForgetListener] = weakref.WeakSet()
        self._callbacks: dict[str, list[Callback]] = {name: [] for name in get_args(Happening)}
        self._lock = threading.Lock()
        self.failed = 0  # calls of callbacks that raised

    def add(self, listener: ForgetListener) -> None:
        """Tell an object about every deletion and every update of a turn's words."""
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

    # ---- callbacks

    def on(self, happening: Happening, callback: Callback) -> Callable[[], None]:
        """Call `callback` whenever this has happened; return what ends that.

        Raises InvalidInput if there is no such happening.
        """
        if happening not in self._callbacks:
            raise InvalidInput(
                f"nothing is called {happening!r}; there are {', '.join(self._callbacks)}"
            )

        def leave() -> None:
            with self._lock:
                self._callbacks[happening] = [
                    listener for listener in self._callbacks[happening] if listener is not entry
                ]

        def entry(notice: Notice) -> None:
            callback(notice)

        with self._lock:
            self._callbacks[happening] = [*self._callbacks[happening], entry]
        return leave

    def has(self, *happenings: Happening) -> bool:
        """Return whether anybody listens to any of these."""
        return any(self._callbacks[happening] for happening in happenings)

    def tell(
        self, happening: Happening, user_id: str, turn_ids: Iterable[str],
        thought_ids: Iterable[str] = (),
    ) -> None:  # fmt: skip
        """Call all callbacks, unless nothing happened. A failure of one is logged and counted."""
        notice = Notice(
            happening=happening, user_id=user_id, turn_ids=tuple(dict.fromkeys(turn_ids)),
            thought_ids=tuple(thought_ids),
        )  # fmt: skip
        for callback in self._callbacks[happening] if notice.turn_ids else ():
            try:
                callback(notice)
            except Exception:  # noqa: BLE001 - a callback may raise anything; it is reported
                with self._lock:
                    self.failed += 1
                _LOG.exception("a callback for %r failed; the memory goes on", happening)

    def tell_recalled(self, user_id: str, hits: Iterable[Hit]) -> None:
        """Tell callbacks which turns, or thoughts with their sources, were recalled."""
        hits = list(hits)
        turn_ids = (id for hit in hits for id in hit.turn_ids)
        thought_ids = (hit.thought_id for hit in hits if hit.thought_id is not None)
        self.tell("recalled", user_id, turn_ids, thought_ids)
