"""Recall: a question in, hits out. Search inside the scope, score by all signals, fuse, cut."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np

from memkit.embedders import embed_checked
from memkit.errors import InvalidInput
from memkit.filters import Filter
from memkit.protocols import (
    Embedder,
    Integers,
    Mask,
    RecalledThought,
    RetrievedChunk,
    Searchable,
    Snapshot,
    Timeline,
    Vectors,
)
from memkit.records import ROLES, Hit, Scope, Thought, check_utf8, shorten
from memkit.retrieval import bm25, fusion, ties
from memkit.retrieval.constraints import Constraints, is_within
from memkit.retrieval.projection import QuestionVectors
from memkit.retrieval.ranker import Ranker, bundled_ranker
from memkit.retrieval.windows import Floats, Windows, distinct
from memkit.text import dates
from memkit.text.codes import codes
from memkit.text.questions import (
    asked_order,
    asks_for_list,
    asks_of_machine,
    main_question,
    topic_words,
    with_capitals,
)
from memkit.text.words import asks_of_oneself, named, pairs, words

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_TIME, _MAX_TIME = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_NONE = np.empty(0, dtype=np.int64)
_DEPTH = 50  # rows that each search contributes, at least
_SHORT_US = 49 * 3600 * 10**6  # a weekend with an hour of summer time, in microseconds
_THOUGHTS = 10
_PROMPT_THOUGHTS = 5  # thoughts in a prompt, as in TiM


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallQuery:
    """A question, and limits on what may answer it."""

    text: str
    k: int = 10
    until: datetime | None = None
    asked_at: datetime | None = None  # "yesterday" counts from here, or from `until` if that is set
    min_relevance: float | Literal["auto"] = 0.0
    without: Collection[str] = ()  # ids of turns that the caller has already
    where: Filter | None = None  # which turns may answer, and the sources of which thoughts
    thoughts: int = _THOUGHTS  # how many of the nearest thoughts to read
    ranker: Ranker | None = None  # None: the bundled one


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallResult:
    """The hits and the thoughts that one question recalls."""

    chunk_hits: list[tuple[str, Hit]]  # id of the chunk that matched, and the hit; best first
    recalled_thoughts: list[RecalledThought]  # nearest first; only valid ones, each text once

    @property
    def hits(self) -> list[Hit]:
        """Return the hits, best first."""
        return [hit for _, hit in self.chunk_hits]

    @property
    def chunk_ids(self) -> list[str]:
        """Return the ids of the chunks that matched, best first."""
        return [chunk_id for chunk_id, _ in self.chunk_hits]

    @property
    def thoughts(self) -> list[Thought]:
        """Return the valid thoughts near the question for a prompt, nearest first."""
        return [thought for thought, _ in self._near(fusion.RELATED)][:_PROMPT_THOUGHTS]

    def thought_hits(self, query: RecallQuery) -> list[Hit]:
        """Return the valid thoughts as hits, nearest first."""
        least = fusion.RELATED if query.min_relevance == "auto" else query.min_relevance
        return [fusion.thought_hit(*near) for near in self._near(least)][: query.k]

    def _near(self, least: float) -> list[tuple[Thought, float]]:
        """Return the thoughts with a cosine of at least `least`; 0 returns all of them."""
        return [
            (recalled.current, recalled.cosine)
            for recalled in self.recalled_thoughts
            if recalled.current is not None and (recalled.cosine >= least or not least)
        ]


def recall(store: Searchable, embedder: Embedder, scope: Scope, query: RecallQuery) -> RecallResult:
    """Return what is most relevant inside the scope, best first, one hit per turn.

    Three searches find candidates: nearest vectors, BM25 over the question's words, and nearest
    thoughts. All signals score these and their neighbours. Age decides only between turns that are
    alike, but a current fact ranks above the fact it replaced.

    With a filter all candidates are matching turns, so that rare ones are found too. Frequencies of
    words, and the talk around a turn, are still those of the scope.
    """
    _check(query)
    query = replace(query, text=main_question(query.text))
    vector = embed_checked(embedder, [query.text], queries=True)[0]
    return search(store, QuestionVectors.of(vector, embedder.fingerprint), scope, query)


def search(
    store: Searchable, vectors: QuestionVectors, scope: Scope, query: RecallQuery
) -> RecallResult:
    """Recall for a question that is embedded and checked already."""
    vector = vectors.plain
    with store.snapshot(scope, query.until, query.where) as snapshot:
        thoughts = snapshot.thoughts(vector, query.thoughts)
        ranking = _rank(snapshot, vectors, query, thoughts)
        relevant = int((ranking.relevance >= _least(query, ranking)).sum())  # these come first
        matches = snapshot.chunks(ranking.rows[: min(relevant, query.k + len(query.without))])
    chunk_hits = [
        (match.chunk_id, _hit(match, float(ranking.relevance[n]), ranking.explain(n)))
        for n, match in enumerate(matches)
        if match.turn.id not in query.without
    ]
    return RecallResult(
        chunk_hits=chunk_hits[: query.k],
        recalled_thoughts=fusion.current_thoughts(thoughts, without=query.without),
    )


def _least(query: RecallQuery, ranking: "_Ranking") -> float:
    """Return the least relevance of a hit; if one of a list is relevant, less does for the rest."""
    if query.min_relevance != "auto":
        return query.min_relevance
    is_list = asks_for_list(query.text) and ranking.relevance.max(initial=0) >= fusion.AUTO
    return fusion.AUTO_IN_LIST if is_list else fusion.AUTO


def _check(query: RecallQuery) -> None:
    if not isinstance(query.text, str) or not query.text.strip():
        raise InvalidInput(f"the query is empty: {shorten(query.text)}; pass the text to look for")
    check_utf8(query.text, "the query")
    if not isinstance(query.k, int) or query.k < 1:
        raise InvalidInput(f"k must be a whole number, at least 1, got {shorten(query.k)}")
    least = query.min_relevance
    if least != "auto" and not (isinstance(least, (int, float)) and 0 <= least <= 1):
        raise InvalidInput(
            f'min_relevance must be a number from 0 to 1 or "auto", got {shorten(least)}'
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ranking:
    """Candidates, best first and one per turn, and what each signal adds to their scores."""

    rows: Integers
    signals: dict[str, Floats]
    relevance: Floats

    def explain(self, n: int) -> dict[str, float]:
        """Return each signal's share of the n-th candidate's relevance."""
        score = sum(signal[n] for signal in self.signals.values()) or 1.0
        return {
            name: float(signal[n] / score * self.relevance[n])
            for name, signal in self.signals.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Rows that may answer a question, and their scores by each signal, shape (m,) each."""

    rows: Integers
    texts: Integers  # numbers of their texts: equal for equal texts
    signals: dict[str, Floats]
    constraints: Constraints


def find_candidates(
    snapshot: Snapshot, question: QuestionVectors, query: RecallQuery,
    thoughts: Sequence[RecalledThought],
) -> Candidates:  # fmt: skip
    """Return the rows that the searches find, with their neighbours, and score them.

    Of the neighbours only those are candidates that match the filter of the snapshot.
    """
    timeline, matching = snapshot.timeline, snapshot.matching
    windows = Windows.of(timeline)
    postings = _postings(snapshot, query.text)
    lexical = bm25.score(timeline, windows, postings)
    times = _read_times(query, timeline, windows, postings)
    constraints = _read_constraints(query, timeline, times, postings)
    least_turns = query.k + len(query.without)
    rows = distinct(np.concatenate((
        _candidates(snapshot, windows, lexical, question.plain, least_turns),
        constraints.candidates(timeline, lexical.window, max(_DEPTH, least_turns), matching),
        fusion.current_rows(thoughts),
    )))  # fmt: skip
    vectors = snapshot.vectors(rows)
    cosines, projected = (
        (vectors @ vector).astype(float) for vector in (question.plain, question.projected)
    )
    speakers = _named_people(timeline, query.text)
    if not speakers and asks_of_oneself(query.text):
        speakers = [n for n, name in enumerate(timeline.names) if name == "user"]
    by_person = 1 - _is_by(timeline, rows, _machines(timeline))
    signals = {
        "dense": cosines,
        "learned": projected,
        "dense window": windows.means(rows, cosines),
        "lexical": lexical.chunk[rows],
        "lexical window": lexical.window[rows] - lexical.chunk[rows],
        "attention": fusion.attention_scores(windows.chunks(rows), cosines),
        "thought": fusion.thought_scores(thoughts, rows),
        "session": lexical.session[timeline.sessions[rows]],
        "speaker": _is_by(timeline, rows, speakers),
        "person": by_person,
        "latest": fusion.latest_scores(vectors, cosines, timeline.said_us[rows], by_person),
        "time": fusion.time_scores(timeline.said_us[rows], times.spans + times.by_event),
        "length": fusion.length_scores(timeline.tokens[rows]),
    }
    if asks_for_list(query.text):  # the talk around one of many says nothing about the others
        signals |= {"dense window": cosines, "lexical window": np.zeros(len(rows))}
    if matching is not None:
        keep = matching[rows]
        rows, vectors = rows[keep], vectors[keep]
        signals = {name: signal[keep] for name, signal in signals.items()}
    own = timeline.speakers[rows], timeline.tokens[rows], lexical.chunk[rows] > 0
    texts = ties.group_texts(vectors, *own)
    return Candidates(rows=rows, texts=texts, signals=signals, constraints=constraints)


def _rank(
    snapshot: Snapshot, question: QuestionVectors, query: RecallQuery,
    thoughts: Sequence[RecalledThought],
) -> _Ranking:  # fmt: skip
    """Collect candidates, score them by all signals, and rank the best chunk of each turn."""
    candidates = find_candidates(snapshot, question, query, thoughts)
    timeline, rows, signals = snapshot.timeline, candidates.rows, candidates.signals
    ranker = query.ranker or bundled_ranker()
    weights = ranker.weights(fusion.question_features(query.text, signals))
    weighted = fusion.weigh_signals(signals, weights)
    # rounded: a matrix product gives equal rows results that differ in the eighth digit
    scores = sum(weighted.values(), np.zeros(len(rows))).round(6)
    age = -timeline.turns[rows], -timeline.said_us[rows], -weighted["time"]
    scores = ties.newest_first(scores - weighted["time"], candidates.texts, age) + weighted["time"]
    arranged = candidates.constraints.arrange(scores.round(6), timeline, rows)
    weighted["time"] += np.maximum(arranged - scores, 0)
    scores = arranged.round(6)
    weighted["thought"] += (boost := fusion.supersession_boost(thoughts, rows, scores))
    scores += boost
    best = _best_of_each_turn(timeline, rows, scores)
    best_signals = {name: signal[best] for name, signal in weighted.items()}
    people = _named_people(timeline, query.text)
    by_named_speaker = _is_by(timeline, rows[best], people)
    doubtful = bool(people) and fusion.is_said_by_another(best_signals["lexical"], by_named_speaker)
    leads = fusion.leads(scores[best], fusion.unrelated_score(weighted))
    return _Ranking(
        rows=rows[best],
        signals=best_signals,
        relevance=fusion.estimate_relevance(leads, ranker.calibration, doubtful=doubtful),
    )


def _named_people(timeline: Timeline, text: str) -> list[int]:
    """Return the numbers of the speakers whom a question names."""
    return [n for n in named(text, timeline.names) if timeline.names[n] not in ROLES]


def _machines(timeline: Timeline) -> list[int]:
    """Return the numbers of the speakers that are no person: assistants without a name, tools."""
    return [n for n, name in enumerate(timeline.names) if name in ROLES and name != "user"]


def _postings(snapshot: Snapshot, text: str) -> dict[str, Integers]:
    by_code = {code: rows for code in codes(text) if len(rows := snapshot.postings(code))}
    by_word = {word: snapshot.postings(word) for word in words(text)}
    return by_code | {
        word: rows for word, rows in by_word.items() if len(rows) or not _is_optional(word, by_code)
    }


def _is_optional(word: str, codes_found: Collection[str]) -> bool:
    """Return whether a word without rows does not count as missing.

    Text without spaces is searched by pairs of characters, of which most are no words. And a code
    that was found with other marks is not missed in pieces.
    """
    has_digit = any(character.isdigit() for character in word)
    in_code = has_digit or any(word in code for code in codes_found)
    return bool(pairs(word)) or bool(codes_found and in_code)


def _candidates(
    snapshot: Snapshot,
    windows: Windows,
    lexical: bm25.LexicalScores,
    vector: Vectors,
    least_turns: int,
) -> Integers:
    """Return the best rows of both searches and their neighbours, of enough different turns."""
    depth, timeline, matching = max(_DEPTH, least_turns), snapshot.timeline, snapshot.matching
    while True:
        nearest, _ = snapshot.nearest(vector, depth)
        by_words = _top(lexical.window, timeline, depth, matching)
        rows = windows.expand(distinct(np.concatenate((nearest, by_words))))
        answers = rows if matching is None else rows[matching[rows]]
        turns = len(distinct(timeline.turns[answers]))
        most = len(timeline) if matching is None else int(matching.sum())
        if turns >= least_turns or depth >= most:
            return rows
        depth *= 4  # many rows belong to a few long turns: search deeper


def _top(scores: Floats, timeline: Timeline, k: int, matching: Mask | None) -> Integers:
    """Return the matching rows of the `k` greatest scores above 0, of equal ones the newest."""
    rows = np.flatnonzero(scores if matching is None else matching & (scores > 0))
    if len(rows) <= k:
        return rows
    scores = scores[rows]
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    best = scores >= kth.round(6) - 5e-7  # with all that equal the k-th in six digits
    rows, scores = rows[best], scores[best].round(6)
    return np.asarray(rows[ties.best_first(scores, timeline, rows, k)])


_Span = tuple[int | None, int | None]  # microseconds since 1970; None is open


@dataclass(frozen=True, slots=True)
class _Times:
    """The times that a question names, and its text without them."""

    spans: list[_Span]
    by_event: list[_Span]  # "before the trip"
    events: list[int]  # rows about these events
    other_text: str


def _read_times(
    query: RecallQuery, timeline: Timeline, windows: Windows, postings: Mapping[str, Integers]
) -> _Times:
    text = with_capitals(query.text)
    times = _Times([], [], [], text)
    if not len(timeline):
        return times
    now = _asked_at(query, timeline)
    for span in dates.spans(text, now):
        times.spans.append((_microseconds(span.since), _microseconds(span.until)))
        text = text[: span.start] + " " * (span.end - span.start) + text[span.end :]
    for preposition, event in dates.events(times.other_text, now):
        event_postings = {word: postings[word] for word in words(event) if word in postings}
        scores = bm25.score(timeline, windows, event_postings).chunk
        if scores.any():
            row = int(scores.argmax())
            time = int(timeline.said_us[row])
            since = None if preposition in ("before", "until") else time
            until = None if preposition in ("after", "since") else time
            times.by_event.append((since, until))
            times.events.append(row)
    return replace(times, other_text=text)


def _asked_at(query: RecallQuery, timeline: Timeline) -> datetime:
    """Return when the question is asked, or the time of the last turn."""
    if asked_at := query.until or query.asked_at:
        return asked_at
    last_said = timedelta(microseconds=int(timeline.said_us.max(initial=0)))
    # clamped: in UTC a time near year 1 or 9999 may be outside of what datetime can hold
    return _EPOCH + min(max(last_said, _MIN_TIME - _EPOCH), _MAX_TIME - _EPOCH)


def _read_constraints(
    query: RecallQuery, timeline: Timeline, times: _Times, postings: Mapping[str, Integers]
) -> Constraints:
    """Return the time, the order and the exact things that a question asks for."""
    order, people = asked_order(times.other_text), _named_people(timeline, times.other_text)
    names = {word for person in people for word in words(timeline.names[person])}
    said_by = None
    if (times.spans or order) and not topic_words(times.other_text) - names:
        machines = np.isin(timeline.speakers, _machines(timeline))
        said_by = machines if asks_of_machine(times.other_text) else ~machines
        if people:
            said_by = np.isin(timeline.speakers, people)
    spans = times.spans if said_by is not None else list(filter(_is_short, times.spans))
    looked_up = _identifiers(query.text)
    found = [postings[term] for term in [*codes(query.text), *looked_up] if term in postings]
    return Constraints(
        in_time=is_within(timeline.said_us, spans),
        by_event=is_within(timeline.said_us, times.by_event),
        events=np.array(times.events, dtype=np.int64),
        order=order,
        said_by=said_by,
        codes=np.bincount(np.concatenate([_NONE, *found]), minlength=len(timeline)),
        is_lookup=bool(looked_up),
    )


def _identifiers(text: str) -> list[str]:
    """Return the words of a question that has no others than names with digits: "What is A320?"."""
    terms = words(text)
    has_both = (any(map(str.isdigit, term)) and any(map(str.isalpha, term)) for term in terms)
    return terms if all(has_both) else []


def _is_short(span: _Span) -> bool:
    """Return whether a span is at most a weekend: people talk of longer ones later."""
    since, until = span
    return since is not None and until is not None and until - since <= _SHORT_US


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def _is_by(timeline: Timeline, rows: Integers, speakers: list[int]) -> Floats:
    """Return 1 for each row that one of these speakers said, else 0."""
    is_speaker = np.zeros(len(timeline.names))
    is_speaker[speakers] = 1
    return np.asarray(is_speaker[timeline.speakers[rows]])


def _best_of_each_turn(timeline: Timeline, rows: Integers, scores: Floats) -> Integers:
    """Return indexes of the best row of each turn, best first, newest first among equal scores."""
    order = np.lexsort((-timeline.turns[rows], -timeline.said_us[rows], -scores))
    _, first = np.unique(timeline.turns[rows][order], return_index=True)
    return np.asarray(order[np.sort(first)])


def _hit(match: RetrievedChunk, relevance: float, explain: dict[str, float]) -> Hit:
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
        origin=turn.origin,
        tags=turn.tags,
        explain=explain,
    )
