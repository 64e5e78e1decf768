"""Length extrapolation by HCAM's protocol: tuned on at most 2 distractor sessions, tested among 20.

A haystack is the evidence sessions of a question and n other sessions of its conversation, chosen
by seed; the sessions of a small n are among those of a larger n. The two settings of chunk
attention are tuned on the tuning conversations with n ≤ 2 and then fixed. Flat attention has no
setting: a softmax over cosines ranks as the cosines do. memkit's weights were tuned on whole
conversations, so its figures are for comparison and not under this protocol.

Source: Lampinen et al., NeurIPS 2021 (trained on 0 to 2 distractor phases, tested on 10 and 20).
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from evals.data.haystack import PUBLISHED, Haystack, Question
from evals.metrics import retrieval as metrics
from evals.stats import bootstrap as statistics
from evals.stats.bootstrap import Floats
from evals.studies.paired import PAIRED, PAIRED_NOTE, Resamples, paired
from evals.systems.memkit import OURS, Memkit
from evals.tables import Cell, Table
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
_FROM, _TO = 2, 20  # distractor sessions before and after the drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The settings of chunk attention."""

    chunks: int
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The m pieces of a conversation in order, as memkit stores them."""

    name: str
    turn_ids: NDArray[np.str_]  # of each piece
    sessions: Integers  # number of each piece's session, from 0
    tokens: Integers
    vectors: Vectors  # (m, d)
    numbers: Mapping[str, int]  # session id -> its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question, its vector, and the distractors in the order in which they join the evidence."""

    question: Question
    vector: Vectors  # (d,)
    pieces: Pieces
    haystack: Haystack
    distractors: Sequence[str]  # session ids

    def sessions(self, n: int) -> set[str]:
        """Return the evidence sessions and the first n distractors."""
        return {*self.question.golds[PUBLISHED].sessions, *self.distractors[:n]}

    def rows(self, n: int) -> Integers:
        """Return the pieces of the haystack with n distractors."""
        numbers = [self.pieces.numbers[session] for session in self.sessions(n)]
        return np.flatnonzero(np.isin(self.pieces.sessions, numbers))


Ranking = Callable[[Problem, int], list[str]]  # a question among n distractors -> turns, best first
Recalls = Mapping[tuple[str, int], Floats]  # by system and n: R@1 and R@5 of every question


def tables(
    haystacks: Sequence[Haystack], embedder: Embedder, seed: int
) -> tuple[Setting | None, list[Table]]:
    """Tune the settings and test them; return the best setting, or nothing without tuning data.

    Args:
        haystacks: of both splits, with only questions that have gold.
        embedder: best with a cache, because every text is embedded many times.
        seed: of the distractors and of the intervals.

    Cost: a memory for each question of the report split and each n of `TESTED`.
    """
    problems = [p for haystack in haystacks for p in make_problems(haystack, embedder, seed)]
    tuning = [problem for problem in problems if problem.haystack.split == "tuning"]
    report = [problem for problem in problems if problem.haystack.split == "report"]
    if not tuning:
        return None, []
    grid = {
        setting: _grid_row(tuning, setting)
        for setting in (Setting(chunks=k, temperature=t) for k, t in product(CHUNKS, TEMPERATURES))
    }
    best = max(grid, key=lambda setting: grid[setting][0])
    results = [_grid_table(grid, best, len(tuning))]
    tested = [problem for problem in report if len(problem.distractors) >= max(TESTED)]
    if tested:
        rankings = {ATTENTION: attended(best), FLAT: flat, OURS: remembered(embedder)}
        recalls = {
            (name, n): _recalls(tested, ranking, n)
            for name, ranking in rankings.items()
            for n in TESTED
        }
        resamples = Resamples.of([problem.pieces.name for problem in tested], seed)
        results.append(_recall_table(recalls, resamples, len(report)))
        results += _difference_tables(recalls, resamples)
    return best, results


# ---- haystacks


def make_problems(haystack: Haystack, embedder: Embedder, seed: int) -> Iterator[Problem]:
    """Yield a problem for each question of a conversation."""
    pieces = _embed(haystack, embedder)
    vectors = embedder.embed([question.text for question in haystack.questions])
    for question, vector in zip(haystack.questions, vectors, strict=True):
        evidence = question.golds[PUBLISHED].sessions
        distractors = [session for session in pieces.numbers if session not in evidence]
        random.Random(f"{seed}/{question.id}").shuffle(distractors)
        yield Problem(
            question=question, vector=vector, pieces=pieces, haystack=haystack,
            distractors=distractors,
        )  # fmt: skip


def _embed(haystack: Haystack, embedder: Embedder) -> Pieces:
    sessions = dict.fromkeys(turn.session_id or "" for turn in haystack.turns)
    numbers = {session: n for n, session in enumerate(sessions)}
    pieces = [(turn, piece) for turn in haystack.turns for piece in chunk(turn, embedder)]
    return Pieces(
        name=haystack.name,
        turn_ids=np.array([piece.turn_id for _, piece in pieces]),
        sessions=np.array([numbers[turn.session_id or ""] for turn, _ in pieces], dtype=np.int64),
        tokens=np.array([piece.tokens for _, piece in pieces], dtype=np.int64),
        vectors=embedder.embed([piece.text for _, piece in pieces]),
        numbers=numbers,
    )


# ---- rankings


def attended(setting: Setting) -> Ranking:
    """Return the ranking by chunk attention; turns of chunks that are not opened are left out."""

    def rank(problem: Problem, n: int) -> list[str]:
        rows, pieces = problem.rows(n), problem.pieces
        windows = Windows(make_timeline(pieces.sessions[rows], pieces.tokens[rows]))
        chunks = windows.chunks(np.arange(len(rows)))
        scores = attention(pieces.vectors[rows], chunks, problem.vector, setting)
        return _sort(pieces.turn_ids[rows], scores, above=0.0)

    return rank


def attention(vectors: Vectors, chunks: Integers, question: Vectors, setting: Setting) -> Floats:
    """Return every piece's chunk weight × inner weight, with sum 1; 0 in chunks not opened.

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


def make_timeline(sessions: Integers, tokens: Integers) -> Timeline:
    """Return a haystack as memkit's windows need it, without speakers and times."""
    zeros = np.zeros_like(tokens)
    return Timeline(
        sessions=sessions,
        turns=np.arange(len(tokens)),
        tokens=tokens,
        said_us=zeros,
        speakers=zeros,
        names=("",),
    )


def flat(problem: Problem, n: int) -> list[str]:
    """Rank by cosine, which is the ranking of a softmax over all turns."""
    rows, pieces = problem.rows(n), problem.pieces
    cosines = (pieces.vectors[rows] @ problem.vector).astype(np.float64)
    return _sort(pieces.turn_ids[rows], cosines, above=-np.inf)


def _sort(turn_ids: NDArray[np.str_], scores: Floats, *, above: float) -> list[str]:
    order = np.argsort(-scores, kind="stable")
    return [str(turn_ids[n]) for n in order if scores[n] > above]


def remembered(embedder: Embedder) -> Ranking:
    """Return the ranking of memkit with a memory of the haystack alone."""

    def rank(problem: Problem, n: int) -> list[str]:
        sessions = problem.sessions(n)
        with closing(Memkit(embedder)) as memory:
            turns = [turn for turn in problem.haystack.turns if turn.session_id in sessions]
            memory.remember(turns)
            return [hit.turn_id for hit in memory.ask(problem.question.query, metrics.SERVED)]

    return rank


# ---- figures


def _recalls(problems: Sequence[Problem], ranking: Ranking, n: int) -> Floats:
    """Return R@1 and R@5 of every question among n distractors, shape (questions, 2)."""
    rows = []
    for problem in problems:
        places = metrics.places(ranking(problem, n), problem.question.golds[PUBLISHED].turns)
        rows.append([metrics.recall(places, k) for k in _CUTS])
    return np.array(rows)


def _grid_row(tuning: Sequence[Problem], setting: Setting) -> list[float]:
    """Return the mean R@5 over all of `TUNED`, which decides, and at each of `TESTED` but 20."""
    at = {n: _recalls(tuning, attended(setting), n)[:, 1].mean() for n in {*TUNED, *TESTED[:-1]}}
    return [float(np.mean([at[n] for n in TUNED])), *(float(at[n]) for n in TESTED[:-1])]


def _grid_table(grid: Mapping[Setting, list[float]], best: Setting, questions: int) -> Table:
    rows: list[list[Cell]] = [
        [s.chunks, s.temperature, *figures, "chosen" if s == best else ""]
        for s, figures in grid.items()
    ]
    return Table(
        title="length extrapolation: settings of chunk attention, R@5 on tuning conversations",
        columns=["chunks", "temperature", "n ≤ 2", *(f"n = {n}" for n in TESTED[:-1]), ""],
        rows=rows,
        note=f"{questions} questions; chosen by n ≤ 2 alone; where fewer sessions are left than n, "
        "all of them",
    )


def _recall_table(recalls: Recalls, resamples: Resamples, questions: int) -> Table:
    rows: list[list[Cell]] = []
    for name in _SYSTEMS:
        columns = [recalls[name, n][:, [c]] for c in range(len(_CUTS)) for n in TESTED]
        means = statistics.means(np.hstack(columns), resamples.inside)
        rows.append(
            [
                name,
                *(
                    f"{m.value:.3f}" + ("" if m.low is None else f" ({m.low:.3f}–{m.high:.3f})")
                    for m in means
                ),
            ]
        )
    tested = len(recalls[FLAT, _TO])
    return Table(
        title="length extrapolation: fractional recall among n distractor sessions",
        columns=["system", *(f"R@{k}, n = {n}" for k in _CUTS for n in TESTED)],
        rows=rows,
        note=f"{tested} questions; {questions - tested} left out, with fewer than {max(TESTED)} "
        "other sessions; 95 % intervals: questions inside conversations",
    )


def _difference_tables(recalls: Recalls, resamples: Resamples) -> Iterator[Table]:
    """Yield the drop of each system from few to many distractors, and chunk against flat."""
    drops: list[list[Cell]] = []
    differences: list[list[Cell]] = []
    for c, k in enumerate(_CUTS):
        before, after = ({name: recalls[name, n][:, c] for name in _SYSTEMS} for n in (_FROM, _TO))
        for name in _SYSTEMS:
            drops.append([f"R@{k}", name, *paired(before[name], after[name], resamples)])
        chunked, flat = (before[name] - after[name] for name in (ATTENTION, FLAT))
        drops.append([f"R@{k}", f"{ATTENTION} − {FLAT}", *paired(chunked, flat, resamples)])
        for n in TESTED:
            chunked, flat = (recalls[name, n][:, c] for name in (ATTENTION, FLAT))
            differences.append([f"R@{k}", str(n), *paired(chunked, flat, resamples)])
    yield Table(
        title=f"length extrapolation: what is lost from n = {_FROM} to n = {_TO}",
        columns=["metric", "system", *PAIRED],
        rows=drops,
        note=PAIRED_NOTE,
    )
    yield Table(
        title=f"length extrapolation: {ATTENTION} − {FLAT}",
        columns=["metric", "n", *PAIRED],
        rows=differences,
        note=PAIRED_NOTE,
    )
