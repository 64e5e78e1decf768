"""A question in, hits out: search the arms inside the scope, attend, fuse, cut."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from memkit.errors import InvalidInput, ModelError
from memkit.protocols import (
    Embedder,
    Integers,
    Match,
    RecalledThought,
    Snapshot,
    Store,
    Timeline,
    Vectors,
)
from memkit.records import ROLES, Hit, Scope, Thought, writable
from memkit.retrieval import bm25
from memkit.retrieval import fusion as rank
from memkit.retrieval import thoughts as concluded
from memkit.retrieval.windows import Floats, Windows
from memkit.text import dates
from memkit.text.words import asks_of_oneself, named, pairs, words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_DEPTH = 50  # places that either search contributes, at least
_THOUGHTS = 10
_SHOWN = 5  # thoughts in a prompt, as in TiM


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look for, and what of it to leave out."""

    text: str
    k: int = 10
    until: datetime | None = None
    min_relevance: float | Literal["auto"] = 0.0
    without: Collection[str] = ()  # turn ids that the caller has already
    thoughts: int = _THOUGHTS  # how many of the nearest to look at


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A hit, and the chunk it was found by."""

    hit: Hit
    chunk_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """What a question brings back."""

    found: list[Found]
    concluded: list[RecalledThought]  # nearest first; what holds, each once

    @property
    def hits(self) -> list[Hit]:
        """Return what was said, best first."""
        return [one.hit for one in self.found]

    @property
    def thoughts(self) -> list[Thought]:
        """Return what holds and has to do with the question, nearest first: for a prompt."""
        near = [one for one in self.concluded if one.cosine >= rank.RELATED]
        return [one.now for one in near if one.now is not None][:_SHOWN]

    def thought_hits(self, question: Question) -> list[Hit]:
        """Return what holds as hits, nearest first."""
        least = rank.RELATED if question.min_relevance == "auto" else question.min_relevance
        near = [one for one in self.concluded if one.cosine >= least or not least]
        return [concluded.hit(one.now, one.cosine) for one in near if one.now][: question.k]


def recall(store: Store, embedder: Embedder, scope: Scope, question: Question) -> Recollection:
    """Return what is most relevant inside the scope, best first, one hit per turn.

    Three searches find candidates: the nearest vectors, BM25 over the question's words, and the
    nearest thoughts. These and what stands around them are scored by all arms. Age breaks ties and
    nothing else; but what replaced a fact stands before what it replaced.
    """
    _check(question)
    least = rank.AUTO if question.min_relevance == "auto" else question.min_relevance
    vector = _vector(embedder, question.text)
    import memkit.attention  # noqa: F401 - loads torch, and not while the store is held

    with store.snapshot(scope, question.until) as snapshot:
        thoughts = snapshot.thoughts(vector, question.thoughts)
        ranking = _rank(snapshot, vector, question, thoughts)
        likely = int((ranking.relevance >= least).sum())  # best first: the others come after
        matches = snapshot.matches(
            ranking.places[: min(likely, question.k + len(question.without))]
        )
    found = [
        Found(
            hit=_hit(match, float(ranking.relevance[n]), ranking.explain(n)),
            chunk_id=match.chunk_id,
        )
        for n, match in enumerate(matches)
        if match.turn.id not in question.without
    ]
    holding = concluded.holding(thoughts, without=question.without)
    return Recollection(found=found[: question.k], concluded=holding)


def _vector(embedder: Embedder, text: str) -> Vectors:
    vectors = np.array(embedder.embed([text]), dtype=np.float32)
    wanted = (1, embedder.fingerprint.dimension)
    if vectors.shape != wanted or not np.isfinite(vectors).all():
        raise ModelError(
            f"the embedder returned an array of shape {vectors.shape} for one question; it must be "
            f"{wanted} and finite"
        )
    return np.asarray(vectors[0])


def _check(question: Question) -> None:
    if not isinstance(question.text, str) or not question.text.strip():
        raise InvalidInput("the question is empty; pass the text to look for")
    writable(question.text, "the question")
    if not isinstance(question.k, int) or question.k < 1:
        raise InvalidInput(f"k must be a whole number, at least 1, got {question.k!r}")
    least = question.min_relevance
    if least != "auto" and not (isinstance(least, (int, float)) and 0 <= least <= 1):
        raise InvalidInput(f'min_relevance must be a number from 0 to 1 or "auto", got {least!r}')


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """Candidates, best first and one per turn, and what each arm adds to their scores."""

    places: Integers
    arms: dict[str, Floats]
    relevance: Floats

    def explain(self, n: int) -> dict[str, float]:
        """Return each arm's share of a candidate's relevance."""
        score = sum(arm[n] for arm in self.arms.values()) or 1.0
        return {name: float(arm[n] / score * self.relevance[n]) for name, arm in self.arms.items()}


def _rank(
    snapshot: Snapshot, vector: Vectors, question: Question, thoughts: Sequence[RecalledThought]
) -> _Ranking:
    timeline = snapshot.timeline
    windows = Windows(timeline)
    found = _having(snapshot, question.text)
    lexical = bm25.score(timeline, windows, found)
    turns = question.k + len(question.without)
    places = np.union1d(
        _candidates(snapshot, windows, lexical, vector, turns), concluded.places(thoughts)
    )
    cosines = (snapshot.vectors(places) @ vector).astype(float)
    people = [n for n in named(question.text, timeline.names) if timeline.names[n] not in ROLES]
    arms = {
        "dense": cosines,
        "dense window": windows.means(places, cosines),
        "lexical": lexical.own[places],
        "lexical window": lexical.window[places] - lexical.own[places],
        "attention": rank.attention(windows.chunks(places), cosines),
        "thought": concluded.nearness(thoughts, places),
        "session": lexical.session[places],
        "speaker": _said_by(timeline, places, people or _asker(question.text, timeline)),
        "time": rank.nearness(timeline.said_us[places], _spans(question, timeline, windows, found)),
        "length": rank.length(timeline.tokens[places]),
    }
    weighted = rank.weighted(arms)
    # rounded: a product of matrices gives equal rows results that differ in the eighth digit
    scores = sum(weighted.values(), np.zeros(len(places))).round(6)
    weighted["thought"] += (lift := concluded.lift(thoughts, places, scores))
    scores += lift
    best = _best_of_each_turn(timeline, places, scores)
    best_arms = {name: arm[best] for name, arm in weighted.items()}
    said = _said_by(timeline, places[best], people)
    doubtful = bool(people) and rank.said_by_others(best_arms["lexical"], said)
    return _Ranking(
        places=places[best],
        arms=best_arms,
        relevance=rank.relevance(scores[best], doubtful=doubtful),
    )


def _having(snapshot: Snapshot, text: str) -> dict[str, Integers]:
    """Return where each word of a text stands."""
    found = {word: snapshot.postings(word) for word in words(text)}
    # a pair of characters that stands nowhere is more often no word than a missing one
    return {word: places for word, places in found.items() if len(places) or not pairs(word)}


def _candidates(
    snapshot: Snapshot, windows: Windows, lexical: bm25.Lexical, vector: Vectors, turns: int
) -> Integers:
    """Return what either search puts first and what stands around it, of so many turns at least."""
    depth = max(_DEPTH, turns)
    while True:
        near, _ = snapshot.nearest(vector, depth)
        places = windows.around(np.union1d(near, _most(lexical.window, depth)))
        found = len(np.unique(snapshot.timeline.turns[places]))
        if found >= turns or depth >= len(snapshot.timeline):
            return places
        depth *= 4  # long turns fill many places: look further down


def _most(scores: Floats, k: int) -> Integers:
    """Return the places of the `k` greatest scores above 0."""
    found = np.flatnonzero(scores)
    if len(found) <= k:
        return found
    return found[np.argpartition(-scores[found], k)[:k]]


def _asker(text: str, timeline: Timeline) -> list[int]:
    """Return the nameless user, if that is who the question is about."""
    own = asks_of_oneself(text)
    return [n for n, name in enumerate(timeline.names) if own and name == "user"]


_Span = tuple[int | None, int | None]  # microseconds since 1970; None: open


def _spans(
    question: Question, timeline: Timeline, windows: Windows, found: Mapping[str, Integers]
) -> list[_Span]:
    """Return the times a question names; "last week" counts from `until`.

    Without it, from what was said last: a dialogue may be read long after it ended. An event
    ("before the trip") is taken to be when most of its words were said.
    """
    if not len(timeline):
        return []
    said = timedelta(microseconds=int(timeline.said_us.max()))
    last = _EPOCH + min(max(said, _FIRST - _EPOCH), _LAST - _EPOCH)  # in UTC, it may lie outside
    asked = question.until or last
    spans = [
        (_microseconds(span.since), _microseconds(span.until))
        for span in dates.spans(question.text, asked)
    ]
    for side, event in dates.events(question.text, asked):
        told = {word: found[word] for word in words(event) if word in found}
        said_of = bm25.score(timeline, windows, told).own
        if said_of.any():
            spans.append(_beside(side, int(timeline.said_us[said_of.argmax()])))
    return spans


def _beside(side: str, at: int) -> _Span:
    """Return the time before, until, after, since or during what was said of an event."""
    return (
        None if side in ("before", "until") else at,
        None if side in ("after", "since") else at,
    )


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def _said_by(timeline: Timeline, places: Integers, people: list[int]) -> Floats:
    return np.isin(timeline.speakers[places], people).astype(float)


def _best_of_each_turn(timeline: Timeline, places: Integers, scores: Floats) -> Integers:
    """Return which candidates to show, best first: one of each turn, newest first among equals."""
    order = np.lexsort((-timeline.said_us[places], -scores))
    _, first = np.unique(timeline.turns[places][order], return_index=True)
    return np.asarray(order[np.sort(first)])


def _hit(match: Match, relevance: float, share: dict[str, float]) -> Hit:
    turn = match.turn
    assert turn.id is not None
    assert turn.said_at is not None
    return Hit(
        text=turn.text[match.start : match.end],
        relevance=relevance,
        kind="turn",
        said_at=turn.said_at,
        turn_ids=(turn.id,),
        role=turn.role,
        name=turn.name,
        session_id=turn.session_id,
        position=turn.position,
        explain=share,
    )
