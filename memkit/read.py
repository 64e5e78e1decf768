"""A question in, hits out: search the arms inside the scope, fuse, cut."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from memkit import rank
from memkit.errors import InvalidInput
from memkit.protocols import Embedder, Match, Query, Store
from memkit.records import Hit, Scope, writable

_WORD = re.compile(r"[^\W_]+")
_MOST_WORDS = 64  # of a question; more only cost time
_DEPTH = 50  # candidates per arm, at least
_DENSE_SHARE = 0.6  # best R@5 and R@50 on three LoCoMo conversations kept for tuning

# function words of English questions, which find everything and so nothing
_STOP = frozenset(
    [
        "a",
        "about",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "but",
        "by",
        "can",
        "could",
        "d",
        "did",
        "do",
        "does",
        "for",
        "from",
        "get",
        "had",
        "has",
        "have",
        "he",
        "her",
        "hers",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "just",
        "ll",
        "m",
        "me",
        "my",
        "no",
        "not",
        "of",
        "on",
        "or",
        "our",
        "re",
        "s",
        "she",
        "should",
        "so",
        "some",
        "t",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "to",
        "us",
        "ve",
        "was",
        "we",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look for, and what of it to leave out."""

    text: str
    k: int = 10
    until: datetime | None = None
    min_relevance: float = 0.0
    without: Collection[str] = ()  # turn ids that the caller has already


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A hit, and the chunk it was found by."""

    hit: Hit
    chunk_id: str


def words(text: str) -> list[str]:
    """Return the words to search for, each once: the telling ones, or all if none is telling."""
    found = list(dict.fromkeys(_WORD.findall(text.casefold())))
    return ([word for word in found if word not in _STOP] or found)[:_MOST_WORDS]


def recall(store: Store, embedder: Embedder, scope: Scope, question: Question) -> list[Found]:
    """Return what is most relevant inside the scope, best first, one hit per turn.

    HEMA's Vector Memory (cosine over verbatim chunks) and BM25 over the same chunks, fused. Age
    breaks ties and nothing else.
    """
    if not isinstance(question.text, str) or not question.text.strip():
        raise InvalidInput("the question is empty; pass the text to look for")
    writable(question.text, "the question")
    if not isinstance(question.k, int) or question.k < 1:
        raise InvalidInput(f"k must be a whole number, at least 1, got {question.k!r}")
    if not isinstance(question.min_relevance, (int, float)):
        raise InvalidInput(f"min_relevance must be a number, got {question.min_relevance!r}")
    depth = max(_DEPTH, 2 * question.k) + len(question.without)
    vector = embedder.embed([question.text])[0]
    while True:
        near = store.search(scope, Query(k=depth, vector=vector, until=question.until))
        alike = store.search(
            scope, Query(k=depth, words=words(question.text), until=question.until)
        )
        best = _best_of_each_turn(_fuse(near, alike, question))
        if len(best) >= question.k or max(len(near), len(alike)) < depth:
            break
        depth *= 2  # long turns fill many places: look further down
    return [one for one in best[: question.k] if one.hit.relevance >= question.min_relevance]


def _fuse(near: list[Match], alike: list[Match], question: Question) -> list[Found]:
    """Return what either arm found, most relevant first, newest first among equals."""
    shares = rank.fuse(_scores(near), _scores(alike), dense_share=_DENSE_SHARE)
    matches = {match.chunk_id: match for match in [*near, *alike]}
    found = [
        Found(hit=_hit(matches[chunk], share), chunk_id=chunk)
        for chunk, share in shares.items()
        if matches[chunk].turn.id not in question.without
    ]
    return sorted(found, key=lambda one: (-one.hit.relevance, -one.hit.said_at.timestamp()))


def _scores(matches: list[Match]) -> dict[str, float]:
    return {match.chunk_id: match.score for match in matches}


def _hit(match: Match, share: dict[str, float]) -> Hit:
    turn = match.turn
    assert turn.id is not None
    assert turn.said_at is not None
    return Hit(
        text=turn.text[match.start : match.end],
        relevance=sum(share.values()),
        kind="turn",
        said_at=turn.said_at,
        turn_ids=(turn.id,),
        role=turn.role,
        name=turn.name,
        session_id=turn.session_id,
        explain=share,
    )


def _best_of_each_turn(found: list[Found]) -> list[Found]:
    best: dict[tuple[str, ...], Found] = {}
    for one in found:
        best.setdefault(one.hit.turn_ids, one)
    return list(best.values())
