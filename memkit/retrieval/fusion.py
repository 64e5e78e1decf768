"""Fusion: the scores of all signals in, one relevance out. Pure functions without store or clock.

A row is an index into the timeline of the searched scope; see `memkit.protocols.Timeline`.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from memkit.protocols import Integers, RecalledThought, Vectors
from memkit.records import Hit, Thought
from memkit.retrieval.ranker import Calibration
from memkit.retrieval.ties import EQUAL
from memkit.retrieval.windows import Floats

SIGNALS = (
    "dense",  # cosine of question and chunk
    "learned",  # cosine of the projected question and chunk (HCAM's trained projections)
    "dense window",  # weighted mean of the cosines in the chunk's window
    "lexical",  # BM25 of the window: the share of the chunk's own words
    "lexical window",  # BM25 of the window: the share of the words around the chunk
    "attention",  # HCAM: weight of the attention chunk x weight inside it
    "thought",  # cosine of question and a valid thought derived from the chunk
    "session",  # BM25 of the whole session
    "speaker",  # the question names the speaker
    "person",  # said by a person, not by an assistant or a tool
    "latest",  # nobody says it again later
    "time",  # said in a time that the question names, or soon after
    "length",  # prior: a longer chunk says more
)
# The weights of 0.7, set by hand; the card compares the trained ones with them (`evals`).
WEIGHTS: Mapping[str, float] = {
    "dense": 0.08, "dense window": 0.18, "lexical": 0.45, "lexical window": 0.45,
    "attention": 0.02, "thought": 0.05, "session": 0.04, "speaker": 0.07, "time": 0.04,
    "length": 0.07,
}  # fmt: skip
PRIORS = ("speaker", "person", "latest", "length")  # signals that say nothing about the matter
_TENTH = 10
# How much more than its priors an unrelated chunk scores, and at most a chunk that is no answer. A
# tenth hit above that is an answer as well, so it lowers no other hit
_UNRELATED, _ANSWERS = 0.03, 0.12
_DOUBT = 0.5  # factor where the question's words were said by somebody it does not name
AUTO = 0.10  # relevance below which min_relevance="auto" drops a hit
AUTO_IN_LIST = 0.05  # the same for other hits of a question that has many answers
RELATED = 0.3  # cosine below which "auto" drops a thought
_LATER = 100  # rows that may say something again
ATTENDED = 8  # attention chunks that are opened
_WEEK_US = 7 * 86_400 * 10**6
_TEMPERATURE = 0.1  # of both attention softmaxes, which run on cosines
_MARGIN = 0.001  # lead in score of a current fact over the fact it replaced


# ---- signals


def attention_scores(chunks: Integers, cosines: Floats) -> Floats:
    """Attend to chunks, then inside the best ones (HCAM); return one score per row, shape (m,).

    `chunks` are the ascending numbers of the rows' attention chunks, `cosines` those with the
    question. A score is chunk weight x weight inside the chunk, divided by the maximum; it is 0
    outside the opened chunks. Attention weights depend on vectors only through their products with
    the question, and the product of a mean is the mean of the products. So the cosines can take the
    place of the vectors: one dimension instead of hundreds, and the same weights as those of
    `memkit.attention`, which is the general computation in torch.

    Source: Lampinen et al. 2021, section 3.
    """
    if not len(chunks):
        return np.zeros(0)
    starts = np.flatnonzero(np.diff(chunks, prepend=chunks[0] - 1))
    ends = np.append(starts[1:], len(chunks))
    logits = cosines / _TEMPERATURE
    keys = np.add.reduceat(logits, starts) / (ends - starts)
    opened = np.argsort(-keys, kind="stable")[:ATTENDED]
    scores = np.zeros(len(chunks))
    for chunk, weight in zip(opened, _softmax(keys[opened]), strict=True):
        inside = slice(starts[chunk], ends[chunk])
        scores[inside] = weight * _softmax(logits[inside])
    return np.asarray(scores / scores.max())


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def time_scores(said_us: Integers, spans: Sequence[tuple[int | None, int | None]]) -> Floats:
    """Return how well times (in microseconds) agree with the best of some spans, from 0 to 1.

    People talk about an event in the days after it. So the score halves with every two weeks after
    a span, and with every week before it. An end of a span that is None is open.
    """
    scores = np.zeros(len(said_us))
    for since, until in spans:
        early = 0 if since is None else np.maximum(since - said_us, 0)
        late = 0 if until is None else np.maximum(said_us - until, 0)
        scores = np.maximum(scores, np.exp2(-early / _WEEK_US - late / (2 * _WEEK_US)))
    return scores


def length_scores(tokens: Integers) -> Floats:
    """Return a length prior from 0 to 1: the logarithm of the token count, up to 255 tokens.

    Source of length as a prior: Kraaij, Westerveld and Hiemstra, SIGIR 2002.
    """
    return np.minimum(np.log2(tokens + 1) / 8, 1.0)


def latest_scores(
    vectors: Vectors, cosines: Floats, said_us: Integers, by_person: Floats
) -> Floats:
    """Return how far each of m rows is from what is said later, from 0 to 1, shape (m,).

    That is 1 less its greatest cosine with a later row, by a person if it is by a person: what was
    said once more in other words may have changed. An equal text changes nothing, so it does not
    count. Only the rows nearest to the question, by their `cosines`, can be the later ones.
    `vectors` has the shape (m, d).
    """
    near = np.argsort(-cosines, kind="stable")[:_LATER]
    likeness = vectors @ vectors[near].T
    counts = likeness < 1 - EQUAL
    counts &= said_us[near] > said_us[:, None]
    counts &= by_person[near] == by_person[:, None]
    likeness *= counts
    return np.asarray(1 - likeness.max(axis=1, initial=0), dtype=float)


def thought_scores(thoughts: Sequence[RecalledThought], rows: Integers) -> Floats:
    """Return each row's cosine with the nearest valid thought derived from it, 0 without one."""
    scores = np.zeros(len(rows))
    for recalled in reversed(thoughts):  # nearest last, so that it overwrites the others
        if recalled.current is recalled.thought:
            scores[np.isin(rows, recalled.rows)] = recalled.cosine
    return scores


def weigh_signals(signals: Mapping[str, Floats], weights: Mapping[str, float]) -> dict[str, Floats]:
    """Return what each signal adds to the score: a convex combination, so the sum is 0 to 1.

    Source: Bruch, Gai and Ingber, ACM TOIS 2023.

    >>> signals = {"dense": np.array([1.0, 0.5]), "lexical": np.array([0.0, 1.0])}
    >>> shares = weigh_signals(signals, {"dense": 0.25, "lexical": 0.75})
    >>> sum(shares.values()).round(3).tolist()
    [0.25, 0.875]
    """
    return {
        name: weights.get(name, 0.0) * np.clip(scores, 0, 1) for name, scores in signals.items()
    }


def question_features(text: str, signals: Mapping[str, Floats]) -> dict[str, float]:
    """Return what a question and its candidates are like, for the ranker; each from 0 to 2.

    A lead is that of the best candidate over the tenth.
    """
    by_words = np.sort(signals["lexical"] + signals["lexical window"])[::-1]
    by_vector = np.sort(np.clip(signals["dense"], 0, 1))[::-1]
    return {
        "best words": _best(by_words),
        "lead of words": _lead(by_words),
        "best vector": _best(by_vector),
        "lead of vector": _lead(by_vector),
        "names a speaker": _best(signals["speaker"]),
        "share of machines": 1 - float(np.mean(signals["person"])) if len(by_words) else 0.0,
        "length": min(len(text.split()) / 20, 2.0),
        "names a time": _best(signals["time"]),
    }


def _best(scores: Floats) -> float:
    return float(scores.max(initial=0))


def _lead(descending: Floats) -> float:
    if not len(descending):
        return 0.0
    return float(descending[0] - descending[min(_TENTH, len(descending)) - 1])


# ---- thoughts


def current_thoughts(
    thoughts: Sequence[RecalledThought], *, without: Collection[str]
) -> list[RecalledThought]:
    """Return the recalled thoughts that are valid or have a valid successor, each once.

    A thought that only comes from the turns `without` is left out.
    """
    distinct: dict[str, RecalledThought] = {}
    for recalled in thoughts:
        current = recalled.current
        if current is None or current.kind == "denial" or set(current.turn_ids) <= set(without):
            continue
        distinct.setdefault(current.id, recalled)
    return list(distinct.values())


def current_rows(thoughts: Sequence[RecalledThought]) -> Integers:
    """Return the rows from which the valid thoughts were derived."""
    none = np.empty(0, dtype=np.int64)
    return np.concatenate([none, *(recalled.current_rows for recalled in thoughts)])


def supersession_boost(
    thoughts: Sequence[RecalledThought], rows: Integers, scores: Floats
) -> Floats:
    """Return what to add to each row's score so that current facts rank above replaced ones."""
    boost = np.zeros(len(rows))
    for recalled in thoughts:
        if recalled.current is None or recalled.current is recalled.thought:
            continue
        current = np.isin(rows, recalled.current_rows)
        replaced = scores[np.isin(rows, recalled.rows) & ~current]
        lead = replaced.max(initial=0) + _MARGIN - scores[current]
        boost[current] = np.maximum(boost[current], lead)
    return np.maximum(boost, 0)


def thought_hit(thought: Thought, cosine: float) -> Hit:
    """Return a thought as a hit with its cosine as relevance."""
    relevance = min(max(cosine, 0.0), 1.0)
    return Hit(
        text=thought.text,
        relevance=relevance,
        kind="thought",
        said_at=thought.said_at,
        turn_ids=thought.turn_ids,
        role=thought.role,
        name=None if thought.said_by == thought.role else thought.said_by,
        thought_id=thought.id,
        explain={"thought": relevance},
    )


# ---- relevance


def is_said_by_another(lexical: Floats, by_named_speaker: Floats) -> bool:
    """Return whether a speaker not named in the question has most of its words, among ten hits."""
    top_scores, named = lexical[:_TENTH], by_named_speaker[:_TENTH] > 0
    return float(top_scores[named].max(initial=0)) < float(top_scores[~named].max(initial=0))


def unrelated_score(weighted: Mapping[str, Floats]) -> float:
    """Return what a chunk would score that has nothing to do with the question."""
    priors = sum((weighted[name] for name in PRIORS if name in weighted), np.zeros(1))
    return float(priors.max(initial=0)) + _UNRELATED


def leads(scores: Floats, unrelated: float) -> Floats:
    """Return how far each score is above the tenth, shape (n,); the best score is the first."""
    if len(scores) < _TENTH:
        return scores - unrelated
    return np.asarray(scores - min(scores[_TENTH - 1], unrelated - _UNRELATED + _ANSWERS))


def estimate_relevance(leads: Floats, calibration: Calibration, *, doubtful: bool) -> Floats:
    """Return the probability that each hit answers the question, from 0 to 1; best hit first.

    It depends on the hit's lead and its rank, and is halved if the question names somebody and
    somebody else said its words (`doubtful`). Source: Platt 1999; `training/rank.py` fits it.
    """
    ranks = np.log1p(np.searchsorted(-leads, -leads))  # of equal leads, the first one's
    logits = calibration.lead * leads + calibration.log_rank * ranks + calibration.bias
    return np.asarray(np.where(doubtful, _DOUBT, 1.0) / (1 + np.exp(-logits)))
