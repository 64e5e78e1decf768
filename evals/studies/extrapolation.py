"""Length extrapolation as HCAM was tested: settings from at most two distractors, asked among 20.

A haystack is a question's evidence sessions and n other sessions of its conversation, drawn by
seed; those drawn for a small n are among those for a larger one. Chunk attention's two settings are
chosen on the tuning conversations with n ≤ 2 and are then left alone. Flat attention has nothing to
choose: a softmax over cosines ranks as the cosines do. memkit's weights were chosen on whole
conversations, so it stands beside this protocol and not under it.

Source: Lampinen et al., NeurIPS 2021 (trained on 0 to 2 distractor phases, tested on 10 and 20).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from evals.bench.result import Cell, Table
from evals.data.haystack import PUBLISHED, Asked, Haystack
from evals.metrics import retrieval as metrics
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Floats
from evals.studies.paired import PAIRED, PAIRED_NOTE, Resamples, paired
from evals.systems.memkit import OURS, Memkit
from memkit.ingest import chunk
from memkit.protocols import Embedder, Integers, Timeline, Vectors
from memkit.retrieval.windows import Windows

TUNED = (0, 1, 2)  # distractor sessions
TESTED = (0, 2, 10, 20)
CHUNKS = (2, 4, 8, 16)  # that are attended to
TEMPERATURES = (0.05, 0.1, 0.2)
ATTENTION, FLAT = "chunk attention alone", "flat attention alone"
_SYSTEMS = (ATTENTION, FLAT, OURS)
_CUTS = (1, 5)
_FROM, _TO = 2, 20  # what the drop is between


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What chunk attention lets one choose."""

    chunks: int
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A conversation's pieces in order, as memkit stores them; m of them."""

    name: str
    ids: NDArray[np.str_]  # of each piece's turn
    sessions: Integers  # each piece's, from 0
    tokens: Integers
    vectors: Vectors  # (m, d)
    numbers: dict[str, int]  # session id -> its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A question, its vector, and the order in which distractors join its evidence."""

    question: Asked
    vector: Vectors  # (d,)
    within: Embedded
    haystack: Haystack
    distractors: Sequence[str]  # session ids

    def sessions(self, n: int) -> set[str]:
        """Return the evidence sessions and the first n distractors."""
        return {*self.question.golds[PUBLISHED].sessions, *self.distractors[:n]}


Ranking = Callable[[Placed, int], list[str]]  # a question among n distractors -> turns, best first


def tables(
    haystacks: Sequence[Haystack], embedder: Embedder, seed: int
) -> tuple[Setting | None, list[Table]]:
    """Choose the settings, test them; return what was chosen, and nothing if there is no tuning.

    Args:
        haystacks: of both splits, with only questions that have gold.
        embedder: its vectors should be cached, since they are asked for again and again.
        seed: of the distractors and of the intervals.

    Cost: a memory for each question of the report split and each n of `TESTED`.
    """
    placed = [one for haystack in haystacks for one in _placed(haystack, embedder, seed)]
    tuning = [one for one in placed if one.haystack.split == "tuning"]
    report = [one for one in placed if one.haystack.split == "report"]
    if not tuning:
        return None, []
    grid = {
        setting: _grid_row(tuning, setting)
        for setting in (Setting(chunks=k, temperature=t) for k, t in product(CHUNKS, TEMPERATURES))
    }
    chosen = max(grid, key=lambda setting: grid[setting][0])
    found = [_grid(grid, chosen, len(tuning))]
    asked = [one for one in report if len(one.distractors) >= max(TESTED)]
    if asked:
        found += _told(asked, len(report), chosen, embedder, seed)
    return chosen, found


# ---- haystacks


def _placed(haystack: Haystack, embedder: Embedder, seed: int) -> Iterator[Placed]:
    within = _embedded(haystack, embedder)
    vectors = embedder.embed([question.text for question in haystack.questions])
    for question, vector in zip(haystack.questions, vectors, strict=True):
        evidence = question.golds[PUBLISHED].sessions
        others = [session for session in within.numbers if session not in evidence]
        random.Random(f"{seed}/{question.id}").shuffle(others)
        yield Placed(
            question=question, vector=vector, within=within, haystack=haystack, distractors=others
        )


def _embedded(haystack: Haystack, embedder: Embedder) -> Embedded:
    sessions = list(dict.fromkeys(turn.session_id or "" for turn in haystack.turns))
    numbers = {session: n for n, session in enumerate(sessions)}
    pieces = [(turn, piece) for turn in haystack.turns for piece in chunk(turn, embedder)]
    return Embedded(
        name=haystack.name,
        ids=np.array([piece.turn_id for _, piece in pieces]),
        sessions=np.array([numbers[turn.session_id or ""] for turn, _ in pieces], dtype=np.int64),
        tokens=np.array([piece.tokens for _, piece in pieces], dtype=np.int64),
        vectors=embedder.embed([piece.text for _, piece in pieces]),
        numbers=numbers,
    )


def _rows(one: Placed, n: int) -> Integers:
    """Return which pieces of the conversation are in the haystack with n distractors."""
    numbers = [one.within.numbers[session] for session in one.sessions(n)]
    return np.flatnonzero(np.isin(one.within.sessions, numbers))


# ---- rankings


def attended(setting: Setting) -> Ranking:
    """Return the ranking by chunk attention; a turn in a chunk that is not opened is not found."""

    def rank(one: Placed, n: int) -> list[str]:
        rows = _rows(one, n)
        windows = Windows(_timeline(one.within.sessions[rows], one.within.tokens[rows]))
        chunks = windows.chunks(np.arange(len(rows)))
        scores = attention(one.within.vectors[rows], chunks, one.vector, setting)
        return _best(one.within.ids[rows], scores, above=0.0)

    return rank


def attention(vectors: Vectors, chunks: Integers, question: Vectors, setting: Setting) -> Floats:
    """Return every piece's chunk weight × inner weight, of sum 1; 0 in chunks not opened.

    Args:
        vectors: of the pieces, in order; shape (m, d).
        chunks: the number of each piece's chunk, never falling; shape (m,).
        question: shape (d,).
        setting: how many chunks are opened, and the temperature of both softmaxes.
    """
    import torch

    from memkit.attention import attend, pack

    _, lengths = np.unique(chunks, return_counts=True)
    contents, mask = pack(torch.from_numpy(vectors), lengths.tolist())
    read = attend(
        torch.from_numpy(question)[None, None], contents[None], k=setting.chunks, mask=mask[None],
        scale=1 / setting.temperature,
    )  # fmt: skip
    scores = torch.zeros(mask.shape)
    scores[read.chunks[0, 0]] = read.scores[0, 0]
    return np.asarray(scores[mask].numpy(), dtype=np.float64)


def _timeline(sessions: Integers, tokens: Integers) -> Timeline:
    """Return the haystack as memkit's windows need it: nobody's words, at no time."""
    nothing = np.zeros_like(tokens)
    return Timeline(
        sessions=sessions,
        turns=np.arange(len(tokens)),
        tokens=tokens,
        said_us=nothing,
        speakers=nothing,
        names=("",),
    )


def flat(one: Placed, n: int) -> list[str]:
    """Rank by cosine, which is how a softmax over all turns ranks."""
    rows = _rows(one, n)
    cosines = (one.within.vectors[rows] @ one.vector).astype(np.float64)
    return _best(one.within.ids[rows], cosines, above=-np.inf)


def _best(ids: NDArray[np.str_], scores: Floats, *, above: float) -> list[str]:
    order = np.argsort(-scores, kind="stable")
    return [str(ids[n]) for n in order if scores[n] > above]


def remembered(embedder: Embedder) -> Ranking:
    """Return memkit's ranking through its public face: a memory of the haystack alone."""

    def rank(one: Placed, n: int) -> list[str]:
        sessions = one.sessions(n)
        with closing(Memkit(embedder)) as memory:
            memory.remember([turn for turn in one.haystack.turns if turn.session_id in sessions])
            return [hit.turn_id for hit in memory.ask(one.question.query, metrics.SERVED)]

    return rank


# ---- figures


def _recalls(placed: Sequence[Placed], ranking: Ranking, n: int) -> Floats:
    """Return R@1 and R@5 of every question among n distractors, shape (questions, 2)."""
    found = []
    for one in placed:
        places = metrics.places(ranking(one, n), one.question.golds[PUBLISHED].turns)
        found.append([metrics.recall(places, k) for k in _CUTS])
    return np.array(found)


def _grid_row(tuning: Sequence[Placed], setting: Setting) -> list[float]:
    """Return the mean R@5 over all of `TUNED`, by which is chosen, and at each of `TESTED`."""
    at = {n: _recalls(tuning, attended(setting), n)[:, 1].mean() for n in {*TUNED, *TESTED[:-1]}}
    return [float(np.mean([at[n] for n in TUNED])), *(float(at[n]) for n in TESTED[:-1])]


def _grid(grid: dict[Setting, list[float]], chosen: Setting, questions: int) -> Table:
    rows: list[list[Cell]] = [
        [s.chunks, s.temperature, *figures, "chosen" if s == chosen else ""]
        for s, figures in grid.items()
    ]
    return Table(
        title="length extrapolation: settings of chunk attention, R@5 on tuning conversations",
        columns=["chunks", "temperature", "n ≤ 2", *(f"n = {n}" for n in TESTED[:-1]), ""],
        rows=rows,
        note=f"{questions} questions; chosen by n ≤ 2 alone; where fewer sessions are left than n, "
        "all of them",
    )


def _told(
    asked: Sequence[Placed], questions: int, chosen: Setting, embedder: Embedder, seed: int
) -> list[Table]:
    """Return what the report conversations say: figures, drops, and chunk against flat."""
    rankings = {ATTENTION: attended(chosen), FLAT: flat, OURS: remembered(embedder)}
    found = {
        (name, n): _recalls(asked, ranking, n) for name, ranking in rankings.items() for n in TESTED
    }
    draws = Resamples.of([one.within.name for one in asked], seed)
    left_out = f"{len(asked)} questions; {questions - len(asked)} left out, with fewer than "
    return [
        Table(
            title="length extrapolation: fractional recall among n distractor sessions",
            columns=["system", *(f"R@{k}, n = {n}" for k in _CUTS for n in TESTED)],
            rows=[_recall_row(name, found, draws) for name in _SYSTEMS],
            note=f"{left_out}{max(TESTED)} other sessions; 95 % intervals: questions inside "
            "conversations",
        ),
        Table(
            title=f"length extrapolation: what is lost from n = {_FROM} to n = {_TO}",
            columns=["metric", "system", *PAIRED],
            rows=_drops(found, draws),
            note=PAIRED_NOTE,
        ),
        Table(
            title=f"length extrapolation: {ATTENTION} − {FLAT}",
            columns=["metric", "n", *PAIRED],
            rows=[
                [f"R@{k}", str(n), *paired(found[ATTENTION, n][:, c], found[FLAT, n][:, c], draws)]
                for c, k in enumerate(_CUTS)
                for n in TESTED
            ],
            note=PAIRED_NOTE,
        ),
    ]


def _recall_row(name: str, found: dict[tuple[str, int], Floats], draws: Resamples) -> list[Cell]:
    columns = [found[name, n][:, [c]] for c in range(len(_CUTS)) for n in TESTED]
    intervals = statistics.means(np.hstack(columns), draws.inside)
    return [name, *(_with_range(one.value, one.low, one.high) for one in intervals)]


def _with_range(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" + ("" if low is None else f" ({low:.3f}–{high:.3f})")


def _drops(found: dict[tuple[str, int], Floats], draws: Resamples) -> list[list[Cell]]:
    """Return each system's drop, and how much more chunk attention drops than flat attention."""
    rows: list[list[Cell]] = []
    for c, k in enumerate(_CUTS):
        for name in _SYSTEMS:
            before, after = (found[name, n][:, c] for n in (_FROM, _TO))
            rows.append([f"R@{k}", name, *paired(before, after, draws)])
        drops = [found[name, _FROM][:, c] - found[name, _TO][:, c] for name in (ATTENTION, FLAT)]
        rows.append([f"R@{k}", f"{ATTENTION} − {FLAT}", *paired(drops[0], drops[1], draws)])
    return rows
