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
    """Brings each user's derived data up to date, in one background thread or on request."""

    def __init__(
        self, store: Backend, summariser: Summariser, reflection: PostThinking, settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._store, self._summariser, self._reflection = store, summariser, reflection
        self._settings, self._clock = settings, clock
        self.summary_lock = threading.RLock()  # held while a user's summaries change
        self._thought_lock = threading.RLock()
        # of each user: the turn count, and the recalled chunks with the turn count at the time
        self._turn_counts: dict[str, int] = {}
        self._retrievals: dict[str, dict[str, int]] = {}
        self._retrieval_lock = threading.Lock()
        self._worker = Worker(self._run_due, self._record_failure)
        # stops the worker when a memory is garbage-collected without close()
        self._finalizer = weakref.finalize(self, Worker.stop, self._worker)

    def wake(self, user_ids: Iterable[str]) -> None:
        """Schedule background work for these users, unless it is switched off."""
        if self._settings.background:
            for user_id in user_ids:
                self._worker.wake(user_id)

    def stop(self) -> None:
        """End the background thread and write pending retrievals; a second call does nothing."""
        if self._finalizer.detach() is None:
            return
        self._worker.stop()
        for user_id in list(self._retrievals):
            retrieved = self.take_retrievals(user_id)
            self._store.write(Scope(user_id=user_id), WriteBatch(retrieved=retrieved))

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
        """Turn the user's queued turns into thoughts; return the errors of thinker and judge."""
        errors: list[Exception] = []
        with self._thought_lock:
            while self._settings.thoughts and not self._is_stopped():
                outcome = self._reflection.step(scope, patient=patient, stopped=self._is_stopped)
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                elif not outcome:
                    error = self._reflection.resolve_conflicts(scope, self._is_stopped)
                    if error is not None:
                        self._record_failure(scope.user_id, error)
                        errors.append(error)
                    break
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
        if retrieved := self.take_retrievals(scope.user_id):
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
        user_id = scope.user_id
        if user_id not in self._turn_counts:
            chunks = self._store.chunks(Scope(user_id=user_id))
            self._turn_counts[user_id] = max((chunk.position for chunk in chunks), default=0)
        with self._retrieval_lock:
            retrieved = self._retrievals.setdefault(user_id, {})
            retrieved.update(dict.fromkeys(chunk_ids, self._turn_counts[user_id]))

    def take_retrievals(self, user_id: str) -> dict[str, int]:
        """Return the retrievals that are not stored yet, for the caller to store."""
        with self._retrieval_lock:
            return self._retrievals.pop(user_id, {})

    def set_turn_count(self, user_id: str, turns: int) -> None:
        """Note how many turns a user has."""
        self._turn_counts[user_id] = turns
