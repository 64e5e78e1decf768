"""Try a change on a share of sessions: watch both arms, then promote it or fall back.

A session is in the same arm in every process: a hash of its id with the memory's secret decides. A
rollout changes one thing, so that a difference has one cause: the ranking, the embedder, the
thinker, or pruning. A chunk is hidden from all sessions, so with pruning the arms are of users.

What is counted is of this process. The ledger has the start, the promotion and the fallback, and a
rollout of the same name goes on from there. A promotion lasts as long as the memory is open; open
it with the new configuration from then on.
"""

import threading
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Literal, Protocol, TypeVar

from memkit.errors import InvalidInput, StepRefused
from memkit.govern.comparison import compare
from memkit.govern.ledger import digest
from memkit.govern.online import Counts, Limits, find_breaches
from memkit.govern.policy import Policy, to_counts
from memkit.govern.probes import HITS
from memkit.policy import Forgetting
from memkit.protocols import Backend, Embedder, Thinker, Window, WriteBatch
from memkit.records import Event, Hit, Scope, Thought
from memkit.retrieval.ranker import Ranker
from memkit.retrieval.recall import RecallQuery, RecallResult, recall

_MOST_PROBED = 8  # users, those who said something last
Arm = Literal["control", "candidate"]
_Search = Callable[[Scope, RecallQuery], RecallResult]
State = Literal["running", "promoted", "fallen back"]
_STATES: dict[str, State] = {  # by kind of event
    "rollout": "running", "promote": "promoted", "fallback": "fallen back",
}  # fmt: skip


class Maintained(Protocol):
    """What a rollout needs of a `memkit.background.maintenance.Maintenance`."""

    policy_of: Callable[[str], Forgetting | None]

    def use_thinkers(self, thinker_of: Callable[[str | None], Thinker | None]) -> None:
        """Think about the turns of some sessions, by their ids, with another thinker."""


class Served(Protocol):
    """What a rollout needs of a `memkit.Memory`."""

    store: Backend
    embedder: Embedder
    _search: _Search
    _on_correction: Callable[[str, Thought], object]

    @property
    def _maintenance(self) -> Maintained: ...


M = TypeVar("M", bound=Served)
Probe = Callable[[M], Mapping[str, float]]  # scores of a memory by name; more is better


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The one thing that a rollout changes.

    Raises:
        InvalidInput: it is none or more than one.
    """

    ranker: Ranker | None = None
    thinker: Thinker | None = None
    forgetting: Forgetting | None = None
    embedder: Embedder | None = None

    def __post_init__(self) -> None:
        parts = (self.ranker, self.thinker, self.forgetting, self.embedder)
        if sum(part is not None for part in parts) != 1:
            raise InvalidInput(
                "a rollout changes one thing: a ranker, a thinker, forgetting or an embedder"
            )


class Rollout(Generic[M]):
    """A change that serves a share of sessions. Ask `memory_for` for the memory of a session.

    Args:
        memory: the control arm; what is asked of it directly counts as control.
        change: what the candidate has in place of the memory's own. With another embedder the
            whole memory is embedded first, and new rows before the next search of the candidate.
        name: of the rollout, in the ledger.
        share: of sessions (of users, if pruning changes) that the candidate serves, 0 to 1.
        limits: how much worse the candidate may be.
        probe: returns scores of an arm, for `check`; for example recall on questions with known
            answers.

    Raises:
        InvalidInput: `share` is outside of 0 to 1, or `name` is empty or has a colon.
    """

    def __init__(
        self, memory: M, change: Change, *, name: str, share: float,
        limits: Limits | None = None, probe: Probe[M] | None = None,
    ) -> None:  # fmt: skip
        if not 0 <= share <= 1:
            raise InvalidInput(f"share must be from 0 to 1, got {share}")
        if not name or ":" in name:
            raise InvalidInput(f"a rollout needs a name without a colon, got {name!r}")
        self.name, self.share, self.limits = name, share, limits or Limits()
        self.counts: Mapping[Arm, Counts] = {"control": Counts(), "candidate": Counts()}
        self._store, self._change, self._probe = memory.store, change, probe
        self._own_search, self._lock = memory._search, threading.Lock()
        self._memories: Mapping[Arm, M] = {"control": memory, "candidate": copy(memory)}
        events = self._read_events()
        if not events:
            self._record("rollout", f"{share:.0%}")
            events = self._read_events()
        self.started = events[0].hash  # what `rollback` takes
        self._state = _STATES[events[-1].kind]
        self._candidate_search = self._make_candidate_search(memory.embedder)
        self._install(memory._maintenance)

    @property
    def state(self) -> State:
        """Return whether it is running, promoted or fallen back."""
        return self._state

    def memory_for(self, *, user_id: str, session_id: str | None) -> M:
        """Return the memory that serves a session; without a session, the control arm's."""
        return self._memories[self._arm_of(user_id, session_id)]

    def check(self) -> list[str]:
        """Return the names of limits that the candidate exceeds; then it has fallen back.

        This is done after every recall too, without the probe. Reads the ledger, so it also
        notices what another process has decided.
        """
        self._state = _STATES[self._read_events()[-1].kind]
        if self._state != "running":
            return []
        breaches = [*self._find_breaches(), *self._probe_breaches()]
        self._fall_back_for(breaches)
        return breaches

    def promote(self, policy: Policy | None = None) -> None:
        """Let the candidate serve everything, if the gate's probes admit it.

        Turns are stored with the memory's own embedder until `memkit.reembed`, which then only has
        to switch, because the vectors are there. A thinker and pruning pass the gate with each of
        their steps. A ranking and an embedder are asked the probes of the eight users who said
        something last. Cost: two recalls per probe.

        Raises:
            InvalidInput: the rollout is over.
            StepRefused: the candidate does harm by the policy, memkit's by default; the ledger has
                the scores, and the rollout goes on.
        """
        if self._state == "running":
            self._probe_users(policy or Policy.load())
        self._require(self._end("promote"))

    def fall_back(self) -> None:
        """Let the memory's own configuration serve everything.

        What a thinker or pruning has changed stays. `memory.rollback(user_id=…, to=started)`
        undoes it, with all else that was derived since.

        Raises:
            InvalidInput: the rollout is over.
        """
        self._require(self._end("fallback"))

    # ---- arms

    def _install(self, maintenance: Maintained) -> None:
        """Make both memories and the maintenance ask this rollout what to use."""
        for arm, memory in self._memories.items():
            memory._search = partial(self._search, arm)
            memory._on_correction = self._count_correction
        thinker, forgetting = self._change.thinker, self._change.forgetting
        if thinker is not None:
            maintenance.use_thinkers(lambda session: thinker if self._serves(session) else None)
        if forgetting is not None:
            own = maintenance.policy_of
            maintenance.policy_of = lambda user: forgetting if self._serves(user) else own(user)

    def _make_candidate_search(self, own_embedder: Embedder) -> _Search:
        """Return the search with the changed ranker or embedder, if one of these changes."""
        own, ranker, embedder = self._own_search, self._change.ranker, self._change.embedder
        if ranker is not None:
            return lambda scope, query: own(scope, replace(query, ranker=ranker))
        if embedder is None or self._state == "fallen back":
            return own
        if embedder.fingerprint == own_embedder.fingerprint:  # promoted, and opened with it
            return own
        return partial(recall, self._store.stage(embedder), embedder)

    def _arm_of(self, user_id: str, session_id: str | None) -> Arm:
        unit = session_id if self._change.forgetting is None else user_id
        return "candidate" if self._is_candidate(unit) else "control"

    def _is_candidate(self, unit: str | None) -> bool:
        """Return whether a session or a user is in the candidate's share."""
        if unit is None:
            return False
        hashed = digest(self._store.secret, f"{self.name}:{unit}")
        return int(hashed, 16) < self.share * float(16 ** len(hashed))

    def _serves(self, unit: str | None) -> bool:
        """Return whether the candidate serves a session or a user now."""
        if self._state == "running":
            return self._is_candidate(unit)
        return self._state == "promoted"

    def _search(self, arm: Arm, scope: Scope, query: RecallQuery) -> RecallResult:
        """Search, and count what was found; fall back if that exceeds a limit."""
        state = self._state
        is_candidate = state == "promoted" or (state == "running" and arm == "candidate")
        result = (self._candidate_search if is_candidate else self._own_search)(scope, query)
        if state == "running":
            if self._change.forgetting is not None:
                arm = self._arm_of(scope.user_id, None)
            best = max((hit.relevance for hit in result.hits), default=0.0)
            with self._lock:
                self.counts[arm].add_recall(best)
            self._fall_back_for(self._find_breaches())
        return result

    # ---- counts

    def _count_correction(self, user_id: str, thought: Thought) -> None:
        """Count a thought that a user corrected or retracted, for the arm that drew it."""
        first = Window(ids=[source.turn_id for source in thought.sources[:1]])
        turns = self._store.turns(Scope(user_id=user_id), first)
        arm = self._arm_of(user_id, next((turn.session_id for turn in turns), None))
        with self._lock:
            self.counts[arm].corrections += 1
        self._fall_back_for(self._find_breaches())

    def _find_breaches(self) -> list[str]:
        with self._lock:
            return find_breaches(self.counts["control"], self.counts["candidate"], self.limits)

    def _probe_breaches(self) -> list[str]:
        """Return the scores of the probe that are too much lower for the candidate."""
        if self._probe is None:
            return []
        control, candidate = (self._probe(self._uncounted(arm)) for arm in self._memories)
        return [
            name for name, score in control.items() if score - candidate[name] > self.limits.probes
        ]

    def _probe_users(self, policy: Policy) -> None:
        """Raise StepRefused if a changed ranking or embedder answers a user's probes worse."""
        if self._change.ranker is None and self._change.embedder is None:
            return
        for user_id in [user.id for user in self._store.users() if user.id][:_MOST_PROBED]:
            scope = Scope(user_id=user_id)
            current, candidate = (
                partial(_find_hits, search, scope)
                for search in (self._own_search, self._candidate_search)
            )
            scores = compare(self._store, user_id, current, candidate, policy)
            if not scores.is_admitted:
                batch = WriteBatch(
                    scores=to_counts(scores.current, scores.candidate), refused=True,
                    source=f"{self.name}, policy {policy.version}",
                )  # fmt: skip
                self._store.write(scope, batch)
                raise StepRefused(list(scores.breaches))

    def _uncounted(self, arm: Arm) -> M:
        """Return the memory of an arm, in which recalls do not count."""
        memory = copy(self._memories[arm])
        memory._search = self._candidate_search if arm == "candidate" else self._own_search
        return memory

    # ---- states

    def _read_events(self) -> list[Event]:
        """Return what the ledger has of this rollout, oldest first."""
        return [
            event
            for event in self._store.events()
            if event.kind in _STATES and event.source.partition(":")[0] == self.name
        ]

    def _record(self, kind: str, note: str = "") -> None:
        self._store.record(kind, source=f"{self.name}: {note}" if note else self.name)

    def _fall_back_for(self, breaches: list[str]) -> None:
        if breaches:
            self._end("fallback", ", ".join(breaches))

    def _end(self, kind: str, note: str = "") -> bool:
        """Enter the state of an event and record it; return False if the rollout is over."""
        with self._lock:
            if self._state != "running":
                return False
            self._state = _STATES[kind]
        self._record(kind, note)
        return True

    def _require(self, is_done: bool) -> None:
        if not is_done:
            raise InvalidInput(f"the rollout {self.name!r} is over: it is {self._state}")


def _find_hits(search: _Search, scope: Scope, text: str) -> list[Hit]:
    return search(scope, RecallQuery(text=text, k=HITS)).hits
