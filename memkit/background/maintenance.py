"""Maintenance of derived data, off the hot path: summaries, thoughts and pruning."""

import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from memkit.background.pruning import Forgetting, select_prunable
from memkit.background.reflection import PostThinking
from memkit.background.summary import OVERVIEW_EVERY, summarise_next_turns
from memkit.background.worker import Worker
from memkit.errors import StoreError
from memkit.protocols import Backend, Summariser, WriteBatch
from memkit.records import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a memory's background work.

    Nothing is pruned by default: `evals/LOG.md` has the costs and savings of HEMA's forgetting.
    """

    forgetting: Forgetting | None = None
    overviews: bool = True  # write the summary of summaries, every 100 turns
    thoughts: bool = True  # False: turns stay in the queue and become no thoughts
    background: bool = True  # False: summaries and thoughts wait for think() or flush()
    thinker_seconds: float = 120  # time limit of a thinker for one batch


_RECHECK_S = 30.0  # seconds until postponed turns are checked again; as long as the first pause


class Maintenance:
    """Brings each user's derived data up to date, in one background thread or on request.

    The store holds the queue, so a crash loses no work and repeats none.
    """

    def __init__(
        self, store: Backend, summariser: Summariser, reflection: PostThinking, settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._store, self._summariser, self._reflection = store, summariser, reflection
        self._settings, self._clock = settings, clock
        self.summary_lock = threading.RLock()  # held while a user's summaries change
        self._thought_lock = threading.RLock()
        self._retrievals = RetrievalLog()
        self._worker = Worker(self._run_due, self._record_failure)
        # stops the worker when a memory is garbage-collected without close()
        self._finalizer = weakref.finalize(self, Worker.stop, self._worker)

    def wake(self, user_ids: Iterable[str]) -> None:
        """Schedule background work for these users, unless it is switched off."""
        if self._settings.background:
            for user_id in user_ids:
                self._worker.wake(user_id)

    def stop(self) -> bool:
        """End the background thread and write pending retrievals; False if it ended before."""
        if self._finalizer.detach() is None:
            return False
        self._worker.stop()
        for user_id in self._retrievals.users():
            retrieved = self._retrievals.take(user_id)
            self._store.write(Scope(user_id=user_id), WriteBatch(retrieved=retrieved))
        return True

    # ---- on request

    def think(self, scope: Scope, *, retry: bool = False) -> list[Exception]:
        """Do all of a user's waiting work now; return the errors, which `doctor` shows too."""
        if retry:
            self._store.write(scope, WriteBatch(unpark=True))
        error = self._worker.attempt(scope.user_id)
        errors = self._reflect(scope, patient=False)
        return errors if error is None else [error, *errors]

    # ---- in the background

    def _run_due(self, user_id: str) -> None:
        """Do a user's due work: summaries first, because they are quick."""
        scope = Scope(user_id=user_id)
        try:
            with self.summary_lock:
                while self._summarise(scope) and not self._worker.stopped:
                    pass
        finally:
            self._reflect(scope, patient=True)

    def _reflect(self, scope: Scope, *, patient: bool) -> list[Exception]:
        """Turn the user's queued turns into thoughts; return the errors of thinker and judge.

        Args:
            scope: the user.
            patient: leave turns that failed before until their pause is over.
        """
        errors: list[Exception] = []
        with self._thought_lock:
            while self._settings.thoughts and not self._is_stopped():
                attempt = self._reflection.step(scope, patient=patient, stopped=self._is_stopped)
                if attempt is None:
                    error = self._reflection.resolve_conflicts(scope, self._is_stopped)
                    if error is not None:
                        self._record_failure(scope.user_id, error)
                        errors.append(error)
                    break
                if attempt.error is not None:
                    errors.append(attempt.error)
        # another process may have postponed turns, even one that has ended: check again later
        active = self._settings.thoughts and self._settings.background and not self._is_stopped()
        if patient and active and self._store.next_batch(scope, 1):
            self._worker.wake(scope.user_id, after_s=_RECHECK_S)
        return errors

    def _is_stopped(self) -> bool:
        return self._worker.stopped

    def _record_failure(self, user_id: str, error: Exception) -> None:
        """Store why a user's maintenance stopped, for `doctor` in any process."""
        with suppress(StoreError):  # a store that cannot be written fails every `remember` as well
            failure = f"{type(error).__name__}: {error}"
            self._store.write(Scope(user_id=user_id), WriteBatch(failure=failure))

    def _summarise(self, scope: Scope) -> bool:
        """Summarise the next turns and prune if it is due then; False if no turn waits."""
        forgetting = self._settings.forgetting
        interval = forgetting.interval if forgetting else OVERVIEW_EVERY
        update = summarise_next_turns(
            self._store, scope, self._summariser, self._clock(),
            stop_every=interval, overviews=self._settings.overviews,
        )  # fmt: skip
        if update is None:
            return False
        if retrieved := self._retrievals.take(scope.user_id):
            self._store.write(scope, WriteBatch(retrieved=retrieved))
        hide: list[str] = []
        if forgetting is not None and update.through // interval > update.since // interval:
            hide = select_prunable(self._store.chunks(scope), update.through, forgetting)
        self._store.write(scope, WriteBatch(summaries=update.summaries, hide=hide))
        return True

    # ---- retrievals, which pruning takes into account

    def record_retrieval(self, scope: Scope, chunk_ids: Sequence[str]) -> None:
        """Note that these chunks were recalled; the next write stores it."""
        if self._settings.forgetting is None or not chunk_ids:
            return
        now = self._retrievals.turn_counts.get(scope.user_id)
        if now is None:
            chunks = self._store.chunks(Scope(user_id=scope.user_id))
            now = max((chunk.position for chunk in chunks), default=0)
            self._retrievals.turn_counts[scope.user_id] = now
        self._retrievals.add(scope.user_id, dict.fromkeys(chunk_ids, now))

    def take_retrievals(self, user_id: str) -> dict[str, int]:
        """Return the retrievals that are not stored yet, for the caller to store."""
        return self._retrievals.take(user_id)

    def set_turn_count(self, user_id: str, turns: int) -> None:
        """Note how many turns a user has."""
        self._retrievals.turn_counts[user_id] = turns


class RetrievalLog:
    """Which chunks were recalled, and at which of the user's turns; shared between threads."""

    def __init__(self) -> None:
        self.turn_counts: dict[str, int] = {}  # of each user
        self._chunks: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()

    def users(self) -> list[str]:
        """Return the users with retrievals."""
        with self._lock:
            return list(self._chunks)

    def add(self, user_id: str, chunks: dict[str, int]) -> None:
        """Add chunk ids with the turn count at their retrieval."""
        with self._lock:
            self._chunks.setdefault(user_id, {}).update(chunks)

    def take(self, user_id: str) -> dict[str, int]:
        """Remove and return a user's retrievals."""
        with self._lock:
            return self._chunks.pop(user_id, {})
