"""Post-thinking (Think-in-Memory, section 3.3): draw thoughts from the queued turns.

It runs off the hot path. Turns leave the queue in the transaction that writes their thoughts, so
each turn is processed exactly once, whatever crashes. A turn that keeps failing is parked and shown
by `doctor`.
"""

import uuid
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from memkit.background.worker import result_or_error, run_with_timeout
from memkit.protocols import Embedder, Judge, ReflectionResult, Store, Thinker, Window, WriteBatch
from memkit.records import Claim, Scope, Thought, Turn
from memkit.text.relative_dates import resolve
from memkit.thoughts.grounding import supported
from memkit.thoughts.lsh import minhash_bands

ATTEMPTS = 5  # failed ones, before a turn is parked
_CONTEXT_TURNS = 8  # before the batch
_MOST_TURNS, _MOST_CHARACTERS = 32, 12_000  # of a batch, to bound memory and prompts
_FIRST_PAUSE = timedelta(seconds=30)  # before the second attempt; each further pause is 4 times it
_SPEAKING_ROLES = ("user", "assistant")  # whose turns make claims about the world


@dataclass(frozen=True, slots=True, kw_only=True)
class PostThinking:
    """Draws thoughts from a user's queued turns, one batch at a time."""

    store: Store
    embedder: Embedder
    thinker: Thinker
    clock: Callable[[], datetime]
    seconds: float  # time limit of a call to the thinker or judge
    judge: Judge | None = None

    def step(self, scope: Scope, *, patient: bool, stopped: Callable[[], bool]) -> bool | Exception:
        """Think about the next batch; return False if the queue is empty, or the thinker's error.

        A `patient` call skips turns whose next attempt is not due. `stopped` is polled meanwhile.
        """
        now = self.clock()
        queued = self.store.next_batch(scope, _MOST_TURNS, now if patient else None)
        if not queued:
            return False
        batch = _cut_to_size([entry.turn for entry in queued])
        turns = [turn for turn in batch if turn.role in _SPEAKING_ROLES]
        context = self._read_context(scope, batch[0])
        result = run_with_timeout(self.seconds, lambda: self._think(turns, context, now), stopped)
        if result is None:
            return False
        ids = [turn.id or "" for turn in batch]
        failed = queued[0].attempts
        pause = None if failed + 1 >= ATTEMPTS else _FIRST_PAUSE * 4**failed  # None: park the turn
        if isinstance(result, Exception):
            return self._record_failure(scope, ids, result, pause, now)
        thoughts, rejected = result
        texts = [thought.text for thought in thoughts]
        vectors = result_or_error(lambda: self.embedder.embed(texts)) if texts else None
        if isinstance(vectors, Exception):
            return self._record_failure(scope, ids, vectors, pause, now)
        reflection = ReflectionResult(
            turns=ids, thoughts=thoughts, vectors=vectors, rejected=rejected
        )
        self.store.write(scope, WriteBatch(reflection=reflection))
        return True

    def _read_context(self, scope: Scope, first: Turn) -> list[Turn]:
        """Return the turns before a batch in its session, so that batch limits do not matter."""
        if first.session_id is None:
            return []
        session = Scope(user_id=scope.user_id, session_id=first.session_id)
        window = Window(until=first.said_at, last=_CONTEXT_TURNS + 1)
        return [
            turn
            for turn in self.store.turns(session, window)
            if turn.role in _SPEAKING_ROLES
            and (turn.position or 0) < (first.position or 0)
            and turn.agent_id == first.agent_id
        ]

    def _think(
        self, turns: Sequence[Turn], context: Sequence[Turn], now: datetime
    ) -> tuple[list[Thought], int]:
        """Return the thoughts of turns, and the number of claims that the turns do not support."""
        claims = list(self.thinker.think(turns, context)) if turns else []
        names = {turn.name for turn in (*context, *turns) if turn.name}
        thoughts = _to_thoughts(claims, turns, names, now)
        for thought in thoughts:
            minhash_bands(thought.text)  # cached for the store, which holds a lock when it asks
        return thoughts, len(claims) - len(thoughts)

    def _record_failure(
        self, scope: Scope, ids: Sequence[str], error: Exception, pause: timedelta | None,
        now: datetime,
    ) -> Exception:  # fmt: skip
        failure = ReflectionResult(
            turns=ids,
            failure=f"{type(error).__name__}: {error}",
            again_at=None if pause is None else now + pause,
        )
        self.store.write(scope, WriteBatch(reflection=failure))
        return error

    def resolve_conflicts(self, scope: Scope, stopped: Callable[[], bool]) -> Exception | None:
        """Let the judge decide about the open conflicts; return its last error."""
        if self.judge is None:
            return None
        error: Exception | None = None
        for older, newer in self.store.conflicts(scope):
            ask = partial(self.judge.contradict, older.text, newer.text)
            verdict = run_with_timeout(self.seconds, ask, stopped)
            if verdict is None:
                break
            if isinstance(verdict, Exception):
                error = verdict  # the judge may still decide about the other pairs
            else:
                resolved = [(older.id, newer.id, verdict)]
                self.store.write(scope, WriteBatch(resolved_conflicts=resolved))
        return error


def _cut_to_size(turns: Sequence[Turn]) -> list[Turn]:
    """Return the first turns that fit the character limit together, at least one."""
    batch: list[Turn] = []
    characters = 0
    for turn in turns:
        characters += len(turn.text)
        if batch and characters > _MOST_CHARACTERS:
            break
        batch.append(turn)
    return batch


def _to_thoughts(
    claims: Sequence[Claim], turns: Sequence[Turn], names: AbstractSet[str], now: datetime
) -> list[Thought]:
    """Return as thoughts the claims that are supported by the turns they come from."""
    by_id = {turn.id: turn for turn in turns}
    pairs = [(claim, by_id.get(claim.source.turn_id)) for claim in claims]
    return [
        _to_thought(claim, turn, now)
        for claim, turn in pairs
        if turn and _is_storable(claim) and supported(claim, turn, listener=_listener(turn, names))
    ]


def _is_storable(claim: Claim) -> bool:
    """Return whether a claim's text can be encoded as UTF-8 and its time has a timezone."""
    texts = (claim.text, claim.head, claim.relation, claim.tail, claim.slot)
    try:
        "".join(text or "" for text in texts).encode()
    except UnicodeEncodeError:
        return False
    return claim.valid_from is None or claim.valid_from.utcoffset() is not None


def _listener(turn: Turn, names: AbstractSet[str]) -> str | None:
    """Return the name of the person spoken to, if there is exactly one other speaker."""
    listeners = names - {turn.name}
    return next(iter(listeners)) if len(listeners) == 1 else None


def _to_thought(claim: Claim, turn: Turn, now: datetime) -> Thought:
    assert turn.said_at is not None
    return Thought(
        id=uuid.uuid4().hex[:16],
        text=resolve(claim.text, turn.said_at),
        sources=(claim.source,),
        said_by=turn.name or turn.role,
        role=turn.role,
        said_at=turn.said_at,
        repeated_at=turn.said_at,
        valid_from=claim.valid_from or turn.said_at,
        head=claim.head,
        relation=claim.relation,
        tail=claim.tail,
        slot=claim.slot,
        recorded_at=now,
    )
