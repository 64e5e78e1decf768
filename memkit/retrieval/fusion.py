"""Pure ranking: the arms' scores in, relevance out. Nothing here reads a store or a clock."""

from collections.abc import Mapping, Sequence

import numpy as np

from memkit.protocols import Integers
from memkit.retrieval.windows import Floats

# Each arm's part of the score; every arm lies between 0 and 1, and so do both lexical parts
# together. One set for all kinds of dialogue, chosen on the tuning part of LoCoMo and
# LongMemEval: evals/LOG.md has the sweep.
WEIGHTS: Mapping[str, float] = {
    "dense": 0.08,  # cosine with the chunk
    "dense window": 0.18,  # mean of the cosines in its window, by weight
    "lexical": 0.45,  # BM25 of the same window: the part from the chunk's own words,
    "lexical window": 0.45,  # and the part from words around it
    "attention": 0.02,  # HCAM: weight of its chunk x weight inside its chunk
    "thought": 0.05,  # cosine with what was concluded from it, if that holds
    "session": 0.04,  # BM25 of the whole session
    "speaker": 0.07,  # said by somebody the question names
    "time": 0.04,  # said in or soon after a time the question names
    "length": 0.07,  # a longer chunk says more: a prior
}
# How probable a hit is, from how far it stands above the tenth (Platt 1999; tuning part)
_SLOPE, _INTERCEPT = 18.0, -3.3
_TENTH, _UNRELATED = 10, 0.05  # what stands in for the tenth where there are fewer: it is unrelated
_HIGH = 0.42  # a tenth that scores more is an answer too, and takes nothing from the others
_DOUBT = 0.5  # if the question's words were said by others than it names
AUTO = 0.15  # relevance below which min_relevance="auto" leaves a hit out
RELATED = 0.3  # cosine below which "auto" leaves a thought out
ATTENDED = 8  # chunks that are attended to
_WEEK_US = 7 * 86_400 * 10**6
_TEMPERATURE = 0.1  # of both softmaxes, on cosines


def attention(chunks: Integers, cosines: Floats) -> Floats:
    """Attend to chunks, then inside the best (HCAM); return chunk weight x inner weight per place.

    Attention weights depend on vectors only through their products with the question, and the
    product of a mean is the mean of the products. So cosines stand for the vectors, with one
    dimension instead of hundreds and the same weights.

    Args:
        chunks: number of each place's chunk, ascending; shape (m,).
        cosines: of the question with each place; shape (m,).

    Returns:
        Parts of the greatest, shape (m,); 0 outside the chunks attended to.

    Source: Lampinen et al. 2021, section 3.
    """
    import torch

    from memkit.attention import attend, pack

    if not len(chunks):
        return np.zeros(0)
    lengths = np.unique(chunks, return_counts=True)[1].tolist()
    contents, mask = pack(torch.from_numpy(cosines)[:, None], lengths)
    read = attend(
        contents.new_ones(1, 1, 1), contents[None], k=ATTENDED, mask=mask[None],
        scale=1 / _TEMPERATURE,
    )  # fmt: skip
    scores = torch.zeros(mask.shape, dtype=contents.dtype)
    scores[read.chunks[0, 0]] = read.scores[0, 0]
    return np.asarray((scores[mask] / scores.max()).numpy())


def nearness(said_us: Integers, spans: Sequence[tuple[int | None, int | None]]) -> Floats:
    """Return how well times agree with the spans a question names, from 0 to 1; the best counts.

    People tell of things in the days after them, so what was said after a span counts half for
    every two weeks, and what was said before it half for every week.

    Args:
        said_us: microseconds since 1970.
        spans: begin and end of each, in the same unit; None: open.
    """
    best = np.zeros(len(said_us))
    for since, until in spans:
        early = 0 if since is None else np.maximum(since - said_us, 0)
        late = 0 if until is None else np.maximum(said_us - until, 0)
        best = np.maximum(best, np.exp2(-early / _WEEK_US - late / (2 * _WEEK_US)))
    return best


def length(tokens: Integers) -> Floats:
    """Return how much a chunk of so many tokens can say, from 0 to 1: its logarithm, up to 255.

    Source of length as a prior: Kraaij, Westerveld and Hiemstra, SIGIR 2002.
    """
    return np.minimum(np.log2(tokens + 1) / 8, 1.0)


def weighted(arms: Mapping[str, Floats]) -> dict[str, Floats]:
    """Return what each arm adds to the score: a convex combination, so the sum is from 0 to 1.

    Source: Bruch, Gai and Ingber, ACM TOIS 2023.

    >>> arms = weighted({"dense": np.array([1.0, 0.5]), "lexical": np.array([0.0, 1.0])})
    >>> sum(arms.values()).round(3).tolist()
    [0.09, 0.505]
    """
    return {name: WEIGHTS[name] * np.clip(scores, 0, 1) for name, scores in arms.items()}


def said_by_others(lexical: Floats, said: Floats) -> bool:
    """Return whether, of the ten best, who has most of the question's words is not who is named.

    Args:
        lexical: score from each hit's own words, best hit first.
        said: 1 where somebody named said it, else 0.
    """
    ten, named = lexical[:_TENTH], said[:_TENTH] > 0
    return float(ten[named].max(initial=0)) < float(ten[~named].max(initial=0))


def relevance(scores: Floats, *, doubtful: bool) -> Floats:
    """Return how probable it is that each hit answers the question, from 0 to 1.

    Args:
        scores: of the hits, greatest first.
        doubtful: the question's words were said by somebody it does not name.

    Source: Platt 1999, fitted on the tuning part; evals/LOG.md says how well it holds.
    """
    tenth = min(scores[_TENTH - 1], _HIGH) if len(scores) >= _TENTH else _UNRELATED
    probable = 1 / (1 + np.exp(-(_SLOPE * (scores - tenth) + _INTERCEPT)))
    return np.asarray(probable * (_DOUBT if doubtful else 1.0))
