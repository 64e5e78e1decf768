"""Post-thinking (Think-in-Memory, section 3.3): draw thoughts from the queued turns.

It runs off the hot path. Turns leave the queue in the transaction that writes their thoughts, so
each turn is processed exactly once, whatever crashes. A turn that keeps failing is parked and shown
by `doctor`.
"""

import uuid
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal

from memkit.background.people import drop_strangers
from memkit.background.worker import result_or_error, run_with_timeout
from memkit.embedders import embed_checked
from memkit.errors import StepRefused
from memkit.govern.gate import MILDER, Gate
from memkit.govern.trust import Sources, is_trusted
from memkit.protocols import (
    Comparer,
    Embedder,
    Judge,
    ReflectionResult,
    Snapshot,
    Store,
    Thinker,
    ThoughtPair,
    Vectors,
    Verdict,
    Window,
    WriteBatch,
)
from memkit.records import Claim, Scope, Source, Thought, Turn
from memkit.text.relative_dates import resolve
from memkit.thoughts.grounding import supported
from memkit.thoughts.lsh import minhash_bands
from memkit.thoughts.merging import held_at

ATTEMPTS = 5  # failed ones, before a turn is parked
_CONTEXT_TURNS = 8  # before the batch
_COMPARED = 5  # older thoughts that a new one is compared with
_MOST_READ = 192  # thoughts read to find these, because many of the nearest may be closed
_MOST_TURNS, _MOST_CHARACTERS = 16, 6_000  # of a batch, to bound memory and prompts
_FIRST_PAUSE = timedelta(seconds=30)  # before the second attempt; each further pause is 4 times it
_SPEAKING_ROLES = ("user", "assistant")  # whose turns make claims about the world


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """What a thinker drew from a batch of turns."""

    thoughts: list[Thought]
    rejected: int  # claims that the turns do not support
    settled: AbstractSet[str]  # ids of the thoughts that probably change nothing said before


@dataclass(frozen=True, slots=True, kw_only=True)
class PostThinking:
    """Draws thoughts from a user's queued turns, one batch at a time."""

    store: Store
    embedder: Embedder
    thinker: Thinker
    clock: Callable[[], datetime]
    seconds: float  # time limit of a call to the thinker or judge
    judge: Judge | None = None
    # another thinker for the turns of a session, by its id
    thinker_of: Callable[[str | None], Thinker | None] = lambda _: None
    gate: Gate | None = None
    untrusted: Sources = frozenset()  # whose words close and merge nobody else's
    # pairs of ids that the gate did not let the judge decide about; they stay in doubt
    refused: set[tuple[str, str]] = field(default_factory=set)
    # what was written and is not announced yet
    written: list[ReflectionResult] = field(default_factory=list)

    def step(self, scope: Scope, *, patient: bool, stopped: Callable[[], bool]) -> bool | Exception:
        """Think about the next batch; return False if the queue is empty, or the thinker's error.

        A `patient` call skips turns whose next attempt is not due. `stopped` is polled meanwhile.
        """
        now = self.clock()
        queued = self.store.next_batch(scope, _MOST_TURNS, now if patient else None)
        if not queued:
            return False
        batch = _cut_to_size([entry.turn for entry in queued])
        turns = [turn for turn in batch if _is_spoken(turn)]
        context = self._read_context(scope, batch[0])
        thinker = self.thinker_of(batch[0].session_id) or self.thinker
        think = partial(_think, thinker, turns, context, now)
        result = run_with_timeout(self.seconds, think, stopped)
        if result is None:
            return False
        reflection = ReflectionResult(
            turns=[turn.id or "" for turn in batch], read=[*context, *batch]
        )
        failed = queued[0].attempts
        pause = None if failed + 1 >= ATTEMPTS else _FIRST_PAUSE * 4**failed  # None: park the turn
        if isinstance(result, Exception):
            return self._record_failure(scope, reflection, result, pause)
        reflection = replace(reflection, thoughts=result.thoughts, rejected=result.rejected)
        if result.thoughts:
            completed = self._complete(scope, thinker, reflection, result, stopped)
            if completed is None:
                return False
            if isinstance(completed, Exception):
                return self._record_failure(scope, reflection, completed, pause)
            reflection = completed
        source = type(thinker).__name__
        outcome = self._write(scope, WriteBatch(reflection=reflection, source=source))
        if outcome is True:
            self.written.append(reflection)
        if isinstance(outcome, StepRefused):  # another attempt would be refused too
            self._record_failure(scope, reflection, outcome, None)
        return outcome

    def _write(self, scope: Scope, batch: WriteBatch) -> Literal[True] | StepRefused:
        """Write what was concluded, if the gate admits it, and return why it does not."""
        try:
            (self.gate or self.store).write(scope, batch)
        except StepRefused as refusal:
            return refusal
        return True

    def _complete(
        self, scope: Scope, thinker: Thinker, reflection: ReflectionResult, drawn: _Drawn,
        stopped: Callable[[], bool],
    ) -> ReflectionResult | Exception | None:  # fmt: skip
        """Return a result with its vectors and verdicts; an exception, or None if stopped."""
        thoughts = reflection.thoughts
        vectors = result_or_error(
            lambda: embed_checked(self.embedder, [thought.text for thought in thoughts])
        )
        if isinstance(vectors, Exception):
            return vectors
        comparer = thinker if isinstance(thinker, Comparer) else None
        pairs = self._find_pairs(scope, thoughts, vectors, drawn) if comparer else []
        compare = partial(_compare, comparer, pairs, self.untrusted)
        verdicts = run_with_timeout(self.seconds, compare, stopped) if pairs else []
        if verdicts is None or isinstance(verdicts, Exception):
            return verdicts
        return replace(reflection, vectors=vectors, verdicts=verdicts)

    # ---- what the new thoughts change

    def _find_pairs(
        self, scope: Scope, thoughts: Sequence[Thought], vectors: Vectors, drawn: "_Drawn"
    ) -> list[ThoughtPair]:
        """Return each thought with the nearest older ones: stored, and of the same batch.

        A thought that probably changes nothing is compared with none.
        """
        pairs: list[tuple[Thought, Thought]] = []
        with self.store.snapshot(Scope(user_id=scope.user_id)) as snapshot:
            for n, (thought, vector) in enumerate(zip(thoughts, vectors, strict=True)):
                if thought.id in drawn.settled:
                    continue
                near = _read_comparable(snapshot, thought, vector)
                batch = zip((vectors[:n] @ vector).tolist(), thoughts[:n], strict=True)
                near += [(cosine, old) for cosine, old in batch if _is_comparable(old, thought)]
                near.sort(key=lambda pair: -pair[0])
                pairs += [_in_order(old, thought) for _, old in near[:_COMPARED]]
        ids = {_first_turn(thought) for pair in pairs for thought in pair}
        said = self.store.turns(Scope(user_id=scope.user_id), Window(ids=sorted(ids)))
        turns = {turn.id: turn for turn in said}
        return drop_strangers(
            self.store,
            scope.user_id,
            [
                ThoughtPair(
                    older=older,
                    newer=newer,
                    older_turn=turns[_first_turn(older)],
                    turn=turns[_first_turn(newer)],
                )
                for older, newer in pairs
                if {_first_turn(older), _first_turn(newer)} <= turns.keys()  # not deleted since
            ],
        )

    def _read_context(self, scope: Scope, first: Turn) -> list[Turn]:
        """Return the turns before a batch in its session, so that batch limits do not matter."""
        session = Scope(user_id=scope.user_id, session_id=first.session_id)
        window = Window(until=first.said_at, last=_CONTEXT_TURNS + 1)
        return [
            turn
            for turn in self.store.turns(session, window)
            if _is_spoken(turn)
            and (turn.position or 0) < (first.position or 0)
            and (turn.session_id, turn.agent_id) == (first.session_id, first.agent_id)
        ]

    def _record_failure(
        self, scope: Scope, reflection: ReflectionResult, error: Exception, pause: timedelta | None
    ) -> Exception:
        failure = ReflectionResult(
            turns=reflection.turns,
            read=reflection.read,
            failure=f"{type(error).__name__}: {error}",
            again_at=None if pause is None else self.clock() + pause,
        )
        self.store.write(scope, WriteBatch(reflection=failure))
        return error

    def resolve_conflicts(self, scope: Scope, stopped: Callable[[], bool]) -> Exception | None:
        """Let the judge decide about the open conflicts; return its last error."""
        if self.judge is None:
            return None
        error: Exception | None = None
        for older, newer in self.store.conflicts(scope):
            if (older.id, newer.id) in self.refused or self._is_outranked(scope, older, newer):
                continue
            ask = partial(self.judge.contradict, older.text, newer.text)
            verdict = run_with_timeout(self.seconds, ask, stopped)
            if verdict is None:
                break
            if isinstance(verdict, Exception):
                error = verdict  # the judge may still decide about the other pairs
            else:
                resolved = [(older.id, newer.id, verdict)]
                source = type(self.judge).__name__
                batch = WriteBatch(resolved_conflicts=resolved, source=source)
                outcome = self._write(scope, batch)
                if isinstance(outcome, StepRefused):
                    self.refused.add((older.id, newer.id))
                    error = outcome
        return error

    def _is_outranked(self, scope: Scope, older: Thought, newer: Thought) -> bool:
        """Return whether only the older thought is drawn from words that are trusted."""
        if not self.untrusted:
            return False
        ids = [_first_turn(older), _first_turn(newer)]
        turns = {turn.id: turn for turn in self.store.turns(scope, Window(ids=ids))}
        first, second = (is_trusted(turns[id], self.untrusted) for id in ids)
        return first and not second


def _think(
    thinker: Thinker, turns: Sequence[Turn], context: Sequence[Turn], now: datetime
) -> _Drawn:
    """Return what the thinker draws from turns."""
    claims = list(thinker.think(turns, context)) if turns else []
    names = {turn.name for turn in (*context, *turns) if turn.name}
    supported_claims = _supported_claims(claims, turns, names)
    thoughts = [_to_thought(claim, turn, now) for claim, turn in supported_claims]
    for thought in thoughts:
        minhash_bands(thought.text)  # cached for the store, which holds a lock when it asks
    pairs = zip(supported_claims, thoughts, strict=True)
    return _Drawn(
        thoughts=thoughts,
        rejected=len(claims) - len(thoughts),
        settled={thought.id for (claim, _), thought in pairs if not claim.changes},
    )


def correction(old: Thought, turn: Turn, vectors: Vectors, now: datetime) -> ReflectionResult:
    """Return the result of a turn whose whole text corrects a thought."""
    source = Source(turn_id=turn.id or "", start=0, end=len(turn.text))
    thought = _to_thought(Claim(text=turn.text, source=source, kind=old.kind), turn, now)
    verdict = Verdict(older_id=old.id, newer_id=thought.id, relation="closes")
    return ReflectionResult(
        turns=[turn.id or ""], thoughts=[thought], vectors=vectors, verdicts=[verdict]
    )


def _read_comparable(
    snapshot: Snapshot, new: Thought, vector: Vectors
) -> list[tuple[float, Thought]]:
    """Return the cosines and stored thoughts near a new one that it is compared with."""
    k = 2 * _COMPARED
    while True:
        stored = snapshot.thoughts(vector, k)
        near = [(old.cosine, old.thought) for old in stored if _is_comparable(old.thought, new)]
        if len(near) >= _COMPARED or len(stored) < k or k >= _MOST_READ:
            return near
        k *= 4


def _is_comparable(stored: Thought, new: Thought) -> bool:
    """Return whether one may change the other: the same speaker's, and held when it was said."""
    if stored.said_by != new.said_by:
        return False
    if _is_later(stored, new):
        return True
    return held_at(stored, new.said_at) and stored.kind != "denial"


def _is_later(stored: Thought, new: Thought) -> bool:
    """Return whether a stored thought was said after a new one, maybe later in the same turn."""
    place, new_place = stored.sources[0], new.sources[0]
    if place.turn_id == new_place.turn_id:
        return place.start > new_place.start
    return stored.said_at > new.said_at


def _in_order(stored: Thought, new: Thought) -> tuple[Thought, Thought]:
    """Return two thoughts in the order they were said; a stored one may be the later one."""
    return (new, stored) if _is_later(stored, new) else (stored, new)


def _first_turn(thought: Thought) -> str:
    """Return the id of the first turn that says a thought."""
    return thought.sources[0].turn_id


def _compare(
    comparer: Comparer | None, pairs: Sequence[ThoughtPair], untrusted: Sources
) -> list[Verdict]:
    """Return the verdicts on pairs, without those that change nothing.

    Words that are not trusted only put those in doubt that are.
    """
    relations = comparer.compare(pairs) if comparer else []
    verdicts = []
    for pair, relation in zip(pairs, relations, strict=True):
        if is_trusted(pair.older_turn, untrusted) and not is_trusted(pair.turn, untrusted):
            relation = MILDER.get(relation, relation)  # noqa: PLW2901 - the milder one
        if relation != "keeps":
            verdicts.append(
                Verdict(older_id=pair.older.id, newer_id=pair.newer.id, relation=relation)
            )
    return verdicts


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


def _supported_claims(
    claims: Sequence[Claim], turns: Sequence[Turn], names: AbstractSet[str]
) -> list[tuple[Claim, Turn]]:
    """Return the claims that are supported by the turns they come from, with these."""
    by_id = {turn.id: turn for turn in turns}
    pairs = [(claim, by_id.get(claim.source.turn_id)) for claim in claims]
    return [
        (claim, turn)
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
        text=resolve(claim.text, turn.said_at, ahead=claim.kind == "plan"),
        kind=claim.kind,
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


def _is_spoken(turn: Turn) -> bool:
    """Return whether the speaker says these words, and has not pasted those of somebody else."""
    return turn.role in _SPEAKING_ROLES and turn.origin != "pasted"
