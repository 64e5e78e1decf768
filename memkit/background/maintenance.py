"""Maintenance of derived data, off the hot path: summaries, thoughts and pruning."""

import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from os import PathLike

from memkit.background.pruning import select_prunable
from memkit.background.reflection import PostThinking
from memkit.background.summary import (
    OVERVIEW_EVERY,
    SummaryUpdate,
    summarise_next_turns,
    summarise_thoughts,
)
from memkit.background.worker import Worker, result_or_error
from memkit.errors import InvalidInput, StepRefused, StoreError
from memkit.govern.gate import Gate
from memkit.govern.listeners import Listeners
from memkit.govern.policy import FILE, Policy
from memkit.govern.retention import Expiry, expire
from memkit.govern.trust import check_sources
from memkit.policy import Forgetting, RetentionRule
from memkit.protocols import (
    Backend,
    ReflectionResult,
    Summariser,
    Thinker,
    ThoughtSummariser,
    Window,
    WriteBatch,
)
from memkit.records import Scope, Thought, check_count

_MOST_DAYS = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of a memory: of its background work, and of what it takes.

    Nothing is pruned by default: `evals/LOG.md` has the costs and savings of HEMA's forgetting.
    """

    forgetting: Forgetting | None = None
    overviews: bool = True  # write the summary of summaries, every 100 turns
    thoughts: bool = True  # False: turns stay in the queue and become no thoughts
    background: bool = True  # False: summaries and thoughts wait for think() or flush()
    thinker_seconds: float = 120  # time limit of a thinker for one batch
    undo_days: float | None = 30  # for `rollback`, how long changes are undoable; None: for ever
    gate: bool = True  # False: no change of derived data is probed and none is refused
    policy: str | PathLike[str] | None = None  # a TOML file of the gate's thresholds, or memkit's
    # sources (`Turn.source`) whose words may not close or replace what others say, only doubt it
    untrusted: Collection[str] = ()
    max_turn_characters: int | None = None  # longer messages are rejected; None: no limit

    def __post_init__(self) -> None:
        if self.undo_days is not None and not 0 <= self.undo_days <= _MOST_DAYS:
            raise InvalidInput(
                f"undo_days must be from 0 to {_MOST_DAYS:,}, or None for ever; it is "
                f"{self.undo_days}"
            )
        check_sources(self.untrusted)
        if self.max_turn_characters is not None:
            check_count(self.max_turn_characters, "max_turn_characters")

    def load_policy(self) -> Policy:
        """Return the thresholds of the gate. Raises InvalidInput if the file is wrong."""
        return Policy.load(FILE if self.policy is None else self.policy)


PolicyOf = Callable[[str], Forgetting | None]  # the pruning of a user

_REPURGE_S = 1.0  # seconds until bytes of deleted rows that a reader keeps are removed again
_EXPIRE_S = 600.0  # seconds until the rules of retention are applied again
_RECHECK_S = 30.0  # seconds until postponed turns are checked again; as long as the first pause


class Maintenance:
    """Brings each user's derived data up to date, in one background thread or on request."""

    def __init__(
        self, store: Backend, summariser: Summariser, reflection: PostThinking, settings: Settings,
        clock: Callable[[], datetime], *, listeners: Listeners, gate: Gate | None = None,
    ) -> None:  # fmt: skip
        self._store, self._summariser, self._reflection = store, summariser, reflection
        self._settings, self._clock, self._listeners = settings, clock, listeners
        self._gate = gate
        self.policy_of: PolicyOf = lambda _: settings.forgetting
        self.summary_lock = threading.RLock()  # held while a user's summaries change
        self._thought_lock = threading.RLock()
        # of each user: the turn count, and the recalled chunks with the turn count at the time
        self._turn_counts: dict[str, int] = {}
        self._retrievals: dict[str, dict[str, int]] = {}
        self._retrieval_lock = threading.Lock()
        self._changed: set[str] = set()  # users with thoughts that their summaries do not know yet
        self._generations: dict[str, int] = {}  # of each user, when the current work began
        self._worker = Worker(self._run_due, self._record_failure)
        # stops the worker when a memory is garbage-collected without close()
        self._finalizer = weakref.finalize(self, Worker.stop, self._worker)

    def wake(self, user_ids: Iterable[str]) -> None:
        """Schedule background work for these users, unless it is switched off."""
        if self._settings.background:
            for user_id in user_ids:
                self._worker.wake(user_id)

    def waiting_users(self) -> list[str]:
        """Return the users with work to do; with rules of retention, this is everybody."""
        if self._store.retention():
            return [user.id for user in self._store.users() if user.id is not None]
        return self._store.pending()

    def use_thinkers(self, thinker_of: Callable[[str | None], Thinker | None]) -> None:
        """Think about the turns of some sessions, by their ids, with another thinker."""
        self._reflection = replace(self._reflection, thinker_of=thinker_of)

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
        self._expire(scope.user_id, self._store.retention())
        errors: list[Exception | None] = []
        while self._settings.thoughts and not self._is_stopped():
            outcome = self._reflect(scope, patient=False)
            if not outcome:
                break
            errors.append(outcome if isinstance(outcome, Exception) else None)
        errors += [self._resolve_conflicts(scope), self._attempt_summaries(scope)]
        self._trim_undo(scope)
        return [error for error in errors if error is not None]

    def expire_all(self, rules: Sequence[RetentionRule], *, dry_run: bool = False) -> list[Expiry]:
        """Delete what is older than these rules allow, of all users; return what there was."""
        users = [user.id for user in self._store.users() if user.id is not None] if rules else []
        expiries = [self._expire(user_id, rules, dry_run=dry_run) for user_id in users]
        if not dry_run:
            self.wake(users)
        return [expiry for expiry in expiries if expiry]

    def _expire(
        self, user_id: str, rules: Sequence[RetentionRule], *, dry_run: bool = False
    ) -> Expiry:
        """Delete what is older than these rules allow, and tell open chats."""
        with self.summary_lock:
            expiry = expire(self._store, user_id, rules, now=self._clock(), dry_run=dry_run)
        if expiry.receipt and not dry_run:
            self._listeners.notify(user_id)
            receipt = expiry.receipt
            self._listeners.tell("forgotten", user_id, receipt.turn_ids, receipt.thought_ids)
        if expiry.retracted and not dry_run:
            self._changed.add(user_id)
        return expiry

    def _attempt_summaries(self, scope: Scope) -> Exception | None:
        """Write all summaries that are due; record and return the error."""
        while True:
            outcome = result_or_error(lambda: self._summarise(scope))
            if isinstance(outcome, Exception):
                self._record_failure(scope.user_id, outcome)
                return outcome
            if not outcome or self._is_stopped():
                return None

    # ---- in the background

    def _run_due(self, user_id: str) -> None:
        """Do one step of a user's due work, and queue behind the other users for the next one.

        So a user with thousands of waiting turns delays nobody else by more than one batch.
        """
        scope = Scope(user_id=user_id)
        if not self._store.purge():
            self._worker.wake(user_id, after_s=_REPURGE_S)
        self._expire_due(user_id)
        more: bool | Exception = False
        if self._settings.thoughts:
            more = self._reflect(scope, patient=True)
            if not more and not self._is_stopped():
                self._resolve_conflicts(scope)
                self._recheck_later(scope)
        if not more and not self._is_stopped():  # a summary shows the thoughts
            more = self._summarise(scope)
        if more and not self._is_stopped():
            self._worker.wake(user_id)
        else:
            self._trim_undo(scope)

    def _trim_undo(self, scope: Scope) -> None:
        """Drop what `rollback` needs for older changes than it has to undo."""
        if self._settings.undo_days is None:
            return
        days = timedelta(days=self._settings.undo_days)
        self._store.trim_undo(scope, datetime.now(UTC) - days)  # the clock of the ledger

    def _expire_due(self, user_id: str) -> None:
        """Apply the rules of retention, now and again in `_EXPIRE_S` seconds."""
        if rules := self._store.retention():
            self._expire(user_id, rules)
            self._worker.wake(user_id, after_s=_EXPIRE_S)

    def _reflect(self, scope: Scope, *, patient: bool) -> bool | Exception:
        """Turn the next batch of queued turns into thoughts; False if there is none."""
        with self._thought_lock:
            outcome = self._reflection.step(scope, patient=patient, stopped=self._is_stopped)
            written = list(self._reflection.written)
            self._reflection.written.clear()
        if outcome is True:
            self._changed.add(scope.user_id)
        for reflection in written:
            self.announce(scope, reflection)
        return outcome

    def announce(self, scope: Scope, reflection: ReflectionResult) -> None:
        """Tell callbacks which thoughts a reflection made believed or doubted, if any listens."""
        if not self._listeners.has("believed", "doubted"):
            return
        user_id = scope.user_id
        for thought in self._find_open(scope, [thought.id for thought in reflection.thoughts]):
            self._listeners.tell("believed", user_id, thought.turn_ids, [thought.id])
        for thought in self._find_open(scope, [pair.older_id for pair in reflection.verdicts]):
            if thought.doubt:
                self._listeners.tell("doubted", user_id, thought.doubt, [thought.id])

    def _find_open(self, scope: Scope, ids: Iterable[str]) -> list[Thought]:
        """Return the thoughts with these ids that hold; some were merged into others."""
        return [
            thought
            for id in dict.fromkeys(ids)
            for thought in self._store.history(scope, id)
            if thought.id == id and thought.closed_by is None and thought.kind != "denial"
        ]

    def _resolve_conflicts(self, scope: Scope) -> Exception | None:
        self._generations[scope.user_id] = self._store.generation(scope)
        error = self._reflection.resolve_conflicts(scope, self._is_stopped)
        if error is not None:
            self._record_failure(scope.user_id, error)
        return error

    def _recheck_later(self, scope: Scope) -> None:
        """Check again for turns that were postponed, even by a process that has ended."""
        if self._settings.background and self._store.next_batch(scope, 1):
            self._worker.wake(scope.user_id, after_s=_RECHECK_S)

    def _is_stopped(self) -> bool:
        return self._worker.stopped

    def _record_failure(self, user_id: str, error: Exception) -> None:
        """Store why a user's maintenance stopped, for `doctor` in any process."""
        with suppress(StoreError):  # a store that cannot be written fails every `remember` as well
            failure = f"{type(error).__name__}: {error}"
            generation = self._generations.get(user_id)
            batch = WriteBatch(failure=failure, generation=generation)
            self._store.write(Scope(user_id=user_id), batch)

    def _summarise(self, scope: Scope) -> bool:
        """Summarise the next turns and prune if it is due then; False if no turn waits."""
        with self.summary_lock:
            return self._summarise_locked(scope)

    def _summarise_locked(self, scope: Scope) -> bool:
        generation = self._generations[scope.user_id] = self._store.generation(scope)
        forgetting = self.policy_of(scope.user_id)
        interval = forgetting.interval if forgetting else OVERVIEW_EVERY
        update = self._summarise_thoughts(scope) or summarise_next_turns(
            self._store, scope, self._summariser, self._clock(),
            stop_every=interval, overviews=self._settings.overviews,
        )  # fmt: skip
        if update is None:
            return False
        if retrieved := self.take_retrievals(scope.user_id):
            self._store.write(scope, WriteBatch(retrieved=retrieved))
        source = type(self._summariser).__name__
        batch = WriteBatch(summaries=update.summaries, generation=generation, source=source)
        try:
            (self._gate.write_summaries if self._gate else self._store.write)(scope, batch)
        except StepRefused as refusal:  # the old summary stays; due again with the next turn
            self._record_failure(scope.user_id, refusal)
            return False
        if forgetting is not None and update.through // interval > update.since // interval:
            self._prune(scope, update.through, forgetting)
        return True

    def _prune(self, scope: Scope, through: int, forgetting: Forgetting) -> None:
        """Hide what is due after `through` turns, unless the gate refuses it."""
        hide = select_prunable(self._store.chunks(scope), through, forgetting)
        with suppress(StepRefused):  # it is in the ledger, and due again at the next interval
            write = self._gate.write if self._gate else self._store.write
            write(scope, WriteBatch(hide=hide, source=type(forgetting).__name__))

    def _summarise_thoughts(self, scope: Scope) -> SummaryUpdate | None:
        """Return summaries of what holds, if the summariser makes them and they are outdated."""
        if not isinstance(self._summariser, ThoughtSummariser) or not self._settings.thoughts:
            return None
        current = next(self._store.summaries(scope, 1), None)
        since = current.through if current else 0
        waiting = self._store.turns(scope, Window(after=since))
        through = max((turn.position or 0 for turn in waiting), default=since)
        forgetting = self.policy_of(scope.user_id)
        if through > since and forgetting:  # prune at every multiple
            through = min(through, (since // forgetting.interval + 1) * forgetting.interval)
        is_changed = scope.user_id in self._changed
        self._changed.discard(scope.user_id)
        if through == since and not is_changed:
            return None
        summaries = summarise_thoughts(
            self._store, scope, self._summariser, self._clock(),
            through=through, overviews=self._settings.overviews,
        )  # fmt: skip
        return (
            SummaryUpdate(summaries=summaries, since=since, through=through) if summaries else None
        )

    def drop_probes(self, user_id: str) -> None:
        """Drop the words of this user's turns that the gate has in memory."""
        if self._gate:
            self._gate.drop(user_id)

    # ---- retrievals, which pruning takes into account

    def record_retrieval(self, scope: Scope, chunk_ids: Sequence[str]) -> None:
        """Note that these chunks were recalled; the next write stores it."""
        user_id = scope.user_id
        if self.policy_of(user_id) is None or not chunk_ids:
            return
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
