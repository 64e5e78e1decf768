"""Keeps what is derived from turns up to date: summaries, thoughts, pruning. Off the hot path."""

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from memkit.background import pruning as prune
from memkit.background import summary as compact
from memkit.background.reflection import PostThinking
from memkit.background.worker import Worker
from memkit.errors import StoreError
from memkit.protocols import Backend, Summariser, WriteBatch
from memkit.records import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What of a memory's behaviour can be chosen.

    Nothing is pruned by default: `evals/LOG.md` has what HEMA's forgetting costs and saves.
    """

    forgetting: prune.Forgetting | None = None
    overviews: bool = True  # the summary of summaries, every 100 turns
    thoughts: bool = True  # False: turns wait in the queue, and nobody thinks about them
    background: bool = True  # False: summaries and thoughts wait for think() or flush()
    thinker_seconds: float = 120  # a thinker that takes longer for a batch has failed


_LOOK_AGAIN_S = 30.0  # at turns that were put off; as long as the first pause


class Keeper:
    """Does what waits for each user, in one background thread or when asked to.

    What is waiting stands in the store, so a crash loses nothing and nothing is done twice.
    """

    def __init__(
        self, store: Backend, summariser: Summariser, post: PostThinking, settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._store, self._summariser, self._post = store, summariser, post
        self._settings, self._clock = settings, clock
        self.summarising = threading.RLock()  # held while a user's summaries change
        self._thinking = threading.RLock()
        self._retrieved = Retrieved()
        self._worker = Worker(self._keep_up, self._note_failure)
        self._finish = weakref.finalize(self, Worker.stop, self._worker)

    def wake(self, user_ids: Iterable[str]) -> None:
        """Have the background look at these users soon, unless that is switched off."""
        if self._settings.background:
            for user_id in user_ids:
                self._worker.wake(user_id)

    def stop(self) -> bool:
        """End the background and write down what is pending; False if it was done before."""
        if self._finish.detach() is None:
            return False
        self._worker.stop()
        for user_id in self._retrieved.users():
            retrieved = self._retrieved.take(user_id)
            self._store.write(Scope(user_id=user_id), WriteBatch(retrieved=retrieved))
        return True

    # ---- now

    def think(self, scope: Scope, *, retry: bool = False) -> list[Exception]:
        """Do all that waits for a user; return what failed, which `doctor` shows too."""
        if retry:
            self._store.write(scope, WriteBatch(unpark=True))
        error = self._worker.attempt(scope.user_id)
        errors = self._think(scope, patient=False)
        return errors if error is None else [error, *errors]

    # ---- in the background

    def _keep_up(self, user_id: str) -> None:
        """Do what waits for a user and is due: summaries first, they are quick."""
        scope = Scope(user_id=user_id)
        try:
            with self.summarising:
                while self._summarise(scope) and not self._worker.stopped:
                    pass
        finally:
            self._think(scope, patient=True)

    def _think(self, scope: Scope, *, patient: bool) -> list[Exception]:
        """Think about the user's waiting turns; return what the thinker failed with."""
        errors: list[Exception] = []
        with self._thinking:
            while self._settings.thoughts and not self._stopped():
                attempt = self._post.step(scope, patient=patient, stopped=self._stopped)
                if attempt is None:
                    if (error := self._post.resolve_conflict(scope, self._stopped)) is not None:
                        self._note_failure(scope.user_id, error)
                        errors.append(error)
                    break
                if attempt.error is not None:
                    errors.append(attempt.error)
        # what was put off may be so by another process, or by one that has ended: look again
        alive = self._settings.thoughts and self._settings.background and not self._stopped()
        if patient and alive and self._store.next_batch(scope, 1):
            self._worker.wake(scope.user_id, after_s=_LOOK_AGAIN_S)
        return errors

    def _stopped(self) -> bool:
        return self._worker.stopped

    def _note_failure(self, user_id: str, error: Exception) -> None:
        """Write down why a user's upkeep stopped, for `doctor` in any process."""
        with suppress(StoreError):  # a store that cannot be written says so to every `remember`
            failure = f"{type(error).__name__}: {error}"
            self._store.write(Scope(user_id=user_id), WriteBatch(failure=failure))

    def _summarise(self, scope: Scope) -> bool:
        """Take the next turns into the Compact Memory, and prune what is due at them."""
        forgetting = self._settings.forgetting
        interval = forgetting.interval if forgetting else compact.OVERVIEW_EVERY
        update = compact.update(
            self._store, scope, self._summariser, self._clock(),
            stop_every=interval, overviews=self._settings.overviews,
        )  # fmt: skip
        if update is None:
            return False
        if retrieved := self._retrieved.take(scope.user_id):
            self._store.write(scope, WriteBatch(retrieved=retrieved))
        due = forgetting is not None and update.through // interval > update.since // interval
        hide = (
            prune.choose(self._store.chunks(scope), update.through, forgetting)
            if forgetting is not None and due
            else []
        )
        self._store.write(scope, WriteBatch(summaries=update.summaries, hide=hide))
        return True

    # ---- what pruning needs to know: which chunks were recalled lately

    def note_retrieved(self, scope: Scope, chunk_ids: Sequence[str]) -> None:
        """Remember that these chunks were recalled, until it is written down with the next turn."""
        if self._settings.forgetting is None or not chunk_ids:
            return
        now = self._retrieved.at.get(scope.user_id)
        if now is None:
            ages = self._store.chunks(Scope(user_id=scope.user_id))
            now = max((age.position for age in ages), default=0)
            self._retrieved.at[scope.user_id] = now
        self._retrieved.note(scope.user_id, dict.fromkeys(chunk_ids, now))

    def take_retrieved(self, user_id: str) -> dict[str, int]:
        """Return what was recalled and is not written down yet, to be written down now."""
        return self._retrieved.take(user_id)

    def note_count(self, user_id: str, turns: int) -> None:
        """Remember how many turns a user has."""
        self._retrieved.at[user_id] = turns


class Retrieved:
    """Which chunks were recalled, and at which of the user's turns; shared between threads."""

    def __init__(self) -> None:
        self.at: dict[str, int] = {}  # how many turns each user has
        self._chunks: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()

    def users(self) -> list[str]:
        """Return whose chunks were recalled."""
        with self._lock:
            return list(self._chunks)

    def note(self, user_id: str, chunks: dict[str, int]) -> None:
        """Add chunks and when they were recalled."""
        with self._lock:
            self._chunks.setdefault(user_id, {}).update(chunks)

    def take(self, user_id: str) -> dict[str, int]:
        """Return what was noted, and forget it."""
        with self._lock:
            return self._chunks.pop(user_id, {})
