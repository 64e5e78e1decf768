"""Post-thinking (TiM, section 3.3): turns that wait in the store's queue become thoughts.

Off the hot path. The turns leave the queue in the transaction that writes what came of them, so
each is thought about exactly once, whatever crashes; one that keeps failing is given up and shown.
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
from memkit.text import relative_dates as times
from memkit.thoughts.grounding import supported
from memkit.thoughts.near_duplicates import bands

ATTEMPTS = 5  # then a turn is given up until somebody asks for it
_BEFORE = 8  # turns of context
_TURNS, _CHARACTERS = 32, 12_000  # of a batch: what is held in memory is bounded
_FIRST_PAUSE = timedelta(seconds=30)  # before a second attempt; each further one waits four times
_THOUGHTFUL = ("user", "assistant")  # roles whose turns say something of the world


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How thinking about a batch went."""

    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostThinking:
    """Thinks about a user's waiting turns, a batch at a time."""

    store: Store
    embedder: Embedder
    thinker: Thinker
    clock: Callable[[], datetime]
    seconds: float  # a thinker that takes longer has failed
    judge: Judge | None = None

    def step(self, scope: Scope, *, patient: bool, stopped: Callable[[], bool]) -> Attempt | None:
        """Think about the next batch; return None if there is none.

        A thinker that fails is not an error of this call: what it raised is written into the queue
        and returned.

        Args:
            scope: whose turns.
            patient: leave those that failed until their time has come.
            stopped: asked now and then; if it says so, the batch is left as it was.
        """
        now = self.clock()
        waiting = self.store.next_batch(scope, _TURNS, now if patient else None)
        if not waiting:
            return None
        batch = _first([one.turn for one in waiting])
        told = [turn for turn in batch if turn.role in _THOUGHTFUL]
        before = self._before(scope, batch[0])
        concluded = run_with_timeout(
            self.seconds, lambda: self._conclude(told, before, now), stopped
        )
        if concluded is None:
            return None
        ids = [turn.id or "" for turn in batch]
        if isinstance(concluded, Exception):
            return self._put_off(scope, ids, concluded, _pause(waiting[0].attempts), now)
        thoughts, rejected = concluded
        texts = [one.text for one in thoughts]
        vectors = result_or_error(lambda: self.embedder.embed(texts)) if texts else None
        if isinstance(vectors, Exception):
            return self._put_off(scope, ids, vectors, _pause(waiting[0].attempts), now)
        done = ReflectionResult(turns=ids, thoughts=thoughts, vectors=vectors, rejected=rejected)
        self.store.write(scope, WriteBatch(reflection=done))
        return Attempt()

    def _before(self, scope: Scope, first: Turn) -> list[Turn]:
        """Return what was said before a turn in its session, so that batches change nothing."""
        if first.session_id is None:
            return []
        session = Scope(user_id=scope.user_id, session_id=first.session_id)
        window = Window(until=first.said_at, last=_BEFORE + 1)
        said = [one for one in self.store.turns(session, window) if one.role in _THOUGHTFUL]
        earlier = [one for one in said if (one.position or 0) < (first.position or 0)]
        return [one for one in earlier if one.agent_id == first.agent_id]

    def _conclude(
        self, told: Sequence[Turn], before: Sequence[Turn], now: datetime
    ) -> tuple[list[Thought], int]:
        """Return what the turns say, and how many claims they do not support."""
        claims = list(self.thinker.think(told, before)) if told else []
        names = {turn.name for turn in (*before, *told) if turn.name}
        thoughts = _held(claims, told, names, now)
        for one in thoughts:
            bands(one.text)  # kept for the store, which is held while it needs them
        return thoughts, len(claims) - len(thoughts)

    def _put_off(
        self, scope: Scope, ids: Sequence[str], error: Exception, pause: timedelta | None,
        now: datetime,
    ) -> Attempt:  # fmt: skip
        failure = ReflectionResult(
            turns=ids,
            failure=f"{type(error).__name__}: {error}",
            again_at=None if pause is None else now + pause,
        )
        self.store.write(scope, WriteBatch(reflection=failure))
        return Attempt(error=error)

    def resolve_conflict(self, scope: Scope, stopped: Callable[[], bool]) -> Exception | None:
        """Have the judge, if there is one, decide about thoughts that may contradict each other.

        Returns what the judge failed with: what it has not decided waits for the next time.
        """
        if self.judge is None:
            return None
        error: Exception | None = None
        for older, newer in self.store.conflicts(scope):
            ask = partial(self.judge.contradict, older.text, newer.text)
            verdict = run_with_timeout(self.seconds, ask, stopped)
            if verdict is None:
                break
            if isinstance(verdict, Exception):
                error = verdict  # the others may be decided all the same
            else:
                self.store.write(
                    scope, WriteBatch(resolved_conflicts=[(older.id, newer.id, verdict)])
                )
        return error


def _first(turns: Sequence[Turn]) -> list[Turn]:
    """Return the first turns that are not too long together, at least one."""
    batch: list[Turn] = []
    characters = 0
    for turn in turns:
        characters += len(turn.text)
        if batch and characters > _CHARACTERS:
            break
        batch.append(turn)
    return batch


def _held(
    claims: Sequence[Claim], told: Sequence[Turn], names: AbstractSet[str], now: datetime
) -> list[Thought]:
    """Return the claims that hold against the turns they come from, as thoughts."""
    by_id = {turn.id: turn for turn in told}
    pairs = [(claim, by_id.get(claim.source.turn_id)) for claim in claims]
    return [
        _thought(claim, turn, now)
        for claim, turn in pairs
        if turn and _writable(claim) and supported(claim, turn, listener=_listener(turn, names))
    ]


def _writable(claim: Claim) -> bool:
    """Return whether a store can take a claim: its text is UTF-8, its time has a timezone."""
    texts = (claim.text, claim.head, claim.relation, claim.tail, claim.slot)
    try:
        "".join(text or "" for text in texts).encode()
    except UnicodeEncodeError:
        return False
    return claim.valid_from is None or claim.valid_from.utcoffset() is not None


def _listener(turn: Turn, names: AbstractSet[str]) -> str | None:
    """Return whom a turn was said to, if one other person talks there."""
    others = names - {turn.name}
    return next(iter(others)) if len(others) == 1 else None


def _pause(failed: int) -> timedelta | None:
    """Return how long to wait after one more failure; None: it is given up."""
    return None if failed + 1 >= ATTEMPTS else _FIRST_PAUSE * 4**failed


def _thought(claim: Claim, turn: Turn, now: datetime) -> Thought:
    assert turn.said_at is not None
    return Thought(
        id=uuid.uuid4().hex[:16],
        text=times.resolve(claim.text, turn.said_at),
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
